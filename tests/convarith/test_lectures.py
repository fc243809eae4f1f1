"""Every size printed in five lectures on autoencoders and transposed convolutions.

- csc413: CSC413 Neural Networks and Deep Learning, lecture 9.
- cern: CERN School of Computing 2024, Transposed Convolutions and Auto-Encoders.
- fleuret: EE-559 Deep Learning, 7.1 Transposed convolutions, 7.2 Deep autoencoders, 7.3 Denoising autoencoders.
- stat453: STAT 453 Introduction to Deep Learning, lecture 16.
- sutd: 50.039 Theory and Practice of Deep Learning, week 11.

The layers are written as printed in the lectures. The tests:

- A printed layer gives the printed shape, here and in torch.
- A printed stack gives the printed shapes.
- A printed formula agrees with the layer for all small parameters.
- "Maintains the signal size W only if W = w + s q" holds in both directions.
- A kernel size divisible by the stride covers evenly; a 4x4 kernel with stride 3 does not.
- A decoder with interpolation has the same sizes as the decoder that it replaces.
"""

from __future__ import annotations

from itertools import pairwise, product
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

import convarith as ca
from convarith.sizes.rules import hits_evenly

Shape = tuple[int, ...]

PRINTED: dict[str, list[tuple[str, Shape, Shape]]] = {
    "csc413: inverse convolution": [
        ("nn.Conv2d(in_channels=8, out_channels=8, kernel_size=5)", (2, 8, 64, 64), (2, 8, 60, 60)),
        ("nn.ConvTranspose2d(in_channels=8, out_channels=8, kernel_size=5)", (2, 8, 60, 60), (2, 8, 64, 64)),
    ],
    "csc413: inverse convolution + padding": [
        ("nn.Conv2d(in_channels=8, out_channels=8, kernel_size=5, padding=2)", (2, 8, 64, 64), (2, 8, 64, 64)),
        ("nn.ConvTranspose2d(in_channels=8, out_channels=8, kernel_size=5, padding=2)", (2, 8, 64, 64), (2, 8, 64, 64)),
    ],
    "csc413: inverse convolution + stride, almost the same shape": [
        ("nn.Conv2d(in_channels=8, out_channels=8, kernel_size=5, stride=2)", (2, 8, 64, 64), (2, 8, 30, 30)),
        ("nn.ConvTranspose2d(in_channels=8, out_channels=8, kernel_size=5, stride=2)", (2, 8, 30, 30), (2, 8, 63, 63)),
    ],
    "csc413: output padding": [
        (
            "nn.ConvTranspose2d(in_channels=8, out_channels=8, kernel_size=5, stride=2, output_padding=1)",
            (2, 8, 30, 30), (2, 8, 64, 64),
        ),
    ],
    "csc413: W1 = H1 = 5, F = 3, S = 1, P = 0": [("nn.Conv2d(1, 1, 3)", (1, 5, 5), (1, 3, 3))],
    "csc413: W1 = H1 = 3, F = 3, S = 2, P = 1": [
        ("nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)", (1, 3, 3), (1, 5, 5)),
    ],
    "sutd: a standard convolution and a deconvolution layer": [
        ("nn.Conv2d(in_channels = 8, \\\n out_channels = 8, \\\n kernel_size = 5)", (2, 8, 64, 64), (2, 8, 60, 60)),
        ("nn.ConvTranspose2d(in_channels = 8, \\\n out_channels = 8, \\\n kernel_size = 5)",
         (2, 8, 60, 60), (2, 8, 64, 64)),
    ],
    "sutd: a deconvolution layer with padding": [
        ("nn.ConvTranspose2d(in_channels = 16, out_channels = 8, kernel_size = 5, padding = 2)",
         (32, 16, 64, 64), (32, 8, 64, 64)),
    ],
    "sutd: a deconvolution layer with stride and padding": [
        ("nn.ConvTranspose2d(in_channels = 16, out_channels = 8, kernel_size = 5, stride = 2, output_padding = 1, "
         "padding = 2)", (32, 16, 64, 64), (32, 8, 128, 128)),
    ],
    "sutd: fully connected, images of 28*28": [
        ("nn.Linear(28*28, 5)", (128, 784), (128, 5)),
        ("nn.ReLU(True)", (128, 5), (128, 5)),
        ("nn.Linear(5, 28*28)", (128, 5), (128, 784)),
        ("nn.Tanh()", (128, 784), (128, 784)),
    ],
    "sutd: 3x3 image, 2x2 kernel": [("nn.Conv2d(1, 1, 2)", (1, 3, 3), (1, 2, 2))],
    "sutd: nearest neighbours": [("nn.Upsample(scale_factor=2)", (1, 1, 2, 2), (1, 1, 4, 4))],
    "stat453: s(n-1)+k-2p = 1*(2-1)+3-2*0 = 4": [
        ("torch.nn.ConvTranspose2d(in_channels=1, out_channels=1, kernel_size=(3, 3), padding=0, stride=1)",
         (1, 1, 2, 2), (1, 1, 4, 4)),
    ],
    "stat453: s(n-1)+k-2p = 1*(4-1)+3-2*0 = 6": [
        ("torch.nn.ConvTranspose2d(in_channels=1, out_channels=1, kernel_size=(3, 3), padding=0, stride=1)",
         (1, 1, 4, 4), (1, 1, 6, 6)),
    ],
    "stat453: s(n-1)+k-2p = 1*(8-1)+3-2*0 = 10": [
        ("torch.nn.ConvTranspose2d(in_channels=1, out_channels=1, kernel_size=(3, 3), padding=0, stride=1)",
         (1, 1, 8, 8), (1, 1, 10, 10)),
    ],
    "stat453: 3x3 kernel and stride of 2x2 applied to a 2x2 input give 5x5": [
        ("nn.ConvTranspose2d(1, 1, (3, 3), stride=(2, 2))", (1, 1, 2, 2), (1, 1, 5, 5)),
    ],
    "fleuret, cern: F.conv1d(x, k) has 5 values of 7": [("nn.Conv1d(1, 1, 3)", (1, 1, 7), (1, 1, 5))],
    "fleuret, cern: F.conv_transpose1d(x, k) has 9 values of 7": [
        ("nn.ConvTranspose1d(1, 1, 3)", (1, 1, 7), (1, 1, 9)),
    ],
    "fleuret: nn.ConvTranspose1d makes 7 values of 5": [
        ("nn.ConvTranspose1d(1, 1, kernel_size=3)", (1, 1, 5), (1, 1, 7)),
    ],
    "fleuret: a signal of 10, a kernel of 4": [("nn.Conv1d(1, 1, 4)", (1, 10), (1, 7))],
    "fleuret, cern: F.interpolate(x, scale_factor = 3)": [
        ("nn.Upsample(scale_factor = 3, mode = 'bilinear')", (1, 1, 2, 2), (1, 1, 6, 6)),
        ("nn.Upsample(scale_factor = 3, mode = 'nearest')", (1, 1, 2, 2), (1, 1, 6, 6)),
    ],
    "fleuret: the input of super-resolution is avg_pool2d(original, kernel_size = 2)": [
        ("nn.AvgPool2d(kernel_size = 2)", (1, 28, 28), (1, 14, 14)),
    ],
    "fleuret: denoising in two dimensions": [
        ("nn.Linear(2, 100)", (100, 2), (100, 100)),
        ("nn.ReLU()", (100, 100), (100, 100)),
        ("nn.Linear(100, 2)", (100, 100), (100, 2)),
    ],
}  # fmt: skip
"""For each heading: a layer as printed, its input shape and the printed output shape."""

STACKS: dict[str, tuple[list[str], list[Shape]]] = {
    "fleuret, cern: encoder of the deep autoencoder": (
        [
            "nn.Conv2d(1, 32, kernel_size=5, stride=1)",
            "nn.Conv2d(32, 32, kernel_size=5, stride=1)",
            "nn.Conv2d(32, 32, kernel_size=4, stride=2)",
            "nn.Conv2d(32, 32, kernel_size=3, stride=2)",
            "nn.Conv2d(32, 8, kernel_size=4, stride=1)",
        ],
        [(1, 28, 28), (32, 24, 24), (32, 20, 20), (32, 9, 9), (32, 4, 4), (8, 1, 1)],
    ),
    "fleuret, cern: decoder of the deep autoencoder": (
        [
            "nn.ConvTranspose2d(8, 32, kernel_size=4, stride=1)",
            "nn.ConvTranspose2d(32, 32, kernel_size=3, stride=2)",
            "nn.ConvTranspose2d(32, 32, kernel_size=4, stride=2)",
            "nn.ConvTranspose2d(32, 32, kernel_size=5, stride=1)",
            "nn.ConvTranspose2d(32, 1, kernel_size=5, stride=1)",
        ],
        [(8, 1, 1), (32, 4, 4), (32, 9, 9), (32, 20, 20), (32, 24, 24), (1, 28, 28)],
    ),
    "fleuret, cern: the deep autoencoder as print shows it": (
        [
            "Conv2d(1, 32, kernel_size=(5, 5), stride=(1, 1))",
            "ReLU (inplace)",
            "Conv2d(32, 32, kernel_size=(5, 5), stride=(1, 1))",
            "ReLU (inplace)",
            "Conv2d(32, 32, kernel_size=(4, 4), stride=(2, 2))",
            "ReLU (inplace)",
            "Conv2d(32, 32, kernel_size=(3, 3), stride=(2, 2))",
            "ReLU (inplace)",
            "Conv2d(32, 8, kernel_size=(4, 4), stride=(1, 1))",
            "ConvTranspose2d(8, 32, kernel_size=(4, 4), stride=(1, 1))",
            "ReLU (inplace)",
            "ConvTranspose2d(32, 32, kernel_size=(3, 3), stride=(2, 2))",
            "ReLU (inplace)",
            "ConvTranspose2d(32, 32, kernel_size=(4, 4), stride=(2, 2))",
            "ReLU (inplace)",
            "ConvTranspose2d(32, 32, kernel_size=(5, 5), stride=(1, 1))",
            "ReLU (inplace)",
            "ConvTranspose2d(32, 1, kernel_size=(5, 5), stride=(1, 1))",
        ],
        [
            (1, 28, 28), (32, 24, 24), (32, 24, 24), (32, 20, 20), (32, 20, 20), (32, 9, 9), (32, 9, 9), (32, 4, 4),
            (32, 4, 4), (8, 1, 1), (32, 4, 4), (32, 4, 4), (32, 9, 9), (32, 9, 9), (32, 20, 20), (32, 20, 20),
            (32, 24, 24), (32, 24, 24), (1, 28, 28),
        ],
    ),
    "fleuret: encoder of MNISTUpscaler": (
        [
            "Conv2d(1, 32, kernel_size=(5, 5), stride=(1, 1))",
            "Conv2d(32, 32, kernel_size=(5, 5), stride=(1, 1))",
            "Conv2d(32, 32, kernel_size=(4, 4), stride=(1, 1))",
            "Conv2d(32, 32, kernel_size=(3, 3), stride=(1, 1))",
        ],
        [(1, 14, 14), (32, 10, 10), (32, 6, 6), (32, 3, 3), (32, 1, 1)],
    ),
    "fleuret: decoder of MNISTUpscaler": (
        [
            "ConvTranspose2d(32, 32, kernel_size=(4, 4), stride=(1, 1))",
            "ReLU(inplace=True)",
            "ConvTranspose2d(32, 32, kernel_size=(3, 3), stride=(2, 2))",
            "ReLU(inplace=True)",
            "ConvTranspose2d(32, 32, kernel_size=(4, 4), stride=(2, 2))",
            "ReLU(inplace=True)",
            "ConvTranspose2d(32, 32, kernel_size=(5, 5), stride=(1, 1))",
            "ReLU(inplace=True)",
            "ConvTranspose2d(32, 1, kernel_size=(5, 5), stride=(1, 1))",
        ],
        [
            (32, 1, 1), (32, 4, 4), (32, 4, 4), (32, 9, 9), (32, 9, 9), (32, 20, 20), (32, 20, 20), (32, 24, 24),
            (32, 24, 24), (1, 28, 28),
        ],
    ),
    "sutd: the convolutional autoencoder, hidden_layer = 7": (
        [
            "nn.Conv2d(1, 16, 3, stride = 2, padding = 1)",
            "nn.ReLU()",
            "nn.Conv2d(16, 32, 3, stride = 2, padding = 1)",
            "nn.ReLU()",
            "nn.Conv2d(32, 64, 7)",
            "nn.ConvTranspose2d(64, 32, 7)",
            "nn.ReLU()",
            "nn.ConvTranspose2d(32, 16, 3, stride = 2, padding = 1, output_padding = 1)",
            "nn.ReLU()",
            "nn.ConvTranspose2d(16, 1, 3, stride = 2, padding = 1, output_padding = 1)",
            "nn.ReLU()",
        ],
        [
            (1, 28, 28), (16, 14, 14), (16, 14, 14), (32, 7, 7), (32, 7, 7), (64, 1, 1), (32, 7, 7), (32, 7, 7),
            (16, 14, 14), (16, 14, 14), (1, 28, 28), (1, 28, 28),
        ],
    ),
}  # fmt: skip
"""For each heading: the layers as printed, and the shapes before, between and after them."""

LAYERS = [
    *((text, before, after) for rows in PRINTED.values() for text, before, after in rows),
    *(
        (text, before, after)
        for texts, shapes in STACKS.values()
        for text, (before, after) in zip(texts, pairwise(shapes), strict=True)
    ),
]

small = st.integers(1, 40)


@pytest.mark.parametrize("heading", PRINTED)
def test_a_printed_layer_gives_the_printed_shape(heading: str) -> None:
    for text, before, after in PRINTED[heading]:
        assert ca.parse(text).output_shape(before) == after


@pytest.mark.parametrize("heading", STACKS)
def test_a_printed_stack_gives_the_printed_shapes(heading: str) -> None:
    texts, shapes = STACKS[heading]
    current = shapes[0]
    seen = [current, *(current := ca.parse(text).output_shape(current) for text in texts)]
    assert seen == shapes


def test_torch_agrees_with_the_lectures(torch: ModuleType) -> None:
    checked = 0
    for text, before, after in LAYERS:
        if "(inplace)" in text:
            continue
        module = eval(text.replace("\\\n", ""), {"torch": torch, "nn": torch.nn, **vars(torch.nn)})
        with torch.no_grad():
            assert tuple(module(torch.zeros(before)).shape) == after, text
        checked += 1
    assert checked > 60


def test_bed_of_nails() -> None:
    assert ca.ZeroInsert(stride=2).output_shape((1, 1, 2, 2)) == (1, 1, 4, 4)


@given(st.integers(1, 200), st.integers(1, 30))
def test_a_convolution_has_signal_minus_kernel_plus_1_outputs(signal: int, kernel: int) -> None:
    conv = ca.Conv(kernel_size=kernel)
    if kernel <= signal:
        assert conv.output_size(signal) == (signal - kernel + 1,)
    else:
        with pytest.raises(ca.ShapeError, match=f"the kernel spans {kernel} .* the padded input is {signal}"):
            conv.output_size(signal)


def test_convolution_and_its_transpose_keep_sizes_w_plus_s_q() -> None:
    for signal, kernel, stride in product(range(1, 41), range(1, 9), range(1, 7)):
        if signal < kernel:
            continue
        conv, transposed = (make(kernel_size=kernel, stride=stride) for make in (ca.Conv, ca.ConvTranspose))
        returned = transposed.output_size(conv.output_size(signal))
        assert (returned == (signal,)) == any(signal == kernel + stride * q for q in range(signal))
        assert signal - stride < returned[0] <= signal


@given(small, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3))
def test_sutd_formula_of_a_convolution(size: int, kernel: int, stride: int, padding: int) -> None:
    output = (size + 2 * padding - kernel + stride) // stride
    conv = ca.Conv(kernel_size=kernel, stride=stride, padding=padding)
    if output > 0 and size + 2 * padding >= kernel:
        assert conv.output_size(size) == (output,)
    else:
        with pytest.raises(ca.ShapeError, match="the kernel spans"):
            conv.output_size(size)


@given(small, st.integers(1, 7), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3), st.data())
def test_sutd_formula_of_a_deconvolution(
    size: int, kernel: int, stride: int, padding: int, dilation: int, data: st.DataObject
) -> None:
    extra = data.draw(st.integers(0, max(stride, dilation) - 1))
    output = (size - 1) * stride - 2 * padding + extra + 1 + dilation * (kernel - 1)
    layer = ca.ConvTranspose(
        kernel_size=kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation
    )
    if output > 0:
        assert layer.output_size(size) == (output,)
        assert dilation > 1 or output == (size - 1) * stride - 2 * padding + kernel + extra
        assert dilation > 1 or extra or output == stride * (size - 1) + kernel - 2 * padding
    else:
        with pytest.raises(ca.ShapeError, match=f"the output would be {output} "):
            layer.output_size(size)


@pytest.mark.parametrize(("kernel", "stride", "even"), [(4, 3, False), (2, 2, True), (4, 2, True), (3, 2, False)])
def test_checkerboards(kernel: int, stride: int, even: bool) -> None:
    assert hits_evenly(kernel, stride) is even


@given(small)
def test_interpolation_replaces_a_transposed_convolution(size: int) -> None:
    transposed = ca.ConvTranspose(kernel_size=3, stride=2, padding=1, output_padding=1)
    interpolated = ca.Upsample(scale_factor=2, mode="bilinear").output_size((size, size))
    assert ca.Conv(kernel_size=3, padding=1).output_size(interpolated) == transposed.output_size((size, size))


@given(st.integers(1, 20))
def test_noise2noise_restores_the_size_after_five_pools(times: int) -> None:
    size: Shape = (32 * times,)
    for _ in range(5):
        size = ca.MaxPool(kernel_size=2).output_size(ca.Conv(kernel_size=3, padding=1).output_size(size))
    assert size == (times,)
    for _ in range(5):
        size = ca.Upsample(scale_factor=2).output_size(size)
    assert size == (32 * times,)


@pytest.mark.parametrize("text", ["ReLU (inplace)", "ReLU(inplace=True)", "nn.ReLU(True)"])
def test_all_printed_forms_of_relu_are_equal(text: str) -> None:
    assert ca.parse(text) == ca.Elementwise("ReLU", inplace=True)
