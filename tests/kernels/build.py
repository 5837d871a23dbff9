"""Running graphs through the scheduler, the C compiler and the loader, many of them in one library so that a test stays quick."""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dlcompile.codegen import generate
from dlcompile.graph import Graph, Tensor
from dlcompile.kernels.schedule import schedule
from dlcompile.kernels.target import TARGETS, Target, runs_here
from dlcompile.operators import evaluate
from dlcompile.runtime import load
from dlcompile.toolchain import build
from tests import qemu

RUNNABLE: list[Target] = [t for t in TARGETS.values() if runs_here(t) and t.name != "x86-64-v2"]
"""every target whose code this machine can execute; x86-64-v2 is scheduled exactly as x86-64"""

EMULATED: list[Target] = [qemu.ARM] if qemu.available() and not runs_here(qemu.ARM) else []
"""the targets whose code qemu can execute"""


class Case:
    """A graph to be computed: its inputs as (name, tensor, array), and its results."""

    def __init__(self, name: str, inputs: Sequence[tuple[Tensor, np.ndarray]], outputs: Sequence[Tensor], tolerance: float = 1e-5):
        self.name, self.inputs, self.outputs, self.tolerance = name, list(inputs), list(outputs), tolerance


def check(cases: Sequence[Case], target: Target, directory: Path) -> None:
    """Compile all cases as one model for `target` and compare each result with the interpreter's."""
    inputs = [pair for case in cases for pair in case.inputs]
    outputs = [t for case in cases for t in case.outputs]
    graph = Graph("cases", [t for t, _ in inputs], outputs, input_names=[f"x{i}" for i in range(len(inputs))],
                  output_names=[f"y{i}" for i in range(len(outputs))])
    arrays = [a for _, a in inputs]
    expected = evaluate(graph, arrays)
    library = build(generate(schedule(graph, target), target), directory / "cases.so")
    results = _run(library, dict(zip(graph.input_names, arrays)), target)
    got = [results[name] for name in graph.output_names]
    position = 0
    for case in cases:
        for index in range(len(case.outputs)):
            close(got[position], expected[position], case.tolerance, f"{case.name}, output {index}, {target.name}")
            position += 1


def _run(library: Path, inputs: dict[str, np.ndarray], target: Target) -> dict[str, np.ndarray]:
    return qemu.run_under_qemu(library, inputs) if target in EMULATED else load(library).run(inputs)


def close(got: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Equal types and shapes; equal elements, floats within `tolerance` of the largest finite one, NaN and infinities in the same places."""
    assert got.dtype == expected.dtype and got.shape == expected.shape, f"{what}: {got.dtype}{got.shape}, not {expected.dtype}{expected.shape}"
    if not expected.size:
        return
    if expected.dtype.kind != "f":
        assert np.array_equal(got, expected), f"{what}: {got} is not {expected}"
        return
    a, b = got.astype(np.float64), expected.astype(np.float64)
    finite = np.isfinite(b)
    assert np.array_equal(np.isnan(a), np.isnan(b)), f"{what}: NaN in other places"
    assert np.array_equal(a[~finite & ~np.isnan(b)], b[~finite & ~np.isnan(b)]), f"{what}: infinities in other places"
    scale = np.abs(b[finite]).max(initial=1e-30)
    error = np.abs(a[finite] - b[finite]).max(initial=0) / scale
    assert error <= tolerance, f"{what}: off by {error:.2e} of the largest value"
