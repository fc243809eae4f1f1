"""The registry of layers: their names, and the module that each is loaded from when it is needed."""

from importlib import import_module
from typing import Any

from convarith.errors import ParameterError
from convarith.layers.base import Layer, kind_of
from convarith.sizes.normalise import nearest

MODULES = {
    "Conv": "convolution",
    "ConvTranspose": "convolution",
    "MaxPool": "pooling",
    "AvgPool": "pooling",
    "LPPool": "pooling",
    "FractionalMaxPool": "adaptive_pooling",
    "AdaptiveAvgPool": "adaptive_pooling",
    "AdaptiveMaxPool": "adaptive_pooling",
    "MaxUnpool": "unpooling",
    "Upsample": "resampling",
    "ZeroInsert": "resampling",
    "PixelShuffle": "resampling",
    "PixelUnshuffle": "resampling",
    "Pad": "padding",
    "Crop": "cropping",
    "Fold": "folding",
    "Unfold": "folding",
    "Linear": "reshaping",
    "Flatten": "reshaping",
    "Unflatten": "reshaping",
    "Permute": "reshaping",
    "Narrow": "reshaping",
    "GLU": "reshaping",
    "Elementwise": "elementwise",
    "Add": "merging",
    "Multiply": "merging",
    "Concat": "merging",
    "MatchSize": "merging",
}
"""Each layer class and its module in this folder. A new layer needs one line here."""

KINDS = {kind_of(name): name for name in MODULES}
"""The names on the command line: 'conv-transpose' is ConvTranspose."""

_LOADED: dict[str, type[Layer]] = {}
"""The classes that have been asked for."""

_PADS = ("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad")
_ALIASES = dict.fromkeys(_PADS, "Pad") | {"UpsamplingNearest": "Upsample", "UpsamplingBilinear": "Upsample"}
_LAZY = {"LazyConv": "in_channels", "LazyConvTranspose": "in_channels", "LazyLinear": "in_features"}


def layer_class(name: str) -> type[Layer]:
    """Load and return the class with this name.

    >>> layer_class("MaxPool").kind
    'max-pool'
    """
    if name not in _LOADED:
        _LOADED[name] = getattr(import_module(f"convarith.layers.{MODULES[name]}"), name)
    return _LOADED[name]


def register(cls: type[Layer]) -> type[Layer]:
    """Make a layer class of your own known by its name, in texts and on this process's command line.

    >>> from dataclasses import dataclass
    >>> @register
    ... @dataclass(frozen=True, kw_only=True, repr=False)
    ... class Marker(Layer):
    ...     torch_name = "Marker"
    >>> build("Marker", {}), class_of_kind("marker") is Marker
    (Marker(), True)
    >>> del MODULES["Marker"], KINDS["marker"]
    """
    _LOADED[cls.__name__] = cls
    MODULES[cls.__name__] = cls.__module__
    KINDS[cls.kind] = cls.__name__
    return cls


def class_of_kind(kind: str) -> type[Layer]:
    """The class for a name on the command line. Raises ParameterError for an unknown name, suggesting the closest.

    >>> class_of_kind("conv-transpose").__name__
    'ConvTranspose'
    """
    if kind not in KINDS:
        raise ParameterError(f"unknown layer {kind!r}: {nearest(kind, KINDS)}")
    return layer_class(KINDS[kind])


def resolve(name: str) -> tuple[str, int | None, type[Layer], tuple[str, ...]]:
    """Split a name of torch into (name without suffix, dimension or None, class, positional parameters).

    Raises KeyError for an unknown name.

    >>> resolve("Conv2d")[:2], resolve("Linear")[:2]
    (('Conv', 2), ('Linear', None))
    """
    stem, ndim = (name[:-2], int(name[-2])) if name[-2:] in ("1d", "2d", "3d") else (name, None)
    wanted = _LAZY.get(stem)
    stem = stem.removeprefix("Lazy") if wanted else stem
    class_name = _ALIASES.get(stem, stem)
    if class_name in MODULES and class_name != "Elementwise" and stem != "Pad":
        cls = layer_class(class_name)
        known = cls.dimensions or (("Upsampling" in stem and (2,)) or ())
        if ndim is not None and ndim not in known:
            raise KeyError(name)
        signature = _positional(stem, cls)
        return stem, ndim, cls, tuple(word for word in signature if word != wanted)
    table = import_module("convarith.layers.elementwise").TABLE
    lazy = name.startswith(("LazyBatchNorm", "LazyInstanceNorm"))
    word = name.removeprefix("Lazy") if lazy else name
    if word not in table:
        raise KeyError(name)
    return word, None, layer_class("Elementwise"), tuple(table[word][0])[lazy:]


def _positional(stem: str, cls: type[Layer]) -> tuple[str, ...]:
    """torch's positional order, which for some classes depends on the name."""
    if stem in _PADS and stem not in ("ConstantPad", "ZeroPad"):  # older reprs of ZeroPad show its value, 0
        return ("padding",)
    if stem.startswith("Upsampling"):
        return ("size", "scale_factor")
    return cls.signature


def build(name: str, arguments: dict[str, Any]) -> Layer:
    """Build a layer from torch's name and named parameters. Raises ParameterError if torch would reject them.

    >>> build("MaxPool2d", {"kernel_size": 2, "ceil_mode": True})
    MaxPool2d(kernel_size=2, ceil_mode=True)
    """
    stem, ndim, cls, parameters = _known(name)
    for word in arguments:
        if word not in parameters and word not in ("device", "dtype"):
            raise ParameterError(f"{name} has no parameter {word!r}: {nearest(word, parameters)}")
    given = {word: value for word, value in arguments.items() if word in parameters}
    if cls.__name__ == "Elementwise" and name.startswith("Lazy"):
        given["num_features"] = None
    try:
        return cls.from_call(stem, ndim, given)
    except TypeError as error:
        missing = [word for word in parameters if f"'{word}'" in str(error)]
        reason = f"needs {' and '.join(missing)}" if missing else f"has a parameter of the wrong type: {error}"
        raise ParameterError(f"{name} {reason}") from None
    except OverflowError:
        raise ParameterError(f"{name} has a scale factor that is too large") from None


def _known(name: str) -> tuple[str, int | None, type[Layer], tuple[str, ...]]:
    try:
        return resolve(name)
    except KeyError:
        raise ParameterError(f"unknown layer {name!r}: {nearest(name, all_names())}") from None


def all_names() -> list[str]:
    """All known names of torch, including their dimension.

    >>> "ConvTranspose3d" in all_names()
    True
    """
    names: list[str] = []
    for stem in (*MODULES, *_PADS):
        if stem not in ("Pad", "Elementwise"):
            dimensions = layer_class(_ALIASES.get(stem, stem)).dimensions
            names += [f"{stem}{ndim}d" for ndim in dimensions] or [stem]
    return names + list(import_module("convarith.layers.elementwise").TABLE)
