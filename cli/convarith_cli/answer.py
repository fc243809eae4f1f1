"""What a command returns, and how it is written: JSON, plain text for a pipe, rich tables for a terminal."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from rich.console import Console


class Table(NamedTuple):
    """Rows under column heads; `numbers` names the columns that line up on the right."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Sequence[str] = ()


class Facts(NamedTuple):
    """Labelled lines, in the order a person reads them."""

    lines: Sequence[tuple[str, str]]


class Grid(NamedTuple):
    """Cells in columns that line up on the right; `colours` has an index into PALETTE for each cell, None for none."""

    rows: Sequence[Sequence[str]]
    colours: Sequence[Sequence[int | None]]


PALETTE = (
    "bright_cyan", "bright_yellow", "bright_magenta", "bright_green", "bright_red", "bright_blue",
    "cyan", "yellow", "magenta", "green", "red", "blue",
)  # fmt: skip
"""The colours of a grid's cells; an index beyond the last begins again."""

Block = str | Table | Facts | Grid


class Answer(NamedTuple):
    """One answer: `data` is the JSON document, `blocks` the same for a person.

    A block is a title or remark (text), labelled facts, a table, or a grid of coloured cells.
    """

    data: dict[str, Any]
    blocks: list[Block]
    as_json: bool = False
    as_markdown: bool = False
    exit_code: int = 0


def write(answer: Answer) -> None:
    """Write an answer to standard output."""
    if answer.as_json:
        import json

        print(json.dumps(answer.data, indent=2, ensure_ascii=False))
    elif answer.as_markdown:
        print("\n\n".join(markdown(block, first=number == 0) for number, block in enumerate(answer.blocks)))
    elif sys.stdout.isatty() or os.environ.get("FORCE_COLOR"):
        from rich.console import Console

        write_rich(answer.blocks, Console(highlight=False))
    else:
        print("\n\n".join(plain(block) for block in answer.blocks))


def plain(block: Block) -> str:
    """A block as plain text, its columns aligned.

    >>> print(plain(Table(["input", "output"], [["3", "1"], ["10", "4"]], numbers=["input", "output"])))
    input  output
        3       1
       10       4
    """
    if isinstance(block, str):
        return block
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
    """The cells of a grid, as wide as their column."""
    widths = [max(map(len, column)) for column in zip(*grid.rows, strict=True)]
    return [[cell.rjust(width) for cell, width in zip(row, widths, strict=True)] for row in grid.rows]


def markdown(block: Block, first: bool = False) -> str:
    """A block as Markdown: a heading line in bold, a table, a list, or code for a grid.

    >>> print(markdown(Table(["name", "MACs"], [["0", "1|2"]], numbers=["MACs"])))
    | name | MACs |
    | :--- | ---: |
    | 0 | 1\\|2 |
    """
    if isinstance(block, str):
        return f"**{block}**" if first else block
    if isinstance(block, Facts):
        return "\n".join(_item(label, value.split("\n")) for label, value in block.lines)
    if isinstance(block, Grid):
        return f"```text\n{plain(block)}\n```"
    marks = ["---:" if column in block.numbers else ":---" for column in block.columns]
    rows = [list(block.columns), marks, *([cell.replace("|", "\\|") for cell in row] for row in block.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _item(label: str, lines: list[str]) -> str:
    """An entry of a Markdown list; several lines become a list in it."""
    return f"- {label}: {lines[0]}" if len(lines) == 1 else "\n  - ".join([f"- {label}:", *lines])


def write_rich(blocks: list[Block], console: "Console") -> None:
    """Write blocks to a terminal: tables without walls, labels and cells in colour."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    for number, block in enumerate(blocks):
        if number:
            console.print()
        if isinstance(block, str):
            console.print(Text(block, style="bold" if number == 0 else ""))
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
                console.print(line, soft_wrap=True)  # the terminal wraps: a column keeps its place in the row
        else:
            table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="cyan")
            for column in block.columns:
                table.add_column(column, justify="right" if column in block.numbers else "left", overflow="fold")
            for row in block.rows:
                table.add_row(*(Text(cell) for cell in row))
            console.print(table)
