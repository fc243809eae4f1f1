"""The arithmetic of convolutional layers: exact integers in, exact integers out.

Each name below is loaded when it is first used, so `import convarith` is fast and needs no other package. The folders,
from the bottom up: sizes (rules and sets of integers), layers, networks, matrices, pytorch, checkerboards, decoders.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convarith.errors import ConvarithError, MissingDependencyError, ParameterError, ParseError, ShapeError

if TYPE_CHECKING:
    from convarith import pytorch as pytorch
    from convarith.checkerboards import artefacts as artefacts
    from convarith.checkerboards.overlap import Overlap, overlap
    from convarith.decoders.decoder import Decoder
    from convarith.decoders.mirror import mirror
    from convarith.layers.adaptive_pooling import AdaptiveAvgPool, AdaptiveMaxPool, FractionalMaxPool
    from convarith.layers.base import Layer
    from convarith.layers.convolution import Conv, ConvTranspose
    from convarith.layers.elementwise import Elementwise
    from convarith.layers.folding import Fold, Unfold
    from convarith.layers.merging import Add, Concat, MatchSize, Multiply
    from convarith.layers.padding import Pad
    from convarith.layers.parser import parse
    from convarith.layers.pooling import AvgPool, LPPool, MaxPool
    from convarith.layers.resampling import PixelShuffle, PixelUnshuffle, Upsample, ZeroInsert
    from convarith.layers.reshaping import GLU, Flatten, Linear, Narrow, Permute, Unflatten
    from convarith.layers.unpooling import MaxUnpool
    from convarith.matrices import matrix as matrix
    from convarith.matrices import operators as views
    from convarith.matrices import spectrum as spectrum
    from convarith.networks.network import Network, Node
    from convarith.networks.parser import parse_network
    from convarith.sizes.sets import SizeRange, SizeSet
    from convarith.sizes.size_map import SizeMap
    from convarith.solving import solve

__version__ = "0.1.0"

__all__ = [  # noqa: RUF022 - grouped by job, in the order in which a user meets them
    # From text to layers and networks
    "parse", "parse_network",
    # Questions
    "solve", "mirror", "overlap",
    # Layers whose window slides
    "Conv", "ConvTranspose", "MaxPool", "AvgPool", "LPPool", "MaxUnpool", "Unfold", "Fold",
    # Layers that change the size in another way
    "AdaptiveAvgPool", "AdaptiveMaxPool", "FractionalMaxPool", "Upsample", "ZeroInsert", "PixelShuffle",
    "PixelUnshuffle", "Pad",
    # Layers that mix or reorder axes, and layers that keep the shape
    "Linear", "Flatten", "Unflatten", "Permute", "Narrow", "GLU", "Elementwise",
    # Where branches meet
    "Add", "Multiply", "Concat", "MatchSize",
    # Networks
    "Layer", "Network", "Node",
    # Answers
    "SizeMap", "SizeSet", "SizeRange", "Overlap", "Decoder",
    # Modules for further questions
    "matrix", "views", "spectrum", "artefacts", "pytorch",
    # Errors
    "ConvarithError", "ShapeError", "ParameterError", "ParseError", "MissingDependencyError",
]  # fmt: skip

_HOMES = {
    "Decoder": "decoders.decoder",
    "Layer": "layers.base",
    "Network": "networks.network",
    "Node": "networks.network",
    "Overlap": "checkerboards.overlap",
    "SizeMap": "sizes.size_map",
    "SizeRange": "sizes.sets",
    "SizeSet": "sizes.sets",
    "mirror": "decoders.mirror",
    "overlap": "checkerboards.overlap",
    "parse": "layers.parser",
    "parse_network": "networks.parser",
    "solve": "solving",
}
"""The module of each public function and class; layers are listed in layers/registry."""

_MODULES = {
    "artefacts": "checkerboards.artefacts",
    "matrix": "matrices.matrix",
    "pytorch": "pytorch",
    "spectrum": "matrices.spectrum",
    "views": "matrices.operators",
}
"""The modules that are served as attributes."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"convarith.{_MODULES[name]}")
    if name in _HOMES:
        return getattr(import_module(f"convarith.{_HOMES[name]}"), name)
    if name[:1].isupper():
        from convarith.layers.registry import MODULES, layer_class

        if name in MODULES:
            return layer_class(name)
    raise AttributeError(f"module 'convarith' has no attribute {name!r}")


def __dir__() -> list[str]:
    from convarith.layers.registry import MODULES

    return sorted({*__all__, *MODULES})
