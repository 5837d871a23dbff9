"""Graph to graph: `optimize` is the pipeline that scheduling receives its graphs from."""
from dlcompile.transforms.cse import common_subexpressions
from dlcompile.transforms.dead import remove_dead_code
from dlcompile.transforms.decompose import decompose
from dlcompile.transforms.matmul import merge_siblings
from dlcompile.transforms.pipeline import KEPT, optimize
from dlcompile.transforms.rewrite import Rule, Table, rewrite

__all__ = ["KEPT", "Rule", "Table", "common_subexpressions", "decompose", "merge_siblings", "optimize", "remove_dead_code", "rewrite"]
