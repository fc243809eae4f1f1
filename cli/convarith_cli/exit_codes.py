"""The exit codes of every command: the one place that lists them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """How a command ended; scripts can rely on it.

    0 and 1 come with an answer on standard output, 2 and 3 with one line on standard error, the others quietly.
    """

    ANSWERED = 0
    """The question was answered."""
    FOUND = 1
    """A check found something, or nothing was found: mismatches in verify, no solution in solve, a failed run."""
    WRONG_QUESTION = 2
    """The question cannot be answered as it was asked; one line says why, and what to change."""
    INTERNAL_ERROR = 3
    """A bug in convarith; one line says where the details are."""
    INTERRUPTED = 130
    """Ctrl-C: 128 + SIGINT, as the shell reports it."""
    CLOSED_PIPE = 141
    """The reader closed the pipe (`convarith ... | head`): 128 + SIGPIPE, as for other tools, and not a word."""
    TERMINATED = 143
    """SIGTERM: 128 + SIGTERM."""


HELP = (
    "Exit codes: 0 answered; 1 a check found something, or nothing was found; 2 the question cannot be answered as it "
    "was asked; 3 internal error."
)
"""What --help says about them."""
