"""What the user typed or handed over, as a layer or a network; and what -i means.

- -i means the same in every command: each reads the same sizes and channels from the same subject.
- Sizes may be written in several ways.
- A kind takes sizes alone, and says so where they look like channels and sizes.
- The same text is the same subject in every command that takes it.
- In Python, text is only read: it never runs code and opens no file. torch is not imported to recognise a module.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from convarith_cli.named import Input, read_input, read_numbers
from support.command_line import Cli, document_of, environment_with

import convarith as ca
from convarith.subject import network_of, subject_of

pytestmark = pytest.mark.slow

LAYER = "ConvTranspose2d(3, 3, 4, stride=2, padding=1)"
NETWORK = f"{LAYER}; ReLU()"


# -i -------------------------------------------------------------------------------------------------------------------


def sizes_read(cli: Cli, command: str, subject: str, text: str, tmp_path: Path) -> list[int]:
    """The spatial sizes that a command read from -i, by its document."""
    arguments = [command, subject, "-i", text, "--json"]
    if command == "animate":
        arguments += ["-o", str(tmp_path / "x.svg"), "--view", "zero-insert"]
    result = cli(*arguments)
    assert (result.exit_code, result.err) == (0, ""), result
    answer: dict[str, Any] = json.loads(result.out)
    if command == "animate":
        shown = re.search(r"(\d+) × (\d+)", answer["title"])
        assert shown is not None
        return [int(size) for size in shown.groups()]
    found: list[int] = (answer.get("input_size") or answer["input"])[-2:]
    return found


@pytest.mark.parametrize("command", ["shape", "trace", "mirror", "matrix", "overlap", "animate"])
@pytest.mark.parametrize(
    ("text", "sizes"),
    [("5", [5, 5]), ("5x6", [5, 6]), ("3x5x6", [5, 6]), ("(3, 5, 6)", [5, 6]), ("[5,6]", [5, 6]), ("5 x 6", [5, 6])],
)
def test_every_command_reads_the_same_sizes(
    command: str, text: str, sizes: list[int], cli: Cli, tmp_path: Path
) -> None:
    pytest.importorskip("numpy", reason="matrices need numpy")
    assert sizes_read(cli, command, LAYER, text, tmp_path) == sizes
    if command in ("shape", "trace", "overlap"):
        assert sizes_read(cli, command, NETWORK, text, tmp_path) == sizes


@pytest.mark.parametrize("command", ["shape", "trace", "mirror", "matrix", "overlap", "animate"])
@pytest.mark.parametrize("text", ["1x5x6x7x8", "5x", "x", "-5", "5.0"])
def test_every_command_refuses_other_numbers(command: str, text: str, cli: Cli) -> None:
    result = cli(command, LAYER, "-i", text)
    assert (result.exit_code, result.out) == (2, "")
    assert result.err.startswith("Error: ")


@pytest.mark.parametrize("command", ["shape", "matrix", "overlap", "animate"])
def test_other_channels_than_those_of_the_layer_are_refused(command: str, cli: Cli) -> None:
    result = cli(command, LAYER, "-i", "1x5x6")
    assert result.exit_code == 2
    assert f"{LAYER} expects 3 channels, but -i 1x5x6 has 1" in result.err


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        (ca.parse("Conv2d(3, 8, 3)"), "28", Input((28,), (28, 28), 3)),
        (ca.parse("Conv1d(1, 8, 3)"), "1x16000", Input((1, 16000), (16000,), 1, told=True)),
        (ca.parse("MaxPool2d(2)"), "3x28x30", Input((3, 28, 30), (28, 30), 3, told=True)),
        (ca.parse("MaxPool2d(2)"), "28", Input((28,), (28, 28))),
        (ca.Conv(kernel_size=3), "28", Input((28,), (28,))),
        (ca.Conv(kernel_size=3, in_channels=3), "3x28x30", Input((3, 28, 30), (28, 30), 3, told=True)),
        (ca.parse("Linear(784, 5)"), "128x784", Input((128, 784))),
        (ca.parse("Fold((7, 9), 3, stride=2)"), "9x12", Input((9, 12), (12,), 9, told=True)),
        (ca.parse_network("ReLU(); Conv2d(3, 8, 3)"), "28", Input((28,), (28, 28), 3)),
        (ca.parse_network("PixelShuffle(2); Conv2d(3, 8, 3)"), "28", Input((28,), (28, 28))),
        (ca.parse_network("Conv2d(3, 8, 3)"), "2x3x28x28", Input((2, 3, 28, 28), (28, 28), 3, 2, told=True)),
        (ca.parse_network("Flatten(); Linear(784, 5)"), "1x28x28", Input((1, 28, 28))),
    ],
    ids=str,
)  # fmt: skip
def test_what_the_numbers_mean(subject: Any, text: str, expected: Input) -> None:
    assert read_input(subject, text) == expected


def test_a_kind_says_how_it_read_the_sizes(cli: Cli) -> None:
    note = "-i 1x28x28 was read as the sizes D = 1, H = 28, W = 28; conv2d reads it as 1 channel of 28x28"
    answer = document_of(cli("shape", "-k", "1", "-i", "1x28x28", "--json"), "shape")
    assert answer["remarks"] == [note]
    assert cli("shape", "-k", "1", "-i", "1x28x28").out.endswith(f"\n{note}.\n")
    assert document_of(cli("shape", "-k", "1", "-i", "28x28", "--json"), "shape")["remarks"] == []
    assert (
        "-i 1x16000 was read as the sizes H = 1, W = 16000; conv1d reads it"
        in cli("shape", "-k", "3", "-i", "1x16000").err
    )


def test_channels_make_shapes(cli: Cli) -> None:
    answer = document_of(cli("shape", "Conv2d(3, 8, 3)", "-i", "3x28x30", "--json"), "shape")
    assert (answer["input_shape"], answer["output_shape"]) == ([3, 28, 30], [8, 26, 28])
    assert (answer["input_size"], answer["output_size"]) == ([28, 30], [26, 28])


@pytest.mark.parametrize(
    "text", ["1x28x28", "1,28,28", "(1, 28, 28)", "[1, 28, 28]", "1*28*28", "torch.Size([1, 28, 28])"]
)
def test_the_ways_to_write_a_size(text: str) -> None:
    assert read_numbers(text) == (1, 28, 28)


# The subject ----------------------------------------------------------------------------------------------------------


def test_a_file_standard_input_and_text_are_the_same_network(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net.txt"
    path.write_text(NETWORK.replace("; ", "\n"), encoding="utf-8")
    for command in (["shape"], ["trace"], ["overlap"]):
        expected = cli(*command, NETWORK, "-i", "5x6", "--json")
        assert expected.exit_code == 0
        assert cli(*command, str(path), "-i", "5x6", "--json") == expected
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(path.read_bytes())))
        assert cli(*command, "-", "-i", "5x6", "--json") == expected


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")
def test_a_pipe_can_be_read_as_a_file() -> None:
    command = f"{sys.executable} -m convarith_cli trace <(echo 'Conv2d(1, 8, 3)') -i 28"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, env=environment_with(), encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1x28x28 -> 8x26x26: 1 layer, 80 parameters")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Conv2d(1, 8, 3)", ca.Layer),
        ("ReLU", ca.Layer),
        ("nn.ReLU (inplace)", ca.Layer),
        ("Conv2d(1, 8, 3); ReLU()", ca.Network),
        ("Conv2d(1, 8, 3)\n", ca.Network),
        ("nn.Sequential(nn.ReLU())", ca.Network),
        ("skip: Conv2d(1, 8, 3)", ca.Network),
        ("Add()(input, input)", ca.Network),
    ],
)
def test_text_is_a_layer_or_a_network(text: str, kind: type) -> None:
    assert isinstance(subject_of(text), kind)


def test_a_layer_and_a_network_are_themselves() -> None:
    layer, network = ca.parse("Conv2d(1, 8, 3)"), ca.parse_network("ReLU()")
    assert subject_of(layer) is layer
    assert subject_of(network) is network
    assert [node.layer for node in network_of(layer).nodes] == [layer]


def test_a_module_is_recognised(torch: Any) -> None:
    assert subject_of(torch.nn.Conv2d(1, 8, 3)) == ca.parse("Conv2d(1, 8, 3)")
    assert isinstance(subject_of(torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.ReLU())), ca.Network)


@pytest.mark.parametrize("text", ["net.txt", "models.py", "models.py:Net", "package.module:Net", "model.onnx"])
def test_in_python_text_opens_no_file_and_runs_no_code(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("net.txt", "models.py", "model.onnx"):
        (tmp_path / name).write_text("Conv2d(1, 8, 3)")
    with pytest.raises(ca.ParseError, match="a string given to Python is only read as layers"):
        subject_of(text)


@pytest.mark.parametrize("thing", [3, None, ["Conv2d(1, 8, 3)"], b"ReLU()"])
def test_other_objects_are_refused(thing: object) -> None:
    with pytest.raises(ca.ParameterError, match=f"{type(thing).__name__} is neither a layer nor a network: give text"):
        subject_of(thing)


def test_torch_is_not_imported_to_recognise_a_module() -> None:
    program = (
        "import sys\nfrom convarith.subject import subject_of\n"
        "try: subject_of(object())\nexcept ValueError: pass\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], env=environment_with(), check=True, timeout=60)
