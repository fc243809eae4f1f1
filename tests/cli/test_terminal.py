"""What a command writes to a pipe, to a terminal, and to a reader that has gone.

- A pipe gets no escape codes; a terminal gets colours, and NO_COLOR removes them.
- A terminal shows the same words as a pipe, and --json prints the same document in both.
- A reader who closes the pipe ends the command without a word, with exit code 141.
- --help of every command exits with 0 and shows examples that run; so do -h and no argument at all.
- The shell completes commands, kinds of layers and options.
- An output that cannot encode a sign gets a stand-in.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from convarith_cli.exit_codes import ExitCode
from convarith_cli.main import COMMANDS
from support.command_line import Cli, assert_refused, environment_with, run_here, run_process

import convarith as ca

pytestmark = pytest.mark.slow

pty = pytest.importorskip("pty", reason="needs pseudo-terminals")

QUESTION = ["shape", "-k", "3", "-s", "2", "-i", "28"]
QUESTIONS = [QUESTION, ["shape", "-k", "3"], ["solve", "conv", "-i", "28", "-o", "14"], ["shape", "--help"]]
ESCAPE = "\x1b"
COLOUR = re.compile(r"\x1b\[[\d;]*\b(3[0-7]|4[0-7]|9[0-7]|38|48)(;[\d;]*)?m")


def on_a_terminal(*arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a command whose standard output is a terminal."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "convarith_cli", *arguments], stdin=subprocess.DEVNULL, stdout=follower,
        stderr=subprocess.PIPE, env=environment_with(TERM="xterm-256color", **environment),
    ) as process:  # fmt: skip
        os.close(follower)
        chunks = []
        while True:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            chunks.append(chunk)
        assert process.stderr is not None
        assert process.stderr.read() == b""
    os.close(leader)
    return process.returncode, b"".join(chunks).decode().replace("\r\n", "\n")


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_a_pipe_gets_plain_text(arguments: list[str]) -> None:
    result = run_process(*arguments, TERM="xterm-256color")
    assert (result.exit_code, result.err) == (0, "")
    assert result.out
    assert ESCAPE not in result.out


@pytest.mark.parametrize("arguments", QUESTIONS[:3], ids=" ".join)
def test_a_terminal_gets_colours_and_the_same_words(arguments: list[str]) -> None:
    exit_code, shown = on_a_terminal(*arguments)
    assert exit_code == 0
    assert COLOUR.search(shown)
    letters = re.compile(r"[^A-Za-z0-9=()+*/-]+")
    words = set(letters.split(re.sub(r"\x1b\[[\d;]*m", "", shown)))
    assert set(letters.split(run_process(*arguments).out)) <= words


@pytest.mark.parametrize("arguments", QUESTIONS[:3], ids=" ".join)
def test_no_color_takes_the_colours_away(arguments: list[str]) -> None:
    exit_code, shown = on_a_terminal(*arguments, NO_COLOR="1")
    assert exit_code == 0
    assert not COLOUR.search(shown)


def test_force_color_in_a_pipe() -> None:
    assert COLOUR.search(run_process(*QUESTION, FORCE_COLOR="1", TERM="xterm-256color").out)


def test_json_is_the_same_everywhere() -> None:
    exit_code, shown = on_a_terminal(*QUESTION, "--json")
    assert exit_code == 0
    assert shown == run_process(*QUESTION, "--json", FORCE_COLOR="1").out
    assert json.loads(shown)["output_size"] == [13]


# Readers that have gone ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        QUESTION,
        [*QUESTION, "--json"],
        ["solve", "conv-transpose", "-i", "14", "-o", "28"],
        ["--help"],
        ["shape", "--help"],
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_the_command_quietly(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "convarith_cli", *arguments], stdout=writer, stderr=subprocess.PIPE,
            env=environment_with(), encoding="utf-8", timeout=60, check=False,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (ExitCode.CLOSED_PIPE, "")


def test_a_pipe_into_true() -> None:
    command = f"{shlex.quote(sys.executable)} -m convarith_cli shape -k 3 | true"
    done = subprocess.run(
        ["sh", "-c", command], capture_output=True, env=environment_with(), encoding="utf-8", timeout=60, check=False
    )
    assert done.stderr == ""


def test_an_error_without_a_reader_still_has_its_exit_code() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convarith_cli", "shape", "-k", "0"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_signs_that_the_output_lacks_have_stand_ins(encoding: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "convarith_cli", "animate", "conv", "-k", "3", "-i", "5", "-o", str(tmp_path / "x.svg")],
        capture_output=True, env=environment_with(PYTHONIOENCODING=encoding), timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    text = done.stdout.decode(encoding)
    assert "->" in text
    assert "\\u" not in text


# Help ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]], ids=["nothing", "--help", "-h"])
def test_the_overview_names_every_command(cli: Cli, arguments: list[str]) -> None:
    exit_code, out, err = cli(*arguments)
    assert (exit_code, err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^\W*{command}\b", out, re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_examples(cli: Cli, command: str) -> None:
    exit_code, out, err = cli(command, "--help")
    assert (exit_code, err) == (0, "")
    assert out == cli(command, "-h").out
    assert "Examples:" in out
    assert f"  convarith {command}" in out


def examples(command: str) -> list[list[str]]:
    """The example calls of a command's help; what follows two spaces says what the call asks."""
    _, _, shown = run_here(command, "--help").out.partition("Examples:")
    lines = [line.strip() for line in shown.splitlines()]
    calls = [line.removeprefix("convarith ") for line in lines if line.startswith("convarith ")]
    return [shlex.split(re.split(r"\s{2,}", call)[0]) for call in calls]


@pytest.mark.parametrize("call", [call for command in ("shape", "solve") for call in examples(command)], ids=" ".join)
def test_the_examples_of_the_help_run(cli: Cli, call: list[str]) -> None:
    exit_code, out, err = cli(*call)
    assert (exit_code, err) == (0, "")
    assert out


def test_version(cli: Cli) -> None:
    assert cli("--version") == (0, f"convarith {ca.__version__}\n", "")


def test_the_installed_command(cli: Cli) -> None:
    script = Path(sys.executable).with_name("convarith")
    if not script.exists():
        pytest.skip("convarith is not installed beside this interpreter")
    shown = subprocess.check_output([script, *QUESTION], env=environment_with(), encoding="utf-8", timeout=60)
    assert shown == cli(*QUESTION).out


# Completion ----------------------------------------------------------------------------------------------------------


def completions(words: str) -> set[str]:
    """What bash is offered for the last of these words."""
    result = run_here_as_shell(words)
    return {line.split()[0] for line in result.splitlines() if line.strip()}


def run_here_as_shell(words: str) -> str:
    program = "import sys; sys.argv = ['convarith']; from convarith_cli.main import main; main()"
    environment = environment_with(
        _CONVARITH_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
    )
    return subprocess.check_output([sys.executable, "-c", program], env=environment, encoding="utf-8", timeout=60)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("convarith sh", {"shape"}),
        ("convarith ", set(COMMANDS)),
        ("convarith shape max", {"max-pool", "max-unpool"}),
        ("convarith solve conv", {"conv", "conv-transpose"}),
        ("convarith shape zzz", set()),
        ("convarith shape --ker", {"--kernel", "--kernel-size"}),
        ("convarith verify --ca", {"--cases"}),
    ],
)
def test_the_shell_completes(words: str, offered: set[str]) -> None:
    assert completions(words) == offered


def test_a_refusal_on_a_terminal_is_one_line(cli: Cli) -> None:
    assert_refused(run_process("shape", "-k", "0", FORCE_COLOR="1", TERM="xterm-256color"))
