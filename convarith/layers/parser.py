"""Parse text to a layer: a call, or torch's repr of a module, including old forms. The text is never executed."""

import ast
import re
import warnings
from typing import Any

from convarith.errors import ConvarithError, ParseError
from convarith.layers.base import Layer
from convarith.layers.registry import build, resolve
from convarith.sizes.normalise import counted, nearest

_OLD_LINEAR = re.compile(r"\(\s*(\d+)\s*->\s*(\d+)\s*\)")
_OLD_INPLACE = re.compile(r"\binplace(?=\s*\))")
_BARE_WORDS = {
    "same", "valid", "zeros", "reflect", "replicate", "circular", "none", "tanh",
    "nearest", "linear", "bilinear", "bicubic", "trilinear", "area",
}  # fmt: skip
"""Words that torch's reprs print without quotes, as in padding=same."""


MOST_BITS = 10_000
"""Products with more bits are rejected: Python does not print integers of more than 4300 digits."""


def parse(text: str) -> Layer:
    """Parse one layer.

    Accepts a call with torch's argument order and names, with or without `nn.` or `torch.nn.`, and torch's repr of a
    module, including the forms of its first versions: `ReLU (inplace)`, `Linear (784 -> 5)`. Arguments are read as
    literals; nothing in the text is executed.

    Raises ParseError (with line and column) if the text is not a layer or its parameters are invalid.

    >>> parse("nn.Conv2d(1, 16, 3, stride=2)")
    Conv2d(1, 16, 3, stride=2)
    >>> parse("Conv2d(1, 32, kernel_size=(5, 5), stride=(1, 1))")
    Conv2d(1, 32, 5)
    >>> parse("ReLU (inplace)")
    ReLU(inplace=True)
    """
    try:
        return parse_call(read_expression(text), text)
    except RecursionError:
        raise ParseError(f"{_shown(text)} is nested too deeply to be a layer") from None


def read_expression(text: str, line: int = 1, column: int = 1) -> ast.expr:
    """Parse one call that starts at this line and column; positions in the tree are those in the whole text."""
    source = _OLD_LINEAR.sub(lambda match: match.group().replace("->", ", "), text)
    source = _OLD_INPLACE.sub("inplace=True", source)  # of ReLU (inplace) and ELU (alpha=1.0, inplace)
    *above, indent = source[: len(source) - len(source.lstrip())].split("\n")
    line, column = line + len(above), (1 if above else column) + len(indent)
    source = source.strip()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as the one about a stray backslash in a string
            tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, MemoryError) as error:
        row, offset = (error.lineno or 1, error.offset or 1) if isinstance(error, SyntaxError) else (1, 1)
        at = (line + row - 1, max(offset, 1) + (column - 1 if row == 1 else 0))
        raise ParseError(f"{_shown(text)} is not a layer: write a call such as Conv2d(1, 16, 3)", *at) from None
    if (line, column) != (1, 1) or not source.isascii():
        rows = [row.encode() for row in re.split(r"\r\n?|\n", source)]
        for node in ast.walk(tree):
            if isinstance(node, (ast.expr, ast.keyword)):
                letters = len(rows[node.lineno - 1][: node.col_offset].decode())  # the tree counts bytes
                node.col_offset = letters + (column - 1 if node.lineno == 1 else 0)
                node.lineno += line - 1
    return tree


def parse_call(call: ast.expr, text: str) -> Layer:
    """Build the layer from the syntax tree of a call; `text` is what the user wrote, for messages."""
    if isinstance(call, (ast.Name, ast.Attribute)):  # a bare class: its parameters may all have defaults
        call = ast.Call(func=call, args=[], keywords=[], lineno=call.lineno, col_offset=call.col_offset)
    if not isinstance(call, ast.Call):
        raise _error(f"{_shown(text)} is not a layer: write a call such as Conv2d(1, 16, 3)", call)
    name = _dotted(call.func)
    try:
        _, _, _, parameters = resolve(name)
    except KeyError:
        from convarith.layers.registry import all_names

        raise _error(f"unknown layer {name!r}: {nearest(name, all_names())}", call) from None
    arguments = _arguments(name, call, parameters)
    try:
        return build(name, arguments)
    except ParseError:
        raise
    except ConvarithError as error:
        raise _error(str(error), call) from None


def _dotted(node: ast.expr) -> str:
    """Return 'Conv2d' for Conv2d, nn.Conv2d or torch.nn.Conv2d; anything else raises ParseError."""
    if isinstance(node, ast.Name):
        return node.id
    parts: list[str] = []
    inner: ast.expr = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        parts.append(inner.id)
        if tuple(reversed(parts[1:])) in (("nn",), ("torch", "nn"), ("ca",), ("convarith",)):
            return parts[0]
    raise _error("expected the name of a layer, such as Conv2d, nn.Conv2d or torch.nn.Conv2d", node)


def _arguments(name: str, call: ast.Call, parameters: tuple[str, ...]) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if name == "Identity":  # torch's Identity takes anything and ignores it
        return {}
    if len(call.args) > len(parameters):
        raise _error(
            f"{name} takes at most {counted(len(parameters), 'argument')}, got {len(call.args)}",
            call.args[len(parameters)],
        )
    for parameter, node in zip(parameters, call.args, strict=False):
        arguments[parameter] = _literal(node)
    for keyword in call.keywords:
        if keyword.arg is None:
            raise _error("** is not supported: write the arguments out", keyword.value)
        word = keyword.arg
        if word == "size" and "kernel_size" in parameters and "Pool" in name:
            word = "kernel_size"  # the first versions' MaxPool2d (size=(2, 2), ...)
        if word in arguments:
            raise _error(f"{name} got {word} twice", keyword)
        if word not in parameters and word not in ("device", "dtype"):
            raise _error(f"{name} has no parameter {word!r}: {nearest(word, parameters)}", keyword)
        arguments[word] = None if word in ("device", "dtype") else _literal(keyword.value)
    return {word: value for word, value in arguments.items() if word in parameters}


def _literal(node: ast.expr) -> Any:
    """The value of a literal: numbers, strings, True, False, None, tuples, lists, torch.Size([...])."""
    if isinstance(node, ast.Constant) and not isinstance(node.value, (bytes, complex)) and node.value is not ...:
        return node.value
    if isinstance(node, (ast.Tuple, ast.List)):
        return tuple(_literal(element) for element in node.elts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _literal(node.operand)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in _BARE_WORDS:
        return node.id
    if isinstance(node, ast.Name) and node.id in ("inf", "nan"):
        return float(node.id)
    if isinstance(node, ast.Call) and len(node.args) == 1:
        maker = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", None)
        if maker == "Size":  # torch.Size([64, 7, 7])
            return _literal(node.args[0])
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):  # such as 28*28
        left, right = _literal(node.left), _literal(node.right)
        if type(left) is int and type(right) is int and left.bit_length() + right.bit_length() < MOST_BITS:
            return left * right
    raise _error("expected a number, a string or a tuple: other values are not supported", node)


def _error(message: str, node: ast.expr | ast.keyword) -> ParseError:
    return ParseError(message, node.lineno, node.col_offset + 1)


def _shown(text: str) -> str:
    """Quote the text for a message, on one line and shortened."""
    short = " ".join(text.split())
    return repr(short if len(short) <= 60 else short[:57] + "...")
