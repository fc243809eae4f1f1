"""What all matplotlib figures share: file formats, creating a figure, and the error if matplotlib is missing."""

from __future__ import annotations

from io import BytesIO
from os.path import splitext
from typing import TYPE_CHECKING

from convarith.errors import MissingDependencyError, ParameterError
from convarith.sizes.normalise import nearest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf")


def format_of(path: str) -> str:
    """The format that the suffix of a path names. Raises ParameterError for an unknown suffix.

    >>> format_of("docs/Plot.PNG")
    'png'
    """
    ending = splitext(path)[1].removeprefix(".").lower()
    if ending not in FORMATS:
        raise ParameterError(f"cannot draw to {path}: its ending is unknown, {nearest(ending, FORMATS)}")
    return ending


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, sized in inches, without a window. Raises MissingDependencyError if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError(
            "matplotlib is not installed: run  pip install 'convarith[plot]'  in this environment"
        ) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_bytes(figure: Figure, ending: str) -> bytes:
    """The figure as a file of this format, one of FORMATS."""
    content = BytesIO()
    figure.savefig(content, format=ending, dpi=144)
    return content.getvalue()
