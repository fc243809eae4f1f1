"""Natural pictures that scikit-image ships, split by picture, so that training and test patches never share one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from convarith.errors import ConvarithError
from convarith_gallery.autoencoders.datasets.dataset import Dataset

SPLIT = {
    "train": ("astronaut", "brick", "camera", "coins", "gravel", "ihc", "motorcycle_left", "moon", "text"),
    "validation": ("hubble_deep_field", "page", "retina"),
    "test": ("chelsea", "coffee", "grass", "rocket"),
    "drawings": ("chessboard_RGB", "color", "logo", "phantom"),
}
"""File names without their endings. 'drawings' are only enlarged; masks and the second stereo picture are unused."""


class Natural(NamedTuple):
    """Pictures of different sizes, each (C, H, W) of type uint8, and their names."""

    names: tuple[str, ...]
    pictures: tuple[Tensor, ...]

    def crops(self, count: int, side: int, seed: int = 0) -> Tensor:
        """Random square patches (count, C, side, side), rotated and mirrored at random.

        Pictures are chosen with probabilities proportional to their areas.

        Raises ConvarithError if `side` is larger than every picture.

        >>> pictures("validation", colour=False).crops(3, 16).shape
        torch.Size([3, 1, 16, 16])
        """
        large = [picture for picture in self.pictures if min(picture.shape[1:]) >= side]
        if not large:
            widest = max(min(picture.shape[1:]) for picture in self.pictures)
            raise ConvarithError(f"crops of these pictures are at most {widest} pixels wide: got {side}")
        generator = torch.Generator().manual_seed(seed)
        areas = torch.tensor([float(picture[0].numel()) for picture in large])
        chosen = torch.multinomial(areas, count, replacement=True, generator=generator)
        places, turns = torch.rand(count, 2, generator=generator), torch.randint(8, (count,), generator=generator)
        result = torch.empty(count, len(large[0]), side, side, dtype=torch.uint8)
        for number, (which, place, turn) in enumerate(zip(chosen.tolist(), places, turns.tolist(), strict=True)):
            picture = large[which]
            top, left = (
                int(part * (extent - side + 1)) for part, extent in zip(place.tolist(), picture.shape[1:], strict=True)
            )
            patch = picture[:, top : top + side, left : left + side].rot90(turn % 4, (1, 2))
            result[number] = patch.flip(2) if turn >= 4 else patch
        return result

    def tiles(self, side: int) -> Tensor:
        """All square patches (N, C, side, side) of a grid that starts at the top left corner of each picture."""
        parts = [
            picture.unfold(1, side, side).unfold(2, side, side).permute(1, 2, 0, 3, 4).flatten(0, 1)
            for picture in self.pictures
            if min(picture.shape[1:]) >= side
        ]
        return torch.cat(parts).contiguous()


def pictures(part: str, *, colour: bool = True) -> Natural:
    """The pictures of one part of SPLIT, in colour or in grey.

    In colour, grey pictures are used for training only, with three equal channels.

    Raises ConvarithError for an unknown part, and if scikit-image lacks one of the files.

    >>> pictures("test").names
    ('chelsea', 'coffee', 'rocket')
    >>> pictures("test", colour=False).pictures[0].shape
    torch.Size([1, 300, 451])
    """
    if part not in SPLIT:
        raise ConvarithError(f"the pictures are split into {', '.join(SPLIT)}: got {part!r}")
    found = [(name, _on_white(image).convert("RGB" if colour else "L")) for name, image in _opened(part, colour)]
    names, images = zip(*found, strict=True)
    return Natural(names, tuple(_tensor(image) for image in images))


def _opened(part: str, colour: bool) -> Iterator[tuple[str, Image.Image]]:
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    for name in SPLIT[part]:
        path = next((path for path in (folder / f"{name}.png", folder / f"{name}.jpg") if path.exists()), None)
        if path is None:
            raise ConvarithError(f"{folder} has no picture {name}: reinstall scikit-image with its pictures")
        with Image.open(path) as image:
            if not colour or part == "train" or image.mode != "L":
                yield name, image


def _on_white(image: Image.Image) -> Image.Image:
    """The picture on a white background, where it is transparent."""
    if "A" not in image.mode:
        return image
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image.convert("RGBA"))
    return ground


def _tensor(image: Image.Image) -> Tensor:
    array = np.asarray(image)
    return torch.from_numpy(array.reshape(*array.shape[:2], -1).transpose(2, 0, 1).copy())


NAMES = ("natural", "natural-grey")
SIDE = 96
"""The side of training crops and test tiles: a multiple of 32, for the U-Net, and of the scales 2, 3 and 4."""
VALIDATION = 12
"""One crop in this many is from the validation pictures; these crops come first."""


def natural(name: str, count: int = 2400, seed: int = 0) -> Dataset:
    """Crops for training and tiles for testing, (N, 3, 96, 96) or (N, 1, 96, 96) of type uint8; every label is 0.

    >>> natural("natural-grey", count=12).train.shape
    torch.Size([12, 1, 96, 96])
    """
    colour = name == "natural"
    parts = {part: pictures(part, colour=colour) for part in ("train", "validation", "test")}
    held_out = count // VALIDATION
    train = torch.cat(
        (parts["validation"].crops(held_out, SIDE, seed), parts["train"].crops(count - held_out, SIDE, seed))
    )
    test = parts["test"].tiles(SIDE)
    source = (
        f"{name}: {count:,} training crops and {len(test):,} test tiles of {SIDE}x{SIDE} from pictures that "
        f"scikit-image ships; {', '.join(parts['test'].names)} are used for testing only"
    )
    labels = [torch.zeros(len(part), dtype=torch.int64) for part in (train, test)]
    return Dataset(name, source, train, labels[0], test, labels[1], held_out)


def pairs(folder: Path, count: int = 2400, seed: int = 0) -> Dataset:
    """Pairs of noisy pictures of the same scene, which have the same name in the folders a and b.

    Items are (N, 6, 96, 96) of type uint8: the channels of one picture, then those of the other.

    The last fifth of the pairs in the order of their names is for testing, and the first pair is for validation.

    Raises ConvarithError if there are fewer than three pairs, or if a picture has no partner of the same size.
    """
    names = [{path.name for path in (folder / part).glob("*") if path.is_file()} for part in "ab"]
    if alone := sorted(names[0] ^ names[1]):
        raise ConvarithError(
            f"{folder}: {alone[0]} is only in one of the folders a and b: add its partner to the other"
        )
    if len(names[0]) < 3:
        count_word = f"{len(names[0])} pair{'s' * (len(names[0]) != 1)}"
        raise ConvarithError(f"{folder} has {count_word} of pictures in its folders a and b: give 3 or more")
    found = tuple(_pair(folder, name) for name in sorted(names[0]))
    tested = max(1, len(found) // 5)
    validation, train, test = (Natural((), part) for part in (found[:1], found[1:-tested], found[-tested:]))
    held_out = count // VALIDATION
    crops = torch.cat((validation.crops(held_out, SIDE, seed), train.crops(count - held_out, SIDE, seed)))
    tiles = test.tiles(SIDE)
    source = f"pairs: {count:,} training crops and {len(tiles):,} test tiles of {SIDE}x{SIDE} from {len(found)} pairs"
    labels = [torch.zeros(len(part), dtype=torch.int64) for part in (crops, tiles)]
    return Dataset("pairs", source, crops, labels[0], tiles, labels[1], held_out)


def _pair(folder: Path, name: str) -> Tensor:
    both = []
    for part in "ab":
        try:
            with Image.open(folder / part / name) as image:
                both.append(_tensor(image.convert("RGB")))
        except OSError:
            raise ConvarithError(f"cannot read {folder / part / name}: use pictures such as PNG or JPEG") from None
    sizes = [f"{picture.shape[2]}x{picture.shape[1]}" for picture in both]
    if sizes[0] != sizes[1] or min(both[0].shape[1:]) < SIDE:
        raise ConvarithError(
            f"{folder}: {name} is {sizes[0]} in a and {sizes[1]} in b: both must have the same size, at least "
            f"{SIDE}x{SIDE}"
        )
    return torch.cat(both)
