"""from_module reads any module.

- A function or tensor method becomes the same layer as a module of torch.nn; its shape is torch's at three sizes.
- Sizes taken from another tensor become MatchSize, which is right at every size.
- An unknown operation is Recorded with the recorded shapes; without input_shape it is refused with a one-line error.
- A model that cannot be traced is recorded from one run, and a remark says so.
- The batch may be left out. Training mode, weights, buffers and the random state do not change.
- Nodes that no output depends on are dropped; if there are several outputs, a remark says that the first is followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.layers.recorded import Recorded

torch = pytest.importorskip("torch", reason="reads torch models, and torch is not installed")
nn, F, Tensor = torch.nn, torch.nn.functional, torch.Tensor


@pytest.fixture(autouse=True)
def _one_thread(torch: ModuleType) -> None:
    """The tensors are small."""


class Apply(nn.Module):
    """A function as a model."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Any:
        return self.function(x, self) if self.function.__code__.co_argcount == 2 else self.function(x)


def read(module: Any, shape: tuple[int, ...] | None = None) -> ca.Network:
    net = ca.pytorch.from_module(module, shape)
    assert isinstance(net, ca.Network)
    return net


def layers(net: ca.Network) -> list[str]:
    return [str(node.layer) for node in net.nodes]


def torch_shape(module: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(module.eval()(torch.zeros(1, *shape)).shape)[1:]


KERNEL = nn.Parameter(torch.ones(6, 4, 3, 3))
BACK = nn.Parameter(torch.ones(4, 3, 3, 3))
BIAS = nn.Parameter(torch.ones(6))
LINE = nn.Parameter(torch.ones(6, 4, 5))
LEARNT = {"kernel": KERNEL, "back": BACK, "bias": BIAS, "line": LINE}

FUNCTIONS: list[tuple[Callable[..., Any], list[str]]] = [
    (lambda x: F.relu(x), ["ReLU()"]),
    (lambda x: x.relu_(), ["ReLU()"]),
    (lambda x: torch.tanh(x).sigmoid(), ["Tanh()", "Sigmoid()"]),
    (lambda x: F.leaky_relu(x, 0.2), ["LeakyReLU(negative_slope=0.2)"]),
    (lambda x: F.gelu(F.silu(F.elu(x))), ["ELU()", "SiLU()", "GELU()"]),
    (lambda x: F.softmax(x, dim=1), ["Softmax(dim=1)"]),
    (lambda x: F.dropout2d(F.dropout(x, 0.1, False), 0.2), ["Dropout(p=0.1)", "Dropout2d(p=0.2)"]),
    (lambda x: F.rrelu(x), ["RReLU()"]),
    (lambda x: F.instance_norm(x), ["InstanceNorm2d(4)"]),
    (lambda x: F.group_norm(x, 2), ["GroupNorm(2, 4, affine=False)"]),
    (lambda x: F.local_response_norm(x, 2), ["LocalResponseNorm(size=2)"]),
    (lambda x: F.max_pool2d(x, 3, 2, 1), ["MaxPool2d(kernel_size=3, stride=2, padding=1)"]),
    (lambda x: F.max_pool2d(x, 2, return_indices=True)[0], ["MaxPool2d(kernel_size=2)"]),
    (lambda x: F.avg_pool2d(x, (2, 3), ceil_mode=True), ["AvgPool2d(kernel_size=(2, 3), ceil_mode=True)"]),
    (lambda x: F.lp_pool2d(x, 2, 2), ["LPPool2d(2, kernel_size=2)"]),
    (lambda x: F.adaptive_avg_pool2d(x, (3, None)), ["AdaptiveAvgPool2d(output_size=(3, None))"]),
    (lambda x: F.adaptive_max_pool2d(x, 2), ["AdaptiveMaxPool2d(output_size=2)"]),
    (lambda x: F.interpolate(x, scale_factor=2), ["Upsample(scale_factor=2.0)"]),
    (lambda x: F.interpolate(x, (9, 7), mode="bilinear"), ["Upsample(size=(9, 7), mode='bilinear')"]),
    (lambda x: F.interpolate(x, size=(x.shape[2] * 2, x.shape[3] * 2)), ["Upsample(scale_factor=2.0)"]),
    (lambda x: F.interpolate(x, size=(x.size(2) // 2, 3 * x.size(3))), ["Upsample(scale_factor=(0.5, 3.0))"]),
    (lambda x: F.pad(x, (1, 2)), ["ZeroPad2d((1, 2, 0, 0))"]),
    (lambda x: F.pad(x, (1, 2, 3, 4), "reflect"), ["ReflectionPad2d((1, 2, 3, 4))"]),
    (lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"), ["ReplicationPad2d(1)"]),
    (lambda x: F.pad(x, (1, 1, 1, 1), mode="circular"), ["CircularPad2d(1)"]),
    (lambda x: F.pad(x, (1, -1, 0, 0), value=2), ["ConstantPad2d((1, -1, 0, 0), value=2.0)"]),
    (lambda x: F.pixel_shuffle(x, 2), ["PixelShuffle(2)"]),
    (lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 4), ["PixelUnshuffle(2)", "PixelShuffle(4)"]),
    (lambda x: F.glu(x, 1), ["GLU(dim=1)"]),
    (lambda x, m: F.conv2d(x, m.kernel, m.bias, padding=1), ["Conv2d(4, 6, 3, padding=1)"]),
    (lambda x, m: F.conv2d(x, m.kernel, padding="same", dilation=2), [
        "Conv2d(4, 6, 3, padding='same', dilation=2, bias=False)"]),
    (lambda x, m: F.conv_transpose2d(x, m.back, None, 2, output_padding=1, groups=2), [
        "ConvTranspose2d(4, 6, 3, stride=2, output_padding=1, groups=2, bias=False)"]),
    (lambda x: torch.cat([x, F.relu(x)], 1), ["ReLU()", "Concat()"]),
    (lambda x: torch.cat((x, x), dim=-1), ["Concat(dim=-1)"]),
    (lambda x: x + F.relu(x), ["ReLU()", "Add()"]),
    (lambda x: torch.add(x, x).mul(torch.sigmoid(x)), ["Add()", "Sigmoid()", "Multiply()"]),
    (lambda x: F.relu(2 * (x - 1) / 3 + 1), ["ReLU()"]),
    (lambda x: F.relu(-x.float().contiguous().clone().detach().to(torch.float32)), ["ReLU()"]),
    (lambda x: torch.flatten(x, 2), ["Flatten(start_dim=2)"]),
    (lambda x: x.flatten(1), ["Flatten()"]),
    (lambda x: x.view(x.size(0), -1), ["Flatten()"]),
    (lambda x: torch.reshape(x, (x.shape[0], x.shape[1], -1)), ["Flatten(start_dim=2)"]),
    (lambda x: x.mean((2, 3)), ["AdaptiveAvgPool2d(output_size=1)", "Flatten()"]),
    (lambda x: x.mean(dim=(-1, -2), keepdim=True), ["AdaptiveAvgPool2d(output_size=1)"]),
    (lambda x: torch.mean(x, [2, 3]).view(-1, 2, 2), [
        "AdaptiveAvgPool2d(output_size=1)", "Flatten()", "Unflatten(1, (2, 2))"]),
    (lambda x: x.amax((2, 3), keepdim=True), ["AdaptiveMaxPool2d(output_size=1)"]),
    (lambda x: x.permute(0, 2, 3, 1), ["Permute((0, 2, 3, 1))"]),
    (lambda x: x.transpose(1, -1), ["Permute((0, 3, 2, 1))"]),
    (lambda x: x.unflatten(1, (2, 2)), ["Unflatten(1, (2, 2))"]),
    (lambda x: x[:, :, 1:-2, 3:], ["ZeroPad2d((-3, 0, -1, -2))"]),
    (lambda x: x[..., : x.size(3) - 2], ["ZeroPad2d((0, -2, 0, 0))"]),
    (lambda x: x.chunk(2, 1)[1], ["Narrow(2, 2)"]),
    (lambda x: torch.chunk(x, 3, dim=-3)[0], ["Narrow(0, 2)"]),
    (lambda x: torch.cat(x.split([1, 3], 1)[::-1], 1), ["Narrow(0, 1)", "Narrow(1, 3)", "Concat()"]),
    (lambda x: torch.split(x, 3, dim=1)[1], ["Narrow(3, 1)"]),
    (lambda x: x.narrow(1, 1, 2), ["Narrow(1, 2)"]),
    (lambda x: x[:, 1:], ["Narrow(1, 3)"]),
    (lambda x: x[:, :-1, 2:], ["Narrow(0, 3)", "ZeroPad2d((0, 0, -2, 0))"]),
    (lambda x: x[:, :, ::2, 1::2], ["ZeroPad2d((-1, 0, 0, 0))", "AvgPool2d(kernel_size=1, stride=2)"]),
]  # fmt: skip
"""A function of (N, 4, H, W), and its layers."""


@pytest.mark.parametrize(("function", "expected"), FUNCTIONS, ids=[str(expected) for _, expected in FUNCTIONS])
def test_functions_are_layers(function: Callable[..., Any], expected: list[str]) -> None:
    module = Apply(function, **LEARNT)
    net = read(module, (4, 12, 16))
    assert layers(net) == expected
    for shape in ((4, 12, 16), (4, 8, 10), (4, 18, 14)):
        assert net.output_shape(shape, batched=False) == torch_shape(module, shape)


VIEWS: list[tuple[Callable[..., Any], tuple[int, ...], list[str]]] = [
    (lambda x: x.view(-1, 4, 3, 2), (24,), ["Unflatten(1, (4, 3, 2))"]),
    (lambda x: x.reshape(x.size(0), 24, 1, 1), (24,), ["Unflatten(1, (24, 1, 1))"]),
    (lambda x: x[:, :, None, None], (24,), ["Unflatten(1, (-1, 1, 1))"]),
    (lambda x: x.squeeze(-1).squeeze(-1), (24, 1, 1), ["Flatten(start_dim=2)", "Flatten()"]),
    (lambda x: x.unsqueeze(2), (5, 7, 8), ["Unflatten(1, (5, 1))"]),
    (lambda x: x.unsqueeze(-1), (5, 7, 8), ["Unflatten(3, (-1, 1))"]),
    (lambda x: x.unsqueeze(1), (7,), ["Unflatten(1, (1, -1))"]),
    (lambda x: x.view(x.size(0), 2, 4, x.size(2), x.size(3)).transpose(1, 2).reshape(x.shape), (8, 6, 5), [
        "Unflatten(1, (2, 4))", "Permute((0, 2, 1, 3, 4))", "Flatten(end_dim=2)"]),
    (lambda x: x.view(x.shape), (8, 6, 5), []),
]  # fmt: skip


@pytest.mark.parametrize(("function", "shape", "expected"), VIEWS)
def test_views(function: Callable[..., Any], shape: tuple[int, ...], expected: list[str]) -> None:
    net = read(Apply(function), (1, *shape))
    assert layers(net) == expected
    assert net.output_shape((1, *shape), batched=True)[1:] == torch_shape(Apply(function), shape)


def up(x: Tensor) -> Tensor:
    """From half the size to one more than twice that."""
    return F.interpolate(F.max_pool2d(x, 2), scale_factor=2)


REFERENCES: list[Callable[..., Any]] = [
    lambda x: F.interpolate(F.max_pool2d(x, 3), size=x.shape[2:]),
    lambda x: F.interpolate(F.max_pool2d(x, 3), size=x.size()[-2:], mode="bilinear"),
    lambda x: F.interpolate(F.max_pool2d(x, 3), (x.size(2), x.size(3))),
    lambda x: F.adaptive_avg_pool2d(x, F.max_pool2d(x, 2).shape[-2:]),
    lambda x: F.avg_pool2d(x, 1)[:, :, : up(x).size(2), : up(x).size(3)],
    lambda x: F.pad(up(x), (0, x.shape[3] - up(x).shape[3], 0, x.shape[2] - up(x).shape[2])),
    lambda x: F.adaptive_avg_pool2d(x, 1).expand_as(F.avg_pool2d(x, 3)),
    lambda x: F.adaptive_avg_pool2d(x, 1).expand(-1, -1, x.size(2), x.size(3)),
    lambda x, m: m.up(F.max_pool2d(x, 2), output_size=x.size()),
]


@pytest.mark.parametrize("function", REFERENCES)
def test_the_size_of_another_tensor(function: Callable[..., Any]) -> None:
    module = Apply(function, up=nn.ConvTranspose2d(4, 4, 2, stride=2))
    net = read(module, (4, 13, 16))
    assert net.nodes[-1].layer == ca.MatchSize()
    for shape in ((4, 13, 16), (4, 9, 11), (4, 18, 15)):
        assert net.output_shape(shape, batched=False) == torch_shape(module, shape)


@pytest.mark.parametrize("function", [REFERENCES[at] for at in (0, 1, 2, 8)])
def test_the_size_of_another_tensor_needs_no_run(function: Callable[..., Any]) -> None:
    module = Apply(function, up=nn.ConvTranspose2d(4, 4, 2, stride=2))
    assert read(module) == read(module, (4, 13, 16))


def test_a_size_given_in_numbers() -> None:
    module = Apply(lambda x, m: m.up(x, output_size=(20, 19)), up=nn.ConvTranspose2d(4, 2, 3, stride=2))
    net = read(module, (4, 9, 9))
    assert layers(net) == ["ConvTranspose2d(4, 2, 3, stride=2, output_padding=(1, 0))"]
    assert net.output_shape((4, 9, 9)) == (2, 20, 19)


OPAQUE: list[tuple[Callable[..., Any], tuple[str, ...]]] = [
    (lambda x: x.chunk(2, 2)[1], ("chunk",)),
    (lambda x: torch.split(x, [1, 5], 3)[0], ("split",)),
    (lambda x: torch.einsum("nchw,nchv->nhwv", x, x), ("einsum",)),
    (lambda x: x[:, ::2], ("getitem",)),
    (lambda x: x[:, 0], ("getitem",)),
    (lambda x: x[:, :, :5], ("getitem",)),
    (lambda x: x.mean(1, keepdim=True), ("mean",)),
    (lambda x: x.view(2, 2, -1), ("view",)),
    (lambda x: F.interpolate(x, size=(x.size(2) // 3, 4)), ("interpolate",)),
    (lambda x: F.pad(x, (0, 0, 0, 0, 1, 1)), ("pad",)),
    (lambda x: F.pad(x, (0, -x.size(3) % 32)), ("pad",)),
    (lambda x: torch.fft.rfft(F.relu(x)), ("ReLU", "fft_rfft")),
    (lambda x: torch.cat([x, torch.ones_like(x)], 1), ("cat",)),
    (lambda x, m: m.attention(x.flatten(2), x.flatten(2), x.flatten(2))[0], ("Flatten",) * 3 + ("MultiheadAttention",)),
    (lambda x, m: m.lstm(x.flatten(2))[1][0], ("Flatten", "LSTM")),
]


@pytest.mark.parametrize(("function", "operations"), OPAQUE)
def test_what_is_not_known_is_opaque(function: Callable[..., Any], operations: tuple[str, ...]) -> None:
    parts = {"attention": nn.MultiheadAttention(36, 2, batch_first=True), "lstm": nn.LSTM(36, 5, batch_first=True)}
    module = Apply(function, **parts)
    net = read(module, (1, 4, 6, 6))
    assert tuple(node.layer.name for node in net.nodes) == operations
    assert isinstance(net.nodes[-1].layer, Recorded)
    with torch.no_grad():
        assert net.output_shape((1, 4, 6, 6), batched=True) == tuple(module(torch.zeros(1, 4, 6, 6)).shape)
    part = next((part for part in parts.values() if type(part).__name__ in operations), nn.Identity())
    assert net.parameter_count == sum(each.numel() for each in part.parameters())
    with pytest.raises(ca.ShapeError, match="only for the recorded input"):
        net.output_shape((1, 4, 9, 6), batched=True)
    with pytest.raises(ca.ParameterError, match="give input_shape"):
        read(module)


class Wrong(nn.Module):
    """Calls a function that is called as one of torch's, and does another thing."""

    def forward(self, x: Tensor) -> Tensor:
        return relu(x)


@torch.fx.wrap
def relu(x: Tensor) -> Tensor:
    return x[:, :1]


def test_a_function_of_the_users_own_is_opaque() -> None:
    net = read(Wrong(), (4, 6, 6))
    assert [(node.name, type(node.layer)) for node in net.nodes] == [("relu", Recorded)]
    assert net.output_shape((1, 4, 6, 6), batched=True) == (1, 1, 6, 6)


class SamePadded(nn.Conv2d):
    """A convolution with a forward of its own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class Plain(nn.Conv2d):
    """A convolution with another name."""


def test_subclasses() -> None:
    assert str(ca.pytorch.from_module(Plain(1, 2, 3))) == "Conv2d(1, 2, 3)"
    net = read(nn.Sequential(Plain(3, 4, 3), SamePadded(4, 5, 2)))
    assert layers(net) == ["Conv2d(3, 4, 3)", "ZeroPad2d((0, 1, 0, 1))", "Conv2d(4, 5, 2)"]
    assert net.output_shape((3, 9, 9)) == (5, 7, 7)
    assert net.parameter_count == 3 * 4 * 9 + 4 + 4 * 5 * 4 + 5


def test_names() -> None:
    block = nn.Sequential(nn.Conv2d(4, 4, 3), nn.ReLU())
    module = Apply(lambda x, m: F.relu(m.outer(m.outer(m.input(x)))), outer=nn.Sequential(block), input=nn.ReLU())
    net = read(module)
    names = ["input_1", "outer.0.0", "outer.0.1", "outer.0.0_1", "outer.0.1_1", "relu"]
    assert [node.name for node in net.nodes] == names
    assert net.is_chain
    assert net.parameter_count == 2 * sum(each.numel() for each in module.parameters())


class Branching(nn.Module):
    """Decides on a value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.block = nn.Sequential(nn.ReLU(), nn.MaxPool2d(2, return_indices=True))
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x: Tensor, **options: Any) -> Tensor:
        x = self.conv(x)
        if x.mean() > 1000:
            return x
        y, _ = self.block(x)
        y = F.interpolate(y, size=x.shape[2:])
        x = x * self.scale
        x += y
        return F.relu(torch.cat((x, y), 1))[:, :, 1:-1]


def test_what_cannot_be_traced_is_recorded() -> None:
    module = Branching()
    with pytest.raises(ca.ParameterError, match=r"cannot be followed without running it .*: give input_shape"):
        read(module)
    net = read(module, (3, 9, 11))
    assert str(net).splitlines() == [
        "conv: Conv2d(3, 4, 3, padding=1)",
        "block.0: ReLU()",
        "block.1: MaxPool2d(kernel_size=2, return_indices=True)",
        "interpolate: Upsample(size=(9, 11))",
        "add: Add()(conv, interpolate)",
        "cat: Concat()(add, interpolate)",
        "relu: ReLU()",
        "getitem_2: ZeroPad2d((0, 0, -1, -1))",
    ]
    assert net.output_shape((3, 9, 11)) == torch_shape(module, (3, 9, 11))
    assert net.remarks == (
        "recorded from one run: sizes that the model computes are valid for that input only",
        "mul: a tensor of 4 numbers is not part of any layer",
    )
    assert not module.conv._forward_hooks
    assert not module.conv._forward_pre_hooks


class Writing(nn.Module):
    """Writes into a tensor."""

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(x.size(0), x.size(1), 2 * x.size(2), 2 * x.size(3))
        out[:, :, ::2, ::2] = F.relu(x)
        return torch.tanh(out)


def test_writing_into_a_tensor() -> None:
    net = read(Writing(), (1, 3, 4, 5))
    assert [node.layer.name for node in net.nodes] == ["ReLU", "setitem", "Tanh"]
    assert net.output_shape((1, 3, 4, 5), batched=True) == (1, 3, 8, 10)


def test_several_outputs_and_dead_ends() -> None:
    def function(x: Tensor, m: Any) -> Any:
        y = m.conv(x)
        m.unused(y)
        return {"size": x.shape, "one": F.relu(y), "two": m.head(y)}

    module = Apply(function, conv=nn.Conv2d(1, 2, 3), unused=nn.Conv2d(2, 9, 1), head=nn.Conv2d(2, 3, 1))
    net = read(module)
    assert layers(net) == ["Conv2d(1, 2, 3)", "ReLU()"]
    assert net.remarks == ("the model returns 2 tensors: only the first is followed",)


class Attention(nn.Module):
    """Its first layer has another number of axes than the input."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Conv1d(8, 24, 1), nn.Conv1d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        q, k, v = self.qkv(x.reshape(b, c, h * w)).split(c, 1)
        weights = torch.einsum("bct,bcs->bts", q, k).softmax(-1)
        return x + self.out(torch.einsum("bts,bcs->bct", weights, v)).reshape(b, c, h, w)


def test_attention_over_positions() -> None:
    net = read(Attention(), (8, 6, 5))
    assert [node.layer.name for node in net.nodes if isinstance(node.layer, Recorded)] == [
        "einsum",
        "einsum",
        "reshape",
    ]
    assert net.output_shape((1, 8, 6, 5)) == (1, 8, 6, 5)


def test_random_numbers_leave_no_node() -> None:
    def function(x: Tensor) -> Tensor:
        mean = F.relu(x)
        return mean + torch.randn_like(mean) * 0.5 / math.sqrt(4)

    net = read(Apply(function), (4, 6, 6))
    assert layers(net) == ["ReLU()"]
    assert net.output_shape((1, 4, 6, 6), batched=True) == (1, 4, 6, 6)


class Counting(nn.Module):
    """Changes itself as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.drop = nn.BatchNorm2d(3), nn.Dropout()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.drop(self.norm(x)) + torch.rand_like(x)


def test_the_module_stays_as_it_was() -> None:
    module = Counting().train()
    module.drop.eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    for shape in (None, (3, 5, 5), (2, 3, 5, 5)):
        read(module, shape)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (module.training, module.norm.training, module.drop.training) == (True, True, False)
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    with pytest.raises(ca.ShapeError):
        read(module, (4, 5, 5))
    assert module.training


def test_a_lazy_module_stays_lazy() -> None:
    module = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU())
    assert layers(read(module, (3, 8, 8))) == ["Conv2d(3, 4, 3)", "ReLU()"]
    assert layers(read(module)) == ["Conv2d(out_channels=4, kernel_size=3)", "ReLU()"]
    assert torch.nn.parameter.is_lazy(module[0].weight)


@pytest.mark.parametrize("shape", [(784,), (5, 784)])
def test_features_without_positions(shape: tuple[int, ...]) -> None:
    module = nn.Sequential(nn.Linear(784, 10), nn.ReLU(), nn.Linear(10, 3))
    assert read(module, shape).output_shape(shape) == (*shape[:-1], 3)
    assert read(module, shape) == read(module)


def test_nothing_but_the_input() -> None:
    assert read(nn.Sequential()).nodes == ()


class Two(nn.Module):
    """Takes two tensors."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


REFUSED: list[tuple[Any, tuple[int, ...] | None, str]] = [
    (Two(), None, r"Two takes 2 inputs \(x, y\), but a network has one"),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (1, 8, 8), "Sequential does not take an input of 1x1x8x8: Runtime"),
    (nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), (-3, 8, 8), "negative size"),
    (Apply(lambda x: torch.ones(1)), (1, 3, 8, 8), "Apply returns no tensor that depends on its input"),
    (
        Apply(lambda x: x[:, :, 1:]),
        None,
        r"getitem: .* cannot be converted without shapes \(getitem depends on the number of axes\)",
    ),
    (Apply(lambda x: x.squeeze()), None, "squeeze: .*give input_shape"),
    (Apply(lambda x: x.view(4, 3, 2, 2)), None, "view: .*give input_shape"),
    ("Conv2d(1, 2, 3)", None, "str is not a torch.nn.Module"),
    (nn.Conv2d, None, "type is not a torch.nn.Module: give an instance"),
]


@pytest.mark.parametrize(("module", "shape", "message"), REFUSED)
def test_refusals_are_one_line(module: Any, shape: tuple[int, ...] | None, message: str) -> None:
    with pytest.raises(ca.ConvarithError, match=message) as caught:
        ca.pytorch.from_module(module, shape)
    assert "\n" not in str(caught.value)
