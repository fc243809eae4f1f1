"""The size function of one layer along one axis: exact, invertible, and printable as a formula."""

from collections.abc import Callable
from math import floor, gcd, inf, isfinite
from typing import TYPE_CHECKING, NamedTuple, overload

if TYPE_CHECKING:
    from convarith.sizes.sets import SizeRange


class FloorRule(NamedTuple):
    """o = rise * floor((i + shift)/step) + offset, for minimum <= i <= maximum and i a multiple of `multiple_of`.

    Every layer with integer parameters has this form: convolutions and pools have rise 1, transposed convolutions
    have step 1, adaptive pools have rise 0.

    >>> conv = FloorRule(rise=1, shift=-1, step=2, offset=1, minimum=1)      # k=3 s=2 p=1
    >>> conv(28), conv(0), conv.formula(), str(conv.inputs_for(14))
    (14, None, 'floor((i - 1)/2) + 1', '27..28')
    """

    rise: int = 1
    shift: int = 0
    step: int = 1
    offset: int = 0
    minimum: int = 1
    maximum: int | None = None
    multiple_of: int = 1

    def __call__(self, size: int) -> int | None:
        """The output size, or None if the layer does not accept this input size."""
        rise, shift, step, offset, minimum, maximum, multiple_of = self
        if size < minimum or size % multiple_of or (maximum is not None and size > maximum):
            return None
        return rise * ((size + shift) // step) + offset

    def inputs_for(self, size: int) -> "SizeRange | None":
        """All input sizes that give this output size, or None if there are none."""
        from convarith.sizes.sets import SizeRange

        first, last = self.minimum, self.maximum
        if self.rise == 0:
            if size != self.offset:
                return None
        else:
            quotient, remainder = divmod(size - self.offset, self.rise)
            if remainder:
                return None
            first = max(first, quotient * self.step - self.shift)
            end = quotient * self.step - self.shift + self.step - 1
            last = end if last is None else min(last, end)
        first += -first % self.multiple_of
        if last is not None:
            last -= last % self.multiple_of
            if last < first:
                return None
        return SizeRange(first, last, self.multiple_of)

    def formula(self, variable: str = "i") -> str:
        """The rule as a formula of the input size."""
        if self.rise == 0:
            return str(self.offset)
        whole, part = divmod(self.shift, self.step)
        if part:
            inner, constant = f"floor(({with_constant(variable, self.shift)})/{self.step})", self.offset
        else:
            inner = variable if self.step == 1 else f"floor({bracketed(variable)}/{self.step})"
            constant = self.rise * whole + self.offset
        return with_constant(inner if self.rise == 1 else f"{self.rise}*{bracketed(inner)}", constant)


MOST_DENOMINATOR = 2**16
"""Factors with a larger denominator are treated as real numbers and rounded as torch rounds them."""


class ScaleRule(NamedTuple):
    """o = floor(i * factor), computed in double precision as in torch: 0.29 * 100 gives 28.

    If the factor is a short binary fraction, such as 1.5 = 3/2, the product is exact for any size.

    >>> rule = ScaleRule(0.29)
    >>> rule(100), str(rule.inputs_for(28)), rule.formula()
    (28, '97..100', 'floor(i*0.29)')
    """

    factor: float
    minimum: int = 1
    maximum: int | None = None

    def __call__(self, size: int) -> int | None:
        """The output size, or None if the layer does not accept this input size."""
        return None if size < self.minimum else self._product(size)

    @property
    def fraction(self) -> tuple[int, int] | None:
        """(numerator, denominator) if the factor is a short binary fraction, otherwise None.

        >>> ScaleRule(1.5).fraction, ScaleRule(0.29).fraction
        ((3, 2), None)
        """
        numerator, denominator = self.factor.as_integer_ratio()
        return (numerator, denominator) if denominator <= MOST_DENOMINATOR else None

    def _product(self, size: int) -> int | None:
        if self.fraction:
            numerator, denominator = self.fraction
            return size * numerator // denominator
        product = _as_float(size) * self.factor
        return floor(product) if isfinite(product) else None

    def first_reaching(self, size: int) -> int:
        """The smallest input whose output is at least `size`."""
        near = floor(min(_as_float(size) / self.factor, 1e300))
        least = max(self.minimum, near - 2 - near // 2**40)  # the product may be rounded
        return first_size(lambda value: (product := self._product(value)) is None or product >= size, least)

    def inputs_for(self, size: int) -> "SizeRange | None":
        """All input sizes that give this output size, or None if there are none."""
        from convarith.sizes.sets import SizeRange

        first, last = self.first_reaching(size), self.first_reaching(size + 1) - 1
        return SizeRange(first, last) if first <= last and self(first) == size else None

    def formula(self, variable: str = "i") -> str:
        """The rule as a formula of the input size."""
        return f"floor({bracketed(variable)}*{self.factor!r})"


AxisRule = FloorRule | ScaleRule
"""What a layer does to the size of one axis. Rules never decrease: a larger input never gives a smaller output."""


def scale_rule(factor: float, minimum_output: int) -> AxisRule:
    """The rule `floor(i * factor)`, restricted to outputs of at least `minimum_output`.

    An integer factor gives a FloorRule: below 2**53 the floating-point product is exact too.

    >>> scale_rule(2.0, 1)(14)
    28
    """
    if factor == int(factor):
        return FloorRule(rise=int(factor))
    minimum = ScaleRule(factor).first_reaching(minimum_output)
    return ScaleRule(factor, max(1, minimum))


@overload
def first_size(holds: Callable[[int], bool], least: int = 1) -> int: ...
@overload
def first_size(holds: Callable[[int], bool], least: int = 1, *, most: int) -> int | None: ...
def first_size(holds: Callable[[int], bool], least: int = 1, *, most: int | None = None) -> int | None:
    """The smallest size >= `least` for which `holds` is true, given that it stays true for every larger size.

    None if it is true for no size up to `most`.

    >>> first_size(lambda size: size * size > 50), first_size(lambda size: False, most=100)
    (8, None)
    """
    low = high = least
    step = 1
    while not holds(high):
        if most is not None and high > most:
            return None
        low, high, step = high + 1, high + step, 2 * step
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


def _as_float(size: int) -> float:
    try:
        return float(size)
    except OverflowError:
        return inf


def bracketed(text: str) -> str:
    """Put a formula in brackets if it is a sum, so that it can be a factor.

    >>> bracketed("i"), bracketed("floor((i - 3)/2)"), bracketed("floor((i - 3)/2) + 1")
    ('i', 'floor((i - 3)/2)', '(floor((i - 3)/2) + 1)')
    """
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == " " and depth == 0:
            return f"({text})"
    return text


def with_constant(text: str, constant: int) -> str:
    """Add a constant to a formula as text, with the sign written once.

    >>> with_constant("i", 0), with_constant("i", -3), with_constant("2*i", 7)
    ('i', 'i - 3', '2*i + 7')
    """
    if constant == 0:
        return text
    return f"{text} {'+' if constant > 0 else '-'} {abs(constant)}"


def hits_evenly(kernel_size: int, stride: int, dilation: int = 1) -> bool:
    """Does a transposed convolution hit every inner output position equally often (no checkerboard)?

    True exactly if gcd(dilation, stride) = 1 and the stride divides the kernel size; always true for stride 1.

    >>> hits_evenly(4, 2), hits_evenly(3, 2), hits_evenly(4, 2, dilation=2)
    (True, False, False)
    """
    return gcd(dilation, stride) == 1 and kernel_size % stride == 0
