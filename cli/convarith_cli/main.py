"""The entry point: finds the command, writes its answer, and turns every error into one line and an exit code."""

import os
import sys
from importlib import import_module
from itertools import takewhile
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from convarith.errors import ConvarithError
from convarith.sizes.normalise import nearest
from convarith_cli.answer import Answer, escaped, write
from convarith_cli.exit_codes import HELP as EXIT_CODES
from convarith_cli.exit_codes import ExitCode
from convarith_cli.options import HELP_FLAGS, MARKUP

if TYPE_CHECKING:
    from types import FrameType

COMMANDS = {
    "shape": "The output size of a layer: formula, numbers, growth, and the layer that leads back.",
    "solve": "The inverse: input sizes for an output, or layers between two sizes.",
    "trace": "A network layer by layer, its output size for every input, and the sizes that come back unchanged.",
    "mirror": "The decoder of an encoder, as a table and as PyTorch code that runs.",
    "matrix": "The matrix of a layer: its bands, its product, its rank and what it can amplify.",
    "overlap": "How often each output is hit: checkerboards, their cause, and even layers of the same size.",
    "animate": "Draw a layer, a network or a named scene as an animated picture: gif, svg, webp, mp4, ...",
    "gallery": "Draw every named scene, and write a page that plays them all.",
    "verify": "Compare this arithmetic with the installed torch, layer by layer.",
    "train": "Train a reference autoencoder on real data: numbers, pictures, a report.",
    "recipes": "The reference autoencoders that can be trained.",
    "report": "Every trained recipe in one table, next to its baseline.",
    "restore": "Apply a trained restorer to your own picture, of any size.",
}
"""Every command and its line in the overview; its module is loaded when the command runs."""


class Terminated(BaseException):
    """SIGTERM arrived; raised so that half-written files are cleaned up."""


class Commands(TyperGroup):
    """Loads a command's module, and what it imports, only when that command is asked for."""

    def list_commands(self, ctx: object) -> list[str]:
        """The commands in the order of the overview."""
        return list(COMMANDS)

    def get_command(self, ctx: object, cmd_name: str) -> TyperCommand:
        """The command of this name. Raises ConvarithError for an unknown word."""
        if cmd_name not in COMMANDS:
            raise ConvarithError(f"unknown command {cmd_name!r}: {nearest(cmd_name, COMMANDS)}")
        command = typer.main.get_command(import_module(f"convarith_cli.{cmd_name}").app)
        assert isinstance(command, TyperCommand)  # the app of each module has exactly one command
        command.name = cmd_name
        command.short_help = COMMANDS[cmd_name]
        return command


app = typer.Typer(cls=Commands, rich_markup_mode=MARKUP, context_settings=HELP_FLAGS)


def _print_version(value: bool) -> None:
    if value:
        from convarith import __version__

        print(f"convarith {__version__}")
        raise typer.Exit


@app.callback(epilog=EXIT_CODES)
def convarith(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="After an internal error, print its details on standard error.")
    ] = False,
) -> None:
    """The arithmetic of convolutional layers.

    Every command has its own help, for example: convarith shape --help
    """


def answer(arguments: list[str]) -> Answer | int:
    """The answer to one command line, or the exit code of one that has none (--help, --version).

    Raises ConvarithError or TyperException for a question that cannot be answered.
    """
    command = typer.main.get_command(app)
    outcome = command(args=arguments or ["--help"], prog_name="convarith", standalone_mode=False)
    if not isinstance(outcome, Answer):
        return int(outcome or 0)
    name = next(word for word in arguments if not word.startswith("-"))  # the options before a command take no value
    return outcome.of_command(name)


def run(arguments: list[str] | None = None) -> int:
    """Answer one command line. Returns the exit code; `ExitCode` lists them."""
    if sys.stdout is None:
        return _refuse("standard output is closed, so the answer cannot be written")
    words = sys.argv[1:] if arguments is None else arguments
    try:
        outcome = answer(words)
        if isinstance(outcome, Answer):
            write(outcome)
        sys.stdout.flush()
        return outcome.exit_code if isinstance(outcome, Answer) else outcome
    except TyperException as error:
        return _refuse(error.format_message())
    except ConvarithError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.INTERRUPTED
    except Terminated:
        return ExitCode.TERMINATED
    except BrokenPipeError:
        return _closed_pipe()
    except OSError as error:
        return _failed_file(error)
    except SystemExit as stop:
        if "_CONVARITH_COMPLETE" in os.environ:  # the shell has its completions
            raise
        return _closed_pipe() if stop.code else ExitCode.ANSWERED  # this is how typer gives up a help without a reader
    except Exception as error:  # noqa: BLE001 - the last line of defence: no user should see a traceback
        if isinstance(error, ValueError) and "integer string conversion" in str(error):
            return _refuse("the answer has an integer of more than 4300 digits, which Python does not print")
        from convarith_cli.internal_errors import describe

        verbose = "--verbose" in takewhile(lambda word: word.startswith("-"), words)
        return _refuse(describe(error, words, verbose), ExitCode.INTERNAL_ERROR)


def _closed_pipe() -> int:
    _discard_output()
    return ExitCode.CLOSED_PIPE


def _failed_file(error: OSError) -> int:
    """A file that could not be used, or an answer that could not be written."""
    if error.filename is not None:
        return _refuse(f"cannot use {error.filename}: {error.strerror}")
    _discard_output()
    return _refuse(f"the answer could not be written: {error.strerror}")


def _discard_output() -> None:
    """Let what is still buffered go nowhere, or the interpreter's last flush would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _refuse(message: str, code: ExitCode = ExitCode.WRONG_QUESTION) -> int:
    line = escaped(" ".join(message.split()))
    try:
        print(f"Error: {line}", file=sys.stderr)
    except UnicodeEncodeError:  # the terminal lacks letters that the user wrote
        print(f"Error: {line}".encode("ascii", "backslashreplace").decode(), file=sys.stderr)
    return code


def _terminate(signal_number: int, frame: "FrameType | None") -> NoReturn:
    raise Terminated


def main() -> None:
    """Run the command line of this process."""
    import signal

    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(run())
