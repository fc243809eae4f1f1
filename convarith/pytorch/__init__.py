"""From torch to convarith and back: a module as a layer or a network, a layer as a module.

torch is imported by the functions that need it. `modules` converts single modules, `graph` whole models with the help
of `calls` (the arguments of a call) and `functions` (what torch's functions are as layers); `user_code` imports a model
from the user's files, `verification` compares the sizes with torch's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from convarith.dependencies import require_torch
from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.pytorch.modules import layer_of, to_module

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from convarith.networks.network import Network

__all__ = ["from_module", "layer_of", "to_module"]


def from_module(module: nn.Module, input_shape: Sequence[int] | None = None) -> Layer | Network:
    """Read a torch module: as a layer if it is a single known one, otherwise as the network of its graph.

    The graph is traced symbolically. Modules of torch.nn and functions of torch become nodes with the names that torch
    gives them ('encoder.0'). A module that is called twice becomes two nodes, and its parameters are counted twice.
    Arithmetic with plain numbers adds no node. Sizes that are taken from another tensor become MatchSize.

    With `input_shape` (channels first, with or without a batch) the model also runs once on zeros, in evaluation mode,
    and the shape at every node is compared with the one that was recorded. An operation that is unknown, or whose
    shape differs, becomes Recorded. A model that cannot be traced is recorded from that run. The module is not changed.

    Weights that the model passes to a function count as its parameters. Other tensors that it holds do not, and the
    network's remarks name them. If there are several outputs, the first one is followed.

    Raises ParameterError if a shape is needed and `input_shape` is not given, ShapeError if the model does not accept
    it, MissingDependencyError without torch.

    >>> from torch import nn
    >>> from_module(nn.Conv2d(1, 16, 3, stride=2))
    Conv2d(1, 16, 3, stride=2)
    >>> print(from_module(nn.Sequential(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU()), nn.MaxPool2d(2))))
    0.0: Conv2d(1, 8, 3)
    0.1: ReLU()
    1: MaxPool2d(kernel_size=2)
    """
    require_torch()
    import torch

    if not isinstance(module, torch.nn.Module):
        raise ParameterError(f"{type(module).__name__} is not a torch.nn.Module: give an instance of one")
    layer = layer_of(module)
    if layer is not None:
        return layer
    from convarith.pytorch.graph import network_of

    return network_of(module, input_shape)
