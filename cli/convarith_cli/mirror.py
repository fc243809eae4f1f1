"""convarith mirror: the decoder of an encoder, as a table next to it and as PyTorch code."""

from typing import Annotated, Any

import typer

from convarith.decoders.decoder import Decoder
from convarith.decoders.mirror import mirror as decoder_of
from convarith.decoders.plan import Report, Step
from convarith.decoders.trial_run import Trial
from convarith.errors import ParameterError
from convarith.networks.network import Node
from convarith.sizes.normalise import counted, times
from convarith_cli.answer import Answer, Block, Code, Facts, Table
from convarith_cli.conditions import condition
from convarith_cli.exit_codes import ExitCode
from convarith_cli.named import NetworkArgument, read_input, read_network
from convarith_cli.options import Json, Markdown, command_app

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
            help="Input shape, channels first, without a batch: 3x224x224. The channels may be left out if the "
            "first layer says how many it takes.",
        ),
    ],
    upsample: Annotated[
        str,
        typer.Option(metavar="WAY", help="How sizes are increased: transposed, resize, pixel-shuffle or unpool."),
    ] = "transposed",
    even: Annotated[bool, typer.Option("--even", help="Use the nearest kernels that leave no checkerboard.")] = False,
    any_size: Annotated[
        bool,
        typer.Option("--any-size", help="Follow the sizes of the encoder, so that every accepted input comes back."),
    ] = False,
    skips: Annotated[
        bool,
        typer.Option(
            "--skips", help="Build a U-Net: join the encoder's feature maps to the decoder's. Implies --any-size."
        ),
    ] = False,
    final: Annotated[
        str | None, typer.Option(metavar="ACTIVATION", help="The last layer: sigmoid, tanh, ...", show_default=False)
    ] = None,
    code: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Write the code to a file; '-' prints only the code.", show_default=False),
    ] = None,
    autoencoder: Annotated[
        bool, typer.Option("--autoencoder", help="Also write the code of the encoder and of the whole autoencoder.")
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Run the code once in torch: shapes, a backward pass, the loss. Exit code 1 if it fails."
        ),
    ] = False,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> Answer:  # fmt: skip
    """Design the decoder that mirrors an encoder.

    The decoder restores every intermediate shape. Prints its layers next to those of the encoder, the input sizes that
    it works for, the layers that would leave a checkerboard, and PyTorch code that runs as it is.
    """
    if code == "-" and (as_json or as_markdown):
        raise ParameterError("--code - prints only the code: leave --json and --markdown out")
    encoder = read_network(network, input_shape)
    decoder = decoder_of(
        encoder, read_input(encoder, input_shape).whole_shape(),
        upsample=upsample, even=even, any_size=any_size, skips=skips, final=final,
    )  # fmt: skip
    written = decoder.code(autoencoder)
    trial = decoder.verify() if verify else None
    if code not in (None, "-"):
        from convarith_gallery.atomic_file import write_whole

        write_whole(str(code), written)
    report = decoder.report
    data = _data(decoder, report, written, trial)
    failed = ExitCode.FOUND if trial is not None and trial.problems else ExitCode.ANSWERED
    if code == "-":
        return Answer(data, [Code(written, "python")], exit_code=failed)
    blocks: list[Block] = [_title(decoder, report), _table(decoder), _facts(decoder, report, trial)]
    if code is not None:
        blocks.append(f"Wrote the code to {code}.")
    else:
        blocks.append(Code(written, "python"))
    return Answer(data, blocks, as_json=as_json, as_markdown=as_markdown, exit_code=failed)


def _title(decoder: Decoder, report: Report) -> str:
    shapes = f"{times(decoder.latent_shape)} -> {times(decoder.input_shape)}"
    return f"{shapes}: {counted(len(decoder.mirrors), 'layer')}, {counted(report.parameters, 'parameter')}"


def _table(decoder: Decoder) -> Table:
    """The layers of the decoder; the first of those that undo a layer of the encoder has that layer next to it."""
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
    """A layer; if it also reads the encoder, it says what for."""
    if len(node.inputs) == 1:
        return str(node.layer)
    if node.layer.joins:
        return f"joined with {node.inputs[1]}"
    if step.way.fit == "unpool":
        return f"unpooled with the indices of encoder.{step.stage.exit}"
    return f"{'cropped' if step.way.fit == 'crop' else 'resized'} to the size of {node.inputs[1]}"


def _facts(decoder: Decoder, report: Report, trial: Trial | None) -> Facts:
    facts = [("works for", "; ".join(sizes.words(letter) for letter, sizes in report.serves) or "this shape")]
    if report.follows:
        facts.append(("sizes", "those of the encoder, for any input"))
    uneven = [
        f"{each.name.removeprefix('decoder.')} {each.layer}: {each.remedy} is even" for each in report.checkerboards
    ]
    facts.append(("checkerboard", "\n".join(uneven) or "none"))
    if decoder.even:
        facts.append(("cost of even", counted(report.cost_of_even, "parameter")))
    if report.remarks:
        facts.append(("remarks", "\n".join(report.remarks)))
    if trial is not None:
        shapes, gradients = counted(trial.shapes, "shape"), counted(trial.gradients, "gradient")
        good = f"{shapes} as designed, loss {trial.loss:.3g}, {gradients}"
        facts.append(("run in torch", "\n".join(trial.problems) or good))
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
        "serves_condition": [condition(sizes) for _, sizes in report.serves],
        "follows_sizes": report.follows,
        "checkerboards": [
            {"name": each.name, "layer": str(each.layer), "axes": list(each.axes), "even_layer": str(each.remedy)}
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
