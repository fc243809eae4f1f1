"""Numbers on a command line: rows are separated by ';', the numbers of a row by ',' or spaces."""

import re
from collections.abc import Sequence
from math import isfinite

from convarith.errors import ParameterError

Number = int | float

MOST = 100_000
"""A range of more numbers is taken for a typing error."""


def read_rows(text: str, name: str) -> list[list[Number]]:
    """The rows of a text, all of the same length; `a..b` stands for the whole numbers from a to b.

    Raises ParameterError for text that is not a list of numbers.

    >>> read_rows("0,1; 2 3.5", "--weight"), read_rows("1..4", "--values")
    ([[0, 1], [2, 3.5]], [[1, 2, 3, 4]])
    """
    rows = [_row(row, text, name) for row in text.split(";")]
    lengths = sorted({len(row) for row in rows})
    if len(lengths) > 1:
        told = " and ".join(map(str, lengths))
        raise ParameterError(f"{name} {shortened(text)} has rows of {told} numbers: give every row the same number")
    return rows


def flat(rows: Sequence[Sequence[Number]]) -> list[Number]:
    """All numbers, row by row.

    >>> flat([[0, 1], [2, 3]])
    [0, 1, 2, 3]
    """
    return [number for row in rows for number in row]


def shortened(text: str) -> str:
    """A text as messages quote it."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def _row(row: str, text: str, name: str) -> list[Number]:
    found: list[Number] = []
    for word in re.split(r"[\s,]+", row.strip()):
        if span := re.fullmatch(r"([+-]?\d{1,9})\.\.([+-]?\d{1,9})", word):
            first, last = int(span[1]), int(span[2])
            if not first <= last <= first + MOST:
                raise ParameterError(
                    f"{name} {word!r} is not a range: write the smaller end first, as in 1..9, at most {MOST:,} apart"
                )
            found += range(first, last + 1)
            continue
        try:
            number = float(word)
        except ValueError:
            raise ParameterError(
                f"{name} {shortened(text)} is not a list of numbers: separate rows by ';', as in '0,1;2,3'"
            ) from None
        if not isfinite(number):
            raise ParameterError(f"{name} {shortened(text)} has numbers that are not finite: give finite ones")
        found.append(int(number) if number == int(number) else number)
    return found
