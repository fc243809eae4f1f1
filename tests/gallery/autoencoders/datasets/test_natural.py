"""Natural pictures.

- No picture is in two parts, and no training crop is part of a test picture.
- Crops are parts of the pictures, rotated or mirrored; the same seed gives the same crops.
- Tiles form a grid that covers as much of each picture as possible.
"""

from __future__ import annotations

from itertools import combinations

import pytest

pytest.importorskip("torch", reason="holds pictures in tensors of torch, which is not installed")
pytest.importorskip("skimage", reason="its pictures come with scikit-image, which is not installed")

import numpy as np
import torch
from convarith_gallery.autoencoders.datasets.natural import SPLIT, natural, pictures
from torch import Tensor

from convarith.errors import ConvarithError


def test_parts_share_no_picture() -> None:
    for one, other in combinations(SPLIT, 2):
        assert not set(SPLIT[one]) & set(SPLIT[other])
    parts = {part: pictures(part, colour=False) for part in SPLIT}
    contents = [picture.numpy().tobytes() for part in parts.values() for picture in part.pictures]
    assert len(set(contents)) == len(contents)


def occurs(patch: Tensor, picture: Tensor) -> bool:
    """Whether the patch, in one of its eight orientations, is a part of the picture."""
    side = patch.shape[-1]
    ways = [turned.rot90(turn, (1, 2)) for turn in range(4) for turned in (patch, patch.flip(2))]
    windows = np.lib.stride_tricks.sliding_window_view(picture[0].numpy(), (side, side))
    for way in ways:
        corner = windows[..., 0, 0] == way[0, 0, 0].item()
        if (windows[corner] == way[0].numpy()).all((1, 2)).any():
            return True
    return False


def test_crops_are_of_their_own_part() -> None:
    train, test = pictures("train", colour=False), pictures("test", colour=False)
    crops = train.crops(4, 12, seed=1)
    for crop in crops:
        assert any(occurs(crop, picture) for picture in train.pictures)
        assert crop.float().std() < 2 or not any(occurs(crop, picture) for picture in test.pictures)
    assert torch.equal(crops, train.crops(4, 12, seed=1))
    assert not torch.equal(crops, train.crops(4, 12, seed=2))


def test_tiles_fill_the_pictures() -> None:
    part = pictures("test")
    tiles = part.tiles(100)
    counts = [(picture.shape[1] // 100) * (picture.shape[2] // 100) for picture in part.pictures]
    assert len(tiles) == sum(counts)
    assert torch.equal(tiles[1], part.pictures[0][:, :100, 100:200])


def test_colour_and_grey() -> None:
    assert pictures("test").names == ("chelsea", "coffee", "rocket")
    assert {len(picture) for picture in pictures("train").pictures} == {3}
    assert {len(picture) for picture in pictures("test", colour=False).pictures} == {1}


def test_what_is_transparent_in_a_drawing_is_white() -> None:
    part = pictures("drawings")
    logo = part.pictures[part.names.index("logo")]
    assert logo[:, 0, 0].tolist() == [255, 255, 255]


def test_the_data_set_holds_validation_pictures_first() -> None:
    data = natural("natural-grey", count=24)
    assert data.train.shape == (24, 1, 96, 96)
    validation = pictures("validation", colour=False)
    assert torch.equal(data.train[:2], validation.crops(2, 96))
    assert data.test.shape[1:] == (1, 96, 96)


@pytest.mark.parametrize("count", [1, 12, 24, 60, 119])
def test_validation_items_are_never_trained_on(count: int) -> None:
    data = natural("natural-grey", count=120)
    validation, train = data.train[:10], data.train[10:]
    few = data.training(count, 1 / 12)
    held_out = count // 12
    assert len(few) == count
    assert torch.equal(few[:held_out], validation[:held_out])
    assert torch.equal(few[held_out:], train[: count - held_out])


def test_unknown_parts_and_large_crops_are_refused() -> None:
    with pytest.raises(ConvarithError, match="split into train, validation, test, drawings: got 'tests'"):
        pictures("tests")
    with pytest.raises(ConvarithError, match="crops of these pictures are at most 512 pixels wide: got 2000"):
        pictures("train").crops(1, 2000)
