"""What the user typed, as the subject of a question: the one place that decides it, and that reads -i.

`convarith.subject` knows text, layers, networks and modules. This module adds what only a command line has: files,
standard input, the user's own code, kinds with options, and the names of scenes.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer, axis_names
from convarith.sizes.normalise import counted, nearest, times
from convarith.sizes.normalise import read_sizes as read_integers
from convarith.subject import is_network_text
from convarith_cli.options import LAYER_HELP, complete_kind, flag_of, kind_of, read_layer

if TYPE_CHECKING:
    from convarith_gallery.scenes import Scene
    from torch import nn

    from convarith.networks.network import Network
    from convarith.subject import Subject

NETWORK_HELP = (
    "A file with the output of print(model) or one layer per line, '-' for standard input, the text itself "
    "('Conv2d(1, 8, 3); ReLU()'), or models.py:Name / package.module:Name, which runs that code; arguments and parts "
    "may follow, as in models.py:UNet(depth=4).encoder."
)

NetworkArgument = Annotated[str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP, show_default=False)]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        metavar="[LAYER|NETWORK]", help=f"{LAYER_HELP} Or a network: {NETWORK_HELP[:1].lower()}{NETWORK_HELP[1:]}",
        autocompletion=complete_kind, show_default=False,
    ),
]  # fmt: skip

ANY_CHANNELS = 12
"""A number of channels to try a layer with, to see whether it keeps them."""


# The subject ----------------------------------------------------------------------------------------------------------


class Named(NamedTuple):
    """A layer or a network; `module` is the user's own torch module, with its weights, if it was read from code."""

    subject: Subject
    module: nn.Module | None = None


def read_subject(text: str, given: dict[str, Any], input_size: str | None = None) -> Named:
    """The layer or network of an argument and the options that describe a layer.

    Args:
        text: a kind, a call, the text of a network, a file, '-', or models.py:Name.
        given: the options of `layer_options` that were given.
        input_size: the text of -i, for models that can only be read with an input.

    Raises ConvarithError if the text names nothing that is known.
    """
    if not names_network(text) or (given and "(" not in text and not _is_file(text) and not _is_code(text)):
        return Named(read_layer(text, given))
    if given:
        flags = ", ".join(map(flag_of, given))
        raise ParameterError(f"{text} is a network, whose layers have their own parameters: leave {flags} out")
    return _read_network(text, input_size)


def read_network(text: str, input_size: str | None = None) -> Network:
    """The network of a NETWORK argument; a single layer is a network of one. Raises what `read_subject` raises."""
    from convarith.subject import network_of

    return network_of(_read_network(text, input_size).subject)


def names_network(text: str) -> bool:
    """Does this argument name a network rather than one layer?"""
    if text == "-" or is_network_text(text):
        return True
    return _is_code(text) or ("(" not in text and (_is_file(text) or _looks_like_file(text)))


def read_scene(text: str) -> Scene | None:
    """The scene of this name; None if the text says something else.

    Raises ParameterError for a single word that names neither a scene nor a layer, with the nearest name.
    """
    if not re.fullmatch(r"[\w-]+", text):
        return None
    try:
        kind_of(text)
    except ParameterError as error:
        from convarith_gallery.scenes import scene, scenes

        from convarith.layers.registry import KINDS, all_names

        if text in all_names():
            return None
        if text.replace("-", "_") not in scenes():
            raise ParameterError(f"unknown scene or layer {text!r}: {nearest(text, [*scenes(), *KINDS])}") from error
        return scene(text)
    return None


def _is_file(text: str) -> bool:
    """Is there something to read under this name? Pipes count: `convarith trace <(python model.py)`."""
    return os.path.exists(text) and not os.path.isdir(text)


def _looks_like_file(text: str) -> bool:
    return os.sep in text or bool(re.search(r"\.\w+$", text) and not text.startswith(("nn.", "torch.")))


def _is_code(text: str) -> bool:
    if ":" not in text:  # the module that reads code is not needed to answer about a kind
        return False
    from convarith.pytorch.user_code import is_code

    return is_code(text)


def _read_network(text: str, input_size: str | None) -> Named:
    from convarith.networks.parser import parse_network

    if text == "-":
        return Named(parse_network(_decoded(_standard_input(), "standard input")))
    if _is_code(text):
        return _read_code(text, input_size)
    if "(" not in text and "\n" not in text:
        if _is_file(text):
            return Named(parse_network(_decoded(_content(text), text)))
        if os.path.isdir(text):
            raise ConvarithError(f"{text} is a folder: name a file in it")
        if _looks_like_file(text):
            raise ConvarithError(
                f"there is no file {text}: give one, '-', layers such as 'Conv2d(1, 8, 3)', or models.py:Name"
            )
    return Named(parse_network(text))


def _read_code(text: str, input_size: str | None) -> Named:
    """A model in the user's code; it is read a second time if -i left out the channels that the model needs."""
    from convarith.pytorch.user_code import network_of, read_module

    numbers = None if input_size is None else read_numbers(input_size)
    module = read_module(text)
    network = network_of(module, numbers)
    if input_size is not None:
        shape = read_input(network, input_size).shape
        if shape not in (None, numbers):
            network = network_of(module, shape)
    return Named(network, module)


def _standard_input() -> bytes:
    if sys.stdin is None:
        raise ConvarithError("standard input is closed: give a file, or the text itself")
    return sys.stdin.buffer.read()


def _content(path: str) -> bytes:
    if path.endswith(".py"):
        raise ParameterError(f"{path} is Python code: name the model in it, as {path}:Model")
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConvarithError(f"cannot read {path}: {error.strerror}") from None


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConvarithError(f"{name} is not UTF-8 text (byte {error.start})") from None


# The input ------------------------------------------------------------------------------------------------------------


class Input(NamedTuple):
    """What -i says about one subject.

    Attributes:
        numbers: the numbers as they were written.
        sizes: one size per spatial axis; None if the subject takes the numbers as a whole shape.
        channels: the channels, if -i or the subject gives them.
        batch: the batch, if -i gives one.
        told: does -i itself give the channels?
        note: how the numbers were read, if they could have meant something else; '' otherwise.
    """

    numbers: tuple[int, ...]
    sizes: tuple[int, ...] | None = None
    channels: int | None = None
    batch: int | None = None
    told: bool = False
    note: str = ""

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The whole shape, channels first; None if the channels are unknown."""
        if self.sizes is None:
            return self.numbers
        if self.channels is None:
            return None
        return (*(() if self.batch is None else (self.batch,)), self.channels, *self.sizes)

    def whole_shape(self) -> tuple[int, ...]:
        """`shape`. Raises ShapeError if the channels are unknown."""
        if self.shape is None:
            sizes = times(self.sizes or ())
            raise ShapeError(
                f"-i {times(self.numbers)} gives no channels and the network does not say how many it takes: "
                f"write them first, as in 3x{sizes}"
            )
        return self.shape

    @property
    def remarks(self) -> list[str]:
        """How the numbers were read, if there are so many that they look like channels and sizes."""
        return [self.note] if self.note and len(self.numbers) > 2 else []

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Adds to a refusal how the numbers were read."""
        try:
            yield
        except ShapeError as error:
            if not self.note:
                raise
            raise ShapeError(f"{error} ({self.note})") from None


def read_numbers(text: str, flag: str = "--input") -> tuple[int, ...]:
    """The numbers of a size as people write it: 28, 28x28, 1x28x28, 28,28 or (28, 28).

    Raises ConvarithError for other text.

    >>> read_numbers("1x28x28"), read_numbers("(28, 28)"), read_numbers("torch.Size([3, 8])")
    ((1, 28, 28), (28, 28), (3, 8))
    """
    bare = re.fullmatch(r"\s*(?:torch\.Size\s*)?[(\[]+([^()\[\]]*?),?\s*[)\]]+\s*", text)
    return read_integers(bare[1] if bare else text, flag)


def read_input(subject: Subject, text: str, assumed_ndim: int | None = None) -> Input:
    """What -i means, for every command.

    If the subject says its dimension, a single number is the size of every axis, as many numbers as axes are their
    sizes, and one number more puts the channels first; a network also takes a batch before them. If it says only its
    channels, three or more numbers that begin with them are channels and sizes. If it says neither, as a bare kind
    does, the numbers are sizes alone, and `note` says so.

    Args:
        subject: a layer or a network.
        text: the text of -i.
        assumed_ndim: the dimension of a layer that leaves its own open.

    Raises ConvarithError for text that is not a size, ShapeError for a number of sizes or channels that does not fit.

    >>> import convarith as ca
    >>> read_input(ca.parse("Conv2d(3, 8, 3)"), "28").sizes, read_input(ca.parse("Conv2d(3, 8, 3)"), "3x28x30").sizes
    ((28, 28), (28, 30))
    >>> found = read_input(ca.Conv(kernel_size=3), "3x28x28")
    >>> found.sizes, found.note
    ((3, 28, 28), '-i 3x28x28 was read as the sizes D = 3, H = 28, W = 28; conv2d reads it as 3 channels of 28x28')
    """
    numbers = read_numbers(text)
    if not isinstance(subject, Layer):
        return _input_of_network(subject, numbers)
    ndim = _input_axes(subject, assumed_ndim)
    declared = getattr(subject, "in_channels", None)
    if ndim == 0:
        return Input(numbers)
    if ndim is None:
        if declared is None or len(numbers) < 3 or numbers[0] != declared:
            return Input(numbers, numbers, declared, note=_note(subject.kind, subject.dimensions, numbers))
        ndim = len(numbers) - 1
    found = read_axes(numbers, ndim, str(subject))
    if found.told and declared not in (None, found.channels):
        raise ShapeError(
            f"{subject} expects {counted(declared, 'channel')}, but -i {times(numbers)} has {found.channels:,}"
        )
    return found if found.told else found._replace(channels=declared)


def read_input_of_kind(kind: str, ndim: int | None, dimensions: tuple[int, ...], text: str) -> Input:
    """What -i means for a kind whose parameters are still open. Raises what `read_input` raises."""
    numbers = read_numbers(text)
    if ndim is None:
        return Input(numbers, numbers, note=_note(kind, dimensions, numbers))
    return read_axes(numbers, ndim, f"{kind}{ndim}d")


def read_axes(numbers: tuple[int, ...], ndim: int, name: str, flag: str = "-i") -> Input:
    """The numbers for so many axes: one for all of them, one per axis, or channels and one per axis.

    >>> read_axes((28,), 2, "Conv2d").sizes, read_axes((3, 28, 30), 2, "Conv2d").channels
    ((28, 28), 3)
    """
    if len(numbers) == 1:
        return Input(numbers, numbers * ndim)
    if len(numbers) == ndim:
        return Input(numbers, numbers)
    if len(numbers) == ndim + 1:
        return Input(numbers, numbers[1:], numbers[0], told=True)
    axes = axis_names(ndim)
    sizes = times((28,) * ndim)
    raise ShapeError(
        f"{flag} {times(numbers)} has {counted(len(numbers), 'size')}, but {name} has "
        f"{counted(ndim, 'spatial axis', 'spatial axes')} ({', '.join(axes)}): write {sizes}, or 1x{sizes} with the "
        "channels first"
    )


def _input_axes(layer: Layer, assumed_ndim: int | None) -> int | None:
    """How many axes -i has for this layer: 0 for a layer that takes whole shapes, None while that is open."""
    from convarith.layers.folding import Fold

    if isinstance(layer, Fold):
        return 1  # its input is a row of columns, whatever its output
    if not isinstance(layer, SpatialLayer):
        return 0
    return layer.ndim if layer.ndim is not None else assumed_ndim


def _note(kind: str, dimensions: tuple[int, ...], numbers: tuple[int, ...]) -> str:
    """How sizes of a layer that does not say its dimension were read."""
    if not 2 <= len(numbers) <= 4:
        return ""
    sizes = ", ".join(f"{name} = {size}" for name, size in zip(axis_names(len(numbers)), numbers, strict=True))
    note = f"-i {times(numbers)} was read as the sizes {sizes}"
    fewer = len(numbers) - 1
    if fewer in dimensions:
        channels = counted(numbers[0], "channel")
        note += f"; {kind}{fewer}d reads it as {channels} of {times(numbers[1:])}"
    return note


def _input_of_network(network: Network, numbers: tuple[int, ...]) -> Input:
    if not network.ndim:  # it begins with a Linear or a Flatten, or no layer says its dimension
        return Input(numbers)
    if len(numbers) == network.ndim + 2:
        return Input(numbers, numbers[2:], numbers[1], numbers[0], told=True)
    found = read_axes(numbers, network.ndim, "the network")
    return found if found.told else found._replace(channels=_channels(network, found.sizes or ()))


def _channels(network: Network, sizes: tuple[int, ...]) -> int | None:
    """The channels that the first layer asks for which is reached with the input's own; None if none does."""
    from convarith.networks.network import INPUT

    shapes: dict[str, tuple[int, ...]] = {INPUT: (1, ANY_CHANNELS, *sizes)}
    for node in network.nodes:
        if not shapes.keys() >= set(node.inputs):
            continue
        declared: int | None = getattr(node.layer, "in_channels", None)
        if declared is not None:
            return declared
        try:
            output = node.layer.joined_shape(*(shapes[name] for name in node.inputs))
        except ConvarithError:
            return None
        if len(output) > 1 and output[1] == ANY_CHANNELS:
            shapes[node.name] = output
    return None
