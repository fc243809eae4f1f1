"""The text of generated code. The oracle is torch, which runs it, or the text itself, written by hand.

- Every shape in a comment is the one that torch gives there; with and without branches, for every option.
- A decoder that follows sizes restores other sizes, too.
- A size rule as a Python expression has the values of the rule.
- What is imported is used, and what is used is imported.
- Values return to where a max pool took them, whatever its stride and padding.
"""

from __future__ import annotations

import ast
import random
import re
from types import ModuleType
from typing import Any

import pytest

import convarith as ca
from convarith.decoders.generated_code import _python
from convarith.sizes.rules import AxisRule, FloorRule, ScaleRule

RESIDUAL = """
a: Conv2d(1, 4, 3, stride=2, padding=1)
r: ReLU()
s: Conv2d(4, 4, 3, padding=1)
j: Add()(s, r)
p: MaxPool2d(2)
q: Conv2d(4, 8, 3, stride=2, padding=1)
"""
STRIDED = """
a: Conv2d(2, 4, 3, stride=2, padding=1); n: BatchNorm2d(4); r: ReLU(); b: Conv2d(4, 6, 3, padding=1)
short: Conv2d(2, 6, 1, stride=2)(input)
sum: Add()(b, short)
last: ReLU()
"""
GATED = """
a: Conv2d(2, 4, 3, padding=1); b: Conv2d(2, 4, 1)(input); c: Concat()(a, b); g: Sigmoid(); m: Multiply()(g, c)
p: MaxPool2d(3, 2, 1); unused: ReLU()(a); l: Conv2d(8, 3, 3)(p)
"""
ENCODERS: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = [
    (RESIDUAL, (1, 37, 33), (1, 40, 42)),
    (STRIDED, (2, 16, 15), (2, 9, 22)),
    (GATED, (2, 17, 12), (2, 12, 19)),
    ("Conv1d(1, 4, 4, stride=2); MaxPool1d(2, padding=1); Flatten(); Linear(64, 3)", (1, 64), (1, 65)),
    ("Conv3d(1, 2, 3, stride=2); MaxPool3d(2); Conv3d(2, 3, 2)", (1, 17, 15, 16), (1, 19, 17, 15)),
    ("PixelUnshuffle(2); ReLU(); Conv2d(4, 8, 3, stride=2, padding=1)", (1, 20, 20), (1, 22, 16)),
    ("ConvTranspose2d(1, 2, 3, stride=2); Conv2d(2, 3, 4, stride=3); MaxPool2d((2, 1), (3, 1))", (1, 13, 11), (1, 15, 8)),
    ("Upsample(scale_factor=1.5); Conv1d(2, 3, 5, stride=2); MaxPool1d(3)", (2, 30), (2, 41)),
    ("Conv2d(1, 4, 3, stride=2); AdaptiveAvgPool2d(3); Flatten(); Linear(36, 5); ReLU(); Linear(5, 2)", (1, 20, 14), (1, 9, 31)),
    ("Conv1d(2, 2, 3, padding=2); Upsample(scale_factor=1.5); MaxPool1d(3)", (2, 30), (2, 41)),
    ("MaxPool2d(2, stride=3, padding=1); Conv2d(2, 4, 2)", (2, 15, 13), (2, 18, 14)),
    ("LazyConv2d(4, 2); LazyBatchNorm2d(); MaxPool2d(2, return_indices=True); Conv2d(4, 4, 2)", (2, 10, 9), (2, 8, 13)),
    ("ConvTranspose2d(2, 1, 3, stride=2); b: Upsample(scale_factor=2)(input); c: Conv2d(2, 1, 2, padding=1); "
     "j: Add()(0, c); Conv2d(1, 2, 3)", (2, 5, 6), (2, 9, 4)),
]  # fmt: skip
WAYS: list[dict[str, Any]] = [
    {}, {"any_size": True}, {"skips": True}, {"upsample": "unpool"}, {"upsample": "unpool", "any_size": True},
    {"upsample": "resize", "any_size": True}, {"upsample": "pixel-shuffle", "any_size": True}, {"even": True},
]  # fmt: skip


def namespace(code: str, **names: Any) -> dict[str, Any]:
    exec(compile(code, "decoder.py", "exec"), names)
    return names


def shape_in(comment: str) -> tuple[int, ...]:
    return tuple(map(int, comment.split(" x ")))


def lines_of(code: str, name: str, method: str) -> list[str]:
    """The statements of a method of a class of generated code, as they stand there."""
    (body,) = re.findall(rf"^class {name}\(.*?(?=^class |\Z)", code, re.DOTALL | re.MULTILINE)
    (text,) = re.findall(rf"def {method}\(.*?:\n((?: {{8}}.*\n)*)", body)
    return [line[8:] for line in text.splitlines()]


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize(("text", "shape", "other"), ENCODERS, ids=[entry[0][:25].strip() for entry in ENCODERS])
def test_every_comment_is_torchs_shape(
    torch: ModuleType, text: str, shape: tuple[int, ...], other: tuple[int, ...], way: dict[str, Any]
) -> None:
    decoder = ca.mirror(ca.parse_network(text), shape, **way)
    code = decoder.code(autoencoder=True)
    told = re.sub(
        r"(?m)^( {8})(x\d*)((?:: Tensor)? = [^#\n]*)  # ([\d x]+)$",
        r"\1\2\3; seen.append((tuple(\2.shape[1:]), '\4'))",
        code,
    )
    seen: list[tuple[tuple[int, ...], str]] = []
    names = namespace(told, seen=seen)
    model, given = names["Autoencoder"](), torch.rand(2, *shape)
    shapes: list[tuple[int, ...]] = []

    def hook(_module: Any, _given: Any, result: Any) -> None:
        shapes.append(tuple((result[0] if isinstance(result, tuple) else result).shape[1:]))

    expected: list[str] = []
    for name, part in (("Encoder", model.encoder), ("Decoder", model.decoder)):
        comments = [line.rpartition("# ")[2] for line in lines_of(code, name, "__init__") if "  # " in line]
        leaves = [module for module in part.modules() if not list(module.children())]
        assert len(leaves) == len(comments)
        for module in leaves:
            module.register_forward_hook(hook)
        expected += comments
    assert model(given).shape == given.shape
    assert shapes == [shape_in(comment) for comment in expected]
    assert all(found == shape_in(comment) for found, comment in seen)
    assert not decoder.follows or seen
    if decoder.follows:
        assert model(torch.rand(3, *other)).shape[1:] == other


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("text", [entry[0] for entry in ENCODERS])
def test_what_is_imported_is_used(text: str, way: dict[str, Any]) -> None:
    shape = next(shape for each, shape, _ in ENCODERS if each == text)
    decoder = ca.mirror(ca.parse_network(text), shape, **way)
    for whole in (False, True):
        tree = ast.parse(decoder.code(autoencoder=whole))
        imported = {
            alias.asname or alias.name for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))
            for alias in node.names
        }  # fmt: skip
        used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert imported <= used
        assert {"nn", "torch", "F", "Tensor", "Sequence", "prod"} & used <= imported
        defined = {node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
        assert defined - used == {"Autoencoder" if "Autoencoder" in defined else "Decoder"}


def test_the_code_of_a_whole_autoencoder() -> None:
    decoder = ca.mirror(ca.parse_network(RESIDUAL), (1, 37, 33), upsample="unpool", skips=True)
    code = decoder.code()
    assert lines_of(code, "Encoder", "__init__") == [
        "super().__init__()",
        "self.block0 = nn.Sequential(",
        "    nn.Conv2d(1, 4, 3, stride=2, padding=1),  # 4 x 19 x 17",
        "    nn.ReLU(),  # 4 x 19 x 17",
        ")",
        "self.block1 = nn.Conv2d(4, 4, 3, padding=1)  # 4 x 19 x 17",
        "self.block2 = nn.MaxPool2d(kernel_size=2, return_indices=True)  # 4 x 9 x 8",
        "self.block3 = nn.Conv2d(4, 8, 3, stride=2, padding=1)  # 8 x 5 x 4",
    ]
    assert "def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:" in code
    assert lines_of(code, "Encoder", "forward") == [
        "indices: list[Tensor] = []",
        "maps: list[Tensor] = []",
        "x2 = self.block0(x)",
        "x = self.block1(x2)",
        "x = x + x2  # 4 x 19 x 17",
        "maps.append(x)",
        "x, where = self.block2(x)",
        "indices.append(where)",
        "maps.append(x)",
        "x = self.block3(x)",
        "return x, indices, maps",
    ]
    assert "latent: Tensor, size: Sequence[int], indices: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:" in code
    assert lines_of(code, "Decoder", "forward") == [
        "h, w = size",
        "x: Tensor = self.block0(latent)",
        "x = crop(x, (h - 3) // 4 + 1, (w - 3) // 4 + 1)  # 4 x 9 x 8",
        "x = torch.cat([x, maps[1]], dim=1)",
        "x = self.block1(x)",
        "x = F.max_unpool2d(x, indices[0], (2, 2), output_size=[(h - 1) // 2 + 1, (w - 1) // 2 + 1])  # 4 x 19 x 17",
        "x = torch.cat([x, maps[0]], dim=1)",
        "x = self.block2(x)",
        "x = crop(x, h, w)  # 1 x 37 x 33",
        "return x",
    ]
    assert lines_of(code, "Autoencoder", "forward") == [
        "latent, indices, maps = self.encoder(x)",
        "x = self.decoder(latent, x.shape[2:], indices, maps)",
        "return x",
    ]


@pytest.mark.parametrize(
    ("text", "shape", "options", "forward"),
    [
        ("Conv1d(1, 4, 4, stride=2); MaxPool1d(2, padding=1); Flatten(); Linear(64, 3)", (1, 64), {"any_size": True}, [
            "(length,) = size",
            "x: Tensor = self.block0(latent)",
            "x = x.view(-1, 4, (length - 2) // 4 + 1)  # 4 x 16",
            "x = self.block1(x)",
            "x = crop(x, length // 2 - 1)  # 4 x 31",
            "x = self.block2(x)",
            "x = crop(x, length)  # 1 x 64",
            "return x",
        ]),
        ("MaxPool2d(2)", (3, 6, 6), {"upsample": "unpool"}, [
            "h, w = size",
            "x = latent",
            "x = F.max_unpool2d(x, indices[0], (2, 2), output_size=[h, w])  # 3 x 6 x 6",
            "return x",
        ]),
        ("MaxPool1d(2, stride=3, padding=1)", (3, 9), {"upsample": "unpool"}, [
            "(length,) = size",
            "x = latent",
            "x = F.max_unpool1d(x, indices[0], (2,), stride=(3,), padding=(1,), output_size=[length])  # 3 x 9",
            "return x",
        ]),
        ("MaxPool1d(3, stride=1)", (3, 9), {"upsample": "unpool"}, [
            "(length,) = size",
            "x = latent",
            "x = unpool(x, indices[0], (length,))  # 3 x 9",
            "return x",
        ]),
        ("Upsample(scale_factor=1.5)", (3, 9), {"any_size": True}, [
            "(length,) = size",
            "x = latent",
            "x = F.adaptive_avg_pool1d(x, (length,))  # 3 x 9",
            "return x",
        ]),
        ("AdaptiveAvgPool2d(2)", (3, 9, 8), {"any_size": True}, [
            "h, w = size",
            "x = latent",
            "x = F.interpolate(x, size=(h, w))  # 3 x 9 x 8",
            "return x",
        ]),
    ],
)  # fmt: skip
def test_a_decoder_that_follows_sizes(
    text: str, shape: tuple[int, ...], options: dict[str, Any], forward: list[str]
) -> None:
    assert lines_of(ca.mirror(ca.parse_network(text), shape, **options).code(), "Decoder", "forward") == forward


@pytest.mark.parametrize("any_size", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_sub_pixels_start_equal(torch: ModuleType, any_size: bool, bias: bool) -> None:
    net = ca.parse_network(f"Conv2d(1, 2, 3, stride=3, bias={bias}); ReLU(); Conv2d(2, 4, 2, stride=2, bias={bias})")
    decoder = ca.mirror(net, (1, 18, 18), upsample="pixel-shuffle", any_size=any_size)
    code = decoder.code()
    assert code.count("icnr_(self.block" if any_size else "icnr_(self)") == (2 if any_size else 1)
    model = namespace(code)["Decoder"]()
    for name, values in model.named_parameters():
        assert ("bias" in name) <= bias
        times = len(values) // {9: 1, 8: 2}[len(values)]  # one channel of 9 sub-pixels, two of 4
        assert all(torch.equal(each, values[at // times * times]) for at, each in enumerate(values))
    assert len(list(model.parameters())) == (4 if bias else 2)


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ((), "n"),
        ((FloorRule(),), "n"),
        ((FloorRule(step=2),), "n // 2"),
        ((FloorRule(shift=-1, step=2, offset=1),), "(n - 1) // 2 + 1"),
        ((FloorRule(shift=-2, step=2, offset=1),), "n // 2"),
        ((FloorRule(rise=2, offset=-1),), "2 * n - 1"),
        ((FloorRule(rise=3, shift=4, step=2),), "3 * (n // 2) + 6"),
        ((FloorRule(shift=5),), "n + 5"),
        ((FloorRule(shift=5), FloorRule(rise=2)), "2 * (n + 5)"),
        ((FloorRule(shift=5), FloorRule(step=2)), "(n + 5) // 2"),
        ((FloorRule(rise=0, offset=7),), "7"),
        ((FloorRule(rise=0, offset=7), FloorRule(step=2)), "7 // 2"),
        ((ScaleRule(1.5), FloorRule(offset=1)), "int(n * 1.5) + 1"),
        ((FloorRule(offset=1), ScaleRule(1.5)), "int((n + 1) * 1.5)"),
    ],
)
def test_a_size_rule_is_written_as_python(rules: tuple[AxisRule, ...], text: str) -> None:
    assert _python(rules, "n") == text


def test_written_size_rules_have_the_values_of_the_rules() -> None:
    rng = random.Random(0)
    for _ in range(300):
        rules: list[AxisRule] = [
            ScaleRule(rng.choice((1.5, 2.0, 0.3))) if rng.random() < 0.15
            else FloorRule(rng.choice((1, 1, 1, 2, 3, 0)), rng.randint(-6, 6), rng.randint(1, 4), rng.randint(-3, 5))
            for _ in range(rng.randint(0, 4))
        ]  # fmt: skip
        text = _python(tuple(rules), "n")
        for size in (20, 33, 50, 64):
            expected: int | None = size
            for rule in rules:
                expected = None if expected is None else rule(expected)
            if expected is not None:
                assert eval(text, {"n": size}) == expected, (rules, text)


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation"),
    [(2, 2, 0, 1), (2, 3, 0, 1), (3, 3, 1, 1), (2, 3, 1, 1), (1, 2, 0, 1), (3, 2, 1, 1), (2, 1, 1, 1), (2, 3, 0, 2)],
)
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_values_return_to_where_the_pool_took_them(
    torch: ModuleType, ndim: int, kernel: int, stride: int, padding: int, dilation: int
) -> None:
    shape = (2, 9, 8, 7)[: ndim + 1]
    pool = f"MaxPool{ndim}d({kernel}, {stride}, {padding}, {dilation})"
    code = ca.mirror(ca.parse_network(pool), shape, upsample="unpool").code()
    values = torch.rand(2, *shape)
    max_pool = getattr(torch.nn.functional, f"max_pool{ndim}d")
    pooled, where = max_pool(values, kernel, stride, padding, dilation, return_indices=True)
    expected = torch.zeros_like(values).flatten(2).scatter_add(2, where.flatten(2), pooled.flatten(2)).view_as(values)
    assert ("max_unpool" in code) == (kernel <= stride and dilation == 1)
    torch.testing.assert_close(namespace(code)["Autoencoder"]()(values), expected)


@pytest.mark.parametrize(("kernel", "plain"), [((2, 2), True), ((2, 3), False), ((3, 2), False)])
def test_one_axis_on_which_windows_overlap_is_enough(torch: ModuleType, kernel: tuple[int, int], plain: bool) -> None:
    decoder = ca.mirror(ca.parse_network(f"MaxPool2d({kernel}, stride=2)"), (2, 9, 8), upsample="unpool")
    assert ("max_unpool" in decoder.code()) == plain
    assert decoder.verify().problems == ()
