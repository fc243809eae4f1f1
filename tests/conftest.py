"""What every test shares: the hypothesis profiles, torch, and the switch that rewrites golden files."""

import os
from types import ModuleType

import pytest
from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

collect_ignore = ["benchmarks"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite the golden files from today's output")
    parser.addoption("--random-networks", type=int, default=300, help="how many random networks each law is tried on")
    parser.addoption(
        "--random-overlaps", type=int, default=2000, help="how many random layers each overlap is tried on"
    )
    parser.addoption("--random-encoders", type=int, default=300, help="how many random encoders are mirrored")
    parser.addoption("--random-matrices", type=int, default=400, help="how many random layers' matrices are built")


@pytest.fixture(scope="session")
def random_networks(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--random-networks"))


@pytest.fixture(scope="session")
def random_overlaps(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--random-overlaps"))


@pytest.fixture(scope="session")
def random_encoders(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--random-encoders"))


@pytest.fixture(scope="session")
def random_matrices(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--random-matrices"))


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture(scope="session")
def torch() -> ModuleType:
    """torch on one thread: the tensors are too small for more. Skips where torch is not installed."""
    module: ModuleType = pytest.importorskip("torch", reason="compares with torch, which is not installed")
    module.set_num_threads(1)
    return module
