"""Operators on strings."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor, apply, is_string


@importer("StringConcat")
def string_concat(node: OnnxNode, a: Tensor, b: Tensor) -> Tensor:
    return ops.string_concat(a, b)


@importer("StringSplit")
def string_split(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor]:
    return ops.string_split(x, node.get("delimiter", ""), node["maxsplit"])


@importer("RegexFullMatch")
def regex_full_match(node: OnnxNode, x: Tensor) -> Tensor:
    pattern = node["pattern"]
    if pattern is None:
        raise InvalidModelError("the attribute 'pattern' is missing")
    return ops.regex_full_match(x, pattern)


@importer("StringNormalizer")
def string_normalizer(node: OnnxNode, x: Tensor) -> Tensor:
    """What is no stop word, in upper or lower case; one empty string where nothing is left. (The locale is not asked: Unicode's rules are the
    same everywhere but in Turkish and Lithuanian.)"""
    if x.rank not in (1, 2) or x.rank == 2 and x.shape[0] != 1:
        raise ShapeError(f"{x.type}: expected strings [n] or [1, n]")
    case, stop = node["case_change_action"], [*(node["stopwords"] or ())]
    if case not in ("NONE", "LOWER", "UPPER"):
        raise InvalidModelError(f"case_change_action is {case!r}; expected LOWER, UPPER or NONE")
    flat = ops.reshape(x, (x.type.size,))
    if stop:
        compared = flat
        if not node["is_case_sensitive"]:
            compared = ops.change_case(flat, "lower")
            stop = [word.lower() for word in stop]
        kept = ops.flatnonzero(ops.lt(ops.lookup(compared, np.array(stop, object)), np.int64(0)))
        flat = _or_an_empty_one(ops.gather(flat, kept, 0))
    if case != "NONE":
        flat = ops.change_case(flat, case.lower())
    return ops.reshape(flat, (1, *flat.shape)) if x.rank == 2 else flat


def _or_an_empty_one(x: Tensor) -> Tensor:
    """A vector of no strings has one empty one instead."""
    count = ops.reshape(ops.shape_vector(x.shape), ())
    length = ops.dim_of(ops.maximum(count, np.int64(1)))
    return ops.slice(ops.concatenate([x, ops.text([""])], 0), (0,), (length,))


@importer("TfIdfVectorizer")
def tf_idf_vectorizer(node: OnnxNode, x: Tensor) -> Tensor:
    """N-grams of the pool counted in each row of tokens."""
    names = ("mode", "min_gram_length", "max_gram_length", "max_skip_count", "ngram_counts", "ngram_indexes", "weights")
    attributes = {name: node[name] for name in names}
    pool = node["pool_strings"] if is_string(x.dtype) else node["pool_int64s"]
    if pool is None:
        raise InvalidModelError(f"there is no pool of {'strings' if is_string(x.dtype) else 'integers'} for {x.type}")
    if x.rank not in (1, 2):
        raise ShapeError(f"{x.type}: expected tokens [n] or [rows, n]")
    return apply("tf_idf_vectorizer", x, pool=tuple(pool), **attributes)


