"""Any command line at all is answered or refused.

- Exit code 0 or 1 with an answer and no error, or exit code 2 with one line of error and no answer; never an internal
  error.
- This holds for arbitrary words, and for known options with odd values.
- An answer with --json is a JSON document of its schema.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.command_line import assert_refused, document_of, run_here
from support.strategies import command_lines, words

from convarith.layers.registry import KINDS

pytestmark = pytest.mark.slow


def answered_or_refused(arguments: list[str]) -> bool:
    result = run_here(*arguments)
    if result.exit_code not in (0, 1):
        assert_refused(result)
        return False
    assert result.err == ""
    assert result.out.strip()
    if "--json" in arguments and not {"--help", "--version"} & set(arguments):
        document_of(result, arguments[0], result.exit_code)
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
