"""Strings. Their element type is `np.dtype(object)`, elements are `str`; in a library they are UTF-8."""
from __future__ import annotations

from functools import cache

import numpy as np

from dlcompile.graph import Tensor, apply, is_string, make_constant
from dlcompile.ops.core import TensorLike, as_tensor, dim_of, reduce_max

STRING = np.dtype(object)


def encoded(value: np.ndarray) -> tuple[Tensor, Tensor]:
    """Strings as constants: the offsets [n + 1] (int64) of their bytes, and the bytes (uint8)."""
    parts = [text.encode("utf-8", "surrogateescape") for text in value.flat]
    offsets = np.concatenate([[0], np.cumsum([len(p) for p in parts], dtype=np.int64)]).astype(np.int64)
    return make_constant(offsets), make_constant(np.frombuffer(b"".join(parts) or b"\0", np.uint8))


def text(value) -> Tensor:
    """A constant of strings."""
    return make_constant(np.asarray(value, STRING))


def string_concat(a: TensorLike, b: TensorLike) -> Tensor:
    """The strings of `a` followed by those of `b`, broadcast as numbers are."""
    return apply("string_concat", as_tensor(a), as_tensor(b))


def string_split(x: TensorLike, delimiter: str = "", maxsplit: int | None = None) -> tuple[Tensor, Tensor]:
    """The pieces [*x.shape, k] of each string between delimiters, and how many they are (int64), k being the most of them; empty strings for the
    rest. At most `maxsplit` cuts are made, from the left. An empty delimiter means white space, of which any amount is one. An empty string
    has no pieces."""
    x = as_tensor(x)
    attributes = {"maxsplit": -1 if maxsplit is None else int(maxsplit)}
    counts = apply("string_count", x, text(delimiter), **attributes)
    if x.type.size == 0:
        return apply("string_split", x, text(delimiter), width=0, **attributes), counts
    most = reduce_max(apply("maximum", counts, make_constant(np.int64(0))))
    return apply("string_split", x, text(delimiter), width=dim_of(most), **attributes), counts


def change_case(x: TensorLike, case: str) -> Tensor:
    """Every character in its "upper" or "lower" case, as Unicode says it of a character by itself."""
    return apply("replace_characters", as_tensor(x), *(make_constant(t) for t in _case_table(case)), case=case)


@cache
def _case_table(case: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    change = {"upper": str.upper, "lower": str.lower}[case]
    pairs = [(code, change(chr(code)).encode()) for code in range(0x110000) if not 0xD800 <= code < 0xE000 and change(chr(code)) != chr(code)]
    offsets = np.concatenate([[0], np.cumsum([len(text) for _, text in pairs])]).astype(np.int32)
    return np.array([code for code, _ in pairs], np.int32), offsets, np.frombuffer(b"".join(text for _, text in pairs), np.uint8)


def regex_full_match(x: TensorLike, pattern: str) -> Tensor:
    """Whether `pattern` (RE2's syntax) matches each string as a whole."""
    return apply("regex_full_match", as_tensor(x), pattern=pattern)


def apply_automaton(x: Tensor, following: Tensor, class_of: Tensor, accepts: Tensor) -> Tensor:
    """Whether a deterministic automaton over the bytes of strings accepts them: its states begin at 0 and go on by
    following[state, class_of[byte]]."""
    return apply("automaton_match", x, following, class_of, accepts)


def lookup(x: TensorLike, keys: np.ndarray) -> Tensor:
    """The index (int64) of the key that each element equals, the first of equal ones, or -1; NaN equals NaN. `keys` is a vector of the type of `x`,
    in any order."""
    x = as_tensor(x)
    keys = np.asarray(keys, x.dtype).reshape(-1)
    if not keys.size:
        return apply("broadcast_to", make_constant(np.int64(-1)), shape=x.shape)
    order = _rising(keys)
    found = apply("lookup", x, make_constant(keys[order]))
    if np.array_equal(order, np.arange(keys.size)):
        return found
    index = make_constant(np.append(order, -1).astype(np.int64))  # what is not found reads the last one
    last = make_constant(np.int64(len(order)))
    return apply("gather", index, apply("select", apply("lt", found, make_constant(np.int64(0))), last, found), axis=0)


def count_ngrams(ids: Tensor, first: Tensor, tokens: Tensor, children: Tensor, columns: Tensor, *, outputs: int, min_gram_length: int,
                 max_gram_length: int, max_skip_count: int) -> Tensor:
    """How often n-grams are in each row of ids [rows, n] (int64): float32 [rows, outputs]. The n-grams are a tree: of node i, edges first[i] to
    first[i + 1] lead by rising `tokens` to `children`, and columns[i] is where the n-gram that ends there is counted, or -1."""
    return apply("count_ngrams", ids, first, tokens, children, columns, outputs=outputs, min_gram_length=min_gram_length,
                 max_gram_length=max_gram_length, max_skip_count=max_skip_count)


def _rising(keys: np.ndarray) -> np.ndarray:
    """The indices of the different keys in rising order, the first of equal ones; NaN last, strings by their bytes."""
    values = [v.encode("utf-8", "surrogateescape") for v in keys] if is_string(keys.dtype) else keys.tolist()
    first: dict = {}
    for i, value in enumerate(values):
        first.setdefault(None if value != value else value, i)
    nan = first.pop(None, None)
    order = [first[value] for value in sorted(first)]
    return np.array(order if nan is None else [*order, nan], np.int64)


__all__ = ["encoded", "text", "string_concat", "string_split", "change_case", "regex_full_match", "apply_automaton", "lookup", "count_ngrams"]
