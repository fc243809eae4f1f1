"""The optional packages: each is imported when it is first needed, or the error says how to install it.

`import convarith` needs only the standard library. A function that needs more calls one of these first, so that every
part of convarith reports a missing package in the same words.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from convarith.errors import MissingDependencyError

INSTALLED_BY = {
    "imageio_ffmpeg": "'convarith[video]'",
    "matplotlib": "'convarith[plot]'",
    "numpy": "'convarith[numpy]'",
    "pooch": "'convarith[train]'",
    "safetensors": "safetensors",
    "scipy": "'convarith[numpy]'",
    "skimage": "'convarith[train]'",
    "sklearn": "'convarith[train]'",
    "torch": "'convarith[torch]'",
}
"""Import name and what to give to pip: the extra that brings the package, or the package where that is enough."""


def require(module: str) -> ModuleType:
    """Import a module of an optional package and return it.

    Raises MissingDependencyError, with the command that installs the package, if the package or something that it
    needs is missing.

    >>> require("math").gcd(12, 18)
    6
    >>> try:
    ...     require("no_such_package.part")
    ... except MissingDependencyError as error:
    ...     print(error)
    no_such_package is not installed: run  pip install no_such_package  in this environment
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        wanted = INSTALLED_BY.get(package, package)
        raise MissingDependencyError(
            f"{package} is not installed: run  pip install {wanted}  in this environment"
        ) from None


def require_numpy() -> ModuleType:
    """Import numpy, or raise MissingDependencyError with the command that installs it."""
    return require("numpy")


def require_scipy() -> ModuleType:
    """Import scipy.sparse (and numpy), or raise MissingDependencyError with the command that installs both."""
    return require("scipy.sparse")


def require_torch() -> ModuleType:
    """Import torch, or raise MissingDependencyError with the command that installs it."""
    return require("torch")
