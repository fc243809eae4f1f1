"""Measure ratios of times, side by side in one run.

    python tests/benchmarks/run.py                    all comparisons
    python tests/benchmarks/run.py shape-start        some of them; --list names them
    python tests/benchmarks/run.py --json FILE        also write the numbers as JSON
    python tests/benchmarks/run.py --check            exit 1 if a bound is missed

Each comparison runs A and B alternately (A, B, A, B, ...) after one call of each to warm up, and compares the medians,
so that other load on the machine affects both alike. Only the ratios can be compared between machines. Without torch the
comparisons with torch are left out.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from comparing import Comparison, Outcome, measure

COLUMNS = ("what", "A", "B", "A takes", "B takes", "ratio", "required", "")


def all_comparisons() -> list[Comparison]:
    """The comparisons of all subjects."""
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
    parser.add_argument("names", nargs="*", metavar="NAME", help="comparisons to run (default: all)")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each side (default: 15)")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to this file")
    parser.add_argument("--list", action="store_true", help="list the comparisons and exit")
    parser.add_argument("--check", action="store_true", help="exit 1 if a bound is missed")
    return parser.parse_args(arguments)


def duration(seconds: float) -> str:
    """A duration as people write it."""
    return f"{seconds * 1e6:.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def table(outcomes: list[Outcome]) -> str:
    """One line per comparison, in aligned columns."""
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
    """The numbers, and the system on which they were measured."""
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
    """Measure and print; the exit code says whether all bounds are met."""
    given = read_arguments(arguments)
    known = {comparison.name: comparison for comparison in all_comparisons()}
    if given.list:
        print("\n".join(known))
        return 0
    unknown = [name for name in given.names if name not in known]
    if unknown or given.rounds < 1:
        wrong = (
            f"unknown: {', '.join(unknown)}; choose from {', '.join(known)}"
            if unknown
            else "--rounds must be at least 1"
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
