"""A run of sizes, with or without end: the answer to "which inputs give this output?"."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SizeRange:
    """The sizes first, first + step, ..., last; without end when `last` is None.

    >>> sizes = SizeRange(27, 28)
    >>> str(sizes), 28 in sizes, len(sizes)
    ('27..28', True, 2)
    >>> print(SizeRange(4, None, 2))
    4, 6, 8, ...
    """

    first: int
    last: int | None
    step: int = 1

    def __contains__(self, size: int) -> bool:
        return self.first <= size and (self.last is None or size <= self.last) and (size - self.first) % self.step == 0

    def __len__(self) -> int:
        """How many sizes; a range without end raises OverflowError."""
        if self.last is None:
            raise OverflowError("the range has no end")
        return (self.last - self.first) // self.step + 1

    def __str__(self) -> str:
        if self.last is None:
            dots = f"{self.first}, {self.first + self.step}, {self.first + 2 * self.step}, ..."
            return f"every size >= {self.first}" if self.step == 1 else dots
        if self.last == self.first:
            return str(self.first)
        return f"{self.first}..{self.last}" + (f" in steps of {self.step}" if self.step > 1 else "")
