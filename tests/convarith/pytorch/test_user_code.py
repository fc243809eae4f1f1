"""Models in the user's own Python code.

- models.py:Name and package.module:Name name a model; a named layer, a file name and other text do not.
- The name may have literals as arguments, and lead to a part of the model, which is built for it if need be.
- Whatever the code does wrong is an error of one line that says where; what it prints goes to standard error.
- A model that refuses an input is read without one, if it can be, so that the network says where.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import convarith as ca
from convarith.pytorch.user_code import is_code, network_of, read_module

CODE = """
from torch import nn
import convarith_helper_of_models

class Codec(nn.Module):
    kinds = {"plain": 1}

    def __init__(self, width=8, *, bias=True):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, width, 3, bias=bias), nn.ReLU())

    def forward(self, x):
        print("running")
        return self.encoder(x)

class Family:
    small = nn.Conv2d(1, 2, 3)

    def tall(self, width):
        return nn.Conv2d(1, width, 5)

def made(*arguments, **named):
    print("making")
    return nn.Linear(*arguments, **named)

def leave():
    raise SystemExit(3)

ready = nn.Tanh()
family = Family()
_number = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with models, from which everything is as before afterwards."""
    pytest.importorskip("torch", reason="imports torch models, and torch is not installed")
    (tmp_path / "convarith_models.py").write_text(CODE, encoding="utf-8")
    (tmp_path / "convarith_helper_of_models.py").write_text("", encoding="utf-8")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "convarith_more.py").write_text("from torch import nn\nclass Net(nn.ReLU): pass\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.partition(".")[0].startswith(("convarith_models", "convarith_helper", "convarith_more", "inner")):
            del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models.py:Net", True),
        ("a folder/models.py:Net", False),
        ("folder/models.py:Net.encoder.layers", True),
        ("package.module:Net", True),
        ("models.py:Net(3, depth=4).encoder", True),
        ("models.py:Conv2d(1, 2, 3)", True),
        ("package:Net(3)", True),
        ("first:Conv2d(1, 2, 3)", False),
        ("encoder.skip:ReLU()", False),
        ("first:Conv2d", True),
        ("models.py:Net(3", False),
        ("models.py:Net + 1", False),
        ("models.py:Net()[0]", False),
        ("models.py:Net(1).x + 1", False),
        ("models.py", False),
        ("models.py:3", False),
        ("net.txt", False),
        ("Conv2d(1, 2, 3)", False),
        ("", False),
    ],
)
def test_what_names_a_model_in_code(text: str, expected: bool) -> None:
    assert is_code(text) is expected


@pytest.mark.parametrize(
    ("text", "layer"),
    [
        ("convarith_models.py:Codec.encoder", "Conv2d(1, 8, 3)"),
        ("convarith_models.py:Codec(4).encoder", "Conv2d(1, 4, 3)"),
        ("convarith_models.py:Codec(width=4, bias=False).encoder", "Conv2d(1, 4, 3, bias=False)"),
        ("convarith_models.py:Codec", "Conv2d(1, 8, 3)"),
        ("convarith_models.py:ready", "Tanh()"),
        ("convarith_models.py:made(2, 3, bias=False)", "Linear(2, 3, bias=False)"),
        ("convarith_models.py:Family.small", "Conv2d(1, 2, 3)"),
        ("convarith_models.py:family.tall(7)", "Conv2d(1, 7, 5)"),
        ("convarith_models.py:Family().tall(width=6)", "Conv2d(1, 6, 5)"),
        ("convarith_models:Codec.encoder", "Conv2d(1, 8, 3)"),
        ("inner/convarith_more.py:Net", "ReLU()"),
        ("inner.convarith_more:Net", "ReLU()"),
    ],
)
def test_a_name_leads_to_a_module(folder: Path, text: str, layer: str, capsys: pytest.CaptureFixture[str]) -> None:
    net = network_of(read_module(text), (1, 9, 9) if "Codec" in text else None)
    assert str(net.nodes[0].layer) == layer
    assert capsys.readouterr().out == ""


def test_what_the_code_prints_goes_to_standard_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_module("convarith_models.py:made(2, 3)")
    network_of(read_module("convarith_models.py:Codec"), None)
    assert capsys.readouterr() == ("", "making\nrunning\n")


@pytest.mark.parametrize("code", ["convarith_models.py", "convarith_models"])
def test_the_folder_of_the_code_comes_first_and_the_module_is_kept(folder: Path, code: str) -> None:
    model = read_module(f"{code}:Codec")
    assert Path(sys.path[0]).resolve() == folder.resolve()
    assert sys.modules["convarith_models"].Codec is type(model)
    assert type(model).__module__ == "convarith_models"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing.py:Net", "there is no file nothing.py"),
        ("convarith_nothing:Net", "convarith_nothing raised ModuleNotFoundError: No module named 'convarith_nothing'"),
        ("net.txt", "'net.txt' does not name a model in Python code: write models.py:Name or package.module:Name"),
        (
            "convarith_models.py:Codec()[0]",
            "'convarith_models.py:Codec()[0]' does not name a model in Python code: write",
        ),
        ("convarith_models.py:Codex", "convarith_models.py has no 'Codex': did you mean 'Codec'?"),
        (
            "convarith_models.py:_secret",
            "convarith_models.py has no '_secret': choose from Codec, Family, leave, made, ready",
        ),
        (
            "convarith_models.py:Codec(4).encoded",
            "convarith_models.py:Codec(4) has no 'encoded': did you mean 'encoder'?",
        ),
        ("convarith_models.py:_number.part", "convarith_models.py:_number has no 'part': choose from as_integer_ratio"),
        ("convarith_models.py:Codec(width=w)", "the arguments in convarith_models.py:Codec(width=w) must be numbers,"),
        ("convarith_models.py:Codec(w)", "the arguments in convarith_models.py:Codec(w) must be numbers, strings,"),
        (
            "convarith_models.py:Codec(**{})",
            "** is not read in convarith_models.py:Codec(**{}): write the arguments out",
        ),
        ("convarith_models.py:Codec(1, 2)", "convarith_models.py:Codec(1, 2) raised TypeError: Codec.__init__() takes"),
        ("convarith_models.py:leave", "convarith_models.py:leave ended the program (exit code 3)"),
        ("convarith_models.py:_number", "convarith_models.py:_number raised TypeError: 'int' object is not callable"),
        ("convarith_models.py:Family", "convarith_models.py:Family returns Family, not a torch.nn.Module"),
    ],
)
def test_what_goes_wrong_is_one_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ca.ConvarithError) as caught:
        read_module(text)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_a_model_that_refuses_an_input_is_read_without_one(folder: Path) -> None:
    model = read_module("convarith_models.py:Codec")
    net = network_of(model, (3, 9, 9))
    with pytest.raises(ca.ShapeError, match=r"encoder\.0: .*expects 1 channel"):
        net.output_shape((3, 9, 9))


def test_a_model_that_cannot_be_read_without_an_input_gives_the_first_error(folder: Path) -> None:
    from torch import Tensor, nn

    class Looking(nn.Module):
        """Looks at a value, so that it has to run."""

        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 1 else x.view(2, -1)

    with pytest.raises(ca.ShapeError, match="Looking does not take an input of 1x1x3x3"):
        network_of(Looking(), (1, 3, 3))
    with pytest.raises(ca.ParameterError, match="give input_shape"):
        network_of(Looking(), None)
