"""Every operator of the table written as ONNX and run by ONNX Runtime; dimensions, names, files."""

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

from dlcompile import ops
from dlcompile.errors import ArgumentError, InvalidModelError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.frontends.onnx.writer import EXPORTERS
from dlcompile.graph import OPERATORS, Graph, ceildiv, dim_max, dim_min, make_constant, make_input, symbol, verify
from dlcompile.operators.interpreter import evaluate
from tests.frontends.onnx.helpers import assert_close, check_export, model, op_types, random_inputs, runtime

pytest.importorskip("onnxruntime")
# ruff: noqa: B008
F = np.float32
N, M = symbol("n"), symbol("m")


def build(function, *types):
    """The graph of a function on inputs of the given (dtype, shape)."""
    inputs = [make_input(f"x{i}", *t) for i, t in enumerate(types)]
    made = function(*inputs)
    outputs = list(made) if isinstance(made, (tuple, list)) else [made]
    return verify(Graph("model", inputs, outputs, output_names=[f"y{i}" for i in range(len(outputs))]))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


V, A, B = (F, (N, 5)), (F, (N, 3, 4)), (F, (N, 4, M))
I, U, T = (np.int64, (N, 5)), (np.uint8, (N, 5)), (np.bool_, (N, 5))  # noqa: E741
IMAGE = (F, (N, 4, 9, M))
LAST = (F, (N, 9, 8, 4))


def body_of(function, *types):
    inputs = [make_input(f"b{i}", *t) for i, t in enumerate(types)]
    return Graph("body", inputs, function(*inputs), output_names=[f"r{i}" for i in range(len(function(*inputs)))])


def recurrent(op, gates, **options):
    def function(x):
        w, r, b = normal(2, gates * 4, 3, seed=1), normal(2, gates * 4, 4, seed=2), normal(2, 2 * gates * 4, seed=3)
        return op(x, w, r, b, present=("b",), direction="bidirectional", **options)

    return function


UNARY = """neg abs sign floor ceil round exp expm1 sin cos tan atan sinh cosh tanh asinh erf logistic is_nan is_inf
    relu leaky_relu elu celu selu gelu silu softplus mish softsign hard_sigmoid hard_swish thresholded_relu
    shrink""".split()
BINARY = "add sub mul maximum minimum eq ne lt le gt ge".split()


def of_positive(op):
    return lambda x: op(ops.add(ops.abs(x), 0.25))


def of_fraction(op):
    return lambda x: op(ops.mul(ops.tanh(x), 0.9))


CASES = {  # operator: (function, input types), or several of them
    **{name: (getattr(ops, name), V) for name in UNARY},
    **{name: (of_positive(getattr(ops, name)), V) for name in ("sqrt", "rsqrt", "log", "log1p")},
    **{name: (of_fraction(getattr(ops, name)), V) for name in ("asin", "acos", "atanh")},
    "acosh": (lambda x: ops.acosh(ops.add(ops.abs(x), 1.5)), V),
    **{name: [(getattr(ops, name), V, V), (getattr(ops, name), I, I)] for name in BINARY},
    "div": [(ops.div, V, V), (lambda a, b: ops.div(ops.sub(a, 5), ops.add(b, 2)), I, I)],
    "rem": [
        (lambda a, b: ops.rem(a, ops.add(ops.abs(b), 0.5)), V, V),
        (lambda a, b: ops.rem(ops.sub(a, 7), ops.add(b, 2)), I, I),
    ],
    "pow": (lambda a, b: ops.pow(ops.abs(a), b), V, V),
    "atan2": [(ops.atan2, V, V), (lambda a, b: ops.atan2(a, ops.mul(b, 0.0)), V, V)],
    **{
        name: [(getattr(ops, f"logical_{name}"), *types) for types in ((T, T), (I, I))] for name in ("and", "or", "xor")
    },
    "not": [(ops.logical_not, T), (ops.logical_not, I)],
    "shift_left": [(ops.shift_left, U, U), (ops.shift_left, I, I)],
    "shift_right": [(ops.shift_right, U, U), (lambda a, b: ops.shift_right(ops.sub(a, 9), b), I, I)],
    "select": (ops.select, T, V, V),
    "cast": [
        (lambda x: ops.cast(x, np.int32), V),
        (lambda x: ops.cast(x, np.float16), I),
        (lambda x: ops.cast(x, np.bool_), V),
    ],
    "reshape": [
        (lambda x: ops.reshape(x, (4, N, 3)), A),
        (lambda x: ops.reshape(x, (M, N * 4)), B),
        (lambda x: ops.reshape(x, (N * 12,)), A),
    ],
    "transpose": (lambda x: ops.transpose(x, (2, 0, 1)), A),
    "broadcast_to": (lambda x, y: ops.broadcast_to(x, (M, N, 3, 4)), A, B),
    "slice": [
        (lambda x: ops.slice(x, (0, 1, 0), (N, 3, 4), (1, 1, 2)), A),
        (lambda x: ops.slice(x, (1, 0, 0), (N, 3, 4), (2, 1, 1)), A),
    ],
    "reverse": (lambda x: ops.reverse(x, (0, 2)), A),
    "pad": [
        (lambda x: ops.pad(x, 1.5, (1, 0, 2), (0, N, 3)), A),
        (lambda x: ops.pad(x, 0.0, (0, -1, 0), (0, 0, -2)), A),
    ],
    "concatenate": (lambda x, y: ops.concatenate([x, y, x], 1), A, A),
    "gather": (lambda x, i: ops.gather(x, i, 1), A, I),
    "gather_nd": [
        (lambda x, i: ops.gather_nd(x, ops.reshape(i, (N, 5, 1)), 1), A, I),
        (lambda x, i: ops.gather_nd(x, ops.slice(i, (0, 0), (N, 2))), A, I),
    ],
    "take_along_axis": (lambda x, i: ops.take_along_axis(x, i, 1), V, I),
    "scatter_nd": [
        (lambda x, u: ops.scatter_nd(x, np.array([[1], [0]]), ops.slice(u, (0, 0, 0), (2, 3, 4))), A, A),
        (lambda x, u: ops.scatter_nd(x, np.array([[1], [1]]), ops.slice(u, (0, 0, 0), (2, 3, 4)), "add"), A, A),
    ],
    "scatter_elements": [
        (lambda x, i, u, r=reduction: ops.scatter_elements(x, i, u, 1, r), V, I, V)
        for reduction in ("add", "max", "min", "mul")
    ],
    "iota": [(lambda x, a=axis: ops.add(x, ops.iota(F, (N, 5), a)), V) for axis in (0, 1)],
    "dims": (lambda x: ops.shape_vector((N * 2 + 1, ceildiv(N, 2), dim_max(N, M), dim_min(N, 3), N % M, 7)), B),
    **{
        name: [(lambda x, f=getattr(ops, name): f(x, (0, 2), True), A), (lambda x, f=getattr(ops, name): f(x, (1,)), A)]
        for name in ("reduce_sum", "reduce_prod", "reduce_max", "reduce_min")
    },
    "reduce_and": (lambda x: ops.reduce_and(x, 1), T),
    "reduce_or": (lambda x: ops.reduce_or(x, 1, True), T),
    "argmax": [(lambda x: ops.argmax(x, 1), A), (lambda x: ops.argmax(x, 1, True, True), I)],
    "argmin": (lambda x: ops.argmin(x, 2, True), A),
    **{
        name: [
            (lambda x, f=getattr(ops, name), e=e, r=r: f(x, 1, e, r), A) for e in (False, True) for r in (False, True)
        ]
        for name in ("cumsum", "cumprod")
    },
    "sort": [(lambda x: ops.sort(x, 1), A), (lambda x: ops.sort(x, 0, True), A)],
    "top_k": [(lambda x: ops.top_k(x, 2, 1), A), (lambda x: ops.top_k(x, N, 0, False), A)],
    "flatnonzero": [(lambda x: ops.nonzero(ops.gt(x, 0.3)), A), (lambda x: ops.compress(x, np.arange(5)), (np.bool_, (5,)))],
    "unique": [(lambda x: ops.unique(x), I), (lambda x: ops.unique(ops.gt(x, 0), 1, sorted=False), V)],
    "non_max_suppression": [
        (lambda b, s: ops.non_max_suppression(b, s, 3, 0.1, 0.2), (F, (2, M, 4)), (F, (2, 3, M))),
        (lambda b, s, k: ops.non_max_suppression(ops.abs(b), s, k, 0.5, center_point_box=True),
         (F, (2, 9, 4)), (F, (2, 1, 9)), (np.int64, ())),
    ],
    "define_dim": (lambda x: ops.pad(ops.top_k(ops.nonzero(x), 1)[0], 0, (0, ops.dim_of(ops.reduce_max(x))), (0, 1)), I),
    "dot_general": [
        (lambda a, b: ops.matmul(a, b), A, B),
        (lambda a, b: ops.dot_general(a, b, contracting=((1, 2), (0, 1))), (F, (N, 3, 4)), (F, (3, 4, 6))),
        (
            lambda a, b: ops.dot_general(a, b, contracting=((1,), (2,)), batch=((0,), (0,))),
            (F, (N, 4, 3)),
            (F, (N, M, 4)),
        ),
        (lambda a, b: ops.dot_general(a, b, contracting=((1,), (1,)), batch=((0,), (0,))), V, V),
        (ops.matmul, (F, (4,)), (F, (4,))),
        (lambda a: ops.matmul(a, normal(4, 6)), A),
    ],
    "conv_general": [
        (
            lambda x: ops.conv_general(
                x, normal(6, 4, 3, 2), padding=((1, 2), (0, 1)), strides=(2, 1), rhs_dilation=(1, 2)
            ),
            IMAGE,
        ),
        (lambda x: ops.conv_general(x, normal(6, 2, 3, 3), padding=((1, 1), (1, 1)), groups=2), IMAGE),
        (lambda x: ops.conv_general(x, normal(3, 3, 4, 6), padding=((1, 1), (-1, 2)), layout="channels_last"), LAST),
        (lambda x: ops.add(ops.conv_general(x, normal(3, 3, 4, 6), layout="channels_last"), normal(6)), LAST),
        (lambda x: ops.conv_general(x, normal(6, 4, 3, 3), padding=((1, 1), (2, 2)), lhs_dilation=(2, 3)), IMAGE),
        (
            lambda x: ops.conv_general(x, normal(6, 2, 3, 3), padding=((2, 3), (2, 2)), lhs_dilation=(2, 2), groups=2),
            IMAGE,
        ),
        (
            lambda x: ops.conv_general(
                x, normal(6, 4, 3, 3), padding=((4, 3), (2, 2)), lhs_dilation=(2, 2), strides=(2, 1)
            ),
            IMAGE,
        ),
        (lambda x, w: ops.conv_general(x, w, padding=((2, 2), (1, 2)), lhs_dilation=(2, 1)), IMAGE, (F, (6, 4, 3, 3))),
        (lambda x: ops.conv_general(ops.cast(x, np.int32), np.ones((2, 4, 2, 2), np.int32)), (np.int8, (N, 4, 5, 5))),
    ],
    "reduce_window": [
        (
            lambda x, k=kind: ops.reduce_window(
                x, k, (1, 1, 3, 2), (1, 1, 2, 1), ((0, 0), (0, 0), (1, 1), (0, 1)), (1, 1, 1, 2)
            ),
            IMAGE,
        )
        for kind in ("max", "min", "sum")
    ]
    + [
        (lambda x: ops.reduce_window(x, "max", (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (0, 0), (0, 0))), LAST),
        (lambda x: ops.reduce_window(x, "sum", (1, 3), None, ((0, 0), (5, 1))), V),
        (lambda x: ops.reduce_window(x, "max", (2, 2)), I),
    ],
    "clip": (lambda x: ops.clip(x, -0.5, 0.75), V),
    "prelu": (lambda x: ops.prelu(x, normal(5)), V),
    **{name: (lambda x, f=getattr(ops, name): f(x, 1), A) for name in ("softmax", "log_softmax", "hardmax")},
    "layer_normalization": [
        (lambda x: ops.layer_normalization(x, normal(4), normal(4)), A),
        (lambda x: ops.layer_normalization(x, normal(3, 4), axis=1), A),
    ],
    "rms_normalization": (lambda x: ops.rms_normalization(x, normal(4)), A),
    "batch_normalization": [
        (lambda x: ops.batch_normalization(x, normal(4), normal(4), normal(4), np.abs(normal(4)) + 1), IMAGE),
        (lambda x: ops.batch_normalization(x, normal(4), normal(4), normal(4), np.abs(normal(4)) + 1, axis=3), LAST),
    ],
    "instance_normalization": (lambda x: ops.instance_normalization(x, normal(4), normal(4)), IMAGE),
    "group_normalization": (lambda x: ops.group_normalization(x, normal(4), normal(4), num_groups=2), IMAGE),
    "lrn": (lambda x: ops.lrn(x, size=3), IMAGE),
    "lp_normalization": (lambda x: ops.lp_normalization(x, axis=1), A),
    "mean_variance_normalization": (lambda x: ops.mean_variance_normalization(x, (0, 2)), A),
    "attention": [
        (lambda q, k: ops.attention(q, k, k), (F, (N, 2, 5, 8)), (F, (N, 2, M, 8))),
        (lambda q, k: ops.attention(q, k, k, scale=0.25), (F, (N, 5, 8)), (F, (N, M, 8))),
        (lambda q, m: ops.attention(q, q, q, m), (F, (N, 3, 2, 5, 8)), (F, (5, 5))),
        (lambda q: ops.attention(q, q, q, causal=True), (F, (N, 2, 5, 8))),
    ],
    "rnn": (recurrent(ops.rnn, 1), (F, (N, 2, 3))),
    "gru": (recurrent(ops.gru, 3, linear_before_reset=True), (F, (N, 2, 3))),
    "lstm": (recurrent(ops.lstm, 4), (F, (N, 2, 3))),
    "depth_to_space": (lambda x: ops.depth_to_space(x, blocksize=2), IMAGE),
    "space_to_depth": (lambda x: ops.space_to_depth(x, blocksize=2), (F, (N, 2, 4, 6))),
    "average_pool": [
        (
            lambda x, c=c: ops.average_pool(
                x, window=(3, 2), strides=(2, 1), padding=((1, 1), (0, 1)), count_include_pad=c
            ),
            IMAGE,
        )
        for c in (False, True)
    ],
    "conv_transpose": [
        (
            lambda x: ops.add(
                ops.conv_transpose(
                    x,
                    normal(4, 3, 3, 3),
                    strides=(2, 2),
                    padding=((1, 0), (1, 1)),
                    output_padding=(1, 0),
                    dilations=(1, 1),
                    groups=2,
                ),
                normal(6, 1, 1),
            ),
            IMAGE,
        ),
        (
            lambda x: ops.conv_transpose(
                x,
                normal(2, 2, 5, 4),
                strides=(2, 2),
                padding=((0, 0), (0, 0)),
                output_padding=(0, 0),
                dilations=(1, 1),
                layout="channels_last",
            ),
            LAST,
        ),
        (
            lambda x: ops.conv_transpose(
                x,
                normal(4, 6, 3, 3),
                strides=(1, 1),
                padding=((0, -2), (0, 0)),
                output_padding=(0, 0),
                dilations=(1, 1),
            ),
            IMAGE,
        ),
    ],
    "quantize_linear": [
        (lambda x: ops.quantize_linear(x, F(0.1), np.uint8(3)), V),
        (lambda x: ops.quantize_linear(x, normal(3) ** 2 + 0.1, np.zeros(3, np.int8), axis=1), A),
    ],
    "dequantize_linear": [
        (lambda x: ops.dequantize_linear(x, F(0.1), np.uint8(3)), U),
        (lambda x: ops.dequantize_linear(ops.cast(x, np.int32), F(0.5), np.int32(0)), I),
    ],
    "logsumexp": [(lambda x: ops.logsumexp(x, (0, 2), True), A), (lambda x: ops.logsumexp(x, (1,)), A)],
    "resize": [
        (lambda x: ops.resize(x, (N, 4, 18, 2 * M)), IMAGE),
        (lambda x: ops.resize(x, (N, 4, 5, 7), mode="linear"), IMAGE),
        (
            lambda x: ops.resize(x, (N, 4, 13, M), scales=(1, 1, 1.5, 1), mode="cubic", coordinate_mode="asymmetric"),
            IMAGE,
        ),
        (lambda x: ops.resize(x, (N, 4, 14, M), scales=(1, 1, 1.5, 1), mode="linear"), IMAGE),
        # not the size the scale gives
        (lambda x: ops.resize(x, (N, 18, 16, 4), mode="linear"), LAST),
        (lambda x: ops.resize(x, (N, 4, 4, M), mode="linear", antialias=True), IMAGE),
    ],
    "trilu": [(lambda x: ops.trilu(x, 1), A), (lambda x: ops.trilu(x, -1, upper=False), A)],
    "scan": [
        (
            lambda s, x, c, r=reverse: ops.scan(
                body_of(lambda s, x, c: (ops.add(ops.mul(s, c), x), ops.exp(x)), (F, (4,)), (F, (4,)), (F, (1,))),
                s,
                x,
                c,
                num_carry=1,
                num_scanned=1,
                length=N,
                reverse=r,
            ),
            (F, (4,)),
            (F, (N, 4)),
            (F, (1,)),
        )
        for reverse in (False, True)
    ],
    "cond": (
        lambda p, x: ops.cond(
            ops.reduce_or(p), body_of(lambda x: (ops.neg(x), x), A), body_of(lambda x: (x, ops.exp(x)), A), x
        ),
        T,
        A,
    ),
    "while": (
        lambda x: ops.while_loop(
            body_of(lambda x, i, c: (ops.lt(ops.reduce_sum(ops.abs(x)), c),), (F, (3,)), (np.int64, ()), (F, ())),
            body_of(lambda x, i, c: (ops.mul(x, 1.5), ops.add(i, 1)), (F, (3,)), (np.int64, ()), (F, ())),
            x,
            np.int64(0),
            F(100),
            num_carry=2,
        ),
        (F, (3,)),
    ),
}
ROWS = [
    (name, i, case)
    for name, cases in CASES.items()
    for i, case in enumerate(cases if isinstance(cases, list) else [cases])
]


@pytest.mark.parametrize("name, index, case", ROWS, ids=[f"{name}-{i}" for name, i, _ in ROWS])
def test_operator(name, index, case):
    function, *types = case
    check_export(build(function, *types), rtol=1e-3, atol=1e-4)


PARTS = {"make_strings", "tree_ensemble", "count_ngrams", "automaton_match"}
"""what composites that are exported whole become when they are compiled: ONNX has no form of it"""

DECOMPOSED = {"dynamic_quantize_lstm", "mul_no_nan", "stop_gradient", "alias", "custom_vjp"}
"""composites that ONNX has no operator for: what they are made of is written; other tests export them"""

WITHOUT_A_CASE = {
    "bitcast", "cast_map", "col2im", "deform_conv", "det", "dft", "dict_vectorizer", "grid_sample", "lookup", "max_pool_indices", "max_roi_pool",
    "max_unpool", "mt19937", "random_bits", "regex_full_match", "replace_characters", "roi_align", "string_concat",
    "string_count", "string_split", "tf_idf_vectorizer", "tree_ensemble_5", "tree_ensemble_classifier",
    "tree_ensemble_regressor",
}
"""what ONNX Runtime cannot compute, or other tests export"""


def test_every_operator_has_a_row_and_a_case():
    # scheduling adds rows that are a kernel's only; names with a domain are ONNX's own, see test_whole
    meant = {name for name, row in OPERATORS.items() if (row.evaluate or row.decompose) and "." not in name}
    assert meant - set(EXPORTERS) == PARTS | DECOMPOSED and not {name for name in EXPORTERS if "." not in name} - meant
    assert meant - PARTS - DECOMPOSED - set(CASES) == WITHOUT_A_CASE


@pytest.mark.parametrize("opset", [18, 20, 21, 22, 24])
def test_opsets(opset):
    def network(x):
        y = ops.gelu(ops.layer_normalization(x, normal(4), normal(4)))
        return ops.attention(y, y, y), ops.silu(ops.rms_normalization(x, normal(4))), ops.reduce_max(y, 1)

    written = check_export(build(network, A), opset=opset, rtol=1e-3)
    assert written.opset_import[0].version == opset
    found = set(op_types(written))
    assert ("Gelu" in found, "RMSNormalization" in found, "Swish" in found) == (opset >= 20, opset >= 23, opset >= 24)
    assert "LayerNormalization" in found


def test_composites_inside_a_loop_follow_the_opset():
    body = body_of(lambda s, x: (ops.rms_normalization(ops.add(s, x), normal(4)), ops.silu(x)), (F, (4,)), (F, (4,)))

    def loop(s, x):
        return ops.scan(body, s, x, num_carry=1, num_scanned=1, length=N)

    for opset in (18, 23, 24):
        check_export(build(loop, (F, (4,)), (F, (N, 4))), opset=opset)


def test_composites_come_back_whole():
    def network(x):
        return ops.softmax(ops.layer_normalization(ops.gelu(x), normal(4), normal(4)))

    assert op_types(export_onnx(build(network, A))) == ["Gelu", "LayerNormalization", "Softmax"]


def test_biases_are_operands_of_their_convolutions():
    def network(x):
        y = ops.relu(ops.add(ops.conv_general(x, normal(6, 4, 3, 3)), normal(6, 1, 1)))
        return ops.add(ops.conv_general(y, normal(2, 6, 1, 1)), ops.reduce_sum(y, (1,), True))  # no bias

    assert op_types(check_export(build(network, IMAGE), rtol=1e-3, atol=1e-3)) == [
        "Conv",
        "Relu",
        "Conv",
        "ReduceSum",
        "Add",
    ]


def test_names_and_symbols_are_kept():
    graph = build(lambda x, y: (ops.matmul(x, y),), A, B)
    written = export_onnx(graph)
    dims = {
        i.name: [d.dim_param or d.dim_value for d in i.type.tensor_type.shape.dim]
        for i in (*written.graph.input, *written.graph.output)
    }
    assert dims == {"x0": ["n", 3, 4], "x1": ["n", 4, "m"], "y0": ["n", 3, "m"]}
    again = import_onnx(written)
    assert [t.type for t in again.inputs] == [t.type for t in graph.inputs]
    assert again.outputs[0].type == graph.outputs[0].type


def test_outputs_that_are_inputs_constants_or_the_same():
    def network(x):
        y = ops.exp(x)
        return x, y, y, make_constant(np.arange(3))

    written = check_export(build(network, V))
    assert [o.name for o in written.graph.output] == ["y0", "y1", "y2", "y3"]


def test_names_that_are_taken():
    x = make_input("y0", F, (2,))
    graph = Graph("model", [x], [ops.neg(ops.exp(x))], output_names=["constant"])
    check_export(graph)


def test_symbols_from_expressions_of_them():
    x = make_input("x", F, (2 * N + 1, 3))
    check_export(Graph("model", [x], [ops.iota(np.int64, (N,), 0), ops.reshape(x, (6 * N + 3,))]), {"x": normal(7, 3)})


def test_a_symbol_no_input_shows():
    x = make_input("x", F, (N * M,))
    with pytest.raises(InvalidModelError, match="symbol"):
        export_onnx(Graph("model", [x], [ops.iota(np.int64, (N,), 0)]))


@pytest.mark.parametrize("opset", [7, 17, 99])
def test_opsets_that_are_not_written(opset):
    with pytest.raises(ArgumentError, match=f"opset {opset}; expected 18 to"):
        export_onnx(build(ops.exp, V), opset=opset)


# -- files -------------------------------------------------------------------------------------------------------------
def test_file(tmp_path):
    graph = build(lambda x: ops.matmul(x, normal(5, 300)), V)
    path = tmp_path / "model.onnx"
    written = export_onnx(graph, path)
    assert onnx.load(path) == written and [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("external, name", [(True, "model.onnx.data"), ("weights.bin", "weights.bin")])
def test_external_data(tmp_path, external, name):
    graph = build(lambda x: ops.add(ops.matmul(x, normal(5, 300)), normal(300)), V)
    path = tmp_path / "model.onnx"
    export_onnx(graph, path, external_data=external)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["model.onnx", name])
    assert (tmp_path / name).stat().st_size >= 6000 > path.stat().st_size
    onnx.checker.check_model(str(path), full_check=True)
    feeds = random_inputs(graph)
    for answers in (runtime(str(path), feeds), evaluate(import_onnx(path), feeds)):
        assert_close(answers, evaluate(graph, feeds))


def test_external_data_needs_a_place(tmp_path):
    graph = build(ops.exp, V)
    with pytest.raises(ArgumentError, match="path"):
        export_onnx(graph, external_data=True)
    with pytest.raises(ArgumentError, match="beside the model"):
        export_onnx(graph, tmp_path / "m.onnx", external_data="../weights.bin")


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path):
    target = tmp_path / "taken"
    target.mkdir()
    with pytest.raises(OSError):
        export_onnx(build(ops.exp, V), target)
    assert list(tmp_path.iterdir()) == [target] and not list(target.iterdir())


def test_round_trip_of_control_flow():
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "x"], ["t"]), helper.make_node("Mul", ["t", "k"], ["o"])],
        "b",
        [helper.make_tensor_value_info("s", 1, [3]), helper.make_tensor_value_info("x", 1, [3])],
        [onnx.ValueInfoProto(name="t"), onnx.ValueInfoProto(name="o")],
    )
    made = model(
        [helper.make_node("Scan", ["s0", "xs"], ["last", "all"], body=body, num_scan_inputs=1)],
        {"s0": (F, [3]), "xs": (F, ["time", 3]), "k": (F, [3])},
        ["last", "all"],
    )
    feeds = {"s0": normal(3), "xs": normal(5, 3, seed=1), "k": normal(3, seed=2)}
    graph = import_onnx(made)
    check_export(graph, feeds)
    check_export(import_onnx(export_onnx(graph)), feeds)


def reference(written, *arrays):
    """The results of the onnx package's own evaluator."""
    evaluator = ReferenceEvaluator(written)
    return evaluator.run(None, dict(zip([i.name for i in written.graph.input], arrays)))


def opset_of(written):
    return written.opset_import[0].version


def test_the_opset_is_one_that_has_what_the_graph_needs():
    assert opset_of(export_onnx(build(ops.exp, V))) == 23
    bits = build(lambda x: ops.bitcast(x, np.int32), (F, (3,)))
    assert opset_of(export_onnx(bits)) == 26
    inside = body_of(lambda s, x: (s, ops.bitcast(ops.bitcast(x, np.int32), F)), (F, ()), (F, ()))
    loop = build(lambda s, x: ops.scan(inside, s, x, num_carry=1, num_scanned=1, length=4), (F, ()), (F, (4,)))
    assert opset_of(export_onnx(loop)) == 26
    assert opset_of(export_onnx(bits, opset=27)) == 27


def test_running_products_have_an_operator_since_opset_26():
    x = normal(3, 4)
    for options in ((0, False, False), (1, True, False), (1, False, True), (0, True, True)):
        graph = build(lambda t, o=options: ops.cumprod(t, *o), (F, (3, 4)))
        written = export_onnx(graph, opset=26)
        assert op_types(written) == ["CumProd"]
        expected = evaluate(graph, [x])[0]
        for model_ in (written, export_onnx(graph)):
            np.testing.assert_allclose(reference(model_, x)[0], expected, rtol=1e-6)


def test_uneven_padding_of_pools_has_a_name():
    def written(window, strides, padding):
        graph = build(lambda x: ops.reduce_window(x, "max", (1, 1, *window), (1, 1, *strides), ((0, 0), (0, 0), *padding)),
                      (F, (1, 2, 7, 8)))
        (node,) = (n for n in check_export(graph).graph.node if n.op_type == "MaxPool")
        return {a.name: a.s.decode() or list(a.ints) for a in node.attribute if a.name in ("auto_pad", "pads")}

    assert written((2, 3), (1, 2), ((0, 1), (0, 1))) == {"auto_pad": "SAME_UPPER"}
    assert written((2, 3), (1, 2), ((1, 0), (1, 0))) == {"auto_pad": "SAME_LOWER"}
    assert written((3, 3), (1, 1), ((1, 1), (1, 1))) == {"pads": [1, 1, 1, 1]}
    assert written((2, 3), (1, 2), ((0, 1), (1, 0))) == {"pads": [0, 1, 1, 0]}


def test_numbers_that_a_loop_collects_are_a_vector():
    """The onnx reference evaluator makes a matrix of them where a loop collects them as they are."""
    body = helper.make_graph(
        [helper.make_node("Mul", ["state", "state"], ["next"]), helper.make_node("Identity", ["state"], ["item"]),
         helper.make_node("Identity", ["going"], ["on"])], "body",
        [helper.make_tensor_value_info("step", 7, []), helper.make_tensor_value_info("going", 9, []), helper.make_tensor_value_info("state", 1, [])],
        [helper.make_tensor_value_info("on", 9, []), helper.make_tensor_value_info("next", 1, []), helper.make_tensor_value_info("item", 1, [])])
    loop = model([helper.make_node("Loop", ["n", "", "x"], ["last", "items"], body=body)], {"n": (np.int64, ()), "x": (F, ())}, ["last", "items"])
    written = export_onnx(import_onnx(loop))
    last, items = reference(written, np.int64(3), F(2))
    assert last == 256
    np.testing.assert_array_equal(items, F([2, 4, 16]))
