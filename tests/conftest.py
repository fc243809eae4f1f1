"""What every test shares: the hypothesis profiles, torch, and the switch that rewrites golden files.

How many random examples a law is tried on: all of them with `--all` or where a file is named, a tenth in a quick check.
"""

import os
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

collect_ignore = ["benchmarks", *(f"mutation/{name}.py" for name in ("run", "mutants", "tracing", "killing"))]

QUICK = 10
"""A quick check tries a law on so many times fewer examples."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files from today's output")
    parser.addoption("--random-networks", type=int, help="how many random networks each law is tried on (300)")
    parser.addoption("--random-overlaps", type=int, help="how many random layers each overlap is tried on (2000)")
    parser.addoption("--random-encoders", type=int, help="how many random encoders are mirrored (300)")
    parser.addoption("--random-matrices", type=int, help="how many random layers' matrices are built (400)")


def examples(config: pytest.Config, option: str, usual: int) -> int:
    """The number that was asked for, or the usual one."""
    given = config.getoption(option)
    return int(given or (usual if config.option.all else usual // QUICK))


@pytest.fixture(scope="session")
def random_networks(request: pytest.FixtureRequest) -> int:
    return examples(request.config, "--random-networks", 300)


@pytest.fixture(scope="session")
def random_overlaps(request: pytest.FixtureRequest) -> int:
    return examples(request.config, "--random-overlaps", 2000)


@pytest.fixture(scope="session")
def random_encoders(request: pytest.FixtureRequest) -> int:
    return examples(request.config, "--random-encoders", 300)


@pytest.fixture(scope="session")
def random_matrices(request: pytest.FixtureRequest) -> int:
    return examples(request.config, "--random-matrices", 400)


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """torch on one thread: the tensors are too small for more. Skips where torch is not installed."""
    module: ModuleType = pytest.importorskip("torch", reason="compares with torch, which is not installed")
    module.set_num_threads(1)
    return module
