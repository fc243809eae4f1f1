"""Any command line at all is answered or refused.

- Exit 0 with an answer and no error, or exit 2 with one line of error and no answer; never an exception.
- A line of arbitrary words does so, and a line of known options with odd values.
- What is answered with --json is a JSON document.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.command_line import assert_refused, run_here
from support.strategies import command_lines, words

from convarith.layers.registry import KINDS

pytestmark = pytest.mark.slow


def answered_or_refused(arguments: list[str]) -> bool:
    result = run_here(*arguments)
    if result.exit_code != 0:
        assert_refused(result)
        return False
    assert result.err == ""
    assert result.out.strip()
    if "--json" in arguments and not {"--help", "--version"} & set(arguments):
        json.loads(result.out)
    return True


@settings(max_examples=200)
@given(st.lists(words, max_size=5))
@example(["shape"])
@example(["--", "shape"])
@example(["shape", "\ud800"])
@example(["-"])
@example([""])
def test_arbitrary_words(arguments: list[str]) -> None:
    answered_or_refused(arguments)


@settings(max_examples=400)
@given(command_lines([*KINDS, "Conv2d", "MaxPool2d", "conv1d", "relu", "ReLU", "cnov"]))
def test_known_options_with_odd_values(arguments: list[str]) -> None:
    answered_or_refused(arguments)


@settings(max_examples=60)
@given(
    st.sampled_from(("conv", "conv-transpose", "max-pool", "max-unpool")),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
    st.lists(st.integers(0, 30), min_size=1, max_size=4),
)
def test_searches(kind: str, sizes: list[int], wanted: list[int]) -> None:
    arguments = ["solve", kind, "-i", "x".join(map(str, sizes)), "-o", "x".join(map(str, wanted))]
    alike = len(sizes) == len(wanted) or 1 in (len(sizes), len(wanted))
    assert answered_or_refused(arguments) == (alike and max(len(sizes), len(wanted)) <= 3)
