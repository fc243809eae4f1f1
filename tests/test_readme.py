"""The README is correct.

- Every `console` block shows a command and exactly what it prints.
- Every `python` block passes as a doctest.
- The page of results is the output of `convarith report`.
- The two set-up commands install from this folder and end with a first answer and with all tests; CI runs the latter.
"""

import doctest
import re
import shlex
from pathlib import Path

import pytest
from convarith_cli.main import run

README = Path(__file__).parent.parent / "README.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [body for name, body in BLOCK.findall(README.read_text(encoding="utf-8")) if name == language]


def printed(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    program, *arguments = shlex.split(command)
    assert program == "convarith"
    run(arguments)
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder, to which commands may write, with the files that the README uses."""
    (tmp_path / "docs").symlink_to(README.parent / "docs")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
def test_every_command_prints_what_is_shown(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    shown = blocks("console")
    assert len(shown) >= 8
    for body in shown:
        command = body.splitlines()[0].removeprefix("$ ")
        true = f"$ {command}\n{printed(command, capsys)}"
        if request.config.getoption("--update-golden"):
            text = text.replace(body, true)
        else:
            assert body == true
    if request.config.getoption("--update-golden"):
        README.write_text(text, encoding="utf-8")


def test_the_page_of_results_is_the_report(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    page = README.parent / "docs" / "results.md"
    true = f"# What the reference autoencoders reach\n\n{printed('convarith report --markdown', capsys)}"
    if request.config.getoption("--update-golden"):
        page.write_text(true, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == true


def test_python_blocks_are_true() -> None:
    parser = doctest.DocTestParser()
    for number, body in enumerate(blocks("python")):
        case = parser.get_doctest(body, {}, f"README block {number}", str(README), 0)
        assert doctest.DocTestRunner().run(case).failed == 0


def test_the_two_commands_set_everything_up() -> None:
    main_job, tests = [body.strip() for body in blocks("sh")]
    for command in (main_job, tests):
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert main_job.endswith("convarith shape --kernel 3 --stride 2")
    assert "-c constraints.txt" in tests
    assert tests.endswith(" && .venv/bin/pytest -q --all -n 2")
    ci = (README.parent / ".ci" / "run").read_text(encoding="utf-8")
    assert "README.md" in ci
