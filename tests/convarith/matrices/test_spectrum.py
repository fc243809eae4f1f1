"""What follows from the matrix of a layer, with and without building it.

The laws, over random parameters in 1-D to 3-D:
- The operator is the matrix, its adjoint the transpose, for every linear layer and for complex weights.
- The adjoint layer, with the same weight, has the transposed matrix; it maps the output size to the input size.
- A fully connected layer of the dense matrix is the layer, in torch; a Linear as a convolution is the Linear.
- Singular values by axis, by frequency and by group are those of dense linear algebra on the whole matrix; Lanczos
  finds the largest of them.
- Ranks are those of dense linear algebra, also where they follow from the structure or are published.
- The bound is never below the largest singular value; that of the circular convolution of the same size sometimes is.
- An unknown method, a matrix that is too large and weights that are not finite are refused, and the error says what to do.
"""

from __future__ import annotations

from math import gcd, inf
from random import Random
from types import ModuleType
from typing import Any

import pytest
from support.linear_layers import random_conv, random_linear, values

import convarith as ca

np = pytest.importorskip("numpy", reason="matrices need numpy")
pytest.importorskip("scipy", reason="matrices need scipy")

CASES = 150


def dense(layer: Any, size: Any, weight: Any = None) -> Any:
    return ca.matrix.conv_matrix(layer, size, weight).toarray()


def close(ours: Any, theirs: Any, about: object = "") -> None:
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape, about
    assert np.abs(ours - theirs).max(initial=0) <= 1e-9 * max(1.0, np.abs(theirs).max(initial=0)), about


def svd(matrix: Any) -> Any:
    return np.linalg.svd(matrix, compute_uv=False) if matrix.size else np.zeros(min(matrix.shape))


# Views ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", range(CASES))
def test_the_operator_is_the_matrix(case: int) -> None:
    rng = Random(case)
    layer, size, weight = random_linear(rng)
    if weight is not None and rng.random() < 0.3:
        weight = weight + 1j * values(rng, *weight.shape)
    matrix, applied = dense(layer, size, weight), ca.views.operator(layer, size, weight)
    assert applied.shape == matrix.shape
    x, y = values(rng, matrix.shape[1]), values(rng, matrix.shape[0])
    close(applied @ x, matrix @ x, layer)
    close(applied.H @ y, matrix.conj().T @ y, layer)


@pytest.mark.parametrize("case", range(CASES))
def test_the_adjoint_layer_has_the_transposed_matrix(case: int) -> None:
    layer, size, weight = random_conv(Random(case), transposed=case % 2 == 0)
    if len(layer.back(size)) > 1 and case % 2:
        with pytest.raises(ca.ParameterError, match="is two layers"):
            ca.views.adjoint(layer, size)
        return
    back = ca.views.adjoint(layer, size)
    assert back.output_size(layer.output_size(size)) == size
    assert (dense(back, layer.output_size(size), weight) == dense(layer, size, weight).T).all(), layer


def test_what_has_no_adjoint_layer() -> None:
    with pytest.raises(ca.ParameterError, match=r"is two layers, .* and ZeroPad1d\(\(0, -1\)\): use conv_matrix"):
        ca.views.adjoint(ca.Conv(kernel_size=4, padding="same"), 7)
    with pytest.raises(ca.ParameterError, match=r"the transpose of AvgPool\(kernel_size=2\) is not a layer"):
        ca.views.adjoint(ca.AvgPool(kernel_size=2), 4)


def test_a_fully_connected_layer_is_the_layer(torch: ModuleType) -> None:
    conv = torch.nn.Conv2d(2, 4, 3, stride=2, padding=1, groups=2, dtype=torch.float64)
    layer = ca.pytorch.from_module(conv)
    same = ca.views.fully_connected(layer, (5, 6), conv.weight, conv.bias)
    linear = torch.nn.Linear(same.layer.in_features, same.layer.out_features, dtype=torch.float64)
    linear.load_state_dict({"weight": torch.tensor(same.weight), "bias": torch.tensor(same.bias)})
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    close(linear(x.flatten()).detach(), conv(x).flatten().detach())


def test_a_linear_as_a_convolution_is_the_linear(torch: ModuleType) -> None:
    linear = torch.nn.Linear(3 * 4 * 5, 7, dtype=torch.float64)
    layer = ca.views.as_convolution(ca.pytorch.from_module(linear), (3, 4, 5))
    conv = ca.pytorch.to_module(layer).double()
    conv.load_state_dict({"weight": linear.weight.reshape(conv.weight.shape), "bias": linear.bias})
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    close(conv(x).flatten().detach(), linear(x.flatten()).detach())
    with pytest.raises(ca.ParameterError, match=r"3x4x4 flattens to 48, but Linear\(60, 7\) takes 60 features"):
        ca.views.as_convolution(ca.pytorch.from_module(linear), (3, 4, 4))


# Singular values -----------------------------------------------------------------------------------------------------


def test_singular_values_are_those_of_dense_linear_algebra() -> None:
    methods = set()
    for case in range(2 * CASES):
        layer, size, weight = random_linear(Random(case))
        found = ca.spectrum.singular_values(layer, size, weight)
        close(found.values, svd(dense(layer, size, weight)), f"{layer} at {size}")
        assert found.complete
        methods.add(found.method)
    assert methods == {"by axis", "dense"}


def test_by_frequency_is_dense_linear_algebra() -> None:
    wrapped = 0
    for case in range(2 * CASES):
        rng = Random(case)
        ndim, groups = rng.choice((1, 1, 2, 3)), rng.randint(1, 2)
        stride = tuple(rng.randint(1, 3) for _ in range(ndim))
        kernel = tuple(rng.randint(1, 5 if ndim < 3 else 2) for _ in range(ndim))
        dilation = tuple(rng.randint(1, 3) for _ in range(ndim))
        size = tuple(step * rng.randint(1, 4 if ndim < 3 else 2) for step in stride)
        sides = []
        for length, taps, step, apart in zip(size, kernel, stride, dilation, strict=True):
            total = max(0, apart * (taps - 1) + 1 - step)  # as many outputs as go round once
            before = rng.randint(max(0, total - length), min(length, total)) if total <= 2 * length else total
            sides.append((before, total - before))
        if any(max(pair) > length for pair, length in zip(sides, size, strict=True)):
            continue
        layer = ca.Conv(
            kernel_size=kernel, stride=stride, dilation=dilation, padding=tuple(sides), padding_mode="circular",
            groups=groups, in_channels=groups * rng.randint(1, 2), out_channels=groups * rng.randint(1, 2),
        )  # fmt: skip
        weight = values(rng, layer.out_channels, layer.in_channels // groups, *kernel)
        found = ca.spectrum.singular_values(layer, size, weight)
        assert found.method == "by frequency", f"{layer} at {size}"
        close(found.values, svd(dense(layer, size, weight)), f"{layer} at {size}")
        wrapped += any(layer.span(axis) > size[axis] for axis in range(ndim))
    assert wrapped > CASES // 5


def test_lanczos_finds_the_largest() -> None:
    for case in range(CASES // 3):
        layer, size, weight = random_linear(Random(case))
        all_of_them = svd(dense(layer, size, weight))
        if len(all_of_them) < 4:
            continue
        found = ca.spectrum.singular_values(layer, size, weight, count=3, method="Lanczos")
        assert (found.method, found.complete) == ("Lanczos", False)
        assert np.abs(found.values - all_of_them[:3]).max() <= 1e-4 * all_of_them[0], f"{layer} at {size}"


def test_groups_are_each_a_block() -> None:
    layer = ca.parse("Conv1d(6, 9, 3, padding=1, groups=3)")
    weight = values(Random(0), 9, 2, 3)
    close(ca.spectrum.singular_values(layer, 11, weight, method="dense").values, svd(dense(layer, 11, weight)))


# Rank, condition, bound ----------------------------------------------------------------------------------------------


def test_ranks_are_those_of_dense_linear_algebra() -> None:
    told = 0
    for case in range(4 * CASES):
        layer, size, weight = random_linear(Random(case)) if case % 2 else random_conv(Random(case), case % 4 == 0)
        matrix = dense(layer, size, weight)
        expected = np.linalg.matrix_rank(matrix) if matrix.size else 0
        assert ca.spectrum.rank(layer, size, weight) == expected, f"{layer} at {size}"
        told += ca.spectrum.structural_rank(layer, size, weight) is not None
    assert told > CASES // 8


def test_a_circular_kernel_of_ones() -> None:
    for n in range(1, 13):
        for k in range(1, 5):
            for d in range(1, 4):
                total = d * (k - 1)
                if -(-total // 2) > n:
                    continue
                layer = ca.Conv(
                    kernel_size=k, dilation=d, padding=((total // 2, total - total // 2),), padding_mode="circular"
                )
                assert ca.spectrum.rank(layer, n) == n - gcd(n, d * k) + gcd(n, d), (n, k, d)


@pytest.mark.parametrize("n", [5, 8, 13])
def test_a_padded_kernel_that_is_singular(n: int) -> None:
    layer = ca.Conv(kernel_size=3, padding=1)
    for j in range(1, n + 1):
        weight = [1, -2 * np.cos(j * np.pi / (n + 1)), 1]
        assert ca.spectrum.rank(layer, n, weight) == n - 1
        assert ca.spectrum.condition(layer, n, weight) == inf
        found = ca.spectrum.stability(layer, n, weight)
        assert (found.smallest, found.condition, found.rank) == (0.0, inf, n - 1)
        assert found.amplifies.endswith(f"; 1 of {n} input directions is lost")


def test_the_bound_is_never_below_the_largest() -> None:
    same_size_is_below = 0
    for case in range(4 * CASES):
        rng = Random(case)
        layer, size, weight = random_linear(rng) if case % 2 else random_conv(rng, case % 4 == 0)
        largest = svd(dense(layer, size, weight)).max(initial=0)
        assert ca.spectrum.bound(layer, size, weight) >= largest * (1 - 1e-12), f"{layer} at {size}"
    for case in range(CASES):
        n, weight = 6, values(Random(case), 3)
        padded, around = (ca.Conv(kernel_size=3, padding=1, padding_mode=mode) for mode in ("zeros", "circular"))
        largest = svd(dense(padded, n, weight))[0]
        same_size_is_below += svd(dense(around, n, weight))[0] < largest
        wide = np.abs(np.fft.fft(weight, n + 2)).max()
        assert ca.spectrum.bound(padded, n, weight) == pytest.approx(wide, rel=1e-12)
    assert same_size_is_below > 0


def test_stability_is_one_reading() -> None:
    for case in range(CASES):
        layer, size, weight = random_linear(Random(case))
        found, all_of_them = ca.spectrum.stability(layer, size, weight), svd(dense(layer, size, weight))
        assert (found.rows, found.columns) == dense(layer, size, weight).shape
        close(found.largest, all_of_them.max(initial=0))
        assert found.bound >= found.largest
        assert found.condition == pytest.approx(ca.spectrum.condition(layer, size, weight))


LARGE = ca.parse("Conv2d(4, 4, 3, padding=1)"), (40, 40)


def test_a_large_matrix_is_estimated_and_bounded() -> None:
    weight = values(Random(1), 4, 4, 3, 3)
    found = ca.spectrum.stability(*LARGE, weight)
    assert (found.method, found.rank, found.smallest, found.condition) == ("Lanczos", None, None, None)
    assert found.largest is not None
    assert 0.99 * found.bound < found.largest <= found.bound
    assert " for some input, at most " in found.amplifies
    bounded = ca.spectrum.stability(*LARGE, weight, estimate=False)
    assert (bounded.largest, bounded.method, bounded.bound) == (None, None, found.bound)
    depthwise = ca.parse("Conv2d(64, 64, 3, groups=64)")
    assert ca.spectrum.rank(depthwise, (112, 112)) == 64 * 110 * 110


REFUSALS: dict[str, tuple[Any, str]] = {
    "method": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, method="desne"), "method 'desne' is unknown: did you mean 'dense'"),
    "count": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, count=0), "count is 0: it must be at least 1"),
    "not circular": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, method="by frequency"), r"at 4 is not a convolution with circular padding: choose another method"),
    "not round": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=3, stride=2, padding=1, padding_mode="circular"), 5, method="by frequency"), "goes round 5 positions in 3 steps of 2"),
    "by axis": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, method="by axis"), "has weights: the method by axis is for layers without"),
    "all by Lanczos": (lambda: ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, count=3, method="Lanczos"), "cannot find all 3 singular values: count is 3, give less than 3"),
    "rank": (lambda: ca.spectrum.rank(*LARGE), r"all singular values of the 6,400 x 6,400 matrix of .* take 262,144,000,000 multiplications, more than 1,000,000,000"),
    "not finite": (lambda: ca.spectrum.stability(ca.Conv(kernel_size=2), 4, [1, float("nan")]), "numbers that are not finite"),
    "not linear": (lambda: ca.spectrum.stability(ca.MaxPool(kernel_size=2), 4), "has no matrix here"),
    "weight": (lambda: ca.spectrum.stability(ca.Conv(kernel_size=2), 4, [1, 2, 3]), r"the weight has shape \(3,\)"),
    "memory": (lambda: ca.views.operator(ca.Conv(kernel_size=9), (10**6, 10**6)), "the unfolded input of .* needs"),
    "dense memory": (lambda: ca.views.fully_connected(ca.Conv(kernel_size=9), (10**4, 10**4)), "the dense .* matrix .* needs"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    ask, message = REFUSALS[case]
    with pytest.raises(ca.ParameterError, match=message):
        ask()


def test_nothing_at_all() -> None:
    layer = ca.Conv(kernel_size=1, in_channels=0, out_channels=2)
    found = ca.spectrum.stability(layer, 5)
    assert (found.largest, found.smallest, found.rank, found.bound) == (0.0, 0.0, 0, 0.0)
    zero = ca.spectrum.stability(ca.Conv(kernel_size=3), 9, [0, 0, 0])
    assert (zero.largest, zero.rank, zero.bound, zero.condition) == (0.0, 0, 0.0, inf)
    assert ca.spectrum.singular_values(ca.Conv(kernel_size=3), 9, [0, 0, 0], 2, "Lanczos").values.tolist() == [0, 0]
