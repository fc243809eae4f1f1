"""--json: one JSON document, as the committed schemas say.

- Every answer of shape, solve and verify is a document of its schema, and standard output holds nothing else.
- The schemas are strict: they reject an extra key, a missing key and a value of another type.
- The schemas require the keys that the commands promise, and name their version.
- Definitions of the same name are the same in every schema.
- A condition holds exactly the sizes of the set it describes.
- The numbers are those of the Python interface, exact at any size.
- The text of the layer can be read back.
"""

from __future__ import annotations

import json
from copy import deepcopy
from importlib.resources import files
from itertools import islice
from typing import Any

import pytest
from convarith_cli.conditions import condition
from convarith_cli.main import COMMANDS
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from support.command_line import Cli, Result, document_of, run_here, schema_of
from support.strategies import Call, at, calls, size_calls, sizes

import convarith as ca
from convarith.sizes.sets import run

FOLDER = files("convarith_cli") / "schemas"
SCHEMAS = {command: schema_of(command) for command in COMMANDS}

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
    ["shape", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)"],
    ["shape", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)", "-i", "28x30"],
    ["solve", "Conv2d(1, 2, 3); ReLU(); MaxPool2d(2)", "-o", "13x14"],
    ["shape", "Conv2d(3, 8, 3)", "-i", "3x28x28"],
    ["shape", "conv2d", "-k", "3", "-i", "(28, 28)"],
    ["shape", "-k", "1", "-i", "3x28x28"],
    ["shape", "Unfold(3)", "-i", "3x8x8"],
]
NO_SOLUTION = [
    ["solve", "conv", "-i", "5", "-o", "50"],
    ["solve", "conv-transpose", "-k", "3", "-s", "2", "-o", "14"],
    ["solve", "ConvTranspose2d(1, 1, 3, 2); ReLU()", "-o", "8"],
]


def document(result: Result) -> dict[str, Any]:
    assert (result.exit_code, result.err) == (0, ""), result
    loaded: dict[str, Any] = json.loads(result.out)
    return loaded


@pytest.mark.parametrize("command", COMMANDS)
def test_the_schema_is_a_schema(command: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[command].schema)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_document_names_its_schema(command: str) -> None:
    schema = SCHEMAS[command].schema
    definitions = schema.get("$defs", {})
    forms = [definitions[form["$ref"].split("/")[-1]] for form in schema.get("oneOf", [])] or [schema]
    for form in forms:
        assert form["properties"]["schema"] == {"const": f"convarith/{command}/1"}
        assert "schema" in form["required"]


def test_equal_words_mean_equal_things() -> None:
    shared = json.loads((FOLDER / "definitions.json").read_text(encoding="utf-8"))["$defs"]
    autoencoders = {"train", "report", "recipes", "restore"}
    for command in COMMANDS.keys() - autoencoders:
        for name, definition in SCHEMAS[command].schema["$defs"].items():
            assert definition == shared.get(name, definition), (command, name)
    used = {name for command in COMMANDS for name in SCHEMAS[command].schema.get("$defs", {})}
    assert shared.keys() <= used


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=" ".join)
def test_a_document_of_its_schema(cli: Cli, arguments: list[str]) -> None:
    document_of(cli(*arguments, "--json"), arguments[0])


@pytest.mark.parametrize("arguments", NO_SOLUTION, ids=" ".join)
def test_without_a_solution_the_document_says_why(cli: Cli, arguments: list[str]) -> None:
    answer = document_of(cli(*arguments, "--json"), "solve", exit_code=1)
    assert answer["solutions"] == []
    assert answer["reason"].startswith(("no input gives an output of", "no solution within"))


@pytest.mark.parametrize(
    "network",
    [
        "Conv2d(1, 8, 3, stride=2, padding=1); ConvTranspose2d(8, 1, 3, stride=2, padding=1, output_padding=1)",
        "Conv2d(1, 1, (3, 5), stride=(1, 2)); ConvTranspose2d(1, 1, 2, 2)",
        "Upsample(scale_factor=1.5); Conv2d(1, 1, 3)",
        "Conv1d(1, 8, 4, 2, 1); Conv1d(8, 8, 8, 4, 2); ConvTranspose1d(8, 1, 8, 8)",
        "AdaptiveAvgPool2d((7, None)); ConvTranspose2d(1, 1, 4, 2)",
    ],
)
def test_a_condition_is_the_set(cli: Cli, network: str) -> None:
    answer = document_of(cli("trace", network, "--json"), "trace")
    maps = [ca.parse_network(network).size_map(axis) for axis in range(len(answer["size_map"]))]
    conditions = [entry["accepts_condition"] for entry in answer["size_map"]] + answer["comes_back_condition"]
    sets = [each.domain for each in maps] + [each.comes_back for each in maps]
    for expected, found in zip(sets, conditions, strict=True):
        assert [size for size in range(300) if holds(found, size)] == [size for size in range(300) if size in expected]


@given(runs=st.lists(st.tuples(st.integers(0, 40), st.none() | st.integers(0, 40), st.integers(1, 9)), max_size=4))
def test_any_set_has_a_condition(runs: list[tuple[int, int | None, int]]) -> None:
    made = [run(first, None if more is None else first + more, step) for first, more, step in runs]
    expected = ca.SizeSet([each for each in made if each is not None])
    found = condition(expected)
    assert found is not None
    assert [size for size in range(200) if holds(found, size)] == [size for size in range(200) if size in expected]
    assert bool(found["residues"]) == (found["minimum"] is not None) == expected.endless
    assert set(islice(expected, 1)) <= {found["minimum"]} | {each["first"] for each in found["listed"]}


def holds(found: dict[str, Any], size: int) -> bool:
    """Is a size in the set of a condition, by the words of the schema?"""
    if found["minimum"] is not None and size >= found["minimum"] and size % found["modulus"] in found["residues"]:
        return True
    return any(
        each["first"] <= size
        and (each["last"] is None or size <= each["last"])
        and (size - each["first"]) % each["step"] == 0
        for each in found["listed"]
    )


@pytest.mark.usefixtures("torch")
def test_a_document_of_verify(cli: Cli) -> None:
    answer = document_of(cli("verify", "--cases", "100", "--json"), "verify")
    assert answer["checked"] == 100
    assert answer["mismatches"] == []


@pytest.mark.parametrize("arguments", DOCUMENTS, ids=" ".join)
def test_the_schema_is_strict(cli: Cli, arguments: list[str]) -> None:
    schema, answer = SCHEMAS[arguments[0]], document(cli(*arguments, "--json"))
    for damaged in damages(answer):
        assert not schema.is_valid(damaged), damaged


def damages(value: Any) -> list[Any]:
    """The document with an extra key, a missing key, or a number that is text, at every depth."""
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
def test_the_schema_requires_what_is_promised(command: str, keys: set[str]) -> None:
    schema = SCHEMAS[command].schema
    forms = [schema["$defs"][form["$ref"].split("/")[-1]] for form in schema.get("oneOf", [])] or [schema]
    for form in forms:
        assert keys <= set(form["required"])
        assert form["additionalProperties"] is False


def test_a_mismatch_of_verify_is_described() -> None:
    schema = SCHEMAS["verify"]
    case = "torch.nn.ReLU().double().eval()(torch.zeros(1, dtype=torch.float64)).shape"
    answer = {
        "schema": "convarith/verify/1", "torch": "2.2.0", "seed": 0, "checked": 1, "mismatched": 1,
        "mismatches": [{"case": case, "convarith": [1], "torch": "RuntimeError: no"}],
        "layers": {"ReLU": {"accepted": 0, "refused": 1, "mismatched": 1}},
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
    """What a way back may have to crop first, which may be all there is."""
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
