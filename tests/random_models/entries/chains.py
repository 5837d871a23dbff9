"""Values of types that the others do not take (text, narrow numbers, sequences, optional values): made and used up in one entry, by a few nodes."""
from __future__ import annotations

import ml_dtypes
import numpy as np
from onnx import TensorProto, helper

from tests.random_models import values as v
from tests.random_models.builder import Builder, Value
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, ROUNDED

ML = "ai.onnx.ml"


class Chain:
    """Nodes one after the other, the last of which makes values of the model."""

    def __init__(self, b: Builder, *inputs: Value):
        self.b, self.inputs, self.nodes = b, list(inputs), []

    def __call__(self, op: str, *inputs: Value | str, outputs: int = 1, domain: str = "", **attributes) -> str:
        """A node; the name of its first output."""
        self.inputs += [i for i in inputs if isinstance(i, Value) and i not in self.inputs]
        names = self.b.results(outputs)
        self.nodes.append(helper.make_node(op, [i.name if isinstance(i, Value) else i for i in inputs], names, domain=domain, **attributes))
        return names[0]

    def end(self, tolerance=EXACT) -> None:
        self.b.add_nodes(self.nodes, self.inputs, tolerance)


def integers_to_be_text(b: Builder) -> Value:
    return b.pick((v.INT64, v.INT32), high=3, accept=lambda value: value.array.size < 200)


@entry("Cast to text and back", since=13)
def text(b: Builder, op: str) -> None:
    chain, x = Chain(b), integers_to_be_text(b)
    word = chain("Cast", x, to=TensorProto.STRING)
    for _ in range(b.integer(0, 2)):
        kind = b.integer(0, 3)
        if kind == 0:
            word = chain("Identity", word)
        elif kind == 1:
            word = chain("Reshape", word, b.integers([-1]))
        elif kind == 2 and b.opset >= 20:
            word = chain("StringConcat", word, b.constant(np.array(b.choice(("", "0", "7")), object)))
        else:
            word = chain("Concat", word, word, axis=0) if x.rank and len(chain.nodes) == 1 else word
    chain("Cast", word, to=b.choice((TensorProto.INT64, TensorProto.DOUBLE)))
    chain.end()


@entry("RegexFullMatch", since=20)
def regex(b: Builder, op: str) -> None:
    chain = Chain(b)
    word = chain("Cast", integers_to_be_text(b), to=TensorProto.STRING)
    chain(op, word, pattern=b.choice(("[0-9]+", "-?\\d", ".*1.*", "(1|2|3)*", "-.{1,3}", "")))
    chain.end()


@entry("StringSplit", since=20)
def split(b: Builder, op: str) -> None:
    chain, x = Chain(b), b.pick((v.INT64,), low=1, high=2, accept=lambda value: 0 < value.array.size < 100)
    word = chain("Cast", x, to=TensorProto.STRING)
    names = b.results(2)
    given = {"delimiter": b.choice(("1", "-", "0"))} | ({"maxsplit": b.integer(0, 2)} if b.chance(0.4) else {})
    chain.nodes.append(helper.make_node(op, [word], names, **given))
    chain("Identity", names[1])
    chain.end()


@entry("Text that is looked up")
def lookup(b: Builder, op: str) -> None:
    chain = Chain(b)
    word = chain("Cast", integers_to_be_text(b), to=TensorProto.STRING)
    keys = [str(k) for k in b.random.sample(range(-5, 6), 5)]
    chain("LabelEncoder", word, domain=ML, keys_strings=keys, values_int64s=b.random.sample(range(100), 5), default_int64=-1)
    chain.end()


NARROW = {"int4": (TensorProto.INT4, 21), "uint4": (TensorProto.UINT4, 21), "int2": (TensorProto.INT2, 25), "uint2": (TensorProto.UINT2, 25)}


@entry("Narrow integers", since=21)
def narrow_integers(b: Builder, op: str) -> None:
    """Quantised to a few bits, and back."""
    name = b.choice([n for n, (_, since) in NARROW.items() if b.opset >= since])
    x, chain = b.pick((v.FLOAT32,), finite=True, exact=True, high=3, accept=lambda value: value.moderate), Chain(b)
    scale = b.given(np.asarray(b.choice((0.5, 0.25, 1.0)), np.float32), 0.7, reuse=False)
    zero = b.constant(np.zeros((), getattr(ml_dtypes, name)))
    chain("DequantizeLinear", chain("QuantizeLinear", x, scale, zero), scale, zero)
    chain.end(ROUNDED)


FLOAT8 = {"float8_e4m3fn": TensorProto.FLOAT8E4M3FN, "float8_e5m2": TensorProto.FLOAT8E5M2, "float8_e4m3fnuz": TensorProto.FLOAT8E4M3FNUZ,
          "float8_e5m2fnuz": TensorProto.FLOAT8E5M2FNUZ}


@entry("Floats of 8 bits", since=19)
def float8(b: Builder, op: str) -> None:
    x, chain = b.pick((v.FLOAT32, v.FLOAT16), finite=True, exact=True, accept=lambda value: value.moderate), Chain(b)
    narrow = chain("Cast", x, to=FLOAT8[b.choice(list(FLOAT8))], saturate=1)
    if b.chance(0.5):
        narrow = chain("Reshape", narrow, b.integers([-1]))
    chain("Cast", narrow, to=TensorProto.FLOAT)
    chain.end()


@entry("A sequence")
def sequence(b: Builder, op: str) -> None:
    """Made, changed, and read or joined."""
    chain, rank = Chain(b), b.integer(1, 3)
    dtype = b.dtype((v.FLOAT32, v.INT64, v.FLOAT64))
    shape = [b.choice((1, 2, 3)) for _ in range(rank)]
    items = [b.fresh(dtype, (b.choice((0, 1, 2, 4)), *shape[1:])) for _ in range(b.integer(1, 3))]
    made = chain("SequenceConstruct", *items)
    count = len(items)
    for _ in range(b.integer(0, 3)):
        at = b.integer(-count, count - 1)
        place = b.given(np.array(at, np.int64), 0.5, reuse=False)
        if b.chance(0.5):
            made, count = chain("SequenceInsert", made, b.choice(items), place), count + 1
        elif count > 1:
            made, count = chain("SequenceErase", made, place), count - 1
    kind = b.integer(0, 2)
    if kind == 0:
        chain("SequenceAt", made, b.given(np.array(b.integer(-count, count - 1), np.int64), 0.5, reuse=False))
    elif kind == 1:
        chain("SequenceLength", made)
    else:
        chain("ConcatFromSequence", made, axis=0)
    chain.end()


@entry("SplitToSequence")
def split_to_sequence(b: Builder, op: str) -> None:
    x = b.pick((v.FLOAT32, v.INT64), low=1, accept=lambda value: value.shape[0] > 0)
    chain = Chain(b)
    size = b.integer(1, x.shape[0])
    made = chain(op, x, b.given(np.array(size, np.int64), 0.5, reuse=False), axis=0)
    chain("SequenceAt", made, b.constant(np.array(b.choice((0, -1)), np.int64)))
    chain.end()


@entry("SequenceMap", since=17)
def sequence_map(b: Builder, op: str) -> None:
    chain = Chain(b)
    items = [b.fresh(v.FLOAT32, (b.choice((1, 2, 4)), 2)) for _ in range(b.integer(1, 3))]
    extra = b.fresh(v.FLOAT32, (1, 2))
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in ("item", "other", "result")]
    body = helper.make_graph([helper.make_node(b.choice(("Add", "Mul", "Max")), ["item", "other"], ["result"])], "body", info[:2], info[2:])
    made = chain(op, chain("SequenceConstruct", *items), extra, body=body)
    chain("ConcatFromSequence", made, axis=0)
    chain.end(ROUNDED)


@entry("Optional", since=18)
def optional(b: Builder, op: str) -> None:
    chain, x = Chain(b), b.pick((v.FLOAT32, v.INT64))
    made = chain("Optional", x)
    chain("OptionalHasElement", made)  # the evaluator has optional values in lists, which it takes for an axis
    chain.end()


@entry("BitCast", since=26)
def bit_cast(b: Builder, op: str) -> None:
    pairs = {v.FLOAT32: (v.INT32, TensorProto.INT32), v.FLOAT64: (v.INT64, TensorProto.INT64), v.FLOAT16: (np.dtype(np.int16), TensorProto.INT16)}
    x = b.pick(tuple(pairs), finite=True, exact=True, accept=lambda value: not np.any(value.array == 0))
    b.add(op, [x], tolerance=EXACT, to=pairs[x.dtype][1])


