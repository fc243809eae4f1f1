"""Which lines of the package each test runs, and how long it takes: a pytest plugin, and what it writes down.

Lines are followed with sys.settrace, and a function is left alone as soon as a test has run all of its lines, so that
a loop of a million turns costs as little as one of ten.
"""

from __future__ import annotations

import inspect
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

Lines = dict[str, set[int]]
"""Line numbers for each file, by its path from the project's folder."""
Trace = Callable[[FrameType, str, Any], Any]


class Tracer:
    """Follows every test of one run of pytest. Tests that fail or are skipped are not written down."""

    def __init__(self, folder: Path, package: str, report: Path) -> None:
        self.folder, self.package, self.report = folder, package, report
        self.prefix = str(folder / package) + "/"
        self.ours: dict[str, str | None] = {}
        self.known: dict[int, tuple[CodeType, str, frozenset[int]]] = {}
        self.left: dict[int, set[int]] = {}
        self.importing = 0
        self.lines: Lines = defaultdict(set)
        """The lines that the present test ran."""
        self.imports: Lines = defaultdict(set)
        """The lines in functions that ran while a module was imported, which happens once for all tests."""
        self.shared: Lines = defaultdict(set)
        """The lines that ran for all tests of the file: while it was collected, and in fixtures of a wider scope."""
        self.tests: dict[str, dict[str, Any]] = {}
        self.bad: set[str] = set()

    # The trace function

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Trace | None:
        code = frame.f_code
        path = code.co_filename
        if path not in self.ours:
            inside = path.startswith(self.prefix)
            self.ours[path] = Path(path).relative_to(self.folder).as_posix() if inside else None
        file = self.ours[path]
        if file is None:
            return None
        if not code.co_flags & inspect.CO_OPTIMIZED:  # the body of a module or of a class
            self.importing += 1
            return self.leaves
        left = self.left.get(id(code))
        if left is None:
            if id(code) not in self.known:
                numbers = frozenset(line for _, _, line in code.co_lines() if line)
                self.known[id(code)] = code, file, numbers  # the code is kept, so that its id stays its own
            left = self.left[id(code)] = set(self.known[id(code)][2])
            self.reached(file, code.co_firstlineno)
        return self.following(file, left) if left else None

    def leaves(self, frame: FrameType, event: str, argument: Any) -> Trace:
        self.importing -= event == "return"
        return self.leaves

    def following(self, file: str, left: set[int]) -> Trace:
        def follow(frame: FrameType, event: str, argument: Any) -> Trace | None:
            if event == "line" and frame.f_lineno in left:
                left.discard(frame.f_lineno)
                self.reached(file, frame.f_lineno)
            return follow if left else None

        return follow

    def reached(self, file: str, line: int) -> None:
        (self.imports if self.importing else self.lines)[file].add(line)

    def forget(self) -> None:
        """Begin anew: no line has been run, and nothing is remembered in a cache."""
        self.lines, self.left = defaultdict(set), {}
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == self.package:
                for value in list(vars(module).values()):
                    for member in (value, *(vars(value).values() if isinstance(value, type) else ())):
                        if hasattr(member, "cache_clear") and hasattr(member, "cache_info"):
                            member.cache_clear()

    def followed(self) -> Generator[None, Any, Any]:
        sys.settrace(self)
        try:
            return (yield)
        finally:
            sys.settrace(None)

    # pytest's hooks

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, Any, Any]:
        self.forget()
        result = yield from self.followed()
        _add(self.shared, self.lines)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any) -> Generator[None, Any, Any]:
        result = yield
        if fixturedef.scope != "function":
            _add(self.shared, self.lines)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, Any, Any]:
        self.forget()
        start = time.perf_counter()
        result = yield from self.followed()
        self.tests[item.nodeid] = {"seconds": time.perf_counter() - start, "lines": self.lines}
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome != "passed":
            self.bad.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        for trace in self.tests.values():
            _add(trace["lines"], self.shared)
            trace["lines"] = _plain(trace["lines"])
        kept = {name: trace for name, trace in self.tests.items() if name not in self.bad}
        document = {"tests": kept, "imports": _plain(self.imports), "left_out": sorted(self.bad)}
        self.report.write_text(json.dumps(document), encoding="utf-8")


def _add(lines: Lines, more: Lines) -> None:
    for file, numbers in more.items():
        lines[file] |= numbers


def _plain(lines: Lines) -> dict[str, list[int]]:
    return {file: sorted(numbers) for file, numbers in lines.items()}
