"""What is written over the values of a model: numbers, texts and types at the edges of what anybody thought of."""
from __future__ import annotations

from random import Random

from onnx import AttributeProto, TensorProto, defs

INTS = (0, 1, -1, 2, -2, 3, 4, 5, 7, 8, 16, 17, 63, 64, 100, -100, 127, 128, 255, 1000, 65535, 65536, 10**6, -10**6, 10**9, 2**31 - 1, 2**31,
        -2**31, 2**32, 2**32 + 1, 10**12, 2**53, 2**62, 2**63 - 1, 2**63 - 2, -2**63, -2**63 + 1)
SMALL = (-3, -2, -1, 0, 1, 2, 3, 4, 5)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.0, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, 1e10, float("nan"), float("inf"), float("-inf"))
TEXTS = ("", "a", " ", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "constant", "reflect", "edge", "wrap", "linear", "nearest", "cubic", "bilinear",
         "zeros", "border", "asymmetric", "half_pixel", "floor", "ceil", "add", "mul", "max", "none", "sum", "mean", "forward", "reverse",
         "bidirectional", "Tanh", "Relu", "ij,jk->ik", "...ij->...ji", "i" * 60, "ij->", "->", ",", "ii->i", "abcdefghijklmnopqrstuvwxyz", "a.b", "*/",
         '"', "%s%n", "\n", "\\", "数", "../../x", "x" * 5000, "([a-z", "(a*)*b", "[", "\0")
BINARY = (b"", b"\xff\xfe", b"\x80", b"\0" * 10, "é".encode("latin-1"))
DIM_PARAMS = ("", "n", "N", "batch", "2*n", "2*n + 1", "n//2", "n//0", "n % 0", "n**99", "max(n, 1)", "-n", "n - 5", "n*m*k", "(n", "1", "0", "-1",
              "9" * 40, "int", "i0", "*/", "x" * 300, "n" * 2, "unk__1", "?", "None", "n n", "(" * 300 + "n" + ")" * 300, "n*" * 400 + "n", "__import__('os')")
LOCATIONS = ("", ".", "/", "/etc/passwd", "../model.onnx", "model.onnx", "data", "data/../data", "missing", "\0", "x" * 5000, "/dev/zero", "/proc/self/mem")
DTYPES = tuple(TensorProto.DataType.values())
ODD_DTYPES = (*DTYPES, -1, 99, 2**31 - 1)
ATTRIBUTE_TYPES = tuple(AttributeProto.AttributeType.values())
OPERATORS = tuple(sorted({(s.domain, s.name) for s in defs.get_all_schemas()}))
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview", "ai.onnx.preview.training", "com.microsoft", "no.such", "x" * 200)


def integer(random: Random, old: int = 0) -> int:
    """An int64: near the old one, small, at an edge, or anything."""
    kind = random.randrange(8)
    if kind < 2:
        value = old + random.choice((-1, 1, 2, -2))
    elif kind < 5:
        value = random.choice(SMALL)
    elif kind < 7:
        value = random.choice(INTS)
    else:
        value = random.choice((-old, old * 2, random.randrange(-2**63, 2**63), 2**random.randrange(63)))
    return max(-2**63, min(2**63 - 1, value))


def number(random: Random, old: float = 0.0) -> float:
    """A float32."""
    return random.choice(FLOATS) if random.random() < 0.7 else random.uniform(-1, 1) * 10.0**random.randrange(-3, 4)


def text(random: Random, old: str | bytes = "") -> bytes:
    """The bytes of a string attribute."""
    if random.random() < 0.1:
        return random.choice(BINARY)
    return random.choice(TEXTS).encode()


def integers(random: Random, old: list[int]) -> list[int]:
    """A list of int64: one changed, one more, one fewer, none, many, the reverse."""
    values = list(old)
    kind = random.randrange(9)
    if kind < 4 and values:
        place = random.randrange(len(values))
        values[place] = integer(random, values[place])
    elif kind == 4 and values:
        del values[random.randrange(len(values))]
    elif kind == 5:
        values.insert(random.randint(0, len(values)), integer(random, values[-1] if values else 0))
    elif kind == 6:
        values = random.choice(([], values[::-1], values * 2, values[:1] * len(values)))
    elif kind == 7:
        values = [integer(random, v) for v in values] or [integer(random)]
    else:
        values = [random.choice((0, 1, -1, 2))] * random.choice((1, 2, 3, 4, 5, 8, 9, 33, 65, 1000))
    return values
