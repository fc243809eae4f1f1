"""What an import loads, in a fresh interpreter.

- `import convarith` loads none of numpy, torch, typer, rich, hypothesis; neither do Conv, parse and solve.
- The check can fail: it detects a package that is loaded, and a copy of convarith that loads one.
- `import convarith` loads no module of convarith except the errors, yet every public name is available.
- The command line answers a question about a layer without loading numpy, torch or rich.
"""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import convarith as ca
from convarith.layers.registry import MODULES

HEAVY = ("numpy", "scipy", "torch", "matplotlib", "rich", "typer", "hypothesis", "PIL")

USES = {
    "import": "import convarith",
    "a layer": "import convarith as ca; assert ca.Conv(kernel_size=3).output_size((28, 28)) == (26, 26)",
    "parse": "import convarith as ca; ca.parse('nn.Conv2d(1, 16, 3)'); ca.parse('ReLU (inplace)')",
    "solve": "import convarith as ca; assert ca.solve('conv', input_size=28, output_size=14)",
    "a refusal": "import convarith as ca\ntry: ca.parse('Cnov2d(1)')\nexcept ca.ParseError: pass",
    "the way back": "import convarith as ca; ca.Conv(kernel_size=4, padding='same').back((7, 7))",
    "mirror": "import convarith as ca; ca.mirror(ca.parse_network('Conv2d(1, 8, 3, 2)'), (1, 28, 28)).code()",
    "every name": "import convarith as ca; [getattr(ca, name) for name in ca.__all__]",
}


def loaded(code: str, *path: Path) -> set[str]:
    """The heavy packages that a fresh interpreter loads when it runs this code."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name for name in done.stdout.split() if name in HEAVY}


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    return set(subprocess.check_output([sys.executable, "-c", program], text=True, timeout=60).split())


@pytest.mark.parametrize("use", USES)
def test_nothing_heavy_is_loaded(use: str) -> None:
    assert loaded(USES[use]) == set()


def test_the_check_detects_a_loaded_package(tmp_path: Path) -> None:
    (tmp_path / "numpy.py").touch()
    assert loaded("import numpy; import convarith", tmp_path) == {"numpy"}


@pytest.mark.parametrize("module", ["errors.py", "__init__.py"])
def test_the_check_detects_an_import_in_convarith(tmp_path: Path, module: str) -> None:
    source = Path(ca.__file__).parent
    shutil.copytree(source, tmp_path / "convarith", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "torch.py").touch()
    where = f"import convarith; assert convarith.__file__.startswith({str(tmp_path)!r})"
    assert loaded(where, tmp_path) == set()
    changed = tmp_path / "convarith" / module
    changed.write_text(changed.read_text(encoding="utf-8") + "\nimport torch\n", encoding="utf-8")
    assert loaded(where, tmp_path) == {"torch"}


def test_names_are_loaded_when_they_are_used() -> None:
    ours = {name for name in modules_after("import convarith") if name.startswith("convarith")}
    assert ours == {"convarith", "convarith.errors"}
    assert "convarith.layers.convolution" in modules_after("import convarith; convarith.Conv")


def test_every_public_name_is_available() -> None:
    assert set(dir(ca)) == {*ca.__all__, *MODULES}
    assert len(set(ca.__all__)) == len(ca.__all__)
    assert all(getattr(ca, name) is not None for name in dir(ca))
    with pytest.raises(AttributeError, match="module 'convarith' has no attribute 'Cnov'"):
        ca.Cnov  # noqa: B018


def test_type_checkers_see_what_is_imported() -> None:
    """The imports for type checkers name the modules that the names come from, without exception."""
    tree = ast.parse(Path(ca.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    told = {}
    for node in (each for each in [*tree.body, *block.body] if isinstance(each, ast.ImportFrom)):
        for alias in node.names:
            found = importlib.import_module(str(node.module))
            if not hasattr(found, alias.name):
                found = importlib.import_module(f"{node.module}.{alias.name}")
            told[alias.asname or alias.name] = getattr(found, alias.name, found)
    assert set(ca.__all__) <= told.keys()
    assert all(getattr(ca, name) is told[name] for name in ca.__all__)


def test_the_command_line_loads_no_numpy_torch_or_rich() -> None:
    question = "from convarith_cli.main import run; run(['shape', '-k', '3', '-s', '2', '-i', '28'])"
    seen = modules_after(question)
    assert "typer" in seen
    assert not seen & {"numpy", "torch", "rich", "pydantic", "matplotlib", "jsonschema"}
