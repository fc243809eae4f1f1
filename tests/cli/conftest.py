"""The command line for a test, run in this process with its output captured; and the golden files of what it prints."""

from collections.abc import Callable
from pathlib import Path

import pytest
from convarith_cli.main import run
from support.command_line import Cli, Result


@pytest.fixture(autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for reports of internal errors, so that tests leave the user's own alone."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "convarith"


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    def call(*arguments: str) -> Result:
        capsys.readouterr()
        exit_code = run(list(arguments))
        return Result(exit_code, *capsys.readouterr())

    return call


@pytest.fixture
def is_golden(update_golden: bool) -> Callable[[str, str], None]:
    """Compares a text with the golden file of this name; with --update-golden, writes the file."""

    def check(name: str, text: str) -> None:
        golden = Path(__file__).parent / "golden" / f"{name}.txt"
        if update_golden:
            golden.write_text(text, encoding="utf-8")
        assert text == golden.read_text(encoding="utf-8")

    return check
