"""Random graphs compiled: fusion, placement and every form together against the interpreter, static and symbolic, on every target."""
from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dlcompile.graph import symbol
from dlcompile.transforms import optimize
from tests.kernels.build import EMULATED, RUNNABLE, Case, check
from tests.transforms.test_random_graphs import Builder

GRAPHS = 6  # to a library: what takes time is starting the compiler; a failure names its seed, so nothing is shrunk


def case(seed: int) -> Case:
    """A random graph as the scheduler gets it, and inputs for it."""
    builder = Builder(seed, symbol("n") if seed % 2 else 2)
    builder.grow(15)
    graph = optimize(builder.graph())
    random = np.random.default_rng(seed)
    inputs = [(t, random.standard_normal([2 if not isinstance(d, int) else d for d in t.shape]).astype(np.float32)) for t in graph.inputs]
    return Case(f"seed {seed}", inputs, graph.outputs, tolerance=1e-4)


@pytest.mark.parametrize("target", RUNNABLE + EMULATED, ids=lambda t: t.name)
@settings(max_examples=2, deadline=None, derandomize=True, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(first=st.integers(0, 2**20))
def test_random_graphs(target, first: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        check([case(first * GRAPHS + i) for i in range(GRAPHS)], target, Path(directory))
