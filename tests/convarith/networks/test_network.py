"""Networks: shapes, size maps, text and errors.

- The shapes of random chains are equal to torch's on the CPU, including errors.
- A size map is equal to the layer-by-layer sizes for every input size up to 300, including errors and branches.
- Its minimum, its inverse and its unchanged sizes are equal to what a scan finds.
- The output size of a layer is what its rules give one by one.
- The text of a network parses to an equal network, and the three forms of text are equivalent.
- Invalid input raises an error with the layer, its place in the text and the nearest input that works.
- Ten thousand layers, or text of several megabytes, work.
"""

import random
from itertools import pairwise
from math import prod
from types import ModuleType

import pytest
from support.random_networks import random_layer, random_network, random_shape

import convarith as ca
from convarith.layers.base import SpatialLayer
from convarith.networks.network import Node
from convarith.networks.open_sizes import OpenSizes
from convarith.pytorch import to_module

MOST_VALUES = 300_000
SIZES = range(301)


def torch_shape(torch: ModuleType, net: ca.Network, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """torch's output shape of a chain; None if torch raises an error."""
    values = torch.zeros(shape, dtype=torch.float64)
    try:
        with torch.no_grad():
            for node in net.nodes:
                values = to_module(node.layer).double().eval()(values)
    except (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError):
        return None
    return tuple(values.shape)


def stays_small(net: ca.Network, shape: tuple[int, ...]) -> bool:
    for node in net.nodes:
        try:
            shape = node.layer.output_shape(shape)
        except ca.ConvarithError:
            return True
        if prod(shape) > MOST_VALUES:
            return False
    return True


def our_shape(net: ca.Network, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    try:
        return net.output_shape(shape, batched=True)
    except ca.ShapeError:
        return None


def test_random_chains_have_the_shapes_of_torch(torch: ModuleType, random_networks: int) -> None:
    rng = random.Random(1)
    accepted = refused = 0
    for _ in range(random_networks):
        net, ndim, channels = random_network(rng)
        shape = random_shape(rng, ndim, channels)
        if stays_small(net, shape):
            theirs = torch_shape(torch, net, shape)
            assert our_shape(net, shape) == theirs, f"{net}\non {shape}"
            accepted, refused = accepted + (theirs is not None), refused + (theirs is None)
    assert min(accepted, refused) > random_networks // 10


def test_the_loop_over_floors_equals_the_rules() -> None:
    rng = random.Random(5)
    checked = 0
    for _ in range(2_000):
        ndim = rng.choice((1, 2, 3))
        layer, _ = random_layer(rng, ndim, 4)
        sizes = tuple(rng.randint(0, 30) for _ in range(ndim))
        if not isinstance(layer, SpatialLayer):
            continue
        expected = [rule(size) for rule, size in zip(layer.rules(ndim), sizes, strict=True)]
        try:
            output: tuple[int, ...] | None = layer.output_size(sizes)
        except ca.ShapeError:
            output = None
        if None in expected:
            assert output is None
        elif (
            output is not None or layer.kind != "pad"
        ):  # a reflection with an empty output is an error of the whole layer
            assert output == tuple(expected)
            checked += 1
    assert checked > 1_000


def size_at(net: ca.Network, axis: int, ndim: int, size: int) -> int | None:
    """Follow one axis node by node; None if a layer does not accept its size or branches differ."""
    sizes: dict[str, int] = {"input": size}
    for node in net.nodes:
        given = {sizes[name] for name in node.inputs}
        if len(given) > 1:
            return None
        result: int | None = given.pop()
        if isinstance(node.layer, SpatialLayer):
            result = node.layer.rules(ndim)[axis](result)  # type: ignore[arg-type]
        if result is None:
            return None
        sizes[node.name] = result
    return sizes[net.nodes[-1].name]


@pytest.mark.parametrize("branches", [False, True])
def test_size_maps_equal_the_sizes_layer_by_layer(branches: bool, random_networks: int) -> None:
    np = pytest.importorskip("numpy")
    rng = random.Random(2)
    finite = endless = 0
    for _ in range(random_networks):
        net, ndim, _ = random_network(rng, branches)
        axis = rng.randrange(ndim)
        scanned = [size_at(net, axis, ndim, size) for size in SIZES]
        try:
            sizes = net.size_map(axis)
        except ca.ShapeError:
            assert not any(size is not None for size in scanned), str(net)
            continue
        assert [sizes(size) for size in SIZES] == scanned, f"{net}\naxis {axis}: {sizes.formula()} on {sizes.domain}"
        assert sizes.sizes(np.arange(len(SIZES))).tolist() == [-1 if size is None else size for size in scanned]
        taken = [size for size, result in enumerate(scanned) if result is not None]
        assert sizes.minimum == (taken[0] if taken else sizes.minimum)
        assert sizes.minimum is None or taken or sizes.minimum > SIZES[-1]
        assert {size for size in SIZES if size in sizes.comes_back} == {size for size in taken if scanned[size] == size}
        if taken:
            wanted = scanned[rng.choice(taken)]
            assert wanted is not None
            inputs = sizes.inputs_for(wanted)
            assert {size for size in SIZES if size in inputs} == {size for size in taken if scanned[size] == wanted}
        finite, endless = finite + (not sizes.domain.endless), endless + sizes.domain.endless
    assert endless > random_networks // 3


def test_a_factor_without_a_closed_form_is_scanned() -> None:
    net = ca.parse_network("Conv2d(1, 1, 3, stride=2); Upsample(scale_factor=1.7); PixelUnshuffle(2)")
    sizes = net.size_map(0)
    assert not sizes.exact
    assert sizes.cycle is None
    assert [sizes(size) for size in SIZES] == [size_at(net, 0, 2, size) for size in SIZES]
    assert [size for size in SIZES if size in sizes.comes_back] == [
        size for size in SIZES if size_at(net, 0, 2, size) == size
    ]
    assert ca.parse_network("Upsample(scale_factor=1.5); MaxPool2d(2)").size_map(0).cycle == (4, 3)


def test_the_cycle_repeats_and_huge_sizes_are_exact() -> None:
    rng = random.Random(3)
    for _ in range(200):
        net, ndim, _ = random_network(rng)
        try:
            sizes = net.size_map(0)
        except ca.ShapeError:
            continue
        if sizes.cycle is None:
            continue
        period, rise = sizes.cycle
        start = 10**18 + rng.randrange(1000)
        assert sizes.follow(start + period) == sizes.follow(start) + rise
        assert sizes(start) == size_at(net, 0, ndim, start)


def test_text_of_a_network_parses_to_the_network() -> None:
    rng = random.Random(4)
    for _ in range(200):
        net, _, _ = random_network(rng, branches=True)
        assert ca.parse_network(str(net)) == net


PRINTED = """
Sequential(
  (0): Sequential(
    (0): Conv2d(1, 8, kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))
    (1): ReLU(inplace=True)
  )
  (1): Conv2d(8, 8, kernel_size=(3, 3), stride=(1, 1))
)
"""
CODE = """
nn.Sequential(
    nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),  # half the size
        nn.ReLU(inplace=True),
    ),
    nn.Conv2d(8, 8, 3),
)
"""
LINES = """
0.0: Conv2d(1, 8, 3, stride=2, padding=1)   # half the size
0.1: ReLU(inplace=True)
1: Conv2d(8, 8, 3)
"""


def test_the_three_forms_of_text_are_equivalent() -> None:
    printed, code, lines = map(ca.parse_network, (PRINTED, CODE, LINES))
    assert printed == lines == code
    assert not printed.remarks


def test_a_printed_module_parses_to_its_network(torch: ModuleType) -> None:
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding="same"), nn.BatchNorm2d(4), nn.LeakyReLU(0.2), nn.MaxPool2d(2),
        nn.Sequential(*[nn.Conv2d(4, 4, 3, padding=1) for _ in range(3)]),
        nn.Upsample(scale_factor=2.0, mode="bilinear"),
        nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(3)])[0], nn.Flatten(), nn.Linear(4 * 28 * 28, 10),
    )  # fmt: skip
    net = ca.parse_network(repr(model))
    assert net.output_shape((1, 28, 28)) == tuple(model(torch.zeros(1, 1, 28, 28)).shape[1:])
    assert net.parameter_count == sum(each.numel() for each in model.parameters())
    assert [node.name for node in net.nodes] == [
        name for name, module in model.named_modules() if not list(module.children())
    ]


def test_repeated_members_are_expanded(torch: ModuleType) -> None:
    blocks = torch.nn.ModuleList(torch.nn.Sequential(torch.nn.Conv2d(2, 2, 3), torch.nn.ReLU()) for _ in range(4))
    assert "4 x" in repr(blocks)
    net = ca.parse_network(repr(blocks))
    assert [node.name for node in net.nodes] == [f"{block}.{part}" for block in range(4) for part in range(2)]
    assert net.output_shape((2, 20, 20)) == (2, 12, 12)
    single = ca.parse_network(repr(torch.nn.ModuleList(torch.nn.Conv2d(2, 2, 3) for _ in range(3))))
    assert [node.name for node in single.nodes] == ["0", "1", "2"]


def test_unet_skips_have_equal_sizes_for_multiples_of_the_stride() -> None:
    net = ca.parse_network("""
        enc1: Conv2d(1, 8, 3, padding=1)
        pool1: MaxPool2d(2)
        enc2: Conv2d(8, 16, 3, padding=1)
        pool2: MaxPool2d(2)
        mid: Conv2d(16, 16, 3, padding=1)
        up2: ConvTranspose2d(16, 16, 2, stride=2)
        cat2: Concat()(up2, enc2)
        dec2: Conv2d(32, 8, 3, padding=1)
        up1: ConvTranspose2d(8, 8, 2, stride=2)
        cat1: Concat()(up1, enc1)
        dec1: Conv2d(16, 1, 3, padding=1)
    """)
    sizes = net.size_map(0)
    assert sizes.domain.words("H") == "H = 0 (mod 4), H >= 4"
    assert sizes.comes_back == sizes.domain
    assert [node for node, _ in net.sizes.bounds[0]][-1] in ("cat1", "cat2")
    assert net.output_shape((1, 28, 36)) == (1, 28, 36)
    with pytest.raises(
        ca.ShapeError, match=r"cat[12] \(line \d+, column 15\): .*the nearest input that works has H = 28 or 32"
    ):
        net.output_shape((1, 30, 32))


def test_a_flatten_ties_the_axes_together() -> None:
    net = ca.parse_network("Conv2d(1, 8, 3); Flatten(); Linear(5408, 10)")
    sizes = net.size_map(0)
    assert (sizes.minimum, sizes.domain.words("H"), sizes.ends_at) == (28, "H = 28", "1")
    assert net.size_map(0, (1, 28, 15)).domain.words("H") == "H = 54"
    assert [(tie.node, tie.value, tie.excluded, len(tie.factors)) for tie in net.sizes.ties] == [("2", 5408, False, 3)]
    assert net.output_shape((1, 54, 15)) == (10,)
    with pytest.raises(ca.ShapeError, match=r"2 .*Linear expects 5,408 features in the last axis, got 5,616"):
        net.output_shape((1, 29, 28))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: ReLU()(b); b: ReLU()(a)", "the layers form a cycle: a -> b -> a"),
        ("a: ReLU(); b: ReLU()(c)", r"b \(line 1, column 15\): its input 'c' is unknown"),
        ("a: ReLU(); a: ReLU()", "the name 'a' is used twice"),
        ("Conv2d(1, 8, 3)\nfoo(3)", "line 2, column 1: unknown layer 'foo'"),
        ("Conv2d(1, 8, 3)\n  Conv2d(8, 8, 3, strid=2)", "line 2, column 19: Conv2d has no parameter 'strid'"),
        ("Net(\n  (0): Conv2d(1, 8, 3)\n  (1): Conv2d(1, 8, 0)\n)", "line 3, column 8: kernel_size is 0"),
        ("Net(\n  (0): Conv2d(1, 8, 3)\n", r"'\)' is missing"),
        ("Net(\n  (0): Conv2d(1, 8, 3)\n)\n)", "line 4, column 1: this '\\)' has no matching"),
        ("Net(\n  (0): Conv2d(1, 8, 3)\n)\nNet(\n)", "line 4, column 1: the model ended before this line"),
        ("", "there is no layer in this text"),
        ("# nothing\n;;\n", "there is no layer in this text"),
        ("ReLU()(3 + 4)", "line 1, column 8: expected the name of a layer or 'input'"),
        ("a:", "does not contain a layer"),
    ],
)
def test_invalid_text_gives_a_one_line_error(text: str, message: str) -> None:
    with pytest.raises(ca.ConvarithError, match=message) as caught:
        ca.parse_network(text)
    assert "\n" not in str(caught.value)


def test_an_error_names_the_layer() -> None:
    net = ca.parse_network("Conv2d(1, 8, 3, stride=2)\nMaxPool2d(2)\nConv2d(8, 8, 5)")
    message = (
        r"2 \(line 3, column 1\): Conv2d\(8, 8, 5\) got 8x4x6: .*H of 4x6: the kernel spans 5 .*; "
        r"the nearest input that works has H = 21"
    )
    with pytest.raises(ca.ShapeError, match=message):
        net.output_shape((1, 18, 28))
    with pytest.raises(ca.ShapeError, match="the network takes 3 sizes, channels first, or 4 with a batch: got 2"):
        net.output_shape((28, 28))


def test_branches_of_different_sizes() -> None:
    net = ca.parse_network("a: Conv2d(1, 8, 3); b: Conv2d(1, 8, 5)(input); Add()(a, b)")
    assert not net.size_map(0).domain
    with pytest.raises(ca.ShapeError, match=r"cannot join 1x8x26x26 and 1x8x24x24: dim 2 differs \(26 and 24\)"):
        net.output_shape((1, 28, 28))


def test_ten_thousand_layers() -> None:
    net = ca.parse_network("\n".join(["Conv2d(1, 1, 3, padding=1)", "ReLU()"] * 5_000))
    assert net.output_shape((1, 64, 64)) == (1, 64, 64)
    assert net.size_map(0).formula("H") == "H"
    assert net.trace((1, 64, 64)).rows[-1].receptive_field == (10_001, 10_001)


def test_text_of_megabytes() -> None:
    inner = "\n".join(f"  ({number}): Conv2d(8, 8, kernel_size=(3, 3), padding=(1, 1))" for number in range(40_000))
    net = ca.parse_network(f"Sequential(\n{inner}\n)")
    assert len(net.nodes) == 40_000
    assert net.output_shape((8, 9, 9)) == (8, 9, 9)


def test_open_layers_and_dense_networks() -> None:
    dense = ca.parse_network("Flatten(); Linear(784, 5); ReLU(); Linear(5, 784); Unflatten(1, (1, 28, 28))")
    assert dense.output_shape((1, 28, 28)) == (1, 28, 28)
    assert dense.output_shape((128, 1, 28, 28)) == (128, 1, 28, 28)
    generator = ca.parse_network("Linear(100, 4096); Unflatten(1, (256, 4, 4)); ConvTranspose2d(256, 3, 4, 2, 1)")
    assert generator.output_shape((100,)) == (3, 8, 8)
    assert generator.output_shape((16, 100)) == (16, 3, 8, 8)


def test_a_layer_that_joins_two_inputs_wants_two() -> None:
    for text in ("MatchSize()", "Conv2d(1, 1, 3); MatchSize()"):
        with pytest.raises(ca.ShapeError, match="MatchSize takes two inputs"):
            ca.parse_network(text).size_map(0)


def test_the_nearest_input_is_named_for_the_axes_that_need_it() -> None:
    """Once no input passes the whole network, the nearest one that passes the failing node is named."""
    net = ca.parse_network("c: Conv2d(1, 1, 5); a: Conv2d(1, 1, 3)(c); b: Conv2d(1, 1, (3, 5))(c); d: Add()(a, b)")
    with pytest.raises(ca.ShapeError, match=r"; the nearest input that works has H = 5$"):
        net.output_shape((1, 3, 9))
    with pytest.raises(ca.ShapeError, match=r"^d .* got 1x4x4 and 1x4x2: .* differs \(4 and 2\)$"):
        net.output_shape((1, 10, 10))
    passed = ca.parse_network("Conv2d(1, 1, 3); MaxPool2d(4)")
    for shape, remedy in {(1, 2, 9): "H = 6", (1, 9, 3): "W = 6", (1, 2, 2): "H = 6, W = 6"}.items():
        with pytest.raises(ca.ShapeError, match=f"; the nearest input that works has {remedy}$"):
            passed.output_shape(shape)


def test_an_error_shows_the_batch_if_one_was_given() -> None:
    net = ca.Network.chain([ca.parse("Conv2d(1, 8, 3)"), ca.parse("Conv2d(8, 8, 5)")], ("a guess", "another"))
    for shape, shown in {(1, 9, 4): "8x7x2", (3, 1, 9, 4): "3x8x7x2"}.items():
        with pytest.raises(ca.ShapeError, match=rf"^1: Conv2d\(8, 8, 5\) got {shown}: .*W = 7 \(a guess; another\)$"):
            net.output_shape(shape)


def test_the_layers_tell_the_axes_of_the_input() -> None:
    texts: dict[str, int | None] = {
        "ReLU(); Conv2d(1, 1, 3); Flatten(); Linear(4, 1)": 2, "Flatten(); Linear(4, 1)": None, "Linear(4, 1)": 0,
        "MaxPool(kernel_size=2); Conv3d(1, 1, 1)": 3, "ReLU()": None,
    }  # fmt: skip
    assert {text: ca.parse_network(text).ndim for text in texts} == texts
    assert ca.parse_network("Linear(4, 1)").batched((4,)) is False
    assert ca.parse_network("Linear(4, 1)").batched((3, 4)) is True
    assert ca.parse_network("Conv2d(1, 1, 3)").batched((1, 5, 5)) is False
    assert ca.parse_network("Conv2d(1, 1, 3)").batched((1, 1, 5, 5)) is True
    assert ca.parse_network("ReLU(); MaxPool(kernel_size=2)").batched((1, 1, 5)) is True
    assert ca.parse_network("Flatten(); ReLU()").batched((1, 1, 5)) is None
    for shape in ((5, 5), (1, 1, 1, 5, 5)):
        with pytest.raises(ca.ShapeError, match=f"the network takes 3 sizes, .*: got {len(shape)}, "):
            ca.parse_network("Conv2d(1, 1, 3)").batched(shape)


def test_shapes_have_a_batch_if_the_input_has_one() -> None:
    conv = ca.parse_network("Conv2d(1, 2, 3); MaxPool2d(2)")
    assert conv.shapes((1, 8, 9)) == {"0": (2, 6, 7), "1": (2, 3, 3)}
    assert conv.shapes((4, 1, 8, 9)) == {"0": (4, 2, 6, 7), "1": (4, 2, 3, 3)}
    assert conv.output_shape((1, 8, 9)) == (2, 3, 3)
    dense = ca.parse_network("Flatten(); Linear(6, 2)")
    assert dense.shapes((2, 3)) == {"0": (6,), "1": (2,)}
    assert dense.shapes((6, 1)) == {"0": (6,), "1": (2,)}
    assert dense.shapes((5, 2, 3)) == {"0": (5, 6), "1": (5, 2)}
    assert dense.output_shape((5, 2, 3)) == (5, 2)
    assert dense.shapes((1, 6), batched=True) == {"0": (1, 6), "1": (1, 2)}
    with pytest.raises(ca.ShapeError, match=r"1 .* got 7: "):
        dense.shapes((1, 7), batched=False)
    with pytest.raises(ca.ShapeError, match=r"1 .* got 14: "):  # what it says without a batch, if neither works
        dense.shapes((2, 7))
    pool = ca.parse_network("MaxPool(kernel_size=2)")
    assert pool.shapes((1, 3, 8)) == {"0": (1, 3, 4)}
    assert ca.parse_network("Linear(4, 1)").shapes((3, 5, 4)) == {"0": (3, 5, 1)}


def test_nodes_keep_their_order_if_it_works() -> None:
    nodes = [("a", "input"), ("b", "a"), ("c", "input"), ("d", "c")]
    relu = ca.parse("ReLU()")
    given = tuple(Node(name, relu, (before,)) for name, before in nodes)
    assert ca.Network(given).nodes == given
    names = [node.name for node in ca.Network(given[::-1]).nodes]
    assert names.index("a") < names.index("b")
    assert names.index("c") < names.index("d")
    assert sorted(names) == ["a", "b", "c", "d"]
    chain = ca.Network.chain([relu, relu, relu])
    assert [(node.name, node.inputs) for node in chain.nodes] == [("0", ("input",)), ("1", ("0",)), ("2", ("1",))]
    assert chain.is_chain
    assert not ca.Network(given).is_chain
    assert ca.Network(given[:2]).is_chain
    assert ca.Network.chain([relu], ("guessed",)) == ca.Network.chain([relu])
    with pytest.raises(ca.ParameterError, match=r"^a: it has no input$"):
        ca.Network((Node("a", relu, ()),))
    with pytest.raises(ca.ParameterError, match=r"^input: the name 'input' is used twice$"):
        ca.Network((Node("input", relu),))


def test_a_name_that_is_not_a_word_is_quoted_in_the_text() -> None:
    net = ca.parse_network("a.b: ReLU(); c: ReLU(); 3: Add()(a.b, c, input); d: ReLU()(3)")
    assert str(net) == "a.b: ReLU()\nc: ReLU()\n3: Add()('a.b', c, input)\nd: ReLU()"
    assert ca.parse_network(str(net)) == net


def test_a_size_map_has_one_axis_of_the_network() -> None:
    flat = ca.parse_network("Conv2d(1, 1, 3); Upsample(size=(5, 7)); Flatten(); Linear(35, 2)")
    for axis, size in {0: 5, 1: 7, -1: 7, -2: 5}.items():
        sizes = flat.size_map(axis)
        assert [sizes(each) for each in (2, 3, 4, 99)] == [None, size, size, size]
        assert (sizes.minimum, sizes.ends_at) == (3, "2")
    for axis in (2, -3):
        with pytest.raises(ca.ShapeError, match=f"^the network has 2 spatial axes: there is no axis {axis}$"):
            flat.size_map(axis)
    for axis in (0, -1):
        with pytest.raises(ca.ShapeError, match=f"^the network has 0 spatial axes: there is no axis {axis}$"):
            ca.parse_network("Linear(3, 4)").size_map(axis)
    with pytest.raises(ca.ShapeError, match=r"^the network has 1 spatial axis: there is no axis 1$"):
        ca.parse_network("Conv1d(1, 1, 3)").size_map(1)
    assert ca.parse_network("MaxPool(kernel_size=2)").size_map(7)(9) == 4


def test_a_size_map_ends_where_its_axis_ends() -> None:
    swapped = ca.parse_network("Conv2d(1, 1, (3, 5)); Permute((0, 1, 3, 2)); ReLU()")
    assert [(swapped.size_map(axis)(9), swapped.size_map(axis).ends_at) for axis in (0, 1)] == [(7, "1"), (5, "1")]
    assert ca.parse_network("ReLU(); MaxPool2d(2); ReLU()").size_map(1).ends_at is None
    hidden = ca.parse_network("Flatten(); Linear(784, 5)").size_map()
    assert (hidden.ends_at, hidden(9), hidden.formula()) == ("0", 9, "i")


def test_a_size_that_is_a_number_does_not_depend_on_the_input() -> None:
    net = ca.parse_network("Conv1d(1, 1, 3); Flatten(); Unflatten(1, (2, 4)); Conv1d(2, 1, 2); Flatten()")
    sizes = net.size_map(0)
    assert (sizes.domain.words("L"), sizes(10), sizes.inputs_for(3).words("L")) == ("L = 10", 3, "L = 10")
    assert (sizes.formula(), sizes.ends_at) == ("3", "4")


def test_sizes_can_stop_at_a_node() -> None:
    net = ca.parse_network("a: Linear(4, 8); b: Unflatten(1, (2, 4)); c: Conv1d(2, 1, 5); d: ReLU()")
    assert list(OpenSizes(net, until="a").shapes) == ["input", "a"]
    assert list(OpenSizes(net, until="b").shapes) == ["input", "a", "b"]
    assert list(OpenSizes(net, until="c").shapes) == ["input", "a", "b"]  # c accepts no size of its input
    with pytest.raises(ca.ShapeError, match=r"^c \(line 1, column 46\): Conv1d\(2, 1, 5\): the size here is 4, "):
        OpenSizes(net, until="d")
    with pytest.raises(ca.ShapeError, match=r"^c .* got 2x4: .* or kernel_size <= 4$"):
        net.output_shape((4,))
    stuck = ca.parse_network("a: Conv1d(1, 1, 3); Flatten(); b: Unflatten(1, (2, 4)); c: Conv1d(2, 1, 5)")
    with pytest.raises(ca.ShapeError, match=r"^a .* got 1x2: .* or kernel_size <= 2$"):  # no input works
        stuck.output_shape((1, 2))


def test_networks_are_values() -> None:
    one, same = (ca.parse_network(text) for text in ("a: ReLU(); Conv1d(1, 1, 3)", "a: ReLU()\n\n Conv1d(1, 1, 3)"))
    assert {one: 1, same: 2} == {one: 2}
    assert {one.nodes[0]: 1, same.nodes[0]: 2} == {one.nodes[0]: 2}
    assert one != ca.parse_network("b: ReLU(); Conv1d(1, 1, 3)")


def test_axes_that_nothing_tells_apart_are_one() -> None:
    net = ca.parse_network("ReLU(); MaxPool(kernel_size=2)")
    assert [domain.words("L") for domain in net.sizes.domains] == ["every L >= 2"]
    assert [[name for name, _ in bounds] for bounds in net.sizes.bounds] == [["1"]]


def test_a_message_shows_one_input_without_a_batch_as_a_batch_of_one() -> None:
    net = ca.parse_network("a: Flatten(); b: ReLU()(input); c: Concat()(a, b)")
    with pytest.raises(
        ca.ShapeError, match=r"^c \(.*\): Concat\(\) got 24 and 2x3x4: Concat cannot join 1x24 and 1x2x3x4"
    ):
        net.output_shape((2, 3, 4))


def test_a_cycle_is_told_from_a_layer_on_with_its_place() -> None:
    for text in ("a: ReLU()(c); b: ReLU()(a); c: ReLU()(b)", "x: ReLU(); b: ReLU()(c); c: Add()(b, x); d: ReLU()"):
        with pytest.raises(ca.ParameterError, match="the layers form a cycle: ") as caught:
            ca.parse_network(text)
        place, cycle = str(caught.value).split(": the layers form a cycle: ")
        names = cycle.split(" -> ")
        assert names[0] == names[-1]
        assert place == f"{names[0]} (line 1, column {text.index(names[0] + ': ') + 4})"
        reads = {"a": "c", "b": "a", "c": "b"} if text.startswith("a") else {"b": "c", "c": "b"}
        assert all(reads[layer] == read for layer, read in pairwise(names))
        assert len(names) == len(reads) + 1
