"""An operation that convarith does not know: only its shapes for one input are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from convarith.errors import ParameterError, ShapeError
from convarith.layers.base import Layer
from convarith.sizes.normalise import times

if TYPE_CHECKING:
    from convarith.sizes.letters import Limits, OpenShape


@dataclass(frozen=True, kw_only=True, repr=False)
class Recorded(Layer):
    """An operation by its name, with the shapes (including the batch) that were seen in one run.

    >>> layer = Recorded(operation="torch.fft.rfft", recorded_inputs=((1, 1, 100),), recorded_output=(1, 1, 51))
    >>> layer.output_shape((1, 1, 100))
    (1, 1, 51)
    """

    operation: str
    recorded_inputs: tuple[tuple[int, ...], ...]
    recorded_output: tuple[int, ...]
    parameters: int = 0

    torch_name: ClassVar[str] = "Recorded"

    @property
    def name(self) -> str:
        """The name of the operation."""
        return self.operation

    @property
    def parameter_count(self) -> int:
        """The number of parameters of the module that was run."""
        return self.parameters

    def torch_calls(self) -> tuple[str, ...]:
        """Raises ParameterError, because only the shapes are known."""
        raise ParameterError(f"{self} cannot be a module on its own: only its shapes are known")

    def open_shape(self, shapes: Sequence["OpenShape"], limits: "Limits") -> "OpenShape":
        """A shape of unknown sizes, because only the number of axes is known."""
        from convarith.sizes.letters import BATCH, Unknown

        return (BATCH, *(Unknown() for _ in self.recorded_output[1:]))

    def joined_shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The recorded output shape, only for the recorded input shapes (with any batch)."""
        if tuple(shape[1:] for shape in shapes) != tuple(shape[1:] for shape in self.recorded_inputs):
            seen = " and ".join(map(times, self.recorded_inputs))
            raise ShapeError(f"the output shape of {self.operation} is known only for the recorded input {seen}")
        if not shapes or shapes[0] == self.recorded_inputs[0]:
            return self.recorded_output
        if self.recorded_output[:1] != self.recorded_inputs[0][:1]:
            raise ShapeError(
                f"the output shape of {self.operation} is known only for the recorded batch of "
                f"{self.recorded_inputs[0][0]}"
            )
        return (shapes[0][0], *self.recorded_output[1:])

    def __str__(self) -> str:
        return f"{self.operation}(...)"
