"""How two things are compared: side by side in one run, in turn, by their medians."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Side(NamedTuple):
    """One of two things that are compared: what it is, and a function that gets it ready to be called."""

    label: str
    prepare: Callable[[], Callable[[], object]]


class Comparison(NamedTuple):
    """Two sides and the bound that is asked for.

    With `at_most`, ours may take that many times as long as the other; with `at_least`, the other must take that many
    times as long as ours. `calls` repeats a short action within one measurement.
    """

    name: str
    ours: Side
    other: Side
    at_most: float | None = None
    at_least: float | None = None
    calls: int = 1

    @property
    def bound(self) -> str:
        """The bound as the table shows it."""
        return f"at most {self.at_most:g} x" if self.at_most is not None else f"at least {self.at_least:g} x faster"


class Outcome(NamedTuple):
    """The medians of both sides in seconds, and the ratio that the bound is about."""

    comparison: Comparison
    ours: float
    other: float
    rounds: int

    @property
    def ratio(self) -> float:
        """Ours over the other for a bound from above, the other over ours for one from below."""
        return self.ours / self.other if self.comparison.at_most is not None else self.other / self.ours

    @property
    def met(self) -> bool:
        """Is the bound kept?"""
        if self.comparison.at_most is not None:
            return self.ratio <= self.comparison.at_most
        return self.ratio >= (self.comparison.at_least or 0)


def seconds(action: Callable[[], object], calls: int) -> float:
    """How long one call takes, over `calls` of them."""
    start = perf_counter()
    for _ in range(calls):
        action()
    return (perf_counter() - start) / calls


def measure(comparison: Comparison, rounds: int) -> Outcome:
    """Both sides in turn, `rounds` times each, after one call that warms up."""
    do_ours, do_other = comparison.ours.prepare(), comparison.other.prepare()
    do_ours()
    do_other()
    ours, other = [], []
    for _ in range(rounds):
        ours.append(seconds(do_ours, comparison.calls))
        other.append(seconds(do_other, comparison.calls))
    return Outcome(comparison, median(ours), median(other), rounds)


def process(label: str, *command: str) -> Side:
    """A whole process, from its start to its exit, with its bytecode on disk as after an installation."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment)

    return Side(label, lambda: run)
