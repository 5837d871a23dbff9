"""Operators on strings: elements are Python's `str` here, UTF-8 in a library (csrc/dlc_text.h)."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import DTypeError, InvalidModelError, ShapeError
from dlcompile.graph import Operator, TensorType, broadcast_shapes, is_string, make_constant, register
from dlcompile.operators.composite import composite
from dlcompile.operators.pattern import automaton

INT64, BOOL, STRING = np.dtype(np.int64), np.dtype(np.bool_), np.dtype(object)
_SPACE = " \t\n\v\f\r"


def _row(name: str, infer, evaluate, family: str = "text", cost: int = 16) -> None:
    register(Operator(name, family, infer=infer, evaluate=evaluate, flops=lambda i, o, a: o[0].size * cost))


def _strings(name: str, *types: TensorType) -> None:
    for t in types:
        if not is_string(t.dtype):
            raise DTypeError(f"{name} of {t}: expected strings")


def _each(function, x: np.ndarray, dtype) -> np.ndarray:
    result = np.empty(x.shape, dtype)
    result.reshape(-1)[:] = [function(v) for v in x.flat]
    return result


def data(text: str) -> bytes:
    """UTF-8; a byte that was none is what it was."""
    return text.encode("utf-8", "surrogateescape")


# -- constants --------------------------------------------------------------------------------------------------------------
def _infer_make(types, attributes):
    offsets, content = types
    if offsets.dtype != INT64 or content.dtype != np.uint8:
        raise DTypeError(f"make_strings of {offsets} and {content}: expected int64 offsets and uint8 bytes")
    return TensorType(STRING, attributes["shape"])


def _make(attributes, offsets, content):
    result = np.empty(len(offsets) - 1, object)
    result[:] = [content[a:b].tobytes().decode("utf-8", "surrogateescape") for a, b in zip(offsets, offsets[1:])]
    return result.reshape(attributes["shape"])


_row("make_strings", _infer_make, _make)


# -- put together and cut ---------------------------------------------------------------------------------------------------
def _infer_concat(types, attributes):
    if len(types) != 2:
        raise DTypeError(f"takes 2 operands, not {len(types)}")
    _strings("string_concat", *types)
    return TensorType(STRING, broadcast_shapes(*(t.shape for t in types)))


_row("string_concat", _infer_concat, lambda attributes, a, b: np.asarray(np.add(a, b), object), "elementwise")


def _pieces(text: str, delimiter: str, most: int) -> list[str]:
    if delimiter:
        return text.split(delimiter, most) if text else []
    pieces: list[str] = []
    rest = text.lstrip(_SPACE)
    while rest:
        if len(pieces) == most:
            return [*pieces, rest.rstrip(_SPACE)]
        end = next((i for i, c in enumerate(rest) if c in _SPACE), len(rest))
        pieces.append(rest[:end])
        rest = rest[end:].lstrip(_SPACE)
    return pieces


def _infer_count(types, attributes):
    x, delimiter = types
    _strings("string_count", x, delimiter)
    return TensorType(INT64, x.shape)


def _infer_split(types, attributes):
    x, delimiter = types
    _strings("string_split", x, delimiter)
    return TensorType(STRING, (*x.shape, attributes["width"]))


def _split(attributes, x, delimiter):
    width = attributes["width"]
    result = np.full((*x.shape, width), "", object)
    for place in np.ndindex(x.shape):
        pieces = _pieces(x[place], delimiter.item(), attributes["maxsplit"])[:width]
        result[place][:len(pieces)] = pieces
    return result


_row("string_count", _infer_count,
     lambda attributes, x, delimiter: _each(lambda v: len(_pieces(v, delimiter.item(), attributes["maxsplit"])), x, INT64))
_row("string_split", _infer_split, _split)


# -- characters -------------------------------------------------------------------------------------------------------------
def _infer_replace(types, attributes):
    x, codes, offsets, content = types
    _strings("replace_characters", x)
    if codes.dtype != np.int32 or offsets.dtype != np.int32 or content.dtype != np.uint8:
        raise DTypeError("replace_characters takes int32 codes and offsets, and uint8 bytes")
    return x


def _replace(attributes, x, codes, offsets, content):
    table = {int(c): content[a:b].tobytes().decode() for c, a, b in zip(codes, offsets, offsets[1:])}
    return _each(lambda v: v.translate(table), x, object)


_row("replace_characters", _infer_replace, _replace, cost=64)


# -- patterns ---------------------------------------------------------------------------------------------------------------
def _infer_match(types, attributes):
    x, following, class_of, accepts = types
    _strings("automaton_match", x)
    if following.rank != 2 or following.dtype != np.int32 or class_of.shape != (256,) or accepts.shape != following.shape[:1]:
        raise ShapeError(f"automaton_match of {following}, {class_of}, {accepts}: expected int32[states, classes], [256], [states]")
    return TensorType(BOOL, x.shape)


def _match(attributes, x, following, class_of, accepts):
    def matches(text: str) -> bool:
        state = 0
        for byte in data(text):
            state = following[state, class_of[byte]]
        return bool(accepts[state])

    return _each(matches, x, BOOL)


_row("automaton_match", _infer_match, _match, cost=64)


@composite("regex_full_match")
def _regex_full_match(attributes, x):
    """Whether a pattern matches each string as a whole, by an automaton made of it now."""
    return ops.apply_automaton(x, *(make_constant(t) for t in automaton(attributes["pattern"])))


# -- lookup -----------------------------------------------------------------------------------------------------------------
def _infer_lookup(types, attributes):
    x, keys = types
    if keys.rank != 1 or keys.dtype != x.dtype:
        raise ShapeError(f"lookup of {x} among {keys}: expected a vector of the same element type")
    return TensorType(INT64, x.shape)


def _lookup(attributes, x, keys):
    table: dict = {}
    for i, key in enumerate(keys.tolist()):
        table.setdefault("nan" if key != key else key, i)
    return _each(lambda v: table.get("nan" if v != v else v, -1), x if is_string(x.dtype) else _plain(x), INT64)


def _plain(x: np.ndarray) -> np.ndarray:
    result = np.empty(x.shape, object)
    result.reshape(-1)[:] = x.reshape(-1).tolist()
    return result


_row("lookup", _infer_lookup, _lookup, cost=32)


# -- n-grams ----------------------------------------------------------------------------------------------------------------
def _infer_ngrams(types, attributes):
    ids, *tables = types
    if ids.rank != 2 or ids.dtype != INT64 or any(t.dtype != np.int32 for t in tables):
        raise ShapeError(f"count_ngrams of {ids}: expected int64[rows, tokens]")
    return TensorType(np.dtype(np.float32), (ids.shape[0], attributes["outputs"]))


def _ngrams(attributes, ids, first, tokens, children, columns):
    """Walks the tree of n-grams from every token, with steps of 1 to max_skip_count + 1."""
    result = np.zeros((len(ids), attributes["outputs"]), np.float32)
    length = ids.shape[1]
    trie = [dict(zip(tokens[a:b].tolist(), children[a:b].tolist())) for a, b in zip(first, first[1:])]
    low, high, skips = (attributes[name] for name in ("min_gram_length", "max_gram_length", "max_skip_count"))
    for row, line in zip(result, ids.tolist()):
        for step in range(1, skips + 2):
            for start in range(length):
                node = 0
                for n in range(high):
                    if start + n * step >= length or node < 0:
                        break
                    node = trie[node].get(line[start + n * step], -1)
                    counted = node >= 0 and columns[node] >= 0 and n + 1 >= low and (n > 0 or step == 1)
                    if counted:
                        row[columns[node]] += 1
    return result


_row("count_ngrams", _infer_ngrams, _ngrams, cost=64)


@composite("tf_idf_vectorizer")
def _tf_idf_vectorizer(attributes, x):
    """ONNX TfIdfVectorizer: each token as its number in the pool, n-grams of these counted, and weighted."""
    rows = ops.reshape(x, (1, *x.shape)) if x.rank == 1 else x
    tables, words, outputs = _trie(attributes)
    if is_string(x.dtype):
        ids = ops.lookup(rows, np.array(words, object))
    else:
        ids = ops.lookup(ops.cast(rows, INT64), np.array(words, INT64))
    gram = {name: int(attributes[name]) for name in ("min_gram_length", "max_gram_length", "max_skip_count")}
    counts = ops.count_ngrams(ids, *(make_constant(t) for t in tables), outputs=outputs, **gram)
    weights = np.ones(outputs, np.float32)
    for column, weight in zip(attributes["ngram_indexes"], attributes["weights"] or ()):
        weights[column] = weight
    if attributes["mode"] == "IDF":
        counts = ops.select(ops.gt(counts, np.float32(0)), make_constant(weights), np.float32(0))
    elif attributes["mode"] == "TFIDF":
        counts = ops.mul(counts, make_constant(weights))
    return ops.reshape(counts, (outputs,)) if x.rank == 1 else counts


def _trie(attributes) -> tuple[tuple[np.ndarray, ...], list, int]:
    """The n-grams of the pool as a tree, the different words of the pool, and the number of columns.

    Of node i, edges first[i] to first[i + 1] lead by rising `tokens` (numbers of words) to `children`; columns[i] is where the n-gram that ends
    there is counted, or -1.
    """
    pool, starts, indexes = attributes["pool"], attributes["ngram_counts"] or (), attributes["ngram_indexes"] or ()
    if list(starts) != sorted(starts) or starts and not 0 <= starts[0] <= starts[-1] <= len(pool):
        raise InvalidModelError(f"ngram_counts {list(starts)} are no rising positions in a pool of {len(pool)}")
    if attributes["mode"] not in ("TF", "IDF", "TFIDF"):
        raise InvalidModelError(f"mode is {attributes['mode']!r}; expected TF, IDF or TFIDF")
    if not 1 <= attributes["min_gram_length"] <= attributes["max_gram_length"] or attributes["max_skip_count"] < 0:
        raise InvalidModelError("min_gram_length, max_gram_length and max_skip_count make no sense together")
    words = list(dict.fromkeys(pool))
    number = {word: i for i, word in enumerate(words)}
    edges: list[dict[int, int]] = [{}]
    columns, gram = [-1], 0
    for length, (begin, end) in enumerate(zip(starts, (*starts[1:], len(pool))), 1):
        if (end - begin) % length:
            raise InvalidModelError(f"the pool has {end - begin} words for n-grams of {length}")
        for at in range(begin, end, length):
            node = 0
            for word in pool[at:at + length]:
                if number[word] not in edges[node]:
                    edges[node][number[word]] = len(edges)
                    edges.append({})
                    columns.append(-1)
                node = edges[node][number[word]]
            if gram >= len(indexes) or indexes[gram] < 0:
                raise InvalidModelError(f"there are {len(indexes)} ngram_indexes, none of them negative, for more n-grams")
            columns[node] = indexes[gram]
            gram += 1
    if attributes["weights"] and len(attributes["weights"]) != len(indexes):
        raise InvalidModelError(f"there are {len(attributes['weights'])} weights for {len(indexes)} n-grams")
    ordered = [sorted(e.items()) for e in edges]
    first = np.concatenate([[0], np.cumsum([len(e) for e in ordered])])
    flat = np.array([pair for e in ordered for pair in e], np.int32).reshape(-1, 2)
    tables = (first, flat[:, 0], flat[:, 1], np.array(columns))
    return tuple(np.ascontiguousarray(t, np.int32) for t in tables), words, max(indexes, default=-1) + 1
