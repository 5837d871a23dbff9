"""Products: MatMul, Gemm, convolutions."""
from __future__ import annotations

from tests.random_models import values as v
from tests.random_models.builder import Builder, Unsuitable
from tests.random_models.entries.table import entry
from tests.random_models.tolerance import EXACT, Tolerance

SIZES = (1, 2, 3, 4, 5, 7, 8, 13, 17)
PRODUCT = Tolerance(4, 8)


@entry("MatMul", "MatMulInteger")
def matmul(b: Builder, op: str) -> None:
    x = b.pick(b.types(op), low=1, high=4, finite=True)
    columns = b.choice((0, *SIZES))
    kind = b.integer(0, 3)
    inner = x.shape[-1]
    shape = {0: (inner,), 1: (inner, columns), 2: (inner, columns)}.get(kind)
    if shape is None:
        batch = tuple(b.choice((1, e)) for e in x.shape[:-2])
        shape = (*batch[b.integer(0, len(batch)):], inner, columns)
    y = b.fresh(x.dtype if op == "MatMul" else b.choice(b.types(op, 1)), shape, finite=True)
    if op == "MatMul":
        return b.add(op, [x, y], tolerance=PRODUCT)
    zeros = [b.given(v.ordinary(b.numbers, t.dtype, ()), 0.7, reuse=False) if b.chance(0.5) else None for t in (x, y)]
    b.add(op, [x, y, *zeros], tolerance=EXACT)


@entry("Gemm")
def gemm(b: Builder, op: str) -> None:
    m, k, n = (b.choice((0, *SIZES) if b.chance(0.2) else SIZES) for _ in range(3))
    given = {name: b.integer(0, 1) for name in ("transA", "transB") if b.chance(0.5)}
    given |= {name: b.choice((0.0, 0.5, 1.0, -2.0)) for name in ("alpha", "beta") if b.chance(0.4)}
    dtype = b.dtype([t for t in b.types(op) if v.is_float(t)] if b.chance(0.8) else b.types(op))
    if not v.is_float(dtype):
        given = {name: value for name, value in given.items() if name.startswith("trans")}
    a = b.fresh(dtype, (k, m) if given.get("transA") else (m, k), finite=True)
    c = b.fresh(dtype, (n, k) if given.get("transB") else (k, n), finite=True)
    bias = b.fresh(dtype, b.choice(((), (n,), (1, n), (m, 1), (m, n), (1, 1), (1,))), finite=True) if b.chance(0.6) else None
    b.add(op, [a, c, bias], tolerance=PRODUCT, **given)


def spatial(b: Builder, dims: int, low: int = 1) -> list[int]:
    return [b.choice([e for e in (1, 2, 3, 4, 5, 7, 9, 13) if e >= low][: 8 if dims < 3 else 4]) for _ in range(dims)]


@entry("Conv", "Conv", "ConvInteger")
def convolution(b: Builder, op: str) -> None:
    dims = b.choice((1, 2, 2, 2, 3))
    group = b.choice((1, 1, 1, 2, 3))
    channels, outputs = group * b.choice((1, 1, 2, 3, 8)), group * b.choice((1, 2, 3, 5))
    kernel = [b.choice((1, 2, 3, 3, 5) if dims < 3 else (1, 2)) for _ in range(dims)]
    dtype = b.dtype(b.types(op))
    x = b.fresh(dtype, (b.choice((1, 1, 2, 0)), channels, *spatial(b, dims)), finite=True)
    w = b.fresh(dtype if op == "Conv" else b.choice(b.types(op, 1)), (outputs, channels // group, *kernel), finite=True, constant=0.7)
    given = {"group": group} if group > 1 else {}
    if b.chance(0.5):
        given["strides"] = [b.choice((1, 2, 3)) for _ in range(dims)]
    if b.chance(0.4):
        given["dilations"] = [b.choice((1, 2, 3)) for _ in range(dims)]
    if b.chance(0.4):
        given["kernel_shape"] = kernel
    padding = b.integer(0, 3)
    if padding == 1:
        given["auto_pad"] = b.choice(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif padding > 1:
        given["pads"] = [b.integer(0, 3) for _ in range(2 * dims)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, given.get("dilations", [1] * dims))]
    pads = given.get("pads", [0] * 2 * dims)
    if given.get("auto_pad", "VALID") == "VALID" and any(
            e + pads[i] + pads[i + dims] < r for i, (e, r) in enumerate(zip(x.shape[2:], reach))):
        raise Unsuitable("the kernel does not fit")
    if op == "ConvInteger":
        zero = b.given(v.ordinary(b.numbers, dtype, ()), 0.7, reuse=False) if b.chance(0.5) else None
        return b.add(op, [x, w, zero], tolerance=EXACT, **given)
    bias = b.fresh(dtype, (outputs,), finite=True, constant=0.7) if b.chance(0.5) else None
    y, = b.add(op, [x, w, bias], tolerance=PRODUCT, **given)
    if x.array.size and not y.array.size:
        raise Unsuitable("padding takes everything away")


@entry("ConvTranspose")
def transposed_convolution(b: Builder, op: str) -> None:
    dims = b.choice((1, 2, 2, 3))
    group = b.choice((1, 1, 2))
    channels, outputs = group * b.choice((1, 2, 3)), group * b.choice((1, 2, 3))
    kernel = [b.choice((1, 2, 3) if dims < 3 else (1, 2)) for _ in range(dims)]
    dtype = b.dtype(b.types(op))
    x = b.fresh(dtype, (b.choice((1, 2)), channels, *spatial(b, dims)), finite=True)
    w = b.fresh(dtype, (channels, outputs // group, *kernel), finite=True, constant=0.7)
    given = {"group": group} if group > 1 else {}
    strides = [b.choice((1, 2, 3)) for _ in range(dims)]
    if b.chance(0.6):
        given["strides"] = strides
    if b.chance(0.3):
        given["dilations"] = [b.choice((1, 2)) for _ in range(dims)]
    kind = b.integer(0, 3)
    if kind == 1:
        given["auto_pad"] = b.choice(("SAME_UPPER", "SAME_LOWER", "VALID"))
    elif kind == 2:
        given["pads"] = [b.integer(0, 2) for _ in range(2 * dims)]
    if b.chance(0.2) and "strides" in given:
        given["output_padding"] = [b.integer(0, s - 1) for s in strides]
    if "SAME" in given.get("auto_pad", "") and any((k - 1) * d + 1 + p < s for k, d, s, p in zip(
            kernel, given.get("dilations", [1] * dims), given.get("strides", [1] * dims), given.get("output_padding", [0] * dims))):
        raise Unsuitable("negative padding, which every implementation shares out otherwise")
    bias = b.fresh(dtype, (outputs,), finite=True, constant=0.7) if b.chance(0.5) else None
    y, = b.add(op, [x, w, bias], tolerance=PRODUCT, **given)
    if x.array.size and not y.array.size:
        raise Unsuitable("padding takes everything away")


