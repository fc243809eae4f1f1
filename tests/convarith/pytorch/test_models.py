"""The laws of from_module on models that people build; the oracle is torch.

- Every node has the shape that torch records there, at three input sizes; nothing is opaque.
- Every module that runs is a node.
- The parameters are those of the module.
- The size map of an axis is torch's output size over a range of inputs, refused ones included.
- The text of the network reads back to the same network.
- The noise-to-noise U-Net has the number of parameters that its table gives.
"""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest
from support.torch_models import MODELS, LeNet, Model, Noise2Noise

import convarith as ca
from convarith.layers.recorded import Recorded

SECOND = re.compile(r"\.(flatten|match_size)$")
"""The end of the name of a call's second node, which is the one that gives what torch records."""


@pytest.fixture(scope="module")
def networks(torch: ModuleType) -> dict[str, ca.Network]:
    """Every model's network, read at its first shape."""
    read = {}
    for model in MODELS:
        net = ca.pytorch.from_module(model.make(), model.shapes[0])
        assert isinstance(net, ca.Network)
        read[model.name] = net
    return read


def recorded(torch: ModuleType, module: Any, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """torch's own shapes: those of a module by its path, those of a function by its name in torch's graph."""
    from torch.fx.passes.shape_prop import ShapeProp

    graph = torch.fx.symbolic_trace(module.eval())
    with torch.no_grad():
        ShapeProp(graph).propagate(torch.zeros(1, *shape))
    shapes: dict[str, tuple[int, ...]] = {}
    for node in graph.graph.nodes:
        meta = node.meta.get("tensor_meta")
        meta = meta[0] if type(meta) is tuple and meta else meta
        if node.op not in ("call_module", "call_function", "call_method") or not hasattr(meta, "shape"):
            continue
        name = str(node.target) if node.op == "call_module" else node.name
        calls = sum(1 for known in shapes if re.fullmatch(re.escape(name) + r"(_\d+)?", known)) if name in shapes else 0
        if type(node.meta["tensor_meta"]) is tuple:  # a chunk
            shapes |= {f"{name}.{at}": tuple(each.shape)[1:] for at, each in enumerate(node.meta["tensor_meta"])}
        shapes[f"{name}_{calls}" if calls else name] = tuple(meta.shape)[1:]
    return shapes


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_shape_is_torchs(torch: ModuleType, networks: dict[str, ca.Network], model: Model) -> None:
    net, module = networks[model.name], model.make()
    assert not any(isinstance(node.layer, Recorded) for node in net.nodes)
    assert net.remarks == (("the model returns 3 tensors: only the first is followed",) if model.name == "vae" else ())
    for shape in model.shapes:
        ours, theirs = net.shapes(shape), recorded(torch, module, shape)
        results = {SECOND.sub("", name): size for name, size in ours.items()}
        assert results == {name: theirs[name] for name in results}
        output = first(module(torch.zeros(1, *shape)))
        assert net.output_shape(shape) == tuple(output.shape)[1:]
        assert net.output_shape((2, *shape)) == (2, *tuple(output.shape)[1:])


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_every_module_that_runs_is_a_node(torch: ModuleType, networks: dict[str, ca.Network], model: Model) -> None:
    module, ran = model.make().eval(), set()
    for name, each in module.named_modules():
        if not list(each.children()):
            each.register_forward_hook(lambda *_, name=name: ran.add(name))
    module(torch.zeros(1, *model.shapes[0]))
    assert ran <= {node.name for node in networks[model.name].nodes}


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_parameters(networks: dict[str, ca.Network], model: Model) -> None:
    assert networks[model.name].parameter_count == sum(each.numel() for each in model.make().parameters())


@pytest.mark.parametrize("model", MODELS, ids=str)
def test_the_text_reads_back(networks: dict[str, ca.Network], model: Model) -> None:
    assert ca.parse_network(str(networks[model.name])) == networks[model.name]


def first(output: Any) -> Any:
    """The first tensor of what a model gives."""
    parts = list(output.values()) if isinstance(output, dict) else output
    return parts[0] if isinstance(parts, (tuple, list)) else parts


SCANNED = {
    "unet-crop": (88, 112),
    "unet-pad": (0, 24),
    "unet-resize": (0, 24),
    "noise2noise": (0, 100),
    "dcgan-generator": (0, 4),
    "segnet": (0, 24),
    "edsr": (0, 12),
    "audio-codec": (0, 700),
    "deeplab": (0, 24),
    "convnext": (0, 20),
    "vae": (0, 24),
    "squeeze-excitation": (0, 24),
    "channel-gates": (0, 24),
}
"""Input sizes at which torch is asked; the other axis stays as in the model's first shape.

An unpool without a size to come back to is left out: whether the indices fit the map is a matter of their values.
"""


@pytest.mark.parametrize("name", SCANNED)
def test_the_size_map_is_torchs_output_size(torch: ModuleType, networks: dict[str, ca.Network], name: str) -> None:
    model = next(model for model in MODELS if model.name == name)
    module, (channels, *spatial) = model.make().eval(), model.shapes[0]
    step = 7 if name == "audio-codec" else 1
    for axis in range(len(spatial)):
        sizes = networks[name].size_map(axis)
        for size in range(*SCANNED[name], step):
            shape = (channels, *spatial[:axis], size, *spatial[axis + 1 :])
            assert sizes(size) == output_size(torch, module, shape, axis), shape


def output_size(torch: ModuleType, module: Any, shape: tuple[int, ...], axis: int) -> int | None:
    try:
        with torch.no_grad():
            output = module(torch.zeros(1, *shape))
    except RuntimeError:
        return None
    return int(first(output).shape[2 + axis])


def test_a_skip_needs_its_size_back(networks: dict[str, ca.Network]) -> None:
    """Five halvings and skips: only multiples of 32 come through."""
    assert networks["noise2noise"].size_map(0).comes_back.words("H") == "H = 0 (mod 32), H >= 32"
    with pytest.raises(ca.ShapeError, match=r"cat: .*dim 2 differs \(4 and 5\).*nearest input that works"):
        networks["noise2noise"].shapes((3, 80, 64))


@pytest.mark.parametrize(("n", "m", "count"), [(3, 3, 991_203), (1, 1, 988_609)])
@pytest.mark.parametrize("slope", [0.1, 0.0], ids=["leaky", "relu"])
def test_the_noise_to_noise_table(torch: ModuleType, n: int, m: int, count: int, slope: float) -> None:
    module = Noise2Noise(n, m, slope=slope)
    net = ca.pytorch.from_module(module)
    assert isinstance(net, ca.Network)
    assert net.parameter_count == count == sum(each.numel() for each in module.parameters())
    assert net.output_shape((n, 64, 96)) == (m, 64, 96)


def test_a_view_ties_lenet_to_its_size(torch: ModuleType) -> None:
    for net in (ca.pytorch.from_module(LeNet()), ca.pytorch.from_module(LeNet(), (1, 32, 32))):
        assert net.output_shape((1, 32, 32)) == (10,)
        assert isinstance(net, ca.Network)
        assert [str(node.layer) for node in net.nodes[-7:-5]] == ["Linear(400, 120)", "ReLU()"]
        with pytest.raises(ca.ShapeError, match=r"fc1: .*expects 400 features"):
            net.output_shape((1, 28, 28))
