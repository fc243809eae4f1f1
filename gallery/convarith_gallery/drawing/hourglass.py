"""A network's shapes as an hourglass: one bar per layer, its height for the map size and its width for the channels."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, log2, prod

from convarith.errors import ParameterError
from convarith.networks.network import Network
from convarith.sizes.normalise import times
from convarith_gallery.drawing.film import Box, Changes, Film, Item
from convarith_gallery.drawing.frame import framed

TALLEST = 190
LEAST = 8
MOST_BARS = 40


def hourglass(network: Network, input_shape: Sequence[int], bare: bool = False) -> Film:
    """Draw one step per layer that changes the shape. Heights and widths are logarithmic.

    `bare` leaves out the title, the captions and the counter, for a page that shows them beside the picture.

    Raises ParameterError if there are more shapes than fit side by side, ShapeError if a layer rejects its input shape.

    >>> import convarith as ca
    >>> film = hourglass(ca.parse_network("Conv2d(1, 8, 4, stride=2); ConvTranspose2d(8, 1, 4, stride=2)"), (1, 28, 28))
    >>> film.captions
    ('input 1x28x28', 'Conv2d(1, 8, 4, stride=2): 8x13x13', 'ConvTranspose2d(8, 1, 4, stride=2): 1x28x28')
    """
    trace = network.trace(tuple(input_shape), False)
    shapes, names = [trace.input], ["input"]
    for row in trace.rows:
        if row.output != shapes[-1]:
            shapes.append(row.output)
            names.append(str(row.layer))
    if len(shapes) > MOST_BARS:
        raise ParameterError(
            f"the network has {len(shapes)} different shapes in a row, but at most {MOST_BARS} fit side by side: "
            "draw a part of it"
        )
    sizes = [max(shape[1:], default=1) for shape in shapes]
    channels = [shape[0] for shape in shapes]
    unit = (TALLEST - LEAST) / max(log2(max(sizes)), 1)
    labels = [times(shape).replace("x", " × ") for shape in shapes]
    columns = [max(16 + 7 * log2(count + 1), 7 * len(label) + 8) for count, label in zip(channels, labels, strict=True)]
    narrow = min(range(1, len(shapes)), key=lambda at: prod(shapes[at]), default=0)
    items: list[Item | None] = [None] * (2 * len(shapes))
    frames: list[Changes] = []
    x = 0.0
    previous: dict[int, Item | None] = {}
    for at, (label, column) in enumerate(zip(labels, columns, strict=True)):
        tall, wide = LEAST + unit * log2(sizes[at]), 8 + 7 * log2(channels[at] + 1)
        role = "kernel" if at == narrow else "input" if at < narrow else "output"
        bar = Box(x + (column - wide) / 2, (TALLEST - tall) / 2, wide, tall, fill=role, edge="edge")
        below = Box(x, TALLEST + 8, column, 18, text=label, size=11.5, ink="ink")
        frames.append(previous | {2 * at: bar._replace(heavy=True), 2 * at + 1: below})
        previous = {2 * at: bar}
        x += column
    counts = [(len(trace.rows), "layer"), (trace.macs, "multiply-accumulate")]
    if trace.parameters is not None:
        counts.insert(1, (trace.parameters, "parameter"))
    counted = ", ".join(f"{count:,} {word}{'s' if count != 1 else ''}" for count, word in counts)
    captions = tuple(
        f"{name}{':' if at else ''} {times(shape)}" for at, (name, shape) in enumerate(zip(names, shapes, strict=True))
    )
    title = f"Shapes: {labels[0]} → {labels[-1]}"
    alt = f"The shapes of a network as bars, {title}: {'; '.join(captions)}. {counted}."
    body = Film(ceil(x), TALLEST + 26, tuple(items), tuple(frames), captions, title, alt)
    return framed(body, counted, bare=bare)
