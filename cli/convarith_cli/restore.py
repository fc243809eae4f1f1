"""convarith restore: apply a trained restorer to a picture."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from convarith_cli.answer import Answer, Facts
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith train edsr && convarith restore runs/edsr/level=2.0 photo.png -o larger.png
  convarith restore runs/noise2noise/targets=noisy/model.safetensors scan.tif -o clean.png
  convarith restore runs/mdsr photo.jpg -o photo-x4.png --scale 4
"""


@app.command(epilog=EXAMPLES)
def restore(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A folder of `convarith train` with one model, or its model.safetensors.",
            show_default=False,
        ),
    ],
    picture: Annotated[
        str, typer.Argument(metavar="PICTURE", help="A png, jpg, webp, tif or bmp file.", show_default=False)
    ],
    out: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The file to write; its ending gives the format.", show_default=False
        ),
    ],
    scale: Annotated[
        int | None,
        typer.Option(metavar="N", help="The scale, for a model with several: 2, 3 or 4.", show_default=False),
    ] = None,
    tile: Annotated[
        int, typer.Option(metavar="N", help="The side of a piece in pixels; smaller pieces need less memory.")
    ] = 256,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="The number of CPU threads.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """Restore or enlarge a picture with a trained model.

    The picture may have any size, grey or colour, with 8 or 16 bits per channel; transparency is kept. It is processed
    in pieces that overlap by the model's receptive field, which avoids seams and saves memory.
    """
    from convarith_gallery.autoencoders.requirements import require

    require()
    import torch
    from convarith_gallery.autoencoders.restore.picture_files import check_output, read_picture, write_picture
    from convarith_gallery.autoencoders.restore.restoring import load_restorer
    from convarith_gallery.autoencoders.restore.restoring import restore as restore_picture
    from convarith_gallery.autoencoders.training.devices import choose

    if threads is not None:
        torch.set_num_threads(threads)
    given = read_picture(picture)
    check_output(out, given)
    chosen = choose(device)
    loaded = load_restorer(model, scale)
    with _bar() as watch:
        restored = restore_picture(loaded.module.to(chosen), loaded.tiling, given, chosen, side=tile, watch=watch)
    write_picture(out, restored)
    height, width = restored.size
    reach = loaded.tiling.reaches
    pieces = len(loaded.tiling.pieces(loaded.tiling.legal_size(given.size), tile))
    data = {
        "model": loaded.folder, "about": loaded.about, "picture": picture, "output": out, "size": list(given.size),
        "output_size": [height, width], "scale": loaded.tiling.scale, "channels": given.pixels.shape[2],
        "alpha": given.alpha is not None, "bits": given.bits, "pieces": pieces,
        "overlap": [max(axis.before, axis.after) for axis in reach],
    }  # fmt: skip
    facts = [
        ("model", loaded.about),
        ("picture", f"{picture}: {given.size[1]} x {given.size[0]}, {given.bits} bits per channel"),
        ("pieces", f"{pieces}, each with {max(reach[0].before, reach[0].after)} pixels of overlap" if reach else "1"),
    ]
    return Answer(data, [f"{out}: {width} x {height}", Facts(facts)], as_json=as_json)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error if it is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("restoring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
