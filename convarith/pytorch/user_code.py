"""A torch model in the user's own Python code, given as models.py:Name or package.module:Name, which is run."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from convarith.dependencies import require_torch
from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.networks.network import Network

if TYPE_CHECKING:
    from torch import nn

Result = TypeVar("Result")
_CODE = re.compile(r"(?P<module>[^\s()]+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_][\w.]*)")


def is_code(text: str) -> bool:
    """Does this text name a model in Python code?

    >>> is_code("models.py:UNet"), is_code("encoder.txt")
    (True, False)
    """
    return _CODE.fullmatch(text) is not None


def read_module(text: str) -> nn.Module:
    """Import and return the torch module that models.py:Name or package.module:Name names. Runs the user's code.

    Raises ConvarithError if the name does not give a torch module, and for every error in that code.
    """
    match = _CODE.fullmatch(text)
    assert match is not None
    module, name = match["module"], match["name"]
    if module.endswith(".py") and not os.path.isfile(module):
        raise ConvarithError(f"there is no file {module}")
    require_torch()
    from torch import nn

    with redirect_stdout(sys.stderr):  # what the code prints must not mix with the answer
        found: Any = _loaded(module)
        for part in name.split("."):
            if not hasattr(found, part):
                names = [word for word, value in vars(found).items() if callable(value) and not word.startswith("_")]
                raise ParameterError(f"{module} has no {part!r}: it has {', '.join(names) or 'nothing to call'}")
            found = getattr(found, part)
        if not isinstance(found, nn.Module):
            found = _run(found, text)
    if not isinstance(found, nn.Module):
        raise ParameterError(f"{text} gives {type(found).__name__}, not a torch.nn.Module")
    return found


def network_of(module: nn.Module, input_shape: tuple[int, ...] | None) -> Network:
    """Return the network of a user's module. What its forward prints goes to standard error."""
    from convarith import pytorch

    with redirect_stdout(sys.stderr):
        try:
            model = pytorch.from_module(module, input_shape)
        except ShapeError:  # without an input there is still a network, which can say which layer refuses it and why
            model = pytorch.from_module(module)
    return model if isinstance(model, Network) else Network.chain([model])


def _loaded(module: str) -> ModuleType:
    import importlib
    import importlib.util

    if not module.endswith(".py"):
        sys.path.insert(0, os.getcwd())
        return _run(lambda: importlib.import_module(module), module)
    sys.path.insert(0, os.path.dirname(os.path.abspath(module)))
    spec = importlib.util.spec_from_file_location(os.path.basename(module)[:-3], module)
    assert spec is not None
    loader = spec.loader
    assert loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded
    _run(lambda: loader.exec_module(loaded), module)
    return loaded


def _run(function: Callable[[], Result], where: str) -> Result:
    """Call the user's code and report any error in it in one line."""
    try:
        return function()
    except Exception as error:  # noqa: BLE001 - whatever the user's own code raises
        raise ConvarithError(f"{where} raised {type(error).__name__}: {error}") from None
