"""The arithmetic of convolutional layers: exact integers in, exact integers out.

Every name below is loaded when it is first used, so that `import convarith` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from convarith.errors import ConvarithError, MissingDependencyError, ParameterError, ParseError, ShapeError

if TYPE_CHECKING:
    from convarith import artefacts as artefacts
    from convarith import matrix as matrix
    from convarith import pytorch as pytorch
    from convarith import spectrum as spectrum
    from convarith import views as views
    from convarith.adaptive import AdaptiveAvgPool, AdaptiveMaxPool, FractionalMaxPool
    from convarith.convolution import Conv
    from convarith.dense import GLU, Flatten, Linear, Narrow, Permute, Unflatten
    from convarith.elementwise import Elementwise
    from convarith.folding import Fold, Unfold
    from convarith.layer import Layer
    from convarith.merging import Add, Concat, MatchSize, Multiply
    from convarith.mirroring import Decoder, mirror
    from convarith.network import Network, Node
    from convarith.network_text import parse_network
    from convarith.overlapping import Overlap, overlap
    from convarith.padding import Pad
    from convarith.parsing import parse
    from convarith.pooling import AvgPool, LPPool, MaxPool
    from convarith.resampling import PixelShuffle, PixelUnshuffle, Upsample, ZeroInsert
    from convarith.size_map import SizeMap
    from convarith.size_set import SizeRange, SizeSet
    from convarith.solving import solve
    from convarith.transposed import ConvTranspose
    from convarith.unpooling import MaxUnpool

__version__ = "0.1.0"

__all__ = [
    "GLU",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "AvgPool",
    "Concat",
    "Conv",
    "ConvTranspose",
    "ConvarithError",
    "Decoder",
    "Elementwise",
    "Flatten",
    "Fold",
    "FractionalMaxPool",
    "LPPool",
    "Layer",
    "Linear",
    "MatchSize",
    "MaxPool",
    "MaxUnpool",
    "MissingDependencyError",
    "Multiply",
    "Narrow",
    "Network",
    "Node",
    "Overlap",
    "Pad",
    "ParameterError",
    "ParseError",
    "Permute",
    "PixelShuffle",
    "PixelUnshuffle",
    "ShapeError",
    "SizeMap",
    "SizeRange",
    "SizeSet",
    "Unflatten",
    "Unfold",
    "Upsample",
    "ZeroInsert",
    "artefacts",
    "matrix",
    "mirror",
    "overlap",
    "parse",
    "parse_network",
    "pytorch",
    "solve",
    "spectrum",
    "views",
]

_HOME = {
    "Decoder": "mirroring",
    "Layer": "layer",
    "Network": "network",
    "Node": "network",
    "Overlap": "overlapping",
    "SizeMap": "size_map",
    "SizeRange": "size_set",
    "SizeSet": "size_set",
    "mirror": "mirroring",
    "overlap": "overlapping",
    "parse": "parsing",
    "parse_network": "network_text",
    "solve": "solving",
}


def __getattr__(name: str) -> Any:
    if name in ("artefacts", "matrix", "pytorch", "spectrum", "views"):
        return import_module(f"convarith.{name}")
    if name in __all__:
        from convarith.catalogue import MODULES

        return getattr(import_module(f"convarith.{_HOME.get(name) or MODULES[name]}"), name)
    raise AttributeError(f"module 'convarith' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
