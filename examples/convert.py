"""From ONNX to ONNX: dimensions pinned, constants folded, normalisations folded into convolutions.

    python examples/convert.py IN.onnx OUT.onnx [batch=1 ...]
"""
from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

import dlcompile as dlc
from dlcompile.transforms import optimize


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        if len(sys.argv) >= 3:
            source, target = Path(sys.argv[1]), Path(sys.argv[2])
        else:
            from compile_and_call import small_model

            source, target = small_model(Path(directory, "distance.onnx")), Path(directory, "small.onnx")
        dims = {name: int(size) for name, size in (text.split("=") for text in sys.argv[3:])}
        graph = dlc.import_onnx(source, dims=dims)
        print("before:", dict(Counter(node.op for node in graph.nodes)))
        graph = optimize(graph)
        print("after: ", dict(Counter(node.op for node in graph.nodes)))
        model = dlc.export_onnx(graph, target)
        print(f"{target.name}: {len(model.graph.node)} ONNX nodes")


if __name__ == "__main__":
    main()
