"""Draws the pictures of the README. `python docs/pictures.py` writes docs/*.svg."""

import io
import os
from pathlib import Path

from convarith_cli.answer import Answer, write_rich
from convarith_cli.main import answer
from convarith_gallery.atomic_file import write_whole
from convarith_gallery.drawing.encoding import save
from convarith_gallery.scenes import scene
from rich.console import Console
from rich.terminal_theme import TerminalTheme

COMMAND = ["trace", "docs/autoencoder.txt", "-i", "1x28x28"]

THEME = TerminalTheme(
    (22, 27, 34),
    (230, 237, 243),
    [(72, 79, 88), (255, 123, 114), (63, 185, 80), (210, 153, 34), (88, 166, 255), (188, 140, 255), (57, 197, 207),
     (177, 186, 196)],
)  # fmt: skip
"""A dark terminal, which is readable on light and on dark pages."""

SVG = """<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img">
<title>convarith trace of an autoencoder</title>
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; white-space: pre }}
{styles}
</style>
<defs>{lines}</defs>
<rect fill="#161b22" x="0" y="0" width="{width}" height="{height}" rx="10"/>
<g transform="translate(14, 14)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


SCENES = ("padding_strides", "output_padding", "overlap_uneven", "matrix")
"""The scenes in the README, drawn so that they follow the theme of the page."""


def main() -> None:
    """Write the pictures into the folder of this file."""
    os.chdir(Path(__file__).parent.parent)
    draw_trace()
    for name in SCENES:
        saved = save(scene(name).film(), f"docs/{name}.svg", theme="auto")
        print(f"{saved.path}: {saved.bytes:,} bytes")


def draw_trace() -> None:
    """Draw a terminal that shows the table of `convarith trace`."""
    console = Console(record=True, width=112, file=io.StringIO(), force_terminal=True, highlight=False)
    console.print(f"[bold green]$[/] convarith {' '.join(COMMAND)}\n")
    outcome = answer(COMMAND)
    assert isinstance(outcome, Answer)
    write_rich(outcome.blocks, console)
    picture = console.export_svg(title="convarith trace of an autoencoder", theme=THEME, code_format=SVG, unique_id="c")
    target = Path("docs/trace.svg")
    write_whole(str(target), "\n".join(line.rstrip() for line in picture.splitlines()) + "\n")
    print(f"{target}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
