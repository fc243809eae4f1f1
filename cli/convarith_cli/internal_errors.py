"""What happens when convarith itself is wrong: one line for the user, and a report that helps to mend it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

REPORT = "internal-error.txt"
"""The name of the report; the next internal error replaces it."""


def state_folder() -> Path:
    """Where programs keep their logs: $XDG_STATE_HOME, or the platform's usual place. Not created here."""
    if configured := os.environ.get("XDG_STATE_HOME"):
        return Path(configured) / "convarith"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local")) / "convarith"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Logs" / "convarith"
    return Path.home() / ".local" / "state" / "convarith"


def describe(error: BaseException, arguments: list[str], verbose: bool) -> str:
    """The line for the user. The traceback goes to a file, or with `verbose` to standard error."""
    import traceback

    details = "".join(traceback.format_exception(error))
    if verbose:
        print(details, file=sys.stderr, end="")
        where = "the details are above"
    elif (path := _written(details, arguments)) is not None:
        where = f"please report it with the details in {path}"
    else:
        where = "run `convarith --verbose ...` for the details"
    return f"internal error ({type(error).__name__}: {error}). This is a bug in convarith; {where}"


def _written(details: str, arguments: list[str]) -> Path | None:
    """The report's path; None if it cannot be written."""
    import platform
    import shlex

    from convarith import __version__

    report = (
        f"convarith {__version__}, Python {platform.python_version()}, {platform.platform()}\n"
        f"$ {shlex.join(['convarith', *arguments])}\n\n{details}"
    )
    try:
        folder = state_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / REPORT
        path.write_text(report, encoding="utf-8", errors="backslashreplace")
    except (OSError, RuntimeError):  # no home folder, no space, no permission
        return None
    return path
