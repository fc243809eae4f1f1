"""Which one-token changes of a Python file are tried, and where each stands.

Nothing is changed that no test is meant to notice: docstrings and other strings, annotations, imports for type checkers,
`__all__`, what stands inside an f-string or behind `raise`, which is the wording of a message, and the `strict` of a
zip, which guards against a mistake in the program itself.
"""

from __future__ import annotations

import ast
import io
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "/"),
    ast.Div: ("/", "//"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.BitXor: ("^", "&"),
}
COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
FUNCTIONS = {"min": "max", "max": "min", "any": "all", "all": "any"}
TYPES = {"cast", "TypeVar", "NewType"}
"""Calls whose first argument is a type."""
CACHES = {"lru_cache", "cache"}
"""Decorators whose numbers change only the speed."""

Place = tuple[int, int]
"""A line, from 1, and a character in it, from 0."""


@dataclass(frozen=True)
class Mutant:
    """One token of one file, replaced."""

    file: str
    """The path from the project's folder, with /."""
    start: Place
    end: Place
    old: str
    new: str
    lines: tuple[int, int]
    """The first and the last line of the statement, or of its head: a test that runs one of them may notice."""
    imported: bool
    """It runs when the module is imported: any test that uses the module may notice."""
    source: str
    """The line of code, without its indentation."""
    at: int
    """Which of the same changes in the same line, and in the lines that read the same, from 1."""

    @property
    def mutation(self) -> str:
        """The change in words: `< -> <=`."""
        return f"{self.old} -> {self.new or '(nothing)'}"

    @property
    def name(self) -> str:
        """What says which mutant this is, whatever happens to the lines above it."""
        return f"{self.file}: {self.source}: {self.mutation}: {self.at}"

    def applied(self, text: str) -> str:
        """The text of the file, changed."""
        lines = text.splitlines(keepends=True)
        (first, left), (last, right) = self.start, self.end
        changed = lines[first - 1][:left] + self.new + lines[last - 1][right:]
        return "".join((*lines[: first - 1], changed, *lines[last:]))


def mutants_of(folder: Path, file: Path) -> list[Mutant]:
    """Every mutant of a file, in the order of the file."""
    text = file.read_text(encoding="utf-8")
    finder = _Finder(text)
    finder.visit(ast.parse(text))
    seen: Counter[tuple[str, str, str]] = Counter()
    found = []
    for start, end, old, new, lines, imported in sorted(finder.found):
        source = finder.lines[start[0] - 1].strip()
        seen[source, old, new] += 1
        at = seen[source, old, new]
        name = file.relative_to(folder).as_posix()
        found.append(Mutant(name, start, end, old, new, lines, imported, source, at))
    return found


class _Finder(ast.NodeVisitor):
    def __init__(self, text: str) -> None:
        self.lines = text.splitlines()
        self.found: list[tuple[Place, Place, str, str, tuple[int, int], bool]] = []
        self.statement = (1, 1)
        self.imported = True
        words = tokenize.generate_tokens(io.StringIO(text).readline)
        self.tokens = [token for token in words if token.type in (tokenize.OP, tokenize.NAME)]

    # Where things stand

    def place(self, line: int, offset: int) -> Place:
        """ast counts bytes, text and tokenize count characters."""
        return line, len(self.lines[line - 1].encode()[:offset].decode())

    def start(self, node: ast.expr) -> Place:
        return self.place(node.lineno, node.col_offset)

    def end(self, node: ast.expr) -> Place:
        return self.place(node.end_lineno or node.lineno, node.end_col_offset or 0)

    def replace(self, start: Place, end: Place, old: str, new: str) -> None:
        self.found.append((start, end, old, new, self.statement, self.imported))

    def replace_between(self, start: Place, end: Place, old: str, new: str) -> None:
        """Replace the words `old`, which stand somewhere between two places."""
        words = old.split()
        between = [token for token in self.tokens if start <= token.start and token.end <= end]
        for index in range(len(between)):
            run = between[index : index + len(words)]
            if [token.string for token in run] == words:
                self.replace(run[0].start, run[-1].end, old, new)
                return

    # Statements: which lines say that a statement was run, and when that is

    def visit(self, node: ast.AST) -> None:
        if not isinstance(node, ast.stmt):
            super().visit(node)
            return
        body = getattr(node, "body", None)
        last = node.end_lineno or node.lineno
        outer, self.statement = self.statement, (node.lineno, max(node.lineno, body[0].lineno - 1) if body else last)
        super().visit(node)
        self.statement = outer

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        self.later(*node.body)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        outer, self.statement = self.statement, (node.lineno, node.end_lineno or node.lineno)
        self.later(node.body)
        self.statement = outer

    def later(self, *nodes: ast.AST) -> None:
        outer, self.imported = self.imported, False
        for node in nodes:
            self.visit(node)
        self.imported = outer

    # What is left alone

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None and ast.unparse(node.annotation) != "TypeAlias":
            self.visit(node.value)

    def visit_Assign(self, node: ast.Assign) -> None:
        names = {target.id for target in node.targets if isinstance(target, ast.Name)}
        alias = isinstance(node.value, ast.Subscript) and self.imported
        if not names & {"__all__", "__version__"} and not alias:
            self.generic_visit(node)

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'"):
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        pass

    def visit_Assert(self, node: ast.Assert) -> None:
        self.visit(node.test)

    # What is changed

    def visit_BinOp(self, node: ast.BinOp) -> None:
        old, new = OPERATORS.get(type(node.op), ("", ""))
        text = any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (node.left, node.right))
        alias = isinstance(node.op, ast.BitOr) and self.imported
        if old and not text and not alias:
            self.replace_between(self.end(node.left), self.start(node.right), old, new)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        old, new = OPERATORS.get(type(node.op), ("", ""))
        if old and not isinstance(node.value, ast.JoinedStr) and not _is_text(node.value):
            self.replace_between(self.end(node.target), self.start(node.value), f"{old}=", f"{new}=")
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        sides = [node.left, *node.comparators]
        for left, operator, right in zip(sides, node.ops, sides[1:], strict=False):
            self.replace_between(self.end(left), self.start(right), *COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        old, new = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        self.replace_between(self.end(node.values[0]), self.start(node.values[1]), old, new)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, (ast.Not, ast.USub)):
            old = "not" if isinstance(node.op, ast.Not) else "-"
            self.replace_between(self.start(node), self.start(node.operand), old, "")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self.replace(self.start(node), self.end(node), str(value), str(not value))
        elif isinstance(value, int):
            (line, left), (_, right) = self.start(node), self.end(node)
            old = self.lines[line - 1][left:right]
            for other in (value + 1, value - 1) if value else (1,):
                self.replace((line, left), (line, right), old, str(other))

    def visit_Call(self, node: ast.Call) -> None:
        name = ast.unparse(node.func).rpartition(".")[2]
        if name in CACHES:
            return
        if isinstance(node.func, ast.Name) and name in FUNCTIONS:
            self.replace(self.start(node.func), self.end(node.func), name, FUNCTIONS[name])
        self.visit(node.func)
        for argument in node.args[1:] if name in TYPES else node.args:
            if not (name == "isinstance" and argument is node.args[-1]):
                self.visit(argument)
        for keyword in node.keywords:
            if keyword.arg != "strict":
                self.visit(keyword.value)

    def visit_Return(self, node: ast.Return) -> None:
        value = node.value
        if value is not None and not (isinstance(value, ast.Constant) and value.value is None):
            start, end = self.start(value), self.end(value)
            old = self.lines[start[0] - 1][start[1] : end[1] if end[0] == start[0] else None]
            self.replace(start, end, old, "None")
            self.visit(value)

    def visit_Break(self, node: ast.Break) -> None:
        self.replace((node.lineno, node.col_offset), (node.lineno, node.col_offset + 5), "break", "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self.replace((node.lineno, node.col_offset), (node.lineno, node.col_offset + 8), "continue", "break")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def files_of(folder: Path) -> Iterator[Path]:
    """The Python files of a package, in order."""
    yield from sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
