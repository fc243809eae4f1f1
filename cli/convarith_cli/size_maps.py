"""The closed form of a network: its output size for every input size, as text and as data."""

from __future__ import annotations

from typing import Any

from convarith.layers.base import SpatialLayer, axis_names
from convarith.networks.network import Network
from convarith.sizes.size_map import SEARCH_LIMIT, SizeMap
from convarith_cli.answer import Block, Facts
from convarith_cli.conditions import condition


def size_maps(network: Network, shape: tuple[int, ...] | None) -> list[tuple[str, SizeMap]]:
    """The size map of every axis, with the letter of the axis; empty for a network without spatial axes."""
    if network.ndim == 0:
        return []
    if network.ndim is None:
        first = next((node.layer for node in network.nodes if not node.layer.keeps_positions), None)
        hidden = first is None or (first.hides_axes and not isinstance(first, SpatialLayer))
        return [] if hidden else [("i", network.size_map(0))]
    fixed = shape if shape is not None and len(shape) > network.ndim else None
    return [(name, network.size_map(axis, fixed)) for axis, name in enumerate(axis_names(network.ndim))]


def describe(network: Network, maps: list[tuple[str, SizeMap]]) -> list[Block]:
    """The closed form of every axis; an axis that equals an earlier one refers to it."""
    blocks: list[Block] = []
    told: dict[object, str] = {}
    for axis, (name, sizes) in enumerate(maps):
        alike = (sizes.pieces, sizes.domain.words("i"), sizes.ends_at)
        if alike in told:
            blocks.append(Facts([(f"size of {name}", f"same as {told[alike]}")]))
            continue
        told[alike] = name
        facts = [(f"size of {name}", sizes.formula(name))]
        if sizes.ends_at is not None:
            facts.append(("ends at", f"{sizes.ends_at}: after it the output has no {name}"))
        facts.append(("accepts", sizes.domain.words(name) + _reason(network, axis, sizes)))
        if sizes.ends_at is None:
            facts.append(("unchanged", _unchanged(name, sizes)))
        blocks.append(Facts(facts))
    return blocks


def data_of(maps: list[tuple[str, SizeMap]]) -> dict[str, Any]:
    """The keys `size_map` and `comes_back` of a document."""
    unchanged = [None if sizes.ends_at is not None else sizes.comes_back for _, sizes in maps]
    return {
        "size_map": [
            {
                "axis": name,
                "formula": sizes.formula(name),
                "period": sizes.period,
                "rise": sizes.cycle[1] if sizes.cycle else None,
                "minimum": sizes.minimum,
                "accepts": sizes.domain.words(name),
                "accepts_condition": condition(sizes.domain),
                "ends_at": sizes.ends_at,
            }
            for name, sizes in maps
        ],
        "comes_back": [
            None if sizes is None else sizes.words(name) for (name, _), sizes in zip(maps, unchanged, strict=True)
        ],
        "comes_back_condition": [None if sizes is None else condition(sizes) for sizes in unchanged],
    }


def _reason(network: Network, axis: int, sizes: SizeMap) -> str:
    """The node that decides which inputs the network accepts."""
    ties, bounds = network.sizes.ties, network.sizes.bounds[axis]
    if ties and sizes.domain != network.sizes.domains[axis]:
        others = " if all axes are equal" if network.sizes.ndim > 1 else ""
        return f" (required by {ties[-1].node}{others})"
    return f" (required by {bounds[-1][0]})" if bounds else ""


def _unchanged(name: str, sizes: SizeMap) -> str:
    """For which input sizes the output has the same size."""
    if not sizes.comes_back:
        text = "never"
    elif sizes.comes_back == sizes.domain:
        text = "every accepted size"
    else:
        text = f"if {sizes.comes_back.words(name)}"
    if sizes.exact:
        return text
    return f"{text} (checked up to {SEARCH_LIMIT:,}: the scale factor has no closed form)"
