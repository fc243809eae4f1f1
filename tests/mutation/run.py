"""Mutation testing: changes the package one token at a time, and asks whether a test notices.

    python tests/mutation/run.py                     200 random changes
    python tests/mutation/run.py --seed 2 --count 50 --only convarith/layers

Only tests that run the changed line can notice it; the fastest of them are tried, as many as take --seconds together.
A change that no test notices is a survivor: a hole in the tests, a line that does nothing, or a change that cannot be
seen from outside. The last kind is listed in judged.toml beside this file, each with its reason, and does not count.

What is known is kept in build/mutation: which lines each test runs, and the outcome of every change tried. A run that
was stopped goes on where it was; what depends on a changed file is found out again.
"""

from __future__ import annotations

import argparse
import difflib
import fnmatch
import hashlib
import json
import os
import random
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from killing import WARM, Chosen, Done, Job, copies, pytest_in, run_all, warm
from mutants import Mutant, files_of, mutants_of
from tracing import Tracer

TESTS = ("convarith", "cli/convarith_cli", "tests/convarith", "tests/cli")
"""Where tests are taken from: test files, and doctests."""
LEFT_OUT = (
    # 45,000 cases for one verdict
    "tests/convarith/pytorch/test_verification.py::test_no_mismatches",
    "tests/convarith/pytorch/test_verification.py::test_torch_takes_some_and_refuses_some*",
    "tests/convarith/pytorch/test_verification.py::test_every_layer_is_asked_about",
    # what a fresh interpreter loads depends on imports alone
    "tests/convarith/test_imports.py::*",
)
COPIED = ("convarith", "cli", "gallery", "tests", "docs", "conftest.py", "pyproject.toml", "README.md")
PATHS = ("", "cli", "gallery")
"""The folders of the copy from which packages are imported."""
STOPPED = "time or memory: "
FIRST_SECONDS = 3.0
FIRST_FILES = 6
"""The first tests that a change meets: the fastest, as long as they take so long and come from so few files."""


@dataclass(frozen=True)
class Project:
    """What is changed, and what should notice."""

    folder: Path
    package: str
    tests: tuple[str, ...]
    kept: Path
    """The folder for what is known."""

    def units(self) -> list[str]:
        """The files that have tests: test files, and modules with doctests."""
        found = []
        for place in self.tests:
            for file in files_of(self.folder / place):
                name = file.relative_to(self.folder).as_posix()
                is_test = file.name.startswith("test_")
                if is_test or (not name.startswith("tests/") and ">>> " in file.read_text(encoding="utf-8")):
                    found.append(name)
        return sorted(found)

    def digest(self, *names: str) -> str:
        """A fingerprint of files, and of all Python files in folders."""
        total = hashlib.sha256()
        for name in names:
            path = self.folder / name
            for file in files_of(path) if path.is_dir() else [path] if path.exists() else []:
                total.update(f"{file.relative_to(self.folder)}\0".encode() + file.read_bytes())
        return total.hexdigest()[:16]

    def source(self) -> str:
        """The fingerprint of what every test may depend on."""
        return self.digest(self.package, "cli", "tests/support", "conftest.py", "tests/conftest.py")


# Which test runs which line


@dataclass(frozen=True)
class Coverage:
    """What each test runs."""

    tests: dict[str, dict[str, Any]]
    """By the name of a test: its seconds, and its lines of each file."""
    imports: dict[str, set[int]]
    """The lines of functions that ran while a module was imported."""

    def tests_of(self, mutant: Mutant, most: float) -> dict[str, float]:
        """The tests that may notice a change and their seconds, together at most so many.

        The fastest ten of every file come first, from the fastest on, then the next ten of every file, and so on: many
        fast tests of one file see much the same.
        """
        lines = set(range(mutant.lines[0], mutant.lines[1] + 1))
        anywhere = mutant.imported or bool(lines & self.imports.get(mutant.file, set()))
        reaching: list[tuple[float, str]] = []
        for name, trace in self.tests.items():
            reached = trace["lines"].get(mutant.file)
            if reached and (anywhere or not lines.isdisjoint(reached)):
                reaching.append((trace["seconds"], name))
        ranks: Counter[str] = Counter()
        ranked = []
        for seconds, name in sorted(reaching):
            file = name.partition("::")[0]
            ranked.append((ranks[file] // 10, seconds, name))
            ranks[file] += 1
        chosen: dict[str, float] = {}
        total = 0.0
        for _, seconds, name in sorted(ranked):
            total += seconds
            if not chosen or total <= most:
                chosen[name] = seconds
        return chosen


def coverage(project: Project, folders: list[Path]) -> Coverage:
    """What each test runs: from disk where nothing it depends on has changed, else found out now."""
    source = project.source()
    files = {unit: project.kept / "traces" / f"{project.digest(unit)}-{source}.json" for unit in project.units()}
    missing = [unit for unit, file in files.items() if not file.exists()]
    if missing:
        print(f"following the tests of {len(missing)} file{'s' * (len(missing) > 1)}", file=sys.stderr)
    jobs = [Job(unit, lambda _: None, partial(_follow, project=project, unit=unit), 1800) for unit in missing]
    for number, done in enumerate(run_all(jobs, folders), 1):
        if not done.report:
            raise SystemExit(f"Error: the tests of {done.what} could not be followed:\n{done.output}")
        print(f"  {number} of {len(missing)}: {done.what}, {done.seconds:.0f} s", file=sys.stderr, flush=True)
        files[done.what].parent.mkdir(parents=True, exist_ok=True)
        files[done.what].write_text(done.report, encoding="utf-8")
    tests: dict[str, dict[str, Any]] = {}
    imports: dict[str, set[int]] = {}
    for file in files.values():
        document = json.loads(file.read_text(encoding="utf-8"))
        for name, trace in document["tests"].items():
            if not any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_OUT):
                tests[name] = {"seconds": trace["seconds"], "lines": {f: set(n) for f, n in trace["lines"].items()}}
        for name, lines in document["imports"].items():
            imports.setdefault(name, set()).update(lines)
        for name in document["left_out"]:
            print(f"skipped or failing without any change, left out: {name}", file=sys.stderr)
    return Coverage(tests, imports)


def _follow(copy: Path, report: Path, project: Project, unit: str) -> int:
    left_out = [f"--deselect={name.rstrip('*')}" for name in LEFT_OUT if name.startswith(f"{unit}::")]
    return pytest_in(copy, PATHS, [unit, *left_out], Tracer(copy, project.package, report))


# One change


def first_tests(tests: dict[str, float]) -> dict[str, float]:
    """The fastest of the tests, which are enough for most changes."""
    chosen: dict[str, float] = {}
    files: set[str] = set()
    for name, seconds in tests.items():
        file = name.partition("::")[0]
        if sum(chosen.values()) + seconds > FIRST_SECONDS:
            break
        if file in files or len(files) < FIRST_FILES:
            files.add(file)
            chosen[name] = seconds
    return chosen


def job_of(project: Project, mutant: Mutant, tests: dict[str, float], rest: dict[str, float] | None = None) -> Job:
    """Run tests on a changed copy; the rest are those that come afterwards if it survives."""

    def change(copy: Path) -> None:
        _restore(copy, project)
        file = copy / mutant.file
        file.write_text(mutant.applied(file.read_text(encoding="utf-8")), encoding="utf-8")
        os.utime(file, (1, 1))  # no bytecode is of that time
        (copy / "changed").write_text(mutant.file, encoding="utf-8")

    def work(copy: Path, report: Path) -> int:
        files = dict.fromkeys(name.partition("::")[0] for name in tests)
        return pytest_in(copy, PATHS, ["-x", *files], Chosen(tests, project.package, report))

    return Job((mutant, rest), change, work, 60 + 20 * sum(tests.values()))


def _restore(copy: Path, project: Project) -> None:
    """Undo the last change of this copy."""
    note = copy / "changed"
    if note.exists():
        name = note.read_text(encoding="utf-8")
        original = project.folder / name
        (copy / name).write_bytes(original.read_bytes())
        os.utime(copy / name, ns=(original.stat().st_atime_ns, original.stat().st_mtime_ns))
        note.unlink()


def control(project: Project, outcomes: list[Outcome], known: Coverage, folders: list[Path]) -> None:
    """Run the tests that killed on an unchanged copy, where they must pass: a test that fails anyway proves nothing."""
    killers = {found.killer.removeprefix(STOPPED) for found in outcomes if found.status == "killed"}
    tests = {name: known.tests[name]["seconds"] for name in sorted(killers) if name in known.tests}
    if not tests:
        return
    unchanged = replace(job_of(project, outcomes[0].mutant, tests), before=partial(_restore, project=project))
    for done in run_all([unchanged], folders[:1]):
        if done.status:
            raise SystemExit(f"Error: {done.report} fails without any change\n{done.output}")


def outcome(done: Done) -> tuple[str, str]:
    """Killed or survived, and by what."""
    if done.status in (0, 5):  # all passed, or the change left none of them to run
        return "survived", ""
    if done.status in (1, 2, 3):
        return "killed", done.report or "importing or collecting fails"
    if done.status < 0:
        return "killed", f"{STOPPED}{done.report}"
    raise SystemExit(f"Error: {done.what[0].name}\n{done.output}")


# All of them


def tried(
    project: Project, chosen: list[Mutant], known: Coverage, folders: list[Path], seed: int, most: float
) -> Iterator[Outcome]:
    """The outcome of every mutant, from disk where it is known. Each is written down as soon as it is known.

    A mutant meets a few fast tests first, and those that survive meet the others afterwards.
    """
    file = project.kept / "results.jsonl"
    source, units = project.source(), {unit: project.digest(unit) for unit in project.units()}
    everything = hashlib.sha256(json.dumps(units).encode()).hexdigest()[:16]
    remembered: dict[str, dict[str, Any]] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        entry = json.loads(line)
        still_fails = entry["unit"] and entry["unit"] in units.values()
        if entry["source"] == source and (entry["tests"] == everything or still_fails):
            remembered[entry["mutant"]] = entry
    waiting: list[Job] = []
    for mutant in chosen:
        if mutant.name in remembered:
            entry = remembered[mutant.name]
            yield Outcome(mutant, entry["status"], entry["killer"])
        elif tests := known.tests_of(mutant, most):
            first = first_tests(tests) or tests
            waiting.append(job_of(project, mutant, first, {name: tests[name] for name in tests if name not in first}))
        else:
            yield Outcome(mutant, "survived", "no test runs this line")

    def queue() -> Iterator[Job]:
        while waiting:
            yield waiting.pop(0)

    while waiting:
        for done in run_all(queue(), folders):
            mutant, rest = done.what
            status, killer = outcome(done)
            if status == "survived" and rest:
                waiting.append(job_of(project, mutant, rest))
                continue
            unit = units.get(killer.partition("::")[0], "") if status == "killed" else ""
            entry = {
                "mutant": mutant.name, "status": status, "killer": killer, "seed": seed, "source": source,
                "tests": everything, "unit": unit, "seconds": round(done.seconds, 2),
            }  # fmt: skip
            with file.open("a", encoding="utf-8") as results:
                results.write(json.dumps(entry) + "\n")
            yield Outcome(mutant, status, killer)


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant."""

    mutant: Mutant
    status: str
    killer: str


def judged(file: Path) -> dict[str, str]:
    """The reason for each mutant that was judged to change nothing that can be seen, by its name."""
    if not file.exists():
        return {}
    entries = tomllib.loads(file.read_text(encoding="utf-8")).get("equivalent", [])
    return {f"{e['file']}: {e['line']}: {e['mutation']}: {e.get('at', 1)}": e["reason"] for e in entries}


def diff(project: Project, mutant: Mutant) -> str:
    """The change as a diff of its lines."""
    before = (project.folder / mutant.file).read_text(encoding="utf-8")
    after = mutant.applied(before)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    return "\n".join(f"    {line}" for line in list(lines)[3:])


def report(project: Project, outcomes: list[Outcome], reasons: dict[str, str], all_names: set[str]) -> None:
    """Print the survivors, then the score."""
    order = sorted(outcomes, key=lambda outcome: (outcome.mutant.file, outcome.mutant.start))
    counts = Counter(outcome.status for outcome in outcomes)
    equivalent = 0
    for found in order:
        if found.status == "survived":
            mutant = found.mutant
            if mutant.name in reasons:
                equivalent += 1
                continue
            again = f"  (at = {mutant.at})" if mutant.at > 1 else ""
            why = f"  {found.killer}" if found.killer else ""
            print(f"{mutant.file}:{mutant.start[0]}  {mutant.mutation}{again}{why}\n{diff(project, mutant)}\n")
    for name in sorted(set(reasons) - all_names):
        print(f"judged.toml: no such change any more: {name}")
    killed, survived = counts["killed"], counts["survived"] - equivalent
    score = f"{killed / (killed + survived):.1%}" if killed + survived else "none"
    print(f"{killed} killed, {survived} survived, {equivalent} judged equivalent: score {score}")


def main(arguments: Iterable[str] | None = None) -> None:
    """Try the changes and print what survived."""
    parser = argparse.ArgumentParser(description="Change the package one token at a time; does a test notice?")
    parser.add_argument("--seed", type=int, default=1, help="which changes are drawn")
    parser.add_argument("--count", type=int, default=200, help="how many; more with the same seed adds to them")
    parser.add_argument("--only", default="", help="the beginning of a path: convarith/layers")
    parser.add_argument("--seconds", type=float, default=60, help="how long the tests that one change meets may take")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--project", type=Path, default=Path(__file__).parents[2], help="the folder of the project")
    parser.add_argument("--package", default="convarith")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="where the tests are")
    parser.add_argument("--warm", nargs="*", default=WARM, help="what is imported once, before all changes")
    parser.add_argument("--judged", type=Path, default=Path(__file__).parent / "judged.toml")
    given = parser.parse_args(None if arguments is None else list(arguments))
    folder = given.project.resolve()
    project = Project(folder, given.package, tuple(given.tests), folder / "build" / "mutation")
    everything = [mutant for file in files_of(folder / given.package) for mutant in mutants_of(folder, file)]
    drawn = [mutant for mutant in everything if mutant.file.startswith(given.only)]
    random.Random(given.seed).shuffle(drawn)
    drawn = drawn[: given.count]
    print(f"{len(drawn)} of {len(everything)} changes, seed {given.seed}", file=sys.stderr)
    warm(given.warm)
    with tempfile.TemporaryDirectory(prefix="mutation-") as temporary:
        folders = copies(folder, dict.fromkeys((*COPIED, given.package)), Path(temporary).resolve(), given.processes)
        known = coverage(project, folders)
        outcomes = []
        for found in tried(project, drawn, known, folders, given.seed, given.seconds):
            outcomes.append(found)
            if len(outcomes) % 10 == 0:
                counts = Counter(outcome.status for outcome in outcomes)
                words = f"{len(outcomes)} of {len(drawn)}: {counts['killed']} killed, {counts['survived']} survived"
                print(words, file=sys.stderr, flush=True)
        control(project, outcomes, known, folders)
    report(project, outcomes, judged(given.judged), {mutant.name for mutant in everything})


if __name__ == "__main__":
    main()
