"""Sets of sizes: ranges with a step, and unions of them. "H = 4 (mod 8), H >= 28" is such a set."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd, lcm

MOST_RUNS = 100_000
"""A set of more runs than this is not useful as an answer; operations that need more raise OverflowError."""


@dataclass(frozen=True)
class SizeRange:
    """The sizes first, first + step, ..., last; infinitely many if `last` is None.

    >>> sizes = SizeRange(27, 28)
    >>> str(sizes), 28 in sizes, sizes.count
    ('27..28', True, 2)
    >>> print(SizeRange(4, None, 2))
    4, 6, 8, ...
    """

    first: int
    last: int | None
    step: int = 1

    def __contains__(self, size: int) -> bool:
        return self.first <= size and (self.last is None or size <= self.last) and (size - self.first) % self.step == 0

    @property
    def count(self) -> int | None:
        """The number of sizes; None if there are infinitely many."""
        return None if self.last is None else (self.last - self.first) // self.step + 1

    def __str__(self) -> str:
        if self.last is None:
            dots = f"{self.first}, {self.first + self.step}, {self.first + 2 * self.step}, ..."
            return f"every size >= {self.first}" if self.step == 1 else dots
        if self.last == self.first:
            return str(self.first)
        return f"{self.first}..{self.last}" + (f" in steps of {self.step}" if self.step > 1 else "")


def run(first: int, last: int | None, step: int = 1) -> SizeRange | None:
    """The range within these bounds, with `last` rounded down to a size of the range; None if it is empty.

    >>> run(4, 11, 3), run(5, 4)
    (SizeRange(first=4, last=10, step=3), None)
    """
    if last is None:
        return SizeRange(first, None, step)
    if last < first:
        return None
    last -= (last - first) % step
    return SizeRange(first, last, step if last > first else 1)


def common(one: SizeRange, other: SizeRange) -> SizeRange | None:
    """The sizes in both ranges, by the Chinese remainder theorem; None if there are none.

    >>> print(common(SizeRange(4, None, 6), SizeRange(2, 100, 4)))
    10..94 in steps of 12
    """
    divisor = gcd(one.step, other.step)
    if (other.first - one.first) % divisor:
        return None
    step = lcm(one.step, other.step)
    steps = (other.first - one.first) // divisor * pow(one.step // divisor, -1, other.step // divisor)
    meeting = one.first + one.step * (steps % (other.step // divisor))
    start = max(one.first, other.first)
    first = meeting + -(-(start - meeting) // step) * step
    lasts = [last for last in (one.last, other.last) if last is not None]
    return run(first, min(lasts) if lasts else None, step)


class SizeSet:
    """A union of disjoint ranges, called runs.

    >>> sizes = SizeSet([SizeRange(28, None, 8)])
    >>> 36 in sizes, sizes.first, sizes.words("H")
    (True, 28, 'H = 4 (mod 8), H >= 28')
    """

    def __init__(self, runs: Iterable[SizeRange]) -> None:
        self.runs = tuple(sorted(runs, key=lambda each: (each.first, each.step)))
        if len(self.runs) > MOST_RUNS:
            raise OverflowError(f"{len(self.runs):,} runs of sizes")
        self.points = frozenset(each.first for each in self.runs if each.first == each.last)
        """The runs of a single size. There may be thousands of them after a fractional factor."""
        self.longer = tuple(each for each in self.runs if each.first != each.last)

    def __contains__(self, size: int) -> bool:
        return size in self.points or any(size in each for each in self.longer)

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SizeSet) and self._canonical() == other._canonical()

    def __hash__(self) -> int:
        return hash(self._canonical())

    def __repr__(self) -> str:
        return f"SizeSet({self.words('i')})"

    @property
    def first(self) -> int | None:
        """The smallest size, or None if the set is empty."""
        return self.runs[0].first if self.runs else None

    @property
    def endless(self) -> bool:
        """Is the set infinite?"""
        return any(each.last is None for each in self.runs)

    @property
    def period(self) -> int:
        """The step after which the infinite part repeats; 1 for a finite set.

        >>> SizeSet([SizeRange(4, None, 6), SizeRange(5, None, 4)]).period
        12
        """
        return lcm(*(each.step for each in self.runs if each.last is None))

    def __and__(self, other: "SizeSet") -> "SizeSet":
        """The sizes in both sets."""
        if len(self.longer) * len(other.longer) > 20 * MOST_RUNS:
            raise OverflowError("too many runs of sizes")
        shared = {size for size in self.points if size in other} | {size for size in other.points if size in self}
        runs = [SizeRange(size, size) for size in shared]
        pairs = (common(one, each) for one in self.longer for each in other.longer)
        return SizeSet(runs + [each for each in pairs if each is not None])

    def __iter__(self) -> Iterator[int]:
        """The sizes in ascending order; infinitely many if the set is infinite.

        >>> from itertools import islice
        >>> list(islice(SizeSet([SizeRange(4, None, 6), SizeRange(5, 7, 2)]), 5))
        [4, 5, 7, 10, 16]
        """
        from heapq import merge

        def sizes(each: SizeRange) -> Iterator[int]:
            size = each.first
            while each.last is None or size <= each.last:
                yield size
                size += each.step

        return merge(*map(sizes, self.runs))

    def next_to(self, size: int) -> tuple[int | None, int | None]:
        """The nearest sizes in the set below and above a size that is not in it.

        >>> SizeSet([SizeRange(28, None, 8)]).next_to(40)
        (36, 44)
        """
        below = [
            min(size - (size - each.first) % each.step, each.last if each.last is not None else size)
            for each in self.runs
            if each.first <= size
        ]
        above = [
            max(each.first, size + (each.first - size) % each.step)
            for each in self.runs
            if each.last is None or each.last >= size
        ]
        return max(below, default=None), min(above, default=None)

    def _canonical(self) -> tuple[tuple[int, ...], int, tuple[int, ...], int]:
        """(sizes below a bound, the period from there on, its residues, the bound). Equal sets give equal tuples."""
        endless = [each for each in self.runs if each.last is None]
        finite = [each for each in self.runs if each.last is not None]
        period = lcm(*(each.step for each in endless))
        if period > MOST_RUNS or sum(each.count or 0 for each in finite) > 10 * MOST_RUNS:
            raise OverflowError("the set is too fine to compare")
        residues = {
            (each.first + number * each.step) % period for each in endless for number in range(period // each.step)
        }
        for shorter in range(1, period):
            if period % shorter == 0 and all((residue + shorter) % period in residues for residue in residues):
                period, residues = shorter, {residue % shorter for residue in residues}
                break
        ends = [each.last + 1 for each in finite if each.last is not None]
        bound = max([each.first for each in endless] + ends, default=0)
        while bound > 0 and ((bound - 1) in self) == ((bound - 1) % period in residues):
            bound -= 1
        listed = tuple(sorted({size for each in self.runs for size in _until(each, bound)}))
        return listed, period, tuple(sorted(residues)), bound

    def words(self, variable: str = "i") -> str:
        """Describe the set. One run of three or more consecutive residues is written as a range.

        >>> SizeSet([SizeRange(3, None)]).words("H"), SizeSet([]).words("H"), SizeSet([SizeRange(28, 28)]).words("H")
        ('every H >= 3', 'no H', 'H = 28')
        >>> SizeSet([SizeRange(4, None, 8), SizeRange(13, None, 8), SizeRange(2, 3)]).words("H")
        'H = 4 or 5 (mod 8), H >= 12, and H = 2, 3, 4'
        >>> SizeSet(SizeRange(8 + first, None, 8) for first in (0, 1, 2)).words("H")
        'H mod 8 <= 2, H >= 8'
        >>> SizeSet(SizeRange(8 + first, None, 8) for first in (3, 4, 5)).words("H")
        '3 <= H mod 8 <= 5, H >= 11'
        """
        if not self.runs:
            return f"no {variable}"
        if len(self.runs) == 1 and self.runs[0].step == 1:
            (only,) = self.runs
            if only.last is None:
                return f"every {variable} >= {only.first}"
            return f"{variable} = {only.first}" if only.first == only.last else f"{variable} = {only}"
        listed, period, residues, bound = self._canonical()
        parts = []
        if residues:
            if period == 1:
                parts.append(f"every {variable} >= {bound}")
            else:
                first = next(size for size in range(bound, bound + period) if size % period in residues)
                missing = any(size < first and size not in listed for size in residues)
                since = f", {variable} >= {first}" if missing or first >= period else ""
                parts.append(_residue_classes(residues, period, variable) + since)
        if listed:
            parts.append(f"{variable} = {_listing([str(size) for size in listed], ', ', 12)}")
        return ", and ".join(parts)


def _residue_classes(residues: tuple[int, ...], period: int, variable: str) -> str:
    low, high = residues[0], residues[-1]
    if len(residues) < 3 or high - low != len(residues) - 1:
        return f"{variable} = {_listing([str(residue) for residue in residues], ' or ', 8)} (mod {period})"
    return f"{f'{low} <= ' if low else ''}{variable} mod {period} <= {high}"


def _listing(words: list[str], joint: str, most: int) -> str:
    if len(words) <= most:
        return joint.join(words)
    return joint.join(words[: most - 1]) + f"{joint}... ({len(words)} in all)"


def _until(each: SizeRange, bound: int) -> range:
    end = bound if each.last is None else min(bound, each.last + 1)
    return range(each.first, end, each.step)


EVERY = SizeSet([SizeRange(0, None)])
"""All sizes from 0."""
