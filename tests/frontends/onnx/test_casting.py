"""Casts from and to every element type, compiled, against the onnx reference evaluator."""
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.errors import ArgumentError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.graph import DTYPES
from dlcompile.operators.interpreter import evaluate

FLOAT8 = ["FLOAT8E4M3FN", "FLOAT8E4M3FNUZ", "FLOAT8E5M2", "FLOAT8E5M2FNUZ"]
NARROW = [*FLOAT8, "FLOAT8E8M0", "FLOAT4E2M1", "INT4", "UINT4", "INT2", "UINT2"]
WIDE = ["FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE", "INT32", "UINT8", "INT8", "BOOL"]


def code(name: str) -> int:
    return getattr(TensorProto, name)


def dtype_of(name: str) -> np.dtype:
    return np.dtype(helper.tensor_dtype_to_np_dtype(code(name)))


def casts(source: str, targets: list[tuple[str, dict]], count: int) -> onnx.ModelProto:
    nodes = [helper.make_node("Cast", ["x"], [f"y{i}"], to=code(to), **attributes) for i, (to, attributes) in enumerate(targets)]
    outputs = [helper.make_tensor_value_info(f"y{i}", code(to), [count]) for i, (to, _) in enumerate(targets)]
    graph = helper.make_graph(nodes, "casts", [helper.make_tensor_value_info("x", code(source), [count])], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])


def same(got: np.ndarray, wanted: np.ndarray, what: str) -> None:
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, what
    a, b = (np.ascontiguousarray(x).view(f"u{x.dtype.itemsize}") for x in (got, wanted))
    wrong = a != b
    if DTYPES[got.dtype].c_compute in ("float", "double"):
        wrong &= ~(np.isnan(got.astype(np.float64)) & np.isnan(wanted.astype(np.float64)))
    assert not wrong.any(), f"{what}: {got[wrong][:4]} is not {wanted[wrong][:4]} (positions {np.flatnonzero(wrong)[:4]})"


def check(proto: onnx.ModelProto, x: np.ndarray) -> None:
    with np.errstate(all="ignore"):
        expected = ReferenceEvaluator(proto).run(None, {"x": x})
    got = dlcompile.compile(proto, cache=False, name="m")(x)
    plain = evaluate(import_onnx(proto), [x])
    for i, (a, b, c) in enumerate(zip(got if isinstance(got, tuple) else (got,), plain, expected)):
        what = f"{proto.graph.input[0].type.tensor_type.elem_type} → {proto.graph.node[i].attribute}"
        same(np.asarray(b), c, f"interpreted {what}")
        same(a, c, what)


def floats(dtype) -> np.ndarray:
    """Around every value of the 8-bit types, and anything."""
    rng = np.random.default_rng(0)
    codes = np.arange(256, dtype=np.uint8)
    near = np.concatenate([codes.view(getattr(ml_dtypes, n)).astype(np.float32) for n in ("float8_e4m3fn", "float8_e5m2", "float8_e5m2fnuz")])
    with np.errstate(all="ignore"):
        x = np.concatenate([near, near * np.float32(1.0625), rng.standard_normal(500) * 30, [0.0, -0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 1e-40]])
        return x.astype(dtype)


@pytest.mark.parametrize("source", ["FLOAT", "FLOAT16", "BFLOAT16"])
def test_floats_to_narrow_floats(source):
    targets = [(t, {"saturate": s}) for t in FLOAT8 for s in (0, 1)] + [("FLOAT4E2M1", {})]
    targets += [("FLOAT8E8M0", {"saturate": s, "round_mode": m}) for s in (0, 1) for m in ("up", "down", "nearest")]
    x = floats(dtype_of(source))
    check(casts(source, targets, x.size), x)


def test_floats_to_narrow_integers():
    x = np.concatenate([np.arange(-12, 20), np.arange(-12, 20) + 0.5]).astype(np.float32)
    check(casts("FLOAT", [(t, {}) for t in NARROW[6:]], x.size), x)


def test_doubles_are_rounded_once():
    numbers = np.arange(0, 0x7C00, 17, dtype=np.uint16).view(np.float16).astype(np.float64)
    middles = (numbers + np.nextafter(numbers.astype(np.float16), np.float16(np.inf)).astype(np.float64)) / 2
    x = np.concatenate([numbers, *(np.nextafter(middles, to) for to in (-np.inf, np.inf)), [65519.99999999999, 65520.0]])
    check(casts("DOUBLE", [("FLOAT16", {}), ("BFLOAT16", {}), ("FLOAT8E4M3FN", {}), ("FLOAT", {})], x.size), x)


def test_infinities_are_cut_off_even_where_the_type_stays():
    x = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e5m2)
    check(casts("FLOAT8E5M2", [("FLOAT8E5M2", {"saturate": 1}), ("FLOAT8E5M2", {"saturate": 0})], x.size), x)


def test_chains_of_casts_keep_every_rounding():
    """A cast in the middle may be left out only where its type holds every value of the one before."""
    chain = ["FLOAT", "FLOAT16", "FLOAT8E5M2", "BFLOAT16", "FLOAT8E4M3FN", "FLOAT", "INT4", "FLOAT8E4M3FN", "INT8", "UINT2", "FLOAT16"]
    names = ["x", *(f"t{i}" for i in range(len(chain) - 2)), "y"]
    nodes = [helper.make_node("Cast", [a], [b], to=code(to)) for a, b, to in zip(names, names[1:], chain[1:])]
    x = np.linspace(-9, 9, 300).astype(np.float32)
    graph = helper.make_graph(nodes, "chain", [helper.make_tensor_value_info("x", code(chain[0]), [x.size])],
                              [helper.make_tensor_value_info("y", code(chain[-1]), [x.size])])
    check(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)]), x)


@pytest.mark.parametrize("source", NARROW)
def test_narrow_types_to_wide_ones(source):
    bits = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2}.get(source, 8)
    x = np.arange(1 << bits, dtype=np.uint8).view(dtype_of(source))
    if source.startswith("FLOAT"):  # what is no number makes no integer that anybody has agreed on
        x = x[np.isfinite(x.astype(np.float32)) & (np.abs(x.astype(np.float32)) < 100) & (x.astype(np.float32) >= 0)]
    check(casts(source, [(t, {}) for t in WIDE if t not in ("UINT8",) or not source.startswith("INT")], x.size), x)


@pytest.mark.parametrize("kind", ["COMPLEX64", "COMPLEX128"])
def test_complex_numbers_are_moved(kind):
    dtype = dtype_of(kind)
    nodes = [helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("Concat", ["t", "t"], ["c"], axis=0),
             helper.make_node("Gather", ["c", "i"], ["g"], axis=1)]
    graph = helper.make_graph(nodes, "complex", [helper.make_tensor_value_info("x", code(kind), [2, 3])],
                              [helper.make_tensor_value_info("g", code(kind), [6, 2])], [helper.make_tensor("i", TensorProto.INT64, [2], [1, 0])])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    x = (np.arange(6).reshape(2, 3) + 1j * np.arange(6).reshape(2, 3) ** 2).astype(dtype)
    np.testing.assert_array_equal(dlcompile.compile(proto, cache=False, name="m")(x), np.concatenate([x.T, x.T])[:, [1, 0]])


def test_constants_of_less_than_a_byte_are_packed_in_files():
    for name in NARROW:
        values = np.array([1, 0, 1, 1, 0], np.uint8).view(dtype_of(name))
        graph = helper.make_graph([helper.make_node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)], "packed", [],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, [5])], [onnx.numpy_helper.from_array(values, "c")])
        proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)])
        for made in (proto, export_onnx(import_onnx(proto), opset=25)):
            np.testing.assert_array_equal(evaluate(import_onnx(made), [])[0], values.astype(np.float32))


def test_python_numbers_are_taken_where_a_narrow_type_has_them():
    model = dlcompile.compile(casts("INT4", [("INT8", {})], 3), cache=False, name="m")
    np.testing.assert_array_equal(model([1, -8, 7]), [1, -8, 7])
    for wrong in ([1, 8, 0], [0.5, 0, 0], [1j, 0, 0]):
        with pytest.raises(ArgumentError, match="must be int4"):
            model(wrong)
