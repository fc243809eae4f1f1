"""Ratios, measured side by side in one run.

    python tests/benchmarks/run.py                    all comparisons
    python tests/benchmarks/run.py shape-start        some of them; --list names them
    python tests/benchmarks/run.py --json FILE        the numbers as JSON, too
    python tests/benchmarks/run.py --check            exit 1 where a bound is missed

Each comparison does A and B in turn (A, B, A, B, ...) after one call that warms up, and compares the medians, so that
whatever else the machine does meets both alike. Only the ratio means something beyond this machine. Without torch the
comparisons with it are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from comparing import Comparison, Outcome, measure

COLUMNS = ("what", "A", "B", "A takes", "B takes", "ratio", "asked for", "")


def all_comparisons() -> list[Comparison]:
    """Every subject's comparisons."""
    import drawing
    import matrices
    import mirroring
    import networks
    import overlaps
    import sizing
    import starting
    import training

    subjects = (starting, sizing, networks, mirroring, overlaps, matrices, drawing, training)
    return [comparison for subject in subjects for comparison in subject.comparisons()]


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="comparisons to run; all of them if left out")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each side (default: 15)")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here, too")
    parser.add_argument("--list", action="store_true", help="name the comparisons and stop")
    parser.add_argument("--check", action="store_true", help="exit 1 where a bound is missed")
    return parser.parse_args(arguments)


def duration(seconds: float) -> str:
    """A duration as people write it."""
    return f"{seconds * 1e6:.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def table(outcomes: list[Outcome]) -> str:
    """One line a comparison, its columns aligned."""
    rows = [
        (
            outcome.comparison.name, outcome.comparison.ours.label, outcome.comparison.other.label,
            duration(outcome.ours), duration(outcome.other), f"{outcome.ratio:.1f} x", outcome.comparison.bound,
            "met" if outcome.met else "MISSED",
        )
        for outcome in outcomes
    ]  # fmt: skip
    grid = [COLUMNS, *rows]
    widths = [max(len(row[at]) for row in grid) for at in range(len(COLUMNS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in grid
    )


def document(outcomes: list[Outcome]) -> dict[str, object]:
    """The numbers and where they were taken."""
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "torch": torch.__version__ if torch else None,
        "system": f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        "comparisons": [
            {
                "name": outcome.comparison.name,
                "a": outcome.comparison.ours.label,
                "b": outcome.comparison.other.label,
                "a_seconds": outcome.ours,
                "b_seconds": outcome.other,
                "ratio": outcome.ratio,
                "at_most": outcome.comparison.at_most,
                "at_least": outcome.comparison.at_least,
                "met": outcome.met,
                "rounds": outcome.rounds,
            }
            for outcome in outcomes
        ],
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and say whether every bound is kept."""
    given = read_arguments(arguments)
    known = {comparison.name: comparison for comparison in all_comparisons()}
    if given.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in given.names if name not in known]
    if unknown or given.rounds < 1:
        wrong = (
            f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}" if unknown else "--rounds is at least 1"
        )
        print(f"Error: {wrong}", file=sys.stderr)
        return 2
    outcomes = [measure(known[name], given.rounds) for name in given.names or known]
    print(table(outcomes))
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(document(outcomes), file, indent=2)
            file.write("\n")
    return 1 if given.check and not all(outcome.met for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
