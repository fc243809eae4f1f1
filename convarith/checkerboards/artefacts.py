"""How strong the checkerboard of real weights is: the sums of a kernel's taps, phase by phase.

A layer that upsamples by s answers a constant input c with the outputs P_r c, one for every phase r of s positions an
axis; P_r sums the taps that hit phase r. It is clean for every constant input exactly when all P_r are equal. numpy is
imported by the functions that need it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log10, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.checkerboards.axis import scatter_of
from convarith.dependencies import require_numpy
from convarith.errors import ConvarithError, MissingDependencyError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.resampling import PixelShuffle
from convarith.networks.network import Network, Node
from convarith.sizes.normalise import times

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray
    from torch import nn


@dataclass(frozen=True, eq=False)
class Artefact:
    """What the weights of one layer make of constant inputs.

    Attributes:
        name: the layer's, where a network was asked about.
        layer: a transposed convolution or a convolution in front of a pixel shuffle, for its output; a strided
            convolution, for the gradient of its input.
        side: 'output' or 'gradient'.
        phase_sums: P, of shape (channels that are shown, channels a group of them reads, phases of each axis). The
            phase of position o along an axis is o % stride.
        power: E[y^2] of every phase for white inputs of variance 1, the mean over channels: the sums of squares.
    """

    name: str
    layer: Layer
    side: str
    phase_sums: NDArray[Any]
    power: NDArray[Any]

    @cached_property
    def strength(self) -> float:
        """The root-mean-square of what changes from phase to phase over that of what does not.

        Over random constant inputs whose channels are independent, of equal power: sqrt(mean_r |P_r - M|^2) / |M| with
        M the mean of all P_r and the Frobenius norm. 0 is clean, 1 as strong as the signal, inf all pattern.

        >>> strength(ConvTranspose(kernel_size=3, stride=2), [1, 1, 1]).strength
        0.3333333333333333
        """
        return _ratio(self._rms(self._pattern), self._rms(self._mean))

    @cached_property
    def decibels(self) -> float:
        """The strength in decibels, -inf for a clean layer."""
        return 20 * log10(self.strength) if 0 < self.strength < inf else self.strength if self.strength else -inf

    @cached_property
    def spectrum(self) -> NDArray[Any]:
        """The DFT of P over the phases, its Frobenius norm at every frequency m/s over that at 0.

        The squares of all but the first add up to the square of the strength.

        >>> [round(float(each), 3) for each in strength(ConvTranspose(kernel_size=3, stride=2), [1, 1, 1]).spectrum]
        [1.0, 0.333]
        """
        np = require_numpy()
        transform = np.fft.fftn(self.phase_sums, axes=self._axes)
        norms = np.sqrt((np.abs(transform) ** 2).sum(axis=(0, 1)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.nan_to_num(norms / norms.flat[0], nan=0.0)  # type: ignore[no-any-return]

    @cached_property
    def channels(self) -> NDArray[Any]:
        """The strength of every channel that is shown, all over the same signal: their rms is that of the layer."""
        np = require_numpy()
        own = np.sqrt((self._pattern**2).sum(axis=1).mean(axis=tuple(range(1, self.phase_sums.ndim - 1))))
        signal = self._rms(self._mean) / len(own) ** 0.5
        return own / signal if signal else np.where(own > 0, inf, 0.0)  # type: ignore[no-any-return]

    @cached_property
    def worst_channel(self) -> int:
        """The number of the channel whose pattern is strongest."""
        return int(self.channels.argmax())

    @cached_property
    def noise_contrast(self) -> float:
        """The largest E[y^2] of a phase over the smallest, for white inputs; inf where a phase gets nothing."""
        return _ratio(float(self.power.max()), float(self.power.min()))

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(2, self.phase_sums.ndim))

    @cached_property
    def _mean(self) -> NDArray[Any]:
        return self.phase_sums.mean(axis=self._axes, keepdims=True)  # type: ignore[no-any-return]

    @cached_property
    def _pattern(self) -> NDArray[Any]:
        """What is left of P without its mean; rounding of the sums counts as none."""
        np = require_numpy()
        pattern = self.phase_sums - self._mean
        noise = 1e-12 * np.abs(self.phase_sums).max(initial=0)
        return np.where(np.abs(pattern) > noise, pattern, 0)  # type: ignore[no-any-return]

    def _rms(self, values: NDArray[Any]) -> float:
        """The Frobenius norm, the mean over phases."""
        return float(((values**2).sum() / prod(values.shape[2:])) ** 0.5)


def _ratio(one: float, other: float) -> float:
    return one / other if other else inf if one else 0.0


def strength(
    layer: Layer,
    weight: ArrayLike,
    shuffle: PixelShuffle | None = None,
    bias: ArrayLike | None = None,
    channel_rms: ArrayLike | None = None,
    name: str = "",
) -> Artefact:
    """The artefact of one layer's weights: `.strength`, `.phase_sums`, `.spectrum`, `.power`, `.worst_channel`.

    Of a ConvTranspose its outputs, of a Conv with a `shuffle` behind it the sub-pixels, of any other Conv the gradient
    of its inputs. The weight has torch's shape, or the kernel's where there is one channel; a numpy array, nested
    lists or a tensor. A `bias` matters to sub-pixels alone and counts as the channel of a constant 1. `channel_rms`
    is the root-mean-square of every channel that is read, where it is known; 1 if it is left out.

    Raises ParameterError for another layer and for arrays of another shape, MissingDependencyError without numpy.

    >>> up = ConvTranspose(kernel_size=4, stride=2, padding=1)
    >>> found = strength(up, [1, 3, 3, 1])
    >>> found.phase_sums.tolist(), found.strength, found.power.tolist()
    ([[[4.0, 4.0]]], 0.0, [10.0, 10.0])
    """
    np = require_numpy()
    if not isinstance(layer, Conv | ConvTranspose):
        raise ParameterError(f"{layer} has no kernel that is laid out by phases: ask for a Conv or a ConvTranspose")
    if bias is not None and shuffle is None:
        raise ParameterError(f"the bias of {layer} is the same for all phases: leave it out")
    values = _weights(layer, weight)
    sums, squares = (
        _sub_pixels(layer, shuffle, each) if shuffle else _phases(layer, each) for each in (values, values**2)
    )
    if channel_rms is not None:
        level, groups = _array(channel_rms), 1 if shuffle else layer.groups
        if level.shape != (sums.shape[1] * groups,):
            raise ParameterError(f"channel_rms has shape {level.shape}: give one value a channel that {layer} reads")
        # Channels that are shown belong to groups, in order; each group reads channels of its own.
        each = np.repeat(level.reshape(groups, -1), len(sums) // groups, axis=0)
        each = each.reshape(*each.shape, *(1,) * (sums.ndim - 2))
        sums, squares = sums * each, squares * each**2
    if bias is not None and shuffle is not None:
        offsets = _array(bias)
        if offsets.shape != values.shape[:1]:
            raise ParameterError(f"the bias has shape {offsets.shape}: {layer} takes ({len(values)},)")
        sums = np.concatenate([sums, offsets.reshape(len(sums), 1, *sums.shape[2:])], axis=1)
    side = "output" if shuffle or isinstance(layer, ConvTranspose) else "gradient"
    return Artefact(name, layer, side, sums, squares.sum(axis=1).mean(axis=0))


def _phases(layer: Conv | ConvTranspose, values: NDArray[Any]) -> NDArray[Any]:
    """The taps summed by phase. Both layers read their weight's first axis here: a convolution's gradient does."""
    np = require_numpy()
    first, own = values.shape[:2]
    # (groups, read, shown, kernel) -> (shown, read, kernel)
    values = values.reshape(layer.groups, first // layer.groups, own, *values.shape[2:])
    values = values.swapaxes(1, 2).reshape(layer.groups * own, first // layer.groups, *values.shape[3:])
    for axis in range(values.ndim - 2):
        scatter = scatter_of(layer, axis)
        summed = np.zeros((*values.shape[: axis + 2], scatter.stride, *values.shape[axis + 3 :]))
        for tap in range(scatter.kernel):
            phase = (scatter.dilation * tap - scatter.before) % scatter.stride
            summed[(slice(None),) * (axis + 2) + (phase,)] += values.take(tap, axis + 2)
        values = summed
    return values


def _sub_pixels(layer: Conv | ConvTranspose, shuffle: PixelShuffle, values: NDArray[Any]) -> NDArray[Any]:
    """The whole kernel of every sub-pixel summed; PixelShuffle has the channel's sub-pixels one after the other."""
    np = require_numpy()
    factor = shuffle.upscale_factor
    if values.ndim != 4 or len(values) % factor**2 or any(layer.at("stride", axis) > 1 for axis in range(2)):
        raise ParameterError(f"{shuffle} takes {factor**2} channels a pixel of a Conv of stride 1, not {layer}")
    groups, own = layer.groups, values.shape[1]
    sums = np.zeros((groups, len(values) // groups, groups, own))  # a pixel's channels may lie in two groups
    group = np.arange(groups)
    sums[group, :, group] = values.sum(axis=(2, 3)).reshape(groups, -1, own)
    return sums.reshape(-1, factor, factor, groups * own).transpose(0, 3, 1, 2)  # type: ignore[no-any-return]


def _weights(layer: Conv | ConvTranspose, weight: ArrayLike) -> NDArray[Any]:
    values = _array(weight)
    if values.ndim == (layer.ndim or min(values.ndim, 2)) and layer.groups == 1:
        values = values[None, None]
    kernel = tuple(layer.at("kernel_size", axis) for axis in range(layer.ndim or max(0, values.ndim - 2)))
    if not _fits(layer, values.shape):
        channels = ("in", "out/groups") if isinstance(layer, ConvTranspose) else ("out", "in/groups")
        raise ParameterError(
            f"the weight has shape {times(values.shape)}: {layer} takes ({', '.join(channels)}, {times(kernel)})"
        )
    return values


def _fits(layer: Conv | ConvTranspose, shape: tuple[int, ...]) -> bool:
    """Is this a weight's shape?"""
    given = (layer.in_channels, layer.out_channels)
    first, second = given if isinstance(layer, ConvTranspose) else given[::-1]
    if len(shape) - 2 not in ((layer.ndim,) if layer.ndim else (1, 2, 3)) or 0 in shape or shape[0] % layer.groups:
        return False
    kernel = tuple(layer.at("kernel_size", axis) for axis in range(len(shape) - 2))
    return (
        shape[2:] == kernel and first in (None, shape[0]) and second in (None, shape[1] * layer.groups)
    )  # fmt: skip


def _array(values: Any) -> NDArray[Any]:
    """Numbers as a numpy array of float64; a tensor leaves its graph and its device."""
    np = require_numpy()
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        return np.asarray(values, dtype=np.float64)  # type: ignore[no-any-return]
    except (TypeError, ValueError):
        raise ParameterError(
            "the weight is no array of numbers: give a numpy array, nested lists or a tensor"
        ) from None


# A whole network -----------------------------------------------------------------------------------------------------


class Ranking(NamedTuple):
    """The layers of a network whose weights make a pattern, strongest first.

    Attributes:
        artefacts: of every layer that moves by more than 1 and whose weight was found.
        missing: the layers without one, and why.
        unused: the weights that have the shape of a kernel and belong to none of the network's layers.
    """

    artefacts: list[Artefact]
    missing: dict[str, str]
    unused: list[str]


def strengths(subject: nn.Module | Network, weights: Mapping[str, Any] | None = None) -> Ranking:
    """The artefacts of a module, or of a network with a state_dict, strongest first.

    Transposed convolutions and convolutions in front of a pixel shuffle by their outputs, strided convolutions by the
    gradient of their inputs. A weight belongs to the layer of its name, as in `up.0.weight`; failing that (a prefix
    such as `module.`, a network from a text without names) to the only layer whose name it ends with, or whose shape
    it has.

    Raises ParameterError for a network without weights, MissingDependencyError without numpy.

    >>> import convarith as ca
    >>> net = ca.parse_network("up: ConvTranspose1d(1, 1, 3, stride=2); out: ConvTranspose1d(1, 1, 4, stride=2)")
    >>> found = strengths(net, {"up.weight": [[[1, 1, 1]]], "out.weight": [[[1, 3, 3, 1]]]})
    >>> [(each.name, round(each.strength, 3)) for each in found.artefacts]
    [('up', 0.333), ('out', 0.0)]
    """
    network, given = _with_weights(subject, weights)
    subjects = {node.name: (node, shuffle) for node, shuffle in _subjects(network)}
    convolutions = [node for node in network.nodes if isinstance(node.layer, Conv | ConvTranspose)]
    found, missing = _matched(convolutions, given)
    artefacts = [
        strength(node.layer, given[found[name]], shuffle, _bias(given, found[name]) if shuffle else None, name=name)
        for name, (node, shuffle) in subjects.items() if name in found
    ]  # fmt: skip
    artefacts.sort(key=lambda each: each.strength, reverse=True)
    taken = set(found.values())
    unused = [key for key, value in given.items() if key not in taken and len(_shape(value)) in (3, 4, 5)]
    return Ranking(artefacts, {name: why for name, why in missing.items() if name in subjects}, unused)


def _with_weights(subject: Any, weights: Mapping[str, Any] | None) -> tuple[Network, Mapping[str, Any]]:
    if isinstance(subject, Network):
        if weights is None:
            raise ParameterError("this network has no weights of its own: give its state_dict, or a module")
        return subject, weights
    from convarith import pytorch

    if weights is None:
        weights = subject.state_dict()
    model = pytorch.from_module(subject)
    if isinstance(model, Network):
        return model, weights
    return Network((Node(type(subject).__name__, model),)), {
        f"{type(subject).__name__}.{key}": value for key, value in weights.items()
    }


def _subjects(network: Network) -> list[tuple[Node, PixelShuffle | None]]:
    """The layers whose kernels move by more than 1, and convolutions whose output a shuffle spreads."""
    shuffles = {node.inputs[0]: node.layer for node in network.nodes if isinstance(node.layer, PixelShuffle)}
    found: list[tuple[Node, PixelShuffle | None]] = []
    for node in network.nodes:
        layer = node.layer
        if isinstance(layer, Conv) and node.name in shuffles:
            found.append((node, shuffles[node.name]))
        elif isinstance(layer, Conv | ConvTranspose) and any(
            layer.at("stride", axis) > 1 for axis in range(layer.ndim or 1)
        ):
            found.append((node, None))
    return found


def _matched(nodes: Sequence[Node], given: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """({layer: its weight's key}, {layer: why it has none})."""
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    kernels = {key: _shape(value) for key, value in given.items() if len(_shape(value)) in (3, 4, 5)}
    for node in nodes:
        key = f"{node.name}.weight"
        ends = [each for each in kernels if each.endswith(f".{key}")]
        choice = key if key in kernels else ends[0] if len(ends) == 1 else None
        if choice is not None and _fits(node.layer, kernels[choice]):  # type: ignore[arg-type]
            found[node.name] = choice
        elif choice is not None:
            missing[node.name] = f"{choice} has shape {times(kernels[choice])}, which is none of {node.layer}"
        else:
            missing[node.name] = f"there is no {key}"
    left = [node for node in nodes if node.name in missing and missing[node.name].startswith("there is no")]
    for node in left:
        taken = set(found.values())
        alike = [key for key, shape in kernels.items() if key not in taken and _fits(node.layer, shape)]  # type: ignore[arg-type]
        rivals = [each for each in left if each.name not in found and str(each.layer) == str(node.layer)]
        if len(alike) == len(rivals) == 1:
            found[node.name] = alike[0]
            del missing[node.name]
        elif alike:
            missing[node.name] += f", and {len(alike)} weights have its shape"
    return found, missing


def _bias(given: Mapping[str, Any], key: str) -> Any:
    return given.get(key.removesuffix("weight") + "bias")


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if hasattr(value, "shape") else _array(value).shape


def read_checkpoint(path: str) -> dict[str, NDArray[Any]]:
    """The floating-point arrays of a checkpoint by their names: .safetensors, or what torch.save wrote.

    Nothing in the file is run: torch reads it with weights_only. Of a file that holds more than a state_dict, its
    'state_dict', 'model_state_dict' or 'model'.

    Raises ConvarithError for a file that cannot be read so, MissingDependencyError without safetensors or torch.
    """
    if not os.path.isfile(path):
        raise ConvarithError(f"there is no file {path}: give a .safetensors, .pt or .pth file")
    loaded: Any = _read_safetensors(path) if path.endswith(".safetensors") else _read_torch(path)
    for word in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(word), Mapping):
            loaded = loaded[word]
    arrays = _floating(loaded) if isinstance(loaded, Mapping) else {}
    if not arrays:
        raise ConvarithError(f"{path} holds no named weights: save a model's state_dict()")
    return arrays


def _floating(loaded: Mapping[Any, Any]) -> dict[str, NDArray[Any]]:
    def is_floating(value: Any) -> bool:
        asked = getattr(value, "is_floating_point", None)
        return bool(asked()) if asked else getattr(getattr(value, "dtype", None), "kind", "") == "f"

    return {str(name): _array(value) for name, value in loaded.items() if is_floating(value)}


def _read_safetensors(path: str) -> Any:
    require_numpy()
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError:
        raise MissingDependencyError(
            "safetensors is not installed: run  pip install safetensors  in this environment"
        ) from None
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConvarithError(f"cannot read {path}: {error}") from None
    except (KeyError, TypeError, AttributeError):  # bfloat16 and 8-bit floats, which numpy does not have
        try:
            from safetensors.torch import load_file as load_tensors
        except ImportError:
            raise ConvarithError(f"{path} has a number format that numpy does not know: install torch") from None
        return load_tensors(path)


def _read_torch(path: str) -> Any:
    from convarith.pytorch import require_torch

    torch = require_torch()
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises what its zip and pickle readers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConvarithError(
            f"cannot read the weights of {path} without running what it holds ({reason}): save a model's state_dict()"
        ) from None
