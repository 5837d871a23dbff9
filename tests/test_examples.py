"""Every example runs as it stands."""
from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
SCRIPTS = {
    "compile_and_call.py": "the same answers", "convert.py": "ONNX nodes", "inspect_graph.py": "agree",
    "threads_and_fork.py": "the forked process agrees: True",
}
TRAINING = {
    "autoencoder.py": r"held out: 0\.02\d*, with the best linear code 0\.03", "diabetes_regression.py": r"held out: mean 4\d\.\d, root mean square 5\d\.\d, R² 0\.[3-6]",
    "digits_gru.py": r"9[5-9]\.\d+% of the 597 digits that were held out are recognised",
    "digits_mlp.py": r"9[5-9]\.\d+% of the 599 digits that were held out are recognised",
    "digits_transformer.py": r"9[5-9]\.\d+% of the 597 digits that were held out are recognised", "own_train_step.py": r"becomes an error of 0\.02",
}
"""scripts that need scikit-learn's data → what they print, as a regular expression"""


def run(*command: str | Path, directory: Path) -> str:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    result = subprocess.run([str(c) for c in command], capture_output=True, text=True, cwd=directory, env=environment,
                            stdin=subprocess.DEVNULL)
    assert result.returncode == 0, result.stderr + result.stdout
    return result.stdout


def test_all_scripts_are_tested() -> None:
    elsewhere = {"digits_demo.py", "digits_cnn.py", "digits_lstm.py"}  # `make demo`, and tests/training/test_digits.py
    assert {p.name for p in EXAMPLES.glob("*.py")} == {*SCRIPTS, *TRAINING, *elsewhere}


@pytest.mark.parametrize("script", SCRIPTS)
def test_script(script, tmp_path) -> None:
    assert SCRIPTS[script] in run(sys.executable, EXAMPLES / script, directory=tmp_path)


@pytest.mark.parametrize("script", TRAINING)
def test_training(script, one_processor, tmp_path) -> None:
    pytest.importorskip("sklearn")
    output = run(sys.executable, EXAMPLES / script, directory=tmp_path)
    assert re.search(TRAINING[script], output), output


def test_the_picture_of_the_autoencoder(tmp_path) -> None:
    """The bytes are those of a PNG: chunks with their checksums, and as many rows and columns as the header says."""
    pytest.importorskip("sklearn")
    source = (EXAMPLES / "autoencoder.py").read_text(encoding="utf-8")
    names: dict = {}
    exec(source[:source.index("keras.utils.set_random_seed")], names)  # the function alone
    grey = np.linspace(-0.1, 1.1, 15).reshape(3, 5)
    names["write_png"](tmp_path / "grey.png", grey)
    data = (tmp_path / "grey.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, place = {}, 8
    while place < len(data):
        (length,) = struct.unpack(">I", data[place:place + 4])
        body = data[place + 4:place + 8 + length]
        assert struct.unpack(">I", data[place + 8 + length:place + 12 + length]) == (zlib.crc32(body),)
        chunks[body[:4]] = body[4:]
        place += 12 + length
    assert [*chunks] == [b"IHDR", b"IDAT", b"IEND"] and struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (5, 3, 8, 0, 0, 0, 0)
    rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(3, 6)
    assert not rows[:, 0].any() and (rows[:, 1:] == np.round(np.clip(grey, 0, 1) * 255)).all()


def test_digits_demo(tmp_path) -> None:
    pytest.importorskip("sklearn")
    output = run(sys.executable, EXAMPLES / "digits_demo.py", "--build", "build", directory=tmp_path)
    lines = {line.split("┃")[0].split("│")[0].strip(): line for line in output.splitlines()}
    accuracies = [float(lines[row].split("│")[1].strip(" %")) for row in ("dlcompile, Python", "dlcompile, C")]
    assert accuracies[0] == accuracies[1] > 95
    assert "Traceback" not in output and (tmp_path / "build" / "digits.h").exists() and (tmp_path / "build" / "digits.so").exists()
    if "ONNX Runtime, Python" in lines:
        assert "the same digit as ONNX Runtime for 100.00%" in output


def test_call_from_c(tmp_path) -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    directory = tmp_path / "examples" / "call_from_c"
    run("make", f"PYTHON={sys.executable}", directory=directory)
    assert "|(8, 15)| = 17" in run(directory / "main", directory=directory)


def test_train_from_c(tmp_path) -> None:
    pytest.importorskip("sklearn")
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    directory = tmp_path / "examples" / "train_from_c"
    run("make", f"PYTHON={sys.executable}", directory=directory)
    *epochs, accuracy, _ = run(directory / "main", directory=directory).splitlines()
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in epochs]
    assert len(losses) == 20 and losses[-1] < losses[0] / 5
    assert float(accuracy.split("%")[0]) > 95 and "599 digits that were held out" in accuracy
