"""A set of sizes as data: the condition that a program can test, next to the words that a person reads."""

from __future__ import annotations

from dataclasses import replace
from math import lcm
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convarith.sizes.sets import SizeRange, SizeSet

MOST_RESIDUES = 100_000
"""A modulus beyond this, or more runs, have no document: None stands for them."""


def condition(sizes: SizeSet) -> dict[str, Any] | None:
    """Which sizes are in the set: those from `minimum` on whose residue is listed, and those in the runs `listed`.

    Without an endless part, `residues` is empty and `minimum` None. None for a set that is too fine to write down.

    >>> from convarith.sizes.sets import SizeRange, SizeSet
    >>> condition(SizeSet([SizeRange(28, None, 8)]))
    {'modulus': 8, 'residues': [4], 'minimum': 28, 'listed': []}
    >>> condition(SizeSet([SizeRange(4, None, 4), SizeRange(6, None, 4), SizeRange(1, 1)]))
    {'modulus': 2, 'residues': [0], 'minimum': 4, 'listed': [{'first': 1, 'last': 1, 'step': 1}]}
    """
    endless = [run for run in sizes.runs if run.last is None]
    modulus = lcm(*(run.step for run in endless))
    if modulus > MOST_RESIDUES or len(sizes.runs) > MOST_RESIDUES:
        return None
    found = {size % modulus for run in endless for size in range(run.first, run.first + modulus, run.step)}
    modulus, residues = _shortest(modulus, found)
    start = _start(sizes, modulus, residues)
    listed = [run for run in (_before(run, start) for run in sizes.runs) if run is not None]
    minimum = min((start + (residue - start) % modulus for residue in residues), default=None)
    return {
        "modulus": modulus,
        "residues": sorted(residues),
        "minimum": minimum,
        "listed": [run_data(run) for run in listed],
    }


def run_data(run: SizeRange) -> dict[str, int | None]:
    """A run of sizes as data.

    >>> from convarith.sizes.sets import SizeRange
    >>> run_data(SizeRange(4, None, 2))
    {'first': 4, 'last': None, 'step': 2}
    """
    return {"first": run.first, "last": run.last, "step": run.step}


def _shortest(modulus: int, residues: set[int]) -> tuple[int, set[int]]:
    """The same residues with the smallest modulus."""
    for shorter in range(1, modulus):
        if modulus % shorter == 0 and all((residue + shorter) % modulus in residues for residue in residues):
            return shorter, {residue % shorter for residue in residues}
    return modulus, residues


def _start(sizes: SizeSet, modulus: int, residues: set[int]) -> int:
    """The first size from which the residues alone decide about the endless runs."""
    start = max((run.first for run in sizes.runs if run.last is None), default=0)
    for _ in range(MOST_RESIDUES):
        if start == 0 or ((start - 1) in sizes) != ((start - 1) % modulus in residues):
            break
        start -= 1
    return start


def _before(run: SizeRange, start: int) -> SizeRange | None:
    """The part of a run that the residues from `start` on do not cover; all of a finite run that reaches beyond it."""
    if run.last is not None and run.last >= start:
        return run
    last = start - 1 if run.last is None else run.last
    if last < run.first:
        return None
    last -= (last - run.first) % run.step
    return replace(run, last=last, step=run.step if last > run.first else 1)
