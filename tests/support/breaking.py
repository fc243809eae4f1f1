"""Breaking the arithmetic on purpose, to see that the tests would notice."""

from collections.abc import Callable

import pytest

from convarith.layers.base import SpatialLayer
from convarith.sizes.rules import FloorRule


def break_floor_rules(monkeypatch: pytest.MonkeyPatch, wrong: Callable[[FloorRule, int], int | None]) -> None:
    """Every floor rule computes `wrong`; sizes are asked of the rules one by one, without the loop over their numbers."""
    settle = SpatialLayer._set_rules

    def without_loop(layer: SpatialLayer) -> None:
        settle(layer)
        object.__setattr__(layer, "_floors", None)

    monkeypatch.setattr(FloorRule, "__call__", wrong)
    monkeypatch.setattr(SpatialLayer, "_set_rules", without_loop)
