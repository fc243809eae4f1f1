"""Doctests that need torch, scipy or matplotlib are skipped where it is not installed."""

from importlib.util import find_spec

import pytest

NEEDS = {
    "torch": ("pytorch.py", "torch_graph.py", "torch_functions.py", "verification.py"),
    "scipy": ("matrix.py", "axis_pattern.py", "spectrum.py", "views.py"),
    "matplotlib": ("figures.py", "matrix_plot.py", "overlap_plot.py"),
}
collect_ignore_glob = [] if find_spec("torch") else ["gallery/convarith_gallery/autoencoders/*"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for package, files in NEEDS.items():
        if find_spec(package) is None:
            for item in items:
                if isinstance(item, pytest.DoctestItem) and item.path.name in files:
                    item.add_marker(pytest.mark.skip(reason=f"needs {package}, which is not installed"))
