"""Compile a model, call it, save it, load it again.

    python examples/compile_and_call.py [MODEL.onnx]
"""
from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import dlcompile as dlc


def small_model(path: Path) -> Path:
    """points float32[batch, 2] → distance float32[batch]: how far from the origin, for want of a model on the command line."""
    nodes = [helper.make_node("ReduceL2", ["points", "axes"], ["distance"], name="length", keepdims=0)]
    graph = helper.make_graph(nodes, "distance", [helper.make_tensor_value_info("points", TensorProto.FLOAT, ["batch", 2])],
                              [helper.make_tensor_value_info("distance", TensorProto.FLOAT, ["batch"])],
                              [numpy_helper.from_array(np.array([1]), "axes")])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else small_model(Path(directory, "distance.onnx"))
        model = dlc.compile(path)
        print(model)  # names, element types and shapes

        rng = np.random.default_rng(0)
        inputs = {p.name: rng.random([d if isinstance(d, int) else 3 for d in p.shape]).astype(p.dtype) for p in model.inputs}
        outputs = model.run(inputs)  # by name; model(*arrays) takes them in order
        for name, array in outputs.items():
            print(f"{name}: {array.dtype}{list(array.shape)}", array.ravel()[:5])

        library = model.save(Path(directory, "model.so"))  # and model.h
        again = dlc.load(library)  # needs no compiler, and does not import onnx
        assert all(np.array_equal(a, b) for a, b in zip(outputs.values(), again.run(inputs).values()))
        print(f"loaded again from {library.name} ({library.stat().st_size >> 10} KiB): the same answers")


if __name__ == "__main__":
    main()
