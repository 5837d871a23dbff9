"""Whole models, where they are at hand: the form they reach, and the same answers before and after.

`DLCOMPILE_MODELS` names a folder with the models that `make_models.py` writes; models with trained weights are looked
for beside the checkout, in `../shared/models/trained`. Tests of models that are absent skip.
"""
import os
from pathlib import Path

import numpy as np
import pytest

from dlcompile.operators.interpreter import evaluate
from dlcompile.transforms import optimize
from tests.transforms.helpers import assert_same, count, values_for

MADE = Path(os.environ.get("DLCOMPILE_MODELS", "models"))
TRAINED = Path(__file__).parents[3] / "shared" / "models" / "trained"

FORMS = {  # model: how many nodes of some operators are left
    "mlp": {"dot_general": 3, "transpose": 0},
    "resnet18": {"conv_general": 20, "dot_general": 1, "transpose": 1, "mul": 0},
    "resnet50": {"transpose": 1, "mul": 0, "pad": 0},
    "mobilenet_v2": {"transpose": 1, "mul": 0, "pad": 0, "select": 0},
    "minilm": {"attention": 6, "dot_general": 6 * 4},
    "minilm_dynamic": {"attention": 6, "dot_general": 6 * 4},
    "bert_base": {"attention": 12, "dot_general": 12 * 4},
    "unet": {"transpose": 2 + 3, "reduce_window": 3, "mul": 0},
    "vit_b16": {"attention": 12, "conv_general": 1},
}


def load(path: Path):
    from dlcompile.frontends.onnx import import_onnx

    if not path.exists():
        pytest.skip(f"{path} is not there")
    return import_onnx(path)


@pytest.mark.parametrize("name", FORMS)
def test_made_model_reaches_its_form(name):
    after = optimize(load(MADE / f"{name}.onnx"))
    found = count(after)
    assert {op: found[op] for op in FORMS[name]} == FORMS[name]


TRAINED_FORMS = {  # transpositions that are left: the input's, the output's, one for each transposed convolution
    "deeplab_mnv2_dm05_segmentation/model.onnx": {"transpose": 2, "div": 0, "reshape": 0},
    "ppocrv3_text_detector_dynamic/model.onnx": {"transpose": 1 + 2},
    "ultraface_rfb320_detector/model.onnx": {"transpose": 1},
    "infero_cyclone_unet/cyclone_model_200x200.onnx": {"transpose": 3},
    "super_resolution_espcn/model.onnx": {"transpose": 1},
    "squeezenet_fp16.onnx": {"transpose": 1, "cast": 2},  # softmax is computed in float32
}


@pytest.mark.parametrize("name", TRAINED_FORMS)
def test_trained_model_reaches_its_form(name):
    after = optimize(load(TRAINED / name))
    found = count(after)
    assert {op: found[op] for op in TRAINED_FORMS[name]} == TRAINED_FORMS[name]
    assert len(after.nodes) == len(optimize(after).nodes)


VALUES = {  # model: the values of its symbols
    "mnist.onnx": {},
    "super_resolution_espcn/model.onnx": {"batch_size": 1},
    "infero_orographic_drag_mlp/model.onnx": {"N": 3},
    "infero_cyclone_unet/cyclone_model_200x200.onnx": {"N": 1},
    "ultraface_rfb320_detector/version-slim-320_simplified.onnx": {},
    "byte_sentence_boundary_bilstm/model.onnx": {"batch": 2, "length": 9},
}


@pytest.mark.parametrize("name", VALUES)
def test_trained_model_keeps_its_answers(name):
    graph = load(TRAINED / name)
    dims = {**{s.name: 2 for s in graph.symbols}, **VALUES[name]}
    after = optimize(graph, check=True)
    assert_same(graph, after, rtol=2e-3, atol=2e-4, **dims)


def test_dynamic_transformer_keeps_its_answers():
    graph = load(MADE / "minilm_dynamic.onnx")
    after = optimize(graph, check=True)
    values = values_for(graph, **{s.name: n for s, n in zip(graph.symbols, (2, 7))})
    for name in values:
        values[name] = np.clip(values[name], 0, 1) if "mask" in name else values[name]
    for expected, actual in zip(evaluate(graph, values), evaluate(after, values)):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)
