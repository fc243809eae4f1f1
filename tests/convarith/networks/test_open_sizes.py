"""Which input sizes a network accepts, found with symbolic sizes, against trying every size.

- For every layer that has an open shape, the domain is the set of the sizes that output_shape accepts.
- With a Flatten, the other axes have the sizes that were given, or are equal to the axis that is asked about.
- A network that accepts no size says so, or why.
"""

from __future__ import annotations

from itertools import product as pairs_of

import pytest

import convarith as ca
from convarith.layers.recorded import Recorded
from convarith.sizes.letters import AxisSize, Limits, Product, Unknown, product
from convarith.sizes.rules import FloorRule, ScaleRule
from convarith.sizes.sets import EVERY, SizeRange, SizeSet

PAIRS = [*((size, size) for size in range(1, 20)), *pairs_of((1, 6, 7, 9, 12), (2, 4, 8, 9, 12, 13))]


def accepts(net: ca.Network, shape: tuple[int, ...]) -> bool:
    try:
        net.output_shape(shape)
    except ca.ShapeError:
        return False
    return True


TEXTS = [
    (1, "Conv2d(1, 2, 3); Flatten(); Linear(50, 3)"),
    (1, "Conv2d(1, 1, 1); MaxPool2d(2); Flatten(); Linear(48, 3)"),
    (1, "Conv2d(1, 4, 2, stride=2); Flatten(2); Linear(36, 3)"),
    (1, "Conv2d(1, 4, 2, stride=2); Flatten(2); Linear(6, 3)"),
    (1, "Conv2d(1, 1, 1); Flatten(); Linear(49, 6); Unflatten(1, (2, 3))"),
    (3, "Flatten(0, 1); ReLU()"),
    (2, "Conv2d(2, 2, 1); Flatten(2); Unflatten(2, (6, 6))"),
    (2, "Conv2d(2, 2, 1); Flatten(1, 2); Unflatten(1, (2, 6))"),
    (4, "Conv2d(4, 4, 1); Unflatten(1, (2, 2)); ReLU()"),
    (2, "Conv2d(2, 2, 1); Flatten(1, 2); Linear(9, 3)"),
    (2, "Conv2d(2, 2, 1); Flatten(0, 1); Linear(9, 3)"),
    (4, "GLU(1); Conv2d(2, 3, 3)"),
    (4, "GLU(2); Conv2d(4, 3, 3)"),
    (4, "GLU(); Conv2d(4, 3, 3)"),
    (4, "Narrow(1, 2); Conv2d(2, 3, 3, stride=2)"),
    (4, "Permute((0, 1, 3, 2)); MaxPool2d((2, 3)); PixelUnshuffle(2)"),
    (4, "Permute((0, 2, 3, 1)); Linear(4, 6); LayerNorm(6)"),
    (4, "Conv2d(4, 4, 1); LayerNorm((7, 9))"),
    (4, "Conv2d(4, 4, 1); LayerNorm(9)"),
    (4, "Conv2d(4, 4, 1); LayerNorm((4, 7, 9))"),
    (4, "RMSNorm((4, 12, 12))"),
    (4, "InstanceNorm2d(4)"),
    (4, "Conv2d(4, 2, 3, stride=2); InstanceNorm2d(2)"),
    (4, "InstanceNorm2d(4, track_running_stats=True)"),
    (4, "BatchNorm2d(4); GroupNorm(2, 4); PReLU(4); ChannelShuffle(2)"),
    (4, "Conv2d(4, 4, 1); Linear(9, 5); MaxPool2d(3)"),
    (4, "Conv2d(4, 4, 1); Linear(9, 5); Linear(5, 9); AvgPool2d(2)"),
    (4, "MaxPool2d(2); BatchNorm2d(4)"),
    (4, "PixelShuffle(2); Conv2d(1, 1, 5)"),
    (4, "PixelUnshuffle(3); PixelUnshuffle(2)"),
    (1, "Unfold(3); Fold((6, 6), 3)"),
    (1, "Unfold(2, stride=2); Fold((8, 8), 2, stride=2); MaxPool2d(3)"),
    (4, "AdaptiveAvgPool2d(3); Flatten(); Linear(36, 2)"),
    (4, "AdaptiveMaxPool2d((None, 3)); MaxPool2d(3)"),
    (4, "FractionalMaxPool2d(3, output_size=4); Conv2d(4, 1, 3)"),
    (4, "FractionalMaxPool2d(2, output_ratio=0.7); MaxPool2d(2)"),
    (4, "Upsample(scale_factor=1.7); PixelUnshuffle(2)"),
    (4, "Upsample(size=7); Conv2d(4, 1, 7)"),
    (4, "Upsample(scale_factor=0.3); MaxPool2d(2)"),
    (4, "ZeroInsert2d(3); ReflectionPad2d((1, 2, 3, 4)); CircularPad2d(5)"),
    (4, "MaxUnpool2d(2, padding=1); Crop2d(3)"),
    (4, "a: MaxPool2d(2); b: ConvTranspose2d(4, 4, 2, stride=2); Add()(b, input)"),
    (4, "a: MaxPool2d(2); b: ConvTranspose2d(4, 2, 2, stride=2); Concat()(b, input)"),
    (4, "a: MaxPool2d(2); b: ConvTranspose2d(4, 4, 2, stride=2); Concat(dim=2)(b, input)"),
    (4, "a: MaxPool2d(2); b: ConvTranspose2d(4, 4, 2, stride=2); Concat(dim=-1)(b, input)"),
    (4, "a: AdaptiveAvgPool2d(1); Multiply()(a, input)"),
    (4, "a: AdaptiveAvgPool2d((None, 1)); b: MaxPool2d((1, 2)); Add()(a, b)"),
    (4, "a: Conv2d(4, 1, 3); b: Conv2d(4, 4, 3, stride=2); Add()(a, b)"),
    (4, "a: AdaptiveAvgPool2d(6); b: MaxPool2d(3); Add()(a, b)"),
    (4, "a: AdaptiveAvgPool2d(6); b: MaxPool2d(3); Concat()(b, a)"),
    (4, "a: MaxPool2d(2); b: ConvTranspose2d(4, 4, 2, stride=2); c: MatchSize()(b, input); Concat()(c, input)"),
    (1, "Conv2d(1, 1, 1); Flatten(2); LayerNorm(36)"),
    (1, "Conv2d(1, 1, 1); Permute((0, 2, 1, 3)); Flatten(2); Linear(12, 3)"),
    (1, "Identity(); Dropout(0.3); Softmax(1); Softmax2d()"),
]


@pytest.mark.parametrize(("channels", "text"), TEXTS)
def test_the_domains_have_the_sizes_that_the_network_accepts(channels: int, text: str) -> None:
    net = ca.parse_network(text)
    for height, width in PAIRS:
        shape = (channels, height, width)
        try:
            found = height in net.size_map(0, shape).domain and width in net.size_map(1, shape).domain
        except ca.ShapeError:
            found = False
        assert found == accepts(net, shape), shape


def test_without_other_sizes_all_axes_are_equal() -> None:
    for channels, text in TEXTS[:6]:
        net = ca.parse_network(text)
        scanned = [size for size in range(1, 30) if accepts(net, (channels, size, size))]
        domain = net.size_map(0).domain & net.size_map(1).domain
        assert [size for size in range(1, 30) if size in domain] == scanned, text


# Limits --------------------------------------------------------------------------------------------------------------


def halved(axis: int = 0) -> AxisSize:
    return AxisSize(axis, (FloorRule(step=2, minimum=0),))


def test_a_rule_narrows_the_domain_of_its_axis_alone() -> None:
    limits = Limits(2)
    limits.node = "pool"
    rule = FloorRule(step=2, minimum=3, maximum=20, multiple_of=2)
    assert limits.apply(rule, AxisSize(1)) == AxisSize(1, (FloorRule(step=2),))
    assert limits.domains == [EVERY, SizeSet([SizeRange(4, 20, 2)])]
    assert limits.bounds == [[], [("pool", SizeSet([SizeRange(4, 20, 2)]))]]
    limits.apply(FloorRule(minimum=1), halved(1))
    assert len(limits.bounds[1]) == 1
    limits.apply(FloorRule(minimum=5), halved(1))
    assert limits.domains[1] == SizeSet([SizeRange(10, 20, 2)])
    limits.apply(FloorRule(minimum=5, maximum=4), AxisSize(0))
    assert not limits.domains[0]


def test_a_rule_of_a_factor_has_no_step() -> None:
    limits = Limits(1)
    limits.apply(ScaleRule(1.7, 3), AxisSize(0))
    assert limits.domains == [SizeSet([SizeRange(3, None)])]


def test_a_known_size_is_followed_or_refused() -> None:
    limits = Limits(1)
    assert limits.apply(FloorRule(step=2, minimum=2), 5) == 2
    with pytest.raises(ca.ShapeError, match="the size here is 1, which the layer does not accept"):
        limits.apply(FloorRule(step=2, minimum=2), 1)
    assert isinstance(limits.apply(FloorRule(), Unknown()), Unknown)
    assert isinstance(limits.apply(FloorRule(), Product((2, AxisSize(0)))), Unknown)


def test_equal_sizes() -> None:
    limits, free = Limits(2), Unknown()
    assert [limits.equal(*sizes, spreads=True) for sizes in ((3, 3), (1, 3), (3, 1), (1, 1))] == [3, 3, 3, 1]
    assert limits.equal(3, 3, spreads=False) == 3
    for sizes, spreads in (((2, 3), True), ((1, 3), False)):
        with pytest.raises(ca.ShapeError, match=f"the sizes {sizes[0]} and 3 are never equal"):
            limits.equal(*sizes, spreads)
    assert limits.equal(1, AxisSize(0), spreads=True) == AxisSize(0) == limits.equal(AxisSize(0), 1, spreads=True)
    assert limits.domains == [EVERY, EVERY]
    assert limits.equal(AxisSize(0), free, spreads=False) == AxisSize(0) == limits.equal(free, AxisSize(0), False)
    assert limits.equal(4, free, spreads=False) == 4 == limits.equal(free, 4, spreads=False)
    assert limits.equal(AxisSize(0), AxisSize(1), spreads=False) == AxisSize(0)
    assert limits.equal(halved(), 3, spreads=True) == 3
    assert limits.domains == [SizeSet([SizeRange(6, 7)]), EVERY]
    assert limits.equal(4, halved(1), spreads=False) == 4
    assert limits.domains[1] == SizeSet([SizeRange(8, 9)])
    limits = Limits(1)
    assert limits.equal(1, AxisSize(0), spreads=False) == 1
    assert limits.domains == [SizeSet([SizeRange(1, 1)])]
    limits = Limits(1)
    doubled = AxisSize(0, (FloorRule(step=2), FloorRule(rise=2)))
    assert limits.equal(doubled, AxisSize(0), spreads=True) == AxisSize(0) == limits.equal(AxisSize(0), doubled, True)
    assert limits.domains == [SizeSet([SizeRange(0, None, 2)])]


def test_a_size_that_must_have_one_value() -> None:
    limits = Limits(2)
    limits.must_be(5, 5)
    limits.must_be(Unknown(), 5)
    limits.must_be(Product((2, Unknown())), 5)
    with pytest.raises(ca.ShapeError, match="it expects 1 feature, got 5"):
        limits.must_be(5, 1)
    assert (limits.domains, limits.ties) == ([EVERY, EVERY], [])
    limits.must_be(halved(), 5)
    assert limits.domains == [SizeSet([SizeRange(10, 11)]), EVERY]
    limits.must_be(Product((2, AxisSize(0), AxisSize(1))), 60)
    assert [(tie.value, tie.excluded) for tie in limits.ties] == [(60, False)]
    assert limits.domain(1, (10, 8)) == SizeSet([SizeRange(3, 3)])
    assert limits.domain(0, (10, 3)) == SizeSet([SizeRange(10, 10)])
    assert not limits.domain(1, (11, 8))
    assert not limits.domain(1, (0, 8))


def test_a_product_that_must_not_have_one_value() -> None:
    limits = Limits(1)
    with pytest.raises(ca.ShapeError, match="too few"):
        limits.must_not_be(1, 1, "too few")
    limits.must_not_be(2, 1, "too few")
    limits.must_not_be(Unknown(), 1, "too few")
    assert limits.ties == []
    limits.must_not_be(Product((1, halved(), halved())), 1, "too few")
    assert [(tie.value, tie.excluded) for tie in limits.ties] == [(1, True)]
    assert limits.domain(0, None) == SizeSet([SizeRange(0, 1), SizeRange(4, None)])
    limits = Limits(1)
    limits.must_not_be(Product((1, AxisSize(0))), 0, "none")
    assert limits.domain(0, None) == SizeSet([SizeRange(1, None)])
    limits = Limits(1)
    limits.must_not_be(Product((1, AxisSize(0, (FloorRule(rise=0, offset=2),)))), 2, "two")
    assert not limits.domain(0, None)


def test_a_product_of_sizes() -> None:
    free = Unknown()
    assert product(()) == 1
    assert product((2, 3, 4)) == 24
    assert product((2, AxisSize(0), 3)) == Product((6, AxisSize(0)))
    assert product((Product((2, AxisSize(0))), 3, AxisSize(1))) == Product((6, AxisSize(0), AxisSize(1)))
    assert isinstance(product((2, free)), Unknown)
    assert isinstance(product((Product((2, free)), 3)), Unknown)


def test_a_known_axis_is_split_into_known_sizes() -> None:
    free, size = Unknown(), AxisSize(0)
    for text, before, after in (
        ("Unflatten(1, (2, -1))", (free, 6, size), (free, 2, 3, size)),
        ("Unflatten(-1, (2, 2))", (free, size, 4), (free, size, 2, 2)),
        ("Flatten(1, 2)", (free, 6, 2, size), (free, 12, size)),
        ("Narrow(1, 2)", (free, 6, size), (free, 2, size)),
        ("GLU(1)", (free, 6, size), (free, 3, size)),
        ("Linear(None, 5)", (free, 6, size), (free, 6, 5)),
        ("Permute((0, 2, 1))", (free, 6, size), (free, size, 6)),
    ):
        assert ca.parse(text).open_shape([before], Limits(1)) == after


def test_a_recorded_layer_has_unknown_sizes() -> None:
    layer = Recorded(operation="fft", recorded_inputs=((2, 1, 100), (2, 3)), recorded_output=(2, 1, 51), parameters=7)
    assert layer.parameter_count == 7
    assert (layer.name, str(layer)) == ("fft", "fft(...)")
    shape = layer.open_shape([(Unknown(), 1, AxisSize(0))], Limits(1))
    assert len(shape) == 3
    assert all(isinstance(size, Unknown) for size in shape)
    assert layer.output_shape((2, 1, 100), (2, 3)) == (2, 1, 51)
    assert layer.output_shape((5, 1, 100), (5, 3)) == (5, 1, 51)
    for shapes in (((2, 1, 99), (2, 3)), ((2, 1, 100),), ((2, 1, 100), (2, 4))):
        with pytest.raises(ca.ShapeError, match="known only for the recorded input 2x1x100 and 2x3"):
            layer.output_shape(*shapes)
    with pytest.raises(ca.ParameterError, match="only its shapes are known"):
        layer.torch_calls()
    summed = Recorded(operation="sum", recorded_inputs=((2, 1, 4),), recorded_output=(1, 4))
    assert summed.parameter_count == 0
    assert summed.output_shape((2, 1, 4)) == (1, 4)
    with pytest.raises(ca.ShapeError, match="known only for the recorded batch of 2"):
        summed.output_shape((3, 1, 4))
    constant = Recorded(operation="zeros", recorded_inputs=(), recorded_output=(1, 4))
    assert constant.output_shape() == (1, 4)
