"""Doctests that build torch modules are skipped where torch is not installed."""

from importlib.util import find_spec

import pytest

NEEDS_TORCH = ("pytorch.py", "torch_graph.py", "torch_functions.py", "verification.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if find_spec("torch") is None:
        for item in items:
            if isinstance(item, pytest.DoctestItem) and item.path.name in NEEDS_TORCH:
                item.add_marker(pytest.mark.skip(reason="builds torch modules, and torch is not installed"))
