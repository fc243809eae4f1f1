"""The scenes as exhibits of the gallery: their words, their parameters, the code and the command that make them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from convarith.errors import ConvarithError
from convarith.layers.base import Layer
from convarith.layers.parser import parse
from convarith.networks.parser import parse_network
from convarith.sizes.normalise import times
from convarith_gallery.drawing.encoding import save, suffix_of
from convarith_gallery.page.page import Exhibit, write_gallery
from convarith_gallery.render import NETWORK_VIEWS, default_view
from convarith_gallery.scenes import Scene, scenes

PICTURES = "pictures"
"""The folder of the pictures, in the gallery's."""


def exhibit(scene: Scene) -> Exhibit:
    """A scene with all that its page says.

    >>> from convarith_gallery.scenes import scene
    >>> found = exhibit(scene("padding_strides"))
    >>> found.title, found.command
    ('Padding strides', 'convarith animate padding_strides -o padding_strides.gif')
    """
    parameters = [("input", times(scene.size))]
    if scene.view in NETWORK_VIEWS:
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
    """(batch, channels, *spatial): a scene's size may leave out the channels where there is one."""
    ndim = 2 if layer.ndim is None else layer.ndim
    return (1,) * (ndim + 2 - len(size)) + size


def _output(layer: Layer, size: tuple[int, ...]) -> tuple[int, ...]:
    return layer.output_shape(_shape(layer, size))


def _code(layer: Layer, size: tuple[int, ...]) -> str:
    """The layer in torch, with the shape that comes out."""
    shape = _shape(layer, size)
    return f"{layer}\n# {shape} -> {layer.output_shape(shape)}"


def build_gallery(
    folder: str, suffixes: Iterable[str] = (".gif",), theme: str = "light", scale: int = 2,
    progress: Callable[[str, int, int], None] | None = None, names: Iterable[str] | None = None,
) -> list[str]:  # fmt: skip
    """Draw every scene (or those of `names`) in each format, then write the page that shows them; the files' paths.

    `progress` is called with a scene's name, how many scenes are done, and how many there are. Raises ConvarithError
    where a file cannot be written, ParameterError for an unknown suffix or theme.
    """
    suffixes = list(suffixes)
    for suffix in suffixes:
        suffix_of(f"scene{suffix}")
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
