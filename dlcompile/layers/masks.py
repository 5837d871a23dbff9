"""Which steps of a sequence count (see `dlcompile.masks`)."""
from dlcompile.masks import _masks, mask_of, set_mask  # noqa: F401

__all__ = ["mask_of", "set_mask"]
