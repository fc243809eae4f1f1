"""The matrix of a convolution, compared with a copy of its arrays and with coordinates that scipy converts to CSR.

And matrices that are too large: refused or only bounded, compared with the answer about a small one.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from comparing import Comparison, Side
from starting import convarith

import convarith as ca

LAYER, SIZE = "Conv2d(16, 32, 3, stride=2, padding=1)", (64, 64)
REFUSED = ("conv", "-k", "3", "-i", "3000000x3000000")
REFLECTED = ("conv", "-k", "1000001", "-p", "500000", "--padding-mode", "reflect", "-i", "300000000")
BOUNDED = ("conv", "-k", "3", "-p", "1", "-i", "5000x5000")


def weight() -> Any:
    """Random numbers of the layer's shape."""
    import numpy as np

    return np.random.default_rng(0).standard_normal((32, 16, 3, 3))


def ours() -> Callable[[], object]:
    """The CSR matrix of 4.6 million entries."""
    layer, values = ca.parse(LAYER), weight()
    return lambda: ca.matrix.conv_matrix(layer, SIZE, values)


def copy() -> Callable[[], object]:
    """Copy the three finished arrays to new memory, which is the least that a construction has to write."""
    matrix = ca.matrix.conv_matrix(ca.parse(LAYER), SIZE, weight())
    return lambda: (matrix.data.copy(), matrix.indices.copy(), matrix.indptr.copy())


def converted() -> Callable[[], object]:
    """The usual way: a row, a column and a value for every tap inside the input, then scipy's conversion to CSR."""
    import numpy as np
    from scipy.sparse import coo_array

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
    """The construction of a matrix, and what happens if it is too large."""
    if not find_spec("scipy"):
        return []
    small = convarith("matrix", "conv", "-k", "3", "-i", "5x5")
    side = Side("conv_matrix, 4.6 million entries", ours)
    return [
        Comparison("matrix-copy", side, Side("a copy of its arrays", copy), at_most=2),
        Comparison("matrix-coo", side, Side("COO, then converted", converted), at_least=8),
        Comparison("matrix-refused", convarith("matrix", *REFUSED, exits=2), small, at_most=1.5),
        Comparison("matrix-reflected", convarith("matrix", *REFLECTED, exits=2), small, at_most=1.5),
        Comparison("matrix-bounded", convarith("matrix", *BOUNDED), small, at_most=2),
    ]
