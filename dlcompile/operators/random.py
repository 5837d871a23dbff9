"""Random numbers, each time the same.

Bits that are a function of a key and a counter, so that they can be computed anywhere and in any order; and the sequence
of the Mersenne Twister, which is what ONNX's reference evaluator draws for a seed.
"""
from __future__ import annotations

import numpy as np

from dlcompile.errors import DTypeError, InvalidModelError
from dlcompile.graph import Operator, TensorType, register

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = np.uint32(0x1BD11BDA)
ROUNDS = 20


Words = tuple[np.ndarray, np.ndarray]


def threefry2x32(key: Words, counter: Words) -> Words:
    """Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), of uint32."""
    words = (*key, key[0] ^ key[1] ^ PARITY)
    x, y = counter[0] + words[0], counter[1] + words[1]
    for block in range(ROUNDS // 4):
        for rotation in ROTATIONS[block % 2]:
            x = x + y
            y = (y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation))
            y = y ^ x
        x = x + words[(block + 1) % 3]
        y = y + words[(block + 2) % 3] + np.uint32(block + 1)
    return x, y


def _infer(types, attributes):
    if types[0] != TensorType(np.dtype(np.uint32), (2,)):
        raise DTypeError(f"the key must be uint32[2], not {types[0]}")
    return TensorType(np.dtype(np.uint32), attributes["shape"])


def _random_bits(attributes, key):
    """Element i of the row-major result is x ^ y of the block whose counter is (i >> 32, i mod 2**32)."""
    shape = attributes["shape"]
    index = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    with np.errstate(over="ignore"):
        x, y = threefry2x32((key[0], key[1]), ((index >> np.uint64(32)).astype(np.uint32), index.astype(np.uint32)))
    return (x ^ y).reshape(shape)


register(Operator("random_bits", "random", infer=_infer, evaluate=_random_bits,
                  flops=lambda i, o, a: o[0].size * 5 * ROUNDS))


# -- the Mersenne Twister ----------------------------------------------------------------------------------------------
DISTRIBUTIONS = {"uniform": np.random.RandomState.random_sample, "normal": np.random.RandomState.standard_normal}


def _infer_mt19937(types, attributes):
    if not 0 <= attributes["seed"] < 2**32 or attributes["distribution"] not in DISTRIBUTIONS:
        raise InvalidModelError(f"mt19937: expected a seed of 32 bits and a distribution of {', '.join(DISTRIBUTIONS)}; "
                                f"not {dict(attributes)}")
    return TensorType(np.dtype(np.float64), attributes["shape"])


def _mt19937(attributes):
    draw = DISTRIBUTIONS[attributes["distribution"]]
    return np.asarray(draw(np.random.RandomState(attributes["seed"]), attributes["shape"]))


register(Operator("mt19937", "random", infer=_infer_mt19937, evaluate=_mt19937, accuracy="rounded",
                  flops=lambda i, o, a: o[0].size * 20))
