"""What is said while a model is trained: to standard output, or where that is not wanted to the logger "dlcompile"."""
from __future__ import annotations

import logging
import sys

from dlcompile.config import disable_interactive_logging, enable_interactive_logging, is_interactive_logging_enabled


def print_message(text: str, line_break: bool = True) -> None:
    """Say something."""
    if not is_interactive_logging_enabled():
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
