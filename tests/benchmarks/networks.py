"""The sizes of a network in process, compared with torch's meta device and, for a million sizes, with numpy."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

from comparing import Comparison, Side
from sizing import ENCODER, IMAGE, forward

import convarith as ca

MILLION = 1_000_000


def network_sizes() -> Callable[[], object]:
    """Every shape of the encoder."""
    net = ca.parse_network("; ".join(ENCODER))
    return lambda: net.output_shape((1, *IMAGE))


def map_of_a_million() -> Callable[[], object]:
    """The output size of every input size up to a million, so that milliseconds are nanoseconds per size."""
    import numpy as np

    sizes, inputs = ca.parse_network("; ".join(ENCODER)).size_map(0), np.arange(MILLION)
    return lambda: sizes.sizes(inputs)


def formula_of_a_million() -> Callable[[], object]:
    """The same formula written in numpy, without checking which sizes are refused."""
    import numpy as np

    inputs = np.arange(MILLION)
    return lambda: (inputs - 28) // 4 + 1


def comparisons() -> list[Comparison]:
    """Shapes of five layers, and one size map."""
    found = []
    if find_spec("torch"):
        ours, other = (
            Side("Network.output_shape, 5 layers", network_sizes),
            Side("torch meta forward of five", lambda: forward(ENCODER)),
        )
        found.append(Comparison("network-sizes", ours, other, at_least=20, calls=50))
    if find_spec("numpy"):
        ours, other = (
            Side("SizeMap.sizes, 10^6 sizes", map_of_a_million),
            Side("numpy (i - 28)//4 + 1", formula_of_a_million),
        )
        found.append(Comparison("size-map", ours, other, at_most=4, calls=5))
    return found
