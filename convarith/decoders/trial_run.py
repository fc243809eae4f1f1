"""One run of a decoder's generated code in torch: shapes, a backward pass, a finite loss."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.dependencies import require_torch
from convarith.errors import ConvarithError, ParameterError
from convarith.sizes.normalise import times

if TYPE_CHECKING:
    from convarith.decoders.decoder import Decoder

BATCH = 2
MOST_BYTES = 8 * 2**30


class Trial(NamedTuple):
    """What a run showed.

    Attributes:
        shapes: how many intermediate shapes torch gave as they were designed.
        loss: the mean squared error of the untrained decoder.
        gradients: how many parameters the backward pass reached.
        problems: what was not as it should be; empty for a decoder that works.
    """

    shapes: int
    loss: float
    gradients: int
    problems: tuple[str, ...]


def bytes_needed(decoder: Decoder) -> int:
    """Memory for one training step in single precision: parameters, gradients, activations.

    >>> import convarith as ca
    >>> bytes_needed(ca.mirror(ca.parse_network("Conv1d(1, 8, 4, stride=4)"), (1, 400))) > 4 * 400
    True
    """
    whole = decoder.autoencoder
    shapes = whole.shapes((BATCH, *decoder.input_shape), batched=True)
    return 4 * (2 * whole.parameter_count + 2 * sum(map(prod, shapes.values())))


def run_once(decoder: Decoder) -> Trial:
    """Build the generated code in torch and train one step on random values.

    The encoder is built from its layers, too; where it has an operation that cannot be written down, the decoder
    alone runs, on a random latent.

    Raises MissingDependencyError without torch, ParameterError for a decoder too large to run.
    """
    torch = require_torch()
    needed = bytes_needed(decoder)
    if needed > MOST_BYTES:
        raise ParameterError(f"a run needs about {needed / 2**30:.0f} GiB, more than 8: verify it at a smaller input")
    try:
        code = decoder.code(autoencoder=True)
    except ConvarithError:
        code = decoder.code()
    names: dict[str, Any] = {}
    exec(compile(code, "decoder.py", "exec"), names)
    problems = []
    whole = "Autoencoder" in names
    model = names["Autoencoder" if whole else "Decoder"]()
    layers = model.decoder if whole else model
    seen: list[tuple[int, ...]] = []
    if decoder.stands_alone:
        for layer in layers:
            layer.register_forward_hook(lambda _module, _given, result: seen.append(tuple(result.shape[1:])))
    torch.manual_seed(0)
    target = torch.rand(BATCH, *decoder.input_shape)
    latent = torch.randn(BATCH, *decoder.latent_shape)
    given: tuple[Any, ...] = (target.clone() if whole else latent,)
    given[0].requires_grad_()  # a decoder without weights has a backward pass, too
    if not whole and not decoder.stands_alone:
        given += (decoder.input_shape[1:],)
    result = model(*given)
    if tuple(result.shape) != tuple(target.shape):
        problems.append(f"torch gives {times(result.shape[1:])} for {times(decoder.input_shape)}")
        return Trial(0, float("nan"), 0, tuple(problems))
    designed = list(decoder.shapes.values())
    if decoder.stands_alone and seen != designed:
        wrong = next(at for at, (one, other) in enumerate(zip(seen, designed, strict=True)) if one != other)
        problems.append(f"layer {wrong}: torch gives {times(seen[wrong])}, designed was {times(designed[wrong])}")
    loss = (result - target).square().mean()
    loss.backward()
    if not torch.isfinite(loss):
        problems.append(f"the loss is {loss.item()}")
    reached = [parameter.grad is not None for parameter in layers.parameters()]
    if not all(reached):
        problems.append(f"{reached.count(False)} parameters have no gradient")
    if any(not torch.isfinite(parameter.grad).all() for parameter in layers.parameters() if parameter.grad is not None):
        problems.append("a gradient is not finite")
    return Trial(len(seen) or len(decoder.steps), loss.item(), reached.count(True), tuple(problems))
