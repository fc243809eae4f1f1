"""convarith shape: the output size of a layer, its formula, its growth, and the layer that leads back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer, axis_names
from convarith.layers.window import WindowLayer
from convarith.sizes.normalise import counted, times
from convarith.sizes.rules import AxisRule
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.conditions import run_data
from convarith_cli.named import Input, SubjectArgument, read_input, read_subject
from convarith_cli.options import Json, command_app, layer_options

if TYPE_CHECKING:
    from convarith.networks.network import Network
    from convarith.sizes.sets import SizeRange
    from convarith.sizes.size_map import SizeMap

app = command_app()

USUAL_SIZES = (28, 32, 64, 128, 224, 256, 512, 1024)
"""Common sizes, shown after the smallest ones that a layer accepts."""

EXAMPLES = """
\b
Examples:
  convarith shape --kernel 3 --stride 2
  convarith shape -k 3 -s 2 -p 1 -i 28x28
  convarith shape conv-transpose -k 3 -s 2 -p 1 --output-padding 1 -i 14
  convarith shape max-pool -k 2 --ceil-mode -i 7
  convarith shape "nn.Conv2d(1, 16, (3, 5), stride=(2, 1))" -i 28x30 --json
  convarith shape "nn.Conv2d(1, 16, 3)" -i 1x28x28
"""


@app.command(epilog=EXAMPLES)
@layer_options
def shape(
    given: dict[str, Any],
    layer: SubjectArgument = "conv",
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: 28, or one per axis: 28x30. If the layer or network says its dimension, also with the "
            "channels first: 1x28x28.",
        ),
    ] = None,
    as_json: Json = False,
) -> Answer:  # fmt: skip
    """Compute the output size of a layer.

    With --input: the size, the formula with its numbers, the positions that no window reads, every input that gives
    the same output, and the transposed layer that leads back. Without it: the formula, and a table of sizes.
    """
    subject = read_subject(layer, given, input_size).subject
    entered = None if input_size is None else read_input(subject, input_size)
    if not isinstance(subject, Layer):
        answer = of_network(subject, entered)
    elif isinstance(subject, SpatialLayer) and subject.rule_text == "":
        answer = every_size(subject) if entered is None else one_size(subject, entered)
    else:
        answer = whole_shape(subject, entered)
    return answer._replace(as_json=as_json)


def every_size(layer: SpatialLayer) -> Answer:
    """The answer without an input: the formula, and a table of sizes."""
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
            ("growth", _growth(rule)),
        ]
        blocks += [*_heading(told, axis), Facts(facts)]
    rows = [("input", *(str(size) for size, _ in table)), ("output", *(times(result) for _, result in table))]
    blocks.append(_sideways(rows))
    data = _data(layer, None) | {"table": [{"input": size, "output": list(result)} for size, result in table]}
    return Answer(data, blocks)


def one_size(layer: SpatialLayer, entered: Input) -> Answer:
    """The answer at one input: the size, what is never read, the inputs that give the same, and the way back."""
    sizes = entered.sizes or ()
    with entered.explained():
        output, inputs, back = layer.output_size(sizes), layer.inputs_for(layer.output_size(sizes)), layer.back(sizes)
    whole = _whole(layer, entered)
    unread = _unread(layer, sizes)
    told = _distinct(layer, sizes)
    blocks: list[Block] = [f"{layer}: {' -> '.join(map(times, whole or (sizes, output)))}"]
    for axis in told:
        facts = [
            *_formula(layer, axis),
            ("numbers", f"{_numbers(layer, axis, sizes[axis])} = {output[axis]}"),
            *_reading(layer, unread[axis], sizes[axis], axis),
            ("same output", _same(inputs[axis], output[axis])),
        ]
        blocks += [*_heading(told, axis), Facts(facts)]
    if back:
        steps = ", then ".join(str(step) for step in back)
        blocks.append(Facts([("way back", f"{steps}: {times(output)} -> {times(sizes)}")]))
    blocks += [f"{remark}." for remark in entered.remarks]
    data = _data(layer, entered) | {
        "output_size": list(output),
        "output_shape": list(whole[1]) if whole else None,
        "unread": unread,
        "input_sizes_for_output": [run_data(found) for found in inputs],
        "back": [str(step) for step in back],
    }
    return Answer(data, blocks)


def _whole(layer: SpatialLayer, entered: Input) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Input and output with their channels, if -i gives the channels."""
    if not entered.told or entered.shape is None:
        return None
    try:
        output = layer.output_shape((1, *entered.shape))  # with a batch: a layer of open dimension expects one
    except ParameterError:  # a kind without --out-channels
        return None
    return entered.shape, output[1:]


def _data(layer: SpatialLayer, entered: Input | None) -> dict[str, Any]:
    """The keys of the document; those that need an input size are still empty."""
    sizes = None if entered is None else entered.sizes
    rules = layer.rules(None if sizes is None else len(sizes))
    return {
        "layer": str(layer),
        "input_size": None if sizes is None else list(sizes),
        "output_size": None,
        "input_shape": list(entered.shape) if entered and entered.told and entered.shape else None,
        "output_shape": None,
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
        "remarks": [] if entered is None else entered.remarks,
    }


def _unread(layer: SpatialLayer, sizes: tuple[int, ...]) -> list[int]:
    return list(layer.unread(sizes)) if isinstance(layer, WindowLayer) else [0] * len(sizes)


def _formula(layer: SpatialLayer, axis: int) -> list[tuple[str, str]]:
    """The formula and its source, for the first axis, and for every axis if their formulas differ."""
    if axis and len({layer.formula_text_at(each) for each in range(layer.ndim or 1)}) == 1:
        return []
    return [("formula", layer.formula(axis)), ("source", layer.source)]


def whole_shape(layer: Layer, entered: Input | None) -> Answer:
    """The answer for a layer that mixes axes."""
    before = after = None
    if entered is not None:
        before, after = _mixed(layer, entered)
    facts = [("rule", layer.rule_text)]
    try:
        parameters = layer.parameter_count
        facts.append(("parameters", f"{parameters:,}"))
    except ConvarithError:
        parameters = None
    data: dict[str, Any] = {
        "layer": str(layer),
        "input_size": None if before is None else list(before),
        "output_size": None if after is None else list(after),
        "formula": layer.rule_text,
        "unread": None,
        "input_sizes_for_output": None,
        "back": [],
        "parameters": parameters,
    }
    title = str(layer) if before is None or after is None else f"{layer}: {times(before)} -> {times(after)}"
    return Answer(data, [title, Facts(facts)])


def _mixed(layer: Layer, entered: Input) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Input and output of a layer that mixes axes: whole shapes, or sizes alone between positions and columns."""
    if isinstance(layer, SpatialLayer) and entered.sizes is not None and not entered.told:  # Fold, Unfold
        return entered.sizes, layer.output_size(entered.sizes)
    shape = entered.whole_shape()
    return shape, layer.output_shape(shape)


def of_network(network: Network, entered: Input | None) -> Answer:
    """The answer for a network, at its spatial size or at its whole shape."""
    from convarith_cli.size_maps import describe, size_maps

    given = None if entered is None else entered.numbers
    maps = size_maps(network, given)
    output: tuple[int, ...] | None = None
    if entered is not None and maps and not entered.told:
        if entered.sizes is not None:
            given = entered.sizes
        if given is not None and len(given) == len(maps):
            output = tuple(
                _through(sizes_of_axis, size, name) for (name, sizes_of_axis), size in zip(maps, given, strict=True)
            )
    if given is not None and output is None:
        output = network.output_shape(given, batched=False if network.ndim is None else None)
    data = {
        "layer": str(network),
        "input_size": None if given is None else list(given),
        "output_size": None if output is None else list(output),
        "formula": maps[0][1].formula(maps[0][0]) if maps else None,
        "unread": None,
        "input_sizes_for_output": _runs(maps, output) if output is not None and len(output) == len(maps) else None,
        "back": [],
    }
    count = counted(len(network.nodes), "layer")
    title = count if given is None or output is None else f"{count}: {times(given)} -> {times(output)}"
    return Answer(data, [title, *describe(network, maps)])


def _runs(maps: list[tuple[str, SizeMap]], output: tuple[int, ...]) -> list[list[dict[str, int | None]]]:
    """For each axis, the runs of inputs that give this output."""
    return [
        [run_data(run) for run in along.inputs_for(size).runs] for (_, along), size in zip(maps, output, strict=True)
    ]


def _through(sizes: SizeMap, size: int, name: str) -> int:
    output = sizes(size)
    if output is None:
        below, above = sizes.domain.next_to(size)
        near = " or ".join(str(choice) for choice in (below, above) if choice is not None)
        nearest_input = f": the nearest accepted size is {near}" if near else ""
        raise ShapeError(f"the network accepts {sizes.domain.words(name)}, not {size}{nearest_input}")
    return output


def _numbers(layer: SpatialLayer, axis: int, size: int | None) -> str:
    letters = layer.letters(axis)
    return layer.formula(axis, **letters, **({} if size is None else {"i": size}))


def _distinct(layer: SpatialLayer, sizes: tuple[int, ...] | None) -> dict[int, list[int]]:
    """The axes that differ from every earlier one, each with all the axes that equal it."""
    seen: dict[object, list[int]] = {}
    for axis in range(len(layer.rules(None if sizes is None else len(sizes)))):
        alike = (layer.formula_text_at(axis), *layer.letters(axis).values(), sizes and sizes[axis])
        seen.setdefault(alike, []).append(axis)
    return {axes[0]: axes for axes in seen.values()}


def _heading(told: dict[int, list[int]], axis: int) -> list[Block]:
    """The letters of the axes that the next facts are about; nothing if that is all of them."""
    if len(told) == 1:
        return []
    names = axis_names(sum(map(len, told.values())))
    return [", ".join(names[each] for each in told[axis])]


def _reading(layer: SpatialLayer, unread: int, size: int, axis: int) -> list[tuple[str, str]]:
    """The positions that no window reads: at the end, and between windows."""
    if not isinstance(layer, WindowLayer) or layer.overlap_side != "gradient":
        return []
    _, after = layer.pads(axis)
    lost = min(size, max(0, unread - after))
    if unread == 0:
        text = "none"
    elif lost == 0:
        text = f"{counted(unread, 'position')} at the end, all of them padding"
        if unread == 1:
            text = "1 position at the end, which is padding"
    else:
        where = f"index {size - 1}" if lost == 1 else f"indices {size - lost}..{size - 1}"
        text = f"{counted(lost, 'position')} at the end ({where})"
        if unread > lost:
            text += ", and the padding after it" if lost == 1 else ", and the padding after them"
    gap = layer.at("stride", axis) - layer.span(axis)
    if gap > 0:
        between = f"{counted(gap, 'position')} between adjacent windows"
        text = between if unread == 0 else f"{text}, and {between}"
    return [("unread", text)]


def _same(inputs: SizeRange, output: int) -> str:
    """Every input size that gives this output."""
    if inputs.first == inputs.last:
        return f"only {inputs.first} gives {output}"
    if inputs.last is None and inputs.step == 1:
        return f"{inputs} gives {output}"
    return f"inputs {inputs} give {output}"


def _growth(rule: AxisRule) -> str:
    """How the output grows with the input."""
    rise, step = getattr(rule, "rise", None), getattr(rule, "step", None)
    if rise is None or step is None:
        return "in proportion to the input, rounded down"
    if rise == 0:
        return "none: the output size is the same for every input"
    text = f"{counted(rise, 'output position')} per {'input position' if step == 1 else f'{step:,} input positions'}"
    if getattr(rule, "multiple_of", 1) > 1:
        return f"{text}; the input must be a multiple of {step}"
    return text


def _table(rules: Sequence[AxisRule]) -> list[tuple[int, tuple[int, ...]]]:
    """(input, output of each axis): the first sizes that every axis accepts, then common ones."""
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
