"""The arithmetic against torch on the CPU.

- On 45,000 layers, including every small one of one axis, both accept the same inputs and return the same sizes.
- The comparison includes every layer of torch, with cases that torch accepts and cases that it refuses.
- The comparison can fail: it finds a broken rule.
- The text of a case runs in Python and returns torch's answer.
- parameter_count is the number of values in the module's parameters.
- macs are half of what torch's own counter says; layers without weights have none.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from math import prod
from types import ModuleType

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.breaking import break_floor_rules
from support.strategies import Call, conv_transposes, convs, dense, size_calls, sizes, torch_calls

import convarith as ca
from convarith.layers.elementwise import TABLE
from convarith.layers.registry import all_names
from convarith.pytorch.verification import Case, Report, random_cases, torchs, verify
from convarith.sizes.rules import FloorRule, ScaleRule

pytestmark = pytest.mark.slow

WINDOWED = [
    f"{stem}{ndim}d"
    for stem in ("Conv", "ConvTranspose", "MaxPool", "AvgPool", "LPPool", "MaxUnpool")
    for ndim in (1, 2, 3)
]


@pytest.fixture(autouse=True)
def _needs_torch(torch: ModuleType) -> Iterator[None]:
    """Every test here asks torch, and torch warns about some of the odd layers it is asked for."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


@pytest.fixture(scope="module")
def report(torch: ModuleType) -> Report:
    return verify(45_000, seed=1)


def test_no_mismatches(report: Report) -> None:
    assert report.checked == 45_000
    assert "\n".join(map(str, report.mismatches)) == ""
    assert report.mismatched == 0


@pytest.mark.parametrize("name", [*WINDOWED, "Fold", "Unfold", "Upsample", "FractionalMaxPool2d", "PixelUnshuffle"])
def test_torch_takes_some_and_refuses_some(report: Report, name: str) -> None:
    tally = report.tallies[name]
    assert tally.accepted > 0
    assert tally.refused > 0


def test_every_layer_is_asked_about(report: Report, torch: ModuleType) -> None:
    assert {name for name in all_names() if hasattr(torch.nn, name)} - set(TABLE) <= set(report.tallies)


def _one_more(rule: FloorRule, size: int) -> int | None:
    result = _right(rule, size)
    return None if result is None else result + 1


def _rounds_up(rule: FloorRule, size: int) -> int | None:
    right = _right(rule, size)
    return None if right is None else rule.rise * -(-(size + rule.shift) // rule.step) + rule.offset


def _takes_all(rule: FloorRule, size: int) -> int:
    return rule.rise * ((size + rule.shift) // rule.step) + rule.offset


def _refuses_the_smallest(rule: FloorRule, size: int) -> int | None:
    return None if size == rule.minimum else _right(rule, size)


_right = FloorRule.__call__


@pytest.mark.parametrize("wrong", [_one_more, _rounds_up, _takes_all, _refuses_the_smallest])
def test_a_broken_rule_is_found(monkeypatch: pytest.MonkeyPatch, wrong: Callable[[FloorRule, int], int | None]) -> None:
    break_floor_rules(monkeypatch, wrong)
    report = verify(600, seed=2, keep=3)
    assert report.mismatched > 20
    assert len(report.mismatches) == 3
    assert all(mismatch.ours != mismatch.torch for mismatch in report.mismatches)


def test_a_broken_factor_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScaleRule, "__call__", lambda rule, size: round(size * rule.factor))
    tallies = verify(4_000, seed=2).tallies
    assert tallies["Upsample"].mismatches + tallies["FractionalMaxPool2d"].mismatches > 0


def _run(case: Case, torch: ModuleType) -> tuple[int, ...] | None:
    """What the case's text gives in Python; None for a refusal."""
    torch.manual_seed(0)
    try:
        shape = tuple(eval(str(case), {"torch": torch}))
    except Exception:  # noqa: BLE001 - torch refuses with many classes
        return None
    return shape if min(shape, default=0) >= 0 else None


def test_the_text_of_a_case_runs(torch: ModuleType) -> None:
    answers = []
    for case in random_cases(800, seed=3):
        theirs = torchs(case)
        assert _run(case, torch) == (theirs if isinstance(theirs, tuple) else None), str(case)
        answers.append(theirs)
    assert any(isinstance(answer, tuple) for answer in answers)
    assert any(isinstance(answer, str) for answer in answers)


@given(torch_calls)
def test_parameter_count(call: Call) -> None:
    module = ca.pytorch.to_module(call.layer)
    assert call.layer.parameter_count == sum(parameter.numel() for parameter in module.parameters())


def _flops(torch: ModuleType, call: Call, shape: tuple[int, ...]) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        getattr(torch.nn, call.name)(**call.arguments)(torch.zeros(shape))
    return int(counter.get_total_flops())


@given(st.sampled_from((convs, conv_transposes)), st.integers(1, 3), st.booleans(), st.data())
def test_macs_of_convolutions(
    torch: ModuleType, make: Callable[..., st.SearchStrategy[Call]], ndim: int, batched: bool, data: st.DataObject
) -> None:
    call = data.draw(make(ndim))
    spatial = data.draw(st.tuples(*(st.integers(1, (14, 10, 8)[ndim - 1]),) * ndim))
    shape = ((2,) if batched else ()) + (call.arguments["in_channels"], *spatial)
    try:
        macs = call.layer.macs(shape)
    except ca.ShapeError:
        assume(False)
    assert 2 * macs == _flops(torch, call, shape)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_macs_of_linear(torch: ModuleType, features: int, outputs: int, bias: bool, lead: list[int]) -> None:
    call = Call("Linear", {"in_features": features, "out_features": outputs, "bias": bias})
    assert 2 * call.layer.macs((*lead, features)) == _flops(torch, call, (*lead, features))


@given(
    st.one_of(size_calls(2), dense()).filter(
        lambda call: call.name != "Linear" and not call.name.startswith(("Conv", "ZeroInsert", "MaxUnpool"))
    ),
    sizes,
)
def test_macs_of_layers_without_weights(torch: ModuleType, call: Call, size: int) -> None:
    shape = (1, 4, size, size)
    try:
        call.layer.output_shape(shape)
    except ca.ShapeError:
        assume(False)
    assert call.layer.macs(shape) == _flops(torch, call, shape) == 0


def test_a_weight_meets_every_position_once() -> None:
    shape, conv = (1, 28, 28), ca.parse("Conv2d(1, 32, 5, bias=False)")
    assert conv.macs(shape) == conv.parameter_count * prod(conv.output_shape(shape)[1:])
