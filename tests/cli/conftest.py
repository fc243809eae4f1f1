"""The command line for a test: in this process, its output captured."""

import pytest
from command_line import Cli, Result
from convarith_cli.main import run


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Result:
        capsys.readouterr()
        exit_code = run(list(arguments))
        return Result(exit_code, *capsys.readouterr())

    return call
