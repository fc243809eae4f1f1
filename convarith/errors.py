"""The exceptions of convarith. They share one base class, so a caller can catch them all at once."""


class ConvarithError(ValueError):
    """Base class of all errors. The message gives the values, the rule they break and how to fix them."""


class ShapeError(ConvarithError):
    """A layer does not accept an input of this size or shape."""


class ParameterError(ConvarithError):
    """The parameters do not make a valid layer."""


class MissingDependencyError(ConvarithError):
    """The answer needs a package that is not installed; the message says how to install it."""


class ParseError(ConvarithError):
    """The text does not describe a layer or a network.

    Attributes:
        line: the line of the mistake, counted from 1.
        column: the column of the mistake, counted from 1.

    >>> import convarith as ca
    >>> try:
    ...     ca.parse("Conv2d(1, 16, 3, strid=2)")
    ... except ca.ParseError as error:
    ...     print(error, error.line, error.column)
    line 1, column 18: Conv2d has no parameter 'strid': did you mean 'stride'? 1 18
    """

    def __init__(self, message: str, line: int = 1, column: int = 1) -> None:
        super().__init__(f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column
