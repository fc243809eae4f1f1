"""Any module as a graph: how it is run, recorded and put together.

- The input of the run has a batch axis, which is added where the first layer or the number of sizes asks for it.
- The run is in the numbers that the model computes in; afterwards the buffers are as before, also after a failure.
- Parameters of forward with a default keep it. A second input that is needed is refused.
- What a model returns is followed to its first tensor, whatever containers it stands in.
- The parameters of a module that is only recorded are counted once, at the first of its tensors that is used.
- What was added for a call that turns out to be something else is taken back: nodes, names and remarks.
- Recording notes calls outside the modules that are leaves, and leaves no hook behind.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.recorded import Recorded
from convarith.pytorch import functions
from convarith.pytorch.calls import Call, Constant, Sized

torch = pytest.importorskip("torch", reason="reads torch models, and torch is not installed")
nn, F, Tensor = torch.nn, torch.nn.functional, torch.Tensor


@pytest.fixture(autouse=True)
def _one_thread(torch: ModuleType) -> None:
    """The tensors are small."""


def read(module: Any, shape: tuple[int, ...] | None = None) -> ca.Network:
    net = ca.pytorch.from_module(module, shape)
    assert isinstance(net, ca.Network)
    return net


def told(net: ca.Network) -> list[str]:
    return [node.layer.name if isinstance(node.layer, Recorded) else str(node.layer) for node in net.nodes]


class Parts(nn.Module):
    """A function of the input and of the model's parts. It may look at a number, so that it cannot be traced."""

    def __init__(self, function: Callable[..., Any], looks: bool = False, **parts: Any) -> None:
        super().__init__()
        self.function, self.looks = function, looks
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        if self.looks and x.sum() > 1e9:
            return x
        return self.function(x, self)


LOOKS = [False, True]


def summed(first: Any) -> Any:
    """A model that begins with this module and then does what is only recorded."""
    return nn.Sequential(first, Parts(lambda x, m: torch.cumsum(x, 0)))


class Kernel(nn.Module):
    """Holds its weight itself."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.offset = nn.Parameter(torch.ones(4, 1))
        self.weight = nn.Parameter(torch.ones(shape))

    def forward(self, x: Tensor) -> Tensor:
        ndim = self.weight.dim() - 2
        return (F.conv1d, F.conv2d, F.conv3d)[ndim - 1](x, self.weight)


@pytest.mark.parametrize(
    ("first", "shape", "ran"),
    [
        (nn.Identity(), (5,), (1, 5)),
        (nn.Identity(), (6, 5), (6, 5)),
        (nn.Identity(), (4, 6, 5), (1, 4, 6, 5)),
        (nn.Identity(), (2, 4, 6, 5), (2, 4, 6, 5)),
        (nn.Identity(), (2, 4, 7, 6, 5), (2, 4, 7, 6, 5)),
        (nn.Conv1d(4, 4, 1), (4, 5), (1, 4, 5)),
        (nn.Conv1d(4, 4, 1), (2, 4, 5), (2, 4, 5)),
        (nn.Conv2d(4, 4, 1), (4, 6, 5), (1, 4, 6, 5)),
        (nn.Conv2d(4, 4, 1), (2, 4, 6, 5), (2, 4, 6, 5)),
        (nn.Conv3d(4, 4, 1), (4, 7, 6, 5), (1, 4, 7, 6, 5)),
        (nn.Conv3d(4, 4, 1), (2, 4, 7, 6, 5), (2, 4, 7, 6, 5)),
        (nn.Linear(5, 5), (5,), (1, 5)),
        (nn.Linear(5, 5), (6, 5), (6, 5)),
        (nn.Linear(5, 5), (4, 6, 5), (4, 6, 5)),
        (Kernel(4, 4, 1), (4, 5), (1, 4, 5)),
        (Kernel(4, 4, 1, 1), (4, 6, 5), (1, 4, 6, 5)),
        (Kernel(4, 4, 1, 1, 1), (4, 7, 6, 5), (1, 4, 7, 6, 5)),
        (Kernel(4, 4, 1, 1, 1), (2, 4, 7, 6, 5), (2, 4, 7, 6, 5)),
    ],
)
def test_the_batch_is_added_where_it_is_missing(first: Any, shape: tuple[int, ...], ran: tuple[int, ...]) -> None:
    last = read(summed(first), shape).nodes[-1].layer
    assert isinstance(last, Recorded)
    assert last.recorded_inputs == (ran,)
    assert last.recorded_output == ran


def test_if_both_are_refused_the_error_is_that_of_the_likely_one() -> None:
    for shape, named in (((1, 8, 8), "1x1x8x8"), ((2, 1, 8, 8), "2x1x8x8")):
        with pytest.raises(ca.ShapeError, match=f"^Sequential does not take an input of {named}: RuntimeError: Given"):
            read(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), shape)


def test_an_error_of_the_model_is_cut_to_one_short_line() -> None:
    def fail(x: Tensor, m: Any) -> Tensor:
        return m.conv(x).view(0, 1, 2, 3, *([1] * 300))

    with pytest.raises(ca.ShapeError) as caught:
        read(Parts(fail, conv=nn.Conv2d(3, 4, 3)), (3, 8, 8))
    start, _, rest = str(caught.value).partition(": ")
    assert start == "Parts does not take an input of 1x3x8x8"
    assert rest.startswith("RuntimeError: shape '[0, 1, 2, 3, 1, ")
    assert len(rest) == 200
    with pytest.raises(ca.ShapeError) as caught:
        read(nn.Sequential(nn.Linear(3, 4), nn.ReLU()), (2, 5))
    assert str(caught.value) == (
        "Sequential does not take an input of 2x5: "
        "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 3x4)"
    )


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_run_is_in_the_numbers_of_the_model(looks: bool, dtype: Any) -> None:
    seen = []

    def function(x: Tensor, m: Any) -> Tensor:
        seen.append(x.dtype)
        return F.relu(m.conv(x))

    module = Parts(function, looks, conv=nn.Conv2d(3, 4, 3).to(dtype))
    assert told(read(module, (3, 8, 8))) == ["Conv2d(3, 4, 3)", "ReLU()"]
    assert not looks or set(seen[-1:]) == {dtype}


def test_whole_numbers_among_the_parameters_do_not_matter() -> None:
    table = nn.Parameter(torch.arange(4), requires_grad=False)
    assert told(read(Parts(lambda x, m: F.elu(x / 2), table=table), (3, 8, 8))) == ["ELU()"]


class Failing(nn.Module):
    """Counts its calls and then refuses an odd width."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks
        self.register_buffer("calls", torch.zeros(()))
        self.norm = nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.looks and x.sum() > 1e9:
            return x
        return F.relu(self.norm(x).view(x.size(0), 3, 2, -1, 4))


@pytest.mark.parametrize("looks", LOOKS)
def test_the_buffers_are_as_before_also_after_a_failure(looks: bool) -> None:
    module = Failing(looks).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    read(module, (3, 8, 8))
    with pytest.raises(ca.ShapeError, match="Failing does not take an input of 1x3x5x5"):
        read(module, (3, 5, 5))
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert module.training
    assert module.norm.training
    assert torch.is_grad_enabled()


class Options(nn.Module):
    """Its forward has parameters with defaults."""

    def forward(self, x: Tensor, width: int = 2, last: str | None = None, *more: Any, **named: Any) -> Tensor:
        if last is not None or more or named:
            return x
        return F.max_pool2d(x, width) if width == 2 else x


class Optional(nn.Module):
    """Its input has a default, too."""

    def forward(self, x: Any = None, width: int = 3) -> Any:
        return F.max_pool2d(x, width)


@pytest.mark.parametrize("shape", [None, (1, 3, 12, 12)])
def test_parameters_with_a_default_keep_it(shape: tuple[int, ...] | None) -> None:
    assert told(read(Optional(), shape)) == ["MaxPool2d(kernel_size=3)"]


class Width(nn.Module):
    """Decides on a parameter with a default."""

    def forward(self, x: Tensor, width: int = 2) -> Tensor:
        return F.max_pool2d(x, width) if width == 2 else x


def test_other_parameters_with_a_default_keep_it() -> None:
    for shape in (None, (1, 3, 12, 12)):
        net = read(Width(), shape)
        assert (told(net), net.remarks) == (["MaxPool2d(kernel_size=2)"], ())
    assert told(read(Options(), (1, 3, 12, 12))) == ["MaxPool2d(kernel_size=2)"]


RETURNED: list[tuple[Callable[..., Any], int]] = [
    (lambda x, y: y, 1),
    (lambda x, y: (y,), 1),
    (lambda x, y: [y, x], 2),
    (lambda x, y: {"size": 3, "out": y, "in": x}, 2),
    (lambda x, y: (None, ({"deep": [y]}, x), x), 3),
]


@pytest.mark.parametrize("looks", LOOKS)
@pytest.mark.parametrize(("returned", "count"), RETURNED)
def test_the_first_tensor_of_the_result_is_followed(returned: Callable[..., Any], count: int, looks: bool) -> None:
    net = read(Parts(lambda x, m: returned(x, F.max_pool2d(x, 2)), looks), (1, 3, 8, 8))
    assert told(net) == ["MaxPool2d(kernel_size=2)"]
    assert net.output_shape((1, 3, 8, 8)) == (1, 3, 4, 4)
    remark = f"the model returns {count} tensors: only the first is followed"
    assert (remark in net.remarks) == (count > 1)
    assert len(net.remarks) == (count > 1) + looks


@pytest.mark.parametrize("looks", LOOKS)
def test_the_parameters_of_what_is_recorded_are_counted_once(looks: bool) -> None:
    lstm = nn.LSTM(6, 6)

    def both(x: Tensor, m: Any) -> Tensor:
        values, (hidden, _) = m.lstm(x)
        return torch.sub(values, hidden)

    def last(x: Tensor, m: Any) -> Tensor:
        return m.lstm(x)[1][1]

    def twice(x: Tensor, m: Any) -> Tensor:
        return m.lstm(m.lstm(x)[0])[0]

    size = sum(each.numel() for each in lstm.parameters())
    for function, names, count in (
        (both, ["LSTM", "LSTM", "Add()"], 1),
        (last, ["LSTM"], 1),
        (twice, ["LSTM", "LSTM"], 2),
    ):
        net = read(Parts(function, looks, lstm=lstm), (1, 4, 6))
        assert told(net) == names
        assert net.parameter_count == count * size


def test_a_call_that_turns_out_to_be_something_else_leaves_nothing_behind() -> None:
    tall = nn.Parameter(torch.ones(4, 1, 1))
    net = read(Parts(lambda x, m: F.relu(x) * m.tall, tall=tall), (1, 1, 5, 6))
    assert told(net) == ["ReLU()", "mul"]
    assert net.remarks == ()
    assert net.output_shape((1, 1, 5, 6), batched=True) == (1, 4, 5, 6)
    net = read(Parts(lambda x, m: x[:, :, 1:, ::2].reshape(2, -1)), (1, 4, 5, 6))
    assert [node.name for node in net.nodes] == ["getitem", "getitem.avg_pool", "reshape"]


Wrong = Callable[[Call], Any]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda call: (call.layer("MaxPool2d", kernel_size=3), Constant()),
        lambda call: (call.layer("MaxPool2d", kernel_size=2),),
        lambda call: (call.layer("MaxPool2d", kernel_size=2), call.x),
        lambda call: (call.layer("MaxPool2d", kernel_size=2), 7),
        lambda call: (Sized(lambda shape_of: shape_of("input"), frozenset({"input"})), Constant()),
        lambda call: call.layer("MaxPool2d", kernel_size=2),
        lambda call: call.layer("MaxPool2d", kernel_size=-1),
        lambda call: {}["nothing"],
    ],
)
def test_a_layer_that_does_not_agree_with_the_run_is_not_believed(
    monkeypatch: pytest.MonkeyPatch, wrong: Wrong
) -> None:
    monkeypatch.setitem(functions.CONVERTERS, "max_pool2d_with_indices", wrong)
    net = read(Parts(lambda x, m: F.relu(F.max_pool2d_with_indices(x, 2)[0])), (1, 3, 8, 6))
    assert told(net) == ["max_pool2d_with_indices", "ReLU()"]
    assert net.output_shape((1, 3, 8, 6), batched=True) == (1, 3, 4, 3)


@torch.fx.wrap
def tanh(x: Tensor) -> Tensor:
    return x.flip(1)


def test_a_function_of_the_users_own_is_not_torchs_although_it_has_its_name() -> None:
    class Own(nn.Module):
        """Calls it."""

        def forward(self, x: Tensor) -> Tensor:
            return tanh(torch.tanh(x))

    net = read(Own(), (1, 3, 8, 6))
    assert told(net) == ["Tanh()", "tanh"]
    with pytest.raises(ca.ParameterError, match="tanh_1: tanh cannot be converted without shapes"):
        read(Own())


def test_equal_names_are_numbered() -> None:
    module = Parts(lambda x, m: m.a(m.input(m.a(m.a(x)))), a=nn.ReLU(), input=nn.Tanh())
    for looks in LOOKS:
        module.looks = looks
        net = read(module, (1, 3, 4, 4))
        assert [node.name for node in net.nodes] == ["a", "a_1", "input_1", "a_2"]
        assert [node.inputs for node in net.nodes] == [("input",), ("a",), ("a_1",), ("input_1",)]


SHAPES: list[tuple[Callable[..., Any], list[str]]] = [
    (lambda x, m: F.interpolate(x, size=(m.wide.shape[0], 9)), ["Upsample(size=(7, 9))"]),
    (lambda x, m: F.interpolate(x, size=(m.inner.wide.shape[-1], 9)), ["Upsample(size=(5, 9))"]),
    (lambda x, m: x + torch.arange(x.size(3)) + torch.ones(x.shape), []),
    (lambda x, m: F.relu(x) * m.conv.weight.mean(), ["ReLU()"]),
]


@pytest.mark.parametrize(("function", "expected"), SHAPES)
@pytest.mark.parametrize("shape", [None, (1, 3, 4, 6)])
def test_what_does_not_read_the_input_is_no_node(
    function: Callable[..., Any], expected: list[str], shape: tuple[int, ...] | None
) -> None:
    inner = Parts(lambda x, m: x, wide=nn.Parameter(torch.ones(2, 5)))
    module = Parts(function, wide=nn.Parameter(torch.ones(7)), inner=inner, conv=nn.Conv2d(3, 3, 1))
    assert told(read(module, shape)) == expected


def test_methods_of_a_shape_are_computed() -> None:
    module = Parts(lambda x, m: F.interpolate(x, size=(2 * x.shape[2:3].numel(), x.size(3))))
    net = read(module, (1, 3, 4, 6))
    assert told(net) == ["Upsample(scale_factor=(2.0, 1.0))"]


class Inside(nn.Module):
    """Calls functions of torch, a module that does so, too, and a module in a module of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        self.shuffle = nn.ChannelShuffle(2)
        self.norm = nn.Sequential(nn.BatchNorm2d(4), nn.Hardswish())

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 1e9:
            return x
        out = torch.zeros(1, 4, 10, 6)
        out[:, :, 2:8, :] = self.norm(self.shuffle(x))
        pieces = torch.split(out, [1, 3], dim=1)
        joined = torch.cat([pieces[1], pieces[0]], dim=1).flatten(2).permute(0, 2, 1)
        return self.layer(joined)


def test_recording_notes_what_is_called_outside_the_leaves() -> None:
    module = Inside()
    net = read(module, (1, 4, 6, 6))
    assert told(net) == [
        "ChannelShuffle(groups=2)",
        "BatchNorm2d(4)",
        "Hardswish()",
        "setitem",
        "Narrow(0, 1)",
        "Narrow(1, 3)",
        "Concat()",
        "Flatten(start_dim=2)",
        "Permute((0, 2, 1))",
        "TransformerEncoderLayer",
    ]
    assert net.output_shape((1, 4, 6, 6), batched=True) == (1, 60, 4)
    assert net.parameter_count == sum(each.numel() for each in module.parameters())
    for each in module.modules():
        assert not each._forward_hooks
        assert not each._forward_pre_hooks
        assert each.training


def test_hooks_are_removed_after_a_failure() -> None:
    module = Parts(lambda x, m: m.linear(m.conv(x)), True, conv=nn.Conv2d(3, 4, 3), linear=nn.Linear(5, 5))
    with pytest.raises(ca.ShapeError, match=r"^Parts does not take an input of 1x3x8x8: RuntimeError: mat1 and mat2"):
        read(module, (3, 8, 8))
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in module.modules())
