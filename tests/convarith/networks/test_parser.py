"""The text of a network: where each layer stands, what it reads, and what is refused.

- A layer's place is where its call stands, in every form of the text and however the text is laid out.
- Names, inputs and containers are those of the text; a repeated block is written out.
- What is not a network is refused at its place.
"""

from __future__ import annotations

import random

import pytest

import convarith as ca
from convarith.networks import parser


def places(net: ca.Network) -> list[tuple[int | None, int | None]]:
    return [(node.line, node.column) for node in net.nodes]


def names(text: str) -> list[str]:
    return [node.name for node in ca.parse_network(text).nodes]


def laid_out(rng: random.Random) -> tuple[str, list[str]]:
    """Layers with blanks, comments, empty statements, names and newlines around them, and the text of each."""
    calls = ["ReLU()", "Conv2d(1,\n  1, 3)", "Sigmoid( )", "MaxPool2d(2, # two; ')'\n\n)", "LeakyReLU(0.5)"]
    text, chosen = "", []
    for number in range(rng.randint(1, 6)):
        text += rng.choice(("", "\n", " \n  \n", ";;", "# a comment; ReLU()\n", "   "))
        text += rng.choice(("", f"n{number}: ", f"n{number}  =  ", f"{number}.a :"))
        chosen.append(rng.choice(calls))
        text += chosen[-1] + rng.choice(("\n", ";", " ; ", "  # the end\n"))
    return text, chosen


def test_a_layer_stands_where_its_call_stands() -> None:
    rng = random.Random(0)
    for _ in range(300):
        text, calls = laid_out(rng)
        lines, at = text.split("\n"), -1
        found = places(ca.parse_network(text))
        assert len(found) == len(calls)
        for (line, column), call in zip(found, calls, strict=True):
            assert line is not None
            assert column is not None
            offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
            assert text[offset:].startswith(call), text
            assert offset > at
            at = offset


def test_layers_stand_where_their_calls_stand_in_code_and_in_print() -> None:
    code = "nn.Sequential(\n  nn.Conv2d(1, 1, 3), nn.ReLU(),\n\n    nn.ReLU())"
    assert places(ca.parse_network(code)) == [(2, 3), (2, 23), (4, 5)]
    printed = "Net(\n  (0): Conv2d(1, 1, 3)\n\n    (act) : ReLU() # at the end\n  2: 2 x ReLU(inplace)\n)"
    assert places(ca.parse_network(printed)) == [(2, 8), (4, 13), (5, 10), (5, 10)]
    assert places(ca.parse_network(str(ca.parse_network(code)))) == [(1, 4), (2, 4), (3, 4)]


def test_names_and_inputs_are_those_of_the_text() -> None:
    net = ca.parse_network("a.b: ReLU(); ReLU(); c = ReLU()(a.b); 7: Add()('a.b', c); Add()(7, input, \"1\")")
    assert [(node.name, node.inputs) for node in net.nodes] == [
        ("a.b", ("input",)), ("1", ("a.b",)), ("c", ("a.b",)), ("7", ("a.b", "c")), ("4", ("7", "input", "1")),
    ]  # fmt: skip


def test_a_layer_without_a_name_has_its_number_or_one_like_it() -> None:
    assert names("1: ReLU(); ReLU(); ReLU()") == ["1", "1_", "2"]
    assert names("2: ReLU(); 2_: ReLU(); ReLU()") == ["2", "2_", "2__"]


def test_members_of_a_sequential_have_its_name_and_read_on() -> None:
    net = ca.parse_network("x: ReLU(); ReLU(); s: Sequential(ReLU(), nn.Sequential(ReLU(), ReLU()))(x)")
    assert [(node.name, node.inputs) for node in net.nodes][2:] == [
        ("s.0", ("x",)), ("s.1.0", ("s.0",)), ("s.1.1", ("s.1.0",)),
    ]  # fmt: skip
    assert names("Sequential(*Sequential(ReLU(), ReLU()), ReLU())") == ["0.0", "0.1", "1"]


def block(repeats: str, member: str = "") -> str:
    inside = member or "ReLU()\n  (y): Sigmoid()"
    return f"Net(\n ({repeats} Block(\n  (x): {inside}\n )\n (end): Tanh()\n)"


def test_a_repeated_block_is_written_out() -> None:
    net = ca.parse_network(block("2-4): 3 x"))
    assert [node.name for node in net.nodes] == ["2.x", "2.y", "3.x", "3.y", "4.x", "4.y", "end"]
    assert net.is_chain
    assert [node.layer.name for node in net.nodes[2:4]] == ["ReLU", "Sigmoid"]
    assert names(block("stem): 2 x")) == ["stem.0.x", "stem.0.y", "stem.1.x", "stem.1.y", "end"]
    assert names(block("0-1): 2 x", "Inner(\n   (0-1): 2 x ReLU()\n  )")) == [
        "0.x.0", "0.x.1", "1.x.0", "1.x.1", "end",
    ]  # fmt: skip
    assert names("Net(\n (0-2): 3 x ReLU()\n)") == ["0", "1", "2"]


def test_a_repeated_block_may_stand_for_so_many_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parser, "MOST_REPEATED", 6)
    assert len(ca.parse_network(block("0-2): 3 x")).nodes) == 7
    with pytest.raises(ca.ParseError, match=r"^line 1, column 1: 0-3 stands for 8 layers: at most 6 are allowed$"):
        ca.parse_network(block("0-3): 4 x"))


def test_parts_whose_connections_are_not_shown_are_a_remark() -> None:
    remark = "the printed model does not show how the parts of {} connect: they are read as a chain"
    assert ca.parse_network(block("a):")).remarks == (remark.format("Block, Net"),)
    assert ca.parse_network(block("a):", "ReLU()")).remarks == (remark.format("Net"),)
    for chain in ("Sequential", "nn.Sequential", "ModuleList"):
        text = block("a):").replace("Block", chain).replace("Net", chain)
        assert ca.parse_network(text).remarks == ()
    with pytest.raises(ca.ShapeError, match=r"works has H = 3 \(the printed model .* of Net .* a chain\)$"):
        ca.parse_network("Net(\n(0): Conv2d(1, 1, 3)\n(1): ReLU()\n)").output_shape((1, 2, 9))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Net(\n (x): ReLU()\n", "line 3, column 1: the text ends while a container is open: ')' is missing"),
        (
            "Net(\n (x): Block(\n (y): ReLU()",
            "line 3, column 1: the text ends while 2 containers are open: ')' is missing",
        ),
        (
            "Net(\n (x): ReLU()\n)\n\n   Net(",
            "line 5, column 4: the model ended before this line: give one model at a time",
        ),
        ("Net(\n (x): ReLU()\n)\n  )", "line 4, column 3: this ')' has no matching '('"),
        (
            "Net(\n  foo bar\n (x): ReLU()\n)",
            "line 2, column 3: 'foo bar' is neither a layer nor the start or end of a container",
        ),
        (
            f"Net(\n{'f ' * 29}ff\n (x): ReLU()\n)",
            f"line 2, column 1: '{'f ' * 29}ff' is neither a layer nor the start or end of a container",
        ),
        (
            f"Net(\n{'f ' * 30}f\n (x): ReLU()\n)",
            f"line 2, column 1: '{'f ' * 28}f...' is neither a layer nor the start or end of a container",
        ),
        ("ReLU();\n  a: ", "line 2, column 3: 'a:' does not contain a layer"),
        ("ReLU(); ReLU()()", "line 1, column 9: the second parentheses must hold the names of the inputs"),
        ("ReLU()(a=3)", "line 1, column 1: the second parentheses must hold the names of the inputs"),
        ("ReLU()(input, 1.5)", "line 1, column 15: expected the name of a layer or 'input'"),
        ("ReLU()(a[0].b)", "line 1, column 8: expected the name of a layer or 'input'"),
        ("\n Sequential(ReLU(), a=ReLU())", "line 2, column 2: Sequential takes its layers without argument names"),
        ("ReLU()" + "[0]" * 20_000, "line 1, column 1: the text is nested too deeply to be a network"),
    ],
)
def test_what_is_not_a_network_is_refused_at_its_place(text: str, message: str) -> None:
    with pytest.raises(ca.ParseError) as caught:
        ca.parse_network(text)
    assert str(caught.value) == message
