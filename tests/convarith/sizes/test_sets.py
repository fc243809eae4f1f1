"""Sets of sizes, compared with Python's own ranges and sets below a bound.

- A range has the members, the count and the text of the `range` it stands for.
- Two ranges have in common what their members have in common.
- A set is the union of its runs: membership, order, first, period, neighbours, intersection.
- Sets are equal exactly if they have the same members, however they are cut into runs.
- The words say which sizes are meant: read as Python, they hold for the members alone.
- A set of too many runs is refused.
"""

from __future__ import annotations

import random
from itertools import islice, takewhile
from math import lcm

import pytest

from convarith.sizes.sets import EVERY, MOST_RUNS, SizeRange, SizeSet, common, run

MOST = 150


def members(each: SizeRange) -> set[int]:
    return set(range(each.first, MOST if each.last is None else each.last + 1, each.step))


def random_range(rng: random.Random) -> SizeRange:
    first, step = rng.randint(0, 12), rng.choice((1, 1, 2, 3, 4, 6))
    return SizeRange(first, None if rng.random() < 0.5 else first + step * rng.randint(0, 5), step)


def random_set(rng: random.Random) -> tuple[SizeSet, set[int]]:
    """A set of disjoint runs, and its members below a bound."""
    runs: list[SizeRange] = []
    for _ in range(rng.randint(0, 4)):
        each = random_range(rng)
        if all(common(each, other) is None for other in runs):
            runs.append(each)
    return SizeSet(runs), set().union(*map(members, runs))


def test_a_range_is_that_of_python() -> None:
    for first, steps, step in ((a, b, c) for a in range(4) for b in range(4) for c in range(1, 4)):
        last = first + steps * step
        given = SizeRange(first, last, step)
        python = range(first, last + 1, step)
        assert [size in given for size in range(-3, 20)] == [size in python for size in range(-3, 20)]
        assert given.count == len(python)
        endless = SizeRange(first, None, step)
        assert [size in endless for size in range(-3, 20)] == [
            size >= first and not (size - first) % step for size in range(-3, 20)
        ]
        assert endless.count is None
        for end in range(first - 2, first + 9):
            found, expected = run(first, end, step), range(first, end + 1, step)
            assert (members(found) if found else set()) == set(expected)
            assert found is None or found.last == expected[-1]
            assert found is None or len(expected) > 1 or found.step == 1
        assert run(first, None, step) == endless


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (SizeRange(3, 3), "3"),
        (SizeRange(3, 4), "3..4"),
        (SizeRange(3, 7, 2), "3..7 in steps of 2"),
        (SizeRange(3, None), "every size >= 3"),
        (SizeRange(3, None, 2), "3, 5, 7, ..."),
        (SizeRange(4, None, 5), "4, 9, 14, ..."),
    ],
)
def test_a_range_as_text(given: SizeRange, text: str) -> None:
    assert str(given) == text


def test_ranges_have_in_common_what_their_members_have() -> None:
    rng = random.Random(1)
    for _ in range(1500):
        one, other = random_range(rng), random_range(rng)
        found = common(one, other)
        assert (members(found) if found else set()) == members(one) & members(other), (one, other)
        if found is not None and found.count != 1:
            assert found.step == lcm(one.step, other.step)
            assert (found.last is None) == (one.last is None and other.last is None)


def test_a_set_is_the_union_of_its_runs() -> None:
    rng = random.Random(2)
    for _ in range(400):
        sizes, expected = random_set(rng)
        assert {size for size in range(MOST) if size in sizes} == expected
        assert bool(sizes) == bool(expected)
        assert sizes.first == min(expected, default=None)
        assert sizes.endless == bool({size for size in expected if size > MOST // 2})
        assert list(takewhile(lambda size: size < MOST, sizes)) == sorted(expected)
        assert sizes.period == lcm(*(each.step for each in sizes.runs if each.last is None))
        for size in range(60):
            if size not in expected:
                below, above = {each for each in expected if each < size}, {each for each in expected if each > size}
                assert sizes.next_to(size) == (max(below, default=None), min(above, default=None)), (sizes.runs, size)


def test_an_intersection_has_what_is_in_both() -> None:
    rng = random.Random(3)
    for _ in range(400):
        (one, mine), (other, theirs) = random_set(rng), random_set(rng)
        both = one & other
        assert {size for size in range(MOST) if size in both} == mine & theirs
        assert sum(each.count or 0 for each in both.runs if each.last is not None) <= len(mine & theirs)


def test_sets_are_equal_if_their_members_are() -> None:
    rng = random.Random(4)
    sets = [random_set(rng) for _ in range(120)]
    for one, mine in sets:
        for other, theirs in sets:
            assert (one == other) == (mine == theirs), (one.runs, other.runs)
            assert mine != theirs or hash(one) == hash(other)
    assert SizeSet([SizeRange(0, None)]) != "every i >= 0"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([SizeRange(2, None, 4), SizeRange(4, None, 4)], [SizeRange(2, None, 2)]),
        ([SizeRange(0, None, 3), SizeRange(1, None, 3), SizeRange(2, None, 3)], [SizeRange(0, None)]),
        ([SizeRange(0, 4), SizeRange(5, None)], [SizeRange(0, None)]),
        ([SizeRange(1, None, 6), SizeRange(4, None, 6)], [SizeRange(1, None, 3)]),
        ([SizeRange(1, 3, 2), SizeRange(2, 4, 2)], [SizeRange(1, 4)]),
    ],
)
def test_a_set_may_be_cut_differently(one: list[SizeRange], other: list[SizeRange]) -> None:
    assert SizeSet(one) == SizeSet(other)


def named(words: str, size: int) -> bool:
    """Whether the words of a set name a size; they are read as a person reads them."""
    if words == "no H":
        return False
    for part in words.split(", and "):
        what, _, rest = part.partition(", H >= ")
        if rest and size < int(rest):
            continue
        if what.startswith("every H >= "):
            found = size >= int(what.removeprefix("every H >= "))
        elif " mod " in what:
            residues, modulus = what.removeprefix("H").rsplit("mod ", 1)
            left, right = residues.removesuffix(" H ").removesuffix(" <="), modulus.split(" <= ")
            found = int(left.strip() or 0) <= size % int(right[0]) <= int(right[1])
        elif "(mod " in what:
            listed, modulus = what.removeprefix("H = ").removesuffix(")").split(" (mod ")
            found = size % int(modulus) in {int(word) for word in listed.split(" or ")}
        elif ".." in what:
            ends, _, step = what.removeprefix("H = ").partition(" in steps of ")
            low, high = map(int, ends.split(".."))
            found = size in range(low, high + 1, int(step or 1))
        else:
            found = size in {int(word) for word in what.removeprefix("H = ").split(", ")}
        if found:
            return True
    return False


def test_the_words_name_the_members() -> None:
    rng = random.Random(5)
    read = 0
    for _ in range(600):
        sizes, expected = random_set(rng)
        words = sizes.words("H")
        if "..." not in words:
            assert {size for size in range(MOST) if named(words, size)} == expected, (sizes.runs, words)
            read += 1
    assert read > 400


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([SizeRange(5, 9)], "H = 5..9"),
        ([SizeRange(5, 9, 2)], "H = 5, 7, 9"),
        ([SizeRange(5, 5), SizeRange(7, 8)], "H = 5, 7, 8"),
        ([SizeRange(size, size) for size in range(0, 24, 2)], f"H = {', '.join(map(str, range(0, 24, 2)))}"),
        ([SizeRange(size, size) for size in range(0, 26, 2)],
         f"H = {', '.join(map(str, range(0, 22, 2)))}, ... (13 in all)"),
        ([SizeRange(size, None, 16) for size in range(0, 16, 2) if size != 4],
         "H = 0 or 2 or 6 or 8 or 10 or 12 or 14 (mod 16)"),
        ([SizeRange(size, None, 32) for size in (0, 2, 3, 5, 8, 11, 17, 20)],
         "H = 0 or 2 or 3 or 5 or 8 or 11 or 17 or 20 (mod 32)"),
        ([SizeRange(size, None, 32) for size in (0, 2, 3, 5, 8, 11, 17, 20, 31)],
         "H = 0 or 2 or 3 or 5 or 8 or 11 or 17 or ... (9 in all) (mod 32)"),
        ([SizeRange(1, None, 4), SizeRange(2, None, 4)], "H = 1 or 2 (mod 4)"),
        ([SizeRange(1, None, 5), SizeRange(2, None, 5), SizeRange(3, None, 5)], "1 <= H mod 5 <= 3"),
        ([SizeRange(0, None, 5), SizeRange(1, None, 5), SizeRange(2, None, 5)], "H mod 5 <= 2"),
        ([SizeRange(4, None, 4)], "H = 0 (mod 4), H >= 4"),
        ([SizeRange(0, None, 4)], "H = 0 (mod 4)"),
        ([SizeRange(3, None, 4)], "H = 3 (mod 4)"),
        ([SizeRange(9, None, 4), SizeRange(2, 3)], "H = 1 (mod 4), H >= 9, and H = 2, 3"),
        ([SizeRange(2, 3), SizeRange(6, None)], "every H >= 6, and H = 2, 3"),
        ([SizeRange(2, None, 4), SizeRange(5, None, 4)], "H = 1 or 2 (mod 4), H >= 2"),
    ],
)  # fmt: skip
def test_words_of_a_set(runs: list[SizeRange], words: str) -> None:
    assert SizeSet(runs).words("H") == words
    assert repr(SizeSet(runs)) == f"SizeSet({SizeSet(runs).words('i')})"


def test_every_size_is_in_every() -> None:
    assert list(islice(EVERY, 5)) == [0, 1, 2, 3, 4]
    assert -1 not in EVERY
    assert EVERY.words("H") == "every H >= 0"


def test_too_many_runs_are_refused() -> None:
    assert len(SizeSet([SizeRange(3, 3)] * MOST_RUNS).runs) == MOST_RUNS
    with pytest.raises(OverflowError, match="100,001 runs of sizes"):
        SizeSet([SizeRange(3, 3)] * (MOST_RUNS + 1))
    fine = SizeSet([SizeRange(0, None, MOST_RUNS + 1), SizeRange(1, None, 2)])
    with pytest.raises(OverflowError, match="too fine to compare"):
        fine.words("H")
    steps = [SizeRange(size, size + 4000, 2000) for size in range(2000)]
    with pytest.raises(OverflowError, match="too many runs"):
        _ = SizeSet(steps) & SizeSet(steps)
