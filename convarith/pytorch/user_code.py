"""A torch model in the user's own Python code, named as models.py:Name or package.module:Name. Reading one runs it.

The name may have arguments, models.py:UNet(depth=4), which are literals, and may go on to a part of the model,
models.py:Codec.encoder.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from convarith.dependencies import require_torch
from convarith.errors import ConvarithError, ParameterError
from convarith.networks.network import Network
from convarith.sizes.normalise import nearest

if TYPE_CHECKING:
    import ast

    from torch import nn

    from convarith.layers.base import Layer

_CODE = re.compile(r"(?P<module>[^\s()]+\.py|[A-Za-z_][\w.]*):(?P<name>[A-Za-z_]\w*)(?P<rest>[.(].*)?", re.DOTALL)
_PARTS = re.compile(r"(\.[A-Za-z_]\w*)*")

Result = TypeVar("Result")


def is_code(text: str) -> bool:
    """Does this text name a model in Python code?

    >>> is_code("models.py:UNet"), is_code("models.py:UNet(depth=4).encoder"), is_code("encoder.txt")
    (True, True, False)
    >>> is_code("encoder.skip:Conv2d(1, 8, 3)")  # a layer with a name
    False
    """
    match = _CODE.fullmatch(text)
    if match is None:
        return False
    rest = match["rest"] or ""
    if _PARTS.fullmatch(rest):
        return True
    is_named_layer = not match["module"].endswith(".py") and _is_layer(match["name"])
    return not is_named_layer and _expression(match["name"] + rest) is not None


def read_module(text: str) -> nn.Module:
    """Import and return the torch module that models.py:Name or package.module:Name names. Runs the user's code.

    Raises ConvarithError if the name does not lead to a module, and for whatever the user's code raises.
    """
    match = _CODE.fullmatch(text)
    expression = None if match is None else _expression(match["name"] + (match["rest"] or ""))
    if match is None or expression is None:
        raise ParameterError(
            f"{text!r} does not name a model in Python code: write models.py:Name or package.module:Name"
        )

    module = match["module"]
    if module.endswith(".py") and not os.path.isfile(module):
        raise ConvarithError(f"there is no file {module}")
    require_torch()
    from torch import nn

    with redirect_stdout(sys.stderr):  # standard output is reserved for the answer
        found = _value(expression, _loaded(module), text)
        if not isinstance(found, nn.Module):
            found = _run(found, text)
    if not isinstance(found, nn.Module):
        raise ParameterError(f"{text} returns {type(found).__name__}, not a torch.nn.Module")
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


def _is_layer(name: str) -> bool:
    from convarith.layers.registry import resolve

    try:
        resolve(name)
    except KeyError:
        return False
    return True


def _expression(text: str) -> ast.expr | None:
    """The syntax tree of Name, Name.part or Name(literals).part; None for any other text."""
    import ast

    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    inner: ast.expr = tree
    while isinstance(inner, (ast.Attribute, ast.Call)):
        inner = inner.value if isinstance(inner, ast.Attribute) else inner.func
    return tree if isinstance(inner, ast.Name) else None


def _value(expression: ast.expr, module: ModuleType, text: str) -> Any:
    """What an expression of `_expression` means in the user's module."""
    import ast

    if isinstance(expression, ast.Call):
        function = _value(expression.func, module, text)
        try:
            arguments = [ast.literal_eval(argument) for argument in expression.args]
            named = {each.arg: ast.literal_eval(each.value) for each in expression.keywords if each.arg is not None}
        except (ValueError, TypeError, SyntaxError):
            raise ParameterError(
                f"the arguments in {text} must be numbers, strings, tuples or other literals"
            ) from None
        if len(named) != len(expression.keywords):
            raise ParameterError(f"** is not read in {text}: write the arguments out")
        return _run(lambda: function(*arguments, **named), text)
    if isinstance(expression, ast.Attribute):
        found = _value(expression.value, module, text)
        if isinstance(found, type) and not hasattr(found, expression.attr):
            found = _run(found, text)  # a part that the model has once it is built
        return _part(found, expression.attr, text.rpartition(f".{expression.attr}")[0])
    assert isinstance(expression, ast.Name)
    return _part(module, expression.id, text.partition(":")[0])


def _part(found: Any, name: str, where: str) -> Any:
    if not hasattr(found, name):
        names = [word for word in dir(found) if not word.startswith("_") and callable(getattr(found, word, None))]
        known = f": {nearest(name, names)}" if names else ""
        raise ParameterError(f"{where} has no {name!r}{known}")
    return getattr(found, name)


def _loaded(module: str) -> ModuleType:
    import importlib
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
