"""convarith verify: this arithmetic compared with the installed torch."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from convarith.dependencies import require_torch
from convarith.sizes.normalise import counted
from convarith_cli.answer import Answer, Block, Table
from convarith_cli.exit_codes import ExitCode
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith verify
  convarith verify --cases 200000 --seed 1
"""


@app.command(epilog=EXAMPLES)
def verify(
    cases: Annotated[int, typer.Option("--cases", min=1, max=100_000_000, help="How many layers to check.")] = 20_000,
    seed: Annotated[int, typer.Option("--seed", help="Another seed checks other random layers.")] = 0,
    as_json: Json = False,
) -> Answer:
    """Compare this arithmetic with the installed torch.

    Builds real layers of every kind in 1-D, 2-D and 3-D, runs them on small tensors on the CPU, and compares the
    sizes, and whether the layer is accepted or refused. From 40,000 cases on, they include every small layer of one
    axis. Exit code 1 if anything differs.
    """
    from convarith.pytorch import verification

    with progress() as report_progress:
        report = verification.verify(cases, seed, report_progress)
    version = require_torch().__version__
    data = {
        "torch": version,
        "seed": seed,
        "checked": report.checked,
        "mismatches": [
            {"case": str(mismatch.case), "convarith": mismatch.ours, "torch": mismatch.torch}
            for mismatch in report.mismatches
        ],
        "mismatched": report.mismatched,
        "layers": {
            name: {"accepted": tally.accepted, "refused": tally.refused, "mismatched": tally.mismatches}
            for name, tally in sorted(report.tallies.items())
        },
    }
    rows = [
        (name, f"{tally.accepted:,}", f"{tally.refused:,}", f"{tally.mismatches:,}")
        for name, tally in sorted(report.tallies.items())
    ]
    columns = ("layer", "accepted", "refused", "mismatches")
    verdict = (
        f"{counted(report.checked, 'layer')} checked against torch {version}, "
        f"{counted(report.mismatched, 'mismatch', 'mismatches')}"
    )
    blocks: list[Block] = [verdict, Table(columns, rows, numbers=columns[1:])]
    if report.mismatches:
        blocks.append("The first mismatches; each line runs in Python after `import torch`:")
        blocks += [str(mismatch) for mismatch in report.mismatches]
    return Answer(data, blocks, as_json=as_json, exit_code=ExitCode.FOUND if report.mismatched else ExitCode.ANSWERED)


@contextmanager
def progress() -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar if standard error is a terminal, otherwise nothing."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("checking layers", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
