"""Ensembles of decision trees as ONNX writes them: with the attributes they were read with."""
from __future__ import annotations

import numpy as np
from onnx import numpy_helper

from dlcompile.frontends.onnx.writer import Writer, exporter
from dlcompile.graph import Node

ML = "ai.onnx.ml"


def written(node: Node) -> dict:
    """Attributes as `make_node` takes them: tensors as protos, no empty lists."""
    found = {}
    for name, value in node.attributes.items():
        if isinstance(value, np.ndarray):
            value = numpy_helper.from_array(value, name)
        elif isinstance(value, tuple):
            value = list(value) or None
        found[name] = value
    return found


@exporter("tree_ensemble_regressor")
def tree_ensemble_regressor(writer: Writer, node: Node, x: str) -> str:
    return writer.emit("TreeEnsembleRegressor", [x], domain=ML, **written(node))


@exporter("tree_ensemble_5")
def tree_ensemble(writer: Writer, node: Node, x: str) -> str:
    writer.root.domains[ML] = 5
    return writer.emit("TreeEnsemble", [x], domain=ML, **written(node))


@exporter("tree_ensemble_classifier")
def tree_ensemble_classifier(writer: Writer, node: Node, x: str) -> tuple[str, ...]:
    """With the classes' numbers for labels: what they are called is looked up behind it."""
    attributes = written(node)
    count = len(attributes.pop("classlabels_strings") or attributes.pop("classlabels_int64s") or ())
    attributes.pop("classlabels_int64s", None)
    return tuple(writer.emit("TreeEnsembleClassifier", [x], 2, domain=ML, classlabels_int64s=list(range(count)), **attributes))
