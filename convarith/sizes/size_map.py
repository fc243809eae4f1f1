"""The size of a whole network along one axis, for every input size: exact, in closed form, invertible."""

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
"""Where there is no closed form, inputs up to this size are tried one by one."""


def merged(first: FloorRule, second: FloorRule) -> FloorRule | None:
    """Two rules, one after the other, as one; None where no single rule does it. The domains play no part here.

    With f(i) = r floor((i + a)/s) + b followed by R floor((f + A)/S) + B there are two cases: S divides r, and the
    floor vanishes; or r divides S, and floors within floors join, floor(floor(x/s)/t) = floor(x/(s t)).

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
    """The same function in as few rules as possible, their domains left aside."""
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
    """A rule without its domain. A factor such as 1.5 is the fraction 3/2, its product exact: floor(3*i/2)."""
    if isinstance(rule, FloorRule):
        return (FloorRule(*rule[:4]),)
    if rule.fraction is None:
        return (ScaleRule(rule.factor, 0),)
    numerator, denominator = rule.fraction
    return (FloorRule(rise=numerator), FloorRule(step=denominator))


class SizeMap:
    """The output size along one axis as a function of the input size.

    The function is a chain of rules in their simplest form, the domain a set of sizes; both are exact for every size,
    however large. Only an interpolation by a factor such as 0.29, which is no binary fraction, has no period: there the
    closed form ends, and questions about all sizes are answered up to SEARCH_LIMIT.

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
        """The node at which the axis ends (in a Flatten, say); the map then leads to the last size before it."""

    @cached_property
    def pieces(self) -> tuple[AxisRule, ...]:
        """The function's rules, merged."""
        return simplified(self.rules)

    def __call__(self, size: int) -> int | None:
        """The output size, or None where some layer refuses.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, stride=2)").size_map(0)(2) is None
        True
        """
        return self.follow(size) if size in self.domain else None

    def follow(self, size: int) -> int:
        """The function itself, the domain left aside."""
        for piece in self.pieces:
            if isinstance(piece, FloorRule):
                size = piece.rise * ((size + piece.shift) // piece.step) + piece.offset
            else:
                size = piece(size) or 0
        return size

    def sizes(self, inputs: ArrayLike) -> NDArray[np.int64]:
        """The output sizes of an array of input sizes, -1 where a layer refuses the size. Needs numpy.

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
        """Is there a closed form for all sizes? Not with a fractional interpolation factor."""
        return all(isinstance(piece, FloorRule) for piece in self.pieces)

    @property
    def minimum(self) -> int | None:
        """The smallest input size that every layer takes; None when there is none."""
        return self.domain.first

    @property
    def cycle(self) -> tuple[int, int] | None:
        """(S, M) with f(i + S) = f(i) + M; None without a closed form.

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
        """S of `cycle`."""
        return self.cycle[0] if self.cycle else None

    def formula(self, variable: str = "i") -> str:
        """The function as a formula.

        >>> import convarith as ca
        >>> ca.parse_network("Conv2d(1, 1, 3, 2, 1); Conv2d(1, 1, 3, 2, 1)").size_map(0).formula("H")
        'floor((H - 1)/4) + 1'
        """
        text = variable
        for piece in self.pieces:
            summed = isinstance(piece, ScaleRule) and " " in text and not text.startswith("floor")
            text = piece.formula(f"({text})" if summed else text)
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
        """All sizes that the network gives back unchanged.

        >>> import convarith as ca
        >>> down_and_up = "Conv2d(1, 1, 4, stride=2); ConvTranspose2d(1, 1, 4, stride=2)"
        >>> ca.parse_network(down_and_up).size_map(0).comes_back.words("H")
        'H = 0 (mod 2), H >= 4'
        """
        return meeting(self.rules, ()) & self.domain


def preimage(rules: tuple[AxisRule, ...], wanted: SizeSet) -> SizeSet:
    """All sizes (from 0 on) that a chain of rules leads into a set; the rules' own domains play no part.

    Raises OverflowError where the answer has more than MOST_RUNS runs.
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
    """Neighbouring runs of the same step that fill each other's gaps, as one run of step 1."""
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
    """All sizes at which two chains of rules agree; their domains play no part.

    Beyond a common period the difference of the two grows by a constant, so one period decides.
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
    """The finitely many sizes at which two chains of different growth agree."""
    if together > MOST_RUNS:
        raise OverflowError(f"the sizes repeat only after {together:,}")
    runs = []
    for size in range(together):
        difference = first.follow(size) - second.follow(size)
        steps, remainder = divmod(-difference, growth)
        if remainder == 0 and steps >= 0:
            runs.append(SizeRange(size + steps * together, size + steps * together))
    return runs
