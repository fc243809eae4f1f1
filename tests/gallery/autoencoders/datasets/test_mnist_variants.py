"""Data sets made from digits and shapes, and generated sounds.

- The digits are recognisable: unchanged on a black background, and rotated ones keep their centre and their ink.
- Rectangles are tall or wide as labelled. Convex regions contain the midpoints of all their pixels, others do not, and
  both classes have the same mean brightness, as in the original data.
- The seed determines everything; the backgrounds of training and test images come from different pictures.
- The class of a pixel is that of the digit whose stroke covers it.
- Sounds have the requested loudness and length.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="makes tensors of torch, which is not installed")
pytest.importorskip("skimage", reason="backgrounds come with scikit-image, which is not installed")

import torch
from convarith_gallery.autoencoders.datasets.dataset import as_float
from convarith_gallery.autoencoders.datasets.digits import digits
from convarith_gallery.autoencoders.datasets.mnist_variants import VARIANTS, segmentation, variant
from convarith_gallery.autoencoders.datasets.speech import speech
from torch import Tensor

from convarith.errors import ConvarithError

pytestmark = pytest.mark.slow

DIGITS = digits()


@pytest.mark.parametrize("name", VARIANTS)
def test_shapes_classes_and_seeds(name: str) -> None:
    data = variant(name, DIGITS, train=60, test=40)
    assert data.name == name
    assert data.train.shape == (60, 1, 28, 28)
    assert data.train.dtype == torch.uint8
    assert data.test_labels.shape == (40,)
    classes = 2 if name in ("rect", "rect-img", "convex") else 10
    assert set(data.train_labels.tolist()) <= set(range(classes))
    again, other = variant(name, DIGITS, 60, 40), variant(name, DIGITS, 60, 40, seed=1)
    assert torch.equal(data.train, again.train)
    assert torch.equal(data.test_labels, again.test_labels)
    assert not torch.equal(data.train, other.train)


def test_digits_stay_before_their_backgrounds() -> None:
    made = {name: variant(name, DIGITS, 30, 10).train for name in ("basic", "bg-rand", "bg-img")}
    strokes = made["basic"] == 255
    for name in ("bg-rand", "bg-img"):
        assert (made[name][strokes] == 255).all()
        assert (made[name] >= made["basic"]).all()


def test_a_turned_digit_keeps_its_middle_and_its_ink() -> None:
    basic, turned = (as_float(variant(name, DIGITS, 200, 1).train) for name in ("basic", "rot"))
    assert float(turned.sum()) == pytest.approx(float(basic.sum()), rel=0.03)
    torch.testing.assert_close(
        turned[:, :, 13:15, 13:15].mean((1, 2, 3)), basic[:, :, 13:15, 13:15].mean((1, 2, 3)), atol=0.15, rtol=0
    )


def test_rectangles_are_tall_or_wide() -> None:
    data = variant("rect", DIGITS, 200, 1)
    for image, tall in zip(data.train[:, 0], data.train_labels, strict=True):
        rows, columns = image.any(1).nonzero().flatten(), image.any(0).nonzero().flatten()
        height, width = (int(each[-1] - each[0]) + 1 for each in (rows, columns))
        assert (height > width) == bool(tall)
        assert abs(height - width) >= 3
        assert int((image > 0).sum()) == 2 * (height + width) - 4


def middles_outside(region: Tensor) -> bool:
    """Whether two pixels of the region have their midpoint at a pixel outside of it."""
    pixels = region.nonzero()
    sums = pixels[:, None] + pixels[None]
    middle = sums[(sums % 2 == 0).all(2)] // 2
    return not bool(region[middle[:, 0], middle[:, 1]].all())


def test_convex_regions_are_and_others_are_not() -> None:
    data = variant("convex", DIGITS, 60, 1)
    assert set(data.train_labels.tolist()) == {0, 1}
    for image, convex in zip(data.train[:, 0], data.train_labels, strict=True):
        assert middles_outside(image > 0) != bool(convex)
        assert int((image > 0).sum()) >= (19 if convex else 10)


def test_both_classes_of_regions_are_as_white_in_the_mean() -> None:
    data = variant("convex", DIGITS, 4000, 1)
    white = as_float(data.train).mean((1, 2, 3))
    both = [white[data.train_labels == label] for label in (0, 1)]
    deviation = sum(float(each.var()) / len(each) for each in both) ** 0.5
    assert abs(float(both[0].mean() - both[1].mean())) < 4 * deviation


@pytest.mark.parametrize(("name", "count"), [("rect", 1_200), ("convex", 8_000), ("rot", 12_000)])
def test_as_many_training_images_as_in_the_source(name: str, count: int) -> None:
    assert len(variant(name, DIGITS, test=1).train) == count


def test_a_class_for_every_pixel() -> None:
    data = segmentation(DIGITS, 50, 20)
    assert data.train.shape == (50, 2, 32, 32)
    for item, label in zip(data.train, data.train_labels, strict=True):
        assert set(item[1].unique().tolist()) == {0, 1 + int(label)}


def test_sounds() -> None:
    data = speech(20, 5, 512)
    assert data.train.shape == (20, 1, 512)
    torch.testing.assert_close(data.train.abs().amax(2).flatten(), torch.ones(20))
    assert torch.equal(data.train, speech(20, 5, 512).train)
    assert not torch.equal(data.train[:5], data.test)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(ConvarithError, match="unknown variant 'bg-imgs': did you mean 'bg-img'"):
        variant("bg-imgs", DIGITS)
