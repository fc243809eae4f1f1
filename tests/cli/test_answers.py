"""The text that shape and solve print.

- Every answer equals the golden file of its name; `pytest --update-golden` rewrites them.
- The same call in its own process prints the same.
- The numbers in the text are published ones, or were counted window by window.
- Sizes of 10**18 are exact.
- A single size stands for every axis; options may differ per axis; the later of two equal options wins.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.command_line import Cli, run_process

GOLDEN = Path(__file__).parent / "golden"

CALLS: dict[str, list[str]] = {
    "shape-every-size": ["shape", "--kernel", "3", "--stride", "2"],
    "shape-one-size": ["shape", "-k", "3", "-s", "2", "-p", "1", "-i", "28x28"],
    "shape-axes-differ": ["shape", "nn.Conv2d(1, 16, (3, 5), stride=(2, 1))", "-i", "28x30"],
    "shape-asymmetric": ["shape", "-k", "3", "-s", "2", "-p", "1:0", "-i", "8"],
    "shape-same": ["shape", "-k", "4", "-p", "same", "-i", "7"],
    "shape-dilated": ["shape", "-k", "3", "-d", "4", "-i", "20"],
    "shape-gaps": ["shape", "-k", "1", "-s", "3", "-i", "12"],
    "shape-unread": ["shape", "-k", "3", "-s", "7", "-i", "20"],
    "shape-huge": ["shape", "-k", "3", "-s", "2", "-i", "1000000000000000000"],
    "shape-transposed": ["shape", "conv-transpose", "-k", "3", "-s", "2", "-p", "1", "--op", "1", "-i", "14"],
    "shape-max-pool-rounds-up": ["shape", "max-pool", "-k", "2", "--ceil-mode", "-i", "7"],
    "shape-avg-pool": ["shape", "avg-pool2d", "-k", "2"],
    "shape-adaptive": ["shape", "adaptive-avg-pool", "--output-size", "7", "-i", "28"],
    "shape-fractional": ["shape", "fractional-max-pool", "-k", "2", "--output-ratio", "0.7"],
    "shape-upsample": ["shape", "upsample", "--scale-factor", "2", "-i", "7x7"],
    "shape-upsample-float": ["shape", "upsample", "--scale-factor", "0.29", "-i", "100"],
    "shape-pixel-unshuffle": ["shape", "pixel-unshuffle", "--downscale-factor", "2"],
    "shape-pad": ["shape", "pad", "-p", "1:2", "-i", "5"],
    "shape-linear": ["shape", "nn.Linear(28*28, 5)", "-i", "128x784"],
    "shape-relu": ["shape", "ReLU"],
    "solve-inputs": ["solve", "conv", "-k", "3", "-s", "2", "-o", "14"],
    "solve-inputs-differ": ["solve", "Conv2d(1, 1, 3, stride=2)", "-o", "14x15"],
    "solve-inputs-endless": ["solve", "adaptive-avg-pool", "--output-size", "7", "-o", "7"],
    "solve-parameters": ["solve", "conv", "-i", "28", "-o", "14"],
    "solve-two-axes": ["solve", "conv-transpose", "-i", "7x9", "-o", "14x18", "-k", "4"],
    "solve-bounded": ["solve", "max-pool", "-i", "28", "-o", "9", "-k", "2..5"],
    "solve-most": ["solve", "conv-transpose", "-i", "14", "-o", "28", "--most", "3"],
    "solve-nothing": ["solve", "conv", "-i", "5", "-o", "50"],
    "solve-no-input": ["solve", "conv-transpose", "-k", "3", "-s", "2", "-o", "13x14"],
    "shape-with-channels": ["shape", "Conv2d(3, 8, 3, padding=1)", "-i", "3x28x30"],
    "shape-read-as-sizes": ["shape", "-k", "1", "-i", "1x28x28"],
}  # fmt: skip
"""The name of a golden file, and its command line."""

NO_SOLUTION = ("solve-nothing", "solve-no-input")
"""Those that exit with 1."""


@pytest.mark.parametrize("name", CALLS)
def test_text(cli: Cli, is_golden: Callable[[str, str], None], name: str) -> None:
    exit_code, out, err = cli(*CALLS[name])
    assert (exit_code, err) == (1 if name in NO_SOLUTION else 0, "")
    is_golden(name, out)


def test_every_golden_file_belongs_to_a_test() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.name for path in GOLDEN.iterdir() if f'"{path.stem}"' not in tests] == []


@pytest.mark.parametrize("name", ["shape-one-size", "solve-parameters"])
def test_a_separate_process_prints_the_same(cli: Cli, name: str) -> None:
    assert run_process(*CALLS[name]) == cli(*CALLS[name])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["shape", "-k", "5", "-i", "64"], "64 -> 60"),
        (["shape", "conv-transpose", "-k", "5", "-i", "60"], "60 -> 64"),
        (["shape", "-k", "5", "-s", "2", "-i", "64"], "64 -> 30"),
        (["shape", "conv-transpose", "-k", "5", "-s", "2", "-i", "30"], "30 -> 63"),
        (["shape", "conv-transpose", "-k", "5", "-s", "2", "--op", "1", "-i", "30"], "30 -> 64"),
        (["shape", "Conv2d(3, 64, 7, 2, 3)", "-i", "224"], "224x224 -> 112x112"),
        (["shape", "max-pool2d", "-k", "3", "-s", "2", "-p", "1", "-i", "112"], "112x112 -> 56x56"),
        (["shape", "-k", "11", "-s", "4", "-i", "227x227"], "227x227 -> 55x55"),
        (["shape", "zero-insert", "-s", "2", "-i", "2x2"], "2x2 -> 4x4"),
        (["shape", "pixel-shuffle", "--upscale-factor", "3", "-i", "5"], "5x5 -> 15x15"),
        (["shape", "max-unpool", "-k", "2", "-i", "14"], "14 -> 28"),
        (["shape", "-k", "3x5", "-s", "2x1", "-i", "28x28"], "28x28 -> 13x24"),
        (["shape", "-k", "3,5", "-i", "28,28"], "28x28 -> 26x24"),
        (["shape", "-k", "9", "--kernel", "3", "-i", "28"], "28 -> 26"),
        (["shape", "Flatten()", "-i", "128x1x28x28"], "128x1x28x28 -> 128x784"),
        (["shape", "-k", "3", "-s", "2", "-i", "1000000000000000001"], "1000000000000000001 -> 500000000000000000"),
        (["shape", "conv-transpose", "-k", "3", "-s", "7", "-i", "1000000000000000000"],
         "1000000000000000000 -> 6999999999999999996"),
        (["shape", "pixel-shuffle", "--upscale-factor", "3", "-i", "1000000000000000001"], "-> 3000000000000000003"),
    ],
)  # fmt: skip
def test_sizes(cli: Cli, arguments: list[str], text: str) -> None:
    exit_code, out, err = cli(*arguments)
    assert (exit_code, err) == (0, "")
    assert text in out.splitlines()[0]


def test_huge_inputs_are_found_exactly(cli: Cli) -> None:
    _, out, _ = cli("solve", "conv", "-k", "3", "-s", "2", "-o", "500000000000000000")
    assert "1000000000000000001..1000000000000000002" in out


@pytest.mark.parametrize("word", ["max-pool", "MaxPool", "maxpool", "max_pool", "nn.MaxPool", "MAX-POOL"])
def test_a_kind_has_many_spellings(cli: Cli, word: str) -> None:
    assert cli("shape", word, "-k", "2", "-i", "7") == cli("shape", "MaxPool(kernel_size=2)", "-i", "7")


@pytest.mark.parametrize("word", ["max-pool2d", "MaxPool2d", "nn.MaxPool2d", "torch.nn.MaxPool2d"])
def test_a_kind_may_say_its_dimension(cli: Cli, word: str) -> None:
    assert cli("shape", word, "-k", "2", "-i", "7") == cli("shape", "MaxPool2d(2)", "-i", "7x7")
