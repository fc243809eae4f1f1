"""The named scenes. The laws:

- The nineteen scenes of conv_arithmetic have its names, its parameters and one frame for each of its steps.
- Every scene can be drawn, and no scene has the name of a kind of layer.
- The numbers in the pictures are those of the paper, of the lectures, and of PyTorch.
- A film has one caption per frame; its boxes lie inside the picture and do not overlap.
- The table of views is complete: `--help` names every view, and every kind of layer has a default view.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest
from convarith_cli.animate import VIEW_HELP
from convarith_gallery.drawing.film import Box
from convarith_gallery.render import LAYER_VIEWS, NETWORK_VIEWS, views_for
from convarith_gallery.scenes import scene, scenes

import convarith as ca
from convarith.layers.registry import KINDS

GUIDE = {
    # name: (input size of the convolution, its output size, padding, kernel size, stride)
    "no_padding_no_strides": (4, 2, 0, 3, 1),
    "arbitrary_padding_no_strides": (5, 6, 2, 4, 1),
    "same_padding_no_strides": (5, 5, 1, 3, 1),
    "full_padding_no_strides": (5, 7, 2, 3, 1),
    "no_padding_strides": (5, 2, 0, 3, 2),
    "padding_strides": (5, 3, 1, 3, 2),
    "padding_strides_odd": (6, 3, 1, 3, 2),
}
NUMERIC = {
    "numerical_no_padding_no_strides": [12, 12, 17, 10, 17, 19, 9, 6, 14],
    "numerical_padding_strides": [6, 17, 3, 8, 17, 13, 6, 4, 4],
    "numerical_average_pooling": ["1.67", "1.67", "1.67", "1", "1.22", "1.78", "1.11", "0.78", "1.33"],
    "numerical_max_pooling": [3, 3, 3, 3, 3, 3, 3, 2, 3],
}
"""The numbers in the figures of the paper (arXiv 1603.07285, figures 1.1, 1.2, 1.5 and 1.6)."""


@pytest.mark.parametrize("name", GUIDE)
def test_the_scenes_of_the_guide_have_its_parameters(name: str) -> None:
    size, output, padding, kernel, stride = GUIDE[name]
    conv: Any = ca.parse(scene(name).subject)
    assert scene(name).size == (size, size)
    assert conv.output_size((size, size)) == (output, output)
    assert (conv.kernel_size, conv.stride, conv.padding) == ((kernel,) * 2, (stride,) * 2, (padding,) * 2)
    assert len(scene(name).film().frames) == output**2
    back = ca.parse(scene(f"{name}_transposed").subject)
    assert scene(f"{name}_transposed").size == (output, output)
    assert back.output_size((output, output)) == (size, size)
    assert len(scene(f"{name}_transposed").film().frames) == size**2


@pytest.mark.parametrize("name", NUMERIC)
def test_the_scenes_of_the_guide_have_its_numbers(name: str) -> None:
    film = scene(name).film()
    shown = list(film.shown())[-1]
    cells = [item.text for item in shown if isinstance(item, Box) and item.fill in ("output", "now") and item.edge]
    assert cells == [str(number) for number in NUMERIC[name]]


def test_every_scene_of_the_guide_is_there() -> None:
    guide = [each.name for each in scenes().values() if each.group == "A guide to convolution arithmetic"]
    assert sorted(guide) == sorted([*GUIDE, *(f"{name}_transposed" for name in GUIDE), "dilation", *NUMERIC])


@pytest.mark.parametrize("name", scenes())
def test_every_scene_can_be_drawn(name: str) -> None:
    each = scene(name)
    assert name.replace("_", "-") not in KINDS
    assert each.view in (None, *LAYER_VIEWS, *NETWORK_VIEWS)
    assert each.text.endswith(".")
    film = each.film()
    assert len(film.frames) == len(film.captions) > 1
    assert all(film.captions)
    for shown in (next(iter(film.shown())), list(film.shown())[-1]):
        boxes = [item for item in shown if isinstance(item, Box)]
        for box in boxes:
            assert box.x >= 0
            assert box.y >= 0
            assert box.x + box.width + box.slant <= film.width + 0.01
            assert box.y + box.height <= film.height
        assert not any(overlap(one, other) for at, one in enumerate(boxes) for other in boxes[:at])


def overlap(one: Box, other: Box) -> bool:
    """Do two boxes overlap? Slanted boxes are compared at their lower edges, where rows do not touch."""
    down = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    return min(one.x + one.width, other.x + other.width) - max(one.x, other.x) > 0.01 and down > 0.01


def test_the_scenes_from_lectures_have_their_numbers() -> None:
    """The matrix example 25 31 43 49, Fleuret's 1-D example and its transpose, and 2x2 to 5x5."""

    def outputs(name: str) -> list[str]:
        shown = list(scene(name).film().shown())[-1]
        return [item.text for item in shown if isinstance(item, Box) and item.fill in ("output", "now") and item.edge]

    assert outputs("matrix") == ["25", "31", "43", "49"]
    assert outputs("walk") == outputs("matrix_walk")
    assert outputs("walk_transposed") == outputs("matrix_transposed")
    assert scene("two_by_two_to_five").film().title == "Transposed convolution: 2 × 2 → 5 × 5"


def test_the_outputs_of_the_walks_are_those_of_torch(torch: ModuleType) -> None:
    one, back = scene("walk"), scene("walk_transposed")
    functional = torch.nn.functional
    y = functional.conv1d(torch.tensor([[one.values]]), torch.tensor([[one.weight]]))
    x = functional.conv_transpose1d(torch.tensor([[back.values]]), torch.tensor([[back.weight]]))
    for each, expected in ((one, y), (back, x)):
        shown = list(each.film().shown())[-1]
        cells = [item.text for item in shown if isinstance(item, Box) and item.fill in ("output", "now") and item.edge]
        assert [int(text.replace("−", "-")) for text in cells] == expected.flatten().tolist()


def test_the_help_names_every_view() -> None:
    assert {*LAYER_VIEWS, *NETWORK_VIEWS} <= set(re.findall(r"[\w-]+", VIEW_HELP))
    assert not LAYER_VIEWS.keys() & NETWORK_VIEWS.keys()


@pytest.mark.parametrize(
    ("call", "views"),
    [
        ("Conv2d(1, 1, 3)", ["slide", "matrix"]),
        ("ConvTranspose2d(1, 1, 3)", ["scatter", "slide", "matrix", "zero-insert", "overlap", "together"]),
        ("MaxUnpool2d(2)", ["unpool"]),
        ("AvgPool2d(2)", ["slide", "matrix"]),
    ],
)
def test_the_views_of_a_layer(call: str, views: list[str]) -> None:
    assert views_for(ca.parse(call)) == views


def test_a_style_that_does_not_fit_is_rejected() -> None:
    with pytest.raises(ca.ParameterError, match="a matrix cannot be drawn in the slanted style: use --style flat"):
        scene("matrix").film("slanted")
    with pytest.raises(ca.ParameterError, match="style 'round' is unknown"):
        scene("walk").film("round")
