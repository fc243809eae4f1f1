"""Entries are counted exactly, in a number of operations that does not depend on the sizes.

The laws, over random parameters:
- `floor_sum` and `pairs_inside` are the sums that they replace, term by term.
- The count along an axis is the number of different (output, input) pairs that `padding_source` gives, in every
  padding mode; for interpolation it is the number of shares that are not zero.
- A count calls `floor_sum` a few times only, however large the kernel, the padding and the input are.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

import convarith as ca
from convarith.layers.reads import padding_source
from convarith.matrices import counting
from convarith.matrices.counting import entries_along, floor_sum, pairs_inside

CASES = 3000


def test_floor_sum_is_the_sum() -> None:
    rng = Random(0)
    for _ in range(CASES):
        count, divisor, slope, start = rng.randint(0, 12), rng.randint(1, 9), rng.randint(0, 20), rng.randint(0, 20)
        assert floor_sum(count, divisor, slope, start) == sum((slope * i + start) // divisor for i in range(count))


def test_pairs_inside_are_the_pairs() -> None:
    rng = Random(1)
    for _ in range(CASES):
        steps, taps, stride, dilation = rng.randint(0, 8), rng.randint(0, 6), rng.randint(1, 5), rng.randint(1, 5)
        first, low = rng.randint(-9, 9), rng.randint(-9, 9)
        high = low + rng.randint(0, 20)
        places = [first + stride * t + dilation * j for t in range(steps) for j in range(taps)]
        assert pairs_inside(steps, taps, stride, dilation, first, low, high) == sum(low <= at < high for at in places)


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_a_window_reads_what_the_padding_shows(mode: str) -> None:
    rng, counted = Random(mode), 0
    for _ in range(2 * CASES):
        kernel, stride, dilation, size = rng.randint(1, 7), rng.randint(1, 5), rng.randint(1, 5), rng.randint(1, 14)
        before, after = rng.randint(-2, 9), rng.randint(-2, 9)
        if size + min(before, 0) + min(after, 0) < 1:
            continue
        try:
            layer = ca.Conv(
                kernel_size=kernel, stride=stride, dilation=dilation, padding=((before, after),), padding_mode=mode
            )
            (output,) = layer.output_size(size)
        except ca.ConvarithError:
            continue
        expected = 0
        for start in range(-before, stride * output - before, stride):
            reads = range(start, start + dilation * kernel, dilation)
            if mode == "zeros":
                expected += sum(0 <= at < size for at in reads)
            else:
                expected += len({padding_source(mode, at, size, before, after) for at in reads})
        assert entries_along(layer, 0, size, output) == expected, f"{layer} at {size}"
        counted += 1
    assert counted > CASES // 2


@pytest.mark.parametrize("arguments", [{}, {"align_corners": True}])
def test_an_interpolation_is_counted_share_by_share(arguments: dict[str, Any]) -> None:
    pytest.importorskip("numpy", reason="interpolation is counted with numpy")
    from convarith.matrices.axis_reads import axis_reads

    for factor in (1, 2, 2.5, 3, 4, 8):
        for size in (*range(1, 40), 1000):
            output = int(size * factor)
            for layer in (
                ca.Upsample(size=output, mode="linear", **arguments),
                ca.Upsample(scale_factor=factor, mode="linear", **arguments),
            ):
                expected = int(axis_reads(layer, 0, size, output).valid.sum())
                assert entries_along(layer, 0, size, output) == expected, f"{layer} at {size}"


HUGE = [
    ca.Conv(kernel_size=3),
    ca.Conv(kernel_size=10**6, padding="same"),
    ca.Conv(kernel_size=10**6 + 1, stride=7, dilation=5, padding=10**8),
    ca.Conv(kernel_size=10**6, dilation=7, padding=10**8, padding_mode="reflect"),
    ca.Conv(kernel_size=10**6, stride=3, padding=10**8, padding_mode="replicate"),
    ca.Conv(kernel_size=10**6, padding=10**8, padding_mode="circular"),
    ca.ConvTranspose(kernel_size=10**6, stride=6, dilation=4, padding=10**5),
    ca.AvgPool(kernel_size=10**6, stride=1, ceil_mode=True),
    ca.Upsample(scale_factor=4, mode="linear"),
]


@pytest.mark.parametrize("layer", HUGE, ids=str)
def test_a_count_takes_a_few_operations(layer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(layer, ca.Upsample):
        pytest.importorskip("numpy", reason="interpolation is counted with numpy")
    calls: list[int] = []

    def counted(*arguments: int) -> int:
        calls.append(1)
        return floor_sum(*arguments)

    monkeypatch.setattr(counting, "floor_sum", counted)
    assert ca.matrix.nnz(layer, 10**9) > 10**9
    assert len(calls) <= 20


def test_shares_that_are_rounded_are_counted_up_to_a_limit() -> None:
    with pytest.raises(ca.ParameterError, match=r"the 30,000,003 outputs of Upsample.* are too many to count"):
        ca.matrix.nnz(ca.Upsample(scale_factor=3, mode="linear"), 10_000_001)


def test_nothing_is_read_from_nothing() -> None:
    for layer in (ca.Upsample(size=4, mode="linear"), ca.Conv(kernel_size=1), ca.ZeroInsert(stride=2)):
        assert entries_along(layer, 0, 0, 4) == entries_along(layer, 0, 3, 0) == 0
    assert pairs_inside(0, 3, 1, 1, 0, -9, 9) == pairs_inside(3, 0, 1, 1, 0, -9, 9) == 0
    assert pairs_inside(3, 3, 1, 1, 0, 9, -9) == 0


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 18, 40, 10**9])
def test_linear_upsampling_by_a_power_of_two_reads_one_input_at_its_ends(size: int) -> None:
    pytest.importorskip("numpy", reason="interpolation is counted with numpy")
    for factor in (2, 4, 8):  # two inputs for each of the others
        layer = ca.Upsample(scale_factor=factor, mode="linear")
        assert entries_along(layer, 0, size, factor * size) == 2 * factor * size - factor
    assert entries_along(ca.Upsample(scale_factor=1, mode="linear"), 0, size, size) == size
    assert entries_along(ca.Upsample(scale_factor=3, mode="nearest"), 0, size, 3 * size) == 3 * size


@pytest.mark.parametrize(
    ("size", "output", "period"),
    [(9, 9, 1), (9, 18, 2), (9, 36, 4), (9, 72, 8), (9, 27, None), (9, 45, None), (9, 54, None), (9, 19, None),
     (9, 3, None), (9, 0, None), (0, 9, None), (2, 1, None)],
)  # fmt: skip
def test_the_interior_repeats_at_powers_of_two(size: int, output: int, period: int | None) -> None:
    for corners in (False, True):
        layer = ca.Upsample(size=output or 1, mode="linear", align_corners=corners)
        reads: Any = layer.reads(0, size or 1, output or 1)
        assert counting.interior_period(reads, size, output) == (None if corners and output != size else period)


def test_an_interpolation_is_countable_up_to_the_limit_or_at_powers_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_COUNTED", 30)

    def linear(factor: float, corners: bool | None = None) -> Any:
        return ca.Upsample(scale_factor=factor, mode="linear", align_corners=corners)

    counting.check_countable(linear(3), (10,), (30,))
    for layer in (linear(2), linear(4), ca.Upsample(scale_factor=3), ca.Conv(kernel_size=3), ca.ZeroInsert(stride=3)):
        counting.check_countable(layer, (100,), layer.output_size(100))
    for layer, inputs, outputs in (
        (linear(3), (11,), (33,)), (linear(2, corners=True), (16,), (32,)), (linear(1.5), (40,), (60,)),
        (ca.Upsample(size=(4, 31), mode="bilinear"), (4, 30), (4, 31)),
        (ca.Upsample(size=(31, 4), mode="bilinear"), (30, 4), (31, 4)),
    ):  # fmt: skip
        with pytest.raises(ca.ParameterError, match=r"^the (3\d|60) outputs of .* are too many to count.*, up to 30;"):
            counting.check_countable(layer, inputs, outputs)


@pytest.mark.parametrize("dilation", [3, 5, 6, 7])
def test_a_reflected_input_is_read_at_most_once_by_every_window(dilation: int) -> None:
    """Where both ends are reflected a whole number of taps apart, a window may read one input three times."""
    tripled = 0
    for stride in range(1, 5):
        for last, before in ((last, last - less) for last in (dilation, 2 * dilation) for less in (0, 1, 2)):
            layer = ca.Conv(
                kernel_size=2 * last // dilation + 2, stride=stride, dilation=dilation,
                padding=((before, last),), padding_mode="reflect",
            )  # fmt: skip
            try:
                (output,) = layer.output_size(last + 1)
            except ca.ShapeError:
                continue
            expected = 0
            for start in range(-before, stride * output - before, stride):
                reads = [padding_source("reflect", start + dilation * tap, last + 1, before, last)
                         for tap in range(layer.kernel_size[0])]  # fmt: skip
                expected += len(set(reads))
                tripled += any(reads.count(each) > 2 for each in reads)
            assert entries_along(layer, 0, last + 1, output) == expected, f"{layer} at {last + 1}"
    assert tripled
