"""What a caller may hand over, which packages are asked for, and where an error is.

- Text is a network if it has several layers, a name, inputs or an nn.Sequential; otherwise it is a layer.
- Text that looks like a file or like code is refused, and nothing is opened.
- A package that is missing is named with what installs it.
- An error in a text has a place, the first one if nothing else is said.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

import convarith as ca
from convarith.dependencies import INSTALLED_BY, require, require_numpy, require_scipy, require_torch
from convarith.errors import ParseError
from convarith.subject import is_module, is_network_text, network_of, subject_of


@pytest.mark.parametrize(
    ("text", "several"),
    [
        ("Conv2d(1, 8, 3)", False), ("nn.Conv2d(1, 8, 3)", False), ("Linear(28*28, 3)", False), ("ReLU", False),
        ("Conv2d(1, 8, kernel_size=3)", False), ("Conv2d(1, 8, (3, 3))", False), ("Sequential", False),
        ("Conv2d(1, 8, 3); ReLU()", True), ("Conv2d(1, 8, 3)\nReLU()", True), ("nn.Sequential(ReLU())", True),
        (" torch.nn.Sequential (ReLU())", True), ("Sequential(ReLU())", True), ("skip: Conv2d(1, 8, 3)", True),
        ("x = nn.ReLU()", True), ("self.conv = nn.Conv2d(1, 8, 3)", True), ("Add()(input, skip)", True),
        ("ReLU()()", True), ("a == ReLU()", False),
    ],
)  # fmt: skip
def test_text_of_a_network_or_of_a_layer(text: str, several: bool) -> None:
    assert is_network_text(text) == several


@pytest.mark.parametrize(
    "text", ["net.py", "folder/net.txt", "model.onnx", "model.pt", "model.pt2", "model.pth", "net.py:Model", "net:Model",
             "package.net:model.encoder", " net.py "]
)  # fmt: skip
def test_files_and_code_are_not_read(text: str) -> None:
    with pytest.raises(ParseError, match="looks like a file or a model's name"):
        subject_of(text)


@pytest.mark.parametrize("text", ["net.pyc", "net", "a.b"])
def test_other_words_are_no_files(text: str) -> None:
    with pytest.raises(ParseError, match=r"unknown layer|expected the name of a layer"):
        subject_of(text)


def test_a_network_of_anything(torch: ModuleType) -> None:
    layer, net = ca.parse("ReLU()"), ca.parse_network("ReLU(); Tanh()")
    assert network_of(net) is net
    assert [node.layer for node in network_of(layer).nodes] == [layer]
    assert network_of("ReLU(); Tanh()") == net
    module = torch.nn.Linear(3, 4)
    assert is_module(module)
    assert not is_module(torch.zeros(3))
    assert subject_of(module) == ca.parse("Linear(3, 4)")
    for thing in (3, None, b"ReLU()", torch.zeros(3)):
        with pytest.raises(ca.ParameterError, match=f"{type(thing).__name__} is neither a layer nor a network"):
            subject_of(thing)


def test_no_module_exists_before_torch_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    assert not is_module("anything")
    monkeypatch.delitem(sys.modules, "torch")
    assert not is_module("anything")


def test_a_missing_package_is_named() -> None:
    assert require("math").gcd(12, 18) == 6
    for module, package in (("no_such_package", "no_such_package"), ("no_such_package.part", "no_such_package")):
        with pytest.raises(ca.MissingDependencyError, match=f"{package} is not installed: run  pip install {package}"):
            require(module)


@pytest.mark.parametrize("package", sorted(INSTALLED_BY))
def test_an_extra_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it is an ImportError
    with pytest.raises(ca.MissingDependencyError, match="is not installed: run  pip install ") as caught:
        require(f"{package}.anything")
    assert f"pip install {INSTALLED_BY[package]}  in this environment" in str(caught.value)


def test_the_packages_are_those_that_are_asked_for() -> None:
    for ask, name in ((require_numpy, "numpy"), (require_scipy, "scipy.sparse"), (require_torch, "torch")):
        pytest.importorskip(name)
        assert ask() is sys.modules[name]


def test_an_error_has_a_place() -> None:
    error = ParseError("no layer")
    assert (error.line, error.column, error.message) == (1, 1, "no layer")
    assert str(error) == "line 1, column 1: no layer"
    later = ParseError("no layer", 3, 7)
    assert (later.line, later.column, str(later)) == (3, 7, "line 3, column 7: no layer")
    assert isinstance(error, ca.ConvarithError | ValueError)
