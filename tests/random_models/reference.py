"""What a node means: the onnx package's reference evaluator, but for what it gets wrong (`corrections`)."""
from __future__ import annotations

import contextlib
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tests.random_models.corrections import CORRECTED, restacked


class ReferenceFailed(Exception):
    """The reference evaluator cannot compute a node, or computes what the standard excludes."""


def evaluate(node: onnx.NodeProto, arrays: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The outputs of one node."""
    corrected = CORRECTED.get((node.domain, node.op_type))
    if corrected:
        with _quiet(node.op_type):
            results = corrected(evaluate, node, arrays, opset)
        if results is not None:
            return [np.asarray(r) for r in results]
    given = {name: array for name, array in zip(node.input, arrays) if name and array is not None}
    return evaluate_nodes([node], given, opset)


def evaluate_nodes(nodes: Sequence[onnx.NodeProto], given: dict[str, np.ndarray], opset: int) -> list[np.ndarray]:
    """The outputs of the last of some nodes. The evaluator is given types too: operators that are functions are expanded by them."""
    inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in given.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in nodes[-1].output if name]
    model = helper.make_model(helper.make_graph(nodes, "nodes", inputs, outputs),
                              opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 4), helper.make_opsetid("ai.onnx.preview.training", 1)])
    with _quiet(nodes[-1].op_type):
        results = ReferenceEvaluator(model).run(None, given)
        if nodes[-1].op_type == "Loop":
            results = restacked(nodes[-1], results)
        return [np.asarray(r) for r in results]


@contextlib.contextmanager
def _quiet(what: str):
    """Without the warnings of NumPy, and whatever the evaluator raises, which checks little, as one kind of error."""
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    except ReferenceFailed:
        raise
    except Exception as error:
        raise ReferenceFailed(f"{what}: {type(error).__name__}: {error}") from error
