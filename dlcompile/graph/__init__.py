"""The graph: symbolic dimensions, tensors, nodes, the operator table, and what can be asked of them."""
from dlcompile.graph.dim import (
                                 Dim,
                                 DimLike,
                                 Symbol,
                                 at_least,
                                 ceildiv,
                                 definitely_different,
                                 dim_max,
                                 dim_min,
                                 evaluate,
                                 floordiv,
                                 mod,
                                 order_of,
                                 parse_dim,
                                 product,
                                 substitute,
                                 symbol,
                                 symbols_of,
)
from dlcompile.graph.dtypes import (
                                 DTYPES,
                                 DTypeRow,
                                 as_dtype,
                                 dtype_name,
                                 integer_range,
                                 is_float,
                                 is_half,
                                 is_integer,
                                 is_narrow,
                                 is_number,
                                 is_ordered,
                                 is_string,
                                 nothing_of,
)
from dlcompile.graph.graph import Graph, distinct_names, graphs_in, remake, topological_order
from dlcompile.graph.operator import OPERATORS, Operator, Undecided, broadcast_shapes, register, unify
from dlcompile.graph.tensor import (
                                 Node,
                                 Shape,
                                 Tensor,
                                 TensorType,
                                 absorb,
                                 apply,
                                 current_origin,
                                 known_dims,
                                 make_constant,
                                 make_input,
                                 provenance,
                                 symbols_in,
)
from dlcompile.graph.text import format_graph
from dlcompile.graph.unknown import DEFINE, define, defined_symbol, later, unknown, unknown_names, unknowns_apart, unknowns_beside
from dlcompile.graph.verify import verify

__all__ = [
    "DEFINE", "DTYPES", "DTypeRow", "Dim", "DimLike", "Graph", "Node", "OPERATORS", "Operator", "Shape", "Symbol", "Tensor",
    "TensorType", "Undecided", "absorb", "apply", "as_dtype", "at_least", "broadcast_shapes", "ceildiv", "current_origin", "define",
    "defined_symbol", "definitely_different", "dim_max", "dim_min", "distinct_names", "dtype_name", "evaluate", "floordiv",
    "format_graph", "graphs_in", "integer_range", "is_float", "is_half", "is_integer", "is_narrow", "is_number", "is_ordered",
    "is_string", "known_dims", "later", "make_constant", "make_input", "mod", "nothing_of", "order_of", "parse_dim", "product",
    "provenance", "register", "remake", "substitute", "symbol", "symbols_in", "symbols_of", "topological_order", "unify", "unknown",
    "unknown_names", "unknowns_apart", "unknowns_beside", "verify",
]
