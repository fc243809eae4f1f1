"""Break the arithmetic on purpose, to check that the tests detect it."""

from collections.abc import Callable

import pytest

from convarith.layers.base import SpatialLayer
from convarith.sizes.rules import FloorRule


def break_floor_rules(monkeypatch: pytest.MonkeyPatch, wrong: Callable[[FloorRule, int], int | None]) -> None:
    """Make every floor rule compute `wrong`, and disable the fast loop that does not call the rules."""
    settle = SpatialLayer._set_rules

    def without_loop(layer: SpatialLayer) -> None:
        settle(layer)
        object.__setattr__(layer, "_floors", None)

    monkeypatch.setattr(FloorRule, "__call__", wrong)
    monkeypatch.setattr(SpatialLayer, "_set_rules", without_loop)
