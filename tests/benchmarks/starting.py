"""A question from start to answer: the whole process, compared with a bare Python and with a torch one-liner."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import gettempdir

from comparing import Comparison, Side, process

AUTOENCODER = Path(__file__).parent.parent.parent / "docs" / "autoencoder.txt"
BARE = process("python -c pass", sys.executable, "-c", "pass")
TORCH = process(
    "torch one-liner",
    sys.executable, "-c", "import torch; print(torch.nn.Conv2d(1,1,3,2)(torch.zeros(1,1,28,28)).shape)",
)  # fmt: skip


def convarith(*arguments: str, exits: int = 0) -> Side:
    """The installed command, or the module if the command is not installed with this interpreter."""
    script = Path(sys.executable).with_name("convarith")
    command = (str(script),) if script.exists() else (sys.executable, "-m", "convarith_cli")
    label = " ".join(Path(word).name if word.endswith((".txt", ".gif")) else word for word in arguments)
    return process(f"convarith {label}", *command, *arguments, exits=exits)


def comparisons() -> list[Comparison]:
    """shape and solve compared with both, trace and a picture of nine frames with a bare Python."""
    shape = convarith("shape", "--kernel", "3", "--stride", "2")
    solve = convarith("solve", "conv", "-i", "28", "-o", "14")
    trace = convarith("trace", str(AUTOENCODER), "-i", "1x28x28")
    picture = convarith("animate", "conv", "-i", "5", "-k", "3", "-o", os.path.join(gettempdir(), "conv.gif"))
    found = [
        Comparison("shape-start", shape, BARE, at_most=8),
        Comparison("solve-start", solve, BARE, at_most=8),
        Comparison("trace-start", trace, BARE, at_most=10),
        Comparison("animate-start", picture, BARE, at_most=15),
    ]
    if find_spec("torch"):
        found += [
            Comparison("shape-torch", shape, TORCH, at_least=15),
            Comparison("solve-torch", solve, TORCH, at_least=15),
        ]
    return found
