"""Ensembles of decision trees, against ONNX Runtime."""
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile
from dlcompile.errors import Error
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.operators.interpreter import evaluate

ort = pytest.importorskip("onnxruntime")
ML = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")


def random_trees(random, trees, features, depth, modes, missing=False):
    """Attributes nodes_* of trees with integer thresholds, and (tree, node) of the leaves. Nodes of a tree are in random order."""
    columns = {name: [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                     "missing_value_tracks_true")}
    leaves = []
    for tree in range(trees):
        rows, waiting = [], [(0, 0)]
        count = 1
        while waiting:
            node, level = waiting.pop()
            leaf = level == depth or level > 0 and random.random() < 0.2
            row = dict(treeids=tree, nodeids=node, featureids=int(random.integers(features)), values=float(random.integers(-3, 4)),
                       modes="LEAF" if leaf else str(random.choice(modes)), truenodeids=0, falsenodeids=0,
                       missing_value_tracks_true=int(missing and random.random() < 0.5))
            if leaf:
                leaves.append((tree, node))
            else:
                row["truenodeids"], row["falsenodeids"] = count, count + 1
                waiting += [(count, level + 1), (count + 1, level + 1)]
                count += 2
            rows.append(row)
        for row in rows[:1] + [rows[i] for i in random.permutation(np.arange(1, len(rows)))]:
            for name, column in columns.items():
                column.append(row[name])
    return {f"nodes_{name}": column for name, column in columns.items()}, leaves


def model_of(op, features, dtype=TensorProto.FLOAT, outputs=("y",), version=3, **attributes):
    node = helper.make_node(op, ["x"], list(outputs), domain=ML, **attributes)
    infos = [onnx.ValueInfoProto(name=name) for name in outputs]
    types = {"y": TensorProto.FLOAT, "label": TensorProto.STRING if "classlabels_strings" in attributes else TensorProto.INT64}
    for info in infos:
        info.type.CopyFrom(helper.make_tensor_type_proto(types[info.name], None))
    graph = helper.make_graph([node], "trees", [helper.make_tensor_value_info("x", dtype, ["n", features])], infos)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid(ML, version)], ir_version=10)


def check(model, x, rtol=1e-5, atol=1e-5):
    """Compiled, interpreted, and exported again, as ONNX Runtime has it."""
    def run(proto):
        return ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})

    expected, graph = run(model), import_onnx(model)
    compiled = dlcompile.compile(model, threads=2)(x)
    results = [compiled if isinstance(compiled, tuple) else (compiled,), evaluate(graph, [x]), run(export_onnx(graph))]
    for result in results:
        for got, wanted in zip(result, expected, strict=True):
            if wanted.dtype == object:
                assert np.asarray(got).tolist() == wanted.tolist()
            else:
                np.testing.assert_allclose(got, wanted, rtol, atol)


def values(random, rows, features, missing=False):
    x = random.integers(-4, 5, (rows, features)).astype(np.float32)
    x.flat[:: 7] = [np.nan, np.inf, -np.inf, -0.0][rows % 4] if missing else 0.5
    return x


@pytest.mark.parametrize("rows, modes, aggregate", [(1, MODES[:1], "SUM"), (3, MODES, "AVERAGE"), (17, MODES[:1], "MIN"), (131, MODES, "MAX"),
                                                    (600, MODES[:1], "SUM"), (2, MODES, "SUM")])
def test_regressor(rows, modes, aggregate):
    random = np.random.default_rng(rows + len(modes))
    columns, leaves = random_trees(random, 19, 5, 6, modes, len(modes) > 1)
    targets = 1 + rows % 3
    weights = [(t, n, int(random.integers(targets)), float(random.standard_normal())) for t, n in leaves]
    names = ("target_treeids", "target_nodeids", "target_ids", "target_weights")
    model = model_of("TreeEnsembleRegressor", 5, **columns, n_targets=targets, aggregate_function=aggregate,
                     base_values=[0.5] * targets if aggregate == "SUM" else None, **dict(zip(names, map(list, zip(*weights)))))
    check(model, values(random, rows, 5, len(modes) > 1))


@pytest.mark.parametrize("post, labels, positive", [("NONE", ["a", "b"], True), ("SOFTMAX", ["ä", "b\"c", "%s"], True),
                                                    ("LOGISTIC", [4, 9], False), ("SOFTMAX_ZERO", [3, 1, 2], True), ("NONE", [4, 9], False)])
def test_classifier(post, labels, positive):
    random = np.random.default_rng(len(labels))
    columns, leaves = random_trees(random, 7, 4, 4, MODES[:1])
    classes = 1 if len(labels) == 2 else len(labels)
    weights = [(t, n, int(random.integers(classes)), float(random.random() / 7 if positive else random.standard_normal())) for t, n in leaves]
    names = ("class_treeids", "class_nodeids", "class_ids", "class_weights")
    kind = "classlabels_strings" if isinstance(labels[0], str) else "classlabels_int64s"
    model = model_of("TreeEnsembleClassifier", 4, outputs=("label", "y"), post_transform=post, **columns, **{kind: labels},
                     **dict(zip(names, map(list, zip(*weights)))))
    check(model, values(random, 33, 4))


def test_scikit_learn():
    convert = pytest.importorskip("skl2onnx")
    from sklearn.datasets import make_classification, make_regression
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier, RandomForestRegressor

    for make, estimators in ((make_classification, (RandomForestClassifier(5, max_depth=6), GradientBoostingClassifier(n_estimators=5))),
                             (make_regression, (RandomForestRegressor(5), GradientBoostingRegressor(n_estimators=5)))):
        x, y = make(200, 8, random_state=0)
        for estimator in estimators:
            estimator.fit(x.astype(np.float32), y)
            options = {id(estimator): {"zipmap": False}} if hasattr(estimator, "predict_proba") else None
            made = convert.to_onnx(estimator, x[:1].astype(np.float32), options=options)
            x32 = x.astype(np.float32)
            expected = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"X": x32})
            got = dlcompile.compile(made)(x32)
            for a, b in zip(got if isinstance(got, tuple) else (got,), expected):
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", [
    {"nodes_truenodeids": [0, 0, 0]}, {"nodes_truenodeids": [7, 0, 0]}, {"nodes_featureids": [3, 0, 0]}, {"nodes_featureids": [-1, 0, 0]},
    {"nodes_values": [1.0]}, {"target_ids": [1, 0]}, {"target_nodeids": [9, 2]}, {"nodes_modes": ["BRANCH", "LEAF", "LEAF"]},
], ids=str)
def test_trees_that_make_no_sense_are_refused(change):
    attributes = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[1, 0, 0], nodes_values=[0.5, 0.0, 0.0],
                      nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
                      target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0], n_targets=1)
    import_onnx(model_of("TreeEnsembleRegressor", 2, **attributes))
    with pytest.raises(Error):
        import_onnx(model_of("TreeEnsembleRegressor", 2, **{**attributes, **change}))


def test_unknown_number_of_features():
    """A matrix with fewer columns than the trees ask for is not read beyond its end."""
    attributes = dict(nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[2, 0, 0], nodes_values=[0.5, 0.0, 0.0],
                      nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
                      target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0], n_targets=1)
    compiled = dlcompile.compile(model_of("TreeEnsembleRegressor", "f", **attributes))
    assert compiled(np.array([[9, 9, 0], [9, 9, 1]], np.float32)).ravel().tolist() == [1.0, 2.0]
    with pytest.raises(Error, match="3 to be at most f; they are 3 and 1"):
        compiled(np.ones((2, 1), np.float32))
