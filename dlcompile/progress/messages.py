"""What is said while a model is trained: to standard output, or where that is not wanted to the logger "dlcompile"."""
from __future__ import annotations

import logging
import sys

_interactive = True


def enable_interactive_logging() -> None:
    """Print what is said to standard output, which is how it is at first."""
    global _interactive
    _interactive = True


def disable_interactive_logging() -> None:
    """Hand what is said to Python's `logging`, at the level INFO."""
    global _interactive
    _interactive = False


def is_interactive_logging_enabled() -> bool:
    """Whether what is said is printed."""
    return _interactive


def print_message(text: str, line_break: bool = True) -> None:
    """Say something."""
    if not _interactive:
        if text.strip():
            logging.getLogger("dlcompile").info(text.strip())
        return
    try:
        sys.stdout.write(f"{text}\n" if line_break else text)
    except UnicodeEncodeError:  # a terminal with an encoding that has no such characters
        plain = text.encode("ascii", "replace").decode()
        sys.stdout.write(f"{plain}\n" if line_break else plain)
    sys.stdout.flush()


__all__ = ["disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled", "print_message"]
