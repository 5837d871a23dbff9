"""Where random numbers come from: keys of two words, and generators that never give the same key twice."""
from __future__ import annotations

import random as python_random
from typing import Any, Union

import numpy as np

from dlcompile import ops
from dlcompile.errors import ArgumentError
from dlcompile.graph import Tensor
from dlcompile.registry import Configurable, Family
from dlcompile.variables import Variable

_WORD = 0xFFFFFFFF

FAMILY = Family("random")


class SeedGenerator(Configurable):
    """A sequence of keys for random functions.

    seed: an integer of up to 64 bits; None: one that differs each time (see `set_random_seed`).
    name: what messages and files call its variable.

    `state` is a variable of two words, the seed and how often `next` was called. The generator of a layer or model is found as its variables
    are, so that it is saved with them, and a training step that is repeated from saved variables draws the same numbers.

    >>> generator = SeedGenerator(7)
    >>> generator.next(), generator.next()
    (array([7, 0], dtype=uint32), array([7, 1], dtype=uint32))
    """

    def __init__(self, seed: int | None = None, name: str | None = None):
        if seed is None:
            seed = make_default_seed()
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed < 2**64:
            raise ArgumentError(f"a seed is an integer from 0 to 2**64 - 1, not {seed!r}")
        self.seed, self.name = int(seed), name or "seed_generator"
        self.state = Variable(_words(self.seed), trainable=False, name=f"{self.name}_state")

    def next(self, ordered: bool = True) -> Tensor | np.ndarray:
        """The next key, uint32[2]. `ordered` is there for scripts that give it; keys are in order always."""
        key = self.state.value
        if isinstance(key, Tensor):
            self.state.assign(key + _ONE)
            return key
        with np.errstate(over="ignore"):
            self.state.assign(key + _ONE)
        return key

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed, "name": self.name}


FAMILY.add(SeedGenerator)

Seed = Union[int, SeedGenerator, Tensor, np.ndarray, None]

_ONE = np.array([0, 1], np.uint32)
_global: SeedGenerator | None = None


def _words(seed: int) -> np.ndarray:
    return np.array([seed & _WORD, seed >> 32], np.uint32)


def make_default_seed() -> int:
    """A seed for what has been given none, from Python's `random`, which `set_random_seed` resets."""
    return python_random.randint(1, 10**9)


def global_seed_generator() -> SeedGenerator:
    """The generator that random functions draw from where they are given no seed."""
    global _global
    if _global is None:
        _global = SeedGenerator(name="global_seed_generator")
    return _global


def set_random_seed(seed: int) -> None:
    """Begin all sequences of random numbers anew: Python's `random`, `numpy.random`, and dlcompile's own. A program that starts with this
    does the same each time it runs.

    seed: an integer from 0 to 2**32 - 1.
    """
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or not 0 <= seed <= _WORD:
        raise ArgumentError(f"a seed for everything is an integer from 0 to 2**32 - 1, not {seed!r}")
    generator = global_seed_generator()  # which is made with a number of Python's, if there is none yet: before these begin anew
    python_random.seed(int(seed))
    np.random.seed(int(seed))
    generator.state.assign(_words(int(seed)))


def draw_key(seed: Seed) -> Tensor | np.ndarray:
    """The key that a seed stands for: of a generator the next one, of an integer what a generator with that seed gives first, of None the
    next one of the generator that all share; a key as it is."""
    if seed is None:
        seed = global_seed_generator()
    if isinstance(seed, SeedGenerator):
        return seed.next()
    if isinstance(seed, (int, np.integer)) and not isinstance(seed, bool):
        return _words(SeedGenerator(int(seed)).seed)
    if isinstance(seed, (Tensor, np.ndarray)) and seed.dtype == np.uint32 and tuple(seed.shape) == (2,):
        return seed
    raise ArgumentError(f"a seed is an integer, a SeedGenerator or a key uint32[2], not {seed!r}")


def key_tensor(seed: Seed) -> Tensor:
    """`draw_key` as a tensor."""
    return ops.as_tensor(draw_key(seed))


__all__ = ["Seed", "SeedGenerator", "draw_key", "global_seed_generator", "key_tensor", "make_default_seed", "set_random_seed"]
