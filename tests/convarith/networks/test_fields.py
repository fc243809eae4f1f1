"""Receptive fields and traces without torch.

- A field behind any layer, and the field of a sum, is the first and the last input that a search finds.
- A reduced field has the fewest phases that say the same.
- A field with too many phases, and a sum whose branches have different jumps, is not followed.
- The rows of a trace are counted by hand, with and without a batch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from typing import Any

import pytest

import convarith as ca
from convarith.layers.reads import Bins, Interpolation, Reads, Spread, Window
from convarith.networks.network import Node
from convarith.networks.receptive_field import MOST_PHASES, POINT, Field
from convarith.networks.trace import Row

OUTPUTS = range(-20, 40)
Seen = set[int]


def seen_by(field: Field, output: int) -> tuple[int, int] | None:
    """The first and last input, as the docstring of Field says."""
    turns, phase = divmod(output, len(field.lows))
    low, high = field.lows[phase], field.highs[phase]
    return None if low is None or high is None else (low + field.shift * turns, high + field.shift * turns)


def random_reads(rng: random.Random) -> Reads:
    kind = rng.randrange(3)
    if kind == 0:
        stride, dilation = rng.randint(1, 3), rng.randint(1, 3)
        return Window(size=rng.randint(1, 3), stride=stride, dilation=dilation, before=rng.randint(-2, 2))
    if kind == 1:
        stride, dilation = rng.randint(1, 4), rng.randint(1, 3)
        return Spread(size=rng.randint(1, 3), stride=stride, dilation=dilation, before=rng.randint(-2, 2))
    scale = Fraction(rng.randint(1, 3), rng.randint(1, 3))
    return Interpolation(mode=rng.choice(("nearest", "linear")), inputs=9, scale=scale, rounded=float(scale))


def ends(inputs: Seen) -> tuple[int, int] | None:
    return (min(inputs), max(inputs)) if inputs else None


def searched(chain: list[Reads], output: int) -> Seen:
    """Everything that one output sees, found layer by layer from the last one."""
    positions = {output}
    for reads in reversed(chain):
        positions = {place for each in positions for place in reads.seen(each)}
    return positions


def random_field(rng: random.Random) -> tuple[Field, list[Reads]]:
    chain = [random_reads(rng) for _ in range(rng.randint(0, 4))]
    field: Field | None = POINT
    for reads in chain:
        assert field is not None
        field = field.behind(reads)
    assert field is not None
    return field, chain


def test_a_field_behind_layers_is_what_a_search_finds() -> None:
    rng = random.Random(0)
    unseen = phased = 0
    for _ in range(250):
        field, chain = random_field(rng)
        found = {output: ends(searched(chain, output)) for output in OUTPUTS}
        assert {output: seen_by(field, output) for output in OUTPUTS} == found, chain
        for output, at in found.items():
            assert field.centre(output) == (None if at is None else Fraction(sum(at), 2))
        sizes = [0 if at is None else at[1] - at[0] + 1 for at in (found[phase % 40] for phase in range(40))]
        assert list(field.sizes)[:40] == sizes[: len(field.lows)]
        assert field.start == field.centre(0)
        assert field.jump == prod(Fraction(shift, phases) for phases, shift in (reads.cycle for reads in chain))
        unseen, phased = unseen + (0 in sizes), phased + (len(field.lows) > 2)
    assert min(unseen, phased) > 20


def test_a_field_of_two_branches_sees_what_either_sees() -> None:
    rng = random.Random(1)
    joined = apart = 0
    for _ in range(800):
        (one, chain), (other, others) = random_field(rng), random_field(rng)
        both = one | other
        if one.jump != other.jump:
            assert both is None
            apart += 1
            continue
        assert both is not None
        for output in OUTPUTS:
            assert seen_by(both, output) == ends(searched(chain, output) | searched(others, output)), (chain, others)
        joined += 1
    assert min(joined, apart) > 50


def repetitions(field: Field) -> Iterator[int]:
    """Every number of phases after which the whole field repeats, shifted by a whole number."""
    phases = len(field.lows)
    for shorter in range(1, phases + 1):
        step = field.jump * shorter
        moved = [
            (None, None) if at is None else (at[0] + step, at[1] + step)
            for at in (seen_by(field, output) for output in range(phases))
        ]
        if step.denominator == 1 and moved == [
            seen_by(field, output + shorter) or (None, None) for output in range(phases)
        ]:
            yield shorter


def test_a_reduced_field_has_the_fewest_phases() -> None:
    rng = random.Random(2)
    shorter = kept = 0
    for _ in range(400):
        shape = [rng.choice((None, 0, 1, 2)) for _ in range(rng.randint(1, 4))]
        shift, times = rng.randint(0, 3), rng.randint(1, 4)
        lows = tuple(None if at is None else at + shift * turn for turn in range(times) for at in shape)
        highs = tuple(None if at is None else at + shift * turn + 2 for turn in range(times) for at in shape)
        field = Field(lows, highs, shift * times)
        reduced = field.reduced()
        assert len(reduced.lows) == len(reduced.highs) == next(repetitions(field))
        assert all(seen_by(reduced, output) == seen_by(field, output) for output in OUTPUTS)
        shorter, kept = shorter + (len(reduced.lows) < len(lows)), kept + (reduced == field)
    assert min(shorter, kept) > 50
    apart = Field((0, 1, 2, 3), (0, 1, 2, 9), 4)
    assert apart.reduced() == apart


def test_a_field_with_too_many_phases_is_not_followed() -> None:
    most = POINT.behind(Spread(size=1, stride=MOST_PHASES))
    assert most is not None
    assert (len(most.lows), most.jump) == (MOST_PHASES, Fraction(1, MOST_PHASES))
    assert POINT.behind(Spread(size=1, stride=MOST_PHASES + 1)) is None

    def wide(phases: int) -> Field:
        return Field(tuple(range(phases)), tuple(at + (at == 0) for at in range(phases)), phases)

    both = wide(160) | wide(625)
    assert both is not None
    assert len(both.lows) == MOST_PHASES == 20_000
    assert wide(177) | wide(113) is None


def test_a_layer_that_reads_the_whole_axis_has_no_field() -> None:
    assert POINT.behind(None) is None
    assert POINT.behind(Bins(5, 1)) is None
    assert POINT.behind(Bins(6, 3)) == Field((0,), (1,), 2)
    assert POINT.behind(Bins(7, 3)) == Field((0, 2, 4), (2, 4, 6), 7)


def told(rows: Sequence[Row], *columns: str) -> Any:
    """Some columns of a trace, each as a list over the rows."""
    found = [[getattr(row, column) for row in rows] for column in columns]
    return found if len(columns) > 1 else found[0]


@pytest.mark.parametrize("batch", [(), (2,)])
def test_the_rows_of_a_trace_are_counted_by_hand(batch: tuple[int, ...]) -> None:
    net = ca.parse_network("Conv2d(1, 2, 3, stride=(2, 1)); ConvTranspose2d(2, 1, (1, 2), stride=(3, 1)); Flatten()")
    found = net.trace((*batch, 1, 8, 6))
    times = 2 if batch else 1
    assert told(found.rows, "name", "inputs") == [["0", "1", "2"], [("input",), ("0",), ("1",)]]
    assert told(found.rows, "layer") == [node.layer for node in net.nodes]
    assert told(found.rows, "output") == [(*batch, 2, 3, 4), (*batch, 1, 7, 5), (*batch, 35)]
    assert told(found.rows, "receptive_field", "phases") == [[(3, 3), (3, 4), ()], [((), ()), ((3, 0, 0), ()), ()]]
    assert told(found.rows, "jump", "start") == [[(2, 1), (Fraction(2, 3), 1), ()], [(1, 1), (1, Fraction(1, 2)), ()]]
    # 0..6 of 8 rows are seen, half a row before the middle; the columns are seen evenly.
    assert told(found.rows, "alignment") == [(Fraction(-1, 2), 0), (Fraction(-1, 2), 0), ()]
    assert told(found.rows, "parameters") == [2 * 9 + 2, 2 * 2 + 1, 0]
    assert told(found.rows, "macs") == [times * 2 * 3 * 4 * 9, times * 2 * 3 * 4 * 2, 0]
    assert (found.output, found.parameters, found.macs) == ((*batch, 35), 25, times * (216 + 48))
    assert net.macs((*batch, 1, 8, 6)) == found.macs
    assert net.parameter_count == 25


def test_an_axis_that_is_seen_completely_stays_so() -> None:
    net = ca.parse_network("a: Conv2d(1, 2, 3); g: AdaptiveAvgPool2d((1, 3)); x: Upsample(size=3)(g); Add()(a, x)")
    rows = net.trace((1, 5, 5)).rows
    for column, whole, known in (("receptive_field", None, 3), ("phases", (), ()), ("jump", None, 1)):
        assert told(rows, column) == [(known, known)] + [(whole, known)] * 3
    assert told(rows, "start", "alignment") == [[(1, 1)] + [(None, 1)] * 3, [(0, 0)] + [(None, 0)] * 3]


def test_a_sum_of_branches_sees_the_union_along_every_axis() -> None:
    net = ca.parse_network(
        "a: Conv2d(1, 1, (3, 1), padding=(1, 0)); b: Conv2d(1, 1, (1, 5), padding=(0, 2))(input); Add()(a, b)"
    )
    columns = ("receptive_field", "start", "alignment")
    assert told(net.trace((1, 6, 6)).rows[-1:], *columns) == [[(3, 5)], [(0, 0)], [(0, 0)]]
    shifted = ca.parse_network("a: ZeroPad2d((0, 2, 0, 0)); b: ZeroPad2d((2, 0, 0, 0))(input); Add()(a, b)")
    assert told(shifted.trace((1, 6, 6)).rows[-1:], *columns) == [[(1, 3)], [(0, -1)], [(0, 0)]]
    apart = ca.parse_network("a: Conv1d(1, 1, 1, stride=2); b: AdaptiveAvgPool1d(3)(input); Add()(a, b)")
    assert apart.trace((1, 6)).rows[-1].receptive_field == (2,)
    different = ca.parse_network("a: Conv1d(1, 1, 4); b: Conv1d(1, 1, 2, stride=2)(input); Add()(a, b)")
    assert different.trace((1, 6)).rows[-1].receptive_field == (None,)


def test_parameters_of_a_trace_are_open_if_channels_are() -> None:
    open_channels = ca.Network.chain([ca.parse("Conv2d(1, 2, 3)"), ca.Conv(kernel_size=1, out_channels=3)])
    found = open_channels.trace((1, 1, 5, 5))
    assert [row.parameters for row in found.rows] == [20, None]
    assert found.parameters is None
    with pytest.raises(ca.ParameterError):
        assert open_channels.parameter_count


def test_a_trace_of_nothing() -> None:
    found = ca.Network(()).trace((3, 4))
    assert (found.output, found.rows, found.parameters, found.macs) == ((3, 4), (), 0, 0)
    assert ca.Network(()).output_shape((3, 4)) == (3, 4)
    empty = ca.parse_network("Conv1d(1, 1, 1); ZeroPad1d(-3)").trace((1, 6)).rows[1:]
    assert told(empty, "output", "receptive_field", "start", "alignment") == [[(1, 0)], [(1,)], [(3,)], [(None,)]]
    one = ca.parse_network("Conv1d(1, 1, 6)").trace((1, 6)).rows
    assert told(one, "output", "start", "alignment") == [[(1, 1)], [(Fraction(5, 2),)], [(0,)]]
    unseen = ca.parse_network("ConvTranspose1d(1, 1, 1, stride=2); ZeroPad1d((-1, 0))").trace((1, 5)).rows[1:]
    assert told(unseen, "start", "alignment", "phases") == [[(None,)], [(None,)], [((0, 1),)]]


def test_a_batch_is_found_or_told() -> None:
    relu = ca.parse_network("ReLU()")
    assert relu.trace((3, 4)).rows[0].receptive_field == (1,)
    assert relu.trace((3, 4), batched=True).rows[0].receptive_field == ()
    assert relu.trace((3, 4, 5), batched=True).rows[0].receptive_field == (1,)
    twice = ca.parse_network("Add()(input, input)")
    assert told(twice.trace((5,), batched=True).rows, "output", "receptive_field") == [[(5,)], [()]]
    dense = ca.parse_network("Flatten(); Linear(6, 2)")
    assert [dense.trace(shape).macs for shape in ((6,), (2, 3), (5, 2, 3), (1, 6))] == [12, 12, 60, 12]
    assert [dense.trace(shape).output for shape in ((6,), (2, 3), (5, 2, 3), (1, 6))] == [(2,), (2,), (5, 2), (2,)]
    flat = [dense.trace(shape).rows[0].receptive_field for shape in ((6,), (2, 3), (5, 2, 3), (1, 6))]
    assert flat == [()] * 4
    node = Node("one", ca.parse("ReLU()"))
    assert (node.place, node.inputs) == ("one", ("input",))
    assert Node("one", ca.parse("ReLU()"), line=2, column=3) == node
    assert Node("one", ca.parse("ReLU()"), line=2, column=3).place == "one (line 2, column 3)"


@pytest.mark.parametrize("batch", [(), (1,), (2,)])
def test_axes_that_change_places_with_channels_lose_their_fields(batch: tuple[int, ...]) -> None:
    rows = ca.parse_network("Conv2d(3, 4, 3); Permute((0, 3, 2, 1)); MaxPool2d(2)").trace((*batch, 3, 9, 9)).rows
    assert rows[-1].output == (*batch, 7, 3, 2)
    assert told(rows[-1:], "receptive_field", "jump", "start", "alignment") == [[(None, None)]] * 4
