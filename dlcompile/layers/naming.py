"""Names that nobody has given (see `dlcompile.naming`)."""
from dlcompile.naming import auto_name, checked_name, class_name, clear_session

__all__ = ["auto_name", "checked_name", "class_name", "clear_session"]
