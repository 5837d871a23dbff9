"""A random model grown node by node: each value is computed by the reference as it is made, so shapes and data are known."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import Random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tests.random_models import values as v
from tests.random_models.reference import ReferenceFailed, evaluate, evaluate_nodes
from tests.random_models.tolerance import EXACT, ROUNDED, Tolerance, disturb

LARGEST = 1500  # elements of a value
EXTENTS = (0, 1, 1, 1, 2, 2, 3, 3, 4, 5, 6, 7, 8, 9, 13, 17, 33)
OPSETS = (13, 15, 18, 21, 24, onnx.defs.onnx_opset_version())


class Unsuitable(Exception):
    """Nothing in the model so far, or nothing drawn, suits an operator."""


@dataclass(eq=False)
class Value:
    """A value of the model. samples: the reference's, and where it may be off, two with errors of allowed size put in.

    compared: False where the standard leaves the elements open; such a value is computed, and read by nothing.
    """

    name: str
    samples: list[np.ndarray]
    compared: bool = True
    read: bool = False

    @property
    def array(self) -> np.ndarray:
        return self.samples[0]

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def rank(self) -> int:
        return self.array.ndim

    @property
    def exact(self) -> bool:
        """Whether no error, but for the sign of a 0, can be in it."""
        return all(np.array_equal(s, self.array, equal_nan=v.is_float(self.dtype)) for s in self.samples[1:])

    @property
    def finite(self) -> bool:
        return not v.is_float(self.dtype) or bool(np.isfinite(self.array.astype(np.float64)).all())

    @property
    def moderate(self) -> bool:
        """Finite, and so small that squares and sums of it are."""
        return not self.array.size or self.finite and float(np.abs(self.array.astype(np.float64)).max()) < 1e4


@dataclass
class RandomModel:
    """A model with names that start with `prefix`, its inputs' data, and what its outputs must be."""

    prefix: str
    opset: int
    nodes: list[onnx.NodeProto]
    initializers: dict[str, np.ndarray]
    inputs: dict[str, np.ndarray]
    dims: dict[str, tuple[int | str, ...]]
    outputs: list[Value]
    origin: str = ""
    values: dict[str, Value] = field(default_factory=dict)


class Builder:
    """Grows a model. What is drawn is drawn from `random`, which hypothesis can supply."""

    def __init__(self, random: Random, opset: int, prefix: str = ""):
        self.random, self.opset, self.prefix = random, opset, prefix
        self.numbers = np.random.default_rng(random.getrandbits(32))
        self.values: list[Value] = []
        self.nodes: list[onnx.NodeProto] = []
        self.inputs: dict[str, np.ndarray] = {}
        self.initializers: dict[str, np.ndarray] = {}
        self.symbolic = self.chance(0.4)
        self.symbols: dict[int, bool] = {}
        self.pinned: dict[str, set[int]] = {}
        self.names = 0

    # -- drawing --------------------------------------------------------------------------------------------------------------
    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def choice(self, options: Sequence):
        return options[self.random.randrange(len(options))]

    def integer(self, low: int, high: int) -> int:
        """Between low and high, both included."""
        return self.random.randint(low, high)

    def shape(self, low: int = 0, high: int = 4) -> tuple[int, ...]:
        shape: list[int] = []
        for _ in range(self.integer(low, high)):
            extent = self.choice(EXTENTS)
            shape.append(extent if np.prod([*shape, extent]) <= LARGEST // 4 else self.choice((1, 2)))
        return tuple(shape)

    def axis(self, rank: int) -> int:
        """An axis, counted from either end."""
        if not rank:
            raise Unsuitable("rank 0")
        return self.integer(-rank, rank - 1)

    def axes(self, rank: int, low: int = 0) -> list[int]:
        """Different axes in any order, each counted from either end."""
        chosen = self.random.sample(range(rank), self.integer(min(low, rank), rank))
        return [a - rank if self.chance(0.4) else a for a in chosen]

    def types(self, op: str, index: int = 0, domain: str = "") -> tuple[np.dtype, ...]:
        """The element types that ONNX has for an operator's input."""
        return _types(op, index, self.opset, domain)

    # -- values ---------------------------------------------------------------------------------------------------------------
    def name(self, kind: str) -> str:
        self.names += 1
        return f"{self.prefix}{kind}{self.names}"

    def given(self, array: np.ndarray, constant: float = 0.3, reuse: bool = True, pinned: Iterable[int] = ()) -> Value:
        """A value that no node makes: an input of the model, an initializer, or what a Constant node holds. Axes that an operator
        has to know are `pinned`: declared as they are."""
        array = np.asarray(array)
        if self.chance(constant):
            return self.constant(array, reuse)
        name = self.name("x")
        self.inputs[name] = array
        self.pinned[name] = {axis % array.ndim for axis in pinned}
        return self._keep(Value(name, [array]), reuse)

    def pin(self, value: Value, *axes: int) -> None:
        """Declare these axes of an input with their extents, whatever the others become."""
        self.pinned.setdefault(value.name, set()).update(axes)

    def constant(self, array: np.ndarray, reuse: bool = False) -> Value:
        array = np.asarray(array)
        name = self.name("c")
        if self.chance(0.3):
            self.nodes.append(helper.make_node("Constant", [], [name], value=numpy_helper.from_array(array, name)))
        else:
            self.initializers[name] = array
        return self._keep(Value(name, [array]), reuse)

    def integers(self, numbers: Iterable[int], dtype: np.dtype = v.INT64) -> Value:
        """A vector of shape parameters (axes, starts, …), a constant of the model."""
        return self.constant(np.array(list(numbers), dtype).reshape(-1))

    def fresh(self, dtype: np.dtype, shape: tuple[int, ...], finite: bool = False, constant: float = 0.3) -> Value:
        make = v.ordinary if finite or self.chance(0.7) else v.with_edges
        return self.given(make(self.numbers, dtype, shape), constant)

    def pick(self, dtypes: Sequence[np.dtype], low: int = 0, high: int = 5, finite: bool = False, exact: bool = False,
             accept: Callable[[Value], bool] = lambda value: True) -> Value:
        """A value of one of the types with between `low` and `high` axes: one of the model so far, late ones more often, or a new input."""
        def suits(value: Value) -> bool:
            return (value.dtype in dtypes and low <= value.rank <= high and value.compared and not (finite and not value.finite)
                    and not (exact and not value.exact) and accept(value) and self._usable(value))

        found = [value for value in self.values if suits(value)]
        if found and self.chance(0.8):
            back = 1
            while back < len(found) and self.chance(0.65):
                back += 1
            return found[-back]
        if not dtypes:
            raise Unsuitable("no type")
        for _ in range(8):
            value = self.fresh(self.dtype(dtypes), self.shape(low, min(high, max(low, 4))), finite)
            if suits(value):
                return value
            self._forget(value)
        if found:
            return found[-1]
        raise Unsuitable("no value")

    def dtype(self, dtypes: Sequence[np.dtype]) -> np.dtype:
        """One of the types, float32 in half of the cases where it is one of them."""
        return v.FLOAT32 if v.FLOAT32 in dtypes and self.chance(0.5) else self.choice(dtypes)

    def partner(self, value: Value, dtypes: Sequence[np.dtype], finite: bool = False, one_way: bool = False) -> Value:
        """A value that broadcasts with another; `one_way`: to it."""
        def fits(other: Value) -> bool:
            try:
                shape = np.broadcast_shapes(value.shape, other.shape)
            except ValueError:
                return False
            return int(np.prod(shape)) <= LARGEST and (not one_way or shape == value.shape)

        found = [o for o in self.values
                 if o.dtype in dtypes and o.compared and fits(o) and (o.finite or not finite) and self._usable(o)]
        if found and self.chance(0.6):
            return self.choice(found)
        shape = [1 if self.chance(0.2) else e for e in value.shape]
        if not one_way:
            shape = [self.choice((1, 2, 3)) if e == 1 and self.chance(0.2) else e for e in shape]
        return self.fresh(self.choice(dtypes), tuple(shape[self.integer(0, len(shape)) if self.chance(0.4) else 0:]), finite)

    # -- nodes ----------------------------------------------------------------------------------------------------------------
    def add(self, op: str, inputs: Sequence[Value | None], outputs: int = 1, tolerance: Tolerance = ROUNDED, compared: bool = True,
            domain: str = "", **attributes) -> list[Value]:
        """A node, kept if the reference computes it, to something of moderate size that small errors change little."""
        node = helper.make_node(op, [value.name if value else "" for value in inputs], self.results(outputs), domain=domain, **attributes)
        while node.input and not node.input[-1]:
            node.input.pop()
        return self.add_nodes([node], inputs, tolerance, compared)

    def results(self, count: int = 1) -> list[str]:
        """Names for the outputs of a node."""
        return [f"{self.name('v')}{'abcdefgh'[i]}" for i in range(count)]

    def add_nodes(self, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Value | None], tolerance: Tolerance = ROUNDED,
                  compared: bool = True) -> list[Value]:
        """Nodes of which the last one's outputs are values of the model; `inputs` are what the nodes, or graphs inside of them, read."""
        results = [self._evaluated(nodes, inputs, [value.array if value else None for value in inputs])]
        if any(r.dtype not in v.ALL or r.size > LARGEST for r in results[0]):
            raise Unsuitable("a result of a type or size that is not wanted")
        if compared and (tolerance != EXACT or any(value and len(value.samples) > 1 for value in inputs)):
            results += [self._disturbed(nodes, inputs, tolerance, sign, results[0]) for sign in (1, -1)]
        made = [Value(name, _distinct([r[i] for r in results]), compared) for i, name in enumerate(nodes[-1].output)]
        if any(_jumps(value) for value in made):
            raise Unsuitable("small errors become large ones")
        self.nodes += nodes
        for value in inputs:
            if value:
                value.read = True
        self.values += made
        return made

    def _evaluated(self, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Value | None], arrays: Sequence[np.ndarray | None]):
        if len(nodes) == 1 and not any(a.type == onnx.AttributeProto.GRAPH for a in nodes[0].attribute):
            return evaluate(nodes[0], arrays, self.opset)
        return evaluate_nodes(nodes, {value.name: array for value, array in zip(inputs, arrays) if value}, self.opset)

    def _disturbed(self, nodes: Sequence[onnx.NodeProto], inputs: Sequence[Value | None], tolerance: Tolerance, sign: int,
                   like: list[np.ndarray]) -> list[np.ndarray]:
        arrays = [None if value is None else
                  disturb(value.samples[sign if len(value.samples) > 1 else 0], tolerance.operands, self.numbers, sign) for value in inputs]
        results = self._evaluated(nodes, inputs, arrays)
        if any(r.shape != s.shape for r, s in zip(results, like)):
            raise Unsuitable("small errors change the shape")
        return [disturb(r, tolerance.result, self.numbers, sign, tolerance.absolute, s, tolerance != EXACT) for r, s in zip(results, like)]

    def _keep(self, value: Value, reuse: bool) -> Value:
        if reuse:
            self.values.append(value)
        return value

    def _forget(self, value: Value) -> None:
        self.values.remove(value)
        if self.inputs.pop(value.name, None) is None and self.initializers.pop(value.name, None) is None:
            self.nodes = [n for n in self.nodes if value.name not in n.output]

    def _usable(self, value: Value) -> bool:
        """Not mostly NaN: what follows from that tests little."""
        if not v.is_float(value.dtype) or not value.array.size:
            return True
        return float(np.mean(~np.isfinite(value.array.astype(np.float64)))) <= 0.5

    # -- the whole ------------------------------------------------------------------------------------------------------------
    def model(self, origin: str = "") -> RandomModel:
        """What has been grown. Outputs: what no node reads, and some of the rest (what is stored is not fused)."""
        made = {name for node in self.nodes if node.op_type != "Constant" for name in node.output}
        outputs = [value for value in self.values if value.name in made and (not value.read or self.chance(0.15))]
        nodes, inputs, initializers = self._needed([o.name for o in outputs])
        return RandomModel(self.prefix, self.opset, nodes, initializers, inputs, {name: self._dims(name, array) for name, array in inputs.items()},
                           outputs, origin, {value.name: value for value in self.values})

    def _needed(self, names: Iterable[str]):
        wanted = set(names)
        nodes = []
        for node in reversed(self.nodes):
            if wanted & set(node.output):
                nodes.insert(0, node)
                wanted |= read_by(node)
        return (nodes, {k: a for k, a in self.inputs.items() if k in wanted}, {k: a for k, a in self.initializers.items() if k in wanted})

    def _dims(self, name: str, array: np.ndarray) -> tuple[int | str, ...]:
        """The shape an input is declared with: extents as they are, or equal ones as one symbol."""
        if not self.symbolic:
            return array.shape
        for extent in array.shape:
            self.symbols.setdefault(extent, extent != 1 and self.chance(0.7))
        return tuple(f"{self.prefix}n{e}" if self.symbols[e] and axis not in self.pinned[name] else e for axis, e in enumerate(array.shape))


def _distinct(samples: list[np.ndarray]) -> list[np.ndarray]:
    """The samples; one where all are the same."""
    return samples[:1] if all(s.tobytes() == samples[0].tobytes() for s in samples[1:]) else samples


def _jumps(value: Value) -> bool:
    """Whether samples differ by more than rounding: behind a floor or a comparison, or after heavy cancellation."""
    if value.exact:
        return False
    if not v.is_float(value.dtype):
        return True
    with np.errstate(all="ignore"):
        wide = [s.astype(np.float64) for s in value.samples]
        finite = np.logical_and.reduce([np.isfinite(w) for w in wide])
        if not all(np.array_equal(np.isfinite(w), finite) for w in wide):
            return True
        scale = np.abs(wide[0][finite]).max(initial=1e-30)
        return any(bool(np.any(np.abs(w - wide[0])[finite] > 200 * v.epsilon(value.dtype) * scale)) for w in wide[1:])


NAMES = {"float": "float32", "double": "float64"}


@cache
def _types(op: str, index: int, opset: int, domain: str) -> tuple[np.dtype, ...]:
    schema = onnx.defs.get_schema(op, opset, domain)
    formal = schema.inputs[min(index, len(schema.inputs) - 1)]
    names = {t.removeprefix("tensor(").removesuffix(")") for t in formal.types}
    names = {NAMES.get(name, name) for name in names}
    return tuple(t for t in v.ALL if t.name in names)


def read_by(node: onnx.NodeProto) -> set[str]:
    """Names that a node, or a graph inside of it, reads."""
    inside = [n for a in node.attribute for g in (a.g, *a.graphs) for n in g.node]
    outputs = {o.name for a in node.attribute for g in (a.g, *a.graphs) for o in g.output}
    return set(node.input).union(outputs, *(read_by(n) for n in inside))


def grow(random: Random, opset: int, prefix: str = "", nodes: tuple[int, int] = (3, 30), origin: str = "",
         only: Sequence[str] = ()) -> RandomModel:
    """A random model of `nodes` (least, most) nodes over the table of entries, or those `only` names."""
    from tests.random_models.entries import entries

    builder = Builder(random, opset, prefix)
    table = [e for e in entries(opset) if not only or e.op in only]
    wanted, tries = builder.integer(*nodes), 0
    while sum(n.op_type != "Constant" for n in builder.nodes) < wanted and tries < 10 * wanted:
        tries += 1
        chosen = builder.choice(table)
        before = _Snapshot(builder)
        try:
            chosen.make(builder, chosen.op)
        except (Unsuitable, ReferenceFailed):
            before.restore(builder)
    return builder.model(origin)


class _Snapshot:
    """A builder's state before an entry is tried, so that one that does not work out leaves nothing behind."""

    def __init__(self, builder: Builder):
        self.lengths = len(builder.values), len(builder.nodes), set(builder.inputs), set(builder.initializers)

    def restore(self, builder: Builder) -> None:
        values, nodes, inputs, initializers = self.lengths
        del builder.values[values:], builder.nodes[nodes:]
        for table, kept in ((builder.inputs, inputs), (builder.initializers, initializers)):
            for name in [n for n in table if n not in kept]:
                del table[name]
