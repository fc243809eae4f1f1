"""From the layers of a network to stacks: which part is analysed, in which direction, and which sizes enter it.

If the network upsamples, its last part is analysed forwards, starting after the last layer that cannot be part of a
stack, such as a Linear or a pool of an encoder. If it only downsamples, its first part is analysed backwards, like its
gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from convarith.checkerboards.axis import Scatter, scatter_of
from convarith.checkerboards.stack import Move, Stack, Step
from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer, SpatialLayer
from convarith.networks.network import INPUT, Network, Node
from convarith.sizes.normalise import counted, shape_of, times

Entering = Callable[[int | Sequence[int]], list[tuple[int, ...]]]
"""A function from an input size to the sizes that enter a stack at each of its sources."""

MOST_PHASES = 2**16
"""The largest accepted product of the strides of a stack."""
SAMPLES = 8
"""How often the size of an input is doubled to find one whose two borders do not meet."""


def stacks_of(network: Network, input_size: int | Sequence[int] | None) -> tuple[str, tuple[Stack, ...]]:
    """('output' or 'gradient', the stack of each axis) for a network.

    The input size is the size that enters the network. If a Linear or another layer that mixes positions comes before
    the analysed part, it is the size of the output of the last such layer.

    Raises ParameterError if the network upsamples before a layer that cannot be part of a stack, ShapeError if a layer
    does not accept its size.

    >>> import convarith as ca
    >>> side, (stack, _) = stacks_of(ca.parse_network("Linear(5, 98); Unflatten(1, (2, 7, 7)); PixelShuffle(2)"), None)
    >>> side, [(step.move.name, step.move.kernel, step.move.stride) for step in stack.steps]
    ('output', [('2', 2, 2)])
    """
    run, reading = _behind(network), _in_front(network)
    kept = {node.name for node in run}
    read = {name for node in run for name in node.inputs} or {node.name for node in network.nodes[-1:]}
    ends = [at for at, node in enumerate(network.nodes) if node.name in read - kept]
    front = network.nodes[: ends[-1] + 1] if ends else ()
    lost = next((node for node in front if _upsamples(node) and node.name not in kept), None)
    if lost:
        raise ParameterError(
            f"{lost.place} upsamples before {front[-1].place}, {front[-1].layer}, and patterns cannot be followed "
            "through that layer: analyse the layers before it and after it separately"
        )
    if not any(map(_upsamples, run)) and any(node.layer.overlap_side == "gradient" for node in reading):
        return "gradient", _backward(network, reading, input_size)
    if all(node.layer.keeps_positions for node in run):
        raise ParameterError(
            "the network has no layer at its end that upsamples, and no convolution or pool at its start: "
            "there is no overlap to count"
        )
    return "output", _forward(network, run, input_size)


def gradient_of(layer: Layer, input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    """The stack of each axis for the gradient of one layer: the windows that read an input, copies in the padding too.

    >>> import convarith as ca
    >>> gradient_of(ca.Conv(kernel_size=3, padding=1, padding_mode="reflect"), 4)[0].counts
    (2, 4, 4, 2)
    """
    node = Node(layer.name, layer)
    return _backward(Network((node,)), [node], input_size)


def _behind(network: Network) -> list[Node]:
    """The nodes from which the output is reached only through layers that can be part of a forward stack."""
    nodes = {node.name: node for node in network.nodes}
    kept, waiting = set(), [node.name for node in network.nodes[-1:]]
    while waiting:
        name = waiting.pop()
        if name in nodes and name not in kept and _runs_forward(nodes[name].layer):
            kept.add(name)
            waiting += nodes[name].layer.carried(nodes[name].inputs)
    return [node for node in network.nodes if node.name in kept]


def _in_front(network: Network) -> list[Node]:
    """The nodes that the input reaches only through layers whose gradient can be followed."""
    open_ends, found = {INPUT}, []
    for node in network.nodes:
        layer = node.layer
        reads = layer.overlap_side == "gradient" or layer.pads_only or _passes_through(layer)
        if reads and not open_ends.isdisjoint(layer.carried(node.inputs)):
            found.append(node)
            if not layer.row_per_tap:  # the output of an Unfold has columns, not positions
                open_ends.add(node.name)
    return found


def _upsamples(node: Node) -> bool:
    return node.layer.overlap_side == "output"


def _passes_through(layer: Layer) -> bool:
    """Whether the layer keeps every position where it is, along every axis."""
    return layer.keeps_positions and not layer.mixes_positions


def _runs_forward(layer: Layer) -> bool:
    """Whether the layer can be part of a stack that upsamples."""
    if layer.overlap_side == "gradient":  # a window with stride 1 that computes a sum
        axes = range(layer.ndim or 1)
        sums = layer.has_matrix and not layer.row_per_tap
        return sums and all(scatter_of(layer, axis).stride == 1 for axis in axes)
    if layer.overlap_side == "output":
        found = [layer.scattering(axis) for axis in range(layer.ndim or 1)]
        return all(scattering is not None and scattering.kernel > 0 for scattering in found)
    return layer.pads_only or _passes_through(layer)


def _forward(network: Network, run: Sequence[Node], input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    ndim = _ndim(run, input_size)
    kept = {node.name for node in run}
    folds = {node.name: _blocks(node.layer, ndim) for node in run if not node.layer.carried(node.inputs)}
    outside = dict.fromkeys(name for node in run for name in node.layer.carried(node.inputs) if name not in kept)
    sources = {name: ~number for number, name in enumerate([*outside, *(f"{name}'s columns" for name in folds)])}
    built: list[list[Step]] = []
    for axis in range(ndim):
        steps: list[Step] = []
        place = dict(sources)
        for node in run:
            names = node.layer.carried(node.inputs) or (f"{node.name}'s columns",)
            place[node.name] = _add(
                steps, _move(node, axis), [place[name] for name in names], node.layer.keeps_positions
            )
        built.append(_ending(steps, place[run[-1].name]))

    def entering(size: int | Sequence[int]) -> list[tuple[int, ...]]:
        found = _sizes(network, run, size, ndim)
        return [*(found[name] for name in outside), *folds.values()]

    return _stacks(network, built, entering, input_size)


def _backward(network: Network, nodes: Sequence[Node], input_size: int | Sequence[int] | None) -> tuple[Stack, ...]:
    """The stacks of the gradient, the last layers first."""
    ndim = _ndim(nodes, input_size)
    kept = {node.name for node in nodes}
    readers: dict[str, list[str]] = {name: [] for name in (INPUT, *kept)}
    ends = dict.fromkeys(node.name for node in network.nodes[-1:] if node.name in kept)
    for node in network.nodes:
        for name in node.inputs:
            if name in readers and node.name in kept and name in node.layer.carried(node.inputs):
                readers[name].append(node.name)
            elif name in kept:
                ends[name] = None
    ends |= dict.fromkeys(node.name for node in nodes if not readers[node.name])
    sources = {name: ~number for number, name in enumerate(ends)}

    def steps_along(axis: int, sizes: dict[str, tuple[int, ...]] | None) -> list[Step]:
        steps: list[Step] = []
        place: dict[str, int] = {}
        for node in reversed(nodes):
            reads = [place[name] for name in readers[node.name]]
            reads += [sources[node.name]] if node.name in sources else []
            left = 0
            if sizes and isinstance(node.layer, SpatialLayer) and not node.layer.pads_only:
                left = node.layer.leftover(sizes[node.inputs[0]])[axis]
            place[node.name] = _add(steps, _move_back(node, axis, left), reads, node.layer.keeps_positions)
        return _ending(steps, _add(steps, Move(INPUT), [place[name] for name in readers[INPUT]], True))

    sizes = None if input_size is None else _sizes(network, nodes, input_size, ndim)
    built = [steps_along(axis, sizes) for axis in range(ndim)]

    def entering(size: int | Sequence[int]) -> list[tuple[int, ...]]:
        found = _sizes(network, nodes, size, ndim)
        return [found[name] for name in ends]

    return _stacks(network, built, entering, input_size)


def _add(steps: list[Step], move: Move, reads: list[int], passing: bool) -> int:
    """The index of the step with this result; a step is appended unless it would only pass a single input on."""
    if len(reads) == 1 and passing:
        return reads[0]
    steps.append(Step(move, tuple(reads)))
    return len(steps) - 1


def _ending(steps: list[Step], at: int) -> list[Step]:
    """The steps, ending with the step of this index."""
    return steps if 0 <= at == len(steps) - 1 else [*steps, Step(Move(""), (at,))]


def _stacks(
    network: Network, built: list[list[Step]], entering: Entering, input_size: int | Sequence[int] | None
) -> tuple[Stack, ...]:
    """The stacks of all axes, with the sizes that enter them."""
    stacks = [Stack(tuple(steps)) for steps in built]
    for stack in stacks:
        if stack.phases > MOST_PHASES:
            raise ParameterError(
                f"the product of the strides is {stack.phases}, more than the supported {MOST_PHASES}: use fewer layers"
            )
    if input_size is not None:
        given = entering(input_size)
        stacks = [stack._replace(sizes=tuple(size[axis] for size in given)) for axis, stack in enumerate(stacks)]
    if len({at for step in stacks[0].steps for at in step.reads if at < 0}) > 1:
        stacks = [
            stack._replace(sample=_sample(network, stack, entering, axis, len(stacks)))
            for axis, stack in enumerate(stacks)
        ]
    return tuple(stacks)


def _sample(network: Network, stack: Stack, entering: Entering, axis: int, ndim: int) -> tuple[int, ...] | None:
    """The sizes at each source for an input whose borders do not meet: a power of two, or the next accepted size."""
    size = 1 << (stack.reach + stack.phases).bit_length()
    for _ in range(SAMPLES):
        size *= 2
        choices = [size]
        try:
            above = network.size_map(axis).domain.next_to(size)[1]
            choices += [above] if above is not None else []
        except ConvarithError:
            pass
        for choice in choices:
            try:
                sizes = tuple(each[axis] for each in entering((choice,) * ndim))
                if len(stack.values(sizes)) > 2 * stack.reach:
                    return sizes
            except ShapeError:
                continue
    return None


def _move(node: Node, axis: int) -> Move:
    """The move of a layer in a forward stack, along one axis."""
    layer = node.layer
    if layer.keeps_positions:
        return Move(node.name)
    if layer.overlap_side == "output":
        scatter = scatter_of(layer, axis)
        reach = scatter.dilation * (scatter.kernel - 1)
        constant = reach + 1 - scatter.stride - scatter.before - scatter.after
        return Move(node.name, scatter.kernel, scatter.stride, scatter.dilation, scatter.before, constant)
    scatter = _window(layer, axis)
    reach = scatter.dilation * (scatter.kernel - 1)
    pads = scatter.before, scatter.after
    return Move(node.name, scatter.kernel, 1, scatter.dilation, reach, sum(pads) - reach, pads, layer.pad_mode)


def _move_back(node: Node, axis: int, left: int) -> Move:
    """The move of the gradient of a layer; `left` is the number of positions that its stride leaves unread."""
    layer = node.layer
    if layer.keeps_positions:
        return Move(node.name)
    scatter = _window(layer, axis)
    pads = scatter.before, scatter.after
    constant = scatter.dilation * (scatter.kernel - 1) + 1 - scatter.stride - sum(pads) + left
    numbers = scatter.kernel, scatter.stride, scatter.dilation
    return Move(node.name, *numbers, 0, constant, pads, layer.pad_mode, back=True)


def _window(layer: Layer, axis: int) -> Scatter:
    """The window of a convolution, pool or padding. Raises ParameterError for a crop in a mode other than zeros."""
    scattering = layer.scattering(axis)
    assert scattering is not None
    if layer.pad_mode != "zeros" and min(scattering.before, scattering.after) < 0:
        raise ParameterError(
            f"{layer} crops in mode {layer.pad_mode!r}, which is not supported: crop in a separate ZeroPad"
        )
    return Scatter(*scattering)


def _sizes(
    network: Network, nodes: Sequence[Node], input_size: int | Sequence[int], ndim: int
) -> dict[str, tuple[int, ...]]:
    """The spatial size at every node and input of `nodes`. After a layer that mixes positions, it is the input size."""
    by_name = {node.name: node for node in network.nodes}
    given = _spread(input_size, ndim)
    needed, waiting = set(), [name for node in nodes for name in (node.name, *node.inputs)]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in needed:
            needed.add(name)
            waiting += () if by_name[name].layer.mixes_positions else by_name[name].inputs
    sizes = {INPUT: given}
    for node in network.nodes:
        if node.name not in needed:
            continue
        layer = node.layer
        if layer.mixes_positions:
            sizes[node.name] = given
            continue
        reads = [sizes[name] for name in node.inputs]
        try:
            if isinstance(layer, SpatialLayer):
                sizes[node.name] = _given_size(layer, ndim) or layer.outputs_along(reads[0])
            else:
                sizes[node.name] = _met(layer, reads)
        except ShapeError as error:
            raise ShapeError(f"{node.place}: {error}") from None
    return sizes


def _met(layer: Layer, sizes: list[tuple[int, ...]]) -> tuple[int, ...]:
    """The size at which branches meet."""
    met = tuple(max(each) for each in zip(*sizes, strict=True))
    for size in sizes:
        if any(one != other and (one != 1 or not layer.broadcasts) for one, other in zip(size, met, strict=True)):
            shown = " and ".join(times(each) for each in sizes)
            raise ShapeError(f"{layer} gets sizes {shown}: give an input size for which they agree")
    return met


def _given(layer: Layer, ndim: int) -> list[tuple[int, int]]:
    """(inputs, positions) of each axis if the layer itself fixes them, like a Fold."""
    found = [layer.scattering(axis) for axis in range(ndim)] if layer.hides_axes else []
    return [each.given for each in found if each is not None and each.given is not None]


def _given_size(layer: Layer, ndim: int) -> tuple[int, ...]:
    return tuple(positions for _, positions in _given(layer, ndim))


def _blocks(layer: Layer, ndim: int) -> tuple[int, ...]:
    """The number of blocks that a Fold sums along each axis."""
    return tuple(inputs for inputs, _ in _given(layer, ndim))


def _ndim(nodes: Sequence[Node], input_size: int | Sequence[int] | None) -> int:
    known = next((node.layer.ndim for node in nodes if node.layer.ndim is not None), None)
    return known or (len(input_size) if isinstance(input_size, Sequence) else 1)


def _spread(input_size: int | Sequence[int], ndim: int) -> tuple[int, ...]:
    sizes = shape_of((input_size,) * ndim if isinstance(input_size, int) else input_size, "input size")
    if len(sizes) != ndim:
        raise ShapeError(f"input size {times(sizes)} has {counted(len(sizes), 'number')}: give {ndim}, one per axis")
    return sizes
