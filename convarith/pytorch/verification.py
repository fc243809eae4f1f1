"""Compare convarith's sizes with those of the installed torch, layer by layer, on small tensors on the CPU.

Every case really runs, because torch's meta device accepts layers that the CPU refuses. The tensors are in double
precision, for which torch uses its own kernels. In single precision some convolutions run in oneDNN, which lets a
transposed convolution return an empty tensor that torch's own kernel refuses.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from math import prod
from typing import Any

from convarith.dependencies import require_torch
from convarith.errors import ConvarithError
from convarith.layers.convolution import ConvTranspose
from convarith.layers.folding import Fold
from convarith.layers.registry import build
from convarith.layers.unpooling import MaxUnpool
from convarith.sizes.normalise import times

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One question to both: torch's class, its arguments, an input shape and, for some layers, an output size."""

    name: str
    arguments: dict[str, Any]
    shape: Shape
    output_size: Shape | None = None

    def __str__(self) -> str:
        """The case as a line of Python that runs after `import torch`."""
        words = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        call = f"torch.nn.{self.name}({words}).double().eval()"
        inputs = f"torch.zeros({', '.join(map(str, self.shape))}, dtype=torch.float64)"
        if self.name.startswith("MaxUnpool"):
            inputs += f", torch.zeros({', '.join(map(str, self.shape))}, dtype=torch.int64)"
        if self.output_size is not None:
            inputs += f", output_size={self.output_size}"
        return f"{call}({inputs}).shape"


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A case with different answers. A text instead of a shape is the reason why it was refused."""

    case: Case
    ours: Shape | str
    torch: Shape | str

    def __str__(self) -> str:
        return f"{self.case}\n    convarith: {_answer(self.ours)}\n    torch:     {_answer(self.torch)}"


@dataclass(slots=True)
class Tally:
    """The outcomes of one layer's cases."""

    accepted: int = 0
    refused: int = 0
    mismatches: int = 0

    @property
    def checked(self) -> int:
        """The number of cases of the layer."""
        return self.accepted + self.refused


@dataclass(slots=True)
class Report:
    """The tallies of all layers, and the first mismatches."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def checked(self) -> int:
        """The number of cases."""
        return sum(tally.checked for tally in self.tallies.values())

    @property
    def mismatched(self) -> int:
        """The number of mismatches, including those that are not kept."""
        return sum(tally.mismatches for tally in self.tallies.values())


def _answer(value: Shape | str) -> str:
    return times(value) if isinstance(value, tuple) else f"refuses: {value}"


def ours(case: Case) -> Shape | str:
    """Return convarith's answer: a shape, or the reason why the case is refused.

    >>> ours(Case("Conv2d", {"in_channels": 1, "out_channels": 2, "kernel_size": 3}, (1, 28, 28)))
    (2, 26, 26)
    """
    try:
        layer = build(case.name, case.arguments)
        if case.output_size is None:
            return layer.output_shape(case.shape)
        spatial = len(case.output_size)
        assert isinstance(layer, ConvTranspose | MaxUnpool)  # the layers that can be told their output size
        sizes = layer.output_size(case.shape[-spatial:], output_size=case.output_size)
        return (*layer.output_shape(case.shape)[:-spatial], *sizes)
    except ConvarithError as error:
        return str(error)


def torchs(case: Case) -> Shape | str:
    """Return torch's answer, from a real module and a real tensor on the CPU."""
    require_torch()
    import torch

    try:
        module = getattr(torch.nn, case.name)(**case.arguments).double().eval()
        inputs: list[Any] = [torch.zeros(case.shape, dtype=torch.float64)]
        if case.name.startswith("MaxUnpool"):
            inputs.append(torch.zeros(case.shape, dtype=torch.int64))
        if case.output_size is not None:
            inputs.append(case.output_size)
        shape = tuple(module(*inputs).shape)
        return shape if all(size >= 0 for size in shape) else f"an impossible tensor of {shape}"
    except Exception as error:  # noqa: BLE001 - torch uses eight different classes to refuse a case
        return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def verify(
    cases: int = 20_000,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    keep: int = 10,
) -> Report:
    """Compare convarith with torch on `cases` cases: all small layers of one axis if they fit in, then random ones.

    `progress(done, total)` is called every 200 cases. Up to `keep` mismatches are kept in full.

    Raises MissingDependencyError without torch.
    """
    require_torch()
    import torch

    grids = list(grid_cases())
    room = max(0, cases - len(grids))
    if not room:
        grids = random.Random(seed).sample(grids, cases // 2)
        room = cases - len(grids)
    report = Report()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        for done, case in enumerate(_chain(grids, random_cases(room, seed))):
            check(case, report, keep)
            if progress and done % 200 == 0:
                progress(done, cases)
    if progress:
        progress(cases, cases)
    return report


def _chain(*groups: Iterable[Case]) -> Iterator[Case]:
    for group in groups:
        yield from group


def check(case: Case, report: Report, keep: int) -> None:
    """Run one case through both and record the outcome."""
    mine, theirs = ours(case), torchs(case)
    tally = report.tallies.setdefault(case.name, Tally())
    accepted = isinstance(theirs, tuple)
    tally.accepted += accepted
    tally.refused += not accepted
    if mine != theirs and (accepted or isinstance(mine, tuple)):
        tally.mismatches += 1
        if len(report.mismatches) < keep:
            report.mismatches.append(Mismatch(case, mine, theirs))


# The exhaustive grids ------------------------------------------------------------------------------------------------


def grid_cases() -> Iterator[Case]:
    """Every small layer of one axis: i <= 12, k <= 5, s <= 4, p <= 3, d <= 3, output_padding <= 3, both roundings."""
    sizes, kernels, strides, paddings, dilations = range(1, 13), range(6), range(5), range(4), range(1, 4)
    channels = {"in_channels": 1, "out_channels": 1}
    for i, k, s, p in product(sizes, kernels, strides, paddings):
        for d in dilations:
            window = {"kernel_size": k, "stride": s, "padding": p, "dilation": d}
            yield Case("Conv1d", channels | window, (1, 1, i))
            for ceil in (False, True):
                yield Case("MaxPool1d", window | {"ceil_mode": ceil}, (1, 1, i))
            for extra in range(4):
                yield Case("ConvTranspose1d", channels | window | {"output_padding": extra}, (1, 1, i))
        for ceil in (False, True):
            yield Case("AvgPool1d", {"kernel_size": k, "stride": s, "padding": p, "ceil_mode": ceil}, (1, 1, i))
            if p == 0:
                arguments = {"norm_type": 2, "kernel_size": k, "stride": s, "ceil_mode": ceil}
                yield Case("LPPool1d", arguments, (1, 1, i))


# The random cases ----------------------------------------------------------------------------------------------------


def random_cases(count: int, seed: int) -> Iterator[Case]:
    """Random cases, equally many of each layer. They are small enough to run, and many of them are to be refused."""
    draw = _Draw(random.Random(seed))
    makers = list(draw.makers())
    for number in range(count):
        yield makers[number % len(makers)]()


class _Draw:
    """Draws random cases, one method per kind of layer."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def makers(self) -> Iterator[Callable[[], Case]]:
        for ndim in (1, 2, 3):
            for windowed in (
                self.conv, self.conv, self.conv_transpose, self.conv_transpose, self.max_pool, self.avg_pool,
                self.lp_pool, self.adaptive, self.adaptive, self.max_unpool, self.upsample,
            ):  # fmt: skip
                yield partial(windowed, ndim)
            for name in ("ZeroPad", "ConstantPad", "ReflectionPad", "ReplicationPad", "CircularPad"):
                yield partial(self.pad, name, ndim)
        yield from (partial(self.fractional, 2), partial(self.fractional, 3))
        yield from (self.pixel_shuffle, self.pixel_unshuffle, self.unfold, self.fold)
        yield from (self.linear, self.flatten, self.unflatten, self.glu, self.elementwise, self.norm)

    def one(self, low: int, high: int) -> int:
        return self.rng.randint(low, high)

    def chance(self, share: float) -> bool:
        """True in this share of the calls."""
        return self.rng.random() < share

    def likely(self, low: int, high: int, otherwise: int) -> int:
        """Mostly a number from the range, sometimes `otherwise`, which torch refuses or which is rare."""
        return otherwise if self.chance(0.04) else self.one(low, high)

    def axes(self, ndim: int, low: int, high: int, otherwise: int = 0) -> Any:
        """One number for all axes or one per axis; rarely a tuple of one or with one number too many."""
        shape = self.rng.random()
        if shape < 0.4:
            return self.likely(low, high, otherwise)
        length = ndim if shape < 0.97 else self.rng.choice((1, ndim + 1))
        return tuple(self.likely(low, high, otherwise) for _ in range(length))

    def fitting(self, value: Any, ndim: int) -> Any:
        """The value, or its first number if it is a tuple of the wrong length."""
        return value[0] if isinstance(value, tuple) and len(value) != ndim else value

    def shape(self, ndim: int, channels: int | None = None, least: int = 1) -> Shape:
        """(N, C, *spatial) or (C, *spatial), rarely with an empty axis or another number of axes."""
        channels = self.one(1, 3) if channels is None else channels
        most = {1: 14, 2: 10, 3: 7}[ndim]
        spatial = tuple(self.likely(least, most, 0) for _ in range(ndim))
        rare = self.rng.random()
        if rare < 0.02:
            channels = 0
        if channels == 0:  # with a second empty axis torch skips its checks, so that there is nothing to compare
            spatial = tuple(size or 1 for size in spatial)
        if rare > 0.98:
            spatial = spatial[1:] if rare > 0.99 else (*spatial, 2)
        if self.chance(0.3):
            return (channels, *spatial)
        batch = 0 if 0 not in spatial and self.chance(0.03) else self.one(1, 2)
        return (batch, channels, *spatial)

    def some(self, **choices: Any) -> dict[str, Any]:
        """A random choice of the parameters; the others keep torch's defaults."""
        return {name: value for name, value in choices.items() if self.chance(0.6)}

    def conv(self, ndim: int) -> Case:
        groups = self.rng.choice((1, 1, 1, 2, 3))
        channels = groups * self.one(1, 2) if self.chance(0.95) else self.one(0, 3)
        out = groups * self.one(1, 2) if self.chance(0.95) else self.one(0, 3)
        shape = self.shape(ndim, channels if self.chance(0.97) else channels + 1)
        # If there is nothing to compute, torch does not check the parameters, so that they have to be valid.
        odd = 0 if prod(shape) else 1
        padding: Any = self.axes(ndim, 0, 3, odd - 1)
        stride: Any = self.axes(ndim, 1, 4, odd)
        if self.chance(0.15):
            padding = self.rng.choice(("same", "valid", "same", "full"))
            stride = stride if self.chance(0.3) else 1
        dilation: Any = self.axes(ndim, 1, 3, odd)
        mode = self.rng.choice(("zeros", "zeros", "reflect", "replicate", "circular", "mirror"))
        if mode != "zeros":  # in the other modes torch does not refuse tuples of a wrong length but miscalculates
            padding, dilation = self.fitting(padding, ndim), self.fitting(dilation, ndim)
        arguments = {"in_channels": channels, "out_channels": out, "kernel_size": self.axes(ndim, 1, 4, odd)}
        arguments |= self.some(
            stride=stride, padding=padding, dilation=dilation, groups=groups,
            bias=self.chance(0.5),
        )  # fmt: skip
        if self.chance(0.4):
            arguments["padding_mode"] = mode
        return Case(f"Conv{ndim}d", arguments, shape)

    def conv_transpose(self, ndim: int) -> Case:
        groups = self.rng.choice((1, 1, 2))
        channels = groups * self.one(1, 2) if self.chance(0.95) else self.one(0, 3)
        out = groups * self.one(1, 2) if self.chance(0.95) else self.one(0, 3)
        arguments = {"in_channels": channels, "out_channels": out, "kernel_size": self.axes(ndim, 1, 4)}
        arguments |= self.some(
            stride=self.axes(ndim, 1, 4), padding=self.axes(ndim, 0, 3, -1), dilation=self.axes(ndim, 1, 3),
            output_padding=self.axes(ndim, 0, 2, -1), groups=groups, bias=self.chance(0.5),
        )  # fmt: skip
        most = {1: 9, 2: 6, 3: 4}[ndim]
        shape = (self.one(1, 2), channels, *(self.likely(1, most, 0) for _ in range(ndim)))
        case = Case(f"ConvTranspose{ndim}d", arguments, shape[1:] if self.chance(0.3) else shape)
        sizes = ours(case)
        if isinstance(sizes, tuple) and self.chance(0.2):
            wanted = tuple(max(0, size + self.one(-2, 3)) for size in sizes[-ndim:])
            # If an output size is given, torch reads the other parameters axis by axis.
            arguments = {name: self.fitting(value, ndim) for name, value in arguments.items()}
            return Case(case.name, arguments, case.shape, wanted)
        return case

    def max_pool(self, ndim: int) -> Case:
        arguments = {"kernel_size": self.axes(ndim, 1, 5)} | self.some(
            stride=self.axes(ndim, 1, 4), padding=self.axes(ndim, 0, 2, -1), dilation=self.axes(ndim, 1, 3),
            ceil_mode=self.chance(0.5),
        )  # fmt: skip
        return Case(f"MaxPool{ndim}d", arguments, self.shape(ndim))

    def avg_pool(self, ndim: int) -> Case:
        arguments = {"kernel_size": self.axes(ndim, 1, 5)} | self.some(
            stride=self.axes(ndim, 1, 4), padding=self.axes(ndim, 0, 2, -1), ceil_mode=self.chance(0.5),
            count_include_pad=self.chance(0.5),
        )  # fmt: skip
        if self.chance(0.1):
            arguments["divisor_override"] = self.one(0, 3)
        return Case(f"AvgPool{ndim}d", arguments, self.shape(ndim))

    def lp_pool(self, ndim: int) -> Case:
        arguments: dict[str, Any] = {"norm_type": self.likely(1, 3, 0)}
        if ndim == 1:  # in 1-D torch multiplies the kernel as a number
            arguments |= {"kernel_size": self.one(1, 5)} | self.some(stride=self.one(1, 4))
        else:
            arguments |= {"kernel_size": self._full(ndim, 1, 5)} | self.some(stride=self._full(ndim, 1, 4))
        arguments |= self.some(ceil_mode=self.chance(0.5))
        return Case(f"LPPool{ndim}d", arguments, self.shape(ndim))

    def _full(self, ndim: int, low: int, high: int) -> Any:
        return self.one(low, high) if self.chance(0.5) else tuple(self.one(low, high) for _ in range(ndim))

    def fractional(self, ndim: int) -> Case:
        arguments: dict[str, Any] = {"kernel_size": self._full(ndim, 1, 4)}
        if self.chance(0.5):
            arguments["output_size"] = self._full(ndim, 0, 6)
        if self.chance(0.55):
            arguments["output_ratio"] = self.rng.choice((0.1, 0.29, 0.5, 0.57, 0.7, 0.999, 1.5, (0.3, 0.8, 0.6)[:ndim]))
        return Case(f"FractionalMaxPool{ndim}d", arguments, self.shape(ndim))

    def adaptive(self, ndim: int) -> Case:
        name = self.rng.choice(("AdaptiveAvgPool", "AdaptiveMaxPool"))
        target: Any = self._full(ndim, 0, 9)
        if ndim > 1 and self.chance(0.2):
            target = (None, *(self.one(0, 9) for _ in range(ndim - 1)))
        if self.chance(0.03):
            target = self.rng.choice((-1, (2,) * (ndim + 1)))
        return Case(f"{name}{ndim}d", {"output_size": target}, self.shape(ndim))

    def max_unpool(self, ndim: int) -> Case:
        arguments = {"kernel_size": self._full(ndim, 1, 4)} | self.some(
            stride=self._full(ndim, 1, 4), padding=self._full(ndim, 0, 2)
        )
        shape = self.shape(ndim)
        case = Case(f"MaxUnpool{ndim}d", arguments, shape)
        sizes = ours(case)
        if isinstance(sizes, tuple) and self.chance(0.4):
            wanted = tuple(max(0, size + self.one(-3, 3)) for size in sizes[-ndim:])
            return Case(case.name, arguments, shape, wanted)
        return case

    def pad(self, name: str, ndim: int) -> Case:
        least = -2 if self.chance(0.4) else 0
        one_for_all = self.chance(0.3)
        padding: Any = self.one(least, 4) if one_for_all else tuple(self.one(least, 4) for _ in range(2 * ndim))
        shape = self.shape(ndim)
        if name == "CircularPad" and isinstance(padding, tuple):
            # If one side wraps more than the crop of the other side leaves, torch notices in some memory layouts only.
            pairs = zip(padding[::2], padding[1::2], reversed(shape), strict=False)
            if any(one * other < 0 and size < abs(one) + abs(other) for one, other, size in pairs):
                padding = 1
        arguments = {"padding": padding} | ({"value": 1.5} if name == "ConstantPad" else {})
        return Case(f"{name}{ndim}d", arguments, shape)

    def upsample(self, ndim: int) -> Case:
        arguments: dict[str, Any] = {}
        if self.chance(0.4):
            arguments["size"] = self._full(ndim, 0, 12)
        if self.chance(0.62):
            factors = (0.1, 0.29, 0.5, 0.57, 1.5, 1.9999, 2, 2.5, 3, 0, -1)
            same = self.chance(0.6)
            arguments["scale_factor"] = (
                self.rng.choice(factors) if same else tuple(self.rng.choice(factors[:-2]) for _ in range(ndim))
            )
        modes = ("nearest", "linear", "bilinear", "bicubic", "trilinear", "area", "nearest-exact", "cubic")
        fitting = {1: "linear", 2: "bilinear", 3: "trilinear"}[ndim]
        if self.chance(0.7):
            arguments["mode"] = self.rng.choice((fitting, fitting, *modes))
        if self.chance(0.15):
            arguments["align_corners"] = self.chance(0.5)
        return Case("Upsample", arguments, self.shape(ndim))

    def pixel_shuffle(self) -> Case:
        factor = self.likely(1, 3, 0)
        shape = self.shape(2, factor**2 * self.one(0, 2) if self.chance(0.9) else 3)
        return Case("PixelShuffle", {"upscale_factor": factor}, shape if self.chance(0.9) else (2, *shape))

    def pixel_unshuffle(self) -> Case:
        factor = self.likely(1, 3, 0)
        stretch = factor if self.chance(0.8) else 1
        *lead, height, width = self.shape(2)
        return Case("PixelUnshuffle", {"downscale_factor": factor}, (*lead, height * stretch, width * stretch))

    def unfold(self) -> Case:
        arguments = {"kernel_size": self._full(2, 1, 4)} | self.some(
            stride=self._full(2, 1, 3), padding=self._full(2, 0, 3), dilation=self._full(2, 1, 3)
        )
        return Case("Unfold", arguments, self.shape(2))

    def fold(self) -> Case:
        sizes: dict[str, Any] = {"output_size": self._full(2, 1, 8), "kernel_size": self._full(2, 1, 3)}
        arguments = sizes | self.some(
            stride=self._full(2, 1, 3), padding=self._full(2, 0, 2), dilation=self._full(2, 1, 2)
        )
        kernel = arguments["kernel_size"]
        volume = kernel**2 if isinstance(kernel, int) else prod(kernel)
        try:
            layer = build("Fold", arguments)
            assert isinstance(layer, Fold)
            columns = layer.columns
        except ConvarithError:
            columns = self.one(0, 9)
        rows = volume * self.one(1, 2) + self.chance(0.1)
        shape = (rows, columns + self.chance(0.1))
        return Case("Fold", arguments, shape if self.chance(0.3) else (self.likely(1, 2, 0), *shape))

    def linear(self) -> Case:
        features = self.likely(1, 9, 0)
        lead = tuple(self.one(0, 3) for _ in range(self.one(0, 3)))
        given = features if self.chance(0.9) else features + 1
        return Case("Linear", {"in_features": features, "out_features": self.likely(1, 9, -1)}, (*lead, given))

    def flatten(self) -> Case:
        shape = tuple(self.one(0, 4) for _ in range(self.one(1, 5)))
        return Case("Flatten", self.some(start_dim=self.one(-5, 4), end_dim=self.one(-5, 5)), shape)

    def unflatten(self) -> Case:
        sizes = [self.one(0, 4) for _ in range(self.one(1, 3))]
        shape = [self.one(0, 4) for _ in range(self.one(1, 3))]
        dim = self.one(-len(shape) - 1, len(shape))
        shape[dim % len(shape)] = prod(sizes) + self.chance(0.15)
        if self.chance(0.5):
            sizes[self.rng.randrange(len(sizes))] = -1
        return Case("Unflatten", {"dim": dim, "unflattened_size": tuple(sizes)}, tuple(shape))

    def glu(self) -> Case:
        return Case("GLU", self.some(dim=self.one(-4, 3)), tuple(self.one(0, 4) for _ in range(self.one(1, 4))))

    def elementwise(self) -> Case:
        name = self.rng.choice((
            "Identity", "ReLU", "LeakyReLU", "GELU", "SiLU", "Sigmoid", "Tanh", "Softplus", "Hardtanh", "Dropout",
            "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "Softmax2d", "Softmax", "LogSoftmax", "PReLU",
            "ChannelShuffle", "LocalResponseNorm",
        ))  # fmt: skip
        settings: dict[str, dict[str, Any]] = {
            "Softmax": {"dim": self.one(-4, 3)},
            "LogSoftmax": {"dim": self.one(-4, 3)},
            "PReLU": {"num_parameters": self.one(0, 3)},
            "ChannelShuffle": {"groups": self.one(0, 3)},
            "LocalResponseNorm": {"size": self.one(1, 3)},
            "Dropout": {"p": self.rng.choice((0, 0.5, 1, 1.5))},
        }
        return Case(name, settings.get(name, {}), tuple(self.one(1, 4) for _ in range(self.one(1, 5))))

    def norm(self) -> Case:
        ndim = self.one(1, 3)
        channels = self.one(1, 4)
        name = self.rng.choice(("BatchNorm", "InstanceNorm", "GroupNorm", "LayerNorm", "RMSNorm"))
        axes = ndim + 1 if self.chance(0.7) else self.one(0, 4)
        shape = tuple(self.likely(1, 4, 0) for _ in range(axes))
        at = min(1, len(shape))
        shape = (*shape[:at], channels + self.chance(0.1), *shape[at:])
        if name in ("BatchNorm", "InstanceNorm"):
            settings = self.some(affine=self.chance(0.5), track_running_stats=self.chance(0.5))
            return Case(f"{name}{ndim}d", {"num_features": channels} | settings, shape)
        if name == "GroupNorm":
            return Case(name, {"num_groups": self.likely(1, 3, 0), "num_channels": channels}, shape)
        wanted = shape[-self.one(1, 2) :] if self.chance(0.9) else (2, 3)
        return Case(name, {"normalized_shape": wanted}, shape)
