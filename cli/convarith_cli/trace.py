"""convarith trace: a network layer by layer, and its size for every input."""

from fractions import Fraction
from typing import Annotated, Any

import typer

from convarith.errors import ConvarithError
from convarith.layers.base import AXIS_NAMES
from convarith.networks.network import Network
from convarith.networks.trace import Row, Trace
from convarith.sizes.normalise import read_sizes, times
from convarith.sizes.size_map import SEARCH_LIMIT, SizeMap
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.networks import NetworkArgument, read_network
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith trace encoder.txt -i 1x28x28
  python -c "import torch; print(torch.nn.Conv2d(1, 8, 5))" | convarith trace - -i 1x28x28
  convarith trace "Conv2d(1, 8, 4, stride=2); ConvTranspose2d(8, 1, 4, stride=2)"
  convarith trace models.py:UNet -i 3x224x224 --markdown
"""


@app.command(epilog=EXAMPLES)
def trace(
    network: NetworkArgument,
    input_shape: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SHAPE", show_default=False,
            help="Input shape, channels first, without a batch: 3x224x224.",
        ),
    ] = None,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a README or a paper.")] = False,
) -> Answer:  # fmt: skip
    """A network, layer by layer.

    Every layer's output, receptive field, jump, start, parameters and multiply-accumulates; then one exact formula for
    the whole network, the inputs it takes, and those that come back unchanged. Without --input that formula alone.
    """
    shape = None if input_shape is None else read_sizes(input_shape, "--input")
    question = read_network(network, shape)
    batched = False if question.ndim is None and shape is not None else None
    table = None if shape is None else question.trace(shape, batched)
    maps = size_maps(question, shape)
    data: dict[str, Any] = {
        "input": None if shape is None else list(shape),
        "output": None if table is None else list(table.output),
        "parameters": table.parameters if table else _parameters(question),
        "macs": None if table is None else table.macs,
        "layers": [] if table is None else [_layer(row) for row in table.rows],
        "size_map": [
            {
                "axis": name,
                "formula": sizes.formula(name),
                "period": sizes.period,
                "rise": sizes.cycle[1] if sizes.cycle else None,
                "minimum": sizes.minimum,
                "accepts": sizes.domain.words(name),
                "ends_at": sizes.ends_at,
            }
            for name, sizes in maps
        ],
        "comes_back": [sizes.comes_back.words(name) if sizes.ends_at is None else None for name, sizes in maps],
        "remarks": list(question.remarks),
    }
    blocks: list[Block] = [_title(question, table)]
    if table is not None:
        blocks.append(_table(table))
    blocks += describe(question, maps)
    blocks += [remark[0].upper() + remark[1:] + "." for remark in question.remarks]
    return Answer(data, blocks, as_json=as_json, as_markdown=as_markdown)


def size_maps(network: Network, shape: tuple[int, ...] | None) -> list[tuple[str, SizeMap]]:
    """The size map of every axis, with the axis's letter; none for a network without positions."""
    if network.ndim == 0:
        return []
    if network.ndim is None:
        kinds = [node.layer.kind for node in network.nodes if node.layer.kind != "elementwise"]
        return [("i", network.size_map(0))] if kinds and kinds[0] != "flatten" else []
    fixed = shape if shape is not None and len(shape) > network.ndim else None
    return [(name, network.size_map(axis, fixed)) for axis, name in enumerate(AXIS_NAMES[network.ndim])]


def describe(network: Network, maps: list[tuple[str, SizeMap]]) -> list[Block]:
    """The closed form of every axis; axes that are alike are said once."""
    blocks: list[Block] = []
    told: dict[object, str] = {}
    for axis, (name, sizes) in enumerate(maps):
        alike = (sizes.pieces, sizes.domain.words("i"), sizes.ends_at)
        if alike in told:
            blocks.append(Facts([(f"size of {name}", f"as {told[alike]}")]))
            continue
        told[alike] = name
        facts = [(f"size of {name}", sizes.formula(name))]
        if sizes.ends_at is not None:
            facts.append(("ends at", f"{sizes.ends_at}: behind it the output has no {name}"))
        facts.append(("takes", sizes.domain.words(name) + _reason(network, axis, sizes)))
        if sizes.ends_at is None:
            facts.append(("comes back", _comes_back(name, sizes)))
        blocks.append(Facts(facts))
    return blocks


def _reason(network: Network, axis: int, sizes: SizeMap) -> str:
    """Which node sets the inputs that the network takes."""
    ties, bounds = network.sizes.ties, network.sizes.bounds[axis]
    if ties and sizes.domain != network.sizes.domains[axis]:
        others = ", the other axes alike" if network.sizes.ndim > 1 else ""
        return f" (set by {ties[-1].node}{others})"
    return f" (set by {bounds[-1][0]})" if bounds else ""


def _comes_back(name: str, sizes: SizeMap) -> str:
    words = sizes.comes_back.words(name)
    if not sizes.comes_back:
        text = "no size comes back unchanged"
    elif sizes.comes_back == sizes.domain:
        text = "every size it takes"
    else:
        text = f"exactly when {words}"
    return text if sizes.exact else f"{text} (looked up to {SEARCH_LIMIT:,}: its factor has no closed form)"


def _title(network: Network, table: Trace | None) -> str:
    layers = f"{len(network.nodes):,} layer{'s' if len(network.nodes) != 1 else ''}"
    parameters = _parameters(network)
    counted = layers if parameters is None else f"{layers}, {parameters:,} parameters"
    if table is None:
        return counted
    return f"{times(table.input)} -> {times(table.output)}: {counted}, {table.macs:,} multiply-accumulates"


def _parameters(network: Network) -> int | None:
    try:
        return network.parameter_count
    except ConvarithError:
        return None


def _table(table: Trace) -> Table:
    columns = ("name", "layer", "output", "field", "jump", "start", "parameters", "MACs")
    rows = []
    for row in table.rows:
        fields = [
            "all" if size is None else f"{min(phases)}-{max(phases)}" if phases else str(size)
            for size, phases in zip(row.receptive_field, row.phases, strict=True)
        ]
        rows.append((
            row.name, str(row.layer), times(row.output), _each(fields), _each(map(_number, row.jump)),
            _each(map(_number, row.start)), "" if row.parameters is None else f"{row.parameters:,}", f"{row.macs:,}",
        ))  # fmt: skip
    return Table(columns, rows, numbers=columns[3:])


def _each(values: Any) -> str:
    """One text where all axes agree, else one an axis."""
    texts = list(values)
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _number(value: Fraction | None) -> str:
    if value is None:
        return "-"
    return str(value) if value.denominator in (1, 3, 5, 6, 7) else f"{float(value):g}"


def _layer(row: Row) -> dict[str, Any]:
    return {
        "name": row.name,
        "layer": str(row.layer),
        "inputs": list(row.inputs),
        "output": list(row.output),
        "receptive_field": list(row.receptive_field),
        "phases": [list(phases) for phases in row.phases],
        "jump": [_json_number(value) for value in row.jump],
        "start": [_json_number(value) for value in row.start],
        "alignment": [_json_number(value) for value in row.alignment],
        "parameters": row.parameters,
        "macs": row.macs,
    }


def _json_number(value: Fraction | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value.denominator == 1 else float(value)
