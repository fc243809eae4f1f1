"""From a scene to an exhibit of the gallery: its texts, its parameters, and the code and the command that make it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.parser import parse
from convarith.networks.parser import parse_network
from convarith.sizes.normalise import nearest, times
from convarith_gallery.drawing.encoding import SUFFIXES, save
from convarith_gallery.page.page import Exhibit, write_gallery
from convarith_gallery.render import default_view
from convarith_gallery.scenes import Scene, scenes

PICTURES = "pictures"
"""The folder of the pictures, inside the folder of the gallery."""


def exhibit(scene: Scene) -> Exhibit:
    """The exhibit of a scene: its film, and everything that its page says.

    >>> from convarith_gallery.scenes import scene
    >>> found = exhibit(scene("padding_strides"))
    >>> found.title, found.command
    ('Padding strides', 'convarith animate padding_strides -o padding_strides.gif')
    """
    parameters = [("input", times(scene.size))]
    if scene.is_network:
        network = parse_network(scene.subject)
        call = "\n".join(str(node.layer) for node in network.nodes)
        parameters.append(("output", times(network.output_shape(scene.size))))
        parameters.append(("layers", str(len(network.nodes))))
    else:
        layer = parse(scene.subject)
        call = _code(layer, scene.size)
        parameters.append(("output", times(_output(layer, scene.size)[-len(scene.size) :])))
        parameters += [(name, str(value)) for name, value in layer.arguments()]
        parameters.append(("view", scene.view or default_view(layer)))
    title = scene.name.replace("_", " ").replace(" transposed", ", transposed").capitalize()
    command = f"convarith animate {scene.name} -o {scene.name}.gif"
    return Exhibit(scene.name, scene.group, title, scene.film(bare=True), call, command, scene.text, tuple(parameters))


def _shape(layer: Layer, size: tuple[int, ...]) -> tuple[int, ...]:
    """(batch, channels, *spatial). The size of a scene may leave out the channels if there is only one."""
    ndim = 2 if layer.ndim is None else layer.ndim
    return (1,) * (ndim + 2 - len(size)) + size


def _output(layer: Layer, size: tuple[int, ...]) -> tuple[int, ...]:
    return layer.output_shape(_shape(layer, size))


def _code(layer: Layer, size: tuple[int, ...]) -> str:
    """The call that makes the layer in PyTorch, with the output shape as a comment."""
    shape = _shape(layer, size)
    return f"{layer}\n# {shape} -> {layer.output_shape(shape)}"


def build_gallery(
    folder: str, suffixes: Iterable[str] = (".gif",), theme: str = "light", scale: int = 2,
    progress: Callable[[str, int, int], None] | None = None, names: Iterable[str] | None = None,
) -> list[str]:  # fmt: skip
    """Draw every scene in each format, then write the pages that show them.

    Args:
        folder: the folder of the gallery, created if it does not exist.
        suffixes: the formats of the pictures, each one of SUFFIXES in `drawing.encoding`.
        theme: the theme of the pictures, 'light' or 'dark'.
        scale: pixels per point of the pictures.
        progress: called before each scene with its name, the number of scenes done and the total.
        names: the names of the scenes to draw; None for all.

    Returns:
        The paths of the files that were written.

    Raises:
        ParameterError: a suffix or the theme is unknown.
        ConvarithError: a file cannot be written.
    """
    suffixes = list(suffixes)
    for suffix in suffixes:
        if suffix.lower() not in SUFFIXES:
            raise ParameterError(f"cannot write {suffix!r} pictures: {nearest(suffix, SUFFIXES)}")
    chosen = list(scenes().values()) if names is None else [scenes()[name] for name in names]
    try:
        Path(folder, PICTURES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConvarithError(f"cannot make the folder {folder}: {error.strerror}") from None
    exhibits, pictures, written = [], {}, []
    for number, each in enumerate(chosen):
        if progress is not None:
            progress(each.name, number, len(chosen))
        found = exhibit(each)
        exhibits.append(found)
        pictures[each.name] = [f"{PICTURES}/{each.name}{suffix}" for suffix in suffixes]
        for picture in pictures[each.name]:
            written.append(save(each.film(), str(Path(folder, picture)), theme=theme, scale=scale).path)
    return [*written, *map(str, write_gallery(exhibits, folder, pictures))]
