"""The closed form of a network is a formula: with Python's floor it gives the sizes that the layers give one by one."""

from __future__ import annotations

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

import convarith as ca

LAYERS = (
    "Conv1d(1, 1, 3, stride=2)",
    "Conv1d(1, 1, 4, stride=3, padding=2)",
    "ConvTranspose1d(1, 1, 3, stride=2, output_padding=1)",
    "MaxPool1d(2, ceil_mode=True)",
    "ConstantPad1d((3, -1), 0.0)",
    "Upsample(scale_factor=2)",
    "Upsample(scale_factor=1.5)",
    "Upsample(scale_factor=0.7)",
    "AdaptiveAvgPool1d(5)",
)


@given(st.lists(st.sampled_from(LAYERS), min_size=1, max_size=5).map("; ".join))
def test_the_formula_of_a_network_computes_its_sizes(text: str) -> None:
    sizes = ca.parse_network(text).size_map(0)
    for size in range(60, 90):
        found = sizes(size)
        assert found is None or found == eval(sizes.formula("L"), {"floor": floor, "L": size})


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("Conv1d(1, 1, 3, stride=2); Upsample(scale_factor=0.7)", "floor((floor((i - 3)/2) + 1)*0.7)"),
        ("ConstantPad1d((3, 1), 0.0); Upsample(scale_factor=0.7)", "floor((i + 4)*0.7)"),
        ("Upsample(scale_factor=0.7); Upsample(scale_factor=0.7)", "floor(floor(i*0.7)*0.7)"),
    ],
)
def test_a_sum_stands_in_brackets_before_a_factor(text: str, formula: str) -> None:
    assert ca.parse_network(text).size_map(0).formula() == formula
