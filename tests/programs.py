"""Programs whose kernels are written by hand, for tests of what comes after scheduling."""
from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np

from dlcompile.graph import DTYPES, TensorType, dim_max, symbol
from dlcompile.kernels.program import (
    Buffer,
    BufferArgument,
    Call,
    ConstantArgument,
    Constraint,
    DimArgument,
    InputArgument,
    Kernel,
    OutputArgument,
    Port,
    Program,
)

COMPILERS = [c for c in ("gcc", "clang") if shutil.which(c)]
FLOAT = np.dtype(np.float32)

SCALE = Kernel("scale", (("const float *restrict", "x"), ("const float *restrict", "w"), ("float *restrict", "y"), ("const int64_t", "n")), """\
    const dlc_range part = dlc_split(team, n);
    for (int64_t i = part.begin; i < part.end; ++i)
        for (int64_t j = 0; j < 3; ++j)
            y[3 * i + j] = x[3 * i + j] * w[j];
""", ("dlc_base.h",))

SUM = Kernel("sum", (("const float *restrict", "x"), ("float *restrict", "y"), ("const int64_t", "n")), """\
    for (int64_t i = 0; i < n; ++i)
        y[i] = x[3 * i] + x[3 * i + 1] + x[3 * i + 2];
""", ("dlc_base.h",))

WEIGHTS = np.array([1, 2, 3], np.float32)


def weighted_sum(name: str = "weighted", rows="batch", *, input_name: str = "x", output_name: str = "y", threads: int | None = None,
                 origin: tuple[str, ...] = ("Mul_0",)) -> Program:
    """y[i] = sum_j x[i, j] * (j + 1) for x[rows, 3]: a parallel call into a buffer, then one on the first thread alone."""
    n = symbol(rows) if isinstance(rows, str) else rows
    return Program(
        name, (rows,) if isinstance(rows, str) else (),
        (Port(input_name, TensorType(FLOAT, (n, 3))),), (Port(output_name, TensorType(FLOAT, (n,))),), (WEIGHTS,), (Buffer(12 * n, 0, 1),),
        (Call(SCALE, (InputArgument(0), ConstantArgument(0), BufferArgument(0), DimArgument(n)), origin=origin, flops=3 * n, bytes=24 * n,
              operators=("mul",)),
         Call(SUM, (BufferArgument(0), OutputArgument(0), DimArgument(n)), parallel=False, origin=("Sum_1",), form="row", flops=2 * n)),
        threads=threads)


def copies(name: str, ports: list[tuple[str, np.dtype, tuple]], symbols: tuple[str, ...] = (), constraints=()) -> Program:
    """A model that returns each of its inputs; output `i` is called `<name>_out`."""
    calls = []
    for i, (_, dtype, shape) in enumerate(ports):
        c_type = DTYPES[np.dtype(dtype)].c_storage
        headers = ("dlc_base.h", "dlc_half.h") if c_type.startswith("dlc_") else ("dlc_base.h",)
        kernel = Kernel(f"copy_{DTYPES[np.dtype(dtype)].suffix}",
                        ((f"const {c_type} *restrict", "x"), (f"{c_type} *restrict", "y"), ("const int64_t", "n")), """\
    const dlc_range part = dlc_split(team, n);
    for (int64_t i = part.begin; i < part.end; ++i)
        y[i] = x[i];
""", headers)
        size = TensorType(dtype, shape).size
        calls.append(Call(kernel, (InputArgument(i), OutputArgument(i), DimArgument(size)), barrier=False, origin=(f"Identity_{i}",)))
    return Program(name, symbols, tuple(Port(n, TensorType(d, s)) for n, d, s in ports),
                   tuple(Port(f"{n}_out", TensorType(d, s)) for n, d, s in ports), (), (), tuple(calls), tuple(constraints))


def constrained() -> Program:
    """Inputs a[n], b[2*m + 1], c[max(n, m)]; node "Join_7" needs n and m + 1 to be equal."""
    n, m = symbol("n"), symbol("m")
    program = copies("constrained", [("a", FLOAT, (n,)), ("b", FLOAT, (2 * m + 1,)), ("c", FLOAT, (dim_max(n, m),))], ("n", "m"))
    return replace(program, constraints=(Constraint(n, m + 1, "Join_7"),))
