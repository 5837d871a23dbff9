"""The examples that are trained on scikit-learn's digits are good enough, and what is saved of them predicts the same."""
from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest

import dlcompile as keras

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ACCURACY = {"digits_cnn.py": 0.985, "digits_lstm.py": 0.96}


@pytest.fixture(scope="module", params=ACCURACY)
def trained(request, tmp_path_factory):
    """(name of the script, what there is when it has ended)."""
    pytest.importorskip("sklearn")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("digits"))
        return request.param, runpy.run_path(str(EXAMPLES / request.param))


def test_accuracy(trained):
    name, there = trained
    predicted = there["model"].predict(there["test_x"], batch_size=len(there["test_x"]), verbose=0).argmax(1)
    accuracy = float(np.mean(predicted == there["test_y"]))
    assert accuracy >= ACCURACY[name]
    assert len(there["train_x"]) + len(there["test_x"]) == 1797 and len(there["test_x"]) >= 1797 // 3 - 2  # a third
    assert not {x.tobytes() for x in there["train_x"]} & {x.tobytes() for x in there["test_x"]}  # none was trained with


def test_what_is_saved_predicts_the_same(trained, tmp_path):
    model, x = trained[1]["model"], trained[1]["test_x"]
    expected = model.predict(x, batch_size=len(x), verbose=0)

    model.save(tmp_path / "m.keras")
    found = {"load_model": keras.models.load_model(tmp_path / "m.keras").predict(x, batch_size=len(x), verbose=0)}
    found["library"] = keras.load(model.export(tmp_path / "m.so"))(x)
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(str(model.export(tmp_path / "m.onnx")), providers=["CPUExecutionProvider"])
    (found["onnxruntime"],) = session.run(None, {session.get_inputs()[0].name: x})
    for name, values in found.items():
        np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5, err_msg=name)
