"""Runs pytest in forked children of one warm process, each in a copy of the project that it may spoil.

The packages that take seconds to import (torch, numpy, ...) are imported once, before the first fork; the project's own
package never is, so that every child imports it from its copy, changed or not.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

WARM = (
    "hypothesis",
    "jsonschema",
    "numpy",
    "scipy.sparse",
    "torch",
    "typer",
    "rich.console",
    "PIL.Image",
    "matplotlib",
)
MEMORY = 12 * 2**30
"""Bytes that a child may take: a change can make a list endless."""
QUIET = ("-q", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly")


@dataclass(frozen=True)
class Job:
    """What one child does: `work` in a folder that `before` has prepared; killed after `seconds`."""

    what: Any
    before: Callable[[Path], None]
    work: Callable[[Path, Path], int]
    """From the copy and the path of a report to an exit code."""
    seconds: float


@dataclass(frozen=True)
class Done:
    """What came of it."""

    what: Any
    status: int
    """The exit code, or minus the signal that ended the child."""
    report: str
    """What the child wrote."""
    output: str
    """The end of what pytest printed."""
    seconds: float


def warm(names: Iterable[str] = WARM) -> None:
    """Import what takes long and is never changed, where it is installed."""
    for name in names:
        if importlib.util.find_spec(name.partition(".")[0]):
            importlib.import_module(name)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def copies(project: Path, names: Iterable[str], target: Path, count: int) -> list[Path]:
    """So many copies of the files and folders of a project, their bytecode compiled."""
    found = []
    for number in range(count):
        copy = target / f"copy-{number}"
        for name in names:
            source = project / name
            if source.is_dir():
                shutil.copytree(source, copy / name)
            elif source.exists():
                copy.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy / name)
        found.append(copy)
    return found


def run_all(jobs: Iterable[Job], folders: list[Path]) -> Iterator[Done]:
    """Run every job, one at a time in each folder, and yield what came of each as it ends."""
    waiting = iter(jobs)
    free = list(folders)
    running: dict[int, tuple[Job, Path, float]] = {}
    try:
        while True:
            while free and (job := next(waiting, None)) is not None:
                folder = free.pop()
                job.before(folder)
                running[_start(job, folder)] = job, folder, time.monotonic()
            if not running:
                return
            for pid, (job, folder, since) in list(running.items()):
                ended, status, _ = os.wait4(pid, os.WNOHANG)
                if not ended and time.monotonic() - since > job.seconds:
                    os.kill(pid, signal.SIGKILL)
                    ended, status, _ = os.wait4(pid, 0)
                if ended:
                    _end_group(pid)
                    del running[pid]
                    free.append(folder)
                    report, output = (_read(folder.with_suffix(end)) for end in (".report", ".output"))
                    code = os.waitstatus_to_exitcode(status)
                    yield Done(job.what, code, report, output[-3000:], time.monotonic() - since)
            time.sleep(0.01)
    finally:
        for pid in running:
            _end_group(pid)


def _start(job: Job, folder: Path) -> int:
    report = folder.with_suffix(".report")
    report.unlink(missing_ok=True)
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()  # what it starts ends with it
        output = os.open(folder.with_suffix(".output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        code = job.work(folder, report)
    except BaseException as error:  # noqa: BLE001 - nothing may leave a child: it would go on as the parent
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _end_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _read(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.exists() else ""


def pytest_in(copy: Path, paths: Iterable[str], files: Iterable[str], plugin: object) -> int:
    """Run these files' tests in a copy of the project; the exit code of pytest."""
    where = [str(copy / path) for path in paths]
    sys.path[:0] = where
    sys.dont_write_bytecode = True
    changes = {"PYTHONPATH": os.pathsep.join(where), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "120"}
    os.environ.update(changes)
    os.chdir(copy)
    return int(pytest.main([*QUIET, f"--rootdir={copy}", *files], plugins=[plugin, Same()]))


class Same:
    """The same examples in every run, and no search for the smallest one that fails."""

    def pytest_collection(self) -> None:
        """Choose a profile of hypothesis, after the project's own."""
        if "hypothesis" in sys.modules:
            from hypothesis import Phase, settings

            phases = (Phase.explicit, Phase.generate)
            settings.register_profile("mutation", deadline=None, derandomize=True, database=None, phases=phases)
            settings.load_profile("mutation")


class Chosen:
    """Runs the chosen tests alone, in the given order, each within its time, and says which one failed."""

    def __init__(self, seconds: dict[str, float], package: str, report: Path) -> None:
        self.seconds, self.package, self.report = seconds, package, report

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what was not chosen."""
        order = {name: index for index, name in enumerate(self.seconds)}
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in order])
        items[:] = sorted((item for item in items if item.nodeid in order), key=lambda item: order[item.nodeid])

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """The alarm ends the process, whatever it is doing."""
        self.report.write_text(nodeid, encoding="utf-8")
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, 20 + 10 * self.seconds.get(nodeid, 0))

    def pytest_runtest_logfinish(self) -> None:
        """Stop the clock."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def pytest_sessionfinish(self) -> None:
        """The tests must have seen the copy."""
        file = getattr(sys.modules.get(self.package), "__file__", None)
        if file and not Path(file).is_relative_to(Path.cwd()):
            raise RuntimeError(f"the tests imported {file}, not the copy in {Path.cwd()}")
