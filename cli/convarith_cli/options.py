"""The options that describe a layer, shared by every command that takes one."""

import inspect
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import typer

from convarith.errors import ConvarithError, ParameterError
from convarith.layers.base import Layer
from convarith.layers.registry import KINDS, all_names, class_of_kind
from convarith.sizes.normalise import nearest, read_sizes

PANEL = "The layer's parameters"


class LayerOption(NamedTuple):
    """One parameter of a layer as an option: torch's name for it, its flags, its help."""

    parameter: str
    flags: tuple[str, ...]
    help: str
    metavar: str = "N"
    flag: bool = False

    @property
    def variable(self) -> str:
        """The name of the option's variable in a command function."""
        return f"{self.parameter}_"


OPTIONS = (
    LayerOption("kernel_size", ("--kernel", "--kernel-size", "-k"), "Kernel size: 3, or one per axis: 3x5."),
    LayerOption("stride", ("--stride", "-s"), "Stride; for a pool the default is its kernel size."),
    LayerOption("padding", ("--padding", "-p"), "Padding: 1, 1x2, before:after as in 1:0, same, valid.", "N|WORD"),
    LayerOption("dilation", ("--dilation", "-d"), "Distance between the kernel's taps."),
    LayerOption(
        "output_padding", ("--output-padding", "--op"), "Positions that a transposed convolution adds at the end."
    ),
    LayerOption("ceil_mode", ("--ceil-mode",), "Pools: round the output size up.", flag=True),
    LayerOption("output_size", ("--output-size",), "Output size of an adaptive pool or a fold."),
    LayerOption("size", ("--size",), "Output size of an upsampling."),
    LayerOption("scale_factor", ("--scale-factor",), "Factor of an upsampling: 2, or one per axis: 2x1.5."),
    LayerOption("upscale_factor", ("--upscale-factor",), "Factor of a pixel shuffle."),
    LayerOption("downscale_factor", ("--downscale-factor",), "Factor of a pixel unshuffle."),
    LayerOption("output_ratio", ("--output-ratio",), "Output size divided by input size, for a fractional pool."),
    LayerOption("norm_type", ("--norm-type",), "Power of a power-average pool."),
    LayerOption(
        "mode", ("--mode",), "Upsampling: nearest, bilinear, ...; pad: zeros, reflect, replicate, circular.", "WORD"
    ),
    LayerOption(
        "padding_mode", ("--padding-mode",), "Padding of a convolution: zeros, reflect, replicate, circular.", "WORD"
    ),
    LayerOption("in_channels", ("--in-channels",), "Input channels."),
    LayerOption("out_channels", ("--out-channels",), "Output channels."),
    LayerOption("groups", ("--groups",), "Groups of channels."),
    LayerOption("in_features", ("--in-features",), "Input features of a linear layer."),
    LayerOption("out_features", ("--out-features",), "Output features of a linear layer."),
)

LAYER_HELP = "A kind (conv, conv-transpose, max-pool, upsample, ...) or a call such as 'Conv2d(1, 16, 3, stride=2)'."


def complete_kind(incomplete: str) -> list[str]:
    """The kinds that start with these letters, for completion in the shell."""
    return [kind for kind in KINDS if kind.startswith(incomplete)]


LayerArgument = Annotated[
    str, typer.Argument(metavar="[LAYER]", help=LAYER_HELP, autocompletion=complete_kind, show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]

Markdown = Annotated[bool, typer.Option("--markdown", help="Print Markdown, for a README or a paper.")]


def command_app() -> typer.Typer:
    """A Typer app for the one command of a file."""
    return typer.Typer(add_completion=False, rich_markup_mode=MARKUP, context_settings=HELP_FLAGS)


MARKUP: Literal["rich"] | None = "rich" if sys.stdout is not None and sys.stdout.isatty() else None
"""Help with boxes and colour for a person, plain text in a pipe."""

HELP_FLAGS = {"help_option_names": ["--help", "-h"]}

Outcome = TypeVar("Outcome")


def layer_options(command: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add every option of OPTIONS to a command, which receives those that were given as one dictionary, `given`."""

    def with_options(**values: Any) -> Outcome:
        given = {
            option.parameter: value
            for option in OPTIONS
            if (value := values.pop(option.variable)) is not None and value is not False
        }
        return command(**values, given=given)

    own = inspect.signature(command, eval_str=True)
    parameters = [parameter for name, parameter in own.parameters.items() if name != "given"]
    for option in OPTIONS:
        kind: Any = bool if option.flag else str | None
        info = typer.Option(
            *option.flags, metavar=None if option.flag else option.metavar, help=option.help,
            rich_help_panel=PANEL, show_default=False,
        )  # fmt: skip
        parameters.append(
            inspect.Parameter(
                option.variable,
                inspect.Parameter.KEYWORD_ONLY,
                default=False if option.flag else None,
                annotation=Annotated[kind, info],
            )
        )
    with_options.__name__ = command.__name__
    with_options.__doc__ = command.__doc__
    with_options.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    signature = inspect.Signature([parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters])
    vars(with_options)["__signature__"] = signature  # what typer reads
    return with_options


def flag_of(parameter: str) -> str:
    """The option of a parameter, as messages name it."""
    return next((option.flags[0] for option in OPTIONS if option.parameter == parameter), f"--{parameter}")


def kind_of(text: str) -> tuple[str, int | None]:
    """The kind and the dimension that a word names; the dimension is None if the word leaves it open.

    Raises ParameterError for a word that is not a kind, with the nearest one.

    >>> kind_of("conv"), kind_of("max-pool2d"), kind_of("MaxPool2d")
    (('conv', None), ('max-pool', 2), ('max-pool', 2))
    """
    word = text.lower().removeprefix("torch.").removeprefix("nn.").replace("-", "").replace("_", "")
    stem, ndim = (word[:-2], int(word[-2])) if re.search(r"[123]d$", word) else (word, None)
    kind = {kind.replace("-", ""): kind for kind in KINDS}.get(stem)
    if kind is None:
        raise ParameterError(f"unknown layer {text!r}: {nearest(text, [*KINDS, *all_names()])}")
    if ndim and ndim not in class_of_kind(kind).dimensions:
        raise ParameterError(f"unknown layer {text!r}: {kind} has no {ndim}-D version")
    return kind, ndim


def read_layer(text: str, given: dict[str, Any]) -> Layer:
    """The layer of the LAYER argument and the options. Raises ConvarithError if they do not describe one."""
    if "(" in text:
        if given:
            flags = ", ".join(flag_of(parameter) for parameter in given)
            raise ParameterError(f"{text} is a whole call: write its parameters in it, not as {flags}")
        return _parsed(text)
    try:
        kind, ndim = kind_of(text)
    except ParameterError:
        if text in all_names() and not given:  # a layer without parameters: ReLU
            return _parsed(text)
        raise
    cls = class_of_kind(kind)
    values = read_values(kind, given)
    needed = [name for name, parameter in inspect.signature(cls).parameters.items()
              if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty]  # fmt: skip
    missing = [name for name in needed if name not in values]
    if not {option.parameter for option in OPTIONS}.issuperset(missing):
        call = f"{cls.__name__}({', '.join(f'{name}=...' for name in needed)})"
        raise ParameterError(f"{kind} needs parameters that have no option: write the call, '{call}'")
    if missing:
        raise ParameterError(f"{kind} needs {' and '.join(map(flag_of, missing))}")
    if ndim:
        values["ndim"] = ndim
    return cls(**values)


def _parsed(text: str) -> Layer:
    from convarith.layers.parser import parse  # a kind alone needs no parser

    return parse(text)


def read_values(kind: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options as parameters of this kind. Raises ParameterError for an option that the kind does not have."""
    takes = list(inspect.signature(class_of_kind(kind)).parameters)
    values: dict[str, Any] = {}
    for parameter, text in given.items():
        if parameter not in takes:
            known = [flag_of(name) for name in takes if any(option.parameter == name for option in OPTIONS)]
            raise ParameterError(f"{kind} has no {flag_of(parameter)}: {nearest('', known)}")
        values[parameter] = read_value(parameter, text)
    return values


def read_value(parameter: str, text: Any) -> Any:
    """The value of one option."""
    if not isinstance(text, str) or parameter in ("mode", "padding_mode"):
        return text
    if parameter in ("scale_factor", "output_ratio", "norm_type"):
        return _numbers(text, flag_of(parameter))
    if parameter == "padding":
        return _padding(text)
    sizes = read_sizes(text, flag_of(parameter))
    return sizes[0] if len(sizes) == 1 else sizes


def _numbers(text: str, name: str) -> float | tuple[float, ...]:
    try:
        numbers = tuple(float(word) for word in re.split(r"[x,]", text))
    except ValueError:
        raise ConvarithError(f"{name} {text!r} is not a number: write 2, or one per axis as in 2x1.5") from None
    return numbers[0] if len(numbers) == 1 else numbers


def _padding(text: str) -> Any:
    """'same', 'valid', 1, 1x2, or pairs before:after as in 1:0x2:2."""
    if re.fullmatch(r"[a-zA-Z]+", text) and text.lower() != "x":
        return text.lower()
    entries = []
    for word in re.split(r"[x,]", text):
        if ":" in word and not re.fullmatch(r"\s*-?\d+\s*:\s*-?\d+\s*", word):
            raise ConvarithError(f"--padding {text!r} is not a padding: write 1, 1x2, or before:after as in 1:0x2:2")
        pair = read_sizes(word.replace(":", "x"), flag_of("padding")) if ":" in word else None
        entries.append(pair or read_sizes(word, flag_of("padding"))[0])
    return entries[0] if len(entries) == 1 and isinstance(entries[0], int) else tuple(entries)
