"""The command line as the tests run it: in this process or in a process of its own; and the schemas of its documents."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from importlib.resources import files
from io import StringIO
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


class Result(NamedTuple):
    """What a command did."""

    exit_code: int
    out: str
    err: str


Cli = Callable[..., Result]


def run_here(*arguments: str) -> Result:
    """Run one command line in this process."""
    from convarith_cli.main import run

    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exit_code = run(list(arguments))
    return Result(exit_code, out.getvalue(), err.getvalue())


def run_process(*arguments: str, **environment: str) -> Result:
    """Run one command line in its own process, with pipes for its output."""
    done = subprocess.run(
        [sys.executable, "-m", "convarith_cli", *arguments], env=environment_with(**environment),
        stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8", timeout=120, check=False,
    )  # fmt: skip
    return Result(done.returncode, done.stdout, done.stderr)


def environment_with(**changes: str) -> dict[str, str]:
    """The environment of this process without what changes colours, and with the given changes."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR", "CLICOLOR")}
    return kept | {"PYTHONIOENCODING": "utf-8", "COLUMNS": "120"} | changes


def assert_refused(result: Result) -> str:
    """The question was wrong: exit code 2, nothing on standard output, one line on standard error, which is returned."""
    assert result.exit_code == 2, result
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    assert "Traceback" not in result.err
    return result.err


@cache
def schema_of(command: str) -> Draft202012Validator:
    """A validator for the documents of a command."""
    from jsonschema import Draft202012Validator

    text = (files("convarith_cli") / "schemas" / f"{command}.json").read_text(encoding="utf-8")
    return Draft202012Validator(json.loads(text))


def document_of(result: Result, command: str, exit_code: int = 0) -> dict[str, Any]:
    """The JSON document of an answer, which must be of the command's schema and the only output."""
    assert (result.exit_code, result.err) == (exit_code, ""), result
    document: dict[str, Any] = json.loads(result.out)
    schema_of(command).validate(document)
    assert document["schema"] == f"convarith/{command}/1"
    return document
