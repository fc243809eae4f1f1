"""The entry point: finds the command, writes its answer, turns every error into one line."""

import os
import sys
from importlib import import_module
from typing import Annotated

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_cli.answer import Answer, write
from convarith_cli.options import HELP_FLAGS, MARKUP

COMMANDS = {
    "shape": "The size a layer gives: formula, numbers, what comes next, and the way back.",
    "solve": "The inverse: inputs for an output, or parameters between two sizes.",
    "trace": "A network layer by layer, its size for every input, and what comes back unchanged.",
    "mirror": "The decoder of an encoder: a table beside it, and PyTorch code that runs.",
    "matrix": "The matrix of a layer: its bands, its product, its rank and what it can amplify.",
    "overlap": "How often each output is hit: checkerboards, why, and even layers of the same size.",
    "animate": "A layer, a network or a named scene as a picture that moves: gif, svg, webp, mp4, ...",
    "gallery": "Every scene as a picture, and a page to play with them.",
    "verify": "This arithmetic against the installed torch, layer by layer.",
    "train": "A reference autoencoder on real data: numbers, pictures, a report.",
    "recipes": "The reference autoencoders that can be trained.",
    "report": "Every trained recipe in one table, beside its baseline.",
    "restore": "A trained restorer on your own picture: any size, in pieces.",
}
"""Every command and its line in the overview; its module is loaded when the command runs."""

CLOSED_PIPE = "the reader closed the pipe before the answer was written"


class Commands(TyperGroup):
    """Loads a command's module, and what it imports, only when that command is asked for."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The commands in the order of the overview."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> TyperCommand:  # type: ignore[override]
        """The command of this name. Raises ConvarithError for an unknown word."""
        if cmd_name not in COMMANDS:
            raise ConvarithError(f"unknown command {cmd_name!r}: {nearest(cmd_name, COMMANDS)}")
        command = typer.main.get_command(import_module(f"convarith_cli.{cmd_name}").app)
        command.name = cmd_name
        command.short_help = COMMANDS[cmd_name]
        return command  # type: ignore[return-value]


app = typer.Typer(cls=Commands, rich_markup_mode=MARKUP, context_settings=HELP_FLAGS)


def _print_version(value: bool) -> None:
    if value:
        from convarith import __version__

        print(f"convarith {__version__}")
        raise typer.Exit


@app.callback()
def convarith(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """The arithmetic of convolutional layers.

    Every command explains itself: convarith shape --help
    """


def answer(arguments: list[str]) -> Answer | int:
    """The answer to one command line, or the exit code of one that has none (--help, --version).

    Raises ConvarithError or TyperException for a wrong question.
    """
    command = typer.main.get_command(app)
    outcome = command(args=arguments or ["--help"], prog_name="convarith", standalone_mode=False)
    return outcome if isinstance(outcome, Answer) else int(outcome or 0)


def run(arguments: list[str] | None = None) -> int:
    """Answer one command line; the exit code: 0 answered, 1 a check found something, 2 the question is wrong."""
    if sys.stdout is None:
        return _refuse("standard output is closed: there is nowhere to write the answer")
    try:
        outcome = answer(sys.argv[1:] if arguments is None else arguments)
        if isinstance(outcome, Answer):
            write(outcome)
        sys.stdout.flush()
        return outcome.exit_code if isinstance(outcome, Answer) else outcome
    except (ConvarithError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        return _refuse(message)
    except ValueError as error:
        if "integer string conversion" not in str(error):
            raise
        return _refuse("the answer has an integer of more than 4300 digits, which is not written")
    except OSError as error:
        # What is still buffered has no place to go: let the interpreter's last flush go nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return _refuse(CLOSED_PIPE)
        return _refuse(f"the answer could not be written: {error.strerror}")
    except SystemExit as stop:
        if "_CONVARITH_COMPLETE" in os.environ:  # the shell has its completions
            raise
        return _refuse(CLOSED_PIPE) if stop.code else 0  # how a help that nobody reads is given up
    except (KeyboardInterrupt, typer.Abort):
        _refuse("interrupted")
        return 130


def _refuse(message: str) -> int:
    line = " ".join(message.split())
    try:
        print(f"Error: {line}", file=sys.stderr)
    except UnicodeEncodeError:  # a terminal without the letters of what the user wrote
        print(f"Error: {line}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
    return 2


def main() -> None:
    """Run the command line of this process."""
    sys.exit(run())
