"""The rows of the import table, one function for each form an ONNX operator has had: importing this package fills the
table.

To support an operator, write a function `row(node, *tensors)` that builds it with `dlcompile.ops` and put
`@importer("Name")` above it in the file of its family; where its attributes or inputs changed, one row for each form,
with `since=` the opset that brought it.
"""
from dlcompile.frontends.onnx.rows import (  # noqa: F401
    attention,
    casting,
    classical,
    contraction,
    control,
    creation,
    elementwise,
    indexing,
    movement,
    normalization,
    optimizers,
    ordering,
    pooling,
    quantization,
    random,
    recurrent,
    reduction,
    resizing,
    runtime_quantization,
    sampling,
    sequences,
    signal,
    svm,
    text,
    training,
    trees,
)
