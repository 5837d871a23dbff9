"""What is said while a model is trained, and how far it is."""
from dlcompile.progress.bar import Progbar
from dlcompile.progress.messages import (
    disable_interactive_logging,
    enable_interactive_logging,
    is_interactive_logging_enabled,
    print_message,
)

__all__ = ["Progbar", "disable_interactive_logging", "enable_interactive_logging", "is_interactive_logging_enabled", "print_message"]
