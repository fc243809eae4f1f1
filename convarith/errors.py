"""The errors: one family, so that a caller can catch them all at once."""


class ConvarithError(ValueError):
    """A question that has no answer. The message gives the values, the rule and the remedy."""


class ShapeError(ConvarithError):
    """This layer cannot take this size."""


class ParameterError(ConvarithError):
    """This layer cannot exist."""


class MissingDependencyError(ConvarithError):
    """The answer needs a package that is not installed; the message says how to install it."""


class ParseError(ConvarithError):
    """This text is no layer.

    Attributes:
        line: line of the mistake, counted from 1.
        column: column of the mistake, counted from 1.

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
