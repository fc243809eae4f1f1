"""Every frame is correct: the cells that a step marks give the number that it shows, and that number is torch's.

The laws, for random layers in 1-D to 3-D with integers:
- The sum (or maximum) of the reads of an output is torch's output; nothing is read twice.
- slide: the marked inputs times the small numbers in their corners give the number that the step shows.
- scatter: the number in a cell plus the small number is the next number in the cell; the last one is torch's output.
- zero-insert and matrix: the marked row times the input is the output, and all outputs are torch's.
- overlap: the final counts are torch's transposed convolution of ones.
- unpool: the output is torch's max_unpool.
- field: the marked inputs are those that get a gradient.
- There is one step per output (slide, zero-insert, matrix) or per input (scatter, overlap).
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf, prod
from random import Random
from types import ModuleType
from typing import Any

import pytest
from convarith_gallery.render import film_of_network, story_of
from convarith_gallery.views.growing import tell as grow
from convarith_gallery.views.reads import reads, value_of
from convarith_gallery.views.story import Cell, Place, Story
from convarith_gallery.views.subject import Subject

import convarith as ca

pytestmark = pytest.mark.slow

CASES = 40
"""The number of random layers for each law."""


def whole(text: str) -> Fraction | float:
    """The number in a cell; 0 if there is none."""
    if text == "−∞":
        return -inf
    return Fraction(text.replace("−", "-").lstrip("+×") or "0")


def random_layer(rng: Random, kind: str) -> tuple[ca.Layer, tuple[int, ...]]:
    """A random layer of this kind, and a small input shape that it accepts."""
    while True:
        ndim = rng.choice((1, 1, 2, 2, 3))
        groups = rng.choice((1, 1, 2))
        channels = {"in_channels": groups * rng.randint(1, 2), "out_channels": groups * rng.randint(1, 2)}
        window: dict[str, Any] = {
            name: tuple(rng.randint(low, high) for _ in range(ndim))
            for name, low, high in (("kernel_size", 1, 3), ("stride", 1, 3), ("padding", 0, 2), ("dilation", 1, 2))
        }
        plain = {name: window[name] for name in ("kernel_size", "stride", "padding")}
        lead = rng.randint(1, 2)
        try:
            layer: ca.Layer
            match kind:
                case "conv":
                    mode = rng.choice(("zeros", "zeros", "reflect", "replicate", "circular"))
                    layer = ca.Conv(**window, **channels, groups=groups, padding_mode=mode)
                    lead = channels["in_channels"]
                case "conv-transpose":
                    extra = tuple(rng.randint(0, 1) for _ in range(ndim))
                    layer = ca.ConvTranspose(**window, **channels, groups=groups, output_padding=extra)
                    lead = channels["in_channels"]
                case "max-pool":
                    layer = ca.MaxPool(**window, ceil_mode=rng.random() < 0.5)
                case "avg-pool":
                    divisor = rng.choice((None, None, 3)) if ndim > 1 else None
                    include, ceil = rng.random() < 0.5, rng.random() < 0.5
                    layer = ca.AvgPool(
                        **plain, ceil_mode=ceil, count_include_pad=include, divisor_override=divisor, ndim=ndim
                    )
                case "adaptive":
                    size = tuple(rng.randint(1, 4) for _ in range(ndim))
                    layer = rng.choice((ca.AdaptiveAvgPool, ca.AdaptiveMaxPool))(output_size=size, ndim=ndim)
                case "upsample":
                    mode = rng.choice(("nearest", "nearest-exact", ("linear", "bilinear", "trilinear")[ndim - 1]))
                    corners = rng.choice((None, True, False)) if "linear" in mode else None
                    layer = ca.Upsample(
                        size=tuple(rng.randint(1, 7) for _ in range(ndim)), mode=mode, align_corners=corners
                    )
                case "pad":
                    mode = rng.choice(("zeros", "reflect", "replicate", "circular"))
                    least = -1 if mode == "zeros" else 0
                    layer = ca.Pad(
                        padding=tuple((rng.randint(least, 2), rng.randint(least, 2)) for _ in range(ndim)), mode=mode
                    )
                case "pixel":
                    layer = rng.choice((ca.PixelShuffle(upscale_factor=2), ca.PixelUnshuffle(downscale_factor=2)))
                    ndim, lead = 2, 4
            sizes = tuple(rng.randint(1, 5) for _ in range(ndim))
            layer.output_shape((1, lead, *sizes))
        except ca.ConvarithError:
            continue
        if prod(layer.output_shape((1, lead, *sizes))) <= 200:
            return layer, (lead, *sizes)


def subjects(kind: str, seed: int, cases: int = CASES) -> Iterator[tuple[Subject, Any]]:
    """Random subjects with integers, and torch's modules with the same weights."""
    import torch

    for case in range(cases):
        rng = Random(f"{kind}/{seed}/{case}")
        layer, shape = random_layer(rng, kind)
        module: Any = ca.pytorch.to_module(layer).double()
        weight = None
        if hasattr(module, "weight"):
            weight = [rng.randint(-3, 3) for _ in range(module.weight.numel())]
            with torch.no_grad():
                module.weight.copy_(torch.tensor(weight).reshape(module.weight.shape))
                module.bias.zero_()
        values = [rng.randint(-5, 5) for _ in range(prod(shape))]
        yield Subject.of(layer, shape, values, weight, numbers=True), module


def torchs(subject: Subject, module: Any) -> Any:
    import torch

    x = torch.tensor(list(subject.values.values()), dtype=torch.float64).reshape(1, *subject.shape)
    return module(x)[0].detach()


@pytest.mark.parametrize(
    "kind", ["conv", "conv-transpose", "max-pool", "avg-pool", "adaptive", "upsample", "pad", "pixel"]
)
def test_reads_give_torchs_output(torch: ModuleType, kind: str) -> None:
    for subject, module in subjects(kind, 1):
        expected = torchs(subject, module)
        found = list(reads(subject.layer, subject.shape))
        assert [read.target for read in found] == [tuple(at) for at in torch.ones(expected.shape).nonzero().tolist()]
        for read in found:
            ours = value_of(read, subject.values, subject.weight)
            theirs = expected[read.target].item()
            assert ours == theirs or abs(float(ours) - theirs) < 1e-9, f"{subject.layer} at {subject.shape}"
            taps = [(term.place, term.tap) for term in read.terms]
            assert len(set(taps)) == len(taps)


def groups_of(story: Story) -> list[str]:
    return [panel.group for panel in story.panels]


def final(story: Story) -> dict[Place, Cell]:
    """Every cell as it is after the last step."""
    cells = {
        (number, row, column): cell
        for number, panel in enumerate(story.panels)
        for row, line in enumerate(panel.rows)
        for column, cell in enumerate(line)
        if cell is not None
    }
    for step in story.steps:
        cells |= step.keeps
    return cells


def output_texts(story: Story, kept: bool = False) -> list[str]:
    """The texts of the output's cells, row-major; `kept` leaves out those that the padding crops."""
    names = groups_of(story)
    return [
        cell.text for place, cell in sorted(final(story).items())
        if names[place[0]] == "output" and not (kept and cell.role == "lost")
    ]  # fmt: skip


def written_as(expected: Any) -> list[Fraction | float]:
    return [
        value if value == -inf else Fraction(value).limit_denominator(1000) for value in expected.flatten().tolist()
    ]


def test_slide_marks_the_inputs_that_it_sums(torch: ModuleType) -> None:
    for kind in ("conv", "max-pool", "pad", "pixel"):
        for subject, module in subjects(kind, 2):
            story = story_of(subject, "slide")
            names = groups_of(story)
            assert list(map(whole, output_texts(story))) == written_as(torchs(subject, module)), str(subject.layer)
            if kind in ("conv", "max-pool"):
                assert len(story.steps) == prod(subject.output)
            for step in story.steps:
                read = [cell for (panel, _, _), cell in step.marks.items() if names[panel] == "input"]
                (now,) = (cell for (panel, _, _), cell in step.marks.items() if names[panel] == "output")
                if kind == "conv" and subject.layer.padding_mode == "zeros":  # type: ignore[attr-defined]
                    assert sum(whole(cell.text) * whole(cell.note) for cell in read) == whole(now.text)
                if kind == "max-pool":
                    assert max(whole(cell.text) for cell in read) == whole(now.text)


def test_scatter_adds_the_numbers_that_it_shows(torch: ModuleType) -> None:
    for subject, module in subjects("conv-transpose", 3):
        story = story_of(subject, "scatter")
        assert len(story.steps) == prod(subject.shape)
        names = groups_of(story)
        assert list(map(whole, output_texts(story, kept=True))) == written_as(torchs(subject, module)), str(
            subject.layer
        )
        held: dict[Place, Fraction | float] = {}
        for step in story.steps:
            for place, cell in step.marks.items():
                if names[place[0]] == "output":
                    assert held.get(place, Fraction(0)) + whole(cell.note) == whole(cell.text)
                    held[place] = whole(cell.text)


def test_zero_insertion_is_the_layer(torch: ModuleType) -> None:
    for subject, module in subjects("conv-transpose", 4):
        story = story_of(subject, "zero-insert")
        names = groups_of(story)
        assert len(story.steps) == prod(subject.output)
        assert list(map(whole, output_texts(story))) == written_as(torchs(subject, module)), str(subject.layer)
        for step in story.steps:
            read = [cell for (panel, _, _), cell in step.marks.items() if names[panel] == "input"]
            (now,) = (cell for (panel, _, _), cell in step.marks.items() if names[panel] == "output")
            assert sum(whole(cell.text) * whole(cell.note) for cell in read) == whole(now.text)


def test_the_flipped_kernel_gives_the_small_numbers(torch: ModuleType) -> None:
    """The small numbers in the window are the flipped kernel, cell by cell."""
    subject = Subject.of(ca.ConvTranspose(kernel_size=3, stride=2, ndim=2), (2, 2), numbers=True, weight=range(9))
    story = story_of(subject, "zero-insert")
    assert [[cell.text for cell in row if cell] for row in story.panels[1].rows] == [
        list("876"),
        list("543"),
        list("210"),
    ]
    notes = [cell.note for (panel, _, _), cell in sorted(story.steps[5].marks.items()) if panel == 0]
    assert notes == [f"×{weight}" for weight in range(8, -1, -1)]


@pytest.mark.parametrize("kind", ["conv", "conv-transpose", "pad", "pixel"])
def test_the_matrix_times_the_input_is_the_output(torch: ModuleType, kind: str) -> None:
    for subject, module in subjects(kind, 5, 30):
        if prod(subject.shape) * prod(subject.output) > 4096:
            continue
        story = story_of(subject, "matrix")
        matrix, column, _ = story.panels
        assert len(story.steps) == len(matrix.rows) == prod(subject.output)
        values = [whole(line[0].text) for line in column.rows if line[0]]
        sums = [
            sum(whole(cell.text) * value for cell, value in zip(line, values, strict=True) if cell and cell.text != "·")
            for line in matrix.rows
        ]
        assert sums == written_as(torchs(subject, module)) == list(map(whole, output_texts(story))), str(subject.layer)


def test_the_transposed_matrix_is_the_transpose() -> None:
    conv = Subject.of(ca.parse("Conv2d(1, 1, 3, stride=2)"), (5, 5), numbers=True, weight=range(1, 10))
    up = Subject.of(ca.parse("ConvTranspose2d(1, 1, 3, stride=2)"), (2, 2), numbers=True, weight=range(1, 10))
    there, back = (
        [[cell.text for cell in row if cell] for row in story_of(each, "matrix").panels[0].rows] for each in (conv, up)
    )
    assert [list(column) for column in zip(*there, strict=True)] == back


def test_overlap_counts_are_torchs(torch: ModuleType) -> None:
    for subject, _ in subjects("conv-transpose", 6):
        story = story_of(subject, "overlap")
        layer: Any = subject.layer
        ones = getattr(torch.nn.functional, f"conv_transpose{layer.ndim}d")
        options = layer.stride, layer.padding, layer.output_padding, 1, layer.dilation
        counts = ones(torch.ones(1, 1, *subject.shape[1:]), torch.ones(1, 1, *layer.kernel_size), None, *options)
        assert list(map(int, output_texts(story))) == counts.flatten().int().tolist(), str(layer)
        even = ca.overlap(layer).even
        assert story.remarks[0].startswith("even" if even else "uneven")


def test_unpooling_is_torchs(torch: ModuleType) -> None:
    for case in range(30):
        rng = Random(case)
        ndim, kernel = rng.choice((1, 2)), rng.randint(1, 3)
        layer = ca.MaxUnpool(kernel_size=kernel, ndim=ndim)
        sizes = tuple(rng.randint(1, 3) for _ in range(ndim))
        before = rng.sample(range(1, 200), prod(layer.output_size(sizes)))
        story = story_of(Subject.of(layer, sizes, before))
        functional = torch.nn.functional
        x = torch.tensor(before, dtype=torch.float64).reshape(1, *layer.output_size(sizes))
        pooled, indices = getattr(functional, f"max_pool{ndim}d")(x, kernel, return_indices=True)
        back = getattr(functional, f"max_unpool{ndim}d")(pooled, indices, kernel)
        assert list(map(whole, output_texts(story))) == written_as(back)


def test_the_field_is_where_the_gradient_is(torch: ModuleType) -> None:
    for case in range(20):
        rng = Random(case)
        ndim = rng.choice((1, 2))
        layers = [
            ca.Conv(
                kernel_size=rng.randint(1, 3), stride=rng.randint(1, 2), padding=rng.randint(0, 1), dilation=rng.randint(1, 2),
                in_channels=1, out_channels=1, ndim=ndim,
            )
            for _ in range(3)
        ]  # fmt: skip
        network = ca.Network.chain(layers)
        shape = (1, *(rng.randint(9, 12) for _ in range(ndim)))
        try:
            network.output_shape(shape)
        except ca.ShapeError:
            continue
        story = grow(network, shape)
        module = torch.nn.Sequential(*map(ca.pytorch.to_module, layers)).double()
        for parameter in module.parameters():
            torch.nn.init.ones_(parameter)
        x = torch.ones(1, *shape, dtype=torch.float64, requires_grad=True)
        y = module(x)[0, 0]
        first = tuple((size - 1) // 2 for size in y.shape)
        y[first].backward()
        last = len(story.panels) - 1
        step = story.steps[len(layers)]
        marked = {(row, column) for (panel, row, column) in step.marks if panel == last}
        seen = {tuple(at) if ndim == 2 else (0, *at) for at in x.grad[0, 0].nonzero().tolist()}
        assert marked == seen, f"{network} at {shape}"


def test_three_views_show_the_same_numbers(torch: ModuleType) -> None:
    for subject, module in subjects("conv-transpose", 7, 20):
        if prod(subject.shape) * prod(subject.output) > 4096:
            continue
        story = story_of(subject, "together")
        names = groups_of(story)
        expected = written_as(torchs(subject, module))
        for view in range(3):
            texts = [
                cell.text for place, cell in sorted(final(story).items()) if names[place[0]] == f"{view} output"
            ]  # fmt: skip
            assert list(map(whole, texts)) == expected
        assert len(story.steps) == len(expected)


def test_open_layers_are_settled() -> None:
    assert str(Subject.of(ca.Conv(kernel_size=3), (4,)).layer) == "Conv1d(1, 1, 3)"
    assert str(Subject.of(ca.Conv(kernel_size=3), (3, 4, 4)).layer) == "Conv2d(3, 1, 3)"
    assert Subject.of(ca.parse("PixelShuffle(2)"), (3, 3)).shape == (4, 3, 3)


@pytest.mark.parametrize(
    ("layer", "size", "options", "message"),
    [
        (
            "Conv2d(1, 1, 3)",
            (4, 4),
            {"values": [1, 2]},
            r"--values has 2 numbers, but a map of 1x4x4 takes 16: give 16",
        ),
        ("Conv2d(1, 1, 3)", (4, 4), {"weight": [1]}, r"--weight has 1 number, but the weight 1x1x3x3 takes 9"),
        ("MaxPool2d(2)", (4, 4), {"weight": [1]}, r"MaxPool2d\(kernel_size=2\) has no weight: leave --weight out"),
        ("Conv2d(2, 1, 3)", (3, 4, 4), {}, r"takes 2 channels, got 3x4x4"),
        ("Conv2d(1, 1, 3)", (1, 1, 4, 4), {}, r"takes 2 sizes, or 3 with the channels first: got 1x1x4x4"),
        ("Conv2d(1, 1, 5)", (4, 4), {}, "kernel spans 5"),
    ],
)
def test_refused_subjects(layer: str, size: tuple[int, ...], options: dict[str, Any], message: str) -> None:
    with pytest.raises(ca.ConvarithError, match=message):
        Subject.of(ca.parse(layer), size, **options)


@pytest.mark.parametrize(
    ("layer", "size", "view", "message"),
    [
        ("Conv2d(1, 1, 3)", (4, 4), "scatter", "view scatter is for conv-transpose, not for Conv2d"),
        ("Conv2d(1, 1, 3)", (4, 4), "sldie", "view 'sldie' is unknown: did you mean 'slide'"),
        ("Conv2d(1, 1, 3)", (4, 4), "field", "view field shows a network, not one layer"),
        ("MaxUnpool2d(2)", (2, 2), "slide", r"is shown by view unpool, not by slide"),
        ("MaxPool2d(2)", (4, 4), "matrix", "has no matrix because it is not linear: use --view slide"),
        ("Conv2d(1, 1, 3)", (40, 40), "matrix", r"the 1,444 x 1,600 matrix has more than 4,096 cells"),
        ("Softmax(1)", (4, 4), None, "cannot be drawn: the layers that can are conv, "),
        ("Upsample(scale_factor=2, mode='bicubic')", (4, 4), None, "cannot be drawn"),
    ],
)
def test_refused_views(layer: str, size: tuple[int, ...], view: str | None, message: str) -> None:
    with pytest.raises(ca.ConvarithError, match=message):
        story_of(Subject.of(ca.parse(layer), size), view)


@pytest.mark.parametrize(
    ("text", "shape", "view", "message"),
    [
        (
            "Conv2d(1, 1, 3); ReLU()",
            (1, 9, 9),
            "slide",
            "view slide shows one layer: a network is shown by hourglass or field",
        ),
        ("Conv2d(1, 1, 3); Flatten()", (1, 9, 9), "field", "leave out the layers from the Flatten on"),
        ("Conv1d(1, 1, 3)", (1, 900), "field", "the cells of a row of 900 are too small to see"),
        ("ReLU()", (1, 9, 9), "field", "no layer that reads more than one position"),
    ],
)
def test_refused_networks(text: str, shape: tuple[int, ...], view: str, message: str) -> None:
    with pytest.raises(ca.ConvarithError, match=message):
        film_of_network(ca.parse_network(text), shape, view)
