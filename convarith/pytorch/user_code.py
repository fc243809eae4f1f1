"""A torch model in the user's own Python code, named as models.py:Name or package.module:Name. Reading one runs it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from convarith.errors import ConvarithError, ParameterError
from convarith.networks.network import Network

if TYPE_CHECKING:
    from torch import nn

    from convarith.layers.base import Layer

_CODE = re.compile(r"(?P<module>[^\s()]+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")

Result = TypeVar("Result")


def is_code(text: str) -> bool:
    """Does this text name a model in Python code?

    >>> is_code("models.py:UNet"), is_code("encoder.txt")
    (True, False)
    """
    return _CODE.fullmatch(text) is not None


def read_module(text: str) -> nn.Module:
    """The torch module that models.py:Name or package.module:Name names. Runs the user's code.

    Raises ConvarithError if the name does not lead to a module, and for whatever the user's code raises.
    """
    match = _CODE.fullmatch(text)
    if match is None:
        raise ParameterError(
            f"{text!r} does not name a model in Python code: write models.py:Name or package.module:Name"
        )
    from convarith import pytorch

    module, name = match["module"], match["name"]
    if module.endswith(".py") and not os.path.isfile(module):
        raise ConvarithError(f"there is no file {module}")
    pytorch.require_torch()
    from torch import nn

    with redirect_stdout(sys.stderr):  # standard output is reserved for the answer
        found: Any = _loaded(module)
        for part in name.split("."):
            if not hasattr(found, part):
                names = [
                    word for word in dir(found) if not word.startswith("_") and callable(getattr(found, word, None))
                ]
                raise ParameterError(
                    f"{module} has no {part!r}: it has {', '.join(names) or 'nothing that can be called'}"
                )
            found = getattr(found, part)
        if not isinstance(found, nn.Module):
            found = _run(found, text)
    if not isinstance(found, nn.Module):
        raise ParameterError(f"{text} returns a {type(found).__name__}, not a torch.nn.Module")
    return found


def network_of(module: nn.Module, input_shape: tuple[int, ...] | None) -> Network:
    """The network of a user's module; whatever its forward prints goes to standard error."""
    from convarith import pytorch

    with redirect_stdout(sys.stderr):
        try:
            model = pytorch.from_module(module, input_shape)
        except ConvarithError:
            without_input = None if input_shape is None else _without_input(module)
            if without_input is None:
                raise
            model = without_input
    return model if isinstance(model, Network) else Network.chain([model])


def _without_input(module: nn.Module) -> Layer | Network | None:
    """A model that rejected an input, read without one: it can say where, and which inputs would work."""
    from convarith import pytorch

    try:
        return pytorch.from_module(module)
    except ConvarithError:
        return None


def _loaded(module: str) -> ModuleType:
    import importlib.util

    if not module.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return _run(lambda: importlib.import_module(module), module)
    sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
    spec = importlib.util.spec_from_file_location(os.path.basename(module)[:-3], module)
    if spec is None or spec.loader is None:
        raise ConvarithError(f"cannot load {module} as Python code")
    loader, loaded = spec.loader, importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    _run(lambda: loader.exec_module(loaded), module)
    return loaded


def _run(function: Callable[[], Result], where: str) -> Result:
    """Call the user's code; whatever it raises becomes a one-line error."""
    try:
        return function()
    except SystemExit as stop:
        raise ConvarithError(f"{where} ended the program (exit code {stop.code})") from None
    except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
        raise ConvarithError(f"{where} raised {type(error).__name__}: {error}") from None
