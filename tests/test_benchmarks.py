"""The benchmark script runs; what it measures is not judged here.

- It prints a line a comparison and writes the same as JSON.
- A bound from above and one from below are each judged the right way round.
- An unknown comparison is refused with the known ones.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "benchmarks" / "run.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments], capture_output=True, encoding="utf-8", timeout=120, check=False
    )


def test_a_comparison_is_measured(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    done = run("shape-start", "--rounds", "1", "--json", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    _, line = done.stdout.splitlines()
    assert line.startswith("shape-start  convarith shape --kernel 3 --stride 2  python -c pass")
    (numbers,) = json.loads(file.read_text(encoding="utf-8"))["comparisons"]
    assert numbers["ratio"] == pytest.approx(numbers["a_seconds"] / numbers["b_seconds"])
    assert numbers["met"] == (numbers["ratio"] <= numbers["at_most"])
    assert ("MISSED" in line) != numbers["met"]


@pytest.mark.usefixtures("torch")
def test_a_bound_from_below(tmp_path: Path) -> None:
    file = tmp_path / "numbers.json"
    assert run("output-size", "--rounds", "1", "--json", str(file)).returncode == 0
    (numbers,) = json.loads(file.read_text(encoding="utf-8"))["comparisons"]
    assert numbers["ratio"] == pytest.approx(numbers["b_seconds"] / numbers["a_seconds"])
    assert numbers["met"] == (numbers["ratio"] >= numbers["at_least"])


def test_an_unknown_comparison_is_refused() -> None:
    done = run("shape-stop")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Error: unknown: shape-stop; choose from shape-start, ")
