"""convarith gallery: draw every named scene, and write HTML pages that play them."""

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
  convarith gallery pictures
  convarith gallery docs/gallery --format gif,svg --theme dark
"""


@app.command(epilog=EXAMPLES)
def gallery(
    folder: Annotated[
        str, typer.Argument(metavar="DIR", help="The folder to write to, created if necessary.", show_default=False)
    ],
    formats: Annotated[
        str,
        typer.Option(
            "--format", metavar="NAMES", help="gif, png, apng, webp, svg or mp4; separate several with commas."
        ),
    ] = "gif",
    theme: Annotated[
        str, typer.Option(metavar="THEME", help="Theme of the pictures: light or dark. The page has both.")
    ] = "light",
    scale: Annotated[int, typer.Option(metavar="N", help="Pixels per point in the pictures: 1, 2 or 3.")] = 2,
    as_json: Json = False,
) -> Answer:
    """Draw every named scene, and write a page that plays them.

    Open index.html in a browser; it works from disk, without a network. Each scene also has a page of its own.
    """
    from convarith_gallery.page.exhibits import build_gallery
    from convarith_gallery.scenes import scenes

    suffixes = ["." + word.strip().lstrip(".") for word in formats.split(",")]
    with _bar() as progress:
        written = build_gallery(folder, suffixes, theme, scale, progress)
    data = {"index": f"{folder}/index.html", "scenes": len(scenes()), "files": written}
    facts = [("page", f"{folder}/index.html"), ("scenes", str(len(scenes()))), ("files", f"{len(written):,}")]
    return Answer(data, [f"The gallery is in {folder}", Facts(facts)], as_json=as_json)


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None] | None]:
    """A progress bar, if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("drawing", total=None)
        yield lambda name, done, total: bar.update(task, completed=done, total=total, description=name)
