"""The rows of the export table, one for each operator of dlcompile: importing this package fills the table.

A row is `row(writer, node, *names)`: it writes ONNX nodes with `writer.emit` and returns the name of the result (or
names).
"""
from dlcompile.frontends.onnx.exports import (
    composites,
    contractions,
    control,
    dictionary,
    elementwise,
    movement,
    random,
    reductions,
    sampling,
    selection,
    text,
    trees,
)

__all__ = ["composites", "contractions", "control", "dictionary", "elementwise", "movement", "random", "reductions", "sampling", "selection", "text", "trees"]
