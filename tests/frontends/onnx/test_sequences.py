"""Sequences, optional values, and control flow around them: compiled, against the onnx reference evaluator."""
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx.reference import ReferenceEvaluator

import dlcompile
from dlcompile.errors import ArgumentError, ExecutionError, UnsupportedOperatorError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.graph import verify

HEAD = '<ir_version: 10, opset_import: ["" : 20]>\n'


def model(text: str) -> onnx.ModelProto:
    parsed = onnx.parser.parse_model(HEAD + text)
    onnx.checker.check_model(parsed)
    return parsed


def same(got, wanted, what: str) -> None:
    assert isinstance(got, list) == isinstance(wanted, list), what
    if isinstance(wanted, list):
        assert len(got) == len(wanted), what
        for a, b in zip(got, wanted):
            same(a, b, what)
        return
    wanted = np.asarray(wanted)
    assert got.dtype == wanted.dtype and got.shape == wanted.shape, f"{what}: {got.dtype}{got.shape}, not {wanted.dtype}{wanted.shape}"
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=what)


def check(text: str, *feeds: dict) -> None:
    proto = model(text)
    verify(import_onnx(proto))
    compiled = dlcompile.compile(proto, cache=False, name="m")
    reference = ReferenceEvaluator(proto)
    for feed in feeds:
        expected = reference.run(None, feed)
        got = compiled.run(feed)
        for output, wanted in zip(proto.graph.output, expected, strict=True):
            same(got[output.name], wanted, f"{output.name} of {feed}")


def f(*shape):
    return np.random.default_rng(sum(shape) + len(shape)).standard_normal(shape).astype(np.float32)


def i(value):
    return np.array(value, np.int64)


def test_items_by_a_number_from_data():
    check("""g (float[2, n] a, float[m, 3] b, int64 p) => (float[x, y] item, int64 n_items, seq(float[k, l]) all) {
        all = SequenceConstruct(a, b)
        item = SequenceAt(all, p)
        n_items = SequenceLength(all)
    }""", *({"a": f(2, 5), "b": f(4, 3), "p": i(p)} for p in (0, 1, -1, -2)))


def test_an_item_that_there_is_not():
    proto = model("g (float[2] a, int64 p) => (float[x] item) { s = SequenceConstruct(a, a)\n item = SequenceAt(s, p) }")
    compiled = dlcompile.compile(proto, cache=False, name="m")
    for p in (2, -3):
        with pytest.raises((ExecutionError, ArgumentError), match="a dimension is -1"):
            compiled(f(2), i(p))
    np.testing.assert_array_equal(compiled(f(2), i(1)), f(2))


def test_insert_and_erase():
    check("""g (seq(float[a, b]) s, float[c, d] x, int64 p, int64 q) => (seq(float[e, h]) y, seq(float[e, h]) z, seq(float[e, h]) last) {
        y = SequenceInsert(s, x, p)
        z = SequenceErase(y, q)
        last = SequenceErase(z)
    }""", *({"s": [f(2, 3), f(1, 4), f(0, 2)], "x": f(3, 1), "p": i(p), "q": i(q)} for p, q in ((0, 0), (2, -1), (-1, 2), (1, 3), (-3, -4))),
        {"s": [f(1, 1)], "x": f(3, 1), "p": i(0), "q": i(0)})


def test_insert_at_the_end():
    """Position n is behind the last of n items; the reference evaluator takes it modulo n."""
    proto = model("g (seq(float[a]) s, float[b] x, int64 p) => (seq(float[c]) y) { y = SequenceInsert(s, x, p) }")
    compiled = dlcompile.compile(proto, cache=False, name="m")
    for items in ([], [f(2)], [f(2), f(3)]):
        same(compiled(items, f(4), i(len(items))), [*items, f(4)], f"{len(items)} items")


@pytest.mark.parametrize("axis", [0, 1, -1, 2])
def test_concatenation_of_what_only_a_run_knows(axis):
    shapes = [[2, 3, 4] for _ in range(3)]
    for k, extent in enumerate((1, 0, 5)):
        shapes[k][axis] = extent
    check(f"g (seq(float[a, b, c]) s) => (float[d, e, h] y) {{ y = ConcatFromSequence<axis = {axis}>(s) }}",
          {"s": [f(*shape) for shape in shapes]}, {"s": [f(2, 3, 4)]})


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stacks_of_what_only_a_run_knows(axis):
    check(f"g (seq(float[a, b]) s) => (float[c, d, e] y) {{ y = ConcatFromSequence<axis = {axis}, new_axis = 1>(s) }}",
          {"s": [f(2, 3), f(2, 3) * 2]}, {"s": [f(1, 1)]})


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("parts", [i(2), i([1, 3, 0, 1]), i(7)])
def test_split(axis, parts):
    shape = "int64" if parts.ndim == 0 else "int64[4]"
    check(f"g (float[n, m] x, {shape} parts) => (seq(float[a, b]) y) {{ y = SplitToSequence<axis = {axis}>(x, parts) }}",
          {"x": f(5, 5), "parts": parts})
    check(f"g (float[n, m] x) => (seq(float[a]) y) {{ y = SplitToSequence<axis = {axis}, keepdims = 0>(x) }}", {"x": f(3, 4)}, {"x": f(1, 2)})


def test_a_loop_that_collects_items_of_growing_size():
    check("""g (int64 n, float[k] x) => (seq(float[a]) y) {
        empty = SequenceEmpty()
        yes = Constant<value_int = 1>()
        going = Cast<to = 9>(yes)
        y = Loop(n, going, empty) <body = b (int64 step, bool on, seq(float[a]) s) => (bool on2, seq(float[a]) t) {
            on2 = Identity(on)
            one = Constant<value_ints = [1]>()
            count = Add(step, one)
            item = Expand(x, one)
            wide = Tile(item, count)
            t = SequenceInsert(s, wide)
        }>
    }""".replace("Tile(item, count)", "Mul(item, item)"), *({"n": i(n), "x": f(k)} for n, k in ((0, 2), (3, 4), (1, 1))))


def test_a_loop_that_stops_by_itself_and_collects():
    check("""g (int64 most, float[n] x) => (float[n] y, float[t, n] all) {
        yes = Constant<value_int = 1>()
        going = Cast<to = 9>(yes)
        y, all = Loop(most, going, x) <body = b (int64 step, bool on, float[n] v) => (bool on2, float[n] w, float[n] kept) {
            two = Constant<value_float = 2.0>()
            limit = Constant<value_float = 40.0>()
            w = Mul(v, two)
            top = ReduceMax<keepdims = 0>(w)
            on2 = Less(top, limit)
            kept = Identity(w)
        }>
    }""", *({"most": i(m), "x": np.abs(f(k)) + 1} for m, k in ((100, 3), (2, 5))))


def test_a_loop_of_no_turns_collects_nothing():
    proto = model("""g (int64 n, float[3] x) => (float[3] y, float[t, 3] all) {
        y, all = Loop(n, , x) <body = b (int64 step, bool on, float[3] v) => (bool on2, float[3] w, float[3] kept) {
            on2 = Identity(on)  w = Neg(v)  kept = Identity(w) }> }""")
    compiled = dlcompile.compile(proto, cache=False, name="m")
    for turns in (0, 3, 1, -2):
        y, kept = compiled(i(turns), f(3))
        assert kept.shape == (max(turns, 0), 3)
        np.testing.assert_array_equal(y, f(3) * (-1) ** max(turns, 0))


def test_branches_that_give_sequences_and_sizes():
    check("""g (bool p, float[n, 3] x) => (seq(float[a, b]) y, float[c, d] z) {
        y, z = If(p) <
            then_branch = t () => (seq(float[a, b]) s, float[c, d] u) { s = SplitToSequence<axis = 1>(x)  u = Transpose(x) },
            else_branch = e () => (seq(float[a, b]) r, float[c, d] v) { r = SequenceConstruct(x)  v = Identity(x) }>
    }""", {"p": np.bool_(True), "x": f(2, 3)}, {"p": np.bool_(False), "x": f(4, 3)})


def test_optional_inputs():
    check("""g (optional(float[2, 3]) o, float[2, 3] x) => (bool there, float[2, 3] y) {
        there = OptionalHasElement(o)
        y = If(there) <then_branch = t () => (float[2, 3] v) { v = OptionalGetElement(o) }, else_branch = e () => (float[2, 3] w) { w = Neg(x) }>
    }""", {"o": f(2, 3), "x": f(2, 3)}, {"o": None, "x": f(2, 3)})


def test_an_optional_value_that_is_not_there():
    proto = model("g (optional(float[2]) o) => (float[2] y) { v = OptionalGetElement(o)\n y = Neg(v) }")
    compiled = dlcompile.compile(proto, cache=False, name="m")
    np.testing.assert_array_equal(compiled(f(2)), -f(2))
    with pytest.raises(ArgumentError, match="OptionalGetElement"):
        compiled(None)


def test_items_must_have_the_rank_that_is_needed():
    proto = model("g (seq(float[a, b]) s) => (float[c, d] y) { y = ConcatFromSequence<axis = 0>(s) }")
    compiled = dlcompile.compile(proto, cache=False, name="m")
    with pytest.raises(ArgumentError, match="must have 2 dimensions; they have 1"):
        compiled([f(3)])
    with pytest.raises(ArgumentError, match="must be float32, not float64"):
        compiled([f(3, 3).astype(np.float64)])
    with pytest.raises(ArgumentError, match="list of arrays, not ndarray"):
        compiled(f(3, 3))


def test_items_of_several_ranks_are_refused():
    proto = model("g (float[2] a, float[2, 2] b, int64 p) => (float[c] y) { s = SequenceConstruct(a, b)\n y = SequenceAt(s, p) }")
    with pytest.raises(UnsupportedOperatorError, match="SequenceAt.*different ranks"):
        import_onnx(proto)


@pytest.mark.parametrize("text, feeds", [
    ("""g (seq(float[a, b]) s, float[c, d] x) => (seq(float[e, h]) y, int64 n) { y = SequenceInsert(s, x)  n = SequenceLength(y) }""",
     [{"s": [f(2, 3)], "x": f(1, 1)}, {"s": [], "x": f(2, 2)}]),
    ("""g (optional(float[2, 3]) o, float[2, 3] x) => (bool there, float[2, 3] y) {
        there = OptionalHasElement(o)
        y = If(there) <then_branch = t () => (float[2, 3] v) { v = OptionalGetElement(o) }, else_branch = e () => (float[2, 3] w) { w = Neg(x) }>
    }""", [{"o": f(2, 3), "x": f(2, 3)}, {"o": None, "x": f(2, 3)}]),
    ("""g (int64 most, float[n] x) => (float[n] y, float[t, n] all) {
        yes = Constant<value_int = 1>()
        going = Cast<to = 9>(yes)
        y, all = Loop(most, going, x) <body = b (int64 step, bool on, float[n] v) => (bool on2, float[n] w, float[n] kept) {
            two = Constant<value_float = 2.0>()
            limit = Constant<value_float = 40.0>()
            w = Mul(v, two)
            top = ReduceMax<keepdims = 0>(w)
            on2 = Less(top, limit)
            kept = Identity(w)
        }>
    }""", [{"most": i(m), "x": np.abs(f(k)) + 1} for m, k in ((100, 3), (2, 5))]),
])
def test_export(text, feeds):
    proto = model(text)
    written = export_onnx(import_onnx(proto))
    onnx.checker.check_model(written)
    for feed in feeds:
        expected, got = (ReferenceEvaluator(m).run(None, feed) for m in (proto, written))
        for output, a, b in zip(proto.graph.output, got, expected, strict=True):
            same(a if isinstance(a, list) else np.asarray(a), b, output.name)


def test_sequence_map_of_items_that_are_known():
    """The body reads the items of a sequence from outside, at a position that only a turn knows."""
    from onnx import TensorProto, helper

    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("item", "other", "result")]
    body = helper.make_graph([helper.make_node("Mul", ["item", "other"], ["result"])], "body", info[:2], info[2:])
    nodes = [helper.make_node("SequenceConstruct", ["a", "b"], ["made"]), helper.make_node("SequenceMap", ["made", "other"], ["mapped"], body=body),
             helper.make_node("ConcatFromSequence", ["mapped"], ["y"], axis=0)]
    shapes = {"a": [3, 2], "b": ["m", 2], "other": [1, 2]}
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in shapes.items()],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    random = np.random.default_rng(0)
    compiled = dlcompile.compile(proto, cache=False, name="m")
    for m in (1, 4):
        a, b, other = (random.standard_normal(shape).astype(np.float32) for shape in ((3, 2), (m, 2), (1, 2)))
        np.testing.assert_array_equal(compiled(a, b, other), np.concatenate([a * other, b * other]))
