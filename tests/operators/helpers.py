"""What the tests of operators share: one expression evaluated on static and on symbolic shapes, and ONNX Runtime's opinion of it."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from dlcompile import ops  # noqa: F401  (tests import it from here or from dlcompile)
from dlcompile.graph import Graph, Tensor, make_input, symbol, verify
from dlcompile.operators import evaluate

Build = Callable[..., "Tensor | tuple[Tensor, ...]"]
RNG = np.random.default_rng(20240229)


def normal(*shape: int, dtype=np.float32) -> np.ndarray:
    return RNG.standard_normal(shape).astype(dtype)


def run(build: Build, *arrays: np.ndarray, symbolic: bool = False, fixed: Sequence[int] = ()) -> tuple[np.ndarray, ...]:
    """build(tensors) evaluated on the arrays. `symbolic`: each extent above 1 is a symbol (equal ones the same), except axes in `fixed` (counted
    from the front, of every array)."""
    inputs = []
    for i, array in enumerate(arrays):
        shape = tuple(symbol(f"d{n}") if symbolic and n > 1 and a not in fixed else n for a, n in enumerate(array.shape))
        inputs.append(make_input(f"x{i}", array.dtype, shape))
    made = build(*inputs)
    outputs = tuple(made) if isinstance(made, (tuple, list)) else (made,)
    graph = verify(Graph("test", inputs, outputs))
    results = evaluate(graph, arrays)
    for tensor, result in zip(outputs, results):
        assert result.dtype == tensor.dtype and result.ndim == tensor.rank
        assert all(p == n for p, n in zip(tensor.shape, result.shape) if isinstance(p, int)), (tensor.type, result.shape)
    return results


def check(build: Build, arrays: Sequence[np.ndarray], expected, *, rtol: float = 0, atol: float = 0, fixed: Sequence[int] | None = ()) -> None:
    """build(tensors) gives `expected` (an array or a tuple of them) with static shapes and with symbolic ones (`fixed` None: static only)."""
    expected = expected if isinstance(expected, (tuple, list)) else (expected,)
    for symbolic in (False, True) if fixed is not None else (False,):
        results = run(build, *arrays, symbolic=symbolic, fixed=fixed or ())
        assert len(results) >= len(expected)
        for result, wanted in zip(results, expected):
            wanted = np.asarray(wanted)
            assert result.dtype == wanted.dtype, (result.dtype, wanted.dtype)
            if rtol == atol == 0:
                np.testing.assert_array_equal(result, wanted)
            else:
                assert result.shape == wanted.shape, (result.shape, wanted.shape)
                np.testing.assert_allclose(result.astype(np.float64), wanted.astype(np.float64), rtol=rtol, atol=atol)


def onnx_model(op_type: str, arrays: Sequence[np.ndarray | None], outputs: int = 1, opset: int = 20, **attributes) -> onnx.ModelProto:
    """A model of one ONNX node; None for an operand left out."""
    present = [(f"x{i}", a) for i, a in enumerate(arrays) if a is not None]
    names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
    node = helper.make_node(op_type, names, [f"y{i}" for i in range(outputs)], **attributes)
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in present],
                              [helper.make_value_info(f"y{i}", onnx.TypeProto()) for i in range(outputs)])
    del graph.output[:]
    graph.output.extend(onnx.ValueInfoProto(name=f"y{i}") for i in range(outputs))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    inferred = onnx.shape_inference.infer_shapes(model)
    if all(o.type.HasField("tensor_type") and o.type.tensor_type.elem_type != TensorProto.UNDEFINED for o in inferred.graph.output):
        return inferred
    return model


def onnx_runtime(op_type: str, arrays: Sequence[np.ndarray | None], outputs: int = 1, opset: int = 20, **attributes) -> tuple[np.ndarray, ...]:
    """ONNX Runtime's results for one ONNX operator (run as written: no optimisation)."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    model = onnx_model(op_type, arrays, outputs, opset, **attributes)
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return tuple(session.run(None, {f"x{i}": a for i, a in enumerate(arrays) if a is not None}))


def onnx_reference(op_type: str, arrays: Sequence[np.ndarray | None], outputs: int = 1, opset: int = 20, **attributes) -> tuple[np.ndarray, ...]:
    """The results of ONNX's own reference evaluator for one operator."""
    from onnx.reference import ReferenceEvaluator

    model = onnx_model(op_type, arrays, outputs, opset, **attributes)
    return tuple(ReferenceEvaluator(model).run(None, {f"x{i}": a for i, a in enumerate(arrays) if a is not None}))


