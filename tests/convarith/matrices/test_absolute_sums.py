"""The largest absolute row and column sums are those of the dense matrix.

The laws, over random layers and weights:
- They are the largest sums of the matrix of the absolute weights, also where the axes are long enough to be shortened.
- All ones are the weight that is left out.
- No array grows with the input.
"""

from __future__ import annotations

import tracemalloc
from random import Random
from typing import Any

import pytest
from support.linear_layers import each, random_conv, random_linear

import convarith as ca
from convarith.matrices.absolute_sums import largest_sums
from convarith.matrices.matrix import measured

np = pytest.importorskip("numpy", reason="matrices need numpy")
pytest.importorskip("scipy", reason="matrices need scipy")

CASES = 400


def sums(layer: Any, size: Any, weight: Any) -> tuple[float, float]:
    """The sums of the whole matrix, where several taps that read one input count one by one."""
    matrix = abs(ca.matrix.conv_matrix(layer, size, None if weight is None else abs(weight)).toarray())
    return matrix.sum(axis=1).max(initial=0), matrix.sum(axis=0).max(initial=0)


@pytest.mark.parametrize("longer", [0, 70])
def test_they_are_the_dense_sums(longer: int) -> None:
    for case in range(CASES if not longer else CASES // 4):
        rng = Random(case)
        mode = ("zeros", "reflect", "replicate", "circular")[case // 4 % 4]
        layer, size, weight = random_linear(rng) if case % 2 else random_conv(rng, case % 4 == 0, mode)
        if longer and not (isinstance(layer, ca.Upsample) and layer.size is not None):
            size = (size[0] + longer + rng.randint(0, 5), *size[1:])
        if not ca.matrix.nnz(layer, size):
            continue
        found = largest_sums(layer, measured(layer, size), weight)
        assert found == pytest.approx(sums(layer, size, weight), rel=1e-12), f"{layer} at {size}"


def test_no_weight_is_all_ones() -> None:
    for case in range(CASES // 4):
        layer, size, weight = random_conv(Random(case), case % 2 == 0, Random(case).choice(("zeros", "replicate")))
        sizes = measured(layer, size)
        assert largest_sums(layer, sizes, None) == pytest.approx(largest_sums(layer, sizes, np.ones_like(weight)))


@pytest.mark.parametrize("factor", [1, 2, 3, 8])
def test_interpolation(factor: int) -> None:
    for mode in ("nearest", "nearest-exact", "linear"):
        for size in range(1, 40):
            layer = ca.Upsample(scale_factor=factor, mode=mode)
            assert largest_sums(layer, measured(layer, size), None) == pytest.approx(sums(layer, size, None))


def test_long_axes_take_no_memory() -> None:
    layers: list[Any] = [
        ca.Conv(kernel_size=each(Random(0), 2, 2, 5), stride=2, padding=1),
        ca.Conv(kernel_size=3, padding=1, padding_mode="reflect"),
        ca.ConvTranspose(kernel_size=4, stride=2, padding=1),
        ca.AvgPool(kernel_size=3, padding=1),
        ca.Upsample(scale_factor=2, mode="bilinear"),
        ca.ZeroInsert(stride=3),
        ca.Unfold(kernel_size=3),
    ]
    for layer in layers:
        largest_sums(layer, measured(layer, (50, 50)), None)  # imports what it imports
        tracemalloc.start()
        try:
            rows, columns = largest_sums(layer, measured(layer, (10**7, 10**7)), None)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000, layer
        finally:
            tracemalloc.stop()
        assert (rows, columns) == pytest.approx(largest_sums(layer, measured(layer, (500, 500)), None))


@pytest.mark.parametrize("groups", [1, 2])
def test_sums_of_channels_are_those_of_one_group(groups: int) -> None:
    """All ones, at an input position that every tap reads: a row sums what its group reads, a column what reads it."""
    layer = ca.parse(f"Conv2d(4, 6, (3, 5), groups={groups})")
    rows, columns = 15 * 4 / groups, 15 * 6 / groups
    assert largest_sums(layer, measured(layer, (10**6, 10**6)), None) == (rows, columns)
    back = ca.parse(f"ConvTranspose2d(4, 6, (3, 5), groups={groups})")
    assert largest_sums(back, measured(back, (10**6, 10**6)), None) == (15 * 4 / groups, 15 * 6 / groups)


def test_an_unfold_repeats_an_input_once_for_every_window() -> None:
    layer = ca.Unfold(kernel_size=(3, 4), stride=(1, 2))
    assert largest_sums(layer, measured(layer, (9, 20)), None) == (1.0, 3 * 2)
    assert largest_sums(layer, measured(layer, (3, 4)), None) == (1.0, 1.0)


def test_a_constant_share_is_counted_with_its_size_alone() -> None:
    layer = ca.AvgPool(kernel_size=(2, 2), divisor_override=-8)
    assert largest_sums(layer, measured(layer, (6, 6)), None) == (0.5, 0.125)
