"""The laws of the artefacts of given weights. The oracle is torch with constant inputs.

- The phase sums are what torch computes in the interior for constant inputs: the output of the layer, the sub-pixels
  after a shuffle, the gradient of the input of a strided convolution.
- The strength is the root-mean-square of the pattern divided by that of the mean; the spectrum has the same power.
- E[y^2] of a phase is the output of torch's layer with squared weights for ones.
- There is no pattern exactly if all phase sums are equal, as they are for weights initialised by ICNR.
- A module and its checkpoint give the same list, strongest first, and say which weights do not match.
- A checkpoint that would run code is refused.
"""

from __future__ import annotations

import random
import sys
from dataclasses import FrozenInstanceError
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.checkerboards.artefacts import read_checkpoint, strength, strengths

np = pytest.importorskip("numpy", reason="artefacts need numpy")
MODEL = "up: ConvTranspose2d(4, 6, 3, stride=2, groups=2); mix: Conv2d(6, 8, 3, padding=1); PixelShuffle(2)"


def answers(torch: ModuleType, layers: list[Any], channels: int, ndim: int, phases: tuple[int, ...]) -> Any:
    """The inner outputs of each phase, with one input channel at a time set to 1: (shown, channels, phases)."""
    size = 24
    found = []
    for channel in range(channels):
        values = torch.zeros(1, channels, *(size,) * ndim, dtype=torch.float64)
        values[0, channel] = 1
        with torch.no_grad():
            for layer in layers:
                values = layer(values)
        start = [-(-(total // 2) // step) * step for total, step in zip(values.shape[2:], phases, strict=True)]
        places = tuple(slice(at, at + step) for at, step in zip(start, phases, strict=True))
        found.append(values[0][(slice(None), *places)])
    return torch.stack(found, 1).numpy()


def dense(found: Any, groups: int) -> Any:
    """Phase sums with zeros for the channels that a group does not read."""
    shown, own = found.shape[:2]
    whole = np.zeros((shown, own * groups, *found.shape[2:]))
    for channel in range(shown):
        group = channel * groups // shown
        whole[channel, group * own : (group + 1) * own] = found[channel]
    return whole


def random_up(rng: random.Random, ndim: int) -> ca.ConvTranspose:
    def axes(low: int, high: int) -> Any:
        return tuple(rng.randint(low, high) for _ in range(ndim))

    groups = rng.choice((1, 2))
    while True:
        try:
            return ca.ConvTranspose(
                kernel_size=axes(1, 5), stride=axes(1, 3), padding=axes(0, 2), dilation=axes(1, 2), ndim=ndim,
                in_channels=4, out_channels=6, groups=groups, bias=False,
            )  # fmt: skip
        except ca.ParameterError:
            continue


def test_phase_sums_are_what_torch_answers_to_constants(torch: ModuleType) -> None:
    rng = random.Random(0)
    for ndim in (1, 2) * 30:
        layer = random_up(rng, ndim)
        module: Any = ca.pytorch.to_module(layer).double()
        found = strength(layer, module.weight)
        expected = answers(torch, [module], 4, ndim, found.power.shape)
        assert np.allclose(dense(found.phase_sums, layer.groups), expected)
        mean = expected.mean(axis=tuple(range(2, ndim + 2)), keepdims=True)
        pattern = ((expected - mean) ** 2).sum() / found.power.size
        assert found.strength == pytest.approx((pattern / (mean**2).sum()) ** 0.5)
        assert (found.spectrum**2).sum() - 1 == pytest.approx(found.strength**2)
        own = ((expected - mean) ** 2).reshape(len(mean), -1).sum(axis=1) / found.power.size
        assert np.allclose(found.channels, np.sqrt(own / ((mean**2).sum() / len(mean))))
        assert (found.channels**2).mean() == pytest.approx(found.strength**2)
        assert found.worst_channel == found.channels.argmax()
        with torch.no_grad():
            module.weight.copy_(module.weight**2)
        squares = answers(torch, [module], 4, ndim, found.power.shape)
        assert np.allclose(found.power, squares.sum(axis=1).mean(axis=0))


def test_random_constant_inputs_have_that_strength(torch: ModuleType) -> None:
    layer = ca.parse("ConvTranspose1d(64, 8, 5, stride=3, bias=False)")
    module: Any = ca.pytorch.to_module(layer).double()
    found = strength(layer, module.weight)
    torch.manual_seed(0)
    output = module(torch.randn(4000, 64, 1, dtype=torch.float64).expand(4000, 64, 6))[..., 6:9].detach()
    mean = output.mean(-1, keepdim=True)
    assert float(((output - mean) ** 2).mean() / (mean**2).mean()) ** 0.5 == pytest.approx(found.strength, rel=0.05)


def test_the_rms_of_channels_weighs_them(torch: ModuleType) -> None:
    for layer in map(ca.parse, ("ConvTranspose2d(4, 6, 3, stride=2, groups=2)", "Conv2d(4, 6, 3, stride=2, groups=2)")):
        module: Any = ca.pytorch.to_module(layer)
        weight = module.weight.detach().double()
        level = torch.arange(1, len(weight) + 1, dtype=torch.float64)
        one = strength(layer, weight, channel_rms=level)
        other = strength(layer, weight * level[:, None, None, None])
        assert np.allclose(one.phase_sums, other.phase_sums)
        assert np.allclose(one.power, other.power)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_sub_pixels_are_torchs(groups: int, torch: ModuleType) -> None:
    conv = torch.nn.Conv2d(4, 8, 3, padding=1, groups=groups).double()
    layer: Any = ca.pytorch.from_module(conv)
    found = strength(layer, conv.weight, ca.PixelShuffle(upscale_factor=2), conv.bias)
    silent = torch.nn.Conv2d(4, 8, 3, padding=1, groups=groups, bias=False).double()
    silent.load_state_dict({"weight": conv.weight})
    expected = answers(torch, [silent, torch.nn.PixelShuffle(2)], 4, 2, (2, 2))
    assert np.allclose(found.phase_sums[:, :4], expected)
    offsets = torch.nn.PixelShuffle(2)(conv.bias.detach().reshape(1, 8, 1, 1))[0].numpy()
    assert np.allclose(found.phase_sums[:, 4], offsets)
    assert found.side == "output"
    with torch.no_grad():
        silent.weight.copy_(silent.weight**2)
    squares = answers(torch, [silent, torch.nn.PixelShuffle(2)], 4, 2, (2, 2))
    assert np.allclose(found.power, squares.sum(axis=1).mean(axis=0))
    level = torch.arange(1, 5, dtype=torch.float64)
    read = level.reshape(groups, -1).repeat_interleave(8 // groups, dim=0)[:, :, None, None]
    weighed = strength(layer, conv.weight, ca.PixelShuffle(upscale_factor=2), conv.bias, channel_rms=level)
    scaled = strength(layer, conv.weight * read, ca.PixelShuffle(upscale_factor=2), conv.bias)
    assert np.allclose(weighed.phase_sums, scaled.phase_sums)
    assert np.allclose(weighed.power, scaled.power)


def test_icnr_starts_clean(torch: ModuleType) -> None:
    weight = torch.randn(2, 3, 3, 3).repeat_interleave(4, dim=0)
    found = strength(ca.parse("Conv2d(3, 8, 3)"), weight, ca.PixelShuffle(upscale_factor=2))
    assert (found.strength, found.decibels) == (0, float("-inf"))


def test_the_gradient_of_a_strided_convolution_is_torchs(torch: ModuleType) -> None:
    rng = random.Random(1)
    for _ in range(30):
        kernel, stride, groups = rng.randint(1, 5), rng.randint(1, 3), rng.choice((1, 2))
        conv = torch.nn.Conv1d(4, 6, kernel, stride, padding=rng.randint(0, 2), groups=groups, bias=False).double()
        layer: Any = ca.pytorch.from_module(conv)
        found = strength(layer, conv.weight)
        assert found.side == "gradient"
        expected = []
        for channel in range(6):
            values = torch.zeros(1, 4, 60, dtype=torch.float64, requires_grad=True)
            conv(values)[0, channel].sum().backward()
            start = -(-24 // stride) * stride
            expected.append(values.grad[0, :, start : start + stride])
        assert np.allclose(dense(found.phase_sums, groups), torch.stack(expected, 1).numpy())


@pytest.mark.parametrize(
    ("kernel", "weight", "expected"),
    [
        (3, [1, 1, 1], 1 / 3),
        (4, [1, 1, 1, 1], 0),
        (4, [1, 3, 3, 1], 0),
        (4, [1, 2, 3, 4], 0.2),
        (2, [1, -1], float("inf")),
    ],
)
def test_single_ones(kernel: int, weight: list[float], expected: float) -> None:
    assert strength(ca.ConvTranspose(kernel_size=kernel, stride=2), weight).strength == pytest.approx(expected)


def test_an_artefact_is_equal_to_itself_alone_and_cannot_be_changed() -> None:
    one, other = (strength(ca.ConvTranspose(kernel_size=3, stride=2), [1, 1, 1]) for _ in range(2))
    assert (one == other, len({one, other})) == (False, 2)  # arrays have no single truth
    with pytest.raises(FrozenInstanceError):
        one.side = "gradient"  # type: ignore[misc]


def test_nothing_is_clean() -> None:
    found = strength(ca.ConvTranspose(kernel_size=3, stride=2), [0, 0, 0])
    assert (found.strength, found.noise_contrast, found.spectrum.tolist()) == (0, 0, [0, 0])
    assert (found.decibels, found.channels.tolist()) == (-inf, [0])


@pytest.mark.parametrize("scale", [1, 1e-30, 1e30])
def test_the_unit_of_the_weights_does_not_matter(scale: float) -> None:
    layer = ca.ConvTranspose(kernel_size=3, stride=2)
    found = strength(layer, [scale, scale, scale])
    assert found.strength == pytest.approx(1 / 3)
    assert found.decibels == pytest.approx(-9.542, abs=1e-3)
    assert found.spectrum.tolist() == pytest.approx([1, 1 / 3])
    assert found.noise_contrast == pytest.approx(2)
    assert strength(layer, [0.1 * scale, 0.3 * scale, 0.2 * scale]).strength == 0  # 0.1 + 0.2 is 0.3 but for rounding


def test_a_pattern_without_a_signal_is_infinitely_strong() -> None:
    found = strength(ca.parse("ConvTranspose1d(1, 2, 2, stride=2)"), [[[1, -1], [0, 0]]])
    assert (found.strength, found.decibels, found.noise_contrast) == (inf, inf, 1)
    assert (found.channels.tolist(), found.worst_channel) == ([inf, 0], 0)
    assert found.spectrum.tolist() == [0, inf]
    assert strength(ca.ConvTranspose(kernel_size=2, stride=2), [1, 0]).noise_contrast == inf


def test_a_layer_of_open_dimension_takes_the_kernels_or_torchs_shape() -> None:
    up = ca.ConvTranspose(kernel_size=2, stride=2)
    for ndim in (1, 2):
        kernel = np.arange(1.0, 2**ndim + 1).reshape((2,) * ndim)
        assert strength(up, kernel).phase_sums.tolist() == [[kernel.tolist()]]
    for ndim in (1, 2, 3):
        kernel = np.arange(1.0, 2**ndim + 1).reshape((2,) * ndim)
        assert strength(up, kernel[None, None]).phase_sums.tolist() == [[kernel.tolist()]]
    for kernel in (np.ones((1, 1, 2, 2, 2, 2)), np.ones((0, 1, 2)), np.array(1.0)):
        with pytest.raises(ca.ParameterError, match="the weight has shape"):
            strength(up, kernel)


def test_a_module_is_ranked(torch: ModuleType) -> None:
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 1, stride=2), torch.nn.ReLU(), torch.nn.ConvTranspose2d(4, 4, 3, stride=2),
        torch.nn.Conv2d(4, 8, 3, padding=1), torch.nn.PixelShuffle(2), torch.nn.Conv2d(2, 2, 3),
    )  # fmt: skip
    found = strengths(module)
    assert {(each.name, each.side) for each in found.artefacts} == {("0", "gradient"), ("2", "output"), ("3", "output")}
    assert [each.strength for each in found.artefacts] == sorted(
        (each.strength for each in found.artefacts), reverse=True
    )
    assert (found.missing, found.unused) == ({}, [])
    single = strengths(torch.nn.ConvTranspose2d(4, 4, 3, stride=2)).artefacts
    assert [each.name for each in single] == ["ConvTranspose2d"]
    assert found.artefacts[0].strength > found.artefacts[-1].strength
    shuffled = next(each for each in found.artefacts if each.name == "3")
    conv = module[3]
    expected = strength(ca.parse("Conv2d(4, 8, 3)"), conv.weight, ca.PixelShuffle(upscale_factor=2), conv.bias)
    assert np.allclose(shuffled.phase_sums, expected.phase_sums)  # with the bias


def test_a_module_can_be_ranked_with_other_weights(torch: ModuleType) -> None:
    module = torch.nn.ConvTranspose1d(1, 1, 3, stride=2)
    for subject, name in ((module, "weight"), (torch.nn.Sequential(module), "0.weight")):
        assert strengths(subject, {name: [[[1, 1, 1]]]}).artefacts[0].strength == pytest.approx(1 / 3)
        assert strengths(subject, {name: [[[1, 2, 1]]]}).artefacts[0].strength == 0


def test_a_stride_along_one_axis_is_enough_for_a_pattern() -> None:
    net = ca.parse_network("a: Conv2d(1, 1, 3, stride=(1, 2)); b: Conv2d(1, 1, 3, stride=(2, 1)); c: Conv2d(1, 1, 3)")
    found = strengths(net, {"c.weight": np.ones((1, 1, 3, 3))})
    assert sorted(found.missing) == ["a", "b"]  # for c, which has no stride, nothing is missing
    assert strengths(net, {}).missing == {name: f"there is no {name}.weight" for name in "ab"}
    either = ca.Network.chain([ca.ConvTranspose(kernel_size=3, stride=2), ca.ConvTranspose(kernel_size=3)])
    assert [each.name for each in strengths(either, {"0.weight": np.ones((1, 1, 3))}).artefacts] == ["0"]


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_checkpoint_is_matched_to_the_network(ending: str, prefix: str, torch: ModuleType, tmp_path: Path) -> None:
    net = ca.parse_network(MODEL)
    torch.manual_seed(0)
    modules: dict[str, Any] = {node.name: ca.pytorch.to_module(node.layer) for node in net.nodes}
    state = {
        f"{prefix}{name}.{key}": value for name, module in modules.items() for key, value in module.state_dict().items()
    }
    state |= {"extra.weight": torch.zeros(2, 3, 9), "steps": torch.tensor(7)}
    path = tmp_path / f"model.{ending}"
    if ending == "pt":
        torch.save({"epoch": 3, "state_dict": state}, path)
    else:
        pytest.importorskip("safetensors.torch").save_file(state, path)
    found = strengths(net, read_checkpoint(str(path)))
    assert {each.name for each in found.artefacts} == {"up", "mix"}
    assert found.unused == ["extra.weight"]
    expected = strength(net.nodes[0].layer, modules["up"].weight).strength
    assert next(each for each in found.artefacts if each.name == "up").strength == pytest.approx(expected)


def test_what_does_not_match_is_said() -> None:
    net = ca.parse_network("a: ConvTranspose1d(1, 2, 3, stride=2); b: ConvTranspose1d(2, 2, 4, stride=2)")
    given = {"b.weight": np.ones((2, 2, 5)), "x.weight": np.ones((1, 2, 3)), "y.weight": np.ones((9, 9, 9))}
    found = strengths(net, given)
    assert [each.name for each in found.artefacts] == ["a"]  # the only weight of its shape
    assert found.missing == {"b": "b.weight has shape 2x2x5, which does not fit ConvTranspose1d(2, 2, 4, stride=2)"}
    assert found.unused == ["b.weight", "y.weight"]
    two = strengths(net, {"x.weight": np.ones((1, 2, 3)), "y.weight": np.ones((1, 2, 3))})
    assert two.missing["a"] == "there is no a.weight, and 2 weights have its shape"
    assert two.missing["b"] == "there is no b.weight"


TWINS = "a: ConvTranspose1d(1, 1, 3, stride=2); b: ConvTranspose1d(1, 1, 3, stride=2)"


@pytest.mark.parametrize(
    ("names", "found", "missing"),
    [
        (["x.weight"], [], "and 1 weight has its shape"),
        (["x.weight", "y.weight"], [], "and 2 weights have its shape"),
        (["x.a.weight", "y.weight"], ["a", "b"], ""),  # the other one is left for b
        (["x.a.weight", "y.a.weight", "z.a.weight"], [], "and 3 weights have its shape"),
        (["xa.weight"], [], "and 1 weight has its shape"),
    ],
)
def test_a_weight_is_not_guessed_between_equal_layers(names: list[str], found: list[str], missing: str) -> None:
    ranking = strengths(ca.parse_network(TWINS), {name: np.ones((1, 1, 3)) for name in names})
    assert sorted(each.name for each in ranking.artefacts) == found
    assert ranking.missing == ({} if found else {name: f"there is no {name}.weight, {missing}" for name in "ab"})


def test_what_has_the_shape_of_a_kernel_is_a_weight() -> None:
    net = ca.parse_network("a: ConvTranspose1d(1, 1, 3, stride=2)")
    found = strengths(net, {f"w{ndim}": np.ones((2,) * ndim) for ndim in range(7)})
    assert found.unused == ["w3", "w4", "w5"]
    for ndim in range(7):
        why = strengths(net, {"a.weight": np.ones((2,) * ndim)}).missing["a"]
        assert why.startswith("a.weight has shape" if ndim in (3, 4, 5) else "there is no a.weight")


def test_half_precision_is_read(torch: ModuleType, tmp_path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file(
        {"w": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "h.safetensors"
    )
    assert read_checkpoint(str(tmp_path / "h.safetensors"))["w"].tolist() == [1, 1]


class Harmful:
    def __reduce__(self) -> Any:
        return sys.exit, (3,)


def test_a_checkpoint_is_not_run(torch: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save({"weight": Harmful()}, path)
    with pytest.raises(ca.ConvarithError, match=r"cannot read the weights of .*model.pt without running code in it"):
        read_checkpoint(str(path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.pt", None, "there is no file .*none.pt"),
        ("text.pt", b"hello", "cannot read the weights of"),
        ("text.safetensors", b"hello", "cannot read .*text.safetensors"),
    ],
)
@pytest.mark.usefixtures("torch")
def test_a_file_that_is_no_checkpoint(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ca.ConvarithError, match=message):
        read_checkpoint(str(tmp_path / name))


def test_a_checkpoint_without_weights(torch: ModuleType, tmp_path: Path) -> None:
    for held in ({"steps": torch.tensor(7)}, torch.ones(3), [torch.ones(3)], {"state_dict": torch.ones(3, dtype=int)}):
        torch.save(held, tmp_path / "m.pt")
        with pytest.raises(ca.ConvarithError, match=r"holds no named weights: save a model's state_dict\(\)"):
            read_checkpoint(str(tmp_path / "m.pt"))


@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_only_floating_point_arrays_are_read(ending: str, torch: ModuleType, tmp_path: Path) -> None:
    state, path = {"w": torch.ones(2), "steps": torch.tensor([7])}, tmp_path / f"m.{ending}"
    torch.save(state, path) if ending == "pt" else pytest.importorskip("safetensors.torch").save_file(state, path)
    assert {name: array.tolist() for name, array in read_checkpoint(str(path)).items()} == {"w": [1, 1]}


@pytest.mark.parametrize(("reason", "said"), [("it is\nbroken", "it is"), ("", "RuntimeError")])
def test_the_reason_is_one_line(
    reason: str, said: str, torch: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> None:
        raise RuntimeError(reason)

    (tmp_path / "m.pt").write_bytes(b"hello")
    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(ca.ConvarithError, match=rf"without running code in it \({said}\): save"):
        read_checkpoint(str(tmp_path / "m.pt"))


@pytest.mark.parametrize(
    ("layer", "weight", "more", "message"),
    [
        ("ReLU()", [1], {}, "has no kernel"),
        ("ConvTranspose1d(1, 1, 3)", [1, 2], {}, r"the weight has shape 1x1x2: ConvTranspose1d.* takes \(in, out/groups, 3\)"),
        ("Conv1d(2, 1, 3)", [[[1, 2, 3]]], {}, r"takes \(out, in/groups, 3\)"),
        ("ConvTranspose1d(1, 1, 3)", ["a"], {}, "not an array of numbers"),
        ("ConvTranspose1d(1, 1, 3)", [1, 2, 3], {"bias": [1]}, "the same in all phases: leave it out"),
        ("ConvTranspose1d(1, 1, 3)", [1, 2, 3], {"channel_rms": [1, 2]}, "give one value per channel"),
        ("Conv2d(1, 3, 1)", np.ones((3, 1, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=2)}, "needs 4 channels per pixel"),
        ("ConvTranspose1d(2, 1, 3)", [[[1, 2, 3]]], {}, "the weight has shape 1x1x3"),
        ("ConvTranspose1d(2, 2, 3, groups=2)", [1, 2, 3], {}, r"the weight has shape 3: .* takes \(in, out/groups, 3\)"),
        ("ConvTranspose(kernel_size=3, groups=2)", [1, 2, 3], {}, r"takes \(in, out/groups, 3\)"),
        ("ConvTranspose(kernel_size=3, groups=2)", [[1], [2]], {}, r"the weight has shape 2x1: .* takes \(in, out/groups, 3\)"),
        ("ConvTranspose(kernel_size=3, groups=2)", np.ones((3, 1, 3)), {}, "the weight has shape 3x1x3"),
        ("ConvTranspose(kernel_size=3, groups=2)", np.ones((2, 1, 3, 3, 2)), {}, r"takes \(in, out/groups, 3x3x3\)"),
        ("Conv2d(1, 6, 1)", np.ones((6, 1, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=3)}, "needs 9 channels per pixel"),
        ("Conv1d(1, 4, 1)", np.ones((4, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=2)}, "from a Conv of stride 1"),
        ("Conv2d(1, 4, 1, stride=2)", np.ones((4, 1, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=2)}, "from a Conv of stride 1"),
        ("Conv2d(1, 4, 1, stride=(1, 2))", np.ones((4, 1, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=2)}, "of stride 1"),
        ("Conv2d(1, 4, 1)", np.ones((4, 1, 1, 1)), {"shuffle": ca.PixelShuffle(upscale_factor=2), "bias": [1]}, "the bias has shape"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(layer: str, weight: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ca.ParameterError, match=message):
        strength(ca.parse(layer), weight, **more)


def test_a_network_alone_has_no_weights() -> None:
    with pytest.raises(ca.ParameterError, match="no weights of its own: give its state_dict, or a module"):
        strengths(ca.parse_network(MODEL))
