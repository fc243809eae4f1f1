"""A new layer is one class and one line: everything else follows from what the class says.

The layer of these tests keeps every s-th position, as x[..., ::s] does; numpy's own slicing is the oracle.

- A text with the layer is parsed, traced and printed back.
- Its size map is the length of the slice, for every size.
- Its receptive field, its matrix and its overlap are those of the slice.
- It is mirrored, and drawn.
- A registered layer is known by its kind, and forgotten again where it is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

import convarith as ca
from convarith.layers import registry
from convarith.layers.base import SpatialLayer
from convarith.layers.reads import Reads, Scattering, Window
from convarith.layers.ways_back import Passage, Way
from convarith.sizes.normalise import Ints
from convarith.sizes.rules import AxisRule, FloorRule

np = pytest.importorskip("numpy", reason="slices arrays with numpy")


@dataclass(frozen=True, kw_only=True, repr=False)
class EveryNth(SpatialLayer):
    """Every s-th position of each axis, from the first."""

    stride: Ints
    ndim: int | None = None

    torch_name: ClassVar[str] = "EveryNth"
    signature: ClassVar[tuple[str, ...]] = ("stride",)
    leading: ClassVar[int] = 1
    dimensions: ClassVar[tuple[int, ...]] = (1, 2, 3)
    formula_text: ClassVar[str] = "floor(({i} - 1)/{s}) + 1"
    source: ClassVar[str] = "Python's slices"
    title: ClassVar[str] = "Every n-th position"
    has_matrix: ClassVar[bool] = True
    overlap_side: ClassVar[str] = "gradient"

    def __post_init__(self) -> None:
        self._settle("stride", stride=1)
        self._set_rules()

    def _rule(self, axis: int, ndim: int | None) -> AxisRule:
        return FloorRule(shift=-1, step=self.at("stride", axis), offset=1)

    def letters(self, axis: int) -> dict[str, int]:
        return {"s": self.at("stride", axis)}

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        return Window(stride=self.at("stride", axis))

    def scattering(self, axis: int) -> Scattering | None:
        return Scattering(1, self.at("stride", axis))

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        sizes = self.spatial_size(input_size)
        return tuple((size - 1) % self.at("stride", axis) for axis, size in enumerate(sizes))

    def way_back(self, passage: Passage) -> Way | None:
        sizes, outputs = passage.before[1:], passage.after[1:]
        strides = [self.at("stride", axis) for axis in range(passage.ndim)]
        crops = tuple((0, size - output * s) for size, output, s in zip(sizes, outputs, strides, strict=True))
        nails = ca.ZeroInsert(stride=self.stride, ndim=passage.ndim)
        return Way((nails, ca.Pad(padding=crops, ndim=passage.ndim)), "crop", (nails,))


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    registry.register(EveryNth)
    yield
    del registry.MODULES["EveryNth"], registry.KINDS["every-nth"]


def test_a_text_with_it_is_traced() -> None:
    net = ca.parse_network("Conv2d(1, 4, 3, padding=1); EveryNth2d(2); ReLU()")
    assert str(net).splitlines()[1] == "1: EveryNth2d(2)"
    rows = net.trace((1, 9, 10)).rows
    assert [row.output for row in rows] == [(4, 9, 10), (4, 5, 5), (4, 5, 5)]
    assert [(row.receptive_field, row.jump) for row in rows[1:]] == [((3, 3), (2, 2))] * 2


def test_its_size_map_is_the_length_of_the_slice() -> None:
    sizes = ca.parse_network("EveryNth1d(3); EveryNth1d(2)").size_map(0)
    assert sizes.formula("L") == "floor((L - 1)/6) + 1"
    for size in range(1, 200):
        assert sizes(size) == len(range(size)[::3][::2])
    assert sizes.inputs_for(4).words("L") == "L = 19..24"


def test_its_matrix_is_the_slice() -> None:
    layer = ca.parse("EveryNth2d((2, 3))")
    x = np.arange(5 * 7).reshape(5, 7)
    assert (ca.matrix.conv_matrix(layer, (5, 7)) @ x.ravel()).tolist() == x[::2, ::3].ravel().tolist()
    assert ca.matrix.nnz(layer, (5, 7)) == x[::2, ::3].size
    assert ca.spectrum.rank(layer, (5, 7)) == x[::2, ::3].size
    operator = ca.views.operator(layer, (5, 7))
    assert (operator @ x.ravel()).tolist() == x[::2, ::3].ravel().tolist()


def test_its_overlap_counts_the_positions_that_are_kept() -> None:
    layer = ca.parse("EveryNth1d(3)")
    for size in range(1, 20):
        kept = np.zeros(size, int)
        kept[::3] = 1
        assert ca.overlap(layer, size).counts == (tuple(kept.tolist()),)
    found = ca.overlap(ca.parse_network("EveryNth1d(2); Conv1d(1, 1, 3)"), 11)
    assert found.side == "gradient"
    assert found.counts == ((1, 0, 2, 0, 3, 0, 3, 0, 2, 0, 1)[:11],)


def test_it_is_mirrored() -> None:
    net = ca.parse_network("Conv2d(1, 4, 3, padding=1); EveryNth2d(2)")
    decoder = ca.mirror(net, (1, 9, 10))
    assert decoder.shapes["1"] == (4, 9, 10)
    assert decoder.network.output_shape(decoder.latent_shape) == (1, 9, 10)
    assert "ZeroInsert(2, 2)" in decoder.code()
    follows = ca.mirror(net, (1, 9, 10), any_size=True)
    assert follows.report.serves[0][1] == net.size_map(0).domain


def test_it_is_drawn() -> None:
    from convarith_gallery.views.sliding import tell
    from convarith_gallery.views.subject import Subject

    story = tell(Subject.of(EveryNth(stride=2), (5, 4), values=range(20)))
    assert story.title == "Every n-th position: 5 × 4 → 3 × 2"
    assert [step.caption.rpartition(" = ")[2] for step in story.steps] == ["0", "2", "8", "10", "16", "18"]


def test_it_is_known_while_it_is_registered() -> None:
    assert ca.EveryNth is EveryNth
    assert registry.class_of_kind("every-nth") is EveryNth
    assert "EveryNth3d" in registry.all_names()
    assert ca.solve(ca.parse("EveryNth1d(4)"), output_size=3)[0].first == 9
