"""The mutation script finds what it should, on a package of a few lines.

- A change that a test notices is killed, one that no test notices survives and is shown with file, line and diff.
- A line that no test runs survives; strings, annotations, messages and imports for types are never changed.
- A survivor that is judged equivalent does not count; a judgement of a change that is gone is reported.
- What survives the first tests meets the others once.
- A test that fails without any change ends the run: what it killed proves nothing.
- A second run tries nothing again; a new test is tried on what had survived.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "run.py"

SOURCE = '''"""A package for a test."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    SIZE = 1 + 1

__all__ = ["clipped", "row", "unread"]

Mode = Literal[1, 2]


def row(width: Literal[3, 4], *more: int) -> int:
    """One more than 1.

    >>> row(3)
    6
    """
    if width < 0:
        raise ValueError(f"{width - 1} < 1: " + "too small")
    return width * 2


def clipped(size: int) -> int:
    if size > 10:
        size = 10
    return size


def unread() -> int:
    return 7
'''

TESTS = """from tiny.sizes import clipped, row
import pytest

def test_row():
    assert row(0) == 0
    assert row(4) == 8
    with pytest.raises(ValueError):
        row(-1)

def test_clipped():
    assert clipped(5) == 5
    assert clipped(12) == 10
"""

JUDGED = """
[[equivalent]]
file = "tiny/sizes.py"
line = "if size > 10:"
mutation = "> -> >="
reason = "10 becomes 10"

[[equivalent]]
file = "tiny/sizes.py"
line = "if size > 20:"
mutation = "> -> >="
reason = "the line is gone"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "tiny" / "__init__.py").touch()
    (tmp_path / "tiny" / "sizes.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "tests" / "test_sizes.py").write_text(TESTS, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--doctest-modules'\n")
    return tmp_path


def run(project: Path, exit_code: int = 0) -> tuple[str, str]:
    options = ["--project", str(project), "--package", "tiny", "--tests", "tiny", "tests", "--processes", "2"]
    options += ["--count", "100", "--judged", str(project / "judged.toml"), "--warm"]
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *options], capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert done.returncode == exit_code, done.stderr
    return done.stdout, done.stderr


def test_planted_mutants_are_killed_and_survive(project: Path) -> None:
    first, progress = run(project)
    assert "15 of 15 changes" in progress
    assert "following the tests of 2 files" in progress
    assert "tiny/sizes.py:27  > -> >=\n    -    if size > 10:\n    +    if size >= 10:\n" in first
    assert "tiny/sizes.py:33  7 -> 8  no test runs this line\n" in first
    shown = [line.partition("  ")[0] for line in first.splitlines() if line.startswith("tiny/")]
    assert shown == [f"tiny/sizes.py:{line}" for line in (27, 27, 27, 33, 33, 33)]
    assert first.endswith("9 killed, 6 survived, 0 judged equivalent: score 60.0%\n")

    (project / "judged.toml").write_text(JUDGED, encoding="utf-8")
    again, progress = run(project)
    assert "following" not in progress
    assert "> -> >=" not in again.replace("if size > 20:: > -> >=", "")
    assert "no such change any more: tiny/sizes.py: if size > 20:: > -> >=: 1" in again
    assert again.endswith("9 killed, 5 survived, 1 judged equivalent: score 64.3%\n")

    tests = project / "tests" / "test_sizes.py"
    tests.write_text(f"{TESTS}    assert clipped(11) == 10\n", encoding="utf-8")
    better, progress = run(project)
    assert "following the tests of 1 file" in progress
    assert better.endswith("10 killed, 4 survived, 1 judged equivalent: score 71.4%\n")


def test_a_test_that_always_fails_is_named(project: Path) -> None:
    unsteady = (
        "\n\ndef test_unsteady():\n    import sys, tiny.sizes\n    assert tiny.sizes.unread() and sys.gettrace()\n"
    )
    (project / "tests" / "test_sizes.py").write_text(TESTS + unsteady, encoding="utf-8")
    _, error = run(project, exit_code=1)
    assert "Error: tests/test_sizes.py::test_unsteady fails without any change" in error


def test_survivors_meet_the_tests_of_all_files(project: Path) -> None:
    (project / "tests" / "test_sizes.py").unlink()
    beginning = "import time\nfrom tiny.sizes import row, unread\n\ndef test_all():\n    assert row(4) > 1\n"
    for number in range(7):
        fast = f"{beginning}    assert unread() > 6\n"
        (project / "tests" / f"test_fast_{number}.py").write_text(fast, encoding="utf-8")
    slow = f"{beginning}    time.sleep(0.3)\n    assert unread() == 7\n"
    (project / "tests" / "test_slow.py").write_text(slow, encoding="utf-8")
    found, _ = run(project)
    assert "return 7" not in found  # killed by the last file alone
    assert "tiny/sizes.py:21  < -> <=\n" in found  # survives all of them


def test_every_mutant_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from mutants import files_of, mutants_of  # type: ignore[import-not-found]

    folder = SCRIPT.parents[2]
    file = folder / "convarith" / "sizes" / "rules.py"
    assert file in set(files_of(folder / "convarith"))
    text = file.read_text(encoding="utf-8")
    found = mutants_of(folder, file)
    assert len(found) > 50
    assert len({mutant.name for mutant in found}) == len(found)
    for mutant in found:
        assert ast.dump(ast.parse(mutant.applied(text))) != ast.dump(ast.parse(text)), mutant
