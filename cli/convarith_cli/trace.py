"""convarith trace: a network layer by layer, and its output size for every input size."""

from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any

import typer

from convarith.errors import ConvarithError
from convarith.networks.network import Network
from convarith.networks.trace import Row, Trace
from convarith.sizes.normalise import counted, times
from convarith_cli.answer import Answer, Block, Table
from convarith_cli.named import NetworkArgument, read_input, read_network
from convarith_cli.options import Json, Markdown, command_app
from convarith_cli.size_maps import data_of, describe, size_maps

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
            help="Input shape, channels first, without a batch: 3x224x224. The channels may be left out if the "
            "first layer says how many it takes.",
        ),
    ] = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> Answer:  # fmt: skip
    """Show a network layer by layer.

    For every layer: output shape, receptive field, jump, start, parameters and multiply-accumulates. For the whole
    network: one exact formula for the output size, the input sizes that it accepts, and those that come back
    unchanged. Without --input, only the part about the whole network.
    """
    question = read_network(network, input_shape)
    shape = None if input_shape is None else read_input(question, input_shape).whole_shape()
    batched = False if question.ndim is None and shape is not None else None
    table = None if shape is None else question.trace(shape, batched)
    maps = size_maps(question, shape)
    data: dict[str, Any] = {
        "input": None if shape is None else list(shape),
        "output": None if table is None else list(table.output),
        "parameters": table.parameters if table else _parameters(question),
        "macs": None if table is None else table.macs,
        "layers": [] if table is None else [_layer(row) for row in table.rows],
        **data_of(maps),
        "remarks": list(question.remarks),
    }
    blocks: list[Block] = [_title(question, table)]
    if table is not None:
        blocks.append(_table(table))
    blocks += describe(question, maps)
    blocks += [remark[0].upper() + remark[1:] + "." for remark in question.remarks]
    return Answer(data, blocks, as_json=as_json, as_markdown=as_markdown)


def _title(network: Network, table: Trace | None) -> str:
    parameters = _parameters(network)
    size = counted(len(network.nodes), "layer")
    if parameters is not None:
        size += f", {counted(parameters, 'parameter')}"
    if table is None:
        return size
    return f"{times(table.input)} -> {times(table.output)}: {size}, {counted(table.macs, 'multiply-accumulate')}"


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


def _each(values: Iterable[str]) -> str:
    """One text if all axes agree, otherwise one per axis."""
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
