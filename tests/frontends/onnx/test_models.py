"""Whole models, where they are at hand: what the interpreter and the exported model answer, against ONNX Runtime.

`DLCOMPILE_MODELS` names a folder with the models that `make_models.py` writes; models with trained weights are looked
for beside the checkout, in `../shared/models/trained`. Tests of models that are absent skip.
"""
import os
from pathlib import Path

import numpy as np
import onnx
import pytest

from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.graph import verify
from dlcompile.operators.interpreter import evaluate
from tests.frontends.onnx.helpers import random_inputs, runtime

pytest.importorskip("onnxruntime")
MADE = Path(os.environ.get("DLCOMPILE_MODELS", "models"))
TRAINED = Path(__file__).parents[4] / "shared" / "models" / "trained"

SMALL = ["mlp", "lstm", "bigru", "minilm_dynamic", "mobilenet_v2", "resnet18"]  # the interpreter is quick on these
LARGE = ["mlp_b256", "unet", "resnet50", "minilm", "bert_base", "vit_b16"]  # these are imported only
MODELS = {  # file: (sizes of symbols, what else the import is told, largest error relative to the largest answer)
    "aecmos_bigru_dynamic/model.onnx": ({"frames": 32}, {}, 1e-4),
    "byte_sentence_boundary_bilstm/model.onnx": ({}, {}, 1e-4),
    "gtcrn_speech_enhance_gru/gtcrn_simple.onnx": ({}, {}, 1e-4),
    "gtcrn_speech_enhance_gru/gtcrn_unsimplified.onnx": ({}, {}, 1e-4),
    "infero_cyclone_unet/cyclone_model_200x200.onnx": ({"N": 1}, {}, 1e-4),
    "infero_orographic_drag_mlp/model.onnx": ({}, {}, 1e-4),
    "magika_v3_3.onnx": ({"unk__214": 2}, {}, 2e-2),  # its variances are differences of nearly equal numbers: float32 leaves 1e-3 to 5e-3
    "mnist.onnx": ({}, {}, 1e-4),
    "mnist8_cntk/model.onnx": ({}, {}, 1e-4),
    "mobilenetv2_qdq_int8/model.onnx": ({"batch": 1}, {}, 7e-2),  # one step of the last quantisation
    "openutau_g2p_text_lstm/g2p.onnx": ({}, {}, 0),
    "ppocrv3_text_detector_dynamic/model.onnx": ({}, {}, 1e-4),
    "silero_vad.onnx": ({}, {"values": {"sr": 16000}, "dims": {"input_d1": 576}}, 1e-4),
    "squeezenet_fp16.onnx": ({}, {}, 2e-2),  # the order of sums shows: 1e-2 between two kernels of NumPy's BLAS
    "ultraface_rfb320_detector/model.onnx": ({}, {}, 1e-4),
    "ultraface_rfb320_detector/version-slim-320_simplified.onnx": ({}, {}, 1e-4),
}


def present(path):
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return path


def assert_agrees(answers, references, error):
    for answer, reference in zip(answers, references, strict=True):
        assert answer.shape == reference.shape and answer.dtype == reference.dtype
        worst = np.max(np.abs(answer.astype(np.float64) - reference), initial=0)
        assert worst <= error * np.max(np.abs(reference.astype(np.float64)), initial=0)


def strokes(height, width):
    """A white image with something like a line of letters: of noise a text detector says 0 everywhere."""
    image = np.full((1, 3, height, width), 2, np.float32)
    for index, left in enumerate(range(width // 8, width - width // 8, 6)):
        image[:, :, height // 2 - 6:height // 2 + 6, left:left + 3] = -2
        image[:, :, height // 2 - 6 + index % 3 * 4:height // 2 - 3 + index % 3 * 4, left:left + 5] = -2
    return image


def check_both_ways(path, sizes, options, error):
    graph = verify(import_onnx(path, **options))
    feeds = {"x": strokes(64, 128)} if "text_detector" in str(path) else random_inputs(graph, **sizes)
    fixed = {n: np.array(v) for n, v in options.get("values", {}).items()}
    optimized = "int8" not in str(path)  # what it makes of quantised models depends on the processor
    references = runtime(str(path), {**feeds, **fixed}, optimized=optimized)
    assert_agrees(evaluate(graph, feeds), references, error)
    written = export_onnx(graph)
    onnx.checker.check_model(written, full_check=True)
    assert_agrees(runtime(written, feeds, optimized=optimized), references, error)


@pytest.mark.parametrize("name", MODELS)
def test_trained_model(name):
    sizes, options, error = MODELS[name]
    check_both_ways(present(TRAINED / name), sizes, options, error)


@pytest.mark.parametrize("name", SMALL)
def test_made_model(name):
    check_both_ways(present(MADE / f"{name}.onnx"), {"batch": 2, "sequence": 7}, {}, 1e-4)


@pytest.mark.parametrize("name", LARGE)
def test_made_model_is_imported(name):
    path = present(MADE / f"{name}.onnx")
    graph = verify(import_onnx(path))
    declared = onnx.load(path, load_external_data=False).graph.output
    assert [t.shape for t in graph.outputs] == [
        tuple(d.dim_value for d in o.type.tensor_type.shape.dim) for o in declared
    ]


def test_static_shape_glue_folds_away():
    """Exported without onnx-simplifier: the glue of Shape, Range and Where leaves nothing of itself behind."""
    path = present(TRAINED / "gtcrn_speech_enhance_gru" / "gtcrn_unsimplified.onnx")
    graph = import_onnx(path)
    assert not any(node.op in ("dims", "iota") for node in graph.nodes)


def test_a_dynamic_model_pinned():
    graph = import_onnx(present(MADE / "minilm_dynamic.onnx"), dims={"batch": 2, "sequence": 7})
    assert not graph.symbols and not graph.constraints
    free = import_onnx(MADE / "minilm_dynamic.onnx", dims={"sequence": "tokens"})
    assert [s.name for s in free.symbols] == ["batch", "tokens"]


def test_voice_detector_knows_silence():
    graph = import_onnx(present(TRAINED / "silero_vad.onnx"), values={"sr": 16000}, dims={"input_d1": 576})
    probability, _ = evaluate(graph, [np.zeros((1, 576), np.float32), np.zeros((2, 1, 128), np.float32)])
    assert abs(probability.item() - 0.0017) < 1e-4


def test_voice_detector_of_both_rates_in_one_library():
    """Its sampling rate, which decides between two networks, and all sizes stay open."""
    import dlcompile

    path = present(TRAINED / "silero_vad.onnx")
    model = dlcompile.compile(str(path), name="silero")
    for rate, samples in ((16000, 576), (8000, 288)):
        feeds = {"input": (np.random.default_rng(rate).standard_normal((1, samples)) * 0.1).astype(np.float32),
                 "state": np.zeros((2, 1, 128), np.float32), "sr": np.array(rate)}
        for result, expected in zip(model.run(feeds).values(), runtime(str(path), feeds), strict=True):
            np.testing.assert_allclose(result, expected, atol=1e-5)
