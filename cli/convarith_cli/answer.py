"""What a command returns, and how it is written: JSON, plain text for a pipe, rich tables for a terminal."""

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith_cli.exit_codes import ExitCode

if TYPE_CHECKING:
    from rich.console import Console


class Table(NamedTuple):
    """Rows under column heads; `numbers` names the columns that are aligned on the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()


class Facts(NamedTuple):
    """Labelled lines, in the order in which they are read."""

    lines: Sequence[tuple[str, str]]


class Grid(NamedTuple):
    """Cells in columns aligned on the right; `colours` has an index into PALETTE for each cell, or None."""

    rows: Sequence[Sequence[str]]
    colours: Sequence[Sequence[int | None]]


class Code(NamedTuple):
    """A program or another text whose lines are never wrapped."""

    text: str
    language: str = "text"


PALETTE = (
    "bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_red", "bright_blue",
    "cyan", "yellow", "magenta", "green", "red", "blue",
)  # fmt: skip
"""The colours of a grid's cells; an index beyond the last starts again from the first."""

Block = str | Table | Facts | Grid | Code


SCHEMA_VERSION = 1
"""Changes when a key of a document is removed or renamed, or its meaning changes; not when a key is added."""


class Answer(NamedTuple):
    """One answer: `data` is the JSON document, `blocks` is the same for a person.

    A block is a title or a remark (text), labelled facts, a table, a grid of coloured cells, or code.
    """

    data: dict[str, Any]
    blocks: list[Block]
    as_json: bool = False
    as_markdown: bool = False
    exit_code: int = ExitCode.ANSWERED

    def of_command(self, name: str) -> "Answer":
        """The same answer; its document says of which schema it is: `schemas/NAME.json`, in this version."""
        return self._replace(data={"schema": f"convarith/{name}/{SCHEMA_VERSION}", **self.data})


def write(answer: Answer) -> None:
    """Write an answer to standard output."""
    blocks = [_escaped(block) for block in answer.blocks]
    if answer.as_json:
        import json

        print(json.dumps(answer.data, indent=2, ensure_ascii=not _is_unicode()))
    elif answer.as_markdown:
        print(_encodable("\n\n".join(markdown(block, first=number == 0) for number, block in enumerate(blocks))))
    elif sys.stdout.isatty() or os.environ.get("FORCE_COLOR"):
        from rich.console import Console

        write_rich(blocks, Console(highlight=False))
    else:
        print(_encodable("\n\n".join(plain(block) for block in blocks)))


def escaped(text: str) -> str:
    """A text whose control characters are visible: names come from files and from the user's code.

    >>> print(escaped("a\\x1b[31mb"))
    a\\x1b[31mb
    """
    return CONTROL.sub(lambda match: match.group().encode("unicode_escape").decode(), text)


CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
"""Control characters but for the tab and the line feed, and letters that no encoding can write."""


def _escaped(block: Block) -> Block:
    if isinstance(block, str):
        return escaped(block)
    if isinstance(block, Code):
        return block._replace(text=escaped(block.text))
    if isinstance(block, Facts):
        return Facts([(escaped(label), escaped(value)) for label, value in block.lines])
    rows = [[escaped(cell) for cell in row] for row in block.rows]
    return block._replace(rows=rows)


STAND_INS = {"\u00d7": "x", "\u2192": "->", "\u2212": "-", "\u221e": "inf", "\u00b7": "*"}
"""What stands for a sign that the output's encoding lacks (cp1252, ASCII)."""


def _is_unicode() -> bool:
    return (sys.stdout.encoding or "utf-8").lower().replace("-", "").startswith("utf")


def _encodable(text: str) -> str:
    """The text in the letters of standard output."""
    if _is_unicode():
        return text
    encoding = sys.stdout.encoding
    for sign, stand_in in STAND_INS.items():
        try:
            sign.encode(encoding)
        except UnicodeEncodeError:
            text = text.replace(sign, stand_in)
    return text.encode(encoding, "backslashreplace").decode(encoding)


def plain(block: Block) -> str:
    """A block as plain text, its columns aligned.

    >>> print(plain(Table(["input", "output"], [["3", "1"], ["10", "4"]], numbers=["input", "output"])))
    input  output
        3       1
       10       4
    """
    if isinstance(block, str):
        return block
    if isinstance(block, Code):
        return block.text.rstrip()
    if isinstance(block, Facts):
        width = max(len(label) for label, _ in block.lines)
        lines = []
        for label, value in block.lines:
            first, *more = value.split("\n")
            lines.append(f"{label:<{width}}  {first}")
            lines += [f"{'':<{width}}  {line}" for line in more]
        return "\n".join(lines)
    if isinstance(block, Grid):
        return "\n".join(" ".join(row).rstrip() for row in _aligned(block))
    grid = [list(block.columns), *map(list, block.rows)]
    widths = [max(len(row[at]) for row in grid) for at in range(len(block.columns))]
    right = [column in block.numbers for column in block.columns]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in grid
    )


def _aligned(grid: Grid) -> list[list[str]]:
    """The cells of a grid, padded to the width of their column."""
    widths = [max(map(len, column)) for column in zip(*grid.rows, strict=True)]
    return [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in grid.rows]


def markdown(block: Block, first: bool = False) -> str:
    """A block as Markdown: bold text for the first, a table, a list, or code for a grid.

    >>> print(markdown(Table(["name", "MACs"], [["0", "1|2"]], numbers=["MACs"])))
    | name | MACs |
    | :--- | ---: |
    | 0 | 1\\|2 |
    """
    if isinstance(block, str):
        return f"**{block}**" if first else block
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text.rstrip()}\n```"
    if isinstance(block, Facts):
        return "\n".join(_item(label, value.split("\n")) for label, value in block.lines)
    if isinstance(block, Grid):
        return f"```text\n{plain(block)}\n```"
    marks = ["---:" if column in block.numbers else ":---" for column in block.columns]
    rows = [list(block.columns), marks, *([cell.replace("|", "\\|") for cell in row] for row in block.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _item(label: str, lines: list[str]) -> str:
    """An entry of a Markdown list; several lines become a nested list."""
    return f"- {label}: {lines[0]}" if len(lines) == 1 else "\n  - ".join([f"- {label}:", *lines])


def write_rich(blocks: list[Block], console: "Console") -> None:
    """Write blocks to a terminal: tables without borders, labels and cells in colour."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    for number, block in enumerate(blocks):
        if number:
            console.print()
        if isinstance(block, str):
            console.print(Text(block, style="bold" if number == 0 else ""))
        elif isinstance(block, Code):
            console.print(Text(block.text.rstrip()), soft_wrap=True)  # wrapped code would no longer run
        elif isinstance(block, Facts):
            grid = RichTable.grid(padding=(0, 2))
            grid.add_column(style="cyan", no_wrap=True)
            grid.add_column(overflow="fold")
            for label, value in block.lines:
                grid.add_row(label, Text(value))
            console.print(grid)
        elif isinstance(block, Grid):
            for cells, colours in zip(_aligned(block), block.colours, strict=True):
                styles = ["" if colour is None else PALETTE[colour % len(PALETTE)] for colour in colours]
                line = Text(" ").join(map(Text, cells, styles))
                console.print(
                    line, soft_wrap=True
                )  # long rows are left to the terminal, so that columns keep their place
        else:
            table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="cyan")
            for column in block.columns:
                table.add_column(column, justify="right" if column in block.numbers else "left", overflow="fold")
            for row in block.rows:
                table.add_row(*(Text(cell) for cell in row))
            console.print(table)
