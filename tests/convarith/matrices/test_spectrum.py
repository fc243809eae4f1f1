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
from convarith.matrices import spectrum

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


# Which method, and in which words -------------------------------------------------------------------------------------

WORK: dict[str, tuple[Any, tuple[int, ...], int]] = {
    # By axis: an SVD of 3 x 6 and one of 2 x 4, then the products of 3 and 2 values.
    "by axis": (ca.AvgPool(kernel_size=2), (6, 4), 3 * 6 * 3 + 2 * 4 * 2 + 3 * 2),
    # By frequency: 2 groups, 6/2 frequencies, each of (4/2 outputs) x (2/2 inputs * 2 phases) and the overhead of each.
    "by frequency": (
        ca.parse("Conv1d(2, 4, 2, stride=2, groups=2, padding_mode='circular')"), (6,), 2 * 3 * (2 * 2 * 2 + 3000)
    ),
    # Dense: 2 blocks of (2 * 4) x (1 * 5).
    "dense": (ca.parse("Conv1d(2, 4, 2, groups=2)"), (5,), 2 * (8 * 5 * 5)),
}  # fmt: skip


@pytest.mark.parametrize("method", WORK)
def test_an_exact_method_is_taken_up_to_its_limit(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, size, work = WORK[method]
    monkeypatch.setattr(spectrum, "MOST_WORK", work)
    assert ca.spectrum.singular_values(layer, size).method == method
    assert ca.spectrum.stability(layer, size).method == method
    monkeypatch.setattr(spectrum, "MOST_WORK", work - 1)
    next_one = "dense" if method == "by frequency" else "Lanczos"
    assert ca.spectrum.singular_values(layer, size, count=1).method == next_one


def test_the_bound_by_frequency_is_taken_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, weight = ca.Conv(kernel_size=3, stride=2, padding=1), [1.0, 2.0, -4.0]
    # 5 + 2 positions are rounded up to 8: 4 frequencies, each of 1 x 2 phases.
    monkeypatch.setattr(spectrum, "MOST_WORK", 4 * (2 + 3000))
    around = ca.Conv(kernel_size=3, stride=2, padding=((1, 0),), padding_mode="circular")
    assert ca.spectrum.bound(layer, 5, weight) == pytest.approx(svd(dense(around, 8, weight))[0], rel=1e-12)
    monkeypatch.setattr(spectrum, "MOST_WORK", 4 * (2 + 3000) - 1)
    rows, columns = 7.0, 5.0  # |1| + |2| + |-4|, and 1 + |-4|
    assert ca.spectrum.bound(layer, 5, weight) == pytest.approx((rows * columns) ** 0.5, rel=1e-12)


@pytest.mark.parametrize(
    "layer",
    [
        ca.parse("Conv1d(4, 6, 3, padding=1, groups=2)"), ca.parse("ConvTranspose1d(4, 6, 3, stride=2, groups=2)"),
        ca.parse("Conv1d(2, 4, 3, padding=1, padding_mode='circular')"),
    ],
    ids=str,
)  # fmt: skip
def test_a_bound_without_a_weight_is_that_of_ones(layer: Any) -> None:
    ones = np.ones(layer.weight_shape(1))
    assert ca.spectrum.bound(layer, 6) == pytest.approx(ca.spectrum.bound(layer, 6, ones), rel=1e-12)
    assert ca.spectrum.bound(layer, 6, 1j * ones) == pytest.approx(ca.spectrum.bound(layer, 6), rel=1e-12)


def test_a_complex_weight_is_bounded_by_all_frequencies() -> None:
    layer = ca.Conv(kernel_size=2, padding=((0, 1),), padding_mode="circular")
    for weight in ([1, 1j], [1, -1j], [2j, 1 + 1j]):
        found = ca.spectrum.singular_values(layer, 8, weight)
        close(found.values, svd(dense(layer, 8, weight)))
        assert ca.spectrum.bound(layer, 8, weight) == pytest.approx(found.values[0], rel=1e-12)


def test_lanczos_finds_six_values_unless_a_count_is_given() -> None:
    layer, weight = ca.Conv(kernel_size=3, padding=1), [1.0, -2.0, 3.0]
    for count, expected in {None: 6, 1: 1, 9: 9}.items():
        found = ca.spectrum.singular_values(layer, 30, weight, count=count, method="Lanczos")
        assert (len(found.values), found.complete, found.method) == (expected, False, "Lanczos")
        close(found.values, svd(dense(layer, 30, weight))[:expected])
    for count in (1, 2):  # one less than all of them at most
        found = ca.spectrum.singular_values(ca.Conv(kernel_size=2), 4, [1, 3], count=count, method="Lanczos")
        close(found.values, svd(dense(ca.Conv(kernel_size=2), 4, [1, 3]))[:count])
    for count in (1, 4, 5, 9):
        values_found = ca.spectrum.singular_values(layer, 5, weight, count=count)
        assert (len(values_found.values), values_found.complete) == (min(count, 5), count >= 5)
        close(values_found.values, svd(dense(layer, 5, weight))[:count])


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_a_value_at_the_rounding_counts_as_numpy_counts_it(scale: float) -> None:
    for ins, outs in ((2, 2), (2, 4), (4, 2)):
        layer = ca.parse(f"Conv1d({ins}, {outs}, 1)")
        weight = np.zeros((outs, ins, 1))
        weight[0, 0], weight[1, 1] = 8, 8 * scale * 2.0**-52
        assert ca.spectrum.structural_rank(layer, 1, weight) is None
        expected = np.linalg.matrix_rank(weight[:, :, 0])
        assert ca.spectrum.rank(layer, 1, weight) == expected
        assert (ca.spectrum.condition(layer, 1, weight) == inf) == (expected == 1)
        assert (ca.spectrum.stability(layer, 1, weight).smallest == 0) == (expected == 1)


def test_a_structural_rank_needs_one_channel_per_group_no_padding_and_no_zero_kernel() -> None:
    known = {
        "Conv1d(4, 2, 3, groups=2)": 2 * 5, "Conv1d(4, 1, 3, stride=2)": 3, "ConvTranspose1d(2, 4, 3, groups=2)": 2 * 7,
        "ConvTranspose1d(1, 4, 3)": 7,
    }  # fmt: skip
    for text, expected in known.items():
        layer: Any = ca.parse(text)
        assert ca.spectrum.structural_rank(layer, 7) == expected, text
        weight = np.ones(layer.weight_shape(1))
        assert ca.spectrum.structural_rank(layer, 7, weight) == expected, text
        weight[..., 1:] = 0
        assert ca.spectrum.structural_rank(layer, 7, weight) == expected, text
        weight[: 1 if layer.weight_shape(1)[0] <= 2 else 2] = 0  # the kernel of the first group
        assert ca.spectrum.structural_rank(layer, 7, weight) is None, text
    for text in (
        "Conv1d(4, 4, 3, groups=2)",
        "Conv1d(1, 1, 3, padding=1)",
        "ConvTranspose1d(4, 2, 3, groups=2)",
        "Unfold(3)",
    ):
        layer = ca.parse(text)
        assert ca.spectrum.structural_rank(layer, (7, 7) if text == "Unfold(3)" else 7) is None, text
    assert ca.spectrum.structural_rank(ca.Conv(kernel_size=(2, 2), padding=((0, 0), (0, 1))), (4, 4)) is None
    assert ca.spectrum.structural_rank(ca.Conv(kernel_size=1, in_channels=0, out_channels=1), 4) is None


def told(rows: int, columns: int, largest: float | None, smallest: float | None, rank: int | None, method: str) -> str:
    return ca.spectrum.Stability(rows, columns, largest, smallest, rank, None, 12345.678, method).amplifies


def test_what_a_layer_amplifies_is_said_in_words() -> None:
    assert told(5, 5, None, None, None, "") == "by a factor of at most 1.235e+04"
    assert told(5, 5, 2.0, None, None, "Lanczos") == "by a factor of 2 for some input, at most 1.235e+04"
    assert told(5, 5, 2.0, 1.0, 5, "dense") == "by a factor between 1 and 2"
    assert told(5, 5, 2.0, 2.00001, 5, "dense") == "by a factor of 2"
    assert told(5, 5, 2.0, 0.0, 4, "dense") == "by a factor of at most 2; 1 of 5 input directions is lost"
    assert told(4, 5, 2.0, 1.0, 4, "dense") == "by a factor of at most 2; 1 of 5 input directions is lost"
    assert told(5, 5, 2.0, 0.0, 3, "dense") == "by a factor of at most 2; 2 of 5 input directions are lost"
    assert told(7, 5, 2.0, 1.0, 5, "dense") == "by a factor between 1 and 2"
    assert told(9, 2000, 2.0, None, None, "dense").endswith(
        "at most 2; at least 1,991 of 2,000 input directions are lost"
    )
    assert told(4, 5, None, None, None, "").endswith("; at least 1 of 5 input directions is lost")
    assert told(5, 5, 2.0, None, 5, "dense") == "by a factor of at most 2"


def test_stability_is_the_singular_values_rank_and_condition() -> None:
    for case in range(CASES // 2):
        layer, size, weight = random_linear(Random(case))
        found, all_of_them = ca.spectrum.stability(layer, size, weight), svd(dense(layer, size, weight))
        reach = ca.spectrum.rank(layer, size, weight)
        assert found.rank == reach
        full = reach == len(all_of_them) and reach > 0
        assert found.condition == (pytest.approx(all_of_them[0] / all_of_them[-1], rel=1e-6) if full else inf)
        close(found.smallest, all_of_them[-1] if full else 0.0)
        bounded = ca.spectrum.stability(layer, size, weight, estimate=False)
        assert bounded[:6] == found[:6]
    assert ca.spectrum.stability(ca.Conv(kernel_size=1), 4, [3]).bound >= 3


def test_weights_up_to_the_largest_are_taken() -> None:
    layer = ca.Conv(kernel_size=2)
    assert ca.spectrum.stability(layer, 4, [1e100, -1e100]).largest == pytest.approx(1e100 * 2 * np.cos(np.pi / 8))
    for weight in ([1.1e100, 0], [-1.1e100, 0], [0, inf], [2e100j, 0], np.array([0, -inf], np.float32)):
        with pytest.raises(ca.ParameterError, match=r"not finite or are beyond 1e\+100: scale it"):
            ca.spectrum.stability(layer, 4, weight)


def test_a_single_precision_weight_is_computed_in_double_precision() -> None:
    layer = ca.Conv(kernel_size=3, padding=1)
    for kind in (np.float16, np.float32, np.complex64):
        weight = np.array([1, 0.1, -3], kind)
        expected = svd(dense(layer, 9, weight.astype(complex)))
        found = ca.spectrum.singular_values(layer, 9, weight)
        assert np.abs(found.values - expected).max() < 1e-13
        assert ca.spectrum.bound(layer, 9, weight) >= expected[0]


def test_a_circular_convolution_that_does_not_go_round_once_is_dense() -> None:
    for padding, stride, size, method in (
        ((1, 1), 1, 6, "by frequency"), ((2, 0), 1, 6, "by frequency"), ((1, 0), 2, 6, "by frequency"),
        ((2, 1), 1, 6, "dense"), ((1, 0), 1, 6, "dense"), ((1, 1), 2, 5, "dense"), ((-1, 3), 1, 6, "dense"),
    ):  # fmt: skip
        layer = ca.Conv(kernel_size=3, stride=stride, padding=(padding,), padding_mode="circular")
        found = ca.spectrum.singular_values(layer, size, [1, 2, -1])
        assert found.method == method, (padding, stride, size)
        close(found.values, svd(dense(layer, size, [1, 2, -1])))
        assert ca.spectrum.bound(layer, size, [1, 2, -1]) >= found.values[0] * (1 - 1e-12)


def test_all_singular_values_of_a_large_matrix_are_refused_from_the_limit_on(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = ca.Conv(kernel_size=2, padding=1)
    work = 6 * 5 * 5
    monkeypatch.setattr(spectrum, "MOST_WORK", work)
    assert ca.spectrum.rank(layer, 5) == 5
    monkeypatch.setattr(spectrum, "MOST_WORK", work - 1)
    for ask in (ca.spectrum.rank, ca.spectrum.condition):
        with pytest.raises(
            ca.ParameterError, match=r"of the 6 x 5 matrix of .* take 150 multiplications, more than 149"
        ):
            ask(layer, 5)


# Operators ------------------------------------------------------------------------------------------------------------


def test_a_linear_is_a_convolution_in_one_to_three_dimensions() -> None:
    linear = ca.parse("Linear(16, 3, bias=False)")
    for shape, text in {
        (2, 8): "Conv1d(2, 3, 8, bias=False)", (1, 4, 4): "Conv2d(1, 3, 4, bias=False)",
        (4, 1, 4): "Conv2d(4, 3, (1, 4), bias=False)", (2, 2, 2, 2): "Conv3d(2, 3, 2, bias=False)",
    }.items():  # fmt: skip
        assert ca.views.as_convolution(linear, shape) == ca.parse(text)
    for shape in ((16,), (1, 2, 2, 2, 2), (2, 7)):
        with pytest.raises(
            ca.ParameterError, match=r"give the \(C, \*spatial\) shape of the map before it is flattened"
        ):
            ca.views.as_convolution(linear, shape)


def test_an_adjoint_keeps_the_form_of_its_layer() -> None:
    """Equal numbers stay one number where the dimension is open, and the channels change sides."""
    adjoint = ca.views.adjoint
    assert str(adjoint(ca.ConvTranspose(kernel_size=3, padding=1), 5)) == "Conv(kernel_size=3, padding=1)"
    assert adjoint(ca.ConvTranspose(kernel_size=3, padding=(1, 2)), (5, 5)) == ca.Conv(kernel_size=3, padding=(1, 2))
    dilated = ca.ConvTranspose(kernel_size=3, stride=1, dilation=3, output_padding=2)
    assert adjoint(dilated, 5) == ca.Conv(kernel_size=3, dilation=3, padding=((0, -2),))
    text = "ConvTranspose2d(4, 6, 3, stride=2, padding=1, groups=2, bias=False)"
    assert adjoint(ca.parse(text), (5, 5)) == ca.parse("Conv2d(6, 4, 3, stride=2, padding=1, groups=2, bias=False)")
    for mode in ("reflect", "circular"):
        with pytest.raises(ca.ParameterError, match="is not a layer: use conv_matrix"):
            adjoint(ca.Conv(kernel_size=3, padding=1, padding_mode=mode), 5)


def test_memory_is_refused_by_what_a_product_and_a_dense_matrix_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    conv = ca.parse("Conv2d(4, 6, 2, groups=2)")
    unfolded, dense_matrix = 2 * 8 * (4 * 4 * 6), 8 * (6 * 6) * (4 * 12)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: unfolded)
    assert ca.views.operator(conv, (3, 4)).shape == (36, 48)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: unfolded - 1)
    with pytest.raises(ca.ParameterError, match=f"^the unfolded input of .* at 3x4 needs {unfolded:,} bytes"):
        ca.views.operator(conv, (3, 4))
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: dense_matrix)
    assert ca.views.fully_connected(conv, (3, 4)).weight.shape == (36, 48)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: dense_matrix - 1)
    with pytest.raises(ca.ParameterError, match=f"^the dense 36 x 48 matrix of .* needs {dense_matrix:,} bytes"):
        ca.views.fully_connected(conv, (3, 4))
    blocks = 2 * 8 * (3 * 6) * (2 * 12)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: blocks - 1)
    with pytest.raises(ca.ParameterError, match=f"^a dense 18 x 24 block of the matrix of .* needs {blocks:,} bytes"):
        ca.spectrum.singular_values(conv, (3, 4), method="dense")
    around = ca.parse("Conv2d(4, 6, 3, padding=1, padding_mode='circular', groups=2)")
    transform = 2 * 16 * (6 * 2) * 12
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: transform - 1)
    with pytest.raises(ca.ParameterError, match=f"^the Fourier transform of .* at 3x4 needs {transform:,} bytes"):
        ca.spectrum.singular_values(around, (3, 4), method="by frequency")
