"""Harder data sets made from digits and shapes: the variants of Larochelle et al., and digits with a class per pixel.

The definitions are from Larochelle et al., "An empirical evaluation of deep architectures on problems with many
factors of variation", ICML 2007, and from the web page of its data, which Vincent et al., JMLR 2010, use in table 3.
The original test sets have 50,000 images. Backgrounds are cut from the pictures that scikit-image ships; the test set
and the training set use different pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_gallery.autoencoders.datasets.dataset import Dataset, as_float
from convarith_gallery.autoencoders.datasets.natural import pictures

SIDE = 28
SCENE = 32
"""The side of a picture whose pixels are classified; it can be halved 5 times."""
FLAT = 0.1
"""Background patches with a smaller standard deviation than this show nothing and are not used."""


def variant(name: str, digits: Dataset, train: int | None = None, test: int = 10_000, seed: int = 0) -> Dataset:
    """The variant with this name in VARIANTS: images of 28x28 and their classes.

    The digits are taken from a data set of digits; rect, rect-img and convex have two classes and use no digits. The
    default number of training images is that of the original data.

    Raises ConvarithError for an unknown name.

    >>> from convarith_gallery.autoencoders.datasets.digits import digits
    >>> data = variant("bg-rand", digits(), train=20, test=10)
    >>> data.name, data.train.shape, data.test_labels.shape
    ('bg-rand', torch.Size([20, 1, 28, 28]), torch.Size([10]))
    """
    if name not in VARIANTS:
        raise ConvarithError(f"unknown variant {name!r}: {nearest(name, VARIANTS)}")
    train = TRAINING.get(name, 12_000) if train is None else train
    made: list[Tensor] = []
    for part, count, images, labels in (
        ("train", train, digits.train, digits.train_labels), ("test", test, digits.test, digits.test_labels),
    ):  # fmt: skip
        generator = Generator().manual_seed(2 * seed + (part == "test"))
        made += VARIANTS[name](Draw(part, count, generator, images, labels))
    source = f"{name}: {train:,} training and {test:,} test images of 28x28, made from {digits.name} with seed {seed}"
    train_images, train_labels, test_images, test_labels = map(_stored, made)
    return Dataset(name, source, train_images, train_labels, test_images, test_labels)


def segmentation(digits: Dataset, train: int = 12_000, test: int = 2_000, seed: int = 0) -> Dataset:
    """Digits on pictures, with the class of every pixel.

    Items are (2, 32, 32) of type uint8: the picture, and the class of each pixel, which is 0 for the background and 1 +
    the digit for its strokes.

    >>> from convarith_gallery.autoencoders.datasets.digits import digits
    >>> segmentation(digits(), train=5, test=5).train[:, 1].amax()
    tensor(9, dtype=torch.uint8)
    """
    made: list[Tensor] = []
    for part, count, images, labels in (
        ("train", train, digits.train, digits.train_labels), ("test", test, digits.test, digits.test_labels),
    ):  # fmt: skip
        draw = Draw(part, count, Generator().manual_seed(2 * seed + (part == "test")), images, labels)
        images, classes = draw.digits()
        strokes = functional.pad(images, [(SCENE - SIDE) // 2] * 4)
        picture = _stored(_over(strokes * draw.uniform(0.6, 1.0), draw.patches(SCENE)))
        mask = torch.where(strokes > 0.5, 1 + classes[:, None, None, None], 0).byte()
        made += [torch.cat((picture, mask), dim=1), classes]
    source = (
        f"segment: {train:,} training and {test:,} test digits of {digits.name} on pictures, with a class per pixel"
    )
    train_images, train_labels, test_images, test_labels = made
    return Dataset("segment", source, train_images, train_labels, test_images, test_labels)


class Draw:
    """The source of random digits, numbers and backgrounds for one part of a data set.

    Attributes:
        part: 'train' or 'test'.
        count: the number of images.
        generator: the source of random numbers.
    """

    def __init__(self, part: str, count: int, generator: Generator, images: Tensor, labels: Tensor) -> None:
        self.part, self.count, self.generator = part, count, generator
        self._images, self._labels = images, labels

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Random numbers between two bounds: (count, *shape), or (count, 1, 1, 1) without a shape."""
        drawn = torch.rand(self.count, *(shape or (1, 1, 1)), generator=self.generator)
        return low + (high - low) * drawn

    def digits(self) -> tuple[Tensor, Tensor]:
        """Digits from 0 to 1 and their classes; a digit is repeated only if there are not enough."""
        order = torch.randperm(len(self._images), generator=self.generator)
        chosen = order.repeat(-(-self.count // len(order)))[: self.count]
        return as_float(self._images[chosen].cpu()), self._labels[chosen].cpu()

    def patches(self, side: int = SIDE) -> Tensor:
        """Square patches of natural pictures from 0 to 1, without those that show nothing."""
        shown: list[Tensor] = []
        source = pictures(self.part, colour=False)
        while sum(map(len, shown)) < self.count:
            seed = int(torch.randint(2**31, (), generator=self.generator))
            crops = as_float(source.crops(2 * self.count, side, seed))
            shown.append(crops[crops.flatten(1).std(1) > FLAT])
        return torch.cat(shown)[: self.count]


def basic(draw: Draw) -> tuple[Tensor, Tensor]:
    """The digits as they are."""
    return draw.digits()


def rotated(draw: Draw) -> tuple[Tensor, Tensor]:
    """Digits rotated by a random angle."""
    images, labels = draw.digits()
    angle = draw.uniform(0, 2 * math.pi).flatten()
    turn = torch.stack((angle.cos(), -angle.sin(), angle.sin(), angle.cos()), dim=1).reshape(-1, 2, 2)
    grid = functional.affine_grid(functional.pad(turn, (0, 1)), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False), labels


def on_noise(draw: Draw) -> tuple[Tensor, Tensor]:
    """Digits on a background of noise: every pixel is uniformly distributed between black and white."""
    images, labels = draw.digits()
    return _over(images, draw.uniform(0, 1, 1, SIDE, SIDE)), labels


def on_pictures(draw: Draw) -> tuple[Tensor, Tensor]:
    """Digits on patches of pictures."""
    images, labels = draw.digits()
    return _over(images, draw.patches()), labels


def rotated_on_pictures(draw: Draw) -> tuple[Tensor, Tensor]:
    """Rotated digits on patches of pictures."""
    images, labels = rotated(draw)
    return _over(images, draw.patches()), labels


def rectangles(draw: Draw) -> tuple[Tensor, Tensor]:
    """Outlines of rectangles, 0 for wide and 1 for tall ones; the sides differ by 3 or more."""
    inside, edge, labels = _rectangles(draw, smallest=4, difference=3)
    return (inside & edge).float(), labels


def rectangles_on_pictures(draw: Draw) -> tuple[Tensor, Tensor]:
    """Rectangles from one picture on another; the sides are 10 or more and differ by 5 or more."""
    inside, _, labels = _rectangles(draw, smallest=10, difference=5)
    return torch.where(inside, draw.patches(), draw.patches()), labels


def convex(draw: Draw) -> tuple[Tensor, Tensor]:
    """White regions: 1 for convex regions of 19 or more pixels, 0 for non-convex unions of 2 to 4 of 10 or more.

    The numbers of half-planes are chosen so that both classes have the same mean brightness.
    """
    labels = torch.randint(2, (draw.count,), generator=draw.generator)
    images = torch.zeros(draw.count, SIDE, SIDE, dtype=torch.bool)
    images[labels == 1] = _convex_regions(int(labels.sum()), 0.195, 19, draw.generator)
    left = (labels == 0).nonzero().flatten()
    while len(left):
        parts = _convex_regions(4 * len(left), 0.07, 10, draw.generator).reshape(-1, 4, SIDE, SIDE)
        used = torch.randint(2, 5, (len(left), 1), generator=draw.generator) > torch.arange(4)
        images[left] = (parts & used[:, :, None, None]).any(1)
        left = left[~_is_dented(images[left])]
    return images[:, None].float(), labels


VARIANTS: dict[str, Callable[[Draw], tuple[Tensor, Tensor]]] = {
    "basic": basic,
    "rot": rotated,
    "bg-rand": on_noise,
    "bg-img": on_pictures,
    "bg-img-rot": rotated_on_pictures,
    "rect": rectangles,
    "rect-img": rectangles_on_pictures,
    "convex": convex,
}
"""The names are those of Vincent et al., table 3."""
TRAINING = {"rect": 1_200, "convex": 8_000}
"""The number of training and validation images, for the variants with other than 12,000."""

NAMES = (*VARIANTS, "segment")


def made(name: str, digits: Dataset) -> Dataset:
    """The data set with this name in NAMES; unless it is made from MNIST, its name also contains that of the digits."""
    data = segmentation(digits) if name == "segment" else variant(name, digits)
    return data if digits.name == "mnist" else data._replace(name=f"{name}-{digits.name}")


def _over(strokes: Tensor, background: Tensor) -> Tensor:
    """White strokes on a background, both from 0 to 1."""
    return strokes + (1 - strokes) * background


def _rectangles(draw: Draw, smallest: int, difference: int) -> tuple[Tensor, Tensor, Tensor]:
    """Masks (N, 1, 28, 28) of the inside and the edge of random rectangles, and which rectangles are tall."""
    shortest = draw.uniform(smallest, SIDE - difference - 1, 1).floor()
    longest = torch.lerp(shortest + difference, torch.full_like(shortest, SIDE - 1), draw.uniform(0, 1, 1)).floor()
    tall = torch.rand(draw.count, 1, generator=draw.generator) < 0.5
    sides = torch.where(tall, torch.cat((longest, shortest), 1), torch.cat((shortest, longest), 1))
    start = (draw.uniform(0, 1, 2) * (SIDE - sides + 1)).floor()
    at = torch.arange(SIDE)
    after, before = at - start[:, :, None], (start + sides - 1)[:, :, None] - at
    inside = (after >= 0) & (before >= 0)
    edge = inside & ((after == 0) | (before == 0))
    whole = inside[:, 0, :, None] & inside[:, 1, None, :]
    outline = edge[:, 0, :, None] | edge[:, 1, None, :]
    return whole[:, None], outline[:, None], tall.flatten().long()


def _convex_regions(count: int, chance: float, least: int, generator: Generator) -> Tensor:
    """Intersections of half-planes, each through a random point in a random direction: (count, 28, 28) booleans.

    The number of half-planes has the geometric distribution of `chance`, starting from 0. Regions of fewer than
    `least` pixels are replaced.
    """
    axis = torch.arange(SIDE)
    found = [torch.empty(0, SIDE, SIDE, dtype=torch.bool)]
    while sum(map(len, found)) < count:
        regions = torch.ones(count, SIDE, SIDE, dtype=torch.bool)
        planes = torch.empty(count).geometric_(chance, generator=generator) - 1
        left = torch.arange(count)
        for number in range(int(planes.max())):
            left = left[(planes[left] > number) & regions[left].flatten(1).any(1)]
            place = SIDE * torch.rand(2, len(left), 1, 1, generator=generator)
            angle = 2 * math.pi * torch.rand(len(left), 1, 1, generator=generator)
            rows, columns = axis[:, None] - place[0], axis - place[1]
            regions[left] &= angle.cos() * rows + angle.sin() * columns <= 0
        found.append(regions[regions.flatten(1).sum(1) >= least])
    return torch.cat(found)[:count]


def _is_dented(regions: Tensor) -> Tensor:
    """Whether each region (N, 28, 28) is not convex: two of its pixels have their midpoint at a pixel outside of it.

    >>> _is_dented(torch.tensor([[[1, 1, 1]], [[1, 0, 1]]]) > 0)
    tensor([False,  True])
    """
    height, width = regions.shape[1:]
    size = (2 * height - 1, 2 * width - 1)
    spectrum = torch.fft.rfft2(regions.float(), s=size)
    pairs = torch.fft.irfft2(spectrum.square(), s=size)[:, ::2, ::2]  # the number of pairs with midpoint m
    dented: Tensor = ((pairs > 0.5) & ~regions).flatten(1).any(1)
    return dented


def _stored(values: Tensor) -> Tensor:
    return (values.clamp(0, 1) * 255).round().byte() if values.is_floating_point() else values
