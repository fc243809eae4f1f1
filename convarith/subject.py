"""What somebody handed over in Python, as a layer or a network: text, a Layer, a Network or a torch module.

This is the one place that decides it. The command line adds files, standard input and code to run
(`convarith_cli.named`); a string that is given to Python never runs code and never opens a file.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias, TypeGuard

from convarith.errors import ParameterError, ParseError
from convarith.layers.base import Layer
from convarith.networks.network import Network

if TYPE_CHECKING:
    from torch import nn

Subject: TypeAlias = Layer | Network
"""What every question is about."""

_SEVERAL = re.compile(r"[;\n]")
_CONTAINER = re.compile(r"\s*(torch\.)?(nn\.)?Sequential\s*\(")
_NAMED = re.compile(r"\s*[A-Za-z_]\w*(\.\w+)*\s*[:=](?!=)\s*[\w.]+\s*\(")
"""`skip: Conv2d(1, 8, 3)`: a name is of use only in a network."""
_WITH_INPUTS = re.compile(r"\)\s*\([^()]*\)\s*$")
"""`Add()(input, skip)`: so are the names of a layer's inputs."""
_FILE_OR_CODE = re.compile(r"[^\s()]+\.(py|txt|onnx|pt2?|pth)(:\S*)?|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def is_network_text(text: str) -> bool:
    """Is this the text of a network rather than of one layer?

    It is if it has several lines or a ';', is an nn.Sequential, or gives a layer a name or its inputs.

    >>> is_network_text("Conv2d(1, 8, 3); ReLU()"), is_network_text("Conv2d(1, 8, 3)")
    (True, False)
    """
    return any(pattern.search(text) for pattern in (_SEVERAL, _WITH_INPUTS)) or any(
        pattern.match(text) for pattern in (_CONTAINER, _NAMED)
    )


def subject_of(thing: object, input_shape: Sequence[int] | None = None) -> Subject:
    """The layer or network of what a caller handed over.

    Args:
        thing: the text of a layer or of a network, a Layer, a Network, or a torch.nn.Module.
        input_shape: channels first, for a module that can only be read with an input.

    Raises ParseError for text that is neither a layer nor a network, ParameterError for any other object. torch is
    not imported to recognise a module: a program that holds one has imported it already.

    >>> subject_of("Conv2d(1, 16, 3, stride=2)")
    Conv2d(1, 16, 3, stride=2)
    >>> print(subject_of("Conv2d(1, 8, 3); ReLU()"))
    0: Conv2d(1, 8, 3)
    1: ReLU()
    """
    if isinstance(thing, (Layer, Network)):
        return thing
    if isinstance(thing, str):
        return _of_text(thing)
    if is_module(thing):
        from convarith.pytorch import from_module

        return from_module(thing, input_shape)
    raise ParameterError(
        f"{type(thing).__name__} is neither a layer nor a network: give text such as 'Conv2d(1, 16, 3)', "
        "a Layer, a Network or a torch.nn.Module"
    )


def network_of(thing: object, input_shape: Sequence[int] | None = None) -> Network:
    """The same as a network: a single layer becomes a network of one.

    >>> network_of("Conv2d(1, 8, 3)").output_shape((1, 28, 28))
    (8, 26, 26)
    """
    subject = subject_of(thing, input_shape)
    return subject if isinstance(subject, Network) else Network.chain([subject])


def is_module(thing: object) -> TypeGuard[nn.Module]:
    """Is this a torch.nn.Module? Never imports torch.

    >>> is_module("Conv2d(1, 8, 3)")
    False
    """
    torch = sys.modules.get("torch")
    modules = getattr(torch, "nn", None)  # missing while torch is still being imported
    return modules is not None and isinstance(thing, modules.Module)


def _of_text(text: str) -> Subject:
    if is_network_text(text):
        from convarith.networks.parser import parse_network

        return parse_network(text)
    if _FILE_OR_CODE.fullmatch(text.strip()):
        raise ParseError(
            f"{text.strip()!r} looks like a file or a model's name, but a string given to Python is only read as "
            "layers: pass the text of the file, or the module itself"
        )
    from convarith.layers.parser import parse

    return parse(text)
