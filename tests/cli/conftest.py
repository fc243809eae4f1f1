"""The command line for a test: in this process, its output captured; and the golden files of what it prints."""

from collections.abc import Callable
from pathlib import Path

import pytest
from convarith_cli.main import run
from support.command_line import Cli, Result


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Result:
        capsys.readouterr()
        exit_code = run(list(arguments))
        return Result(exit_code, *capsys.readouterr())

    return call


@pytest.fixture
def is_golden(update_golden: bool) -> Callable[[str, str], None]:
    """Is a text the golden file of this name? With --update-golden it becomes that."""

    def check(name: str, text: str) -> None:
        golden = Path(__file__).parent / "golden" / f"{name}.txt"
        if update_golden:
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8")

    return check
