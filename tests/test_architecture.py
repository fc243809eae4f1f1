"""Who imports whom, beyond what the contracts in pyproject.toml say.

- The contracts can fail: they see an import upwards inside a function, and not one for type checkers alone.
- An import by a written name, which the contracts cannot see, stays inside its folder; the façade alone reaches further.
- No module has the name of a function that its package serves lazily: it would stand in the function's place.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convarith as ca

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
PACKAGES = {"convarith": ROOT, "convarith_gallery": ROOT / "gallery", "convarith_cli": ROOT / "cli"}
LINT = "import sys; from importlinter.cli import lint_imports_command as main; sys.exit(main())"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the three packages and their contracts, which a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name, parent in PACKAGES.items():
        shutil.copytree(parent / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "recipes"))
    return tmp_path


def contracts(folder: Path) -> str:
    """What lint-imports says about the copy in this folder."""
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache", "--no-logo"],
        cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == (" 0 broken" not in done.stdout), done.stdout + done.stderr
    return done.stdout


def append(file: Path, text: str) -> None:
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")


@pytest.mark.parametrize(
    ("module", "imported", "broken"),
    [
        ("convarith/sizes/rules.py", "convarith.layers.base", "convarith.sizes is not allowed to import"),
        ("convarith/networks/trace.py", "convarith.decoders.mirror", "convarith.networks is not allowed to import"),
        ("convarith/layers/base.py", "convarith_gallery.scenes", "convarith is not allowed to import"),
        ("gallery/scenes.py", "convarith_cli.main", "convarith_gallery is not allowed to import"),
        ("convarith/sizes/sets.py", "convarith.sizes.size_map", "No cycles are allowed in convarith.sizes"),
    ],
)
def test_the_contracts_see_an_import_inside_a_function(copied: Path, module: str, imported: str, broken: str) -> None:
    append(copied / module.replace("gallery/", "convarith_gallery/"), f"\n\ndef late():\n    import {imported}\n")
    assert broken in " ".join(contracts(copied).split())


def test_the_contracts_pass_over_types(copied: Path) -> None:
    late = "\n\nif TYPE_CHECKING:\n    from convarith.layers.base import Layer\n"
    append(copied / "convarith" / "sizes" / "rules.py", f"\n\nfrom typing import TYPE_CHECKING\n{late}")
    assert " 0 broken" in contracts(copied)


def written_imports() -> Iterator[tuple[str, str]]:
    """Each module of ours that is imported by a written name or the beginning of one, and who imports it."""
    for package, parent in PACKAGES.items():
        for file in sorted((parent / package).rglob("*.py")):
            importer = ".".join(file.relative_to(parent).with_suffix("").parts).removesuffix(".__init__")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                    written = node.args[0].values[0] if isinstance(node.args[0], ast.JoinedStr) else node.args[0]
                    if isinstance(written, ast.Constant) and str(written.value).startswith("convarith"):
                        yield importer, str(written.value).rstrip(".")


def test_imports_by_name_stay_at_home() -> None:
    found = {pair for pair in written_imports() if pair[0] != "convarith"}
    assert ("convarith.layers.registry", "convarith.layers") in found
    below = {("convarith_gallery.render", "convarith_gallery.views")}  # a view is found by its name
    strays = {pair for pair in found - below if not f"{pair[1]}.".startswith(f"{pair[0].rpartition('.')[0]}.")}
    assert not strays


def test_no_module_stands_in_the_place_of_a_function() -> None:
    modules = {path.stem for path in (ROOT / "convarith").iterdir()}
    served = {name for name in ca.__all__ if callable(getattr(ca, name))}
    assert {"mirror", "overlap", "solve"} <= served
    assert not served & modules
