"""--json: one JSON document, as the committed schemas say.

- Every answer of shape, solve and verify is a document of its schema, and standard output holds nothing else.
- The schemas are strict: a key too many, a key too few or a value of another type is no document of theirs.
- The schemas demand the keys that the commands promise.
- The numbers are those of the Python interface, exact at any size.
- Reading the layer's text back gives the layer that was asked about.
"""

from __future__ import annotations

import json
from copy import deepcopy
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from support.command_line import Cli, Result, run_here
from support.strategies import Call, at, calls, size_calls, sizes

import convarith as ca

SCHEMAS: dict[str, Draft202012Validator] = {
    command: Draft202012Validator(json.loads((files("convarith_cli") / "schemas" / f"{command}.json").read_text()))
    for command in ("shape", "solve", "verify")
}

DOCUMENTS = [
    ["shape", "-k", "3"],
    ["shape", "-k", "3", "-s", "2", "-i", "28x28"],
    ["shape", "-k", "4", "-p", "same", "-i", "7"],
    ["shape", "conv-transpose", "-k", "3", "-s", "2", "-i", "7"],
    ["shape", "max-pool", "-k", "2", "--ceil-mode", "-i", "7"],
    ["shape", "max-pool3d", "-k", "2"],
    ["shape", "adaptive-avg-pool", "--output-size", "7", "-i", "28"],
    ["shape", "upsample", "--scale-factor", "0.29", "-i", "100"],
    ["shape", "fractional-max-pool", "-k", "2", "--output-ratio", "0.7", "-i", "9"],
    ["shape", "pixel-unshuffle", "--downscale-factor", "2"],
    ["shape", "pad", "-p", "1:2", "-i", "5"],
    ["shape", "zero-insert", "-s", "2", "-i", "0"],
    ["shape", "nn.Linear(784, 5)", "-i", "128x784"],
    ["shape", "ReLU"],
    ["shape", "Flatten()", "-i", "1x28x28"],
    ["shape", "Add()"],
    ["solve", "conv", "-k", "3", "-s", "2", "-o", "14"],
    ["solve", "Conv2d(1, 1, 3, stride=2)", "-o", "14x15"],
    ["solve", "adaptive-avg-pool", "--output-size", "7", "-o", "7"],
    ["solve", "conv", "-i", "28", "-o", "14"],
    ["solve", "conv-transpose", "-i", "7x9", "-o", "14x18", "-k", "4"],
    ["solve", "lp-pool", "-i", "28", "-o", "14"],
    ["solve", "conv", "-i", "5", "-o", "50"],
    ["shape", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)"],
    ["shape", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)", "-i", "28x30"],
    ["solve", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)", "-o", "13x14"],
]


def document(result: Result) -> dict[str, Any]:
    assert (result.exit_code, result.err) == (0, ""), result
    loaded: dict[str, Any] = json.loads(result.out)
    return loaded


@pytest.mark.parametrize("command", SCHEMAS)
def test_the_schema_is_a_schema(command: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[command].schema)


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=" ".join)
def test_a_document_of_its_schema(cli: Cli, arguments: list[str]) -> None:
    SCHEMAS[arguments[0]].validate(document(cli(*arguments, "--json")))


@pytest.mark.usefixtures("torch")
def test_a_document_of_verify(cli: Cli) -> None:
    answer = document(cli("verify", "--cases", "100", "--json"))
    SCHEMAS["verify"].validate(answer)
    assert answer["checked"] == 100
    assert answer["mismatches"] == []


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=" ".join)
def test_the_schema_is_strict(cli: Cli, arguments: list[str]) -> None:
    schema, answer = SCHEMAS[arguments[0]], document(cli(*arguments, "--json"))
    for damaged in damages(answer):
        assert not schema.is_valid(damaged), damaged


def damages(value: Any) -> list[Any]:
    """The document with a key too many, a key too few, or a number that is text, at every depth."""
    if isinstance(value, dict):
        found: list[Any] = [
            {**value, "more": 1},
            *({key: value[key] for key in value if key != left} for left in value),
        ]
        found += [{**value, key: damaged} for key in value for damaged in damages(value[key])]
        return found
    if isinstance(value, list):
        rest = value[1:]
        return [[damaged, *rest] for damaged in damages(value[0])] if value else []
    return [str(value)] if isinstance(value, (int, bool)) else [["more"]]


@pytest.mark.parametrize(
    ("command", "keys"),
    [
        ("shape", {"layer", "input_size", "output_size", "formula", "unread", "input_sizes_for_output"}),
        ("solve", {"solutions"}),
        ("verify", {"checked", "mismatches"}),
    ],
)
def test_the_schema_demands_what_is_promised(command: str, keys: set[str]) -> None:
    schema = SCHEMAS[command].schema
    forms = [schema["$defs"][form["$ref"].split("/")[-1]] for form in schema.get("oneOf", [])] or [schema]
    for form in forms:
        assert keys <= set(form["required"])
        assert form["additionalProperties"] is False


def test_a_mismatch_of_verify_is_described() -> None:
    schema = SCHEMAS["verify"]
    case = "torch.nn.ReLU().double().eval()(torch.zeros(1, dtype=torch.float64)).shape"
    answer = {
        "torch": "2.2.0", "seed": 0, "checked": 1, "mismatched": 1,
        "mismatches": [{"case": case, "convarith": [1], "torch": "RuntimeError: no"}],
        "layers": {"ReLU": {"accepted": 0, "refused": 1, "mismatches": 1}},
    }  # fmt: skip
    schema.validate(answer)
    wrong = deepcopy(answer)
    wrong["mismatches"] = [{"case": "nonsense", "convarith": [1], "torch": [2]}]
    with pytest.raises(ValidationError, match="nonsense"):
        schema.validate(wrong)


@settings(max_examples=60)
@given(size_calls(1, 2, 3), sizes)
def test_shape_says_what_the_layer_says(call: Call, size: int) -> None:
    layer: Any = call.layer
    result = run_here("shape", str(call), "-i", str(size), "--json")
    try:
        output = layer.output_size((size,) * (layer.ndim or 1))
        inputs = layer.inputs_for(output)
    except ca.ShapeError:
        assert result.exit_code == 2
        return
    answer = document(result)
    SCHEMAS["shape"].validate(answer)
    assert ca.parse(answer["layer"]) == layer
    assert answer["output_size"] == list(output)
    assert answer["input_sizes_for_output"] == [
        {"first": each.first, "last": each.last, "step": each.step} for each in inputs
    ]
    assert answer["input_size"] == [size] * len(output)
    if answer["back"] and min(output) > cropped_first(call):
        for text in answer["back"]:
            step: Any = ca.parse(text)
            output = step.output_size(output)
        assert list(output) == answer["input_size"]


def cropped_first(call: Call) -> int:
    """What a way back may have to crop first: nothing of it may be all there is."""
    extra = call.arguments.get("output_padding", 0)
    return max(extra) if isinstance(extra, tuple) else int(extra)


@settings(max_examples=60)
@given(calls.filter(lambda call: call.name not in ("Fold", "Unfold")))
def test_every_layer_has_a_document(call: Call) -> None:
    answer = document(run_here("shape", str(call), "--json"))
    SCHEMAS["shape"].validate(answer)
    assert ca.parse(answer["layer"]) == call.layer
    for row in filter(lambda row: any(row["output"]), answer.get("table", [])):
        layer: Any = call.layer
        ndim = layer.ndim or 1
        expected = layer.output_size((row["input"],) * ndim)
        assert (
            tuple(at(tuple(row["output"]), axis if len(row["output"]) > 1 else 0) for axis in range(ndim)) == expected
        )


def test_sizes_are_exact_at_any_size(cli: Cli) -> None:
    answer = document(cli("shape", "-k", "3", "-s", "2", "-i", str(10**30), "--json"))
    assert answer["output_size"] == [(10**30 - 3) // 2 + 1]
    assert answer["unread"] == [1]


def test_text_stays_as_it_is_written(cli: Cli) -> None:
    answer = document(cli("shape", "conv", "-k", "3", "-p", "same", "--json"))
    assert answer["layer"] == "Conv(kernel_size=3, padding='same')"
