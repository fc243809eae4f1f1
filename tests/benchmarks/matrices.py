"""The matrix of a convolution: against a copy of its own arrays, and against coordinates that scipy converts."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from comparing import Comparison, Side

import convarith as ca

LAYER, SIZE = "Conv2d(16, 32, 3, stride=2, padding=1)", (64, 64)


def weight() -> Any:
    """Random numbers of the layer's shape."""
    import numpy as np

    return np.random.default_rng(0).standard_normal((32, 16, 3, 3))


def ours() -> Callable[[], object]:
    """The CSR matrix of 4.6 million entries."""
    layer, values = ca.parse(LAYER), weight()
    return lambda: ca.matrix.conv_matrix(layer, SIZE, values)


def copy() -> Callable[[], object]:
    """The three finished arrays into fresh memory: no construction can write less."""
    matrix = ca.matrix.conv_matrix(ca.parse(LAYER), SIZE, weight())
    return lambda: (matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy())


def converted() -> Callable[[], object]:
    """The usual way: a row, a column and a value for every tap that is inside, then scipy's conversion to CSR."""
    import numpy as np
    from scipy.sparse import coo_array  # type: ignore[import-untyped]

    values = weight()

    def build() -> object:
        out, own, y, x, i, j = np.ogrid[:32, :16, :32, :32, :3, :3]
        height, width = 2 * y - 1 + i, 2 * x - 1 + j
        inside = (height >= 0) & (height < 64) & (width >= 0) & (width < 64)
        shape = (32, 16, 32, 32, 3, 3)
        inside = np.broadcast_to(inside, shape)
        rows = np.broadcast_to((out * 32 + y) * 32 + x, shape)[inside]
        columns = np.broadcast_to((own * 64 + height) * 64 + width, shape)[inside]
        data = np.broadcast_to(values[:, :, None, None], shape)[inside]
        return coo_array((data, (rows, columns)), shape=(32 * 32 * 32, 16 * 64 * 64)).tocsr()

    return build


def comparisons() -> list[Comparison]:
    """Two bounds on one construction."""
    if not find_spec("scipy"):
        return []
    side = Side("conv_matrix, 4.6 million entries", ours)
    return [
        Comparison("matrix-copy", side, Side("a copy of its arrays", copy), at_most=2),
        Comparison("matrix-coo", side, Side("COO, then converted", converted), at_least=8),
    ]
