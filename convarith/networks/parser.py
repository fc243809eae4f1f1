"""Parse text to a network. The text is never executed.

There are three forms:

- what print(model) shows, with nested containers and their names, including the forms of torch's first versions;
- one layer per line or separated by ';', with comments after '#'. A line may give the layer a name
  (`skip: Conv2d(1, 8, 3)`) and the names of its inputs (`Concat()(skip, up)`, where 'input' is the network's own
  input); by default a layer reads the line before;
- `nn.Sequential(...)` as code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from convarith.errors import ParseError
from convarith.layers.base import Layer
from convarith.layers.parser import parse_call, read_expression
from convarith.networks.network import INPUT, Network, Node

_OPENING = re.compile(
    r"^(?:(?:\((?P<named>[^()]*)\)|(?P<bare>\w+))\s*:\s*)?(?:(?P<times>\d+)\s*x\s*)?(?P<cls>[\w.]+)\s*\($"
)
"""A line that opens a container: `(encoder): Sequential(`, `AutoEncoder (`, `(0-2): 3 x Block(`."""
_PART = re.compile(
    r"^(?:\((?P<named>[^()]*)\)|(?P<bare>\w+))\s*:\s*(?:(?P<times>\d+)\s*x\s*)?(?P<call>[\w.]+\s*(?:\(.*\)?)?)$"
)
"""A line of a container: `(0): Conv2d(1, 32, kernel_size=(5, 5))`."""
_LINE = re.compile(r"^(?:(?P<name>[A-Za-z_][\w.]*|\d[\w.]*)\s*[:=]\s*(?!=))?(?P<call>.*)$", re.DOTALL)
"""A line of the plain form: a call, with an optional name before it."""

CHAINS = ("Sequential", "ModuleList")
"""Containers whose members run in sequence."""

MOST_REPEATED = 1_000_000
"""The largest number of layers that `3 x Block(...)` may stand for."""


def parse_network(text: str) -> Network:
    """Parse a network: what print(model) shows, one layer per line, or nn.Sequential(...).

    Raises ParseError with line and column if the text is not a network, ParameterError for names that are unknown,
    used twice or form a cycle.

    >>> net = parse_network('''
    ... AutoEncoder (
    ...   (encoder): Sequential (
    ...     (0): Conv2d(1, 32, kernel_size=(5, 5), stride=(1, 1))
    ...     (1): ReLU (inplace)
    ...   )
    ...   (decoder): Sequential (
    ...     (0): ConvTranspose2d(32, 1, kernel_size=(5, 5), stride=(1, 1))
    ...   )
    ... )
    ... ''')
    >>> [node.name for node in net.nodes], net.output_shape((1, 28, 28))
    (['encoder.0', 'encoder.1', 'decoder.0'], (1, 28, 28))
    >>> parse_network("a: Conv2d(1, 8, 3, padding=1); b: Conv2d(1, 8, 1)(input); Add()(a, b)").output_shape((1, 28, 28))
    (8, 28, 28)
    """
    try:
        lines = text.split("\n")
        contents = [line.strip() for line in lines]
        if any(map(_OPENING.match, contents)) and any(map(_PART.match, contents)):
            return _printed(lines)
        return _written(text)
    except RecursionError:
        raise ParseError("the text is nested too deeply to be a network") from None


# What print(model) shows ---------------------------------------------------------------------------------------------


@dataclass
class _Container:
    """An open container: its path, its class, how often it is repeated, and the index of its first node."""

    path: tuple[str, ...]
    cls: str
    repeats: int
    start: int
    members: int = 0


class _Printed:
    """A reader of what print(model) shows, line by line."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.open: list[_Container] = []
        self.guessed: dict[str, None] = {}
        self.known: dict[str, Layer] = {}
        self.begun = False

    def line(self, content: str, number: int, column: int) -> None:
        """Read one line, without its indentation."""
        if content == ")":
            self.close(number, column)
            return
        if self.open:
            self.open[-1].members += 1
        elif self.begun:
            raise ParseError("the model ended before this line: give one model at a time", number, column)
        self.begun = True
        match = _OPENING.match(content) or _PART.match(content)
        if match is None:
            raise ParseError(
                f"{_short(content)} is neither a layer nor the start or end of a container", number, column
            )
        given = match["named"] if match["named"] is not None else match["bare"]
        path = (self.open[-1].path if self.open else ()) + ((given,) if given else ())
        repeats = int(match["times"] or 1)
        if match.re is _OPENING:
            self.open.append(_Container(path, match["cls"].rpartition(".")[2], repeats, len(self.nodes)))
            return
        at = column + match.start("call")
        layer = self.known.get(match["call"])
        if layer is None:
            layer = self.known[match["call"]] = parse_call(read_expression(match["call"], number, at), match["call"])
        start = len(self.nodes)
        self.nodes.append(Node(".".join(path), layer, (self.last,), number, at))
        self.repeat(path, repeats, start)

    @property
    def last(self) -> str:
        """The name of the last node, which the next one reads."""
        return self.nodes[-1].name if self.nodes else INPUT

    def close(self, number: int, column: int) -> None:
        """Close the innermost container."""
        if not self.open:
            raise ParseError("this ')' has no matching '('", number, column)
        container = self.open.pop()
        if container.members > 1 and container.cls not in CHAINS:
            self.guessed[container.cls] = None
        self.repeat(container.path, container.repeats, container.start)

    def repeat(self, path: tuple[str, ...], repeats: int, start: int) -> None:
        """Write out `(0-2): 3 x Block(...)`, which torch prints for equal members."""
        if repeats == 1:
            return
        block = self.nodes[start:]
        if repeats * len(block) > MOST_REPEATED:
            count = f"{repeats * len(block):,} layers"
            raise ParseError(f"{'.'.join(path)} stands for {count}: at most {MOST_REPEATED:,} are allowed")
        del self.nodes[start:]
        *before, span = path
        first = span.partition("-")[0]
        for number in range(repeats):
            label = str(int(first) + number) if first.isdigit() else f"{span}.{number}"
            prefix = ".".join([*before, label])
            for node in block:
                name = prefix + node.name[len(".".join(path)) :]
                self.nodes.append(Node(name, node.layer, (self.last,), node.line, node.column))


def _printed(lines: list[str]) -> Network:
    reader = _Printed()
    for number, line in enumerate(lines, 1):
        content = line.split("#")[0].strip()
        if content:
            reader.line(content, number, len(line) - len(line.lstrip()) + 1)
    if reader.open:
        missing = f"{len(reader.open)} containers are" if len(reader.open) > 1 else "a container is"
        raise ParseError(f"the text ends while {missing} open: ')' is missing", len(lines), 1)
    if not reader.nodes:
        raise ParseError("there is no layer in this text")
    names = ", ".join(reader.guessed)
    remark = f"the printed model does not show how the parts of {names} connect: they are read as a chain"
    return Network(tuple(reader.nodes), (remark,) if names else ())


# One layer per line, or code -----------------------------------------------------------------------------------------


def _written(text: str) -> Network:
    nodes: list[Node] = []
    names: set[str] = set()
    before = INPUT
    for statement, line, column in _statements(text):
        match = _LINE.match(statement)
        assert match is not None
        call_text = match["call"].strip()
        offset = column + match.start("call") + len(match["call"]) - len(match["call"].lstrip())
        if not call_text:
            raise ParseError(f"{_short(statement)} does not contain a layer", line, column)
        call = read_expression(call_text, line, offset)
        reads, call = _reads(call)
        for name, layer_call in _members(call):
            layer = parse_call(layer_call, call_text)
            given = match["name"] or ""
            label = ".".join(part for part in (given, name) if part) or _free(str(len(nodes)), names)
            node = Node(label, layer, reads or (before,), layer_call.lineno, layer_call.col_offset + 1)
            reads = ()
            names.add(label)
            nodes.append(node)
            before = label
    if not nodes:
        raise ParseError("there is no layer in this text: write one per line, such as Conv2d(1, 16, 3)")
    return Network(tuple(nodes))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


class _Statement(NamedTuple):
    """One statement without comments, with the line and column of its start, both counted from 1."""

    text: str
    line: int
    column: int


_TOKEN = re.compile(
    r"(?P<comment>#[^\n]*)|(?P<quoted>\"[^\"\n]*\"?|'[^'\n]*'?)|(?P<opens>[(\[{])|(?P<closes>[)\]}])|(?P<ends>[;\n])|[^#\"'()\[\]{};\n]+"
)
"""The pieces of a text that determine where a statement ends."""


def _statements(text: str) -> Iterator[_Statement]:
    """The statements of a text, separated by newlines and ';' outside of brackets and quotes."""
    pieces: list[str] = []
    depth, line, line_begins, start = 0, 1, 0, (1, 1)
    for token in _TOKEN.finditer(text):
        kind, piece = token.lastgroup, token.group()
        depth += (kind == "opens") - (kind == "closes")
        if piece == "\n":
            line, line_begins = line + 1, token.end()
        if kind == "ends" and depth <= 0:
            yield from _trimmed("".join(pieces), *start)
            pieces, depth, start = [], 0, (line, token.end() - line_begins + 1)
        elif kind != "comment":
            pieces.append(piece)
    yield from _trimmed("".join(pieces), *start)


def _trimmed(statement: str, line: int, column: int) -> Iterator[_Statement]:
    """Yield the statement that begins here, without surrounding whitespace; nothing if it is empty."""
    if not statement.strip().strip(","):
        return
    *above, indent = statement[: len(statement) - len(statement.lstrip())].split("\n")
    yield _Statement(statement.strip(), line + len(above), len(indent) + (1 if above else column))


def _reads(call: ast.expr) -> tuple[tuple[str, ...], ast.expr]:
    """The names in `Layer(...)(a, b)`, and the call of the layer itself."""
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Call)):
        return (), call
    if call.keywords or not call.args:
        raise ParseError("the second parentheses must hold the names of the inputs", call.lineno, call.col_offset + 1)
    names = []
    for argument in call.args:
        name = _name(argument)
        if name is None:
            raise ParseError("expected the name of a layer or 'input'", argument.lineno, argument.col_offset + 1)
        names.append(name)
    return tuple(names), call.func


def _name(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, (str, int)):
        return str(node.value)
    if isinstance(node, ast.Attribute) and (before := _name(node.value)) is not None:
        return f"{before}.{node.attr}"
    return None


def _members(call: ast.expr) -> list[tuple[str, ast.expr]]:
    """The layers of a (nested) nn.Sequential(...) with their dotted numbers; any other call is a single layer."""
    if not (isinstance(call, ast.Call) and _last_word(call.func) == "Sequential"):
        return [("", call)]
    if call.keywords:
        raise ParseError("Sequential takes its layers without argument names", call.lineno, call.col_offset + 1)
    members: list[tuple[str, ast.expr]] = []
    for number, argument in enumerate(call.args):
        inner = argument.value if isinstance(argument, ast.Starred) else argument
        members += [(f"{number}.{name}" if name else str(number), each) for name, each in _members(inner)]
    return members


def _last_word(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")
