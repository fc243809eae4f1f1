"""A question that cannot be answered: exit code 2, no output, one line "Error: ..." with the remedy on standard error.

- Each bad input of the table is refused with the words that help.
- The same holds in a separate process, and with --json.
- Without torch, verify names the command that installs it.
- A line that the terminal's encoding cannot write is written with escapes; so are control characters.
"""

from __future__ import annotations

import shlex
import sys

import pytest
from support.command_line import Cli, assert_refused, run_process

UNKNOWN_WORDS = [
    ("shap -k 3", "unknown command 'shap': did you mean 'shape'?"),
    ("sovle", "unknown command 'sovle': did you mean 'solve'?"),
    ("zzz", "unknown command 'zzz': choose from shape, solve"),
    ("''", "unknown command '': choose from"),
    ("shape cnov -k 3", "unknown layer 'cnov': did you mean 'conv'?"),
    ("shape max-pol -k 3", "unknown layer 'max-pol': did you mean 'max-pool'?"),
    ("shape relu", "unknown layer 'relu': did you mean 'ReLU'?"),
    ("shape Conv4d -k 3", "unknown layer 'Conv4d': did you mean 'Conv3d'?"),
    ("shape PixelShuffle1d --upscale-factor 2", "pixel-shuffle has no 1-D version"),
    ("shape 'Cnov2d(1, 1, 3)'", "unknown layer 'Cnov2d': did you mean 'Conv2d'?"),
    ("shape '' -k 3", "unknown layer '': choose from conv, conv-transpose, max-pool"),
    ("shape -k 3 --strid 2", "No such option: --strid (Possible options: --size, --stride)"),
    ("shape -k 3 -z 2", "No such option: -z"),
    ("shape -k 3 -p full", "padding 'full' is unknown: choose from same, valid"),
    ("shape -k 3 --padding-mode mirror", "padding_mode 'mirror' is unknown: choose from zeros, reflect"),
    ("shape upsample --size 7 --mode cubic", "mode 'cubic' is unknown: did you mean 'bicubic'?"),
]  # fmt: skip

PARAMETERS = [
    ("shape -k 0", "kernel_size is 0: it must be at least 1"),
    ("shape -k 3 -s 0", "stride is 0: it must be at least 1"),
    ("shape -k 3 -d -1", "dilation is -1: it must be at least 1"),
    ("shape -k 3 -p -1", "padding is -1: it must be at least 0"),
    ("shape -k 3 -s 2 -p same", "padding='same' needs stride 1, got 2: give the padding as numbers"),
    ("shape -k 3 --groups 0", "groups is 0: it must be at least 1"),
    ("shape -k 3 --in-channels 3 --groups 2", "in_channels is 3, which is not divisible by groups=2"),
    ("shape conv-transpose -k 3 -p same", "the padding of a transposed convolution must be a number, got 'same'"),
    ("shape conv-transpose -k 3 -s 2 --output-padding 2",
     "output_padding is 2: it must be less than the stride (2) or the dilation (1), so at most 1"),
    ("shape max-pool -k 3 -p 2", "padding is 2: it must be at most half the kernel"),
    ("shape conv2d -k 3x3x3", "kernel_size has 3 values (3, 3, 3) but Conv2d has 2 spatial axes"),
    ("shape -k 3x3 -s 1x2x3", "kernel_size has 2 values (3, 3) but Conv3d has 3 spatial axes"),
    ("shape upsample", "Upsample needs exactly one of size and scale_factor"),
    ("shape upsample --size 3 --scale-factor 2", "Upsample needs exactly one of size and scale_factor"),
    ("shape upsample --scale-factor -1", "scale_factor is -1.0: it must be a positive number"),
    ("shape upsample --scale-factor inf", "scale_factor is inf: it must be a positive number"),
    ("shape fractional-max-pool -k 2 --output-ratio 2", "output_ratio must be a number between 0 and 1"),
    ("shape lp-pool -k 2 --norm-type 0", "norm_type must be a number other than 0"),
    ("shape pixel-shuffle --upscale-factor 0", "upscale_factor is 0: it must be at least 1"),
    ("shape 'MaxPool2d(3, padding=2)'", "line 1, column 1: padding is 2: it must be at most half the kernel"),
]  # fmt: skip

SIZES = [
    ("shape -k 9 -i 4",
     "the kernel spans 9 (k=9) but the padded input is 4: needs an input >= 9, padding >= 3 or kernel_size <= 4"),
    ("shape -k 3 -d 3 -i 6",
     "the kernel spans 7 (k=3, d=3) but the padded input is 6: needs an input >= 7, padding >= 1 or dilation <= 2"),
    ("shape Conv2d -k 5 -i 9x3", "Conv2d, W of 9x3: the kernel spans 5 (k=5)"),
    ("shape conv2d -k 3 -i 1x2x3", "H of 2x3: the kernel spans 3 (k=3) but the padded input is 2"),
    ("shape -k 3x3 -i 28x28x28x28", "-i 28x28x28x28 has 4 sizes, but Conv2d(kernel_size=3) has 2 spatial axes (H, W): "
     "write 28x28, or 1x28x28 with the channels first"),
    ("shape -k 3 -i 1x28x28", "-i 1x28x28 was read as the sizes D = 1, H = 28, W = 28; conv2d reads it as 1 channel of 28x28"),
    ("shape 'Conv2d(3, 8, 3)' -i 1x28x28", "Conv2d(3, 8, 3) expects 3 channels, but -i 1x28x28 has 1"),
    ("shape nofile.txt", "there is no file nofile.txt"),
    ("shape no/such/file", "there is no file no/such/file"),
    ("shape 'Conv2d(1, 1, 3); ReLU()' -k 3", "is a network, whose layers have their own parameters: leave --kernel out"),
    ("shape -k 3 -i 28x", "--input '28x'"),
    ("shape -k 3 -i abc", "--input 'abc'"),
    ("shape -k 3 -i 28.5", "--input '28.5'"),
    ("shape -k 3 -p 1:", "--padding '1:' is not a padding: write 1, 1x2, or before:after as in 1:0x2:2"),
    ("shape unflatten -i 8", "write the call, 'Unflatten(dim=..., unflattened_size=...)'"),
    ("shape -k 3 -i ''", "--input ''"),
    ("shape -k 3 -i -5", "input size -5 has a negative size: sizes must be at least 0"),
    ("shape -k 3 -i " + "9" * 5000, "--input has a number of 5000 digits: at most 4300 are allowed"),
    ("shape -k three", "--kernel 'three'"),
    ("shape -k ''", "--kernel ''"),
    ("shape -k 3..5", "--kernel '3..5'"),
    ("shape -k 3 -p 1:2:3", "--padding '1:2:3' is not a padding: write 1, 1x2, or before:after"),
    ("shape upsample --scale-factor two", "--scale-factor 'two' is not a number: write 2, or one per axis as in 2x1.5"),
    ("shape conv-transpose -k 1 -p 1 -i 2", "the output would be 0 (i=2, k=1, s=1, p=1)"),
    ("shape -k 3 -p 4 --padding-mode reflect -i 4", "needs an input >= 5"),
    ("shape pixel-unshuffle --downscale-factor 2 -i 7x8", "7 is not divisible by 2: use 6 or 8"),
    ("shape 'Linear(784, 5)' -i 1x28x28",
     "Linear expects 784 features in the last axis, got 28: 1x28x28 flattens to 784"),
    ("shape glu -i 3", "GLU halves dim 0 of 3, but 3 is odd"),
]  # fmt: skip

MISSING_OR_TOO_MUCH = [
    ("shape", "conv needs --kernel"),
    ("shape linear --in-features 3", "linear needs --out-features"),
    ("shape adaptive-avg-pool", "adaptive-avg-pool needs --output-size"),
    ("shape -k", "Option '-k' requires an argument."),
    ("shape -k 3 --input", "Option '--input' requires an argument."),
    ("shape conv 28 -k 3", "Got unexpected extra argument(s) (28)"),
    ("shape 'Conv2d(1, 1, 3)' -k 3", "Conv2d(1, 1, 3) is a whole call: write its parameters in it, not as --kernel"),
    ("shape 'Conv2d(1, 1, 3)' -s 2 --ceil-mode", "write its parameters in it, not as --stride, --ceil-mode"),
    ("shape max-pool -k 3 --output-padding 1", "max-pool has no --output-padding: choose from --kernel,"),
    ("shape -k 3 --ceil-mode", "conv has no --ceil-mode: choose from --kernel, --stride,"),
    ("shape avg-pool -k 3 -d 2", "avg-pool has no --dilation: choose from --kernel, --stride,"),
    ("shape 'Conv2d(1, 1, 3'",
     "line 1, column 7: 'Conv2d(1, 1, 3' is not a layer: write a call such as Conv2d(1, 16, 3)"),
    ("shape 'Conv2d(1, 1, x)'", "line 1, column 14: expected a number, a string or a tuple"),
    ('shape \'__import__(\'"\'"\'os\'"\'"\').system(\'"\'"\'true\'"\'"\')\'',
     "expected the name of a layer, such as Conv2d, nn.Conv2d or torch.nn.Conv2d"),
]  # fmt: skip

BACKWARDS = [
    ("solve conv -k 3", "Missing option '--output' / '-o'."),
    ("solve conv -o 14", "conv needs --kernel"),
    ("solve conv -i 28 -o 14 -k 5..2", "kernel_size from 5 to 2 is empty: give (smallest, largest)"),
    ("solve conv -i 28 -o 14 -k 1..1000000000000", "kernel_size from 1 to 1000000000000 is too wide"),
    ("solve conv -i 28 -o 14 -k 1..900000", "more than 2,000,000: narrow them"),
    ("solve conv -i 28x28 -o 14x14 -k 3x5", "a search takes one value for every axis, or bounds"),
    ("solve conv -i 28x28 -o 1x2x3", "the input 28x28 and the output 1x2x3 have different numbers of axes"),
    ("solve conv -i 28 -o 14 --in-channels 3", "conv has no parameter 'in_channels' to search"),
    ("solve conv -i 28 -o 14 --most 0", "Invalid value for '--most': 0 is not in the range x>=1."),
    ("solve linear -i 3 -o 3", "cannot search parameters of 'linear': choose from conv,"),
    ("solve 'Linear(3, 4)' -o 3", "Linear mixes channels with positions, so it has no input size to solve for"),
    ("solve 'Conv2d(1, 1, 3)' -i 28 -o 3", "Conv2d(1, 1, 3) has its parameters already: leave --input out to find its inputs, or give a kind such as conv"),
    ("solve 'Unfold(3)' -o 14", "Unfold turns positions into columns"),
    ("solve Conv2d -k 3 -o 1x2x3x4", "-o 1x2x3x4 has 4 sizes, but Conv2d has 2 spatial axes"),
    ("verify --cases 0", "Invalid value for '--cases': 0 is not in the range 1<=x<=100000000."),
    ("verify --cases many", "Invalid value for '--cases': 'many' is not a valid int"),
    ("verify --case 3", "No such option: --case"),
]  # fmt: skip

TABLE = UNKNOWN_WORDS + PARAMETERS + SIZES + MISSING_OR_TOO_MUCH + BACKWARDS


@pytest.mark.parametrize(("call", "words"), TABLE, ids=[call[:60] for call, _ in TABLE])
def test_a_wrong_question_is_refused(cli: Cli, call: str, words: str) -> None:
    assert words in assert_refused(cli(*shlex.split(call)))


@pytest.mark.parametrize("arguments", [["shape", "-k", "0"], ["shap"], ["shape", "-k"], ["shape", "Conv2d(\n1, x)"]])
def test_a_separate_process_refuses_it_too(cli: Cli, arguments: list[str]) -> None:
    assert run_process(*arguments) == cli(*arguments)


def test_json_refuses_it_too(cli: Cli) -> None:
    assert_refused(cli("shape", "-k", "9", "-i", "4", "--json"))


def test_without_torch_verify_says_how_to_install_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    refusal = assert_refused(cli("verify", "--cases", "10"))
    assert "torch is not installed: run pip install 'convarith[torch]' in this environment" in refusal


def test_control_characters_are_escaped(cli: Cli) -> None:
    assert r"unknown layer 'a\x1b[31mb'" in assert_refused(cli("shape", "a\x1b[31mb"))
    assert r"cannot use" not in assert_refused(cli("trace", "a\x1b[31m.txt"))
    assert "\x1b" not in cli("trace", "a\x1b[31m.txt").err


def test_letters_that_the_terminal_does_not_have() -> None:
    result = run_process("shape", "\u00e9", "-k", "3", PYTHONIOENCODING="ascii")
    assert r"unknown layer '\xe9'" in assert_refused(result)
