"""convarith overlap.

- The text equals the golden file of its name, as Markdown too; `pytest --update-golden` rewrites them.
- --json prints a document of its schema with the numbers of the Python interface; its repairs are layers that fit.
- --weights, or the weights of a module, give the list of layers, and what did not match.
- --plot writes a whole picture or nothing.
- On a terminal the cells are coloured.
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
from jsonschema import Draft202012Validator
from support.command_line import Cli, assert_refused, schema_of

import convarith as ca

pytestmark = pytest.mark.slow

UP = "ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)"
STACK = "ConvTranspose2d(16, 8, 3, 2); ReLU(); ConvTranspose2d(8, 4, 3, 2); ReLU(); ConvTranspose2d(4, 1, 4, 2)"
UNET = (
    "down: Conv2d(1, 8, 3, padding=1); MaxPool2d(2); Conv2d(8, 8, 3, padding=1); "
    "up: ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1); Concat()(up, down); Conv2d(16, 1, 3, padding=1)"
)

CALLS: dict[str, list[str]] = {
    "overlap-uneven": ["overlap", UP, "-i", "5"],
    "overlap-even": ["overlap", "conv-transpose", "-k", "4", "-s", "2", "-p", "1"],
    "overlap-inside": ["overlap", "ConvTranspose2d(1, 1, (5, 3), stride=(3, 2))", "-i", "40"],
    "overlap-shortcut": ["overlap", "Conv2d(64, 128, 1, stride=2, bias=False)", "-i", "6x7"],
    "overlap-avg-pool": ["overlap", "avg-pool", "-k", "3", "-s", "2", "-p", "1", "-i", "9"],
    "overlap-adaptive": ["overlap", "AdaptiveAvgPool2d((3, None))", "-i", "7x5"],
    "overlap-fold": ["overlap", "Fold((7, 9), 3, stride=2)"],
    "overlap-dilated": ["overlap", "conv-transpose1d", "-k", "2", "-s", "2", "-d", "2", "-i", "6"],
    "overlap-volume": ["overlap", "ConvTranspose3d(1, 1, 3, stride=2)", "-i", "3"],
    "overlap-stack": ["overlap", STACK, "-i", "2"],
    "overlap-unet": ["overlap", UNET, "-i", "1x16x16"],
    "overlap-markdown": ["overlap", UP, "-i", "3", "--markdown"],
}
SCHEMA = schema_of("overlap")


def document(cli: Cli, *arguments: str) -> dict[str, Any]:
    result = cli(*arguments, "--json")
    assert (result.exit_code, result.err) == (0, "")
    loaded: dict[str, Any] = json.loads(result.out)
    SCHEMA.validate(loaded)
    return loaded


@pytest.mark.parametrize("name", CALLS)
def test_the_text_is_golden(name: str, cli: Cli, is_golden: Callable[[str, str], None]) -> None:
    result = cli(*CALLS[name])
    assert (result.exit_code, result.err) == (0, "")
    is_golden(name, result.out)


@pytest.mark.parametrize("name", [name for name in CALLS if name != "overlap-markdown"])
def test_json_is_a_document_of_the_schema(name: str, cli: Cli) -> None:
    answer = document(cli, *CALLS[name])
    if answer["counts"] is not None and not answer["frequencies"][0]:
        found = ca.overlap(ca.parse(answer["layer"]), None if "Fold" in name else answer["input_size"])
        assert answer["counts"] == [list(counts) for counts in found.counts or ()]
    for repair in answer["repairs"]:
        if repair["replaces"] is None and answer["input_size"] is not None and "2d" in answer["layer"]:
            size = answer["input_size"] * (2 // len(answer["input_size"]))
            reached = tuple(size)
            for text in repair["layers"]:
                step: Any = ca.parse(text)
                reached = step.output_size(reached)
            layer: Any = ca.parse(answer["layer"])
            assert reached == layer.output_size(size)


def test_the_schema_demands_what_is_promised() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    assert {"counts", "interior", "period", "even", "holes", "border", "repairs"} <= set(SCHEMA.schema["required"])


def test_the_first_line_is_the_verdict(cli: Cli) -> None:
    assert cli("overlap", UP).out.splitlines()[0] == f"uneven: {UP}, contrast 4 : 1"
    assert cli("overlap", "conv", "-k", "4", "-s", "2").out.startswith("even gradient: Conv(")
    assert "3/4 of the inputs get no gradient" in cli("overlap", "Conv2d(1, 1, 1, stride=2)").out.splitlines()[0]
    assert (
        "1/2 of the outputs are never hit" in cli("overlap", "ConvTranspose1d(1, 1, 1, stride=2)").out.splitlines()[0]
    )


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors"])
def test_a_checkpoint_beside_the_network(name: str, cli: Cli, torch: ModuleType, tmp_path: Path) -> None:
    path, network = tmp_path / name, tmp_path / "net.txt"
    network.write_text("up: ConvTranspose2d(4, 2, 3, stride=2)\nout: ConvTranspose2d(2, 1, 4, stride=2)\n")
    state = {"up.weight": torch.ones(4, 2, 3, 3), "up.bias": torch.ones(2), "more.weight": torch.ones(2, 2, 7, 7)}
    if name.endswith(".pt"):
        torch.save(state, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    weights = document(cli, "overlap", str(network), "--weights", str(path))["weights"]
    (only,) = weights["artefacts"]
    assert (only["name"], only["phases"]) == ("up", [2, 2])
    assert only["strength"] == pytest.approx(((10 / 9) ** 2 - 1) ** 0.5)
    assert weights["missing"] == {"out": "there is no out.weight"}
    assert weights["unused"] == ["more.weight"]
    text = cli("overlap", str(network), "--weights", str(path)).out
    assert "strongest first" in text
    assert "Layers without weights:" in text
    assert "Weights that belong to none of the layers: more.weight." in text


def test_a_checkpoint_of_one_layer(cli: Cli, torch: ModuleType, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(8, 4, 3, 3)}, tmp_path / "up.pt")
    weights = document(cli, "overlap", UP, "--weights", str(tmp_path / "up.pt"))["weights"]
    assert [each["layer"] for each in weights["artefacts"]] == [UP]


@pytest.mark.usefixtures("torch")
def test_a_module_comes_with_its_weights(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "overlap_models.py"
    path.write_text(
        "from torch import nn\nprint('hello')\n"
        "class Up(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.ConvTranspose2d(4, 12, 3, 2), nn.ReLU(), nn.PixelShuffle(2))\n"
        "    \n"
        "even = nn.Sequential(nn.ConvTranspose2d(4, 4, 4, 2))\n"
        "plain = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(4, 4, 3))\n"
    )
    result = cli("overlap", f"{path}:Up", "--json")
    assert result.exit_code == 0
    answer = json.loads(result.out)
    SCHEMA.validate(answer)
    assert [each["name"] for each in answer["weights"]["artefacts"]] == ["0"]
    assert "contrast" not in cli("overlap", f"{path}:even").out.splitlines()[0]
    assert "No layer with weights has a stride above 1" in cli("overlap", f"{path}:plain").out


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_picture_is_written_whole(ending: str, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws a plot")
    path = tmp_path / f"o.{ending}"
    result = cli("overlap", UP, "-i", "5", "--plot", str(path))
    assert (result.exit_code, result.err) == (0, "")
    assert result.out.endswith(f"Wrote the picture to {path}.\n")
    assert {"png": b"PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending] in path.read_bytes()[:8]
    assert [each.name for each in tmp_path.iterdir()] == [f"o.{ending}"]


@pytest.mark.parametrize(
    "name", ["overlap-even", "overlap-inside", "overlap-dilated", "overlap-volume", "overlap-stack"]
)
def test_every_kind_of_answer_can_be_drawn(name: str, cli: Cli, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="draws a plot")
    assert cli(*CALLS[name], "--plot", str(tmp_path / "o.png")).exit_code == 0


def test_the_cells_are_coloured_in_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    from convarith_cli.answer import write_rich
    from convarith_cli.main import answer
    from rich.console import Console

    shown = answer(["overlap", UP, "-i", "3"])
    assert not isinstance(shown, int)
    out = StringIO()
    write_rich(shown.blocks, Console(file=out, force_terminal=True, width=100, color_system="standard"))
    assert "\x1b[" in out.getvalue()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (["conv-transpose"], "needs --kernel"),
        (["conv-tranpose", "-k", "3"], "did you mean 'conv-transpose'"),
        (["no/such/file.txt"], "there is no file no/such/file.txt"),
        ([UP, "-i", "one"], "--input 'one'"),
        ([UP, "-i", "0"], "must be at least 1"),
        ([UP, "-i", str(10**20)], "is too large to count every position (more than 10,000,000): leave -i out"),
        ([UP, "-i", "1x2x3"], "expects 8 channels, but -i 1x2x3 has 1"),
        ([UP, "-i", "1x2x3x4"], "2 spatial axes"),
        ([UP, "-k", "3"], "write its parameters in it"),
        (["Linear(2, 3)"], "does not hit a fixed pattern"),
        (["adaptive-avg-pool", "--output-size", "3"], "depend on the input size: give one"),
        ([STACK, "-i", "1x1x1x1x1"], "-i 1x1x1x1x1 has 5 sizes, but the network has 2 spatial axes"),
        ([UP, "--weights", "none.pt"], "there is no file none.pt"),
        ([UP, "--plot", "o.gif"], "its ending is unknown, choose from png, svg, pdf"),
        ([UP, "--plot", "no/such/o.png"], "cannot write no/such/o.png"),
    ],
)
def test_a_wrong_question_is_one_line(call: list[str], message: str, cli: Cli) -> None:
    if "--plot" in call:
        pytest.importorskip("matplotlib", reason="draws a plot")
    assert message in assert_refused(cli("overlap", *call))
