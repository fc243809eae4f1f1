"""convarith solve: the inverse of shape."""

import re
from typing import Annotated, Any

import typer

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import SpatialLayer
from convarith.sizes.normalise import read_sizes, times
from convarith.solving import find, searched_values
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.networks import is_network
from convarith_cli.options import (
    Json,
    LayerArgument,
    command_app,
    flag_of,
    kind_of,
    layer_options,
    read_layer,
    read_value,
)

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
        str, typer.Option("--output", "-o", metavar="SIZE", help="Output size: 14, or 14x15 one an axis.")
    ],
    layer: LayerArgument = "conv",
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: search the parameters that lead from it to the output.",
        ),
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many solutions to show; --json has them all.")] = 10,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """What a size leaves open.

    Without --input: every input size that gives the output. With --input: the parameters that lead from one size to
    the other, simplest first; options fix them (-k 3) or bound them (-k 2..5).
    """
    wanted = read_sizes(output_size, "--output")
    if is_network(layer) and not given:
        if input_size is not None:
            raise ParameterError("a network has its parameters: leave --input out to ask for its inputs")
        return _of_network(layer, wanted, as_json)
    if input_size is None:
        return _inputs(layer, given, wanted, as_json)
    return _parameters(layer, given, read_sizes(input_size, "--input"), wanted, most, as_json)


def _inputs(text: str, given: dict[str, Any], wanted: tuple[int, ...], as_json: bool) -> Answer:
    layer = read_layer(text, given)
    if not isinstance(layer, SpatialLayer):
        raise ParameterError(f"{layer.name} mixes channels with positions: it has no size to solve for")
    if layer.ndim is not None and len(wanted) == 1:
        wanted = wanted * layer.ndim
    ranges = layer.inputs_for(wanted)
    data = {
        "layer": str(layer),
        "output_size": list(wanted),
        "solutions": [{"first": sizes.first, "last": sizes.last, "step": sizes.step} for sizes in ranges],
    }
    same = len(set(ranges)) == 1
    lines = [("input" if same else f"axis {axis}", str(sizes)) for axis, sizes in enumerate(ranges)]
    title = f"{layer}: which inputs give {times(wanted)}?"
    return Answer(data, [title, Facts(lines[:1] if same else lines)], as_json=as_json)


def _of_network(text: str, wanted: tuple[int, ...], as_json: bool) -> Answer:
    from convarith_cli.networks import read_network
    from convarith_cli.trace import size_maps

    network = read_network(text, None)
    maps = size_maps(network, None)
    if not maps:
        raise ParameterError("the network has no spatial axes to solve for")
    if len(wanted) == 1:
        wanted = wanted * len(maps)
    if len(wanted) != len(maps):
        raise ParameterError(f"the network has {len(maps)} spatial axes, got {len(wanted)} sizes: {times(wanted)}")
    lines, solutions = [], []
    for (name, sizes), size in zip(maps, wanted, strict=True):
        found = sizes.inputs_for(size)
        if not found:
            raise ShapeError(f"no input gives an output of {size}, as {name} becomes {sizes.formula(name)}")
        lines.append((name, found.words(name).removeprefix(f"{name} = ")))
        solutions.append([{"first": run.first, "last": run.last, "step": run.step} for run in found.runs])
    data = {"layer": str(network), "output_size": list(wanted), "solutions": solutions}
    return Answer(data, [f"Which inputs give {times(wanted)}?", Facts(lines)], as_json=as_json)


def _parameters(
    text: str, given: dict[str, Any], sizes: tuple[int, ...], wanted: tuple[int, ...], most: int, as_json: bool
) -> Answer:
    if "(" in text:
        raise ParameterError(f"{text} has its parameters: give a kind such as conv to search for others")
    kind, ndim = kind_of(text)
    axes = ndim or max(len(sizes), len(wanted))
    sizes, wanted = (size * axes if len(size) == 1 else size for size in (sizes, wanted))
    bounds = {name: _bound(name, value) for name, value in given.items()}
    found = find(kind, sizes, wanted, **bounds)
    data = {
        "kind": kind,
        "input_size": list(sizes),
        "output_size": list(wanted),
        "solutions": [
            {"layer": str(solution.layer), "even_overlap": solution.even, "unread": list(solution.unread)}
            for solution in found
        ],
    }
    title = f"{kind}: {times(sizes)} -> {times(wanted)}, {len(found)} solution{'s' if len(found) != 1 else ''}"
    blocks: list[Block] = [title]
    if found:
        rows = [
            (str(number), str(solution.layer), "even" if solution.even else "uneven", times(solution.unread))
            for number, solution in enumerate(found[:most], 1)
        ]
        blocks.append(Table(("", "layer", "transposed overlap", "unread"), rows, numbers=("", "unread")))
        if len(found) > most:
            blocks.append(f"{len(found) - most} more: --most {len(found)}")
    else:
        searched = ", ".join(_range(name, values) for name, values in searched_values(kind, bounds).items())
        blocks.append(f"None within {searched}: widen a bound, as in -k 1..15.")
    return Answer(data, blocks, as_json=as_json)


def _range(name: str, values: list[Any]) -> str:
    label = flag_of(name).removeprefix("--")
    if values[-1] is None:
        return f"{_range(name, values[:-1])} or the kernel"
    return f"{label} {values[0]}" if len(values) == 1 else f"{label} {values[0]}..{values[-1]}"


def _bound(name: str, text: Any) -> Any:
    """3 fixes a parameter, 2..5 bounds it."""
    if isinstance(text, str) and (match := re.fullmatch(r"(\d+)\.\.(\d+)", text)):
        return tuple(int(number) for number in match.groups())
    value = read_value(name, text)
    if isinstance(value, tuple):
        raise ParameterError(f"{flag_of(name)} {text}: a search takes one value for every axis, or bounds as in 2..5")
    return value
