"""convarith overlap: whether the outputs of a layer, or its gradients, are hit evenly; why not, and what would be."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isfinite, prod
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convarith.checkerboards.overlap import Overlap
from convarith.checkerboards.overlap import overlap as overlap_of
from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer, axis_names
from convarith.networks.network import Network, Node
from convarith.sizes.normalise import counted, times
from convarith_cli.answer import Answer, Block, Facts, Grid, Table
from convarith_cli.named import Input, SubjectArgument, read_input, read_subject
from convarith_cli.options import Json, Markdown, command_app, layer_options

if TYPE_CHECKING:
    from torch import nn

    from convarith.checkerboards.artefacts import Artefact, Ranking
    from convarith.checkerboards.stack import Frequency

app = command_app()

WIDEST = 24
"""The columns and rows up to which a map is shown whole."""

MOST_POSITIONS = 10_000_000
"""The input size along an axis up to which every position is counted."""

EXAMPLES = """
\b
Examples:
  convarith overlap conv-transpose -k 3 -s 2 -i 4x4
  convarith overlap "nn.ConvTranspose2d(64, 32, 5, stride=2, padding=2, output_padding=1)"
  convarith overlap "Conv2d(64, 128, 1, stride=2)" -i 8 --plot overlap.png
  convarith overlap decoder.txt --weights decoder.safetensors
  convarith overlap models.py:UNet -i 3x224x224 --markdown
"""


@app.command(epilog=EXAMPLES)
@layer_options
def overlap(
    given: dict[str, Any],
    layer: SubjectArgument = "conv-transpose",
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", metavar="SIZE", show_default=False,
            help="Input size: 28, or one per axis: 28x30. If the layer or network says its dimension, also with the "
            "channels first: 3x28x28.",
        ),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="FILE", show_default=False,
            help="A checkpoint (.safetensors, .pt, .pth): lists the layers whose weights make a pattern, strongest "
            "first.",
        ),
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Draw the counts and their spectrum: .png, .svg, .pdf.", show_default=False),
    ] = None,
    as_json: Json = False,
    as_markdown: Markdown = False,
) -> Answer:  # fmt: skip
    """Count how often each output is hit.

    For transposed convolutions, other layers that upsample, and networks of them: how often each output is hit. For
    convolutions and pools: how often the gradient of each input is. Prints the verdict, its cause, the counts as a
    map, and layers with the same sizes that are even. With weights, also the layers whose kernels make a pattern.
    """
    subject, module = read_subject(layer, given, input_size)
    entered = None if input_size is None else read_input(subject, input_size)
    found, sizes = _answered(subject, entered)
    ranking = _ranking(subject, module, weights)
    remarks = [] if entered is None else entered.remarks
    data = _data(found, sizes, ranking) | {"remarks": remarks}
    blocks = [_title(found), *_why(found), *_map(found), _facts(found), *_repairs(found), *_weighted(ranking)]
    blocks += [f"{remark}." for remark in remarks]
    if plot is not None:
        from convarith_gallery.atomic_file import write_whole
        from convarith_gallery.plots.overlap import picture

        write_whole(plot, picture(found, plot))
        blocks.append(f"Wrote the picture to {plot}.")
    return Answer(data, blocks, as_json=as_json, as_markdown=as_markdown)


def _answered(subject: Layer | Network, entered: Input | None) -> tuple[Overlap, tuple[int, ...] | None]:
    """The overlap, and the spatial sizes that -i gives."""
    if entered is None:
        return overlap_of(subject), None
    sizes = entered.sizes
    if sizes is None:  # a network that leaves its dimension open
        axes = len(overlap_of(subject).axes)
        sizes = entered.numbers[1:] if len(entered.numbers) == axes + 1 else entered.numbers
        sizes = sizes * axes if len(sizes) == 1 else sizes
    if max(sizes, default=0) > MOST_POSITIONS:
        raise ParameterError(
            f"-i {times(entered.numbers)} is too large to count every position (more than {MOST_POSITIONS:,}): "
            "leave -i out to see one period"
        )
    with entered.explained():
        return overlap_of(subject, sizes if len(sizes) > 1 else sizes[0]), sizes


def _ranking(subject: Layer | Network, module: nn.Module | None, weights: str | None) -> Ranking | None:
    """The layers whose weights make a pattern, with the weights of a checkpoint or those of the module itself."""
    from convarith.checkerboards.artefacts import read_checkpoint, strengths

    if weights is not None:
        network = subject if isinstance(subject, Network) else Network((Node(subject.name, subject),))
        return strengths(network, read_checkpoint(weights))
    return None if module is None else strengths(module)


# The text ------------------------------------------------------------------------------------------------------------


def _title(found: Overlap) -> str:
    subject = found.subject
    name = counted(len(subject.nodes), "layer") if isinstance(subject, Network) else str(subject)
    verdict = "even" if found.even else "uneven"
    if found.side == "gradient":
        verdict += " gradient"
    if found.hole_fraction:
        what = "inputs get no gradient" if found.side == "gradient" else "outputs are never hit"
        return f"{verdict}: {name}, {found.hole_fraction} of the {what}"
    return f"{verdict}: {name}" if found.even else f"{verdict}: {name}, contrast {_against(found.contrast)}"


def _against(contrast: Fraction | None) -> str:
    return "-" if contrast is None else f"{contrast.numerator} : {contrast.denominator}"


def _why(found: Overlap) -> list[Block]:
    """The cause; for a network, a table of what each layer contributes."""
    if not any(found.frequencies):
        return [found.why]
    seen: dict[tuple[Frequency, ...], list[int]] = {}
    for axis, each in enumerate(found.frequencies):
        seen.setdefault(each, []).append(axis)
    names = axis_names(len(found.frequencies))
    rows = []
    for each, axes in seen.items():
        told: dict[tuple[str, str | None], list[str]] = {}
        for frequency in each:
            told.setdefault((frequency.brought_by, frequency.cured_by), []).append(str(frequency.cycles))
        where = "all" if len(seen) == 1 else ", ".join(names[axis] for axis in axes)
        rows += [(brings, _some(cycles), cure or "nothing", where) for (brings, cure), cycles in told.items()]
    return [Table(("layer", "adds cycles per position", "removed by", "axes"), rows)]


def _some(cycles: list[str]) -> str:
    return ", ".join(cycles) if len(cycles) <= 6 else f"{len(cycles)} frequencies from {cycles[0]} to {cycles[-1]}"


def _map(found: Overlap) -> list[Block]:
    """All counts if they are few, otherwise one period of the inner ones."""
    small = found.counts is not None and all(len(counts) <= WIDEST for counts in found.counts)
    axes = found.counts if small and found.counts is not None else found.interior
    what = "output" if found.side == "output" else "input"
    size = times(len(counts) for counts in axes)
    head = (
        f"How often each of the {size} {what}s is hit:"
        if small
        else f"How often the {what}s away from the border are hit (one period, {size}):"
    )
    if not small and found.even:
        head = f"Every {what} away from the border is hit equally often:"
    if len(axes) == 2:
        rows = [line[:WIDEST] for line in found.grid(inside=not small)[:WIDEST]]
    else:
        rows = [list(counts[:WIDEST]) for counts in axes]
    if len(axes) > 2:
        how = "the counts multiply" if found.separable else "each axis by itself"
        head = head.replace(":", f", one axis per row ({how}):")
    values = sorted({count for row in rows for count in row} - {0})
    width = max(map(len, rows))
    cells = [[*map(str, row), *[""] * (width - len(row))] for row in rows]
    colours = [[values.index(count) if count else None for count in row] + [None] * (width - len(row)) for row in rows]
    cut = any(len(counts) > WIDEST for counts in axes)
    return [head + f" (the first {WIDEST})" * cut, Grid(cells, colours)]


def _facts(found: Overlap) -> Facts:
    span = str(found.min) if found.min == found.max else f"{found.min} to {found.max}"
    facts = [("counts", span + (", including the border" if found.counts else ", excluding the border"))]
    facts.append(("period", times(found.period)))
    border = _border(found)
    if border is None:
        facts.append(("border", "unknown: no accepted input is large enough"))
    else:
        texts = [_ends(*ends) for ends in border]
        named = [f"{name}: {text}" for name, text in zip(axis_names(len(texts)), texts, strict=True)]
        facts.append(("border", texts[0] if len(set(texts)) == 1 else "; ".join(named)))
    if found.counts is not None:
        total = prod(map(len, found.counts))
        missed = total - prod(sum(map(bool, counts)) for counts in found.counts)
        if missed and found.separable:
            facts.append(("never hit", f"{missed:,} of {total:,}"))
    shares = _shares(found)
    if shares is not None:
        ends = [(min(each), max(each)) for each in shares]
        least, most = (prod((end[at] for end in ends), start=Fraction(1)) for at in (0, 1))
        facts.append(
            ("gradient", f"{least} to {most} of an output's gradient" if least != most else f"{most} everywhere")
        )
    return Facts(facts)


def _ends(before: int, after: int) -> str:
    """The width of the border at the start and at the end of an axis."""
    if not before and not after:
        return "none"
    if before == after:
        return f"{counted(before, 'position')} at each end"
    if not before or not after:
        return f"{counted(before or after, 'position')}, only at the {'start' if before else 'end'}"
    return f"{counted(before, 'position')} at the start, {after} at the end"


def _border(found: Overlap) -> tuple[tuple[int, int], ...] | None:
    try:
        return found.border
    except ParameterError:
        return None


def _shares(found: Overlap) -> tuple[tuple[Fraction, ...], ...] | None:
    if found.counts is None:
        return None
    try:
        return found.shares
    except ConvarithError:
        return None


def _repairs(found: Overlap) -> list[Block]:
    """Layers that can replace the uneven ones."""
    if not found.repairs:
        return []
    rows = [
        (f"{repair.node} {repair.name}".strip(), "; ".join(map(str, repair.layers)), repair.text)
        for repair in found.repairs
    ]
    return [
        "Even, with the same output size for every input:",
        Facts([(name, f"{layers}\n{text}") for name, layers, text in rows]),
    ]


def _weighted(ranking: Ranking | None) -> list[Block]:
    if ranking is None:
        return []
    blocks: list[Block] = []
    if ranking.artefacts:
        columns = ("layer", "", "pattern in", "pattern / signal", "dB", "worst channel", "white noise")
        rows = [
            (each.name, str(each.layer), each.side, f"{each.strength:.3g}", f"{each.decibels:.1f}",
             str(each.worst_channel), f"{each.noise_contrast:.3g} : 1")
            for each in ranking.artefacts
        ]  # fmt: skip
        blocks += [
            "The pattern that the weights make of a constant input, strongest first:",
            Table(columns, rows, columns[3:]),
        ]
    else:
        blocks.append("No layer with weights has a stride above 1, so the weights make no pattern.")
    lines = [(name, why) for name, why in ranking.missing.items()]
    if lines:
        blocks += ["Layers without weights:", Facts(lines)]
    if ranking.unused:
        blocks.append(f"Weights that belong to none of the layers: {', '.join(ranking.unused)}.")
    return blocks


# The document --------------------------------------------------------------------------------------------------------


def _data(found: Overlap, sizes: Sequence[int] | None, ranking: Ranking | None) -> dict[str, Any]:
    border, shares = _border(found), _shares(found)
    return {
        "layer": str(found.subject),
        "side": found.side,
        "input_size": None if sizes is None else list(sizes),
        "even": found.even,
        "why": found.why,
        "counts": None if found.counts is None else [list(counts) for counts in found.counts],
        "interior": [list(counts) for counts in found.interior],
        "period": list(found.period),
        "holes": found.holes,
        "hole_fraction": float(found.hole_fraction),
        "contrast": None if found.contrast is None else float(found.contrast),
        "min": found.min,
        "max": found.max,
        "border": None if border is None else [list(ends) for ends in border],
        "shares": None if shares is None else [[str(share) for share in each] for each in shares],
        "frequencies": [
            [
                {"cycles": str(each.cycles), "brought_by": each.brought_by, "cured_by": each.cured_by}
                for each in frequencies
            ]
            for frequencies in found.frequencies
        ],
        "repairs": [
            {"name": each.name, "replaces": each.node or None, "layers": [str(layer) for layer in each.layers]}
            for each in found.repairs
        ],
        "weights": None if ranking is None else {
            "artefacts": [_artefact(each) for each in ranking.artefacts],
            "missing": ranking.missing,
            "unused": ranking.unused,
        },
    }  # fmt: skip


def _artefact(artefact: Artefact) -> dict[str, Any]:
    return {
        "name": artefact.name,
        "layer": str(artefact.layer),
        "side": artefact.side,
        "strength": _finite(artefact.strength),
        "decibels": _finite(artefact.decibels),
        "noise_contrast": _finite(artefact.noise_contrast),
        "worst_channel": artefact.worst_channel,
        "phases": list(artefact.power.shape),
        "spectrum": [_finite(float(each)) for each in artefact.spectrum.ravel()],
    }


def _finite(number: float) -> float | None:
    """JSON has no infinity, so None stands for it."""
    return number if isfinite(number) else None
