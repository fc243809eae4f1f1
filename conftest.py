"""For all tests and doctests: what a plain `pytest` leaves out, and which doctests are skipped.

A plain `pytest` is the quick check: tests marked slow are left out, and laws are tried on fewer random examples.
`pytest --all` runs everything. Where files are named, or tests are selected with -m, everything selected runs in full.
"""

import doctest
from collections.abc import Generator
from importlib.util import find_spec
from typing import Any

import pytest

from convarith.errors import MissingDependencyError

collect_ignore_glob = [] if find_spec("torch") else ["gallery/convarith_gallery/autoencoders/*"]

LEFT_OUT = pytest.StashKey[int]()
RAN = ("passed", "failed", "xfailed", "xpassed")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run everything: slow tests, and laws on all their examples")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Share a run of all files between two processes, unless -n or --pdb says otherwise."""
    everywhere = config.args_source is not pytest.Config.ArgsSource.ARGS and not hasattr(config, "workerinput")
    if everywhere and config.pluginmanager.hasplugin("xdist") and config.option.numprocesses is None:
        config.option.numprocesses = 0 if config.option.usepdb else 2


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Decide what is asked for."""
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS or config.option.markexpr
    config.option.all = bool(config.option.all or chosen)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.all:
        slow = [item for item in items if item.get_closest_marker("slow")]
        items[:] = [item for item in items if not item.get_closest_marker("slow")]
        config.stash[LEFT_OUT] = len(slow)
        if hasattr(config, "workeroutput"):  # a process of xdist, whose summary is written by another
            config.workeroutput["left_out"] = len(slow)
        config.hook.pytest_deselected(items=slow)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process of xdist has ended."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what a quick run has not shown."""
    if not config.option.all and not config.option.collectonly:
        ran = sum(len(terminalreporter.stats.get(outcome, ())) for outcome in RAN)
        left_out = config.stash.get(LEFT_OUT, 0)
        terminalreporter.write_line(
            f"{ran:,} quick tests ran, laws on fewer examples; {left_out:,} slow ones were left out: "
            "pytest --all runs everything"
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a doctest that failed only because it needs a package which is not there."""
    try:
        return (yield)
    except doctest.UnexpectedException as failure:
        error = failure.exc_info[1]
        if isinstance(error, (MissingDependencyError, ModuleNotFoundError)) and not str(error).count("convarith."):
            pytest.skip(str(error))
        raise
