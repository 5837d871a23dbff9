"""The discrete Fourier transform as products with small matrices, and determinants by elimination."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError, ShapeError
from dlcompile.graph import DimLike, Graph, Tensor, make_input, product
from dlcompile.operators.composite import composite, scalar

LARGEST_FACTOR = 64
"""lengths up to this are one product with the matrix of the transform; longer ones are split, unless they have no factor as small"""
LARGEST_MATRIX = 512
"""lengths without such a factor are one product up to this, and a convolution beyond, which is faster from about here on"""
MOST_POINTS = 1 << 24
"""of a length known when the model is compiled; the tables of a transform have about four times as many numbers"""


@composite("dft")
def dft(attributes, x: Tensor) -> Tensor:
    """y_k = sum_j x_j e**(-2πi jk/n) along an axis of x [..., 2]; with `inverse` the conjugate, divided by n.

    A length n = a·b is transformed as b transforms of length a, a rotation, and a transforms of length b (Cooley and Tukey, "An Algorithm
    for the Machine Calculation of Complex Fourier Series", 1965), each of them a product with a small constant matrix. What is left of a length without
    small factors is a convolution, see `_by_convolution`.
    """
    axis, inverse = attributes["axis"], attributes["inverse"]
    n = x.shape[axis]
    if isinstance(n, int) and n > MOST_POINTS:
        raise InvalidModelError(f"a Fourier transform of {n} points; expected at most {MOST_POINTS}")
    before, after = product(x.shape[:axis]), product(x.shape[axis + 1:-1])
    re, im = (ops.reshape(ops.slice(x, (*(0,) * (x.rank - 1), k), (*x.shape[:-1], k + 1)), (before, n, after)) for k in (0, 1))
    re, im = _transform(re, im, n, 1 if inverse else -1)
    if inverse:
        size = ops.cast(ops.reshape(ops.shape_vector((n,)), ()), x.dtype)
        re, im = ops.div(re, size), ops.div(im, size)
    return ops.stack([ops.reshape(part, x.shape[:-1]) for part in (re, im)], x.rank - 1)


def _transform(re: Tensor, im: Tensor, n: DimLike, sign: int) -> tuple[Tensor, Tensor]:
    """The transform of re + i·im [before, n, after] along the middle axis."""
    before, _, after = re.shape
    factor = _factor(n) if isinstance(n, int) else None
    if factor is None and isinstance(n, int) and n > LARGEST_MATRIX:
        return _by_convolution(re, im, n, sign)
    if factor is None:
        cos, sin = _matrix(n, re.dtype, sign)
        return _times(cos, sin, re, im)
    a, b = factor, n // factor
    # j = b·j1 + j2, k = k1 + a·k2: first over j1 (length a), then a rotation by j2·k1, then over j2 (length b)
    re, im = (ops.reshape(t, (before, a, b * after)) for t in (re, im))
    re, im = _transform(re, im, a, sign)
    angle = 2 * np.pi * sign * np.outer(np.arange(a), np.arange(b)) / n
    cos, sin = (ops.as_tensor(f(angle).astype(re.dtype).reshape(1, a, b, 1)) for f in (np.cos, np.sin))
    re, im = (ops.reshape(t, (before, a, b, after)) for t in (re, im))
    re, im = _product(re, im, cos, sin)
    re, im = (ops.reshape(t, (before * a, b, after)) for t in (re, im))
    re, im = _transform(re, im, b, sign)
    return tuple(ops.reshape(ops.transpose(ops.reshape(t, (before, a, b, after)), (0, 2, 1, 3)), (before, n, after)) for t in (re, im))


def _by_convolution(re: Tensor, im: Tensor, n: int, sign: int) -> tuple[Tensor, Tensor]:
    """With w_j = e**(sign·πi j²/n) the transform is y_k = w_k · sum_j (x_j w_j) · conj(w_(k-j)), because 2jk = j² + k² - (k-j)²: a convolution,
    which is a product between transforms of a longer but smooth length (Bluestein, "A Linear Filtering Approach to the Computation of the
    Discrete Fourier Transform", 1970)."""
    m = _smooth(2 * n - 1)
    w = np.exp(1j * np.pi * sign * (np.arange(n) ** 2 % (2 * n)) / n)
    around = np.zeros(m, np.complex128)
    around[:n], around[m - n + 1:] = w.conj(), w.conj()[:0:-1]
    chirp, response = ([ops.as_tensor(part.astype(re.dtype).reshape(1, -1, 1)) for part in (z.real, z.imag)] for z in (w, np.fft.fft(around) / m))
    zero, none = np.zeros((), re.dtype), (0, 0, 0)
    re, im = (ops.pad(t, zero, none, (0, m - n, 0)) for t in _product(re, im, *chirp))
    re, im = _transform(*_product(*_transform(re, im, m, -1), *response), m, 1)
    re, im = (ops.slice(t, none, (t.shape[0], n, t.shape[2])) for t in (re, im))
    return _product(re, im, *chirp)


def _product(re: Tensor, im: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor]:
    """Of complex numbers."""
    return ops.sub(ops.mul(re, cos), ops.mul(im, sin)), ops.add(ops.mul(re, sin), ops.mul(im, cos))


def _smooth(n: int) -> int:
    """The least multiple of a power of LARGEST_FACTOR from n up whose other factor is no greater either."""
    power = 1
    while power * LARGEST_FACTOR < n:
        power *= LARGEST_FACTOR
    return -(-n // power) * power


def _factor(n: int) -> int | None:
    """The largest divisor of n up to LARGEST_FACTOR; None where the transform is one product."""
    if n <= LARGEST_FACTOR:
        return None
    return next((a for a in range(LARGEST_FACTOR, 1, -1) if n % a == 0), None)


def _matrix(n: DimLike, dtype: np.dtype, sign: int) -> tuple[Tensor, Tensor]:
    """cos and sin of 2π·sign·jk/n."""
    if isinstance(n, int):
        angle = 2 * np.pi * sign * (np.outer(np.arange(n), np.arange(n)) % max(n, 1)) / max(n, 1)
        return ops.as_tensor(np.cos(angle).astype(dtype)), ops.as_tensor(np.sin(angle).astype(dtype))
    size = ops.reshape(ops.shape_vector((n,)), ())
    steps = ops.floor_mod(ops.mul(ops.iota(np.int64, (n, n), 0), ops.iota(np.int64, (n, n), 1)), ops.maximum(size, np.int64(1)))
    wide = np.float64
    angle = ops.mul(ops.div(ops.cast(steps, wide), ops.cast(ops.maximum(size, np.int64(1)), wide)), np.float64(2 * np.pi * sign))
    return ops.cast(ops.cos(angle), dtype), ops.cast(ops.sin(angle), dtype)


def _times(cos: Tensor, sin: Tensor, re: Tensor, im: Tensor) -> tuple[Tensor, Tensor]:
    def along(matrix: Tensor, x: Tensor) -> Tensor:  # the matrices are symmetric
        return ops.transpose(ops.dot_general(x, matrix, contracting=((1,), (0,))), (0, 2, 1))

    return ops.sub(along(cos, re), along(sin, im)), ops.add(along(sin, re), along(cos, im))


@composite("det")
def det(attributes, x: Tensor) -> Tensor:
    """Gaussian elimination with partial pivoting: the product of the pivots, negated for every exchange of rows."""
    n = x.shape[-1]
    if x.rank < 2 or x.shape[-2] != n:
        raise ShapeError(f"determinants of {x.type}: not square matrices")
    lead = x.shape[:-2]
    count = product(lead)
    one = ops.broadcast_to(scalar(x, 1), (count,))
    a, total, k = make_input("a", x.dtype, (count, n, n)), make_input("total", x.dtype, (count,)), make_input("k", np.int64, ())
    row = ops.iota(np.int64, (1, n), 1)
    column = ops.squeeze(ops.gather(a, ops.reshape(k, (1,)), 2), 2)  # [count, n]
    size = ops.select(ops.ge(row, k), ops.abs(column), scalar(x, -1))
    best = ops.argmax(size, 1)  # [count]
    # rows k and best change places
    chosen = ops.expand_dims(best, 1)
    at_k = ops.eq(row, k)
    order = ops.select(at_k, chosen, ops.select(ops.eq(row, chosen), k, row))
    swapped = ops.take_along_axis(a, ops.broadcast_to(ops.expand_dims(order, 2), (count, n, n)), 1)
    pivot_row = ops.squeeze(ops.gather(swapped, ops.reshape(k, (1,)), 1), 1)  # [count, n]
    pivot = ops.squeeze(ops.gather(pivot_row, ops.reshape(k, (1,)), 1), 1)
    left = ops.squeeze(ops.gather(swapped, ops.reshape(k, (1,)), 2), 2)
    zero = scalar(x, 0)
    factor = ops.select(ops.logical_and(ops.gt(row, k), ops.ne(ops.expand_dims(pivot, 1), zero)), ops.div(left, ops.expand_dims(pivot, 1)), zero)
    reduced = ops.sub(swapped, ops.mul(ops.expand_dims(factor, 2), ops.expand_dims(pivot_row, 1)))
    signed = ops.select(ops.eq(best, k), pivot, ops.neg(pivot))
    body = Graph("eliminate", [a, total, k], [reduced, ops.mul(total, signed)])
    made = ops.scan(body, ops.reshape(x, (count, n, n)), one, ops.iota(np.int64, (n,)), num_carry=2, num_scanned=1, length=n)
    return ops.reshape(made[1], lead)
