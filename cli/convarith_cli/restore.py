"""convarith restore: a trained restorer on a picture of one's own."""

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
            metavar="MODEL", help="A folder of `convarith train` with one training, or its model.safetensors.",
            show_default=False,
        ),
    ],
    picture: Annotated[str, typer.Argument(metavar="PICTURE", help="png, jpg, webp, tif, bmp.", show_default=False)],
    out: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to; the ending says how.", show_default=False)
    ],
    scale: Annotated[
        int | None, typer.Option(metavar="N", help="Of a model that has several: 2, 3, 4.", show_default=False)
    ] = None,
    tile: Annotated[int, typer.Option(metavar="N", help="Pixels of a piece; fewer need less memory.")] = 256,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
    threads: Annotated[int | None, typer.Option(metavar="N", help="Processor threads.", show_default=False)] = None,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """Restore or enlarge a picture with a trained model.

    A picture of any size, grey or colour, with 8 or 16 bits; transparency is kept. It is worked on in pieces that
    overlap by the model's receptive field, so that no seam is seen and memory stays small.
    """
    from convarith_gallery.autoencoders.requirements import require

    require()
    import torch
    from convarith_gallery.autoencoders.restore import restoring
    from convarith_gallery.autoencoders.training.devices import choose

    if threads is not None:
        torch.set_num_threads(threads)
    given = restoring.read_picture(picture)
    restoring.check_output(out, given)
    chosen = choose(device)
    loaded = restoring.load_restorer(model, scale)
    with _bar() as watch:
        restored = restoring.restore(loaded.module.to(chosen), loaded.tiling, given, chosen, side=tile, watch=watch)
    restoring.write_picture(out, restored)
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
        ("picture", f"{picture}: {given.size[1]} x {given.size[0]}, {given.bits} bits"),
        ("pieces", f"{pieces}, with {max(reach[0].before, reach[0].after)} pixels more all round" if reach else "1"),
    ]
    return Answer(data, [f"{out}: {width} x {height}", Facts(facts)], as_json=as_json)


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A progress bar on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("restoring", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
