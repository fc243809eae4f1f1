"""convarith solve: the inverse of shape."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer, axis_names
from convarith.layers.registry import class_of_kind
from convarith.sizes.normalise import counted, times
from convarith.solving import find, searched_values
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.conditions import run_data
from convarith_cli.exit_codes import ExitCode
from convarith_cli.named import (
    SubjectArgument,
    names_network,
    read_axes,
    read_input_of_kind,
    read_numbers,
    read_subject,
)
from convarith_cli.options import Json, command_app, flag_of, kind_of, layer_options, read_value

if TYPE_CHECKING:
    from convarith.networks.network import Network

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith solve conv -k 3 -s 2 -o 14          which inputs give 14?
  convarith solve conv -i 28 -o 14              which convolutions lead from 28 to 14?
  convarith solve conv-transpose -i 7x9 -o 14x18 -k 4
  convarith solve max-pool -i 28 -o 9 -k 2..5   kernels from 2 to 5
"""


@app.command(epilog=EXAMPLES)
@layer_options
def solve(
    given: dict[str, Any],
    output_size: Annotated[
        str, typer.Option("--output", "-o", metavar="SIZE", help="Output size: 14, or one per axis: 14x15.")
    ],
    layer: SubjectArgument = "conv",
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: search for the parameters that lead from it to the output.",
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, help="How many solutions to show; --json always lists all of them.")
    ] = 10,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """Find input sizes for an output, or layers between two sizes.

    Without --input: every input size that gives the output. With --input: the parameters that lead from one size to
    the other, simplest first; options fix them (-k 3) or bound them (-k 2..5). Exit code 1 if there is no solution.
    """
    wanted = read_numbers(output_size, "--output")
    if input_size is not None and "(" not in layer and (given or not names_network(layer)):
        answer = _parameters(layer, given, input_size, wanted, most)
    else:
        subject = read_subject(layer, given).subject
        if input_size is not None:
            what = layer if isinstance(subject, Layer) else "a network"
            raise ParameterError(
                f"{what} has its parameters already: leave --input out to find its inputs, or give a kind such as "
                "conv to search for layers"
            )
        answer = _inputs(subject, wanted) if isinstance(subject, Layer) else _of_network(subject, wanted)
    exit_code = ExitCode.ANSWERED if answer.data["solutions"] else ExitCode.FOUND
    return answer._replace(as_json=as_json, exit_code=exit_code)


def _inputs(layer: Layer, wanted: tuple[int, ...]) -> Answer:
    """Every input size of a layer that gives the output."""
    if not isinstance(layer, SpatialLayer):
        raise ParameterError(f"{layer.name} mixes channels with positions, so it has no input size to solve for")
    if layer.ndim is not None:
        wanted = read_axes(wanted, layer.ndim, layer.name, "-o").sizes or ()
    reason = None
    try:
        runs = layer.inputs_for(wanted)
    except ShapeError:
        reason = _why_none(layer, wanted)
        if reason is None:
            raise
        runs = ()
    names = ["input"] if len(set(runs)) == 1 else axis_names(len(runs))
    facts = list(zip(names, map(str, runs), strict=False))
    solutions = [run_data(run) for run in runs]
    return _answer(f"{layer}: which inputs give {times(wanted)}?", str(layer), wanted, solutions, facts, reason)


def _why_none(layer: SpatialLayer, wanted: tuple[int, ...]) -> str | None:
    """Why no input gives this output; None if something else is wrong with the question."""
    for axis, (rule, size) in enumerate(zip(layer.rules(len(wanted)), wanted, strict=True)):
        if rule.inputs_for(size) is None:
            where = f" along {axis_names(len(wanted))[axis]}" if len(wanted) > 1 else ""
            return f"no input gives an output of {size}{where}, as o = {rule.formula()}"
    return None


def _of_network(network: "Network", wanted: tuple[int, ...]) -> Answer:
    """Every input size of a network that gives the output."""
    from convarith_cli.size_maps import size_maps

    maps = size_maps(network, None)
    if not maps:
        raise ParameterError("the network has no spatial axes to solve for")
    wanted = read_axes(wanted, len(maps), "the network", "-o").sizes or ()
    facts: list[tuple[str, str]] = []
    solutions: list[list[dict[str, int | None]]] = []
    reason = None
    for (name, sizes), size in zip(maps, wanted, strict=True):
        found = sizes.inputs_for(size)
        if not found:
            reason = f"no input gives an output of {size} along {name}, as {name} becomes {sizes.formula(name)}"
            solutions = []
            break
        facts.append((name, found.words(name).removeprefix(f"{name} = ")))
        solutions.append([run_data(run) for run in found.runs])
    return _answer(f"Which inputs give {times(wanted)}?", str(network), wanted, solutions, facts, reason)


def _answer(
    title: str, layer: str, wanted: tuple[int, ...], solutions: Sequence[object], facts: list[tuple[str, str]],
    reason: str | None,
) -> Answer:  # fmt: skip
    data = {"layer": layer, "output_size": list(wanted), "solutions": list(solutions), "reason": reason}
    if reason is None:
        return Answer(data, [title, Facts(facts)])
    return Answer(data, [title, f"None: {reason}."])


def _parameters(
    text: str, given: dict[str, Any], input_size: str, wanted: tuple[int, ...], most: int
) -> Answer:  # fmt: skip
    """The layers of a kind that lead from one size to the other."""
    kind, ndim = kind_of(text)
    sizes = read_input_of_kind(kind, ndim, class_of_kind(kind).dimensions, input_size).sizes or ()
    axes = ndim or max(len(sizes), len(wanted))
    if len(wanted) > 1 and ndim is not None:
        wanted = read_axes(wanted, ndim, f"{kind}{ndim}d", "-o").sizes or ()
    sizes, wanted = (size * axes if len(size) == 1 else size for size in (sizes, wanted))
    bounds = {name: _bound(name, value) for name, value in given.items()}
    found = find(kind, sizes, wanted, **bounds)
    data = {
        "kind": kind,
        "input_size": list(sizes),
        "output_size": list(wanted),
        "solutions": [
            {"layer": str(solution.layer), "even": solution.even, "unread": list(solution.unread)} for solution in found
        ],
        "reason": None,
    }
    blocks: list[Block] = [f"{kind}: {times(sizes)} -> {times(wanted)}, {counted(len(found), 'solution')}"]
    if found:
        rows = [
            (str(number), str(solution.layer), "even" if solution.even else "uneven", times(solution.unread))
            for number, solution in enumerate(found[:most], 1)
        ]
        blocks.append(Table(("", "layer", "transposed overlap", "unread"), rows, numbers=("", "unread")))
        if len(found) > most:
            blocks.append(f"{len(found) - most:,} more: show them with --most {len(found)}")
    else:
        searched = ", ".join(_range(name, values) for name, values in searched_values(kind, bounds).items())
        data["reason"] = f"no solution within {searched}"
        blocks.append(f"No solution within {searched}: widen a bound, for example -k 1..15.")
    return Answer(data, blocks)


def _range(name: str, values: list[Any]) -> str:
    label = flag_of(name).removeprefix("--")
    if values[-1] is None:
        return f"{_range(name, values[:-1])} or the kernel size"
    return f"{label} {values[0]}" if len(values) == 1 else f"{label} {values[0]}..{values[-1]}"


def _bound(name: str, text: Any) -> Any:
    """3 fixes a parameter, 2..5 bounds it."""
    if isinstance(text, str) and (match := re.fullmatch(r"(\d+)\.\.(\d+)", text)):
        return tuple(int(number) for number in match.groups())
    value = read_value(name, text)
    if isinstance(value, tuple):
        raise ParameterError(f"{flag_of(name)} {text}: a search takes one value for every axis, or bounds as in 2..5")
    return value
