"""Running the code of a decoder once. The oracle is counting, and code with a known fault.

- A decoder that works has no problems; its shapes and gradients are counted, its loss is that of its values.
- Each fault of the code is found: a wrong end, a wrong shape on the way, a parameter that nothing reaches, a value that
  is not finite.
- What would not fit into memory is refused before it is run.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.decoders import trial_run
from convarith.decoders.decoder import Decoder
from convarith.decoders.trial_run import Trial, bytes_needed

GIB = 2**30
TWO = "Conv1d(1, 2, 2, stride=2); Conv1d(2, 3, 2, stride=2)"
RIGHT = """
import torch
from torch import nn
class Decoder(nn.Sequential):
    def __init__(self):
        super().__init__(nn.ConvTranspose1d(3, 2, 2, stride=2), nn.ConvTranspose1d(2, 1, 2, stride=2))
"""


def trial_of(code: str, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """The trial of a decoder of TWO with other code."""
    monkeypatch.setattr(Decoder, "code", lambda *_, **__: code)
    return ca.mirror(ca.parse_network(TWO), (1, 12)).verify()


@pytest.mark.parametrize(
    ("text", "shape", "options", "shapes", "gradients"),
    [
        (TWO, (1, 12), {}, 2, 4),
        (TWO, (1, 12), {"any_size": True}, 2, 4),
        (f"{TWO}; ReLU(); Conv1d(3, 4, 1)", (1, 12), {}, 4, 6),
        (f"{TWO}; ReLU(); Conv1d(3, 4, 1)", (1, 12), {"any_size": True}, 3, 6),
        ("MaxPool1d(2)", (1, 12), {"upsample": "resize"}, 1, 0),
        ("MaxPool1d(2)", (1, 12), {"upsample": "unpool"}, 1, 0),
        ("LazyConv1d(4, 2); LazyBatchNorm1d(); LazyConv1d(2, 2); Flatten(); LazyLinear(3)", (2, 12), {}, 5, 8),
        ("Narrow(0, 1); Conv1d(1, 2, 3)", (2, 12), {"any_size": True}, 2, 4),
    ],
)
def test_what_a_trial_counts(
    torch: ModuleType, text: str, shape: tuple[int, ...], options: dict[str, Any], shapes: int, gradients: int
) -> None:
    trial = ca.mirror(ca.parse_network(text), shape, **options).verify()
    assert (trial.shapes, trial.gradients, trial.problems) == (shapes, gradients, ())
    assert 0 < trial.loss < 10


def test_the_loss_is_the_mean_square_for_a_batch_of_two(torch: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = RIGHT + "        for each in self.parameters():\n            nn.init.zeros_(each)\n"
    torch.manual_seed(0)
    expected = float(torch.rand(2, 1, 12).square().mean())
    trial = trial_of(zeros, monkeypatch)
    assert (trial.loss, trial.shapes, trial.gradients, trial.problems) == (pytest.approx(expected), 2, 4, ())


@pytest.mark.parametrize(
    ("before", "after", "problems"),
    [
        ("(2, 1, 2, stride=2)", "(2, 1, 3, stride=2)", ["torch gives 1 x 13 instead of 1 x 12"]),
        ("(2, 1, 2, stride=2)", "(2, 2, 2, stride=2)", ["torch gives 2 x 12 instead of 1 x 12"]),
        ("2, stride=2), nn.ConvTranspose1d(2, 1, 2, stride=2))", "1), nn.ConvTranspose1d(2, 1, 4, stride=4))",
         ["layer 0: torch gives 2 x 3 instead of 2 x 6"]),
        ("(2, 1, 2, stride=2))", "(2, 1, 2, stride=2)); self[1].more = nn.Parameter(torch.ones(2))", ["1 parameter has no gradient"]),
        ("(2, 1, 2, stride=2))", "(2, 1, 2, stride=2)); self[1].a = self.b = nn.Parameter(torch.ones(2)); self.c = nn.Parameter(torch.ones(2))",
         ["2 parameters have no gradient"]),
        ("(2, 1, 2, stride=2))", "(2, 1, 2, stride=2)); nn.init.constant_(self[1].bias, float('inf'))",
         ["the loss is inf", "a gradient is not finite"]),
        ("(2, 1, 2, stride=2))", "(2, 1, 2, stride=2)); self[1].weight.register_hook(lambda each: each / 0)", ["a gradient is not finite"]),
    ],
)  # fmt: skip
def test_every_fault_is_found(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch, before: str, after: str, problems: list[str]
) -> None:
    assert RIGHT.count(before) == 1
    trial = trial_of(RIGHT.replace(before, after), monkeypatch)
    assert [
        each.replace("x", " x ").replace("  ", " ") if "torch" in each else each for each in trial.problems
    ] == problems
    if "1 x 12" in problems[0]:
        assert (trial.shapes, trial.gradients) == (0, 0)
        assert trial.loss != trial.loss
    elif "parameter" in problems[0]:
        assert trial.gradients == 4


def test_the_memory_is_that_of_parameters_and_values_with_their_gradients() -> None:
    decoder = ca.mirror(ca.parse_network("Conv1d(1, 8, 4, stride=4)"), (1, 400))
    still_open = ca.mirror(ca.parse_network("LazyConv1d(8, 4, stride=4)"), (1, 400))
    parameters = (8 * 1 * 4 + 8) + (8 * 1 * 4 + 1)
    values = 2 * (8 * 100 + 1 * 400)  # a batch of two
    assert bytes_needed(still_open) == bytes_needed(decoder) == 4 * 2 * (parameters + values)


@pytest.mark.parametrize(("needed", "runs"), [(8 * GIB, True), (8 * GIB + 1, False), (9 * GIB, False)])
def test_a_run_may_take_eight_gibibytes(
    torch: ModuleType, monkeypatch: pytest.MonkeyPatch, needed: int, runs: bool
) -> None:
    monkeypatch.setattr(trial_run, "bytes_needed", lambda _: needed)
    decoder = ca.mirror(ca.parse_network(TWO), (1, 12))
    if runs:
        assert decoder.verify().problems == ()
    else:
        with pytest.raises(ca.ParameterError, match=f"a run needs about {needed // GIB} GiB, more than 8 GiB: verify"):
            decoder.verify()
