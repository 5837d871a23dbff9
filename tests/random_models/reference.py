"""What a node means: the onnx package's reference evaluator, but for what it gets wrong (`corrections`)."""
from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from tests.random_models.corrections import CORRECTED


class ReferenceFailed(Exception):
    """The reference evaluator cannot compute a node, or computes what the standard excludes."""


def evaluate(node: onnx.NodeProto, arrays: Sequence[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The outputs of one node. The evaluator is given types too: operators that are functions are expanded by them."""
    given = {name: array for name, array in zip(node.input, arrays) if name and array is not None}
    inputs = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for name, a in given.items()]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    model = helper.make_model(helper.make_graph([node], "node", inputs, outputs),
                              opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 4)])
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            corrected = CORRECTED.get((node.domain, node.op_type))
            results = corrected(evaluate, node, arrays, opset) if corrected else None
            if results is None:
                results = ReferenceEvaluator(model).run(None, given)
    except Exception as error:  # whatever it is: the evaluator checks little
        raise ReferenceFailed(f"{node.op_type}: {type(error).__name__}: {error}") from error
    return [np.asarray(r) for r in results]
