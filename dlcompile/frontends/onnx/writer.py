"""What the rows of the export tables write with: names, nodes, constants, and dimensions as computed values."""
from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from dlcompile.errors import InvalidModelError, UnsupportedOperatorError
from dlcompile.graph import OPERATORS, Dim, DimLike, Graph, Node, Symbol, Tensor, is_narrow, is_string, make_constant
from dlcompile.graph.dim import Operation
from dlcompile.graph.graph import topological_order

# dlcompile operator → row: (writer, node, *names of its operands) → name or names of its results
EXPORTERS: dict[str, Callable] = {}
SINCE: dict[str, int] = {}  # the opset that brought what a composite is written as; before it, it is decomposed


OTHER_DOMAINS = {"ai.onnx.ml": 4, "ai.onnx.preview.training": 1}  # the version of each domain beside ONNX's own whose operators are written; 5 has lost some


def exporter(*names: str, since: int = 1):
    """Declare a function to export the operators `names`; to opsets before `since` composites are decomposed."""
    def declare(function: Callable) -> Callable:
        for name in names:
            EXPORTERS[name] = function
            SINCE[name] = since
        return function
    return declare


class Writer:
    """The ONNX graph being written.

    `names` of tensors; `nodes` and `initializers` as they will be in the file. A subgraph's writer has an `outer` one,
    with which it shares the names in use and the constants.
    """

    def __init__(self, graph: Graph, opset: int, outer: Writer | None = None):
        self.graph, self.opset, self.outer = graph, opset, outer
        self.nodes: list[NodeProto] = []
        self.names: dict[Tensor, str] = {}
        self.root = outer.root if outer else self
        if outer is None:
            self.initializers: dict[str, np.ndarray] = {}
            self.domains: dict[str, int] = {}  # in use beside ONNX's own, and their versions
            self.used: set[str] = set()
            self.constants: dict[tuple, str] = {}
            self.biases = find_biases(graph)
            self.absorbed: set[Node] = set()
            self.maps: dict[tuple[Tensor, Tensor], str] = {}  # of keys and values, which have no names of their own
        self.dims: dict[DimLike, str] = {}
        self.origin = ""

    # -- names and nodes -----------------------------------------------------------------------------------------------
    def fresh(self, base: str) -> str:
        """A name nothing else has, `base` where that is free."""
        name, count = base, 1
        while name in self.root.used:
            name, count = f"{base}_{count}", count + 1
        self.root.used.add(name)
        return name

    def find(self, tensor: Tensor) -> str:
        """The name of a tensor that is there already; constants are put there."""
        if tensor.is_constant:
            return self.constant(tensor.value, tensor.name)
        writer: Writer | None = self
        while writer is not None:
            if tensor in writer.names:
                return writer.names[tensor]
            writer = writer.outer
        raise InvalidModelError(f"{tensor!r} is used before it is made")

    def emit(self, op_type: str, inputs: Sequence[str], outputs: int | None = None, **attributes) -> str | list[str]:
        """Write a node; the name of its result, or the list of names of as many as `outputs` says."""
        names = [self.fresh(f"{self.origin or 'value'}_{op_type}_out") for _ in range(outputs or 1)]
        given = {key: value for key, value in attributes.items() if value is not None}
        if given.get("domain"):
            self.root.domains.setdefault(given["domain"], OTHER_DOMAINS[given["domain"]])
        self.nodes.append(
            helper.make_node(op_type, list(inputs), names, name=self.fresh(self.origin or op_type), **given)
        )
        return names if outputs is not None else names[0]

    def constant(self, value, name: str | None = None, dtype=None) -> str:
        """The name of an initializer holding `value`; small ones that are equal are one."""
        array = np.asarray(value, dtype)
        content = tuple(array.flat) if is_string(array.dtype) else array.tobytes()  # an object's bytes are its address
        key = (array.dtype, array.shape, content) if array.size <= 1024 else (id(value),)
        if key not in self.root.constants:
            self.root.constants[key] = made = self.fresh(name or "constant")
            self.root.initializers[made] = array
        return self.root.constants[key]

    def like(self, value, tensor: Tensor) -> str:
        """A constant scalar of the type of `tensor`."""
        return self.constant(np.asarray(value).astype(tensor.dtype))

    # -- dimensions ----------------------------------------------------------------------------------------------------
    def shape(self, dims: Sequence[DimLike]) -> str:
        """The name of an int64 vector holding dimensions, computed from the inputs' shapes where they are symbolic."""
        if not any(isinstance(d, Dim) for d in dims):
            return self.constant(np.asarray(dims, np.int64).reshape(len(dims)))
        parts = [self.dim(d) for d in dims]
        return parts[0] if len(parts) == 1 else self.emit("Concat", parts, axis=0)

    def dim(self, dim: DimLike) -> str:
        """The name of an int64 vector of one element holding a dimension."""
        if not isinstance(dim, Dim):
            return self.constant(np.asarray([dim], np.int64))
        if dim not in self.dims:
            total = None
            for monomial, coefficient in dim.terms.items():
                factors = [self._atom(atom) for atom in monomial]
                if coefficient != 1 or not factors:
                    factors.append(self.dim(coefficient))
                term = factors[0]
                for factor in factors[1:]:
                    term = self.emit("Mul", [term, factor])
                total = term if total is None else self.emit("Add", [total, term])
            self.dims[dim] = total
        return self.dims[dim]

    def _atom(self, atom: Symbol | Operation) -> str:
        if isinstance(atom, Symbol):
            return self._symbol(atom)
        left, right = self.dim(atom.left), self.dim(atom.right)
        if atom.name in ("max", "min"):
            return self.emit(atom.name.capitalize(), [left, right])
        rest = self.emit("Mod", [left, right])  # its sign is the divisor's, as Python's
        return rest if atom.name == "mod" else self.emit("Div", [self.emit("Sub", [left, rest]), right])

    def _symbol(self, symbol: Symbol) -> str:
        """The value of a symbol from an input whose shape has it: alone, or as the only symbol of k*symbol + c."""
        alone = Dim({(symbol,): 1})
        writer: Writer | None = self
        while writer is not None:  # what is known outside of a nested graph is known in it
            if alone in writer.dims:
                return writer.dims[alone]
            writer = writer.outer
        candidates, writer = [], self
        while writer is not None and not candidates:
            candidates = [(tensor, axis) for tensor in writer.graph.inputs for axis, dim in enumerate(tensor.shape)
                          if isinstance(dim, Dim) and set(dim.terms) <= {(symbol,), ()} and dim.symbols]
            writer = writer.outer
        candidates.sort(key=lambda place: place[0].shape[place[1]] != alone)
        if not candidates:
            raise InvalidModelError(f"no input's shape gives the value of the symbol {symbol}")
        tensor, axis = candidates[0]
        dim = tensor.shape[axis]
        size = self.emit("Shape", [self.find(tensor)], start=axis, end=axis + 1)
        if dim != alone:
            size = self.emit("Sub", [size, self.dim(dim.terms.get((), 0))])
            size = self.emit("Div", [size, self.dim(dim.terms[(symbol,)])])
        self.dims[alone] = size
        return size

    def scalar(self, dim: DimLike) -> str:
        """The name of an int64 scalar holding a dimension."""
        if not isinstance(dim, Dim):
            return self.constant(np.asarray(dim, np.int64))
        return self.emit("Reshape", [self.dim(dim), self.constant(np.zeros(0, np.int64))])

    # -- movements that several rows need ------------------------------------------------------------------------------
    def reshape(self, x: str, shape: Sequence[DimLike]) -> str:
        """`x` in another shape; one symbolic dimension is written as -1."""
        symbolic = [axis for axis, d in enumerate(shape) if isinstance(d, Dim)]
        if len(symbolic) == 1 and 0 not in [d for d in shape if not isinstance(d, Dim)]:
            return self.emit(
                "Reshape", [x, self.constant(np.asarray([-1 if isinstance(d, Dim) else d for d in shape], np.int64))]
            )
        zero = bool(symbolic) or 0 in [d for d in shape if not isinstance(d, Dim)]
        return self.emit("Reshape", [x, self.shape(shape)], allowzero=1 if zero else None)

    def transpose(self, x: str, permutation: Sequence[int]) -> str:
        """`x` with its axes in another order; itself where they stay."""
        permutation = list(permutation)
        return x if permutation == sorted(permutation) else self.emit("Transpose", [x], perm=permutation)

    def cast(self, x: str, dtype) -> str:
        return self.emit("Cast", [x], to=onnx_type(dtype))

    def vector(self, values: Sequence[int]) -> str:
        """An int64 vector."""
        return self.constant(np.asarray(values, np.int64).reshape(len(values)))

    # -- graphs --------------------------------------------------------------------------------------------------------
    def write(self, graph: Graph) -> None:
        """Write the nodes of a graph whose inputs have names already."""
        for node in graph.nodes:
            self.ensure(node)

    def ensure(self, node: Node) -> None:
        """Write a node whose operands are written, unless it is there already."""
        if not all(tensor in self.names for tensor in node.outputs):
            self.origin = node.origin[0] if node.origin else node.op
            self.write_node(node)

    def write_node(self, node: Node) -> None:
        """Write a node whose operands are written; a composite that the opset does not have as what it is made of."""
        row = EXPORTERS.get(node.op)
        if OPERATORS[node.op].is_composite and (row is None or SINCE[node.op] > self.opset):
            made = self.decomposed(node)
        elif row is None:
            raise UnsupportedOperatorError(f"{node!r}: ONNX has no form of {node.op}")
        else:
            made = row(self, node, *(self.find(t) for t in node.inputs))
        for tensor, name in zip(node.outputs, made if isinstance(made, (list, tuple)) else (made,), strict=True):
            self.names[tensor] = name

    def bias(self, node: Node) -> list[str]:
        """The name of the bias vector that is added to a convolution and nothing else, to be an operand of it; that
        addition is the convolution then. An empty list where there is none."""
        found = self.root.biases.get(node)
        if found is None or self.outer is not None:
            return []
        addition, vector = found
        origin = self.origin
        for inner in topological_order([vector]):
            self.ensure(inner)
        self.origin = origin
        self.root.absorbed.add(addition)
        return [self.find(vector)]

    def decomposed(self, node: Node) -> str | tuple[str, ...]:
        """A composite written as what it is made of."""
        made = OPERATORS[node.op].decompose(node.attributes, *node.inputs)
        outputs = made if isinstance(made, tuple) else (made,)
        for inner in topological_order(outputs):
            if not all(tensor in self.names for tensor in inner.outputs):
                self.write_node(inner)
        names = tuple(self.find(t) for t in outputs)
        return names if isinstance(made, tuple) else names[0]


def find_biases(graph: Graph) -> dict[Node, tuple[Node, Tensor]]:
    """Convolutions whose only use is the addition of a value for each channel: that addition, and the vector."""
    users, found = graph.users(), {}
    for node in graph.nodes:
        if (
            node.op not in ("conv_general", "conv_transpose")
            or node.output in graph.outputs
            or len(users.get(node.output, ())) != 1
        ):
            continue
        (addition,) = users[node.output]
        if addition.op != "add" or addition.output.shape != node.output.shape:
            continue
        other = addition.inputs[1 - addition.inputs.index(node.output)]
        axis = node.output.rank - 1 if node.attributes["layout"] == "channels_last" else 1
        wide = (1,) * (node.output.rank - other.rank) + other.shape
        if any(d != 1 for a, d in enumerate(wide) if a != axis) or wide[axis] != node.output.shape[axis]:
            continue
        if other.is_constant:
            found[node] = addition, make_constant(other.value.reshape(-1), name=other.name)
        elif other.op == "reshape" and other.producer.inputs[0].rank == 1:
            found[node] = addition, other.producer.inputs[0]
    return found


def onnx_type(dtype) -> int:
    """ONNX's code of an element type."""
    return helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def tensor_proto(name: str, array: np.ndarray) -> TensorProto:
    """An initializer, its data raw."""
    if is_narrow(array.dtype):
        return numpy_helper.from_array(array, name)  # several elements in a byte
    if is_string(array.dtype):
        data = [text.encode("utf-8", "surrogateescape") for text in array.flat]
        return TensorProto(name=name, data_type=TensorProto.STRING, dims=array.shape, string_data=data)
    proto = TensorProto(name=name, data_type=onnx_type(array.dtype), dims=array.shape)
    proto.raw_data = np.ascontiguousarray(array).tobytes()
    return proto


def value_info(name: str, tensor: Tensor) -> onnx.ValueInfoProto:
    """An input or output; symbolic dimensions by their text."""
    return helper.make_tensor_value_info(
        name, onnx_type(tensor.dtype), [str(d) if isinstance(d, Dim) else d for d in tensor.shape]
    )
