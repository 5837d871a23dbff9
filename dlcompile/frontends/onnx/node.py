"""An ONNX node as the rows of the import tables see it, and those tables' register."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import AttributeProto

from dlcompile.errors import DTypeError, InvalidModelError
from dlcompile.frontends.onnx.reader import read_sparse, read_tensor
from dlcompile.graph import Tensor
from dlcompile.graph.dtypes import DTYPES_BY_NAME

if TYPE_CHECKING:
    from dlcompile.frontends.onnx.importer import Scope

# (domain, operator) → [(since, row)] with rising versions; the row is called with the node and its tensors (None for
# one left out)
IMPORTERS: dict[tuple[str, str], list[tuple[int, Callable]]] = {}


class Declined(Exception):
    """Raised by a row for a form of its operator that is better taken from the function body ONNX gives."""


def importer(*names: str, since: int = 1, domain: str = ""):
    """Declare a function to import the operators `names` from version `since` of their domain on, until a row with a
    higher `since`."""
    def declare(function: Callable) -> Callable:
        for name in names:
            rows = IMPORTERS.setdefault((domain, name), [])
            rows.append((since, function))
            rows.sort(key=lambda row: row[0])
        return function
    return declare


def find_importer(domain: str, name: str, version: int) -> Callable | None:
    """The row for an operator at a version of its domain; None where there is none."""
    rows = [row for since, row in IMPORTERS.get((domain, name), ()) if since <= version]
    return rows[-1] if rows else None


def normal_domain(domain: str) -> str:
    """ONNX's own domain has two spellings."""
    return "" if domain == "ai.onnx" else domain


@cache
def find_schema(domain: str, name: str, version: int) -> onnx.defs.OpSchema | None:
    """What the onnx package says of an operator; None for one it does not know."""
    try:
        return onnx.defs.get_schema(name, version, domain)
    except onnx.defs.SchemaError:
        return None


@dataclass
class OnnxNode:
    """One node being imported.

    proto: the node as the file has it; `name` its name, or its operator and position where it has none.
    version: of the operator's domain; `scope`: the values it can see; `formal`: attributes of the function it is in the
    body of.
    """

    proto: onnx.NodeProto
    name: str
    version: int
    scope: Scope
    formal: dict[str, AttributeProto] | None = None
    read: dict[str, Any] = field(default_factory=dict)

    @property
    def op_type(self) -> str:
        return self.proto.op_type

    @property
    def domain(self) -> str:
        return normal_domain(self.proto.domain)

    @cached_property
    def schema(self) -> onnx.defs.OpSchema | None:
        return find_schema(self.domain, self.op_type, self.version)

    @cached_property
    def attribute_protos(self) -> dict[str, AttributeProto]:
        """The attributes given, with references to the attributes of an enclosing function resolved."""
        given: dict[str, AttributeProto] = {}
        for proto in self.proto.attribute:
            if proto.ref_attr_name:
                if self.formal is None or proto.ref_attr_name not in self.formal:
                    continue  # left out by the caller, so left out here
                resolved = AttributeProto()
                resolved.CopyFrom(self.formal[proto.ref_attr_name])
                resolved.name = proto.name
                proto = resolved
            given[proto.name] = proto
        return given

    def __getitem__(self, name: str) -> Any:
        """The value of an attribute: as given, else ONNX's default, else None. `InvalidModelError` where it is required
        or of a wrong type."""
        if name not in self.read:
            self.read[name] = self._read(name)
        return self.read[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value of an attribute, or `default` where neither the file nor ONNX says it."""
        value = self[name]
        return default if value is None else value

    def _read(self, name: str) -> Any:
        formal = self.schema.attributes.get(name) if self.schema else None
        given = self.attribute_protos.get(name)
        if given is None:
            if formal is None:
                return None
            if formal.required:
                raise InvalidModelError(f"the attribute {name!r} is missing")
            given = formal.default_value
            return attribute_value(given, self.scope) if given.type else None
        if (
            formal is not None
            and int(formal.type.value if hasattr(formal.type, "value") else formal.type) != given.type
        ):
            expected, actual = (AttributeProto.AttributeType.Name(int(t.value if hasattr(t, "value") else t))
                                for t in (formal.type, given.type))
            raise InvalidModelError(f"the attribute {name!r} is {actual}; expected {expected}")
        return attribute_value(given, self.scope)

    def constant(self, tensor: Tensor, what: str) -> np.ndarray:
        """The value of a tensor that does not depend on the model's inputs; `InvalidModelError` for one that does."""
        value = constant_value(tensor)
        if value is None:
            raise InvalidModelError(f"{what} is computed from the model's inputs; expected a constant")
        return value

    def check(self, inputs: list[Tensor | None]) -> None:
        """Hold the number and the element types of the inputs against what ONNX says of the operator."""
        schema = self.schema
        if schema is None:
            return
        given = len(inputs)
        if not schema.min_input <= given <= schema.max_input:
            expected = (
                schema.min_input
                if schema.min_input == schema.max_input
                else f"{schema.min_input} to {schema.max_input}"
            )
            raise InvalidModelError(f"{given} inputs; expected {expected}")
        _check_types(schema, inputs)


def _check_types(schema: onnx.defs.OpSchema, inputs: list[Tensor | None]) -> None:
    allowed, single = _type_table(schema.domain, schema.name, schema.since_version)
    bound: dict[str, tuple[str, np.dtype]] = {}
    for position, tensor in enumerate(inputs):
        formal = schema.inputs[min(position, len(schema.inputs) - 1)]
        if tensor is None:
            if formal.option != onnx.defs.OpSchema.FormalParameterOption.Optional:
                raise InvalidModelError(f"input {position} ({formal.name}) is left out; it is required")
            continue
        letter = formal.type_str
        dtypes = allowed.get(letter)
        if not isinstance(tensor, Tensor):
            continue  # a sequence or an optional value: its row looks at it
        if dtypes is not None and tensor.dtype not in dtypes:
            names = ", ".join(sorted({str(d) for d in dtypes})) or "no tensor"
            raise DTypeError(f"input {position} ({formal.name}) is {tensor.dtype}; expected {names}")
        if formal.is_homogeneous and letter in single:
            other, dtype = bound.setdefault(letter, (formal.name, tensor.dtype))
            if dtype != tensor.dtype:
                raise DTypeError(
                    f"input {position} ({formal.name}) is {tensor.dtype} where {other} is {dtype}; expected one type"
                )


@cache
def _type_table(domain: str, name: str, version: int) -> tuple[dict[str, frozenset[np.dtype]], frozenset[str]]:
    """For each type parameter of an operator, or type written out, the dtypes it admits; and which of them are
    parameters."""
    schema = find_schema(domain, name, version)
    table = {c.type_param_str: _dtypes(c.allowed_type_strs) for c in schema.type_constraints}
    parameters = frozenset(table)
    for formal in schema.inputs:
        table.setdefault(formal.type_str, _dtypes([formal.type_str]))
    return table, parameters


_TYPE_NAMES = {"float": "float32", "double": "float64", "float4e2m1": "float4_e2m1fn", "float8e4m3fn": "float8_e4m3fn",
               "float8e4m3fnuz": "float8_e4m3fnuz", "float8e5m2": "float8_e5m2", "float8e5m2fnuz": "float8_e5m2fnuz",
               "float8e8m0": "float8_e8m0fnu", "float6e2m3": "float6_e2m3fn", "float6e3m2": "float6_e3m2fn"}
"""element types that the standard spells otherwise than dlcompile"""


def _dtypes(names) -> frozenset[np.dtype]:
    words = [text[len("tensor("):-1] for text in names if text.startswith("tensor(")]
    known = [_TYPE_NAMES.get(word, word) for word in words]
    return frozenset(DTYPES_BY_NAME[name].numpy for name in known if name in DTYPES_BY_NAME)


def attribute_value(proto: AttributeProto, scope: Scope) -> Any:
    """The Python value of an attribute: int, float, str, tuple of them, ndarray, or the proto of a graph."""
    kind = AttributeProto
    match proto.type:
        case kind.INT:
            return proto.i
        case kind.FLOAT:
            return proto.f
        case kind.STRING:
            return proto.s.decode("utf-8", "backslashreplace")
        case kind.TENSOR:
            return read_tensor(proto.t, scope.source)
        case kind.SPARSE_TENSOR:
            return read_sparse(proto.sparse_tensor, scope.source)
        case kind.GRAPH:
            return proto.g
        case kind.TYPE_PROTO:
            return proto.tp
        case kind.INTS:
            return tuple(proto.ints)
        case kind.FLOATS:
            return tuple(proto.floats)
        case kind.STRINGS:
            return tuple(s.decode("utf-8", "backslashreplace") for s in proto.strings)
    raise InvalidModelError(f"the attribute {proto.name!r} is of a kind that is not supported")


def constant_value(tensor: Tensor) -> np.ndarray | None:
    """The value of a tensor computed from constants alone; None for one that depends on an input."""
    if tensor.value is not None:
        return tensor.value
    if tensor.known is not None and all(isinstance(v, (int, bool, np.bool_)) for v in tensor.known.ravel().tolist()):
        return tensor.known.astype(tensor.dtype)
    if tensor.producer is None or not _constant_only(tensor):
        return None
    from dlcompile.graph import Graph
    from dlcompile.operators.interpreter import evaluate

    return np.asarray(evaluate(Graph("constant", (), (tensor,), output_names=("value",)), {})[0])


_LARGEST_COMPUTED = 2**26  # elements; a model of a few bytes can ask for any number of them


def _constant_only(tensor: Tensor) -> bool:
    """Whether a tensor depends on constants alone, and is computed from none too large to be computed here."""
    seen, stack = set(), [tensor]
    while stack:
        current = stack.pop()
        if current.value is not None or current in seen:
            continue
        seen.add(current)
        size = current.type.size
        if current.producer is None or not isinstance(size, int) or size > _LARGEST_COMPUTED:
            return False
        if current.producer.op == "random_bits":
            return False
        if current.producer.symbols:
            return False
        stack += current.producer.inputs
    return True
