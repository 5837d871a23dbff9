"""Random graphs through the whole pipeline: the value stays, the graph stays well formed, and the second time changes nothing."""
import warnings

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.graph import Tensor, symbol
from dlcompile.transforms import optimize
from tests.transforms.helpers import assert_same, graph_of, variable
from tests.transforms.test_movement import convolution


class Builder:
    """Grows a graph by random steps on random tensors of it. Axis 0 is the batch, which may be symbolic; movement leaves it alone."""

    def __init__(self, seed: int, batch):
        self.random = np.random.default_rng(seed)
        self.batch = batch
        self.inputs = [variable("x", (batch, 4, 6, 5)), variable("y", (batch, 6, 5, 4)), variable("z", (batch, 1, 1, 3))]
        self.tensors: list[Tensor] = list(self.inputs)

    def pick(self, rank: int | None = None) -> Tensor:
        """A tensor, of late ones more often."""
        found = [t for t in self.tensors if rank in (None, t.rank)]
        return found[-1 - int(self.random.integers(0, min(4, len(found))))]

    def axis(self, x: Tensor) -> int:
        return int(self.random.integers(1, x.rank))

    def constant(self, *shape: int) -> np.ndarray:
        return self.random.uniform(-1, 1, shape).astype(np.float32)

    # -- steps: each returns a new tensor, or None where it cannot be applied -----------------------------------------------
    def unary(self):
        return self.random.choice([ops.neg, ops.abs, ops.tanh, ops.logistic, ops.relu])(self.pick())

    def with_constant(self):
        x = self.pick()
        axis = self.axis(x)
        shape = [(), x.shape[1:], (x.shape[axis], *(1,) * (x.rank - 1 - axis))][int(self.random.integers(3))]
        function = [ops.add, ops.sub, ops.mul, ops.maximum, ops.minimum][int(self.random.integers(5))]
        return function(x, self.constant(*shape)) if self.random.random() < 0.7 else function(self.constant(*shape), x)

    def binary(self):
        x = self.pick()
        others = [t for t in self.tensors if t.rank == x.rank and all(a in (b, 1) for a, b in zip(t.shape, x.shape))]
        other = others[int(self.random.integers(len(others)))]
        return [ops.add, ops.mul, ops.maximum, ops.sub][int(self.random.integers(4))](x, other)

    def transpose(self):
        x = self.pick()
        return ops.transpose(x, (0, *(1 + self.random.permutation(x.rank - 1)).tolist()))

    def to_channels_first_or_last(self):
        return ops.transpose(self.pick(4), (0, 3, 1, 2) if self.random.random() < 0.5 else (0, 2, 3, 1))

    def merge_axes(self):
        x = self.pick()
        if x.rank < 3:
            return None
        axis = int(self.random.integers(1, x.rank - 1))
        return ops.reshape(x, (*x.shape[:axis], x.shape[axis] * x.shape[axis + 1], *x.shape[axis + 2:]))

    def split_axis(self):
        x = self.pick()
        axis = self.axis(x)
        factors = [f for f in (1, 2, 3) if x.shape[axis] % f == 0]
        f = factors[int(self.random.integers(len(factors)))]
        return ops.reshape(x, (*x.shape[:axis], f, x.shape[axis] // f, *x.shape[axis + 1:])) if x.rank < 6 else None

    def slice(self):
        x = self.pick()
        axis = self.axis(x)
        if x.shape[axis] < 2:
            return None
        start = int(self.random.integers(0, x.shape[axis] - 1))
        at = [0] * x.rank, list(x.shape), [1] * x.rank
        at[0][axis], at[2][axis] = start, int(self.random.integers(1, 3))
        return ops.slice(x, *at)

    def pad(self):
        x = self.pick()
        low, high = ([0, *self.random.integers(0, 2, x.rank - 1).tolist()] for _ in range(2))
        return ops.pad(x, np.float32(self.random.integers(0, 2)), low, high)

    def concatenate(self):
        x = self.pick()
        axis = self.axis(x)
        return ops.concatenate([x, ops.neg(x) if self.random.random() < 0.5 else x], axis)

    def gather(self):
        x = self.pick()
        axis = self.axis(x)
        return ops.gather(x, self.random.integers(0, x.shape[axis], 3), axis)

    def reduce(self):
        x = self.pick()
        keep = x.rank < 4 or self.random.random() < 0.6
        return [ops.reduce_sum, ops.reduce_max, ops.reduce_mean][int(self.random.integers(3))](x, (self.axis(x),), keep)

    def softmax(self):
        x = self.pick()
        return ops.softmax(x, self.axis(x))

    def convolve(self):
        x = self.pick(4)
        if x.shape[2] < 3 or x.shape[3] < 3 or x.shape[1] > 24:
            return None
        k = int(self.random.integers(1, 4))
        spread = int(self.random.integers(1, 3)) if self.random.random() < 0.3 else 1
        low = k - 1 if spread > 1 else int(self.random.integers(0, 2))
        w = self.constant(int(self.random.integers(1, 6)), x.shape[1], k, k) / np.float32(k * x.shape[1])
        return convolution(x, w, padding=((low, low),) * 2, lhs_dilation=(spread, spread))

    def pool(self):
        x = self.pick(4)
        if min(x.shape[2:]) < 2:
            return None
        return ops.reduce_window(x, "max", (1, 1, 2, 2), (1, 1, 2, 1))

    def product(self):
        x = self.pick()
        return ops.matmul(x, self.constant(x.shape[-1], 4) / np.float32(x.shape[-1])) if x.shape[-1] < 200 else None

    def grow(self, steps: int) -> None:
        names = [n for n in vars(Builder) if not n.startswith("_") and n not in ("pick", "axis", "constant", "grow", "graph")]
        while len(self.tensors) < steps:
            made = getattr(self, names[int(self.random.integers(len(names)))])()
            if made is not None and int(np.prod(made.shape[1:])) < 3000:
                self.tensors.append(made)

    def graph(self):
        return graph_of((self.tensors[-1], self.tensors[-3]), *self.inputs)


@pytest.mark.parametrize("seed", range(40))
def test_random_graph(seed):
    builder = Builder(seed, symbol("n") if seed % 2 else 2)
    builder.grow(25)
    graph = builder.graph()
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        after = optimize(graph, check=True)
        assert str(optimize(after)) == str(after)
    assert_same(graph, after, rtol=1e-3, atol=1e-4, n=2)
