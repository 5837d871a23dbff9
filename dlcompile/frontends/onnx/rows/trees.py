"""Ensembles of decision trees: operators of ai.onnx.ml that keep their own attributes in the graph."""
from __future__ import annotations

import numpy as np

from dlcompile import ops
from dlcompile.errors import InvalidModelError
from dlcompile.frontends.onnx.node import OnnxNode, importer
from dlcompile.graph import Tensor, apply, make_constant

ML = "ai.onnx.ml"


def attributes_of(node: OnnxNode) -> dict:
    """All attributes that ONNX knows of the operator, None for one that is left out."""
    return {name: node[name] for name in node.schema.attributes}


def label_table(node: OnnxNode, integers: str = "classlabels_int64s") -> Tensor:
    """The labels of the classes, strings or int64."""
    if node["classlabels_strings"]:
        return ops.text(list(node["classlabels_strings"]))
    if not node[integers]:
        raise InvalidModelError(f"neither classlabels_strings nor {integers} are given")
    return make_constant(np.asarray(node[integers], np.int64))


@importer("TreeEnsembleRegressor", domain=ML)
def tree_ensemble_regressor(node: OnnxNode, x: Tensor) -> Tensor:
    return apply("tree_ensemble_regressor", x, **attributes_of(node))


@importer("TreeEnsembleClassifier", domain=ML)
def tree_ensemble_classifier(node: OnnxNode, x: Tensor) -> tuple[Tensor, Tensor]:
    table = label_table(node)
    index, scores = apply("tree_ensemble_classifier", x, **attributes_of(node))
    return ops.gather(table, index, 0), scores


@importer("TreeEnsemble", domain=ML, since=5)
def tree_ensemble(node: OnnxNode, x: Tensor) -> Tensor:
    narrow = x.dtype == np.float16
    y = apply("tree_ensemble_5", ops.cast(x, np.float32) if narrow else x, **attributes_of(node))
    return ops.cast(y, x.dtype)
