"""Build a graph with dlcompile's own operators, print it, evaluate it in NumPy, and see what it is compiled to.

    python examples/inspect_graph.py
"""
from __future__ import annotations

import numpy as np

import dlcompile as dlc
from dlcompile import ops
from dlcompile.graph import make_input, symbol
from dlcompile.operators import evaluate


def main() -> None:
    batch = symbol("batch")
    x = make_input("x", "float32", (batch, 8))
    weights = np.linspace(-1, 1, 32, dtype=np.float32).reshape(8, 4)
    y = ops.softmax(ops.matmul(x, weights), axis=-1)
    graph = dlc.Graph("classifier", [x], [y], output_names=["scores"])
    print(graph)

    optimized, program, project = dlc.lower(graph)
    print("\nas kernels:")
    for call in program.calls:
        print(f"  {call.form}: {', '.join(call.operators)}  ({call.flops} floating-point operations)")
    print("\nas C:", ", ".join(project.files))

    values = np.random.default_rng(0).random((3, 8)).astype(np.float32)
    (expected,) = evaluate(graph, [values])  # operator by operator, in NumPy: what everything else is compared with
    np.testing.assert_allclose(dlc.compile(graph)(values), expected, rtol=1e-5)
    print("\ncompiled and interpreted results agree")


if __name__ == "__main__":
    main()
