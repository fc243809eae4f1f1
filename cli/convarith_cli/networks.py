"""Reading the NETWORK argument: a file, standard input, text, or a model in Python code."""

from __future__ import annotations

import os
import re
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from convarith.errors import ConvarithError, ParameterError
from convarith.networks.network import Network
from convarith.networks.parser import parse_network
from convarith.pytorch.user_code import is_code, network_of, read_module

if TYPE_CHECKING:
    pass

NETWORK_HELP = (
    "A file with what print(model) shows or one layer a line, '-' for standard input, the text itself "
    "('Conv2d(1, 8, 3); ReLU()'), or models.py:Name / package.module:Name, which runs that code."
)

NetworkArgument = Annotated[str, typer.Argument(metavar="NETWORK", help=NETWORK_HELP, show_default=False)]


def is_network(text: str) -> bool:
    """Does this argument name a network rather than one layer?"""
    if text == "-" or ";" in text or "\n" in text or re.match(r"(torch\.)?(nn\.)?Sequential\s*\(", text):
        return True
    return "(" not in text and (is_code(text) or os.path.isfile(text))


def read_network(text: str, input_shape: tuple[int, ...] | None) -> Network:
    """The network of the argument. Raises ConvarithError for what is none."""
    if text == "-":
        return parse_network(_decoded(sys.stdin.buffer.read(), "standard input"))
    if "(" not in text and "\n" not in text:
        if is_code(text):
            return network_of(read_module(text), input_shape)
        if os.path.isfile(text):
            if text.endswith(".py"):
                raise ParameterError(f"{text} is Python code: name the model in it, as {text}:Model")
            try:
                with open(text, "rb") as file:
                    return parse_network(_decoded(file.read(), text))
            except OSError as error:
                raise ConvarithError(f"cannot read {text}: {error.strerror}") from None
        if os.path.exists(text) or os.sep in text or re.search(r"\.\w+$", text):
            raise ConvarithError(
                f"there is no file {text}: give one, '-', layers such as 'Conv2d(1, 8, 3)', or models.py:Name"
            )
    return parse_network(text)


def _decoded(content: bytes, name: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConvarithError(f"{name} is no UTF-8 text (byte {error.start})") from None
