"""The common base of layers with a sliding window: convolutions, pools and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from convarith.layers.base import SpatialLayer
from convarith.sizes.normalise import Ints

if TYPE_CHECKING:
    from convarith.layers.reads import Reads, Scattering

PADDING_MODES = ("zeros", "reflect", "replicate", "circular")

Padding = str | int | tuple[int | tuple[int, int], ...]
"""'same', 'valid', one number for both sides of all axes, or one entry per axis: a number or a pair (before, after)."""


class WindowLayer(SpatialLayer):
    """A window of k taps, d positions apart, that moves by s over the padded input."""

    kernel_size: Ints
    stride: Ints | None
    dilation: Ints = 1
    overlap_side: ClassVar[str] = "gradient"
    formula_text: ClassVar[str] = "floor(({i} + 2*{p} - {d}*({k} - 1) - 1)/{s}) + 1"

    def pads(self, axis: int) -> tuple[int, int]:
        """The padding before and after one axis."""
        padding = self.at("padding", axis)
        return padding, padding

    def span(self, axis: int) -> int:
        """The number of positions from the first tap of a window to its last: d(k - 1) + 1.

        >>> import convarith as ca
        >>> ca.Conv(kernel_size=3, dilation=3).span(0)
        7
        """
        return self.at("dilation", axis) * (self.at("kernel_size", axis) - 1) + 1

    @property
    def averages(self) -> str:
        """Whether the divisor of an average pool counts the padding: 'padded' or 'inside'; empty for other layers."""
        return ""

    def reads(self, axis: int, size: int, output: int, ndim: int = 1) -> Reads | None:
        """A window over the padded input."""
        from convarith.layers.reads import Window

        before, after = self.pads(axis)
        return Window(
            size=self.at("kernel_size", axis), stride=self.at("stride", axis), dilation=self.at("dilation", axis),
            before=before, after=after, mode=self.pad_mode, averages=self.averages,
        )  # fmt: skip

    def scattering(self, axis: int) -> Scattering | None:
        """In the gradient, every output adds to the inputs of its window."""
        from convarith.layers.reads import Scattering

        kernel, stride, dilation = (self.at(name, axis) for name in ("kernel_size", "stride", "dilation"))
        return Scattering(kernel, stride, dilation, *self.pads(axis))

    def letters(self, axis: int) -> dict[str, int]:
        """The letters k, s, p and d."""
        names = {"k": "kernel_size", "s": "stride", "p": "padding", "d": "dilation"}
        return {letter: self.at(name, axis) for letter, name in names.items()}

    def leftover(self, input_size: int | Sequence[int]) -> tuple[int, ...]:
        """Same as `unread`, but negative if ceil_mode lets the last window extend past the end.

        >>> import convarith as ca
        >>> ca.MaxPool(kernel_size=2, ceil_mode=True).leftover(7)
        (-1,)
        """
        sizes = self.spatial_size(input_size)
        windows = self.outputs_along(sizes)
        return tuple(
            size + sum(self.pads(axis)) - self.span(axis) - self.at("stride", axis) * (count - 1)
            for axis, (size, count) in enumerate(zip(sizes, windows, strict=True))
        )


def window_too_large(
    size: int, pads: tuple[int, int], kernel: int, dilation: int, most_padding: int | None = None
) -> str:
    """The message for a window that does not fit, with all the changes that would make it fit."""
    padded, span = size + sum(pads), dilation * (kernel - 1) + 1
    remedies = [f"an input >= {span - sum(pads)}"]
    padding = max(pads) + (span - padded + 1) // 2
    if most_padding is None or padding <= most_padding:
        remedies.append(f"padding >= {padding}")
    if kernel > 1 and padded >= kernel:
        remedies.append(f"dilation <= {(padded - 1) // (kernel - 1)}")
    elif padded > 0:
        remedies.append(f"kernel_size <= {(padded - 1) // dilation + 1}")
    parameters = f"k={kernel}" + (f", d={dilation}" if dilation != 1 else "")
    needs = " or ".join(filter(None, [", ".join(remedies[:-1]), remedies[-1]]))
    return f"the kernel spans {span} ({parameters}) but the padded input is {padded}: needs {needs}"
