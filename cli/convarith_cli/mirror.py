"""convarith mirror: the decoder of an encoder, as a table beside it and as PyTorch code."""

from typing import Annotated, Any

import typer

from convarith.decoders.decoder import Decoder
from convarith.decoders.mirror import mirror as decoder_of
from convarith.decoders.plan import Report, Step
from convarith.decoders.trial_run import Trial
from convarith.errors import ParameterError
from convarith.networks.network import Node
from convarith.sizes.normalise import read_sizes, times
from convarith_cli.answer import Answer, Block, Facts, Table
from convarith_cli.networks import NetworkArgument, read_network
from convarith_cli.options import Json, command_app

app = command_app()

EXAMPLES = """
\b
Examples:
  convarith mirror encoder.txt -i 1x28x28
  convarith mirror "Conv2d(3, 16, 3, stride=2, padding=1); ReLU()" -i 3x224x224 --even --final sigmoid
  convarith mirror models.py:Encoder -i 3x224x224 --upsample resize --any-size --code decoder.py --verify
"""


@app.command(epilog=EXAMPLES)
def mirror(
    network: NetworkArgument,
    input_shape: Annotated[
        str,
        typer.Option(
            "--input", "-i", metavar="SHAPE", show_default=False,
            help="Input shape, channels first, without a batch: 3x224x224.",
        ),
    ],
    upsample: Annotated[
        str,
        typer.Option(metavar="WAY", help="How sizes grow: transposed, resize, pixel-shuffle or unpool."),
    ] = "transposed",
    even: Annotated[bool, typer.Option("--even", help="The nearest kernels that leave no checkerboard.")] = False,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Follow the encoder's sizes: every legal input comes back.")
    ] = False,
    skips: Annotated[
        bool, typer.Option("--skips", help="A U-Net: join the encoder's maps to the decoder's. Sizes follow, too.")
    ] = False,
    final: Annotated[
        str | None, typer.Option(metavar="ACTIVATION", help="The last layer: Sigmoid, Tanh, ...", show_default=False)
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the code to a file ('-': nothing but the code).", show_default=False),
    ] = None,
    autoencoder: Annotated[
        bool, typer.Option("--autoencoder", help="Code of the encoder and the whole autoencoder, too.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Run the code in torch once: shapes, a backward pass, the loss.")
    ] = False,
    as_json: Json = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Markdown, for a README or a paper.")] = False,
) -> Answer:  # fmt: skip
    """The decoder that mirrors an encoder.

    Every intermediate shape comes back. Prints the decoder beside the encoder's layers, which inputs it serves, which
    layers would leave a checkerboard, and PyTorch code that runs as it stands.
    """
    shape = read_sizes(input_shape, "--input")
    if code == "-" and (as_json or as_markdown):
        raise ParameterError("--code - writes nothing but the code: leave --json and --markdown out")
    decoder = decoder_of(
        read_network(network, shape), shape,
        upsample=upsample, even=even, any_size=any_size, skips=skips, final=final,
    )  # fmt: skip
    written = decoder.code(autoencoder)
    trial = decoder.verify() if verify else None
    if code not in (None, "-"):
        from convarith_gallery.atomic_file import write_whole

        write_whole(str(code), written)
    report = decoder.report
    data = _data(decoder, report, written, trial)
    failed = int(trial is not None and bool(trial.problems))
    if code == "-":
        return Answer(data, [written.rstrip()], exit_code=failed)
    blocks: list[Block] = [_title(decoder, report), _table(decoder), _facts(decoder, report, trial)]
    if code is not None:
        blocks.append(f"The code is in {code}.")
    else:
        blocks.append(f"```python\n{written}```" if as_markdown else written.rstrip())
    return Answer(data, blocks, as_json=as_json, as_markdown=as_markdown, exit_code=failed)


def _title(decoder: Decoder, report: Report) -> str:
    shapes = f"{times(decoder.latent_shape)} -> {times(decoder.input_shape)}"
    layers = f"{len(decoder.mirrors):,} layer{'s' if len(decoder.mirrors) != 1 else ''}"
    return f"{shapes}: {layers}, {report.parameters:,} parameters"


def _table(decoder: Decoder) -> Table:
    """The decoder's layers, the encoder's layer beside the first of those that lead it back."""
    rows, before = [], None
    layers = {node.name: node for node in decoder.network.nodes}
    for name, step in decoder.mirrors.items():
        node, first = layers[name], step is not before
        before = step
        rows.append((
            name.removeprefix("decoder."), _shown(node, step), times(decoder.shapes[name]),
            step.stage.name if first else "", step.stage.text if first else "",
            times(step.stage.before) if first else "",
        ))  # fmt: skip
    return Table(("name", "decoder", "output", "mirrors", "encoder", "its input"), rows)


def _shown(node: Node, step: Step) -> str:
    """A layer; one that also reads the encoder says what for."""
    if len(node.inputs) == 1:
        return str(node.layer)
    if node.layer.kind == "concat":
        return f"joined with {node.inputs[1]}"
    if step.way.fit == "unpool":
        return f"unpooled by the indices of encoder.{step.stage.exit}"
    return f"cut to the size of {node.inputs[1]}" if step.way.fit == "crop" else f"to the size of {node.inputs[1]}"


def _facts(decoder: Decoder, report: Report, trial: Trial | None) -> Facts:
    facts = [("serves", "; ".join(sizes.words(letter) for letter, sizes in report.serves) or "this shape")]
    if report.follows:
        facts.append(("sizes", "follow the encoder's"))
    uneven = [
        f"{each.name.removeprefix('decoder.')} {each.layer}: even would be {each.remedy}"
        for each in report.checkerboards
    ]
    facts.append(("checkerboard", "\n".join(uneven) or "none"))
    if decoder.even:
        facts.append(("even costs", f"{report.cost_of_even:,} parameters"))
    if report.remarks:
        facts.append(("remarks", "\n".join(report.remarks)))
    if trial is not None:
        good = f"{trial.shapes} shapes as designed, loss {trial.loss:.3g}, {trial.gradients} gradients"
        facts.append(("in torch", "\n".join(trial.problems) or good))
    return Facts(facts)


def _data(decoder: Decoder, report: Report, written: str, trial: Trial | None) -> dict[str, Any]:
    layers = {node.name: node for node in decoder.network.nodes}
    return {
        "input": list(decoder.input_shape),
        "latent": list(decoder.latent_shape),
        "encoder": [
            {"name": node.name, "layer": str(node.layer), "inputs": list(node.inputs)} for node in decoder.encoder.nodes
        ],
        "decoder": [
            {
                "name": name,
                "layer": str(layers[name].layer),
                "inputs": list(layers[name].inputs),
                "output": list(decoder.shapes[name]),
                "mirrors": step.stage.name,
            }
            for name, step in decoder.mirrors.items()
        ],
        "output": list(decoder.steps[-1].shape),
        "exact": report.exact,
        "serves": [sizes.words(letter) for letter, sizes in report.serves],
        "follows_sizes": report.follows,
        "checkerboards": [
            {"name": each.name, "layer": str(each.layer), "axes": list(each.axes), "even": str(each.remedy)}
            for each in report.checkerboards
        ],
        "parameters": report.parameters,
        "cost_of_even": report.cost_of_even,
        "remarks": list(report.remarks),
        "code": written,
        "verified": None
        if trial is None
        else {
            "shapes": trial.shapes, "loss": trial.loss, "gradients": trial.gradients, "problems": list(trial.problems)
        },
    }  # fmt: skip
