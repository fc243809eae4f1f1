"""The size function of a whole network along one axis: exact for every input size, in closed form, invertible."""

from __future__ import annotations

from functools import cached_property
from math import gcd, lcm
from typing import TYPE_CHECKING

from convarith.dependencies import require_numpy
from convarith.sizes.rules import AxisRule, FloorRule, ScaleRule
from convarith.sizes.sets import EVERY, MOST_RUNS, SizeRange, SizeSet, run

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

SEARCH_LIMIT = 16_384
"""If there is no closed form, inputs up to this size are tried one by one."""


def merged(first: FloorRule, second: FloorRule) -> FloorRule | None:
    """Combine two consecutive rules into one; None if no single rule is equivalent. The domains are ignored.

    With f(i) = r floor((i + a)/s) + b followed by R floor((f + A)/S) + B there are two cases: if S divides r, the
    outer floor vanishes; if r divides S, the nested floors combine, floor(floor(x/s)/t) = floor(x/(s t)).

    >>> merged(FloorRule(shift=-1, step=2, offset=1), FloorRule(shift=-1, step=2, offset=1)).formula("H")
    'floor((H - 1)/4) + 1'
    """
    r, a, s, b = first.rise, first.shift, first.step, first.offset
    rise, shift, step, offset = second.rise, second.shift, second.step, second.offset
    if r == 0 or rise == 0:
        return FloorRule(rise=0, offset=rise * ((b + shift) // step) + offset)
    if r % step == 0:
        return FloorRule(rise * r // step, a, s, offset + rise * ((b + shift) // step))
    if step % r == 0:
        return FloorRule(rise, a + s * ((b + shift) // r), s * (step // r), offset)
    return None


def simplified(rules: tuple[AxisRule, ...]) -> tuple[AxisRule, ...]:
    """The same function in as few rules as possible, ignoring their domains."""
    pieces: list[AxisRule] = []
    for piece in [piece for rule in rules for piece in _plain(rule)]:
        pieces.append(piece)
        while len(pieces) > 1:
            before, last = pieces[-2:]
            if not (isinstance(before, FloorRule) and isinstance(last, FloorRule)):
                break
            if (both := merged(before, last)) is None:
                # The inner constant moves into the outer floor: floor((r q + b + A)/S).
                whole, part = divmod(before.shift, before.step)
                constant = before.offset + (0 if part else before.rise * whole)
                inner = before._replace(offset=0, shift=before.shift if part else 0)
                pieces[-2:] = [inner, last._replace(shift=last.shift + constant)]
                break
            pieces[-2:] = [both]
    if len(pieces) > 1 and pieces[0] == FloorRule(minimum=pieces[0].minimum):
        del pieces[0]
    return tuple(pieces)


def _plain(rule: AxisRule) -> tuple[AxisRule, ...]:
    """A rule without its domain. A factor such as 1.5 becomes the exact fraction 3/2: floor(3*i/2)."""
    if isinstance(rule, FloorRule):
        return (FloorRule(*rule[:4]),)
    if rule.fraction is None:
        return (ScaleRule(rule.factor, 0),)
    numerator, denominator = rule.fraction
    return (FloorRule(rise=numerator), FloorRule(step=denominator))


class SizeMap:
    """The output size along one axis as a function of the input size.

    The function is a chain of rules in their simplest form and the domain is a set of sizes; both are exact for every
    size, however large. Only an interpolation by a factor such as 0.29, which is not a short binary fraction, has no
    period and therefore no closed form; questions about all sizes are then answered up to SEARCH_LIMIT.

    >>> import convarith as ca
    >>> net = ca.parse_network("Conv2d(1, 8, 4, stride=2); Conv2d(8, 8, 3, stride=2); ConvTranspose2d(8, 8, 4, 4)")
    >>> sizes = net.size_map(0)
    >>> sizes(28), sizes.formula("H"), sizes.minimum, sizes.comes_back.words("H")
    (24, '4*floor(H/4) - 4', 8, 'no H')
    """

    def __init__(self, rules: tuple[AxisRule, ...] = (), domain: SizeSet = EVERY, ends_at: str | None = None) -> None:
        self.rules = rules
        self.domain = domain
        self.ends_at = ends_at
        """The node at which the axis ends, such as a Flatten; the map then gives the last size before it."""

    @cached_property
    def pieces(self) -> tuple[AxisRule, ...]:
        """The function's rules, merged."""
        return simplified(self.rules)

    def __call__(self, size: int) -> int | None:
        """The output size, or None if some layer does not accept its input.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, stride=2)").size_map(0)(2) is None
        True
        """
        return self.follow(size) if size in self.domain else None

    def follow(self, size: int) -> int:
        """The output size, without checking that the input is in the domain."""
        for piece in self.pieces:
            if isinstance(piece, FloorRule):
                size = piece.rise * ((size + piece.shift) // piece.step) + piece.offset
            else:
                size = piece(size) or 0
        return size

    def sizes(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """The output sizes of an array of input sizes, -1 where a layer does not accept its input. Needs numpy.

        >>> import convarith as ca
        >>> ca.parse_network("MaxPool2d(3)").size_map(0).sizes([2, 3, 4, 6]).tolist()
        [-1, 1, 1, 2]
        """
        require_numpy()
        import numpy as np

        given = np.asarray(inputs, dtype=np.int64)
        outputs = given.copy()
        for piece in self.pieces:
            if isinstance(piece, FloorRule):  # in place, because allocating memory takes longer than the arithmetic
                outputs += piece.shift
                if piece.step > 1:
                    outputs //= piece.step
                if piece.rise != 1:
                    outputs *= piece.rise
                outputs += piece.offset
            else:
                outputs = np.floor(outputs * piece.factor).astype(np.int64)
        np.copyto(outputs, -1, where=~self._accepted(given))
        return outputs

    def _accepted(self, inputs: NDArray[np.int64]) -> NDArray[np.bool_]:
        import numpy as np

        if not self.domain.points and len(self.domain.longer) == 1:
            return self._inside(inputs, self.domain.longer[0])
        accepted: NDArray[np.bool_] = np.isin(inputs, list(self.domain.points))
        for each in self.domain.longer:
            accepted |= self._inside(inputs, each)
        return accepted

    @staticmethod
    def _inside(inputs: NDArray[np.int64], each: SizeRange) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = inputs >= each.first
        if each.last is not None:
            inside &= inputs <= each.last
        if each.step > 1:
            inside &= (inputs - each.first) % each.step == 0
        return inside

    @property
    def exact(self) -> bool:
        """Is there a closed form for all sizes? There is none for a fractional interpolation factor."""
        return all(isinstance(piece, FloorRule) for piece in self.pieces)

    @property
    def minimum(self) -> int | None:
        """The smallest input size that every layer accepts; None if there is none."""
        return self.domain.first

    @property
    def cycle(self) -> tuple[int, int] | None:
        """(S, M) with f(i + S) = f(i) + M; None if there is no closed form.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, stride=2); Upsample(scale_factor=3)").size_map(0).cycle
        (2, 3)
        """
        if not self.exact:
            return None
        period, rise = 1, 1
        for piece in self.pieces:
            assert isinstance(piece, FloorRule)
            if piece.rise == 0:
                return 1, 0
            stretch = piece.step // gcd(rise, piece.step)
            period, rise = period * stretch, piece.rise * rise * stretch // piece.step
        return period, rise

    @property
    def period(self) -> int | None:
        """The period S of `cycle`; None if there is no closed form."""
        return self.cycle[0] if self.cycle else None

    def formula(self, variable: str = "i") -> str:
        """The function as a formula.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, 2, 1); Conv2d(1, 1, 3, 2, 1)").size_map(0).formula("H")
        'floor((H - 1)/4) + 1'
        """
        text = variable
        for piece in self.pieces:
            text = piece.formula(text)
        return text

    def inputs_for(self, size: int) -> SizeSet:
        """All input sizes that give this output size.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, stride=2); MaxPool2d(2)").size_map(0).inputs_for(7)
        SizeSet(i = 29..32)
        """
        return preimage(self.pieces, SizeSet([SizeRange(size, size)])) & self.domain

    @cached_property
    def comes_back(self) -> SizeSet:
        """All input sizes for which the output has the same size.

        >>> import convarith as ca
        >>> down_and_up = "Conv2d(1, 1, 4, stride=2); ConvTranspose2d(1, 1, 4, stride=2)"
        >>> ca.parse_network(down_and_up).size_map(0).comes_back.words("H")
        'H = 0 (mod 2), H >= 4'
        """
        return meeting(self.rules, ()) & self.domain


def preimage(rules: tuple[AxisRule, ...], wanted: SizeSet) -> SizeSet:
    """All sizes >= 0 whose output under a chain of rules is in a set; the domains of the rules are ignored.

    Raises OverflowError if the answer has more than MOST_RUNS runs.
    """
    for rule in reversed(rules):
        runs: list[SizeRange] = []
        for each in wanted.runs:
            runs += _before(rule, each)
            if len(runs) > MOST_RUNS:
                raise OverflowError("too many runs of sizes")
        wanted = SizeSet(_joined(runs))
    return wanted & EVERY


def _before(rule: AxisRule, each: SizeRange) -> list[SizeRange]:
    """The inputs of one rule whose output lies in one run."""
    if isinstance(rule, ScaleRule):
        return _before_scale(rule, each)
    if rule.rise == 0:
        return [SizeRange(0, None)] if rule.offset in each else []
    # rise * q + offset = first + step * t: q runs through one residue class modulo step/gcd.
    divisor = gcd(rule.rise, each.step)
    if (each.first - rule.offset) % divisor:
        return []
    modulus = each.step // divisor
    residue = (each.first - rule.offset) // divisor * pow(rule.rise // divisor, -1, modulus) % modulus
    least = -(-(each.first - rule.offset) // rule.rise)
    least += (residue - least) % modulus
    most = None if each.last is None else (each.last - rule.offset) // rule.rise
    if modulus == 1:
        last = None if most is None else most * rule.step - rule.shift + rule.step - 1
        found = run(least * rule.step - rule.shift, last)
        return [] if found is None else [found]
    if rule.step > MOST_RUNS:
        raise OverflowError("too many runs of sizes")
    runs = []
    for position in range(rule.step):  # q = floor((i + shift)/step) holds for `step` inputs in a row
        first = least * rule.step - rule.shift + position
        last = None if most is None else most * rule.step - rule.shift + position
        found = run(first, last, modulus * rule.step)
        runs += [] if found is None else [found]
    return runs


def _before_scale(rule: ScaleRule, each: SizeRange) -> list[SizeRange]:
    first = rule.first_reaching(each.first)
    if each.step == 1:
        found = run(first, None if each.last is None else rule.first_reaching(each.last + 1) - 1)
        return [] if found is None else [found]
    last = SEARCH_LIMIT if each.last is None else min(SEARCH_LIMIT, rule.first_reaching(each.last + 1))
    return [SizeRange(size, size) for size in range(first, last + 1) if (rule(size) or 0) in each]


def _joined(runs: list[SizeRange]) -> list[SizeRange]:
    """Merge neighbouring runs of the same step that fill each other's gaps into one run of step 1."""
    groups: dict[tuple[int, bool], list[SizeRange]] = {}
    for each in runs:
        groups.setdefault((each.step, each.last is None), []).append(each)
    joined: list[SizeRange] = []
    for (step, endless), group in groups.items():
        group.sort(key=lambda each: each.first)
        firsts = [each.first for each in group]
        if endless and len(group) == step > 1 and firsts[-1] - firsts[0] == step - 1:
            joined.append(SizeRange(firsts[0], None))
        else:
            joined += group
    return joined


def meeting(one: tuple[AxisRule, ...], other: tuple[AxisRule, ...]) -> SizeSet:
    """All sizes for which two chains of rules give the same output; their domains are ignored.

    Over a common period the difference between the two changes by a constant, so one period decides.
    """
    first, second = SizeMap(one), SizeMap(other)
    if first.pieces == second.pieces:
        return EVERY
    if first.cycle is None or second.cycle is None:
        agree = (size for size in range(SEARCH_LIMIT + 1) if first.follow(size) == second.follow(size))
        return SizeSet(SizeRange(size, size) for size in agree)
    (period, rise), (other_period, other_rise) = first.cycle, second.cycle
    together = lcm(period, other_period)
    growth = rise * (together // period) - other_rise * (together // other_period)
    if growth == 0 and together > MOST_RUNS:
        raise OverflowError(f"the sizes repeat only after {together:,}")
    if growth:
        return SizeSet(_crossing(first, second, together, growth))
    return SizeSet(
        _joined([
            SizeRange(size, None, together) for size in range(together) if first.follow(size) == second.follow(size)
        ])
    )  # fmt: skip


def _crossing(first: SizeMap, second: SizeMap, together: int, growth: int) -> list[SizeRange]:
    """The finitely many sizes at which two chains that grow at different rates agree."""
    if together > MOST_RUNS:
        raise OverflowError(f"the sizes repeat only after {together:,}")
    runs = []
    for size in range(together):
        difference = first.follow(size) - second.follow(size)
        steps, remainder = divmod(-difference, growth)
        if remainder == 0 and steps >= 0:
            runs.append(SizeRange(size + steps * together, size + steps * together))
    return runs
