"""Networks applied piece by piece.

- The pieces together are the output for the whole picture, at any size and for scales 1 to 4.
- The inputs that a piece depends on, according to autograd, are within the reach computed from the trace.
- Every output belongs to exactly one piece, and pieces are as small as requested if the overlap allows it.
- A network that sees the whole picture gets one piece; a network whose output is not a multiple is refused.
- A picture of 4000 x 3000 is never in memory as a whole.
"""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="applies networks of torch, which is not installed")

import torch
from convarith_gallery.autoencoders.models.edsr import SIZES, Edsr, Mdsr
from convarith_gallery.autoencoders.models.unet import UNet
from convarith_gallery.autoencoders.restore.tiling import Tiling, restored, restored_pieces
from torch import Tensor, nn

from convarith.errors import ShapeError

pytestmark = pytest.mark.slow

TINY = SIZES["tiny"]

NETWORKS = {
    "U-Net": lambda: UNet(1, width=6, depth=2),
    "deeper U-Net": lambda: UNet(1, width=3, depth=3),
    "EDSR x2": lambda: Edsr(2, 1, TINY),
    "EDSR x3": lambda: Edsr(3, 1, TINY),
    "EDSR x4": lambda: Edsr(4, 1, TINY),
    "MDSR x3": lambda: Mdsr(1, TINY).at(3),
    "uneven transposed": lambda: nn.Sequential(
        nn.Conv2d(1, 4, 4, 2, 1), nn.ConvTranspose2d(4, 1, 3, 2, 1, output_padding=1)
    ),
    "without padding": lambda: nn.Sequential(nn.Conv2d(1, 4, 5), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 6, 2)),
    "bilinear, dilated": lambda: nn.Sequential(
        nn.AvgPool2d(4), nn.Upsample(scale_factor=4, mode="bilinear"), nn.Conv2d(1, 1, 3, padding=3, dilation=3)
    ),
}


def drawn(name: str) -> nn.Module:
    """A network with random weights, even if it normally starts with others."""
    module = NETWORKS[name]()
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.reset_parameters()
    return module.double().eval()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


def whole(module: nn.Module, tiling: Tiling, picture: Tensor) -> Tensor:
    """The output for the whole picture, which is reflected to a legal size; the result is cropped."""
    height, width = picture.shape[1:]
    tall, wide = tiling.legal_size((height, width))
    with torch.no_grad():
        padded = nn.functional.pad(picture[None], (0, wide - width, 0, tall - height), mode="reflect")
        result: Tensor = module(padded)[0]
    return result[:, : tiling.scale * height, : tiling.scale * width]


@pytest.mark.parametrize("size", [(101, 77), (33, 150), (72, 9)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_pieces_are_the_whole(name: str, size: tuple[int, int]) -> None:
    module = drawn(name)
    tiling = Tiling(module)
    assert len(tiling.pieces(tiling.legal_size(size), 48)) > 1
    picture = torch.rand(1, *size, dtype=torch.float64)
    torch.testing.assert_close(
        restored(module, picture, side=48), whole(module, tiling, picture), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", NETWORKS)
def test_no_output_depends_on_more_than_the_reach(name: str) -> None:
    module = drawn(name)
    for part in module.modules():  # a ReLU would hide some of the dependencies
        if isinstance(part, (nn.Sequential, nn.ModuleList)):
            for key, layer in part.named_children():
                if isinstance(layer, (nn.ReLU, nn.LeakyReLU)):
                    setattr(part, key, nn.Softplus())
    reach = Tiling(module).reaches[0]
    extent = 96 if name != "without padding" else 98
    image = torch.rand(1, 1, extent, extent, dtype=torch.float64, requires_grad=True)
    first = 48 // reach.step * reach.step
    last = first + 2 * reach.step
    outputs = module(image)[:, :, reach.scale * first : reach.scale * last]
    outputs.square().sum().backward()
    assert image.grad is not None
    seen = image.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert first - reach.before <= int(seen.min())
    assert int(seen.max()) < last + reach.after


@pytest.mark.parametrize("side", [8, 40, 64, 1000])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_output_belongs_to_one_piece(name: str, side: int) -> None:
    tiling = Tiling(NETWORKS[name]())
    size = tiling.legal_size((131, 70))
    count = torch.zeros(tiling.scale * size[0], tiling.scale * size[1], dtype=torch.int64)
    for rows, columns in tiling.pieces(size, side):
        count[rows.first : rows.last, columns.first : columns.last] += 1
        for piece, reach in zip((rows, columns), tiling.reaches, strict=True):
            overlap = reach.before + reach.after
            assert piece.end - piece.start <= max(side, 2 * overlap + reach.step)
            assert piece.start % reach.step == 0
    assert (count == 1).all()


def test_a_network_that_sees_everything_is_one_piece() -> None:
    module = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.GroupNorm(1, 2), nn.Conv2d(2, 1, 3, padding=1))
    tiling = Tiling(module)
    assert tiling.reaches == ()
    assert len(tiling.pieces((500, 400), 64)) == 1
    picture = torch.rand(1, 90, 70)
    with torch.no_grad():
        torch.testing.assert_close(restored(module, picture, side=32), module(picture[None])[0])


def test_a_network_that_is_not_a_restorer_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"turns 64x64 into 31x31: a restorer must give the same size"):
        Tiling(nn.Conv2d(1, 1, 3, stride=2))


def test_a_size_that_the_network_does_not_accept_is_refused() -> None:
    tiling = Tiling(nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Unflatten(1, (1, 8, 8))), (1, 8, 8))
    assert tiling.legal_size((8, 8)) == (8, 8)
    with pytest.raises(ShapeError, match="the network keeps the size for 8x8, but not for 9x8: crop the picture"):
        tiling.legal_size((9, 8))


def test_a_large_picture_is_read_piece_by_piece() -> None:
    module = nn.Conv2d(3, 3, 5, padding=2)
    tiling = Tiling(module, (3, 64, 64))
    most = pixels = 0

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        nonlocal most
        most = max(most, len(rows) * len(columns))
        return torch.zeros(3, len(rows), len(columns))

    for _, _, values in restored_pieces(module, tiling, read, (3000, 4000), side=512):
        pixels += values[0].numel()
    assert pixels == 3000 * 4000
    assert most <= 512 * 512
