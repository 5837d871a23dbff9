"""Building graphs: types, provenance, constraints, the checker and the text."""
import numpy as np
import pytest

import dlcompile.operators  # noqa: F401  (fills the table)
from dlcompile import ops
from dlcompile.errors import DTypeError, InvalidModelError, ShapeError
from dlcompile.graph import (
    DTYPES,
    Graph,
    Node,
    Operator,
    Tensor,
    TensorType,
    absorb,
    apply,
    as_dtype,
    broadcast_shapes,
    dtype_name,
    known_dims,
    make_constant,
    make_input,
    provenance,
    register,
    symbol,
    verify,
)
from dlcompile.graph.tensor import MAX_RANK

N = symbol("n")


def x_input(*shape, dtype=np.float32, name="x"):
    return make_input(name, dtype, shape)


class TestTypes:
    def test_text_and_sizes(self):
        t = TensorType("bfloat16", (N, np.int64(3)))
        assert str(t) == "bfloat16[n, 3]" and t.size == 3 * N and t.nbytes == 6 * N and t.rank == 2 and not t.is_static
        assert type(t.shape[1]) is int

    @pytest.mark.parametrize("shape", [(2**61,), (2**31, N, 2**31), (2**40, 0, 2**40), (10**30, 0)])
    def test_sizes_beyond_64_bits_are_refused(self, shape):
        with pytest.raises(ShapeError, match="more bytes than 64 bits can count"):
            TensorType(np.float32, shape)
        assert TensorType(np.float32, (2**30, N, 2**30)).rank == 3

    def test_as_many_axes_as_numpy_iterates_over(self):
        assert len(list(np.zeros((1,) * MAX_RANK).flat)) == TensorType(np.float32, (1,) * MAX_RANK).size
        with pytest.raises(ShapeError, match="at most"):
            TensorType(np.float32, (1,) * (MAX_RANK + 1))

    def test_negative_dimensions_are_refused(self):
        with pytest.raises(ShapeError, match="negative"):
            TensorType(np.float32, (3, -1))

    def test_names_of_dtypes(self):
        assert all(as_dtype(dtype_name(d)) == d for d in DTYPES)
        with pytest.raises(TypeError, match="timedelta64 is not supported; supported are float64, "):
            as_dtype(np.timedelta64)

    @pytest.mark.parametrize("shapes, expected", [
        (((2, 1), (1, 3)), (2, 3)), (((N, 4), (4,)), (N, 4)), (((1,), (N,)), (N,)), (((), (2,)), (2,)), (((0,), (1,)), (0,)),
        (((N, 1, 5), (3, 1), (1,)), (N, 3, 5)), ((), ())])
    def test_broadcasting(self, shapes, expected):
        assert broadcast_shapes(*shapes) == expected

    def test_broadcasting_refuses(self):
        with pytest.raises(ShapeError, match="2 and 3 differ"):
            broadcast_shapes((2,), (3,))
        with pytest.raises(ShapeError, match="differ"):
            broadcast_shapes((N + 1,), (N + 2,))


class TestApply:
    def test_what_cannot_be_compared_is_noted(self):
        y = ops.add(x_input(N), x_input(symbol("m"), name="y"))
        assert set(y.producer.constraints) == {(N, symbol("m"))}
        assert Graph("g", [*y.producer.inputs], [y]).constraints[0][:2] == (N, symbol("m"))

    def test_a_composite_hands_on_its_decomposition_s_constraints(self):
        y = ops.prelu(x_input(N), x_input(symbol("m"), name="slope"))
        assert (N, symbol("m")) in y.producer.constraints and y.shape in ((N,), (symbol("m"),))

    def test_origin(self):
        with provenance("conv1", "conv1", "relu1"):
            y = ops.relu(x_input(2))
            assert y.producer.origin == ("conv1", "relu1")
            with provenance("inner"):
                absorb(y.producer)
                assert ops.neg(y).producer.origin == ("inner", "conv1", "relu1")
            assert ops.neg(y).producer.origin == ("conv1", "relu1")
        assert ops.neg(y).producer.origin == ()

    def test_errors_name_operator_and_origin(self):
        with provenance("layer7"), pytest.raises(ShapeError, match=r"add: .*2 and 3 differ.*node layer7"):
            ops.add(x_input(2), x_input(3, name="y"))
        with pytest.raises(DTypeError, match="add: operands have different element types: float32, int64"):
            ops.add(x_input(2), x_input(2, dtype=np.int64, name="y"))

    def test_no_large_value_is_computed_beside_the_graph(self):
        mask = ops.broadcast_to(np.True_, (2**40,))  # of more elements than there is memory for
        assert mask.known is None and ops.reduce_or(mask).known is None

    def test_known_dimensions(self):
        x = x_input(N, 3, 8)
        assert known_dims(ops.shape_of(x)) == (N, 3, 8)
        assert known_dims(ops.gather(ops.shape_of(x), np.array([-1, 0]), normalize=True)) == (8, N)
        with provenance("reshape3"), pytest.raises(InvalidModelError, match="computed from data.*reshape3"):
            known_dims(ops.cast(ops.reduce_max(x), np.int64))

    def test_a_name_is_taken_once(self):
        with pytest.raises(ValueError, match="'add' is in the table already"):
            register(Operator("add", "elementwise"))


class TestGraph:
    def test_only_what_outputs_need(self):
        x = x_input(2)
        y, unused = ops.exp(x), ops.neg(x)
        graph = Graph("g", [x], [y, y])
        assert [n.op for n in graph.nodes] == ["exp"] and unused.producer not in graph.nodes
        assert graph.users() == {x: [y.producer]}

    def test_symbols_in_order(self):
        a, b = x_input(symbol("t"), N, name="a"), x_input(2 * N, name="b")
        assert [s.name for s in Graph("g", [a, b], [a]).symbols] == ["t", "n"]

    def test_rebuild_keeps_names_origin_and_constraints(self):
        with provenance("first"):
            x, other = x_input(N), x_input(symbol("m"), name="y")
            y = ops.add(x, other)
            y.name = "total"
        graph = Graph("g", [x, other], [ops.relu(y)])
        doubled = graph.rebuild(lambda node, inputs: (ops.sub(*inputs),) if node.op == "add" else None)
        assert [n.op for n in doubled.nodes] == ["sub", "relu"]
        assert doubled.nodes[0].origin == ("first",) and doubled.nodes[0].output.name == "total"
        assert doubled.inputs == graph.inputs and {c[:2] for c in doubled.constraints} == {(N, symbol("m"))}
        assert graph.rebuild(lambda node, inputs: None) is graph

    def test_a_cycle_is_found(self):
        x = x_input(2)
        node = Node("neg", (x,), {}, (x.type,), ("loop",))
        node.inputs = (node.outputs[0],)
        with pytest.raises(InvalidModelError, match="cycle.*neg.*loop"):
            Graph("g", [x], node.outputs)


class TestVerify:
    def graph(self, node_changes=None):
        x = x_input(N, 4)
        with provenance("dense"):
            y = ops.matmul(x, np.ones((4, 3), np.float32))
        if node_changes:
            node_changes(y.producer)
        return Graph("g", [x], [y])

    def test_good(self):
        graph = self.graph()
        assert verify(graph) is graph

    @pytest.mark.parametrize("change, message", [
        (lambda node: setattr(node, "op", "no_such"), "no operator 'no_such'"),
        (lambda node: setattr(node.outputs[0], "type", TensorType(np.float32, (N, 5))), r"gives float32\[n, 3\], the node says float32\[n, 5\]"),
        (lambda node: setattr(node.inputs[1], "value", np.ones((4, 2), np.float32)), r"holds float32\[4, 2\]"),
        (lambda node: setattr(node, "inputs", (x_input(N, 4, name="stranger"), node.inputs[1])), "not made by an earlier node"),
    ])
    def test_bad_nodes(self, change, message):
        with pytest.raises(InvalidModelError, match=message) as caught:
            verify(self.graph(change))
        assert "dense" in str(caught.value)

    def test_names(self):
        x = x_input(2)
        with pytest.raises(InvalidModelError, match="output names are not unique: a, a"):
            verify(Graph("g", [x], [x, ops.neg(x)], output_names=["a", "a"]))
        with pytest.raises(InvalidModelError, match="as many names"):
            verify(Graph("g", [x], [x], output_names=["a", "b"]))

    def test_a_symbol_that_no_input_brings(self):
        x = x_input(2)
        with pytest.raises(InvalidModelError, match="uses m, which no input and no earlier node brings"):
            verify(Graph("g", [x], [ops.broadcast_to(x, (symbol("m"), 2))]))

    def test_an_output_from_elsewhere(self):
        with pytest.raises(InvalidModelError, match="'y' is made by no node"):
            verify(Graph("g", [x_input(2)], [x_input(2, name="other")], output_names=["y"]))


class TestText:
    def test_lines(self):
        x = x_input(N, 3)
        with provenance("act"):
            y = ops.leaky_relu(ops.add(x, make_constant(np.ones(3, np.float32))), alpha=0.5)
        y = ops.mul(y, np.float32(2))
        assert str(Graph("net", [x], [y], output_names=["score"])) == """\
graph net(%x: float32[n, 3]) {
  %c0: float32[3] = constant
  %0: float32[n, 3] = add(%x, %c0)  # act
  %1: float32[n, 3] = leaky_relu(%0) {alpha=0.5}  # act
  %2: float32[n, 3] = mul(%1, 2.0:float32[])
  return score=%2
}"""

    def test_bodies_are_nested(self):
        state = make_input("state", np.float32, ())
        body = Graph("body", [state], [ops.neg(state)])
        text = str(Graph("g", [x := make_input("x", np.float32, ())], list(ops.scan(body, x, num_carry=1, num_scanned=0, length=3))))
        assert "scan(%x) {num_carry=1, num_scanned=0, length=3, reverse=False}" in text
        assert "    body: graph body(%state: float32[]) {" in text and "neg(%state)" in text


def test_tensors_are_what_they_say():
    assert "input" in repr(x_input(2)) and make_constant([1, 2]).is_constant
    t = apply("neg", x_input(2))
    assert isinstance(t, Tensor) and t.op == "neg" and t.producer.output is t
    assert isinstance(apply("top_k", x_input(4), k=2, axis=0, largest=True), tuple)
