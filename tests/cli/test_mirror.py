"""convarith mirror.

- The text equals the golden file of its name, as Markdown too; `pytest --update-golden` rewrites them.
- --json prints a document of its schema; its shapes are those of the encoder, and its code runs.
- --code writes a whole file or nothing; '-' prints only the code.
- --verify runs the code in torch.
- A question that cannot be answered gives one line and exit code 2, and leaves no file.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from support.command_line import Cli, assert_refused, schema_of

ENCODER = "Conv2d(1, 16, 3, stride=2, padding=1); ReLU(); Conv2d(16, 32, 3, stride=2, padding=1)"
POOLS = "Conv2d(3, 8, 3, padding=1); BatchNorm2d(8); ReLU(); MaxPool2d(3, 2, 1, ceil_mode=True); Conv2d(8, 16, 4, 3)"
DENSE = "Flatten(); Linear(784, 32); ReLU(); Linear(32, 2)"

CALLS: dict[str, list[str]] = {
    "mirror-plain": ["mirror", ENCODER, "-i", "1x28x28", "--final", "sigmoid"],
    "mirror-even": ["mirror", ENCODER, "-i", "1x28x28", "--even"],
    "mirror-any-size": ["mirror", POOLS, "-i", "3x29x40", "--any-size"],
    "mirror-unpool": ["mirror", POOLS, "-i", "3x29x40", "--upsample", "unpool"],
    "mirror-resize": ["mirror", POOLS, "-i", "3x29x40", "--upsample", "resize"],
    "mirror-pixel-shuffle": ["mirror", POOLS, "-i", "3x29x40", "--upsample", "pixel-shuffle"],
    "mirror-skips": ["mirror", POOLS, "-i", "3x29x40", "--skips"],
    "mirror-dense": ["mirror", DENSE, "-i", "1x28x28"],
    "mirror-markdown": ["mirror", ENCODER, "-i", "1x28x28", "--markdown"],
}
SCHEMA = schema_of("mirror")


@pytest.mark.parametrize("name", CALLS)
def test_the_text_is_golden(name: str, cli: Cli, is_golden: Callable[[str, str], None]) -> None:
    result = cli(*CALLS[name])
    assert (result.exit_code, result.err) == (0, "")
    is_golden(name, result.out)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "mirror-markdown"])
def test_json_is_a_document_of_the_schema(name: str, cli: Cli, torch: ModuleType) -> None:
    result = cli(*CALLS[name], "--json", "--verify")
    assert (result.exit_code, result.err) == (0, "")
    document = json.loads(result.out)
    SCHEMA.validate(document)
    assert document["input"] == document["output"] == document["decoder"][-1]["output"]
    assert document["verified"]["problems"] == []
    names: dict[str, Any] = {}
    exec(document["code"], names)
    decoder = names["Decoder"]()
    assert sum(parameter.numel() for parameter in decoder.parameters()) == document["parameters"]


def test_the_code_is_written_whole(cli: Cli, tmp_path: Path, torch: ModuleType) -> None:
    path = tmp_path / "decoder.py"
    path.write_text("old")
    result = cli("mirror", ENCODER, "-i", "1x28x28", "--code", str(path), "--autoencoder", "--verify")
    assert (result.exit_code, result.err) == (0, "")
    assert "5 shapes" not in result.out
    assert f"Wrote the code to {path}." in result.out
    names: dict[str, Any] = {}
    exec(path.read_text(), names)
    assert names["Autoencoder"]()(torch.zeros(1, 1, 28, 28)).shape == (1, 1, 28, 28)
    assert [each.name for each in tmp_path.iterdir()] == ["decoder.py"]


def test_the_code_is_not_wrapped_on_a_narrow_terminal() -> None:
    from convarith_cli.answer import write_rich
    from convarith_cli.main import answer
    from rich.console import Console

    shown = answer(["mirror", ENCODER, "-i", "1x28x28", "--code", "-"])
    assert not isinstance(shown, int)
    out = StringIO()
    write_rich(shown.blocks, Console(file=out, force_terminal=True, width=40, color_system=None))
    assert out.getvalue().rstrip() == shown.data["code"].rstrip()


def test_the_code_alone(cli: Cli) -> None:
    result = cli("mirror", ENCODER, "-i", "1x28x28", "--code", "-")
    assert result.exit_code == 0
    compile(result.out, "decoder.py", "exec")
    assert result.out.startswith('"""Decoder for an encoder with input shape 1 x 28 x 28.')


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ([ENCODER, "-i", "1x28x28", "--upsample", "risize"], "did you mean 'resize'"),
        ([ENCODER, "-i", "1x28x28", "--final", "sigmoit"], "did you mean 'Sigmoid'"),
        ([ENCODER, "-i", "3x28x28"], "expects 1 channel"),
        ([ENCODER, "-i", "28x28x28x28x28"], "2 spatial axes (H, W): write 28x28, or 1x28x28 with the channels first"),
        (["MaxPool2d(2)", "-i", "28x28"], "does not say how many it takes: write them first, as in 3x28x28"),
        ([ENCODER, "-i", "1x1x28x28"], "takes 3: channels first"),
        ([ENCODER, "-i", "one"], "--input 'one'"),
        (["ReLU()", "-i", "1x28x28"], "nothing to mirror"),
        (["Conv2d(1, 8, 3); Flatten(0)", "-i", "1x28x28"], "which cannot be mirrored: use start_dim=1"),
        ([ENCODER, "-i", "1x28x28", "--code", "-", "--json"], "leave --json and --markdown out"),
        ([ENCODER, "-i", "1x28x28", "--code", "no/such/folder/x.py"], "cannot write no/such/folder/x.py"),
        (["no-such-file.txt", "-i", "1x28x28"], "there is no file"),
    ],
)
def test_a_wrong_question_is_one_line(call: list[str], message: str, cli: Cli) -> None:
    assert message in assert_refused(cli("mirror", *call))


def test_the_shape_is_asked_for(cli: Cli) -> None:
    assert "--input" in assert_refused(cli("mirror", ENCODER))
