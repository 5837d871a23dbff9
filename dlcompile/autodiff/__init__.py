"""Reverse-mode differentiation as graph → graph: `gradients(y, xs)`. Importing this package fills the table of derivatives (`rules`)."""
from dlcompile.autodiff import (  # noqa: F401
    composites,
    contractions,
    control,
    custom,
    elementwise,
    indexing,
    movement,
    order,
    reductions,
    windows,
)
from dlcompile.autodiff.reverse import gradients, pull_back, substituted
from dlcompile.autodiff.rules import FLAT, NO_DERIVATIVE, RULES

__all__ = ["FLAT", "NO_DERIVATIVE", "RULES", "gradients", "pull_back", "substituted"]
