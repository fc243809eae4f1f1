"""convarith trace, and shape and solve for networks.

- The text equals the golden file of its name, as Markdown too; `pytest --update-golden` rewrites them.
- --json prints a document of its schema, with the numbers of the Python interface.
- A network is read from a file, from standard input, from text, and from Python code, which then runs.
- A question that cannot be answered gives one line with the layer and its place, and exit code 2.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Cli, assert_refused, schema_of

import convarith as ca

AUTOENCODER = str(Path(__file__).parent.parent.parent / "docs" / "autoencoder.txt")
UNET = (
    "skip: Conv2d(1, 8, 3, padding=1); MaxPool2d(2); Conv2d(8, 8, 3, padding=1); "
    "up: ConvTranspose2d(8, 8, 2, stride=2); Concat()(up, skip); Conv2d(16, 1, 1)"
)
DENSE = "Flatten(); Linear(784, 5); ReLU(); Linear(5, 784); Unflatten(1, (1, 28, 28))"

CALLS: dict[str, list[str]] = {
    "trace-autoencoder": ["trace", AUTOENCODER, "-i", "1x28x28"],
    "trace-every-size": ["trace", AUTOENCODER],
    "trace-markdown": ["trace", UNET, "-i", "1x28x28", "--markdown"],
    "trace-unet": ["trace", UNET],
    "trace-dense": ["trace", DENSE, "-i", "1x28x28"],
    "trace-classifier": ["trace", "Conv2d(1, 8, 3); Flatten(); Linear(5408, 10)", "-i", "1x28x28"],
    "trace-unequal-axes": ["trace", "Conv2d(1, 1, (3, 5), stride=(1, 2)); ConvTranspose2d(1, 1, 2, 2)", "-i", "1x28x30"],
    "trace-audio": ["trace", "Conv1d(1, 8, 4, 2, 1); Conv1d(8, 8, 8, 4, 2); ConvTranspose1d(8, 1, 8, 8)", "-i", "1x16000"],
    "trace-fraction": ["trace", "Upsample(scale_factor=1.5); Conv2d(1, 1, 3)"],
    "shape-network": ["shape", UNET, "-i", "28x30"],
    "solve-network": ["solve", "Conv2d(3, 64, 7, 2, 3); MaxPool2d(3, 2, 1)", "-o", "7x8"],
}  # fmt: skip

SCHEMA = schema_of("trace")


@pytest.mark.parametrize("name", CALLS)
def test_the_text_is_golden(name: str, cli: Cli, is_golden: Callable[[str, str], None]) -> None:
    result = cli(*CALLS[name])
    assert (result.exit_code, result.err) == (0, "")
    is_golden(name, result.out)


@pytest.mark.parametrize(
    "call", [call for name, call in CALLS.items() if call[0] == "trace" and "--markdown" not in call]
)
def test_json_is_a_document_of_the_schema(call: list[str], cli: Cli) -> None:
    result = cli(*call, "--json")
    assert (result.exit_code, result.err) == (0, "")
    document = json.loads(result.out)
    SCHEMA.validate(document)
    net = ca.parse_network(Path(call[1]).read_text() if call[1] == AUTOENCODER else call[1])
    assert document["parameters"] == net.parameter_count
    if document["input"] is not None:
        assert document["output"] == list(net.output_shape(document["input"]))
        assert document["macs"] == sum(row["macs"] for row in document["layers"]) == net.macs(document["input"])
        assert [row["layer"] for row in document["layers"]] == [str(node.layer) for node in net.nodes]


def test_standard_input(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Conv2d(1, 8, 5)  # first\nReLU()\n")))
    assert "1x28x28 -> 8x24x24" in cli("trace", "-", "-i", "1x28x28").out


def test_python_code_runs_only_when_named(cli: Cli, tmp_path: Path, torch: object) -> None:
    code = tmp_path / "models.py"
    code.write_text(
        "print('the code ran')\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.conv = nn.Conv2d(1, 4, 3)\n"
        "    def forward(self, x):\n"
        "        return self.conv(x).relu()\n"
        "def broken():\n    raise RuntimeError('two\\nlines')\n"
        "def leave():\n    raise SystemExit(3)\n"
        "number = 3\n"
    )
    result = cli("trace", f"{code}:Net", "-i", "1x28x28", "--json")
    assert json.loads(result.out)["output"] == [4, 26, 26]
    assert result.err == "the code ran\n"
    assert json.loads(cli("trace", f"{code}:Net", "-i", "28", "--json").out)["input"] == [1, 28, 28]
    assert "name the model in it" in assert_refused(cli("trace", str(code)))
    for name, message in (
        ("broken", "raised RuntimeError: two lines"), ("Missing", "models.py has no 'Missing': choose from Net, broken, leave"), ("number", "raised TypeError"),
        ("leave", "ended the program (exit code 3)"),
    ):  # fmt: skip
        refused = cli("trace", f"{code}:{name}")
        assert refused.exit_code == 2
        assert refused.out == ""
        assert message in refused.err.splitlines()[-1]


@pytest.mark.usefixtures("torch")
def test_a_model_with_arguments_and_its_parts(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models.py").write_text(
        "from torch import nn\n"
        "class Codec(nn.Module):\n"
        "    def __init__(self, width=8, names=('a', 'b')):\n"
        "        super().__init__()\n"
        "        self.encoder = nn.Conv2d(1, width, 3)\n"
        "        self.decoder = nn.ConvTranspose2d(width, 1, 3)\n"
        "    def forward(self, x):\n"
        "        return self.decoder(self.encoder(x))\n"
    )

    def layers(text: str) -> list[str]:
        result = cli("trace", text, "-i", "28", "--json")
        assert result.exit_code == 0, result
        return [row["layer"] for row in json.loads(result.out)["layers"]]

    assert layers("models.py:Codec(width=4, names=('x',))") == ["Conv2d(1, 4, 3)", "ConvTranspose2d(4, 1, 3)"]
    assert layers("models.py:Codec.encoder") == ["Conv2d(1, 8, 3)"]
    assert layers("models.py:Codec(16).encoder") == ["Conv2d(1, 16, 3)"]
    for text, message in (
        ("models.py:Codec(width=print(1))", "must be numbers, strings, tuples or other literals"),
        ("models.py:Codec(**{})", "** is not read"),
        ("models.py:Codec(height=3)", "raised TypeError"),
        ("models.py:Codec.encode", "models.py:Codec has no 'encode': did you mean 'encoder'?"),
    ):
        assert message in assert_refused(cli("trace", text))


REFUSED = [
    (["trace", "nofile.txt"], "there is no file nofile.txt"),
    (["trace", "models.py:Net"], "there is no file models.py"),
    (["trace", "Conv2d(1, 8, 3); Conv2d(8, 8, 3, strid=2)"], "line 1, column 34: Conv2d has no parameter 'strid'"),
    (["trace", "Conv2d(1, 8, 3); Conv2d(4, 8, 3)", "-i", "1x9x9"], "1 (line 1, column 18): Conv2d(4, 8, 3) got 8x7x7"),
    (["trace", "Conv2d(1, 8, 3); Conv2d(8, 8, 9)", "-i", "1x9x9"], "the nearest input that works has H = 11, W = 11"),
    (["trace", "a: ReLU()(b); b: ReLU()(a)"], "the layers form a cycle: a -> b -> a"),
    (["trace", "Add()(input, up)"], "its input 'up' is unknown"),
    (["trace", "Conv2d(1, 8, 3)", "-i", "28x"], "--input '28x'"),
    (["trace", "MaxPool2d(2)", "-i", "28"], "-i 28 gives no channels and the network does not say how many it takes: write them first, as in 3x28x28"),
    (["trace", "Conv2d(1, 8, 3)", "-i", "1x1x1x28x28"], "-i 1x1x1x28x28 has 5 sizes, but the network has 2 spatial axes (H, W)"),
    (["trace", ""], "there is no layer in this text"),
    (["trace"], "Missing argument"),
    (["solve", UNET, "-o", "28", "-i", "28"], "leave --input out"),
    (["solve", UNET, "-o", "1x2x3x4"], "-o 1x2x3x4 has 4 sizes, but the network has 2 spatial axes"),
    (["shape", UNET, "-i", "29"], ", not 29: the nearest accepted size is 28 or 30"),
    (["shape", DENSE, "-i", "3"], "Linear expects 784 features"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_a_wrong_question_is_one_line(call: list[str], message: str, cli: Cli) -> None:
    assert message in assert_refused(cli(*call))


def test_an_output_that_no_input_gives(cli: Cli) -> None:
    exit_code, out, err = cli("solve", UNET, "-o", "27")
    assert (exit_code, err) == (1, "")
    assert "None: no input gives an output of 27 along H, as H becomes 2*floor(H/2)." in out


def test_a_file_that_is_not_text(cli: Cli, tmp_path: Path) -> None:
    binary = tmp_path / "model.bin"
    binary.write_bytes(b"\xff\xfe\x00")
    assert "is not UTF-8 text (byte 0)" in assert_refused(cli("trace", str(binary)))
    assert "is a folder: name a file in it" in assert_refused(cli("trace", str(tmp_path)))
