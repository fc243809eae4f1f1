"""How strong the checkerboard of real weights is, measured by the sums of a kernel's taps in every phase.

A layer that upsamples by s maps a constant input c to the outputs P_r c, one for each phase r of the s positions per
axis, where P_r is the sum of the taps that hit phase r. The output has no pattern for any constant input exactly when
all P_r are equal. numpy is imported by the functions that need it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf, log10, prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.checkerboards.axis import scatter_of
from convarith.dependencies import require, require_numpy, require_torch
from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv, ConvTranspose
from convarith.layers.resampling import PixelShuffle
from convarith.networks.network import Network, Node
from convarith.sizes.normalise import times

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray
    from torch import nn


@dataclass(frozen=True, eq=False)
class Artefact:
    """The pattern that the weights of one layer put on constant inputs.

    Attributes:
        name: the name of the layer in its network, or an empty text.
        layer: a transposed convolution or a convolution in front of a pixel shuffle, whose output has the pattern, or a
            strided convolution, where the gradient of its input has it.
        side: 'output' or 'gradient'.
        phase_sums: P, of shape (channels with the pattern, channels that each of them reads, *phases of the axes). The
            phase of position o along an axis is o % stride.
        power: E[y^2] in every phase for white inputs of variance 1, averaged over the channels: the sums of squares.
    """

    name: str
    layer: Layer
    side: str
    phase_sums: NDArray[Any]
    power: NDArray[Any]

    @cached_property
    def strength(self) -> float:
        """The root-mean-square of the pattern divided by that of the signal.

        For random constant inputs with independent channels of equal power this is sqrt(mean_r |P_r - M|^2) / |M|,
        where M is the mean of all P_r and |.| the Frobenius norm. 0 means no pattern, 1 a pattern as strong as the
        signal, and inf a pattern without a signal.

        >>> strength(ConvTranspose(kernel_size=3, stride=2), [1, 1, 1]).strength
        0.3333333333333333
        """
        return _ratio(self._rms(self._pattern), self._rms(self._mean))

    @cached_property
    def decibels(self) -> float:
        """The strength in decibels; -inf without a pattern."""
        return 20 * log10(self.strength) if self.strength else -inf

    @cached_property
    def spectrum(self) -> NDArray[Any]:
        """The Frobenius norm of the DFT of P over the phases, at every frequency m/s, relative to frequency 0.

        The squares of all entries but the first add up to the square of the strength.

        >>> [round(float(each), 3) for each in strength(ConvTranspose(kernel_size=3, stride=2), [1, 1, 1]).spectrum]
        [1.0, 0.333]
        """
        import numpy as np

        transform = np.fft.fftn(self.phase_sums, axes=self._axes)
        norms = np.sqrt((np.abs(transform) ** 2).sum(axis=(0, 1)))
        with np.errstate(divide="ignore", invalid="ignore"):
            relative: NDArray[np.float64] = np.nan_to_num(norms / norms.flat[0], nan=0.0, posinf=inf)
        return relative

    @cached_property
    def channels(self) -> NDArray[Any]:
        """The strength of every channel relative to the signal of all; their root-mean-square is the layer's."""
        import numpy as np

        own = np.sqrt((self._pattern**2).sum(axis=1).mean(axis=tuple(range(1, self.phase_sums.ndim - 1))))
        signal = self._rms(self._mean) / len(own) ** 0.5
        strengths: NDArray[np.float64] = own / signal if signal else np.where(own > 0, inf, 0.0)
        return strengths

    @cached_property
    def worst_channel(self) -> int:
        """The index of the channel with the strongest pattern."""
        return int(self.channels.argmax())

    @cached_property
    def noise_contrast(self) -> float:
        """The largest E[y^2] of a phase divided by the smallest, for white inputs; inf if a phase is always 0."""
        return _ratio(float(self.power.max()), float(self.power.min()))

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(2, self.phase_sums.ndim))

    @cached_property
    def _mean(self) -> NDArray[Any]:
        mean: NDArray[np.float64] = self.phase_sums.mean(axis=self._axes, keepdims=True)
        return mean

    @cached_property
    def _pattern(self) -> NDArray[Any]:
        """P without its mean; what is only the rounding of the sums counts as 0."""
        import numpy as np

        pattern = self.phase_sums - self._mean
        noise = 1e-12 * np.abs(self.phase_sums).max(initial=0)
        return np.where(np.abs(pattern) > noise, pattern, 0)

    def _rms(self, values: NDArray[Any]) -> float:
        """The Frobenius norm, averaged over the phases."""
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
    """Measure the pattern of one layer's weights: `.strength`, `.phase_sums`, `.spectrum`, `.power`, `.worst_channel`.

    It is the pattern of the output for a ConvTranspose, of the sub-pixels for a Conv followed by a `shuffle`, and of
    the gradient of the input for any other Conv. The weight (a numpy array, nested lists or a tensor) has torch's shape
    or, if there is one channel, the kernel's. A `bias` matters only for sub-pixels, where it counts as a channel that
    is always 1. `channel_rms` gives the root-mean-square of every channel that is read; without it, 1.

    Raises ParameterError for other layers and for arrays of another shape, MissingDependencyError without numpy.

    >>> up = ConvTranspose(kernel_size=4, stride=2, padding=1)
    >>> found = strength(up, [1, 3, 3, 1])
    >>> found.phase_sums.tolist(), found.strength, found.power.tolist()
    ([[[4.0, 4.0]]], 0.0, [10.0, 10.0])
    """
    require_numpy()
    import numpy as np

    if not isinstance(layer, Conv | ConvTranspose):
        raise ParameterError(f"{layer} has no kernel with phases: give a Conv or a ConvTranspose")
    if bias is not None and shuffle is None:
        raise ParameterError(f"the bias of {layer} is the same in all phases: leave it out")
    values = _weights(layer, weight)
    sums, squares = (
        _sub_pixels(layer, shuffle, each) if shuffle else _phases(layer, each) for each in (values, values**2)
    )
    if channel_rms is not None:
        level, groups = _array(channel_rms), 1 if shuffle else layer.groups
        if level.shape != (sums.shape[1] * groups,):
            raise ParameterError(f"channel_rms has shape {level.shape}: give one value per channel that {layer} reads")
        # The channels with the pattern belong to groups, in order, and each group reads its own channels.
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
    """Sum the taps of every phase. A ConvTranspose, and the gradient of a Conv, read the first axis of the weight."""
    import numpy as np

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
    """Sum the whole kernel of every sub-pixel. For PixelShuffle, the sub-pixels of a channel are consecutive."""
    import numpy as np

    factor = shuffle.upscale_factor
    if values.ndim != 4 or len(values) % factor**2 or any(layer.at("stride", axis) > 1 for axis in range(2)):
        raise ParameterError(
            f"{shuffle} needs {factor**2} channels per pixel from a Conv of stride 1, which {layer} does not give"
        )
    groups, own = layer.groups, values.shape[1]
    sums = np.zeros((groups, len(values) // groups, groups, own))  # the channels of a pixel may be in two groups
    group = np.arange(groups)
    sums[group, :, group] = values.sum(axis=(2, 3)).reshape(groups, -1, own)
    return sums.reshape(-1, factor, factor, groups * own).transpose(0, 3, 1, 2)


def _weights(layer: Conv | ConvTranspose, weight: ArrayLike) -> NDArray[Any]:
    values = _array(weight)
    if values.ndim == (layer.ndim or min(values.ndim, 2)) and layer.groups == 1:
        values = values[None, None]
    kernel = tuple(layer.at("kernel_size", axis) for axis in range(layer.ndim or max(1, values.ndim - 2)))
    if not _fits(layer, values.shape):
        channels = ("in", "out/groups") if isinstance(layer, ConvTranspose) else ("out", "in/groups")
        raise ParameterError(
            f"the weight has shape {times(values.shape)}: {layer} takes ({', '.join(channels)}, {times(kernel)})"
        )
    return values


def _fits(layer: Conv | ConvTranspose, shape: tuple[int, ...]) -> bool:
    """Is this the shape of a weight of the layer?"""
    given = (layer.in_channels, layer.out_channels)
    first, second = given if isinstance(layer, ConvTranspose) else given[::-1]
    if len(shape) - 2 not in ((layer.ndim,) if layer.ndim else (1, 2, 3)) or 0 in shape or shape[0] % layer.groups:
        return False
    kernel = tuple(layer.at("kernel_size", axis) for axis in range(len(shape) - 2))
    return (
        shape[2:] == kernel and first in (None, shape[0]) and second in (None, shape[1] * layer.groups)
    )  # fmt: skip


def _array(values: Any) -> NDArray[Any]:
    """Convert numbers to a numpy array of float64, also from a tensor with gradients or on a device."""
    require_numpy()
    import numpy as np

    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            "the weight is not an array of numbers: give a numpy array, nested lists or a tensor"
        ) from None


# A whole network -----------------------------------------------------------------------------------------------------


class Ranking(NamedTuple):
    """The patterns of a network's layers, strongest first.

    Attributes:
        artefacts: one for every layer with a stride above 1, or in front of a pixel shuffle, whose weight was found.
        missing: the layers whose weight was not found, and why.
        unused: the weights that have the shape of a kernel but belong to no layer of the network.
    """

    artefacts: list[Artefact]
    missing: dict[str, str]
    unused: list[str]


def strengths(subject: nn.Module | Network, weights: Mapping[str, Any] | None = None) -> Ranking:
    """Measure the patterns of a module, or of a network with a state_dict, and list them strongest first.

    Transposed convolutions and convolutions in front of a pixel shuffle are measured by their outputs, strided
    convolutions by the gradient of their inputs. A weight belongs to the layer that its name gives, as in
    `up.0.weight`. If there is none (because of a prefix such as `module.`, or because the network has no names), it
    belongs to the only layer whose name it ends with, or whose shape it has.

    Raises ParameterError for a network without weights, MissingDependencyError without numpy.

    >>> import convarith as ca
    >>> net = ca.parse_network("up: ConvTranspose1d(1, 1, 3, stride=2); out: ConvTranspose1d(1, 1, 4, stride=2)")
    >>> found = strengths(net, {"up.weight": [[[1, 1, 1]]], "out.weight": [[[1, 3, 3, 1]]]})
    >>> [(each.name, round(each.strength, 3)) for each in found.artefacts]
    [('up', 0.333), ('out', 0.0)]
    """
    network, given = _with_weights(subject, weights)
    subjects = {node.name: (node, shuffle) for node, shuffle in _subjects(network)}
    convolutions = {node.name: node.layer for node in network.nodes if isinstance(node.layer, Conv | ConvTranspose)}
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
    """The layers with a stride above 1, and the convolutions in front of a pixel shuffle."""
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


def _matched(
    layers: Mapping[str, Conv | ConvTranspose], given: Mapping[str, Any]
) -> tuple[dict[str, str], dict[str, str]]:
    """Return ({layer: the key of its weight}, {layer: why it has none})."""
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    unnamed: list[str] = []
    kernels = {key: _shape(value) for key, value in given.items() if len(_shape(value)) in (3, 4, 5)}
    for name, layer in layers.items():
        key = f"{name}.weight"
        ends = [each for each in kernels if each.endswith(f".{key}")]
        choice = key if key in kernels else ends[0] if len(ends) == 1 else None
        if choice is None:
            missing[name] = f"there is no {key}"
            unnamed.append(name)
        elif _fits(layer, kernels[choice]):
            found[name] = choice
        else:
            missing[name] = f"{choice} has shape {times(kernels[choice])}, which does not fit {layer}"
    for name in unnamed:
        taken = set(found.values())
        alike = [key for key, shape in kernels.items() if key not in taken and _fits(layers[name], shape)]
        rivals = [each for each in unnamed if str(layers[each]) == str(layers[name])]
        if len(alike) == len(rivals) == 1:
            found[name] = alike[0]
            del missing[name]
        elif alike:
            missing[name] += f", and {_weights_with(len(alike))} its shape"
    return found, missing


def _weights_with(count: int) -> str:
    return "1 weight has" if count == 1 else f"{count} weights have"


def _bias(given: Mapping[str, Any], key: str) -> Any:
    return given.get(key.removesuffix("weight") + "bias")


def _shape(value: Any) -> tuple[int, ...]:
    return tuple(value.shape) if hasattr(value, "shape") else _array(value).shape


def read_checkpoint(path: str) -> dict[str, NDArray[Any]]:
    """Read the floating-point arrays of a checkpoint by name, from .safetensors or from what torch.save wrote.

    No code in the file is run: torch reads it with weights_only. If the file holds more than a state_dict, the weights
    are those under 'state_dict', 'model_state_dict' or 'model'.

    Raises ConvarithError if the file cannot be read in this way, MissingDependencyError without safetensors or torch.
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
    require("safetensors")
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConvarithError(f"cannot read {path}: {error}") from None
    except (KeyError, TypeError, AttributeError):  # bfloat16 and 8-bit floats, which numpy lacks
        try:
            from safetensors.torch import load_file as load_tensors
        except ImportError:
            raise ConvarithError(f"{path} has a number format that numpy lacks: install torch to read it") from None
        return load_tensors(path)


def _read_torch(path: str) -> Any:
    require_torch()
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001 - torch raises what its zip and pickle readers raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConvarithError(
            f"cannot read the weights of {path} without running code in it ({reason}): save a model's state_dict()"
        ) from None
