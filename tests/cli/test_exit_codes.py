"""The exit codes, and what an internal error leaves.

- 1 for a check that found something, and for a search that found nothing.
- 3 for an internal error: one line, no traceback, and the details in a file or on standard error.
- 130 for Ctrl-C and 143 for SIGTERM, without a word; 141 for a reader who closed the pipe (test_terminal).
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from convarith_cli.exit_codes import ExitCode
from convarith_cli.main import Terminated
from support.command_line import Cli, environment_with

QUESTION = ["shape", "-k", "3", "-i", "28"]


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make every command fail with this error while it writes its answer."""

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("convarith_cli.main.write", fail)


def test_a_search_without_a_result_exits_with_1(cli: Cli) -> None:
    assert cli("solve", "conv", "-i", "5", "-o", "50").exit_code == ExitCode.FOUND
    assert cli("solve", "conv-transpose", "-k", "3", "-s", "2", "-o", "14").exit_code == ExitCode.FOUND
    assert cli("solve", "conv", "-i", "28", "-o", "14").exit_code == ExitCode.ANSWERED


def test_an_internal_error_is_one_line_and_a_report(
    cli: Cli, state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, KeyError("spam"))
    exit_code, out, err = cli(*QUESTION)
    assert (exit_code, out) == (ExitCode.INTERNAL_ERROR, "")
    report = state_folder / "internal-error.txt"
    assert err == (
        "Error: internal error (KeyError: 'spam'). This is a bug in convarith; please report it with the details in "
        f"{report}\n"
    )
    text = report.read_text(encoding="utf-8")
    assert "$ convarith shape -k 3 -i 28" in text
    assert text.endswith("KeyError: 'spam'\n")


def test_an_internal_error_without_a_place_for_the_report(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    fail_with(monkeypatch, KeyError("spam"))
    exit_code, _, err = cli(*QUESTION)
    assert exit_code == ExitCode.INTERNAL_ERROR
    assert err.endswith("This is a bug in convarith; run `convarith --verbose ...` for the details\n")
    assert err.count("\n") == 1


def test_verbose_prints_the_details(cli: Cli, state_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyError("spam"))
    exit_code, _, err = cli("--verbose", *QUESTION)
    assert exit_code == ExitCode.INTERNAL_ERROR
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("This is a bug in convarith; the details are above\n")
    assert not state_folder.exists()


def test_verbose_changes_nothing_else(cli: Cli) -> None:
    assert cli("--verbose", *QUESTION, "--json") == cli(*QUESTION, "--json")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (KeyboardInterrupt(), 130, ""),
        (Terminated(), 143, ""),
        (PermissionError(13, "Permission denied", "x.txt"), 2, "Error: cannot use x.txt: Permission denied\n"),
    ],
)
def test_what_ends_a_command(
    error: BaseException, code: int, line: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_with(monkeypatch, error)
    assert cli(*QUESTION) == (code, "", line)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to send")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(number: signal.Signals, code: int) -> None:
    """The signal arrives while the command waits for its standard input."""
    program = (
        "import signal, sys\n"
        "class Waiting:\n"
        "    buffer = property(lambda self: self)\n"
        "    def read(self):\n"
        "        print('ready', file=sys.stderr, flush=True)\n"
        "        return stdin.buffer.read()\n"
        "stdin, sys.stdin, sys.argv = sys.stdin, Waiting(), ['convarith', 'trace', '-']\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from convarith_cli.main import main; main()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=environment_with(), encoding="utf-8",
    ) as process:  # fmt: skip
        assert process.stderr is not None
        assert process.stderr.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (code, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [QUESTION, ["--help"]])
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "convarith_cli", *arguments], stdout=full, stderr=subprocess.PIPE,
            env=environment_with(), encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == ExitCode.WRONG_QUESTION
    assert done.stderr.startswith("Error: the answer could not be written: ")
    assert done.stderr.count("\n") == 1
