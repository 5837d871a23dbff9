"""Small ONNX models, and what ONNX Runtime and the reference interpreter make of them."""
import numpy as np
import onnx
from onnx import helper, numpy_helper

from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.graph import Dim, verify
from dlcompile.operators.interpreter import evaluate

OPSET = 21


def info(name, dtype, shape):
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)


def model(
    nodes, inputs, outputs, *, constants=None, opset=OPSET, name="model", imports=(), functions=(), ir_version=10
):
    """A model of nodes; `inputs` {name: (dtype, shape)}, `outputs` names, whose types are for the reader to find."""
    graph = helper.make_graph(nodes, name, [info(n, *t) for n, t in inputs.items()],
                              [onnx.ValueInfoProto(name=n) for n in outputs],
                              [numpy_helper.from_array(np.asarray(v), n) for n, v in (constants or {}).items()])
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(*i) for i in imports)]
    return helper.make_model(graph, opset_imports=opsets, functions=list(functions), ir_version=ir_version)


def single(
    op_type, arrays, *, outputs=1, constants=(), opset=OPSET, domain="", domain_version=1, symbolic=False, **attributes
):
    """A model of one node on `arrays` (None: left out); those at the positions `constants` are initializers."""
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    node = helper.make_node(
        op_type, names, [f"y{i}" for i in range(outputs)], name="the_node", domain=domain, **attributes
    )
    given = {n: np.asarray(a) for n, a in zip(names, arrays) if n}
    shapes = {n: [f"{n}_{axis}" for axis in range(a.ndim)] if symbolic else list(a.shape) for n, a in given.items()}
    fixed = {f"x{i}" for i in constants}
    made = model(
        [node],
        {n: (a.dtype, shapes[n]) for n, a in given.items() if n not in fixed},
        [f"y{i}" for i in range(outputs)],
        constants={n: a for n, a in given.items() if n in fixed},
        opset=opset,
        imports=[(domain, domain_version)] if domain else (),
    )
    return made, {n: a for n, a in given.items() if n not in fixed}


def runtime(source, feeds, *, exact_products=False, optimized=True):
    """ONNX Runtime's answers.

    Without VNNI instructions its products of uint8 and int8 saturate sums of 16 bits: with `exact_products` it widens constant weights, which
    it cannot do in every model; not `optimized`, it computes what is written, in float32 between dequantising and quantising.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1" if exact_products else "0")
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(source if isinstance(source, str) else source.SerializeToString(), options,
                                           providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def assert_close(actual, expected, rtol=1e-4, atol=1e-5):
    assert len(actual) == len(expected)
    for a, b in zip(actual, expected):
        assert a.shape == b.shape and a.dtype == b.dtype, f"{a.dtype}{a.shape} is not {b.dtype}{b.shape}"
        np.testing.assert_allclose(a.astype(np.float64), b.astype(np.float64), rtol=rtol, atol=atol)


def check(made, feeds, *, expected=None, rtol=1e-4, atol=1e-5, **options):
    """Import; the graph is well formed and evaluates to what ONNX Runtime (or `expected`) says. Returns the graph."""
    graph = verify(import_onnx(made, **options))
    results = evaluate(graph, {n: a for n, a in feeds.items() if n in graph.input_names})
    assert_close(results, runtime(made, feeds) if expected is None else expected, rtol, atol)
    return graph


def check_export(graph, feeds=None, *, rtol=1e-4, atol=1e-5, **options):
    """Export; the checker accepts the model and ONNX Runtime gives what the interpreter gives. Returns the model."""
    written = export_onnx(graph, **options)
    onnx.checker.check_model(written, full_check=True)
    feeds = random_inputs(graph) if feeds is None else feeds
    assert_close(runtime(written, feeds), evaluate(graph, feeds), rtol, atol)
    return written


def random_inputs(graph, seed=0, **dims):
    """Values for a graph's inputs; symbols that `dims` does not give are 3, 4, 5, …"""
    rng = np.random.default_rng(seed)
    sizes = {s.name: dims.get(s.name, 3 + i) for i, s in enumerate(graph.symbols)}
    feeds = {}
    for name, tensor in zip(graph.input_names, graph.inputs):
        shape = [d.evaluate(sizes) if isinstance(d, Dim) else d for d in tensor.shape]
        if tensor.dtype == np.bool_:
            feeds[name] = rng.random(shape) < 0.5
        elif tensor.dtype.kind in "iu":
            feeds[name] = rng.integers(0, 2, shape).astype(tensor.dtype)
        else:
            feeds[name] = rng.standard_normal(shape).astype(tensor.dtype)
    return feeds


def op_types(written):
    return [node.op_type for node in written.graph.node]
