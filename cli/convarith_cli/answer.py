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


Block = str | Table | Facts


class Answer(NamedTuple):
    """One answer: `data` is the JSON document, `blocks` the same for a person.

    A block is a title or remark (text), labelled facts, or a table.
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


def markdown(block: Block, first: bool = False) -> str:
    """A block as Markdown: a heading line in bold, a table, or a list.

    >>> print(markdown(Table(["name", "MACs"], [["0", "1|2"]], numbers=["MACs"])))
    | name | MACs |
    | :--- | ---: |
    | 0 | 1\\|2 |
    """
    if isinstance(block, str):
        return f"**{block}**" if first else block
    if isinstance(block, Facts):
        return "\n".join(_item(label, value.split("\n")) for label, value in block.lines)
    marks = ["---:" if column in block.numbers else ":---" for column in block.columns]
    rows = [list(block.columns), marks, *([cell.replace("|", "\\|") for cell in row] for row in block.rows)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _item(label: str, lines: list[str]) -> str:
    """An entry of a Markdown list; several lines become a list in it."""
    return f"- {label}: {lines[0]}" if len(lines) == 1 else "\n  - ".join([f"- {label}:", *lines])


def write_rich(blocks: list[Block], console: "Console") -> None:
    """Write blocks to a terminal: tables without walls, labels in colour."""
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
        else:
            table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False, header_style="cyan")
            for column in block.columns:
                table.add_column(column, justify="right" if column in block.numbers else "left", overflow="fold")
            for row in block.rows:
                table.add_row(*(Text(cell) for cell in row))
            console.print(table)
