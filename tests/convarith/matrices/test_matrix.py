"""The matrix of a linear layer is the layer.

The laws, over random parameters in 1-D to 3-D:
- matrix @ x (+ offset) is torch's layer on x, in float64 to 1e-12, for Conv in every padding mode, ConvTranspose,
  AvgPool, Upsample and Unfold; ZeroInsert puts x at every s-th position.
- The matrix of a transposed convolution is the transpose of the convolution's.
- nnz is the number of stored entries and bytes_needed the size of the arrays; rows are sorted and have no duplicates.
- The lectures' matrices and products are reproduced.
- No build takes more memory than `peak_bytes` says; putting the weight into `reads` gives the matrix.
- A layer without a matrix, a wrong weight or bias, and a matrix beyond the memory are refused; the error gives the
  numbers and says what to do. A matrix beyond the memory is refused before anything is allocated.
"""

from __future__ import annotations

import io
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from random import Random
from types import ModuleType
from typing import Any

import pytest
from support.linear_layers import channels, each, random_conv, random_transposed, taken, values

import convarith as ca

np = pytest.importorskip("numpy", reason="matrices need numpy")
pytest.importorskip("scipy", reason="matrices need scipy")

MODES = ("zeros", "reflect", "replicate", "circular")


def random_layers(seed: int, count: int) -> Iterator[tuple[Random, int]]:
    """A random generator and a number of axes for each of so many cases."""
    for case in range(count):
        rng = Random(f"{seed}/{case}")
        yield rng, rng.choice((1, 1, 2, 2, 3))


def arrays_hold(matrix: Any, layer: Any, size: Any) -> None:
    """Sorted, without duplicates, and as many as was said before."""
    assert matrix.nnz == ca.matrix.nnz(layer, size)
    held = matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes
    assert held == ca.matrix.bytes_needed(layer, size, matrix.dtype.itemsize)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    place = row * matrix.shape[1] + matrix.indices
    assert (np.diff(place) > 0).all()
    assert ((matrix.indices >= 0) & (matrix.indices < matrix.shape[1])).all()


def equal(ours: Any, torchs: Any, layer: object, size: object) -> None:
    assert ours.shape == torchs.ravel().shape, f"{layer} at {size}"
    assert np.abs(ours - torchs.ravel()).max(initial=0) <= 1e-12, f"{layer} at {size}"


@pytest.mark.parametrize("mode", MODES)
def test_convolution(torch: ModuleType, mode: str, random_matrices: int) -> None:
    for rng, ndim in random_layers(1, random_matrices):
        least = 0 if mode == "zeros" else -1
        padding = tuple(each(rng, 2, least, 3) for _ in range(ndim))
        layer = ca.Conv(
            kernel_size=each(rng, ndim, 1, 4), stride=each(rng, ndim, 1, 3), dilation=each(rng, ndim, 1, 3),
            padding=padding, padding_mode=mode, **channels(rng),
        )  # fmt: skip
        size = taken(layer, rng, ndim, 7)
        if mode == "circular" and any(
            length + min(pair) < max(pair) for length, pair in zip(size, padding, strict=True)
        ):
            continue  # the crop leaves less than the padding: torch reads memory that it has not written
        weight = values(rng, layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size)
        bias, x = values(rng, layer.out_channels), values(rng, layer.in_channels, *size)
        matrix, offset = ca.matrix.affine(layer, size, weight, bias)
        arrays_hold(matrix, layer, size)
        sides = list(itertools.chain(*reversed(padding)))
        padded = torch.nn.functional.pad(torch.tensor(x)[None], sides, mode={"zeros": "constant"}.get(mode, mode))
        convolve = getattr(torch.nn.functional, f"conv{ndim}d")
        y = convolve(padded, torch.tensor(weight), torch.tensor(bias), layer.stride, 0, layer.dilation, layer.groups)
        equal(matrix @ x.ravel() + offset, y.numpy(), layer, size)


def test_same_padding(torch: ModuleType, random_matrices: int) -> None:
    for rng, ndim in random_layers(2, random_matrices // 4):
        layer = ca.Conv(kernel_size=each(rng, ndim, 1, 4), dilation=each(rng, ndim, 1, 3), padding="same")
        size, weight = each(rng, ndim, 1, 6), values(rng, *layer.kernel_size)
        x, convolve = values(rng, *size), getattr(torch.nn.functional, f"conv{ndim}d")
        kernel = torch.tensor(weight)[None, None]
        y = convolve(torch.tensor(x)[None, None], kernel, padding="same", dilation=layer.dilation)
        equal(ca.matrix.conv_matrix(layer, size, weight) @ x.ravel(), y.numpy(), layer, size)


def test_transposed_convolution(torch: ModuleType, random_matrices: int) -> None:
    for rng, ndim in random_layers(3, random_matrices):
        layer = random_transposed(rng, ndim)
        size = taken(layer, rng, ndim, 4)
        weight = values(rng, layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
        bias, x = values(rng, layer.out_channels), values(rng, layer.in_channels, *size)
        matrix, offset = ca.matrix.affine(layer, size, weight, bias)
        arrays_hold(matrix, layer, size)
        convolve = getattr(torch.nn.functional, f"conv_transpose{ndim}d")
        y = convolve(
            torch.tensor(x)[None], torch.tensor(weight), torch.tensor(bias), layer.stride, layer.padding,
            layer.output_padding, layer.groups, layer.dilation,
        )  # fmt: skip
        equal(matrix @ x.ravel() + offset, y.numpy(), layer, size)


def test_the_transposed_layer_has_the_transposed_matrix(random_matrices: int) -> None:
    for rng, ndim in random_layers(4, random_matrices):
        layer = random_transposed(rng, ndim)
        size = taken(layer, rng, ndim, 4)
        conv = ca.Conv(
            kernel_size=layer.kernel_size, stride=layer.stride, dilation=layer.dilation, groups=layer.groups,
            padding=tuple((pad, pad) for pad in layer.padding),
            in_channels=layer.out_channels, out_channels=layer.in_channels,
        )  # fmt: skip
        weight = values(rng, layer.in_channels, layer.out_channels // layer.groups, *layer.kernel_size)
        ours, output = ca.matrix.conv_matrix(layer, size, weight), layer.output_size(size)
        if any(smaller > larger for smaller, larger in zip(layer.output_padding, layer.stride, strict=True)):
            continue
        if conv.output_size(output) != size:
            continue  # an output_padding of the stride or more: the convolution finds another window
        theirs = ca.matrix.conv_matrix(conv, output, weight)
        assert (ours != theirs.T.tocsr()).nnz == 0, f"{layer} at {size}"
        assert ours.nnz == theirs.nnz


def test_average_pool(torch: ModuleType, random_matrices: int) -> None:
    for rng, ndim in random_layers(5, random_matrices):
        kernel = each(rng, ndim, 1, 4)
        arguments: dict[str, Any] = {
            "kernel_size": kernel, "stride": each(rng, ndim, 1, 4), "ceil_mode": rng.random() < 0.5,
            "padding": tuple(rng.randint(0, entry // 2) for entry in kernel), "count_include_pad": rng.random() < 0.5,
        }  # fmt: skip
        if ndim > 1 and rng.random() < 0.5:
            arguments["divisor_override"] = rng.choice((-2, 1, 3))
        layer = ca.AvgPool(**arguments)
        size = taken(layer, rng, ndim, 7)
        x, matrix = values(rng, *size), ca.matrix.conv_matrix(layer, size)
        arrays_hold(matrix, layer, size)
        y = getattr(torch.nn, f"AvgPool{ndim}d")(**arguments)(torch.tensor(x)[None])
        equal(matrix @ x.ravel(), y.numpy(), layer, size)


@pytest.mark.parametrize("kind", ["nearest", "nearest-exact", "linear"])
def test_upsampling(torch: ModuleType, kind: str, random_matrices: int) -> None:
    for rng, ndim in random_layers(6, random_matrices):
        size, arguments = each(rng, ndim, 1, 7), {"mode": kind}
        if kind == "linear":
            arguments["mode"] = ("linear", "bilinear", "trilinear")[ndim - 1]
            arguments["align_corners"] = rng.choice((None, False, True))
        if rng.random() < 0.5:
            arguments["size"] = each(rng, ndim, 1, 12)
        else:
            arguments["scale_factor"] = tuple(rng.choice((1.0, 1.5, 2.0, 3.0, 2.3)) for _ in range(ndim))
            arguments["recompute_scale_factor"] = rng.choice((None, True))
        layer = ca.Upsample(**arguments)
        x, matrix = values(rng, *size), ca.matrix.conv_matrix(layer, size)
        arrays_hold(matrix, layer, size)
        y = torch.nn.Upsample(**arguments)(torch.tensor(x)[None, None])
        equal(matrix @ x.ravel(), y.numpy(), layer, size)


def test_zero_insertion(random_matrices: int) -> None:
    for rng, ndim in random_layers(7, random_matrices):
        layer, size = ca.ZeroInsert(stride=each(rng, ndim, 1, 4)), each(rng, ndim, 0, 5)
        x, matrix = values(rng, *size), ca.matrix.conv_matrix(layer, size)
        arrays_hold(matrix, layer, size)
        y = np.zeros(layer.output_size(size))
        y[tuple(slice(None, None, stride) for stride in layer.stride)] = x
        equal(matrix @ x.ravel(), y, layer, size)


def test_unfold(torch: ModuleType, random_matrices: int) -> None:
    for rng, _ in random_layers(8, random_matrices):
        arguments = {"kernel_size": each(rng, 2, 1, 3), "dilation": each(rng, 2, 1, 2)}
        arguments |= {"padding": each(rng, 2, 0, 2), "stride": each(rng, 2, 1, 3)}
        layer = ca.Unfold(**arguments)
        size = taken(layer, rng, 2, 6)
        x, matrix = values(rng, *size), ca.matrix.conv_matrix(layer, size)
        arrays_hold(matrix, layer, size)
        equal(matrix @ x.ravel(), torch.nn.Unfold(**arguments)(torch.tensor(x)[None]).numpy(), layer, size)


# The lectures --------------------------------------------------------------------------------------------------------


def test_the_lectures_matrix() -> None:
    matrix = ca.matrix.conv_matrix(ca.Conv(kernel_size=2), (3, 3), [[0, 1], [2, 3]])
    assert matrix.toarray().tolist() == [
        [0, 1, 0, 2, 3, 0, 0, 0, 0],
        [0, 0, 1, 0, 2, 3, 0, 0, 0],
        [0, 0, 0, 0, 1, 0, 2, 3, 0],
        [0, 0, 0, 0, 0, 1, 0, 2, 3],
    ]
    assert (matrix @ np.arange(1, 10)).tolist() == [25, 31, 43, 49]


def test_fleurets_convolutions() -> None:
    matrix = ca.matrix.conv_matrix(ca.Conv(kernel_size=3), 7, [1, 2, 3])
    assert matrix.toarray().tolist() == [[0] * row + [1, 2, 3] + [0] * (4 - row) for row in range(5)]
    assert (matrix @ [0, 0, 1, 0, 0, 0, 0]).tolist() == [3, 2, 1, 0, 0]
    up = ca.matrix.conv_matrix(ca.ConvTranspose(kernel_size=3), 5, [1, 2, 3])
    assert (up.toarray() == matrix.toarray().T).all()
    up = ca.matrix.conv_matrix(ca.ConvTranspose(kernel_size=3), 7, [1, 2, 3])
    assert (up @ [0, 0, 1, 0, 0, 0, 0]).tolist() == [0, 0, 1, 2, 3, 0, 0, 0, 0]
    up = ca.matrix.conv_matrix(ca.ConvTranspose(kernel_size=3), 5, [1, 2, 1])
    assert (up @ [1, 0, 0, 0, -1]).tolist() == [1, 2, 1, 0, -1, -2, -1]


# The door ------------------------------------------------------------------------------------------------------------


def test_the_type_of_the_weight_is_kept(torch: ModuleType) -> None:
    conv = ca.parse("Conv1d(2, 4, 3)")
    parameter = torch.nn.Conv1d(2, 4, 3).weight
    matrix = ca.matrix.conv_matrix(conv, 9, parameter)
    assert (matrix.dtype, matrix.indices.dtype) == (np.float32, np.int32)
    assert ca.matrix.conv_matrix(conv, 9, np.ones((4, 2, 3), int)).dtype == np.float64
    assert ca.matrix.conv_matrix(conv, 9).sum() == ca.matrix.nnz(conv, 9)


def test_no_channels() -> None:
    assert ca.matrix.conv_matrix(ca.Conv(kernel_size=1, in_channels=0, out_channels=2), 5).shape == (0, 0)


def test_open_channels_count_as_one_per_group() -> None:
    assert ca.matrix.conv_matrix(ca.Conv(kernel_size=3, groups=2), 5).shape == (6, 10)


NOT_A_LAYER: Any = "Conv1d(1, 1, 3)"

REFUSALS = {
    "not linear": (lambda: ca.matrix.conv_matrix(ca.MaxPool(kernel_size=2), 4), r"MaxPool\(kernel_size=2\) has no matrix here: Conv, .* are linear and have one; choose one of them"),
    "no layer": (lambda: ca.matrix.nnz(NOT_A_LAYER, 4), "str has no matrix here"),
    "bicubic": (lambda: ca.matrix.conv_matrix(ca.Upsample(scale_factor=2, mode="bicubic"), (4, 4)), r"mode='bicubic'\) has no matrix here"),
    "weight": (lambda: ca.matrix.conv_matrix(ca.parse("Conv2d(1, 2, 3)"), (4, 4), [[1, 2]]), r"the weight has shape \(1, 2\), but Conv2d\(1, 2, 3\) takes \(out, in/groups, \*kernel\) = \(2, 1, 3, 3\)"),
    "transposed weight": (lambda: ca.matrix.conv_matrix(ca.parse("ConvTranspose1d(4, 6, 3, groups=2)"), 4, np.ones((6, 2, 3))), r"\(in, out/groups, \*kernel\) = \(4, 3, 3\)"),
    "words": (lambda: ca.matrix.conv_matrix(ca.Conv(kernel_size=2), 4, ["a", "b"]), "the weight is not an array of numbers"),
    "ragged": (lambda: ca.matrix.conv_matrix(ca.Conv(kernel_size=2), 4, [[1], [1, 2]]), "the weight is not an array of numbers"),
    "a pool's weight": (lambda: ca.matrix.conv_matrix(ca.AvgPool(kernel_size=2), 4, [1, 1]), "has no weight: leave it out"),
    "bias": (lambda: ca.matrix.affine(ca.parse("Conv1d(1, 2, 3)"), 4, bias=[1]), r"the bias has shape \(1,\), but Conv1d\(1, 2, 3\) takes one number per output channel: \(2,\)"),
    "no bias": (lambda: ca.matrix.affine(ca.parse("Conv1d(1, 2, 3, bias=False)"), 4, bias=[1, 2]), "has no bias: leave it out"),
    "entries": (lambda: ca.matrix.conv_matrix(ca.parse("Conv2d(4096, 4096, 3, padding=1)"), (512, 512)), r"the 1,073,741,824 x 1,073,741,824 matrix of .* at 512x512 needs [\d,]+ bytes, but [\d,]+ are free: take a smaller"),
    "rows": (lambda: ca.matrix.conv_matrix(ca.Upsample(size=10**13, mode="linear"), 5), r"needs at least [\d,]+ bytes"),
    "wrapped": (lambda: ca.matrix.conv_matrix(ca.Conv(kernel_size=3, padding=1, padding_mode="circular"), 10**13), r"needs at least [\d,]+ bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals(case: str) -> None:
    ask, message = REFUSALS[case]
    tracemalloc.start()
    try:
        with pytest.raises(ca.ParameterError, match=message):
            ask()
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_size_that_the_layer_refuses() -> None:
    with pytest.raises(ca.ShapeError, match="the kernel spans 3"):
        ca.matrix.conv_matrix(ca.Conv(kernel_size=3), 2)


@pytest.mark.parametrize("package", ["numpy", "scipy"])
def test_without_the_package(package: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None\nimport convarith as ca\nlayer = ca.Conv(kernel_size=2)\nassert ca.matrix.nnz(layer, 3) == 4\ntry: ca.matrix.conv_matrix(layer, 3)\nexcept ca.MissingDependencyError as error: print(error)"
    told = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60)
    assert told == f"{package} is not installed: run  pip install 'convarith[numpy]'  in this environment\n"


def test_numbers_before_the_matrix_need_no_numpy() -> None:
    program = "import sys, convarith as ca; layer = ca.Conv(kernel_size=3, padding=1, padding_mode='reflect')\nassert ca.matrix.nnz(layer, 10**9) == 3 * 10**9 - 2\nassert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def peak(layer: Any, size: tuple[int, ...]) -> int:
    """Bytes that building a matrix takes at its peak."""
    ca.matrix.conv_matrix(layer, (9,) * len(size))  # imports what it imports
    tracemalloc.start()
    try:
        ca.matrix.conv_matrix(layer, size)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("Conv2d(16, 32, 3, stride=2, padding=1)", (64, 64)),
        ("Conv2d(1, 1, 3, padding=1)", (256, 256)),
        ("Conv1d(1, 1, 9)", (50000,)),
        ("AvgPool2d(3, 1, 1)", (256, 256)),
        ("ConvTranspose2d(4, 1, 4, 2, 1)", (128, 128)),
        ("Unfold(3, padding=1)", (256, 256)),
    ],
)
def test_memory_stays_near_the_result(text: str, size: tuple[int, ...]) -> None:
    layer = ca.parse(text)
    assert peak(layer, size) <= 2.2 * ca.matrix.bytes_needed(layer, size)


def test_no_build_takes_more_than_was_said() -> None:
    overhead = 300_000  # what numpy and the interpreter hold beside the arrays
    texts = (
        "Conv2d(2, 3, 3, padding=1)", "Conv2d(8, 1, 3)", "Conv1d(1, 1, 5)", "Conv3d(1, 1, 3)", "AvgPool2d(2)",
        "ConvTranspose2d(1, 1, 4, 2, 1)", "ConvTranspose2d(1, 1, 3, 2, dilation=2)", "Upsample(scale_factor=2)",
        "Upsample(scale_factor=2, mode='bilinear')", "ZeroInsert2d(8)", "Unfold(3)",
        "Conv2d(1, 2, 3, padding=1, padding_mode='circular')", "Conv2d(32, 32, 3, groups=32)",
    )  # fmt: skip
    for text in texts:
        layer: Any = ca.parse(text)
        ndim = layer.ndim or 2
        size = (round(4e4 ** (1 / ndim) / (8 if "32" in text or "ZeroInsert" in text else 1)),) * ndim
        assert peak(layer, size) <= ca.matrix.peak_bytes(layer, size) + overhead, text


def test_a_matrix_is_refused_by_its_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, size = ca.Conv(kernel_size=3), (100, 100)
    needed = ca.matrix.peak_bytes(layer, size)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: needed)
    assert ca.matrix.conv_matrix(layer, size).shape == (98 * 98, 10000)
    monkeypatch.setattr("convarith.matrices.matrix.free_memory", lambda: needed - 1)
    with pytest.raises(ca.ParameterError, match=f"needs {needed:,} bytes, but {needed - 1:,} are free"):
        ca.matrix.conv_matrix(layer, size)


def test_reads_say_which_weight_stands_where(random_matrices: int) -> None:
    for case in range(random_matrices // 4):
        layer, size, weight = random_conv(Random(case), case % 2 == 0, Random(case).choice(MODES[:3]))
        found, matrix = ca.matrix.reads(layer, size), ca.matrix.conv_matrix(layer, size, weight)
        built = np.zeros(matrix.shape)
        np.add.at(built, (found.rows, found.columns), weight.ravel()[found.weights])
        equal(built.ravel(), matrix.toarray(), layer, size)
    taps = ca.matrix.reads(ca.Unfold(kernel_size=2), (3, 3)).weights
    assert taps.tolist() == [tap for tap in range(4) for _ in range(4)]


def test_bytes_are_counted_by_hand() -> None:
    """Each value takes 8 bytes or as told; columns and row ends take 4, or 8 where a number does not fit."""
    most = 2**31 - 1
    one, shrinks, grows = ca.Conv(kernel_size=1), ca.Conv(kernel_size=1, stride=most), ca.ZeroInsert(stride=most)
    assert ca.matrix.bytes_needed(one, most) == 12 * most + 4 * (most + 1)
    assert ca.matrix.bytes_needed(one, most + 1) == 16 * (most + 1) + 8 * (most + 2)
    assert ca.matrix.bytes_needed(one, most, 4) == 8 * most + 4 * (most + 1)
    assert ca.matrix.bytes_needed(shrinks, most) == 12 + 4 * 2  # one row, that many columns
    assert ca.matrix.bytes_needed(shrinks, most + 1) == 2 * 16 + 8 * 3
    rows = grows.output_size(2)[0]
    assert rows > most
    assert ca.matrix.bytes_needed(grows, 2) == 2 * 16 + 8 * (rows + 1)
    assert ca.matrix.bytes_needed(grows, 1) == 12 + 4 * (grows.output_size(1)[0] + 1)
    dense = ca.Conv(kernel_size=2**16, padding=2**15)
    assert ca.matrix.nnz(dense, 2**16) > most
    assert ca.matrix.bytes_needed(dense, 2**16) == 16 * ca.matrix.nnz(dense, 2**16) + 8 * (2**16 + 2)


@pytest.mark.parametrize(
    ("text", "size", "itemsize", "rows_and_ends", "largest"),
    [
        # Along one axis 3 arrays of 8 bytes for each of 5 * 5 pairs, then columns and places of 4 bytes.
        ("Conv1d(1, 1, 5)", 9, 8, 16 * 5 + 8 * 5, 25 * (24 + 8)),
        # 4 * 4 pairs of a truth value, place and converted place, and the result of 16 entries and 5 row ends.
        ("Conv2d(1, 1, 2)", (3, 3), 8, 16 * 4 + 8 * 4, 16 * (1 + 4 + 8) + 16 * 12 + 5 * 4),
        # 2 positions, 12 rows: 8 pairs for 2 channels each, whose columns are held, too, and 96 entries.
        ("Conv2d(4, 6, 2, groups=2)", (2, 3), 8, 16 * 2 + 8 * 12, 8 + 16 * (4 + 8 + 4) + 96 * 12 + 13 * 4),
        ("Conv2d(4, 6, 2, groups=2)", (2, 3), 4, 16 * 2 + 8 * 12, 8 + 16 * (4 + 8 + 4) + 96 * 8 + 13 * 4),
        # 16 positions with 4 candidates: columns, taps and their sum, a truth value and a share of 8 bytes.
        ("Upsample(scale_factor=2, mode='bilinear')", (2, 2), 8, 16 * 16 + 8 * 16, 64 * (12 + 1 + 8 + 8)),
        # The same with 4 outputs: there the result is larger, as every entry is stored.
        ("Upsample(size=2, mode='bilinear')", (4, 4), 8, 16 * 4 + 8 * 4, 16 * (1 + 8 + 4 + 8) + 16 * 12 + 5 * 4),
        # Every tap has 4 rows.
        ("Unfold(2)", (3, 3), 8, 16 * 4 + 8 * 16, 16 * (1 + 4 + 8) + 16 * 12 + 17 * 4),
        ("ZeroInsert1d(2)", 0, 8, 0, 4),
        ("Conv1d(1, 1, 1)", 2**31 - 1, 8, 24 * (2**31 - 1), 32 * (2**31 - 1)),
        ("Conv1d(1, 1, 1)", 2**31, 8, 32 * 2**31, 41 * 2**31 + 8),
    ],
)
def test_the_peak_is_counted_by_hand(text: str, size: Any, itemsize: int, rows_and_ends: int, largest: int) -> None:
    assert ca.matrix.peak_bytes(ca.parse(text), size, itemsize) == rows_and_ends + largest


def test_the_peak_is_not_far_above_what_a_build_takes() -> None:
    for text in ("Conv2d(2, 3, 3, padding=1)", "Conv2d(8, 1, 3)", "Conv3d(1, 1, 3)", "AvgPool2d(2)"):
        layer: Any = ca.parse(text)
        size = (round(4e4 ** (1 / layer.ndim)),) * layer.ndim
        assert peak(layer, size) > 0.8 * ca.matrix.peak_bytes(layer, size), text


def test_every_matrix_says_that_it_is_canonical() -> None:
    for mode in MODES:
        layer = ca.Conv(kernel_size=3, padding=2, padding_mode=mode)
        assert ca.matrix.conv_matrix(layer, 3).has_canonical_format, mode
        assert ca.matrix.conv_matrix(layer, 3).has_sorted_indices, mode


def test_reads_of_a_window_as_large_as_the_input() -> None:
    found = ca.matrix.reads(ca.Unfold(kernel_size=3), (3, 3))
    assert found.rows.tolist() == found.columns.tolist() == found.weights.tolist() == list(range(9))


def test_the_free_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from convarith.matrices import matrix

    lines = ["MemTotal:  99 kB\n", "MemFree: 5 kB\n", "MemAvailable:    7 kB\n", "Cached: 3 kB\n"]
    monkeypatch.setattr(matrix, "open", lambda *_, **__: io.StringIO("".join(lines)), raising=False)
    assert matrix.free_memory() == 7 * 1024
    matrix.refuse_beyond_memory(7 * 1024, "this")
    with pytest.raises(ca.ParameterError, match=r"^this needs 7,169 bytes, but 7,168 are free: take a smaller input"):
        matrix.refuse_beyond_memory(7 * 1024 + 1, "this")
    with pytest.raises(ca.ParameterError, match=r"^this needs at least 7,169 bytes"):
        matrix.refuse_beyond_memory(7 * 1024 + 1, "this", at_least=True)
    with pytest.raises(ca.ParameterError, match=r"^the 98 x 100 matrix of .* at 100 needs 11,[\d,]+ bytes"):
        ca.matrix.check_memory(ca.Conv(kernel_size=3), 100)
    ca.matrix.check_memory(ca.Conv(kernel_size=3), 9)
    lines.pop(2)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 5, "SC_PAGE_SIZE": 4096}.__getitem__, raising=False)
    assert matrix.free_memory() == 5 * 4096
    monkeypatch.setattr(os, "sysconf", lambda name: int(name), raising=False)
    assert matrix.free_memory() is None
    matrix.refuse_beyond_memory(10**30, "anything")


def test_numbers_of_any_kind_are_taken(torch: ModuleType) -> None:
    layer = ca.Conv(kernel_size=2)
    for weight, kind in (
        ([1, 2], np.float64), (np.array([1, 2], np.float32), np.float32), (np.array([1j, 2]), np.complex128),
        (torch.tensor([1.0, 2.0], requires_grad=True), np.float32), ([True, True], np.float64),
    ):  # fmt: skip
        assert ca.matrix.conv_matrix(layer, 3, weight).dtype == kind
    with pytest.raises(ca.ParameterError, match="the bias is not an array of numbers"):
        ca.matrix.affine(layer, 3, bias=["a"])


def test_a_bias_is_added_to_every_position_of_its_channel() -> None:
    layer = ca.Conv(kernel_size=2, groups=2)
    assert ca.matrix.affine(layer, 4, bias=[1, 2])[1].tolist() == [1, 1, 1, 2, 2, 2]
    assert ca.matrix.affine(layer, 4)[1].tolist() == [0] * 6
    assert ca.matrix.affine(ca.AvgPool(kernel_size=2), 4)[1].tolist() == [0, 0]
    assert ca.matrix.affine(ca.parse("Conv1d(0, 2, 1)"), 4, bias=[1, 2])[1].tolist() == []
    with pytest.raises(ca.ParameterError, match="has no bias"):
        ca.matrix.affine(ca.AvgPool(kernel_size=2), 4, bias=[1])
    weight = np.ones((1, 2), np.float32)
    assert ca.matrix.affine(ca.Conv(kernel_size=(1, 2)), (2, 2), weight)[1].dtype == np.float32


def test_a_weight_of_the_kernels_shape_needs_one_channel() -> None:
    for text in ("Conv1d(1, 1, 3)", "ConvTranspose1d(1, 1, 3)"):
        assert ca.matrix.conv_matrix(ca.parse(text), 5, [1, 2, 3]).sum() > 0
    for text in ("Conv1d(1, 2, 3)", "Conv1d(2, 1, 3)", "Conv1d(2, 2, 3, groups=2)"):
        with pytest.raises(ca.ParameterError, match=r"the weight has shape \(3,\)"):
            ca.matrix.conv_matrix(ca.parse(text), 5, [1, 2, 3])


def test_a_layer_of_another_form_has_a_matrix_if_it_says_so(torch: ModuleType) -> None:
    """Adaptive pools read bins, which no layer with a matrix does: entries are listed, and nothing is shortened."""
    from convarith.matrices.absolute_sums import largest_sums
    from convarith.matrices.matrix import measured

    class Adaptive(ca.AdaptiveAvgPool):
        has_matrix = True

    for size, output in (((7,), (3,)), ((4,), (4,)), ((2, 9), (3, 2)), ((1, 5), (1, 1))):
        layer: Any = Adaptive(output_size=output)
        matrix = ca.matrix.conv_matrix(layer, size)
        x = values(Random(0), *size)
        pooled = getattr(torch.nn.functional, f"adaptive_avg_pool{len(size)}d")(torch.tensor(x)[None, None], output)
        equal(matrix @ x.ravel(), pooled.numpy(), layer, size)
        assert ca.matrix.nnz(layer, size) == matrix.nnz
        sums = matrix.toarray().sum(axis=1).max(), matrix.toarray().sum(axis=0).max()
        assert largest_sums(layer, measured(layer, size), None) == pytest.approx(sums)
        close = np.linalg.svd(matrix.toarray(), compute_uv=False)
        assert ca.spectrum.singular_values(layer, size).values == pytest.approx(close)
    with pytest.raises(ca.ParameterError, match=r"the 10,000,001 outputs of .* are too many to count"):
        ca.matrix.nnz(Adaptive(output_size=10_000_001), 7)
