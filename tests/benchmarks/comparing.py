"""How two things are compared: side by side in one run, alternating, by their medians."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from statistics import median
from time import perf_counter
from typing import NamedTuple


class Side(NamedTuple):
    """One of two things that are compared: a label, and a function that prepares it and returns what is measured."""

    label: str
    prepare: Callable[[], Callable[[], object]]


class Comparison(NamedTuple):
    """Two sides and the required ratio of their times.

    With `at_most`, ours may take at most that many times as long as the other. With `at_least`, the other must take at
    least that many times as long as ours. `calls` repeats a short action within one measurement.
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
        """Ours divided by the other for `at_most`, the other divided by ours for `at_least`."""
        return self.ours / self.other if self.comparison.at_most is not None else self.other / self.ours

    @property
    def met(self) -> bool:
        """Is the required ratio reached?"""
        if self.comparison.at_most is not None:
            return self.ratio <= self.comparison.at_most
        return self.ratio >= (self.comparison.at_least or 0)


def seconds(action: Callable[[], object], calls: int) -> float:
    """The mean duration of one of `calls` calls."""
    start = perf_counter()
    for _ in range(calls):
        action()
    return (perf_counter() - start) / calls


def measure(comparison: Comparison, rounds: int) -> Outcome:
    """Measure both sides alternately, `rounds` times each, after one call of each to warm up."""
    do_ours, do_other = comparison.ours.prepare(), comparison.other.prepare()
    do_ours()
    do_other()
    ours, other = [], []
    for _ in range(rounds):
        ours.append(seconds(do_ours, comparison.calls))
        other.append(seconds(do_other, comparison.calls))
    return Outcome(comparison, median(ours), median(other), rounds)


def process(label: str, *command: str, exits: int = 0) -> Side:
    """A whole process from start to exit, with its bytecode on disk as after an installation.

    It must end with the exit code `exits`.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def run() -> None:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
        )
        if done.returncode != exits:
            raise RuntimeError(f"{label} ended with exit code {done.returncode}: {done.stderr.decode()[-500:]}")

    return Side(label, lambda: run)
