"""The errors dlcompile raises: one small hierarchy, every message naming the place and what was expected."""


class Error(Exception):
    """Base of everything dlcompile raises on purpose."""


class InvalidModelError(Error):
    """The model is not one: unreadable file, cycle, missing value, contradictory types or shapes."""


class UnsupportedOperatorError(InvalidModelError):
    """The model uses operators that dlcompile does not know; the message lists all of them at once."""


class ShapeError(InvalidModelError, ValueError):
    """Shapes that an operator cannot take together."""


class DTypeError(InvalidModelError, TypeError):
    """Element types that an operator cannot take together."""


class ArgumentError(Error, TypeError, ValueError):
    """A call of a compiled model (or of a public function) with arguments it cannot take."""


class SettingsError(Error, ValueError):
    """A settings file or an environment variable says what a setting cannot be."""


class ToolchainError(Error):
    """No usable C compiler, or the compiler failed; the message carries its output."""


class LibraryError(Error):
    """A shared library that is not a dlcompile model, or one this version cannot load."""


class ExecutionError(Error):
    """A compiled model reported a failure while it ran (no memory, sizes that break an assumption)."""
