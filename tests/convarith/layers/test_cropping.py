"""Cropping is slicing. The oracle is torch's own slices, and torch's ZeroPad with negative padding.

- Sizes, refusals and values are those of x[..., a : -b], in 1-D, 2-D and 3-D.
- Its matrix is the slice; its receptive field and overlap are those of ZeroPad with the same numbers, negated.
- It is mirrored by zeros, and its generated module slices.
- What cannot be cropped is refused with the remedy.
"""

from __future__ import annotations

import random
from types import ModuleType

import pytest

import convarith as ca


def crops(rng: random.Random, ndim: int) -> tuple[tuple[int, int], ...]:
    return tuple((rng.randint(0, 3), rng.randint(0, 3)) for _ in range(ndim))


def test_it_is_a_slice(torch: ModuleType) -> None:
    rng = random.Random(3)
    for _ in range(200):
        ndim = rng.randint(1, 3)
        ends = crops(rng, ndim)
        layer = ca.Crop(crop=ends, ndim=ndim)
        x = torch.rand(rng.randint(1, 2), 2, *(rng.randint(1, 9) for _ in range(ndim)))
        expected = x[(..., *(slice(a, size - b) for (a, b), size in zip(ends, x.shape[2:], strict=True)))]
        if 0 in expected.shape or any(a + b > size for (a, b), size in zip(ends, x.shape[2:], strict=True)):
            with pytest.raises(ca.ShapeError, match="leaves nothing of"):
                layer.output_shape(x.shape)
            continue
        assert layer.output_shape(x.shape) == tuple(expected.shape)
        assert torch.equal(ca.pytorch.to_module(layer)(x), expected)
        assert ca.parse(str(layer)) == layer


def test_its_matrix_is_the_slice() -> None:
    np = pytest.importorskip("numpy", reason="matrices need numpy")
    pytest.importorskip("scipy", reason="matrices need scipy")
    x = np.arange(5 * 7)
    matrix = ca.matrix.conv_matrix(ca.parse("Crop2d(((1, 2), (0, 3)))"), (5, 7))
    assert (matrix @ x).tolist() == x.reshape(5, 7)[1:3, :4].ravel().tolist()


def test_it_is_a_negative_padding() -> None:
    crop, pad = "Crop2d(((1, 2), (0, 3)))", "ZeroPad2d((0, -3, -1, -2))"
    for text in ("Conv2d(1, 1, 3, stride=2); {}; Conv2d(1, 1, 2)", "{}; MaxPool2d(2)"):
        one, other = (ca.parse_network(text.format(each)) for each in (crop, pad))
        assert [row[3:] for row in one.trace((1, 21, 24)).rows] == [row[3:] for row in other.trace((1, 21, 24)).rows]
        assert ca.overlap(one, (21, 24)).grid() == ca.overlap(other, (21, 24)).grid()
        for axis in range(2):
            assert one.size_map(axis).formula("H") == other.size_map(axis).formula("H")


def test_a_mirror_fills_up_with_zeros(torch: ModuleType) -> None:
    net = ca.parse_network("Conv2d(1, 4, 3, stride=2, padding=1); Crop2d(((1, 2), 1))")
    decoder = ca.mirror(net, (1, 28, 30), any_size=True)
    assert "ZeroPad2d((1, 1, 1, 2))" in decoder.code()
    assert decoder.verify().problems == ()
    assert decoder.report.serves[0][1] == net.size_map(0).domain


def test_a_unet_without_padding_meets_its_crop() -> None:
    """The skip of the classic U-Net (arXiv 1505.04597) at 572 is cropped by 4 at its deepest level."""
    text = "skip: Conv2d(1, 8, 3); down: MaxPool2d(2); deep: Conv2d(8, 8, 3); up: ConvTranspose2d(8, 8, 2, stride=2)"
    net = ca.parse_network(f"{text}; cut: Crop2d(2)(skip); Concat()(cut, up)")
    assert net.output_shape((1, 572, 572)) == (16, 566, 566)
    assert net.size_map(0).domain.words("H") == "H = 0 (mod 2), H >= 8"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Crop2d(-1)", "crop is -1: it must be at least 0"),
        ("Crop2d(((1, -1), 0))", r"crop is \(1, -1\): it must be at least 0, and a Pad adds positions"),
        ("Crop2d('same')", "crop must be an integer, got 'same'"),
        ("Crop4d(1)", "unknown layer 'Crop4d'"),
    ],
)
def test_a_wrong_crop_is_refused(text: str, message: str) -> None:
    with pytest.raises(ca.ParseError, match=message):
        ca.parse(text)
