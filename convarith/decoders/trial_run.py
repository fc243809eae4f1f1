"""Running the generated code of a decoder once in torch: shapes, a backward pass, a finite loss."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from convarith.decoders.encoder_stages import settled
from convarith.dependencies import require_torch
from convarith.errors import ConvarithError, ParameterError
from convarith.networks.network import INPUT
from convarith.sizes.normalise import times

if TYPE_CHECKING:
    from convarith.decoders.decoder import Decoder

BATCH = 2
MOST_BYTES = 8 * 2**30


class Trial(NamedTuple):
    """The result of a run.

    Attributes:
        shapes: the number of intermediate shapes that torch gives as designed.
        loss: the mean squared error of the untrained decoder.
        gradients: the number of parameters with a gradient after the backward pass.
        problems: one message per problem; empty if the decoder works.
    """

    shapes: int
    loss: float
    gradients: int
    problems: tuple[str, ...]


def bytes_needed(decoder: Decoder) -> int:
    """The memory for one training step in single precision: parameters, gradients and activations.

    >>> import convarith as ca
    >>> bytes_needed(ca.mirror(ca.parse_network("Conv1d(1, 8, 4, stride=4)"), (1, 400))) > 4 * 400
    True
    """
    whole = decoder.autoencoder
    start = (BATCH, *decoder.input_shape)
    shapes = whole.shapes(start, batched=True)
    read = {INPUT: start} | shapes
    parameters = sum(settled(node.layer, read[node.inputs[0]][1:]).parameter_count for node in whole.nodes)
    return 4 * 2 * (parameters + sum(map(prod, shapes.values())))


def run_once(decoder: Decoder) -> Trial:
    """Run the generated code in torch: a forward and a backward pass on random values.

    The encoder is built from its layers as well. If it has an operation that cannot be written as code, only the
    decoder runs, on a random latent.

    Raises MissingDependencyError if torch is not installed, ParameterError if the decoder is too large to run.
    """
    torch = require_torch()
    needed = bytes_needed(decoder)
    if needed > MOST_BYTES:
        raise ParameterError(
            f"a run needs about {needed / 2**30:.0f} GiB, more than 8 GiB: verify the decoder at a smaller input shape"
        )
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
    given[0].requires_grad_()  # so that a decoder without weights has a backward pass, too
    if not whole and not decoder.stands_alone:
        given += (decoder.input_shape[1:],)
    result = model(*given)
    if tuple(result.shape) != tuple(target.shape):
        problems.append(f"torch gives {times(result.shape[1:])} instead of {times(decoder.input_shape)}")
        return Trial(0, float("nan"), 0, tuple(problems))
    designed = list(decoder.shapes.values())
    if decoder.stands_alone and seen != designed:
        wrong = next(at for at, (one, other) in enumerate(zip(seen, designed, strict=True)) if one != other)
        problems.append(f"layer {wrong}: torch gives {times(seen[wrong])} instead of {times(designed[wrong])}")
    loss = (result - target).square().mean()
    loss.backward()
    if not torch.isfinite(loss):
        problems.append(f"the loss is {loss.item()}")
    reached = [parameter.grad is not None for parameter in layers.parameters()]
    if not all(reached):
        missing = reached.count(False)
        problems.append(f"{missing} parameter{'s have' if missing != 1 else ' has'} no gradient")
    if any(not torch.isfinite(parameter.grad).all() for parameter in layers.parameters() if parameter.grad is not None):
        problems.append("a gradient is not finite")
    return Trial(len(seen) or len(decoder.steps), loss.item(), reached.count(True), tuple(problems))
