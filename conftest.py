"""Doctests whose package is not installed are skipped, with the reason."""

import doctest
from collections.abc import Generator
from importlib.util import find_spec

import pytest

from convarith.errors import MissingDependencyError

collect_ignore_glob = [] if find_spec("torch") else ["gallery/convarith_gallery/autoencoders/*"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Skip a doctest that failed only because it needs a package which is not there."""
    try:
        return (yield)
    except doctest.UnexpectedException as failure:
        error = failure.exc_info[1]
        if isinstance(error, (MissingDependencyError, ModuleNotFoundError)) and not str(error).count("convarith."):
            pytest.skip(str(error))
        raise
