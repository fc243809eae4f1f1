"""convarith animate: draw a layer, a network or a named scene as an animated picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith_cli.answer import Answer, Facts
from convarith_cli.named import names_network, read_input, read_numbers, read_scene, read_subject
from convarith_cli.number_lists import flat, read_rows
from convarith_cli.options import Json, command_app, layer_options

if TYPE_CHECKING:
    from convarith_gallery.drawing.film import Film

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith animate conv-transpose -i 4 -k 3 -s 2 -p 1 --output-padding 1 -o up.gif
  convarith animate conv -i 5 -k 3 --values "1..25" --weight "0,1,0;1,2,1;0,1,0" -o conv.svg
  convarith animate "Conv2d(2, 1, 3, groups=1)" -i 2x5x5 --style slanted --theme dark -o channels.webp
  convarith animate conv-transpose -i 3 -k 3 -s 2 --view overlap -o overlap.png --sheet 3
  convarith animate padding_strides_odd -o odd.apng
  convarith animate encoder.txt -i 1x28x28 --view field -o field.mp4
"""
PROGRESS_FROM = 200
"""A progress bar is shown for films with at least this many frames."""
VIEW_HELP = (
    "How to show it. Layers: slide (default), matrix. Transposed convolutions also: scatter (their default), "
    "zero-insert, overlap, together. Max unpooling: unpool. Networks: hourglass (default), field."
)
"""Written out, because --help must not load the tables in convarith_gallery.render. A test compares the two."""


@app.command(epilog=EXAMPLES)
@layer_options
def animate(
    given: dict[str, Any],
    what: Annotated[
        str,
        typer.Argument(
            metavar="SCENE|LAYER|NETWORK", show_default=False,
            help="The name of a scene (see --list), a layer as in `convarith shape`, or a network as in "
            "`convarith trace`.",
        ),
    ] = "",
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: 4, 4x6, or 2x4x6 with the channels first; a kind such as conv is drawn in 2-D.",
        ),
    ] = None,
    view: Annotated[
        str | None,
        typer.Option(
            metavar="VIEW", show_default=False, help=VIEW_HELP,
        ),
    ] = None,
    values: Annotated[
        str | None,
        typer.Option(metavar="NUMBERS", help='The values of the input: "1..16", or "1,2;3,4".', show_default=False),
    ] = None,
    weight: Annotated[
        str | None, typer.Option(metavar="NUMBERS", help='The weights of the kernel: "0,1;2,3".', show_default=False)
    ] = None,
    numbers: Annotated[bool, typer.Option("--numbers", help="Show numbers, even if none are given.")] = False,
    style: Annotated[
        str | None, typer.Option(metavar="STYLE", help="flat, or slanted to draw maps as planes.", show_default=False)
    ] = None,
    theme: Annotated[str, typer.Option(metavar="THEME", help="light, dark, or (only for .svg) auto.")] = "light",
    scale: Annotated[int, typer.Option(metavar="N", help="Pixels per point: 1, 2 or 3.")] = 2,
    seconds: Annotated[float, typer.Option(metavar="S", help="Seconds per step.")] = 0.6,
    hold: Annotated[float, typer.Option(metavar="S", help="Seconds for the last step.")] = 2.0,
    loops: Annotated[int, typer.Option(metavar="N", help="How often the animation plays; 0 to repeat it forever.")] = 0,
    frame: Annotated[
        int | None,
        typer.Option(metavar="N", help="Draw a single step: 1 is the first, -1 the last.", show_default=False),
    ] = None,
    sheet: Annotated[
        int | None,
        typer.Option(metavar="COLUMNS", help="Draw all steps on one sheet, in this many columns.", show_default=False),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", show_default=False,
                     help="The file: .gif, .png, .apng, .webp, .svg or .mp4. Default: NAME.gif."),
    ] = None,
    list_scenes: Annotated[bool, typer.Option("--list", help="List the named scenes.")] = False,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """Draw a layer, a network or a named scene as an animation, step by step.

    The picture shows the computed sizes and the formula. A text description comes with it.
    """
    if list_scenes:
        return _list()._replace(as_json=as_json)
    if not what and not given:
        raise ParameterError(
            "nothing to animate: name a scene (--list shows them), a layer with its options, or a network"
        )
    film, name = _film(what or "conv", given, input_size, view, values, weight, numbers, style)
    path = output or f"{name}.gif"
    still = None if frame is None else _frame(frame, len(film.frames))
    from convarith_gallery.drawing.encoding import save

    with _bar(len(film.frames)) as progress:
        saved = save(
            film, path, theme=theme, scale=scale, seconds=seconds, hold=hold, loops=loops, frame=still, sheet=sheet,
            progress=progress,
        )  # fmt: skip
    data = {
        "file": saved.path, "title": film.title, "alt": film.alt, "steps": list(film.captions),
        "frames": saved.frames, "bytes": saved.bytes, "width": saved.width, "height": saved.height,
    }  # fmt: skip
    size = f"{saved.width} x {saved.height}, {saved.bytes:,} bytes"
    shown = f"{saved.frames:,} frame{'s' if saved.frames != 1 else ''}, {size}"
    return Answer(
        data, [f"{saved.path}: {film.title}", Facts([("file", shown), ("alt text", film.alt)])], as_json=as_json
    )


def _film(
    what: str, given: dict[str, Any], size: str | None, view: str | None, values: str | None, weight: str | None,
    numbers: bool, style: str | None,
) -> tuple[Film, str]:  # fmt: skip
    """The film that was asked for, and the default name of its file."""
    from convarith_gallery.render import film_of_layer, film_of_network

    found = None if names_network(what) and not given else read_scene(what)
    if found is not None:
        flags = {
            "-i": size,
            "--view": view,
            "--values": values,
            "--weight": weight,
            "--numbers": numbers,
            "a layer's options": given,
        }
        extra = [flag for flag, value in flags.items() if value]
        if extra:
            raise ParameterError(
                f"the scene {found.name} has its own layer and numbers: leave out {', '.join(extra)}, or name a layer"
            )
        return found.film(style), found.name
    subject = read_subject(what, given, size).subject
    if not isinstance(subject, Layer):
        if size is None:
            raise ParameterError("a network needs the shape of its input: give it with -i, as in -i 1x28x28")
        if values or weight or numbers:
            raise ParameterError("a network is shown without numbers: leave out --values, --weight and --numbers")
        return film_of_network(subject, read_input(subject, size).whole_shape(), view, style or "flat"), "network"
    from convarith_gallery.views.subject import Subject

    if size is None:
        raise ParameterError(f"{subject} needs an input size: give it with -i, as in -i 5 or -i 5x7")
    ndim = 3 if len(read_numbers(size)) == 4 else 2  # of a layer that leaves it open: pictures are flat
    entered = read_input(subject, size, ndim)
    shape = entered.numbers if entered.sizes is None else entered.sizes
    if entered.told and entered.channels is not None:
        shape = (entered.channels, *shape)
    drawn = Subject.of(
        subject, shape, None if values is None else flat(read_rows(values, "--values")),
        None if weight is None else flat(read_rows(weight, "--weight")), numbers or None,
    )  # fmt: skip
    return film_of_layer(drawn, view, style or "flat"), subject.kind


def _frame(number: int, count: int) -> int:
    """Convert a step counted from 1, or from the end, to a frame counted from 0."""
    if number == 0 or not -count <= number <= count:
        raise ParameterError(f"there is no step {number} for --frame: the steps are 1 to {count}, or -1 for the last")
    return number - 1 if number > 0 else number


def _list() -> Answer:
    from convarith_gallery.scenes import scenes

    from convarith_cli.answer import Table

    rows = [(each.name, each.group, each.text) for each in scenes().values()]
    data = {"scenes": [dict(zip(("name", "group", "text"), row, strict=True)) for row in rows]}
    return Answer(data, [f"{len(rows)} scenes", Table(("scene", "group", "what it shows"), rows)])


@contextmanager
def _bar(frames: int) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar, if standard error is a terminal and the film takes a while."""
    if frames < PROGRESS_FROM or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("drawing", total=frames)
        yield lambda done, total: bar.update(task, completed=done, total=total)
