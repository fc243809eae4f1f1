"""convarith shape: the size a layer gives, its formula, what the size does next, and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith.errors import ConvarithError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.layers.window import WindowLayer
from convarith.sizes.normalise import read_sizes, times
from convarith.sizes.rules import AxisRule
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.networks import is_network
from convarith_cli.options import Json, LayerArgument, command_app, layer_options, read_layer

if TYPE_CHECKING:
    from convarith.sizes.sets import SizeRange
    from convarith.sizes.size_map import SizeMap

app = command_app()

USUAL_SIZES = (28, 32, 64, 128, 224, 256, 512, 1024)
"""Sizes that people ask about, shown beside the first ones that a layer takes."""

EXAMPLES = """
\b
Examples:
  convarith shape --kernel 3 --stride 2
  convarith shape -k 3 -s 2 -p 1 -i 28x28
  convarith shape conv-transpose -k 3 -s 2 -p 1 --output-padding 1 -i 14
  convarith shape max-pool -k 2 --ceil-mode -i 7
  convarith shape "nn.Conv2d(1, 16, (3, 5), stride=(2, 1))" -i 28x30 --json
"""


@app.command(epilog=EXAMPLES)
@layer_options
def shape(
    given: dict[str, Any],
    layer: LayerArgument = "conv",
    input_size: Annotated[
        str | None,
        typer.Option("--input", "-i", metavar="SIZE", help="Input size: 28, or 28x30 one an axis.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> Answer:
    """The size a layer gives.

    With --input: the size, the formula with the numbers put in, what the stride never reads, every input that gives
    the same output, and the transposed layer that leads back. Without: the formula, and a table of sizes.
    """
    sizes = None if input_size is None else read_sizes(input_size, "--input")
    if is_network(layer) and not given:
        return of_network(layer, sizes)._replace(as_json=as_json)
    question = read_layer(layer, given)
    if isinstance(question, SpatialLayer) and question.rule_text == "":
        answer = spatial(question, sizes)
    else:
        answer = whole_shape(question, sizes)
    return answer._replace(as_json=as_json)


def spatial(layer: SpatialLayer, sizes: tuple[int, ...] | None) -> Answer:
    """The answer for a layer that treats each axis by itself."""
    if sizes is None:
        return every_size(layer)
    if len(sizes) == 1 and layer.ndim is not None:
        sizes = sizes * layer.ndim
    return one_size(layer, sizes)


def every_size(layer: SpatialLayer) -> Answer:
    """The formula, and a table of sizes."""
    rules = layer.rules()
    table = _table(rules)
    told = _distinct(layer, None)
    blocks: list[Block] = [str(layer)]
    for axis in told:
        rule = rules[axis]
        facts = [
            *_formula(layer, axis),
            ("numbers", _numbers(layer, axis, None)),
            ("in short", f"{rule.formula()}, for i >= {rule.minimum}"),
            ("next", _next(rule)),
        ]
        blocks += [f"axis {axis}"] * (len(told) > 1) + [Facts(facts)]
    rows = [("input", *(str(size) for size, _ in table)), ("output", *(times(result) for _, result in table))]
    blocks.append(_sideways(rows))
    data = _data(layer, None) | {"table": [{"input": size, "output": list(result)} for size, result in table]}
    return Answer(data, blocks)


def one_size(layer: SpatialLayer, sizes: tuple[int, ...]) -> Answer:
    """The size, what is never read, the inputs that give the same, and the way back."""
    output, inputs, back = layer.output_size(sizes), layer.inputs_for(layer.output_size(sizes)), layer.back(sizes)
    unread = _unread(layer, sizes)
    told = _distinct(layer, sizes)
    blocks: list[Block] = [f"{layer}: {times(sizes)} -> {times(output)}"]
    for axis in told:
        facts = [
            *_formula(layer, axis),
            ("numbers", f"{_numbers(layer, axis, sizes[axis])} = {output[axis]}"),
            *_reading(layer, unread[axis], sizes[axis], axis),
            ("same output", _same(inputs[axis], output[axis])),
        ]
        blocks += [f"axis {axis}"] * (len(told) > 1) + [Facts(facts)]
    if back:
        steps = ", then ".join(str(step) for step in back)
        blocks.append(Facts([("way back", f"{steps}: {times(output)} -> {times(sizes)}")]))
    data = _data(layer, sizes) | {
        "output_size": list(output),
        "unread": unread,
        "input_sizes_for_output": [_range(found) for found in inputs],
        "back": [str(step) for step in back],
    }
    return Answer(data, blocks)


def _data(layer: SpatialLayer, sizes: tuple[int, ...] | None) -> dict[str, Any]:
    """The document's keys, those that only one size fills left empty."""
    rules = layer.rules(None if sizes is None else len(sizes))
    return {
        "layer": str(layer),
        "input_size": None if sizes is None else list(sizes),
        "output_size": None,
        "formula": layer.formula(),
        "source": layer.source,
        "axes": [
            {
                "formula": rule.formula(),
                "with_numbers": _numbers(layer, axis, None if sizes is None else sizes[axis]),
                "minimum": rule.minimum,
            }
            for axis, rule in enumerate(rules)
        ],
        "unread": None,
        "input_sizes_for_output": None,
        "back": [],
    }


def _unread(layer: SpatialLayer, sizes: tuple[int, ...]) -> list[int]:
    return list(layer.unread(sizes)) if isinstance(layer, WindowLayer) else [0] * len(sizes)


def _formula(layer: SpatialLayer, axis: int) -> list[tuple[str, str]]:
    """The formula and its source; said for the first axis, and for each where the axes have formulas of their own."""
    if axis and len({layer.formula_text_at(each) for each in range(layer.ndim or 1)}) == 1:
        return []
    return [("formula", layer.formula(axis)), ("source", layer.source)]


def whole_shape(layer: Layer, sizes: tuple[int, ...] | None) -> Answer:
    """The answer for a layer that mixes axes."""
    output = None
    if sizes is not None:  # Fold and Unfold go between positions and columns, the others change whole shapes
        output = layer.output_size(sizes) if isinstance(layer, SpatialLayer) else layer.output_shape(sizes)
    facts = [("rule", layer.rule_text)]
    data: dict[str, Any] = {
        "layer": str(layer),
        "input_size": None if sizes is None else list(sizes),
        "output_size": None if output is None else list(output),
        "formula": facts[0][1],
        "unread": None,
        "input_sizes_for_output": None,
        "back": [],
    }
    try:
        data["parameters"] = layer.parameter_count
        facts.append(("parameters", f"{layer.parameter_count:,}"))
    except ConvarithError:
        data["parameters"] = None
    title = str(layer) if sizes is None or output is None else f"{layer}: {times(sizes)} -> {times(output)}"
    return Answer(data, [title, Facts(facts)])


def of_network(text: str, sizes: tuple[int, ...] | None) -> Answer:
    """The answer for a network: --input is its spatial size, or its shape with the channels first."""
    from convarith_cli.networks import read_network
    from convarith_cli.trace import describe, size_maps

    network = read_network(text, sizes)
    maps = size_maps(network, sizes)
    spatial = len(maps) if network.ndim is None else network.ndim
    if sizes is not None and len(sizes) == 1 and spatial > 1:
        sizes = sizes * spatial
    output: tuple[int, ...] | None = None
    if sizes is not None and len(sizes) == spatial and maps:
        output = tuple(
            _through(sizes_of_axis, size, name) for (name, sizes_of_axis), size in zip(maps, sizes, strict=True)
        )
    elif sizes is not None:
        output = network.output_shape(sizes, batched=False if network.ndim is None else None)
    data = {
        "layer": str(network),
        "input_size": None if sizes is None else list(sizes),
        "output_size": None if output is None else list(output),
        "formula": maps[0][1].formula(maps[0][0]) if maps else None,
        "unread": None,
        "input_sizes_for_output": _runs(maps, output) if output is not None and len(output) == len(maps) else None,
        "back": [],
    }
    count = f"{len(network.nodes)} layer{'s' if len(network.nodes) != 1 else ''}"
    title = count if sizes is None or output is None else f"{count}: {times(sizes)} -> {times(output)}"
    return Answer(data, [title, *describe(network, maps)])


def _runs(maps: list[tuple[str, SizeMap]], output: tuple[int, ...]) -> list[list[dict[str, int | None]]]:
    """For each axis, the runs of inputs that give this output."""
    return [[_range(run) for run in along.inputs_for(size).runs] for (_, along), size in zip(maps, output, strict=True)]


def _through(sizes: SizeMap, size: int, name: str) -> int:
    output = sizes(size)
    if output is None:
        below, above = sizes.domain.next_to(size)
        near = " or ".join(str(choice) for choice in (below, above) if choice is not None)
        nearest_input = f": the nearest that it takes is {near}" if near else ""
        raise ShapeError(f"the network takes {sizes.domain.words(name)}, not {size}{nearest_input}")
    return output


def _numbers(layer: SpatialLayer, axis: int, size: int | None) -> str:
    letters = layer.letters(axis)
    return layer.formula(axis, **letters, **({} if size is None else {"i": size}))


def _distinct(layer: SpatialLayer, sizes: tuple[int, ...] | None) -> list[int]:
    """The axes that have something of their own to say."""
    seen: dict[object, int] = {}
    for axis in range(len(layer.rules(None if sizes is None else len(sizes)))):
        seen.setdefault((layer.formula_text_at(axis), *layer.letters(axis).values(), sizes and sizes[axis]), axis)
    return list(seen.values())


def _reading(layer: SpatialLayer, unread: int, size: int, axis: int) -> list[tuple[str, str]]:
    """What the windows never read: at the end, and between them."""
    if not isinstance(layer, WindowLayer) or layer.kind == "conv-transpose":
        return []
    _, after = layer.pads(axis)
    lost = min(size, max(0, unread - after))
    if unread == 0:
        text = "every position to the end is read"
    elif lost == 0:
        text = f"{_positions(unread)} at the end, all of it padding"
    else:
        where = f"index {size - 1}" if lost == 1 else f"indices {size - lost}..{size - 1}"
        text = f"{_positions(lost)} at the end ({where})" + (", and the padding behind" if unread > lost else "")
    gap = layer.at("stride", axis) - layer.span(axis)
    if gap > 0:
        text += f"; and {gap} between one window and the next"
    return [("unread", text)]


def _positions(count: int) -> str:
    return "1 position" if count == 1 else f"{count} positions"


def _same(inputs: SizeRange, output: int) -> str:
    if inputs.last is None:
        return f"{output} comes from {inputs}"
    if inputs.first == inputs.last:
        return f"{output} comes from {inputs.first} only"
    return f"{output} comes from {inputs}"


def _next(rule: AxisRule) -> str:
    """What the output does as the input grows."""
    rise, step = getattr(rule, "rise", None), getattr(rule, "step", None)
    if rise is None or step is None:
        return "the output grows with the input, rounded down"
    if rise == 0:
        return "the output stays, whatever the input"
    if getattr(rule, "multiple_of", 1) > 1:
        return f"only multiples of {step} are taken: {step} more input, 1 more output"
    return f"{step} more input, {rise} more output"


def _table(rules: Sequence[AxisRule]) -> list[tuple[int, tuple[int, ...]]]:
    """(input, outputs an axis): the first sizes that every axis takes, then the usual ones."""
    first: list[int] = []
    size = max(rule.minimum for rule in rules)
    step = max(getattr(rule, "multiple_of", 1) for rule in rules)
    size += -size % step
    first = [size + step * number for number in range(8)]
    wanted = [*first, *(usual for usual in USUAL_SIZES if usual > first[-1] and usual % step == 0)]
    table = []
    for size in wanted:
        results = [rule(size) for rule in rules]
        if all(result is not None for result in results):
            table.append((size, tuple(result for result in results if result is not None)))
    distinct = len({rule.formula() for rule in rules}) > 1
    return [(size, results if distinct else results[:1]) for size, results in table]


def _sideways(rows: Sequence[tuple[str, ...]]) -> Table:
    head, *body = rows
    return Table(head, body, numbers=head[1:])


def _range(sizes: SizeRange) -> dict[str, int | None]:
    return {"first": sizes.first, "last": sizes.last, "step": sizes.step}
