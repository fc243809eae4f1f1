"""The packages that the reference autoencoders need, and the command that installs them."""

from importlib.util import find_spec

from convarith.errors import MissingDependencyError

PACKAGES = {
    "torch": "torch",
    "numpy": "numpy",
    "safetensors": "safetensors",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "PIL": "pillow",
    "matplotlib": "matplotlib",
    "pooch": "pooch",
}
"""The name that each package is imported by, and the name that it is installed by."""


def require(*modules: str) -> None:
    """Raise MissingDependencyError if one of these modules is not installed; without arguments, any of PACKAGES.

    >>> require("convarith")
    >>> try:
    ...     require("convarith", "no_such_package")
    ... except MissingDependencyError as error:
    ...     print(error)
    no_such_package is not installed: run  pip install 'convarith[train]'  in this environment
    """
    missing = [PACKAGES.get(name, name) for name in modules or PACKAGES if find_spec(name) is None]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise MissingDependencyError(
            f"{', '.join(missing)} {verb} not installed: run  pip install 'convarith[train]'  in this environment"
        )
