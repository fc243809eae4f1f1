"""Any torch module as a network: its graph is traced symbolically or recorded from one run, then converted."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from convarith.errors import ConvarithError, ParameterError, ShapeError
from convarith.layers.base import Layer
from convarith.layers.recorded import Recorded
from convarith.networks.network import INPUT, Network, Node
from convarith.pytorch.calls import (
    Builder,
    Call,
    Constant,
    Shape,
    Sized,
    Stream,
    Unclear,
    Value,
    contains,
    found,
    sized,
)
from convarith.pytorch.functions import CONVERTERS, layer_call
from convarith.pytorch.modules import layer_of
from convarith.sizes.normalise import shape_of, times

if TYPE_CHECKING:
    from torch import Tensor, fx, nn

CONTAINERS = ("Sequential", "ModuleList", "ModuleDict")


@dataclass(frozen=True)
class Seen:
    """The shape of a tensor, recorded when the model ran."""

    shape: Shape


def network_of(module: nn.Module, input_shape: Sequence[int] | None = None) -> Network:
    """Convert a module to a network, as `convarith.pytorch.from_module` describes.

    >>> from torch import nn
    >>> print(network_of(nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU())))
    0: Conv2d(1, 8, 3)
    1: ReLU()
    """
    _one_input(module)
    shape = None if input_shape is None else shape_of(input_shape, "input shape")
    with _undisturbed(module) as subject:
        if shape is not None and _is_lazy(subject):
            _ran(subject, shape, lambda subject, values: subject(values))
        try:
            graph = _traced(subject)
        except Exception as error:  # noqa: BLE001 - a model may do anything with a symbolic value
            if shape is None:
                raise ParameterError(
                    f"{type(module).__name__} cannot be followed without running it "
                    f"({_line(error)}): give input_shape, so that it can run once"
                ) from None
            return _Conversion(subject, _ran(subject, shape, _recorded), [_AS_NUMBERS]).network()
        if shape is not None:
            _ran(subject, shape, lambda subject, values: _interpreted(subject, graph, values))
        return _Conversion(subject, graph, []).network()


_AS_NUMBERS = "recorded from one run: sizes that the model computes are valid for that input only"


def _one_input(module: nn.Module) -> None:
    parameters = inspect.signature(module.forward).parameters.values()
    needed = [
        each.name
        for each in parameters
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if len(needed) > 1:
        raise ParameterError(
            f"{type(module).__name__} takes {len(needed)} inputs ({', '.join(needed)}), but a network has one: "
            "wrap it in a module that creates the others"
        )


def _line(error: BaseException) -> str:
    """An error as one line."""
    text = " ".join(str(error).split()).partition(" While executing %")[0]  # what torch's interpreter adds
    return f"{type(error).__name__}: {text}"[:200]


@contextmanager
def _undisturbed(module: nn.Module) -> Iterator[nn.Module]:
    """Put the module into evaluation mode, without gradients, and restore everything when the block ends."""
    import torch
    from torch.nn.parameter import is_lazy

    if _is_lazy(module):
        from copy import deepcopy  # a lazy module is changed by its first input

        module = deepcopy(module)
    modes = {each: each.training for each in module.modules()}
    buffers = [(buffer, buffer.clone()) for buffer in module.buffers() if not is_lazy(buffer)]
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module.eval()
            yield module
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
        for each, training in modes.items():
            each.training = training


def _is_lazy(module: nn.Module) -> bool:
    from torch.nn.parameter import is_lazy

    return any(is_lazy(each) for each in module.parameters())


# The graph ------------------------------------------------------------------------------------------------------------


def _is_leaf(module: nn.Module) -> bool:
    """Does a module become one node? The modules of torch do, except containers."""
    if _known(module):
        return True
    cls = type(module)
    return cls.__module__.startswith("torch.nn") and cls.__name__ not in CONTAINERS


def _known(module: nn.Module) -> Layer | None:
    """The layer of a module; None if it is unknown or its parameters are not accepted."""
    try:
        return layer_of(module)
    except ConvarithError:
        return None


def _traced(module: nn.Module) -> fx.Graph:
    from torch import fx

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return _is_leaf(m)

    parameters = inspect.signature(module.forward).parameters.values()
    fixed = {each.name: each.default for each in parameters if each.default is not each.empty}
    if len(fixed) == len(parameters) and fixed:
        del fixed[next(iter(fixed))]
    return Tracer().trace(module, concrete_args=fixed or None)


def _ran(module: nn.Module, shape: Shape, run: Callable[[nn.Module, Tensor], Any]) -> Any:
    """Run the module on zeros, with a batch axis added if the first layer needs one."""
    import torch

    first = next(module.parameters(), None)
    dtype = first.dtype if first is not None and first.is_floating_point() else torch.float32
    device = "cpu" if first is None else first.device
    refusals = []
    for batched in _batches(module, shape):
        try:
            return run(module, torch.zeros(batched, dtype=dtype, device=device))
        except Exception as error:  # noqa: BLE001 - whatever the model raises
            refusals.append(f"{type(module).__name__} does not take an input of {times(batched)}: {_line(error)}")
    raise ShapeError(refusals[0])


def _batches(module: nn.Module, shape: Shape) -> list[Shape]:
    """The input shape with and without a batch axis added, the more likely one first."""
    batched = (1, *shape)
    ndim = _spatial_axes(module)
    if ndim == 0:
        return [shape] if len(shape) > 1 else [batched]
    without = len(shape) == ndim + 1 if ndim else len(shape) in (1, 3)
    return [batched, shape] if without else [shape, batched]


def _spatial_axes(module: nn.Module) -> int | None:
    """The number of spatial axes of the input, from the first layer that has a dimension, or the first kernel."""
    for each in module.modules():
        layer = _known(each)
        if layer is not None and layer.input_ndim is not None:
            return layer.input_ndim
    return next((each.dim() - 2 for each in module.parameters() if each.dim() > 2), None)


def _summary(value: Any) -> Any:
    """A value of the run with the shape of every tensor in the tensor's place."""
    import torch

    if isinstance(value, torch.Tensor):
        return Seen(tuple(value.shape))
    if isinstance(value, dict):
        return {word: _summary(each) for word, each in value.items()}
    if isinstance(value, torch.Size):
        return tuple(value)
    return tuple(map(_summary, value)) if isinstance(value, (tuple, list)) else value


def _interpreted(module: nn.Module, graph: fx.Graph, values: Tensor) -> None:
    """Run a graph and record the result of every node."""
    from torch import fx

    class Noting(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            result = super().run_node(n)
            n.meta["seen"] = _summary(result)
            return result

    Noting(fx.GraphModule(module, graph), garbage_collect_values=True).run(values)


def _recorded(module: nn.Module, values: Tensor) -> fx.Graph:
    """Record the graph of one run: the modules that are leaves, and the functions of torch between them."""
    from torch.overrides import TorchFunctionMode

    record = _Record(values)

    class Functions(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            if not record.inside:
                changed = args[0] if getattr(func, "__name__", "") == "__setitem__" else result
                record.note("call_function", func, args, kwargs or {}, changed)
            return result

    handles: list[Any] = []
    for name, each in module.named_modules():
        if name and _is_leaf(each):
            handles += record.hooks(name, each)
    try:
        with Functions():
            result = module(values)
    finally:
        for handle in handles:
            handle.remove()
    return record.finished(result)


class _Record:
    """A graph that grows while a model runs."""

    def __init__(self, values: Tensor) -> None:
        from torch import fx

        self.graph = fx.Graph()
        self.inside = 0
        self.tensors = [values]  # kept alive, because the id of a deleted tensor may be used again
        self.nodes = {id(values): self.graph.placeholder("x")}
        self.nodes[id(values)].meta["seen"] = _summary(values)

    def hooks(self, name: str, module: nn.Module) -> list[Any]:
        def before(*_: Any) -> None:
            self.inside += 1

        def after(_: Any, args: Any, kwargs: Any, result: Any) -> None:
            self.inside -= 1
            if not self.inside:
                self.note("call_module", name, args, kwargs, result)

        return [
            module.register_forward_pre_hook(before),
            module.register_forward_hook(after, with_kwargs=True),
        ]

    def note(self, op: str, target: Any, args: Any, kwargs: Any, result: Any) -> None:
        """Add a node for a call that returned tensors."""
        if not contains(_summary(result), Seen):
            return
        name = None if op == "call_module" else getattr(target, "__name__", "function").strip("_")
        node = self.graph.create_node(op, target, self._known(args), self._known(kwargs), name=name)
        node.meta["seen"] = _summary(result)
        self._give(result, node)

    def _known(self, value: Any) -> Any:
        """The arguments with the node of every tensor in the tensor's place."""
        import torch

        if isinstance(value, torch.Tensor):
            if id(value) not in self.nodes:
                node = self.graph.create_node("get_attr", "constant")
                node.meta["seen"] = _summary(value)
                self._give(value, node)
            return self.nodes[id(value)]
        if isinstance(value, dict):
            return {word: self._known(each) for word, each in value.items()}
        if isinstance(value, slice):
            return slice(value.start, value.stop, value.step)
        if isinstance(value, (tuple, list)):
            return [self._known(each) for each in value] if isinstance(value, list) else tuple(map(self._known, value))
        return value if isinstance(value, (int, float, str, bool, type(None), type(...))) else None

    def _give(self, result: Any, node: fx.Node) -> None:
        import operator

        import torch

        if isinstance(result, torch.Tensor):
            self.nodes[id(result)] = node
            self.tensors.append(result)
            return
        pairs = result.items() if isinstance(result, dict) else enumerate(result)
        for at, each in pairs:
            if isinstance(each, (torch.Tensor, tuple, list, dict)):
                part = self.graph.call_function(operator.getitem, (node, at))
                part.meta["seen"] = _summary(each)
                self._give(each, part)

    def finished(self, result: Any) -> fx.Graph:
        self.graph.output(self._known(_plain(result)))
        return self.graph


def _plain(result: Any) -> Any:
    """What a model returns, with plain tuples in place of dictionaries and other classes."""
    import torch

    if isinstance(result, torch.Tensor):
        return result
    if isinstance(result, dict):
        return tuple(_plain(each) for each in result.values())
    return tuple(map(_plain, result)) if isinstance(result, (tuple, list)) else None


# Node by node ---------------------------------------------------------------------------------------------------------


@dataclass
class _Conversion:
    """The conversion of a torch graph to a network, node by node."""

    module: nn.Module
    graph: fx.Graph
    remarks: list[str]
    builder: Builder = field(default_factory=Builder)
    values: dict[Any, Value] = field(default_factory=dict)
    owners: dict[str, tuple[int, int]] = field(default_factory=dict)
    """For every opaque node, where the nodes of its call start and the number of parameters of its module."""

    def network(self) -> Network:
        """The network of the nodes that the output depends on, in order."""
        for node in self.graph.nodes:
            if node.op == "output":
                return self._finished(self._value(node.args[0]))
            self.values[node] = self._converted(node)
        raise AssertionError("a torch graph has an output")

    def _finished(self, result: Value) -> Network:
        streams = list(found(result, Stream))
        if not streams:
            raise ParameterError(f"{type(self.module).__name__} returns no tensor that depends on its input")
        if len(streams) > 1:
            self.remarks.append(f"the model returns {len(streams)} tensors: only the first is followed")
        needed, live = {streams[0].name}, []
        for node in reversed(self.builder.nodes):
            if node.name in needed:
                needed.update(node.inputs)
                live.append(node)
        live.reverse()
        return Network(tuple(self._with_parameters(live)), (*self.remarks, *self.builder.remarks))

    def _with_parameters(self, nodes: list[Node]) -> Iterator[Node]:
        """Count the parameters of an opaque module once, at the first of its tensors."""
        counted = set()
        for node in nodes:
            if isinstance(node.layer, Recorded):
                call, count = self.owners[node.name]
                if call not in counted:
                    node = replace(node, layer=replace(node.layer, parameters=count))
                counted.add(call)
            yield node

    def _value(self, argument: Any) -> Value:
        """An argument of the torch graph with the value of every node in the node's place."""
        from torch import fx

        if isinstance(argument, fx.Node):
            return self.values[argument]
        if isinstance(argument, dict):
            return {word: self._value(each) for word, each in argument.items()}
        if isinstance(argument, slice):
            return slice(*(self._value(each) for each in (argument.start, argument.stop, argument.step)))
        if isinstance(argument, (tuple, list)):
            values = [self._value(each) for each in argument]
            return values if isinstance(argument, list) else tuple(values)
        return argument

    def _converted(self, node: fx.Node) -> Value:
        seen = node.meta.get("seen")
        if node.op == "placeholder":
            return self._placeholder(node, seen)
        if node.op == "get_attr":
            shape = seen.shape if isinstance(seen, Seen) else self._attribute_shape(str(node.target))
            return Constant(shape, held=True)
        arguments, named = self._value(tuple(node.args)), self._value(dict(node.kwargs))
        function = _function_name(node.target)
        if function == "getitem" and isinstance(arguments[0], (tuple, list, dict)):
            return arguments[0][arguments[1]]
        if not contains((arguments, named), Stream):
            return _without_streams(node.target, function, arguments, seen)
        output = next((each.shape for each in found(seen, Seen)), None)
        if node.op == "call_module":
            return self._module(str(node.target), arguments, named, seen, output)
        call = Call(node.name, function, arguments, named, self.builder, output, len(self.builder.nodes))
        return self._checked(call, CONVERTERS.get(function) if _is_torchs(node.target) else None, seen, 0)

    def _placeholder(self, node: fx.Node, seen: Any) -> Value:
        if INPUT in self.builder.ranks:
            return node.args[0] if node.args else Constant()
        self.builder.ranks[INPUT] = None
        if isinstance(seen, Seen):
            self.builder.shapes[INPUT] = seen.shape
            self.builder.ranks[INPUT] = len(seen.shape)
        return Stream(INPUT)

    def _attribute_shape(self, path: str) -> Shape | None:
        import torch
        from torch.nn.parameter import is_lazy

        value: Any = self.module
        for part in path.split("."):
            value = getattr(value, part)
        return tuple(value.shape) if isinstance(value, torch.Tensor) and not is_lazy(value) else None

    def _module(self, path: str, arguments: Any, named: Any, seen: Any, output: Shape | None) -> Value:
        module = self.module.get_submodule(path)
        call = Call(path, type(module).__name__, arguments, named, self.builder, output, len(self.builder.nodes))
        layer = _known(module)
        convert = None if layer is None else lambda call: layer_call(call, layer)
        return self._checked(call, convert, seen, _parameter_count(module))

    def _checked(self, call: Call, convert: Callable[[Call], Value] | None, seen: Any, parameters: int) -> Value:
        """Convert a call. If the result does not agree with the recorded one, add opaque nodes instead."""
        length, remarks = len(self.builder.nodes), len(self.builder.remarks)
        reason = "the operation is unknown"
        if convert:
            try:
                value = convert(call)
                if seen is None or self._agrees(value, seen):
                    return value
            except Exception as error:  # noqa: BLE001 - unexpected arguments may break a converter anywhere
                reason = str(error) if isinstance(error, (Unclear, ConvarithError)) else _line(error)
        self.builder.undo(length)
        del self.builder.remarks[remarks:]
        if seen is None:
            raise ParameterError(
                f"{call.name}: {call.function} cannot be converted without shapes ({reason}): give input_shape"
            )
        return self._opaque(call, seen, parameters)

    def _agrees(self, value: Value, seen: Any) -> bool:
        if isinstance(value, tuple) and isinstance(seen, tuple):
            return len(value) == len(seen) and all(map(self._agrees, value, seen))
        if isinstance(value, Stream):
            return isinstance(seen, Seen) and self.builder.shapes[value.name] == seen.shape
        return isinstance(value, Constant) or (isinstance(value, Sized) and not isinstance(seen, Seen))

    def _opaque(self, call: Call, seen: Any, parameters: int) -> Value:
        """The recorded result with an opaque node for every tensor in it."""
        if isinstance(seen, Seen):
            inputs = tuple(dict.fromkeys(call.streams))
            layer = Recorded(
                operation=call.function,
                recorded_inputs=tuple(self.builder.shapes[each.name] for each in inputs),
                recorded_output=seen.shape,
            )
            stream = self.builder.emit(call.name, layer, inputs, seen.shape)
            self.owners[stream.name] = (call.start, parameters)
            return stream
        if isinstance(seen, dict):
            return {word: self._opaque(call, each, parameters) for word, each in seen.items()}
        return tuple(self._opaque(call, each, parameters) for each in seen) if isinstance(seen, tuple) else seen


def _parameter_count(module: nn.Module) -> int:
    from torch.nn.parameter import is_lazy

    return sum(each.numel() for each in module.parameters() if not is_lazy(each))


def _without_streams(target: Any, function: str, arguments: tuple[Value, ...], seen: Any) -> Value:
    """A call that does not read a stream: arithmetic with sizes, or a constant tensor."""
    if isinstance(seen, Seen):
        return Constant(seen.shape)
    if contains(arguments, Sized):
        return sized(_size_function(target), arguments) if not _makes_tensors(target) else Constant()
    if seen is not None:
        return seen
    tensor = next(found(arguments, Constant), None)
    if function == "getattr" and tensor is not None and arguments[1] == "shape" and tensor.shape:
        return tensor.shape
    return Constant()


def _makes_tensors(target: Any) -> bool:
    return not isinstance(target, str) and (getattr(target, "__module__", "") or "torch").startswith("torch")


def _size_function(target: Any) -> Callable[..., Any]:
    """The function that a call applies to sizes; a method is given by its name."""
    import torch

    if isinstance(target, str):
        return lambda value, *rest: getattr(torch.Size(value) if isinstance(value, tuple) else value, target)(*rest)
    function: Callable[..., Any] = target
    return function


def _function_name(target: Any) -> str:
    """The name of a function or method without underscores at its ends: relu_ is relu, __add__ is add."""
    name: str = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    return name.strip("_")


def _is_torchs(target: Any) -> bool:
    """Is this a function of torch or of Python, and not one of the user's functions with the same name?"""
    module = "" if isinstance(target, str) else getattr(target, "__module__", "") or ""
    return not module or module.startswith(("torch", "_operator", "builtins", "math"))
