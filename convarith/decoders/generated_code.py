"""A decoder as Python code that needs only torch: a class Decoder and, on request, Encoder and Autoencoder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from textwrap import indent
from typing import TYPE_CHECKING

from convarith.decoders.encoder_stages import settled, used
from convarith.decoders.inverses import plain_unpool
from convarith.errors import ParameterError
from convarith.layers.base import Layer
from convarith.layers.convolution import Conv
from convarith.layers.elementwise import Elementwise
from convarith.layers.resampling import PixelShuffle
from convarith.networks.network import INPUT, Node
from convarith.sizes.letters import AxisSize
from convarith.sizes.rules import AxisRule, FloorRule, with_constant

if TYPE_CHECKING:
    from convarith.decoders.decoder import Decoder
    from convarith.decoders.plan import Step

LETTERS = {1: ("length",), 2: ("h", "w"), 3: ("d", "h", "w")}

CROP = '''
def crop(x: Tensor, *size: int) -> Tensor:
    """Crop the end of every spatial axis to the given size."""
    for axis, length in enumerate(size, start=2):
        x = x.narrow(axis, 0, length)
    return x
'''
UNPOOL = '''
def unpool(x: Tensor, indices: Tensor, size: Sequence[int]) -> Tensor:
    """Put each value where the maximum of its window was; where windows overlap, values are added."""
    flat = x.new_zeros(*x.shape[:2], prod(size))
    return flat.scatter_add(2, indices.flatten(2), x.flatten(2)).view(*x.shape[:2], *size)
'''
ICNR = '''
def icnr_(layers: nn.Sequential) -> None:
    """Initialise all sub-pixels of a pixel equally (arXiv 1707.02937): no checkerboard at the start of training."""
    children = list(layers)
    for conv, shuffle in zip(children, children[1:]):
        if isinstance(conv, nn.Conv2d) and isinstance(shuffle, nn.PixelShuffle):
            times = shuffle.upscale_factor**2
            with torch.no_grad():
                conv.weight.copy_(conv.weight[::times].repeat_interleave(times, dim=0))
                if conv.bias is not None:
                    conv.bias.copy_(conv.bias[::times].repeat_interleave(times))
'''
HELPERS = {
    "crop": (CROP, {"Tensor"}),
    "unpool": (UNPOOL, {"Tensor", "Sequence", "prod"}),
    "icnr_": (ICNR, {"torch"}),
}
"""Functions in generated code: their source, and the names that it imports."""


@dataclass
class Needs:
    """What generated code must define or import in addition to its classes.

    Attributes:
        helpers: functions and modules by name, with their source.
        imports: those of the names 'Sequence', 'prod', 'torch', 'F' and 'Tensor' that are used.
    """

    helpers: dict[str, str] = field(default_factory=dict)
    imports: set[str] = field(default_factory=set)

    def helper(self, name: str) -> None:
        """Add one of the functions above, with its imports."""
        self.helpers[name], imports = HELPERS[name]
        self.imports |= imports

    def layer(self, layer: Layer) -> None:
        """Add the module of a layer that torch.nn does not have."""
        if layer.torch_module:
            self.helpers[layer.torch_name] = layer.torch_module
            self.imports.add("Tensor")

    @property
    def text(self) -> str:
        """The import statements."""
        standard = {"Sequence": "from collections.abc import Sequence", "prod": "from math import prod"}
        torch = {"torch": "import torch", "F": "import torch.nn.functional as F"}
        first = [line for name, line in standard.items() if name in self.imports]
        second = [line for name, line in torch.items() if name in self.imports]
        second.append(f"from torch import {'Tensor, ' if 'Tensor' in self.imports else ''}nn")
        return "\n\n".join("\n".join(lines) for lines in (first, second) if lines) + "\n"


@dataclass
class Body:
    """A module under construction: blocks of layers, and the statements of its forward method."""

    needs: Needs
    blocks: list[list[str]] = field(default_factory=list)
    shuffled: list[bool] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    is_open: bool = False

    def add(self, lines: list[str], source: str = "x", target: str = "x", shuffles: bool = False) -> None:
        """Append layers: to the previous block if they alone read it, otherwise as a new block."""
        if not (self.is_open and source == "x"):
            self.statements.append(f"{target} = self.block{len(self.blocks)}({source})")
            self.blocks.append([])
            self.shuffled.append(False)
        elif target != "x":
            self.statements[-1] = self.statements[-1].replace("x = ", f"{target} = ", 1)
        self.blocks[-1] += lines
        self.shuffled[-1] |= shuffles
        self.is_open = target == "x"

    def say(self, statement: str, *imports: str) -> None:
        """Append a single statement, with the names that it needs imported."""
        self.statements.append(statement)
        self.needs.imports.update(imports)
        self.is_open = False

    @property
    def plain(self) -> bool:
        """Whether it is a single block and nothing else."""
        return self.statements == ["x = self.block0(x)"]


def module_code(decoder: Decoder, autoencoder: bool) -> str:
    """The code of a decoder; see `Decoder.code`."""
    shape = _times(decoder.input_shape)
    needs = Needs()
    inside = _decoder_body(decoder, needs)
    pools = [step for step in reversed(decoder.steps) if step.way.fit == "unpool"]
    maps = [step for step in reversed(decoder.steps) if step.skip is not None]
    follows = not decoder.stands_alone
    arguments = ["latent: Tensor"]
    arguments += ["size: Sequence[int]"] if follows else []
    arguments += ["indices: Sequence[Tensor]"] if pools else []
    arguments += ["maps: Sequence[Tensor]"] if maps else []
    if len(arguments) > 1:
        needs.imports |= {"Sequence", "Tensor"}
    what = f"From {_times(decoder.latent_shape)} to {shape}"
    whole = bool(autoencoder or pools or maps)
    classes = [_encoder_class(decoder, pools, maps, needs)] if whole else []
    classes.append(_class("Decoder", what + _more(decoder), inside, arguments, _letters(decoder) if follows else ""))
    if whole:
        needs.imports.add("Tensor")
        classes.append(_autoencoder_class(follows, bool(pools), bool(maps)))
    functions = [needs.helpers[name] for name in HELPERS if name in needs.helpers]
    modules = [source for name, source in needs.helpers.items() if name not in HELPERS]
    text = "\n\n\n".join(piece.strip() for piece in (*functions, *modules, *classes))
    what, which = ("Autoencoder", "The decoder") if whole else ("Decoder for an encoder", "It")
    title = f"{what} with input shape {shape}. {which} restores every intermediate shape."
    return f'"""{title}"""\n\n{needs.text}\n\n{text}\n'


def _more(decoder: Decoder) -> str:
    if decoder.stands_alone:
        return ""
    return "; `size` is the input size of the encoder, which is restored"


def _times(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _letters(decoder: Decoder) -> str:
    names = LETTERS[len(decoder.input_shape) - 1]
    return f"{', '.join(names)} = size" if len(names) > 1 else f"({names[0]},) = size"


# Layers as text ------------------------------------------------------------------------------------------------------


def _lines(layer: Layer, shape: tuple[int, ...], needs: Needs) -> list[str]:
    """The calls that build a layer, with its output shape as a comment after the last."""
    *first, last = _calls(layer, needs)
    return [*(f"{call}," for call in first), f"{last},  # {_times(shape)}"]


def _calls(layer: Layer, needs: Needs) -> list[str]:
    needs.layer(layer)
    try:
        return list(layer.torch_calls())
    except ParameterError as error:
        raise ParameterError(
            f"the encoder cannot be written as code: {error}; leave out autoencoder, skips and upsample='unpool'"
        ) from None


def _python(rules: tuple[AxisRule, ...], variable: str) -> str:
    """A chain of size rules as a Python expression."""
    text = variable
    for rule in rules:
        if not isinstance(rule, FloorRule):
            text = f"int({_atom(text)} * {rule.factor!r})"
            continue
        if rule.rise == 0:
            text = str(rule.offset)
            continue
        whole, part = divmod(rule.shift, rule.step)
        inner = with_constant(text, rule.shift) if part else text
        if rule.step > 1:
            inner = f"{_atom(inner)} // {rule.step}"
        if rule.rise != 1:
            inner = f"{rule.rise} * {f'({inner})' if ' ' in inner else inner}"
        text = with_constant(inner, rule.offset + (0 if part else rule.rise * whole))
    return text


def _atom(text: str) -> str:
    return text if text.isidentifier() or text.isdigit() else f"({text})"


def _sizes(decoder: Decoder, step: Step) -> list[str]:
    """The sizes at the input of a stage, as expressions of the encoder's input size."""
    names = LETTERS[len(decoder.input_shape) - 1]
    shape = decoder.encoder.sizes.shapes[step.stage.entry]
    found = []
    for size in shape[-(len(step.shape) - 1) :]:
        if isinstance(size, AxisSize):
            found.append(_python(size.rules, names[size.axis]))
        elif isinstance(size, int):
            found.append(str(size))
        else:
            raise ParameterError(
                f"the size at {step.stage.entry} is known for only one input size: leave out any_size, skips and "
                "upsample='unpool'"
            )
    return found


# The decoder ---------------------------------------------------------------------------------------------------------


def _decoder_body(decoder: Decoder, needs: Needs) -> Body:
    body = Body(needs)
    pools = [step.stage.exit for step in reversed(decoder.steps) if step.way.fit == "unpool"]
    maps = [step.stage.entry for step in reversed(decoder.steps) if step.skip is not None]
    shape = decoder.latent_shape

    def layers(found: Iterable[Layer]) -> None:
        nonlocal shape
        found = tuple(found)
        for before, layer in zip((None, *found), found, strict=False):
            shape = layer.output_shape((2, *shape))[1:]
            body.add(_lines(layer, shape, needs), shuffles=isinstance(layer, PixelShuffle) and isinstance(before, Conv))

    for step in decoder.steps:
        way, target = step.way, step.shape
        fit = way.fit if decoder.follows or way.fit == "unpool" else ""
        if not fit:
            layers(way.layers)
        else:
            layers(way.open)
            sizes = _sizes(decoder, step)
            shape = (target[0] if fit == "unflatten" else shape[0], *target[1:])
            body.say(f"{_fit(fit, step, sizes, pools, needs)}  # {_times(shape)}", "Tensor")
            layers(way.close)
        if step.skip is not None:
            body.say(f"x = torch.cat([x, maps[{maps.index(step.stage.entry)}]], dim=1)", "torch", "Tensor")
            shape = (shape[0] + target[0], *target[1:])
        layers(step.run)
    return body


def _fit(fit: str, step: Step, sizes: list[str], pools: list[str], needs: Needs) -> str:
    ndim, together = len(sizes), ", ".join(sizes)
    size = f"({together}{',' if len(sizes) == 1 else ''})"
    if fit == "crop":
        needs.helper("crop")
        return f"x = crop(x, {together})"
    if fit == "interpolate":
        needs.imports.add("F")
        return f"x = F.interpolate(x, size={size})"
    if fit == "pool":
        needs.imports.add("F")
        return f"x = F.adaptive_avg_pool{ndim}d(x, {size})"
    if fit == "unflatten":
        return f"x = x.view(-1, {step.shape[0]}, {together})"
    number = pools.index(step.stage.exit)
    plain = plain_unpool(step.stage)
    if plain is None:
        needs.helper("unpool")
        return f"x = unpool(x, indices[{number}], {size})"
    needs.imports.add("F")
    given = {name: tuple(plain.at(name, axis) for axis in range(ndim)) for name in plain.signature}
    words = [str(given["kernel_size"])]
    words += [f"stride={given['stride']}"] if given["stride"] != given["kernel_size"] else []
    words += [f"padding={given['padding']}"] if any(given["padding"]) else []
    return f"x = F.max_unpool{ndim}d(x, indices[{number}], {', '.join(words)}, output_size=[{together}])"


# The encoder ---------------------------------------------------------------------------------------------------------


def _encoder_class(decoder: Decoder, pools: list[Step], maps: list[Step], needs: Needs) -> str:
    nodes = used(decoder.encoder.nodes)
    shapes = {INPUT: decoder.input_shape}
    for name, shape in decoder.encoder.shapes((1, *decoder.input_shape), batched=True).items():
        shapes[name] = shape[1:]
    with_indices = {step.stage.exit for step in pools}
    with_map = {step.stage.entry for step in maps}
    readers: dict[str, list[int]] = {}
    for number, node in enumerate(nodes):
        for name in node.inputs:
            readers.setdefault(name, []).append(number)

    def variable(name: str, number: int) -> str:
        return "x" if readers.get(name, [number + 1]) == [number + 1] else f"x{number + 1}"

    body = Body(needs)
    names = {INPUT: variable(INPUT, -1)}
    for number, node in enumerate(nodes):
        names[node.name] = target = variable(node.name, number)
        given = [names[name] for name in node.inputs]
        layer = _layer(node, shapes[node.inputs[0]])
        joined = layer.torch_expression(given)
        if joined is not None:
            body.say(f"{target} = {joined}  # {_times(shapes[node.name])}", "Tensor", *_modules_in(joined))
        elif node.name in with_indices:
            call = _calls(layer.changed(return_indices=True), needs)[-1]
            body.is_open = False
            body.add([f"{call},  # {_times(shapes[node.name])}"], given[0], target)
            body.statements[-1] = f"{target}, where = {body.statements[-1].split(' = ', 1)[1]}"
            body.say("indices.append(where)")
        else:
            body.add(_lines(layer, shapes[node.name], needs), given[0], target)
        if node.name in with_map:
            body.say(f"maps.append({target})")
    returns = ["indices"] * bool(pools) + ["maps"] * bool(maps)
    last = names[nodes[-1].name]
    what = f"From {_times(decoder.input_shape)} to {_times(decoder.latent_shape)}"
    if returns:
        body.statements[:0] = [f"{name}: list[Tensor] = []" for name in returns]
        needs.imports.add("Tensor")
        kinds = ", ".join(["Tensor"] + ["list[Tensor]"] * len(returns))
        return _class("Encoder", what, body, [f"{names[INPUT]}: Tensor"], "", f"tuple[{kinds}]",
                      ", ".join([last, *returns]))  # fmt: skip
    return _class("Encoder", what, body, [f"{names[INPUT]}: Tensor"], "", "Tensor", last)


def _layer(node: Node, shape: tuple[int, ...]) -> Layer:
    layer = settled(node.layer, shape)
    if getattr(layer, "return_indices", False):
        return layer.changed(return_indices=False)
    if isinstance(layer, Elementwise) and layer.settings.get("num_features", 1) is None:
        return Elementwise(layer.word, **(dict(layer.values) | {"num_features": shape[0]}))
    return layer


def _modules_in(expression: str) -> list[str]:
    """The names that an expression needs imported."""
    return ["torch"] if expression.startswith("torch.") else []


# Classes -------------------------------------------------------------------------------------------------------------


def _class(
    name: str, what: str, body: Body, arguments: list[str], first: str, returns: str = "Tensor", last: str = "x"
) -> str:
    """The text of a class: an nn.Sequential if it is a single block, otherwise blocks and a forward method."""
    base = "nn.Sequential" if body.plain and last == "x" else "nn.Module"
    if base == "nn.Module":
        body.needs.imports.add("Tensor")
    if any(body.shuffled):
        body.needs.helper("icnr_")
    head = f'\nclass {name}({base}):\n    """{what}."""\n\n    def __init__(self) -> None:\n'
    if base == "nn.Sequential":
        lines = ["super().__init__(", *(f"    {line}" for line in body.blocks[0]), ")"]
        lines += ["icnr_(self)"] if body.shuffled[0] else []
        return head + indent("\n".join(lines), " " * 8) + "\n"
    lines = ["super().__init__()"]
    for number, (block, shuffled) in enumerate(zip(body.blocks, body.shuffled, strict=True)):
        if len(block) == 1:
            call, comment = block[0].rsplit(",  # ", 1)
            lines.append(f"self.block{number} = {call}  # {comment}")
        else:
            lines += [f"self.block{number} = nn.Sequential(", *(f"    {line}" for line in block), ")"]
        lines += [f"icnr_(self.block{number})"] if shuffled else []
    start = [first] if first else []
    start += ["x = latent"] if arguments[0].startswith("latent") else []
    forward = [*start, *body.statements, f"return {last}"]
    head += indent("\n".join(lines), " " * 8)
    run = indent("\n".join(_without_copy(forward)), " " * 8)
    return f"{head}\n\n    def forward(self, {', '.join(arguments)}) -> {returns}:\n{run}\n"


def _without_copy(statements: list[str]) -> list[str]:
    """The statements with `x = latent` merged into the statement that first reads it."""
    if "x = latent" in statements:
        at = statements.index("x = latent")
        following = statements[at + 1]
        if following == "return x":
            return [*statements[:at], "return latent"]
        head, value = following.split(" = ", 1)
        if value.startswith("self."):
            return [*statements[:at], f"{head}: Tensor = {value.replace('(x)', '(latent)')}", *statements[at + 2 :]]
    return statements


def _autoencoder_class(needs: bool, pools: bool, maps: bool) -> str:
    more = ["indices"] * pools + ["maps"] * maps
    latent = "latent" + "".join(f", {name}" for name in more)
    given = ["latent", *(["x.shape[2:]"] if needs else []), *more]
    if needs:
        body = f"        {latent} = self.encoder(x)\n        x = self.decoder({', '.join(given)})"
    else:
        body = "        x = self.decoder(self.encoder(x))"
    return f'''
class Autoencoder(nn.Module):
    """The encoder, and the decoder that mirrors it."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.decoder = Decoder()

    def forward(self, x: Tensor) -> Tensor:
{body}
        return x
'''
