"""The size rules of one axis, and what is made of chains of them, compared with applying them size by size.

- A factor is multiplied as in double precision; a short binary fraction is exact for every size.
- The inputs of an output, and the first input that reaches it, are those that a scan finds.
- Rules merged into fewer are the same function; its inverse and its fixed sizes are those that a scan finds.
- The formula of a chain, read as Python, is its function.
- A question whose answer is too large is refused.
"""

from __future__ import annotations

import random
from math import floor

import pytest

from convarith.sizes.rules import (
    MOST_DENOMINATOR,
    AxisRule,
    FloorRule,
    ScaleRule,
    first_size,
    hits_evenly,
    scale_rule,
    with_constant,
)
from convarith.sizes.sets import MOST_RUNS, SizeRange, SizeSet
from convarith.sizes.size_map import SEARCH_LIMIT, SizeMap, _joined, meeting, merged, preimage, simplified

FACTORS = (0.01, 0.1, 0.29, 0.3, 0.5, 0.57, 0.75, 0.999, 1.1, 1.5, 1.9999, 2.5, 2.7, 3.25, 1 + 2**-16, 1 + 2**-17)
SIZES = range(200)


# Factors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("minimum", [0, 1, 7])
def test_a_factor_multiplies_and_rounds_down(factor: float, minimum: int) -> None:
    rule = ScaleRule(factor, minimum)
    outputs = {size: floor(size * factor) for size in SIZES if size >= minimum}
    assert {size: rule(size) for size in SIZES if rule(size) is not None} == outputs
    assert rule.formula("n") == f"floor(n*{factor!r})"
    for wanted in range(outputs[minimum], min(60, outputs[150])):
        assert rule.first_reaching(wanted) == min(size for size, output in outputs.items() if output >= wanted)
        inputs = rule.inputs_for(wanted)
        scanned = [size for size, output in outputs.items() if output == wanted]
        assert (list(range(inputs.first, (inputs.last or 0) + 1)) if inputs else []) == scanned
    assert rule.inputs_for(outputs[minimum] - 1) is None


def test_a_short_fraction_is_exact() -> None:
    assert MOST_DENOMINATOR == 65_536
    assert ScaleRule(2.5).fraction == (5, 2)
    assert ScaleRule(1 + 2**-16).fraction == (2**16 + 1, 2**16)
    assert ScaleRule(1 + 2**-17).fraction is None
    for size in (10**18 + 1, 10**30 + 7):
        assert ScaleRule(1.5)(size) == size * 3 // 2
        assert ScaleRule(0.29)(size) == floor(float(size) * 0.29)
    assert ScaleRule(1e300 + 0.1)(10) == 10 * int(1e300)


def test_a_product_that_is_no_number_is_refused() -> None:
    assert ScaleRule(1.1)(10**400) is None
    assert ScaleRule(0.3)(10**400) is None
    assert ScaleRule(1.5)(10**400) == 3 * 10**400 // 2


@pytest.mark.parametrize("factor", [0.01, 0.29, 0.999, 1.1, 1.7, 2.7])
@pytest.mark.parametrize("size", [10**6 + 1, 2**52 + 1, 10**18 + 12_345, 10**25])
def test_the_first_size_is_found_where_products_are_rounded(factor: float, size: int) -> None:
    rule = ScaleRule(factor)
    first = rule.first_reaching(size)
    assert (rule(first) or 0) >= size > (rule(first - 1) or 0)


@pytest.mark.parametrize("least", [0, 1, 3])
def test_a_factor_gives_outputs_from_the_least_on(least: int) -> None:
    for factor in FACTORS:
        rule = scale_rule(factor, least)
        assert isinstance(rule, ScaleRule)
        assert rule.minimum == min(size for size in range(1, 400) if floor(size * factor) >= least)
    assert scale_rule(3.0, 1) == FloorRule(rise=3)


def test_the_first_size_is_found_by_search() -> None:
    for bound in range(60):
        for least in (0, 1, 5):
            assert first_size(lambda size, bound=bound: size >= bound, least) == max(bound, least)
        for most in (0, 1, 10, 40):
            found = first_size(lambda size, bound=bound: size >= bound, 0, most=most)
            assert found in ((bound,) if bound <= most else (bound, None))
    assert first_size(lambda size: False, most=1) is None
    tried: list[int] = []
    first_size(lambda size: tried.append(size) or size >= 10**9)  # type: ignore[func-returns-value]
    assert len(tried) < 80


def test_a_constant_is_written_with_its_sign() -> None:
    assert [with_constant("H", number) for number in (-2, -1, 0, 1, 2)] == ["H - 2", "H - 1", "H", "H + 1", "H + 2"]
    assert hits_evenly(4, 2)
    assert not hits_evenly(4, 2, 2)


def test_a_rule_without_numbers_is_the_identity_from_one_on() -> None:
    assert [FloorRule()(size) for size in range(-1, 4)] == [None, None, 1, 2, 3]
    assert [ScaleRule(2.5)(size) for size in range(-1, 4)] == [None, None, 2, 5, 7]


# Chains --------------------------------------------------------------------------------------------------------------


def random_rule(rng: random.Random) -> AxisRule:
    if rng.random() < 0.12:
        return ScaleRule(rng.choice((0.5, 1.5, 2.25, 1.7)), 0)
    return FloorRule(
        rng.choice((0, 1, 1, 1, 2, 3, 4)),
        rng.randint(-4, 4),
        rng.choice((1, 1, 2, 3, 4)),
        rng.randint(-3, 5),
        minimum=0,
    )


def random_chain(rng: random.Random) -> tuple[AxisRule, ...]:
    return tuple(random_rule(rng) for _ in range(rng.randint(0, 4)))


def followed(rules: tuple[AxisRule, ...], size: int) -> int:
    """The size after every rule; a factor of 1.7 gives 0 below 0."""
    for rule in rules:
        if isinstance(rule, FloorRule):
            size = rule.rise * ((size + rule.shift) // rule.step) + rule.offset
        elif rule.fraction:
            size = size * rule.fraction[0] // rule.fraction[1]
        else:
            size = floor(size * rule.factor) if size >= 0 else 0
    return size


def stays_real(rules: tuple[AxisRule, ...], size: int) -> bool:
    """Is no size on the way negative?"""
    return all(followed(rules[:number], size) >= 0 for number in range(len(rules) + 1))


def test_merged_rules_are_the_same_function() -> None:
    rng = random.Random(1)
    joined = 0
    for _ in range(1_500):
        one, other = random_rule(rng), random_rule(rng)
        if isinstance(one, FloorRule) and isinstance(other, FloorRule):
            both = merged(one, other)
            joined += both is not None
            if both is not None:
                assert [followed((both,), i) for i in range(40)] == [followed((one, other), i) for i in range(40)]
            else:
                assert one.rise % other.step
                assert other.step % one.rise
    assert joined > 500


def test_a_chain_in_fewer_rules_is_the_same_function() -> None:
    rng = random.Random(2)
    for _ in range(500):
        rules = random_chain(rng)
        found = simplified(rules)
        assert len(found) <= sum(2 if isinstance(rule, ScaleRule) and rule.fraction else 1 for rule in rules)
        sizes = SizeMap(rules)
        for size in range(40):
            assert followed(found, size) == sizes.follow(size) == followed(rules, size), rules
        assert sizes.exact == all(isinstance(rule, FloorRule) for rule in found)


@pytest.mark.parametrize(
    ("rules", "count"),
    [
        ((), 0),
        ((FloorRule(), FloorRule()), 1),
        ((FloorRule(minimum=3), ScaleRule(1.7)), 1),
        ((FloorRule(rise=2), FloorRule(step=2)), 1),
        ((FloorRule(step=2), FloorRule(step=3), FloorRule(step=2)), 1),
        ((FloorRule(rise=3, step=2), FloorRule(step=2)), 2),
        ((FloorRule(rise=0, offset=4), FloorRule(step=3), ScaleRule(1.7)), 2),
    ],
)
def test_how_few_rules_are_left(rules: tuple[AxisRule, ...], count: int) -> None:
    assert len(simplified(rules)) == count


def random_sizes(rng: random.Random) -> SizeSet:
    runs, first = [], 0
    for _ in range(rng.randint(0, 3)):
        first += rng.randint(0, 6)
        step, count = rng.randint(1, 3), rng.randint(0, 3)
        runs.append(SizeRange(first, first + step * count, step))
        first += step * count + 1
    if rng.random() < 0.5:
        runs.append(SizeRange(first, None, rng.randint(1, 4)))
    return SizeSet(runs)


def test_the_inverse_of_a_chain_is_what_a_scan_finds() -> None:
    rng = random.Random(3)
    for _ in range(400):
        rules, wanted = random_chain(rng), random_sizes(rng)
        if ScaleRule(1.7, 0) in rules and wanted.endless:
            continue  # thousands of single sizes
        found = preimage(rules, wanted)
        real = [size for size in range(60) if stays_real(rules, size)]
        scanned = [size for size in real if followed(rules, size) in wanted]
        assert [size for size in real if size in found] == scanned, (rules, wanted.runs)


def test_sizes_at_which_two_chains_meet_are_what_a_scan_finds() -> None:
    rng = random.Random(4)
    scans = 0
    for _ in range(400):
        one, other = random_chain(rng), random_chain(rng)
        scans += ScaleRule(1.7, 0) in one + other
        if ScaleRule(1.7, 0) in one + other and scans > 4:
            continue  # every one takes thousands of steps
        found = meeting(one, other)
        scanned = {size for size in range(120) if followed(one, size) == followed(other, size)}
        assert {size for size in range(120) if size in found} == scanned, (one, other)


def test_a_chain_comes_back_within_its_domain() -> None:
    down = (FloorRule(step=2, minimum=2), FloorRule(rise=2))
    sizes = SizeMap(down, SizeSet([SizeRange(2, 21)]))
    assert list(sizes.comes_back) == list(range(2, 21, 2))
    assert sizes.minimum == 2
    assert (sizes(1), sizes(2), sizes(21), sizes(22)) == (None, 2, 20, None)
    assert list(sizes.inputs_for(20)) == [20, 21]
    assert SizeMap(down, SizeSet([])).minimum is None


def test_the_cycle_is_the_shortest_that_the_steps_allow() -> None:
    rng = random.Random(5)
    for _ in range(300):
        sizes = SizeMap(random_chain(rng))
        if sizes.cycle is None:
            assert not sizes.exact
            assert sizes.period is None
            continue
        period, rise = sizes.cycle
        assert sizes.period == period >= 1
        assert all(sizes.follow(size + period) == sizes.follow(size) + rise for size in range(40))
    assert SizeMap((FloorRule(rise=2), FloorRule(step=4))).cycle == (2, 1)
    assert SizeMap((FloorRule(rise=3, step=2), FloorRule(step=2))).cycle == (4, 3)
    assert SizeMap((FloorRule(step=3), FloorRule(rise=0, offset=2))).cycle == (1, 0)


def test_the_formula_of_a_chain_is_its_function() -> None:
    rng = random.Random(6)
    for _ in range(300):
        sizes = SizeMap(random_chain(rng))
        formula = sizes.formula("H")
        for size in range(10, 30):
            if sizes.exact or stays_real(sizes.rules, size):
                assert floor(eval(formula, {"floor": floor, "H": size})) == sizes.follow(size), formula
    assert SizeMap((FloorRule(shift=-2), ScaleRule(1.7))).formula("H") == "floor((H - 2)*1.7)"
    assert SizeMap((FloorRule(step=3, offset=2), ScaleRule(1.7))).formula("H") == "floor((floor(H/3) + 2)*1.7)"
    assert SizeMap((FloorRule(shift=1, step=2), ScaleRule(1.7))).formula("H") == "floor(floor((H + 1)/2)*1.7)"


def test_arrays_of_sizes_are_the_sizes_one_by_one() -> None:
    np = pytest.importorskip("numpy", reason="arrays need numpy")
    rng = random.Random(7)
    for _ in range(300):
        sizes = SizeMap(random_chain(rng), random_sizes(rng))
        if sizes.exact:
            expected = [-1 if sizes(size) is None else sizes(size) for size in range(50)]
            assert sizes.sizes(np.arange(50)).tolist() == expected
    given = np.arange(9).reshape(3, 3)
    assert SizeMap((FloorRule(step=2),)).sizes(given).tolist() == [[0, 0, 1], [1, 2, 2], [3, 3, 4]]
    assert given.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]


def test_runs_are_joined_where_they_leave_no_gap() -> None:
    for firsts, joined in (
        ((2, 3, 4), True),
        ((4, 2, 3), True),
        ((2, 4, 6), False),
        ((2, 3, 7), False),
        ((2, 3), False),
    ):
        runs = [SizeRange(first, None, 3) for first in firsts]
        assert _joined(runs) == ([SizeRange(2, None)] if joined else sorted(runs, key=lambda each: each.first))
    points = [SizeRange(3, 3), SizeRange(2, 2)]
    assert _joined([*points, SizeRange(5, None)]) == [SizeRange(2, 2), SizeRange(3, 3), SizeRange(5, None)]


def test_too_many_runs_are_refused() -> None:
    every_third = SizeSet([SizeRange(0, None, 3)])
    with pytest.raises(OverflowError, match="too many runs"):
        preimage((FloorRule(step=MOST_RUNS + 1),), every_third)
    assert preimage((FloorRule(step=MOST_RUNS + 1),), SizeSet([SizeRange(1, 1)])).first == MOST_RUNS + 1
    coarse = (FloorRule(step=MOST_RUNS + 1), FloorRule(rise=MOST_RUNS + 1))
    with pytest.raises(OverflowError, match="the sizes repeat only after 100,001"):
        meeting(coarse, ())
    with pytest.raises(OverflowError, match="the sizes repeat only after 100,001"):
        meeting((FloorRule(step=MOST_RUNS + 1),), ())


def test_a_factor_without_a_period_is_scanned_up_to_the_limit() -> None:
    found = meeting((ScaleRule(0.9999),), ())
    assert set(found) == {0}
    found = meeting((ScaleRule(1.00001),), ())
    assert (found.first, list(found)[-1]) == (0, SEARCH_LIMIT)
    every_second = preimage((ScaleRule(1.1, 0),), SizeSet([SizeRange(0, None, 2)]))
    assert [size for size in range(60) if size in every_second] == [n for n in range(60) if floor(n * 1.1) % 2 == 0]
    last = [size for size in range(SEARCH_LIMIT + 1) if floor(size * 1.1) % 2 == 0][-1]
    assert list(every_second)[-1] == last
    finite = preimage((ScaleRule(1.1, 0),), SizeSet([SizeRange(4, 30, 2)]))
    assert list(finite) == [size for size in range(60) if floor(size * 1.1) in range(4, 31, 2)]
