"""From handwritten digits to a native library: train, convert, compile, and call it from Python and from C. `make demo` runs this.

    python examples/digits_demo.py --build build
"""
from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from rich.columns import Columns
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import dlcompile as dlc

HERE = Path(__file__).resolve().parent
CALLS = 2000


def train() -> tuple[MLPClassifier, np.ndarray, np.ndarray]:
    """A classifier trained on two thirds of scikit-learn's digits (real 8×8 scans), and the pixels and labels of the held-out third."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    train_x, test_x, train_y, test_y = train_test_split(pixels, labels, test_size=1 / 3, random_state=0, stratify=labels)
    network = MLPClassifier((128, 64), max_iter=300, early_stopping=True, n_iter_no_change=20, random_state=0)
    return network.fit(train_x, train_y), test_x, test_y.astype(np.int64)


def convert(network: MLPClassifier, path: Path) -> str:
    """Write the network as ONNX: `image` float32[batch, 64] → `scores` float32[batch, 10]. Returns what converted it."""
    try:
        model, converter = _with_skl2onnx(network), "skl2onnx"
    except Exception as error:  # a converter that does not go with the onnx of the day fails in ways of its own
        model, converter = _with_helper(network), f"onnx.helper (skl2onnx: {type(error).__name__})"
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return converter


def _with_skl2onnx(network: MLPClassifier) -> onnx.ModelProto:
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    model = to_onnx(network, initial_types=[("image", FloatTensorType([None, 64]))], options={id(network): {"zipmap": False}}, target_opset=18)
    # labels come from operators for classical machine learning; the scores need none of them
    model = onnx.utils.Extractor(model).extract_model(["image"], ["probabilities"])
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def _with_helper(network: MLPClassifier) -> onnx.ModelProto:
    nodes, weights, value = [], [], "image"
    for i, (matrix, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
        weights += [numpy_helper.from_array(matrix.astype(np.float32), f"w{i}"), numpy_helper.from_array(bias.astype(np.float32), f"b{i}")]
        last = i == len(network.coefs_) - 1
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [f"sum{i}"], name=f"dense{i}"))
        value = "probabilities" if last else f"act{i}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"sum{i}"], [value], name=f"activation{i}", **({"axis": 1} if last else {})))
    graph = helper.make_graph(nodes, "digits", [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 64])],
                              [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["batch", 10])], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def median_time(call, images: np.ndarray) -> float:
    """The median seconds of a call with one image."""
    rows = [np.ascontiguousarray(images[i % len(images)][None]) for i in range(CALLS)]
    for row in rows[:50]:
        call(row)
    seconds = []
    for row in rows:
        start = time.perf_counter()
        call(row)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def run_in_c(build: Path, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Compile digits.c against the header and the library, run it: (accuracy, median seconds of a call)."""
    data = build / "digits.bin"
    data.write_bytes(np.int64(len(images)).tobytes() + np.ascontiguousarray(images).tobytes() + labels.tobytes())
    compiler = shlex.split(os.environ.get("CC", "")) or [next(c for c in ("cc", "gcc", "clang") if shutil.which(c))]
    program = build / "digits"
    subprocess.run([*compiler, "-std=c11", "-O2", "-Wall", f"-I{build}", str(HERE / "digits.c"), str(build / "digits.so"),
                    f"-Wl,-rpath,{build.resolve()}", "-o", str(program)], check=True)
    right, count, seconds = subprocess.run([str(program), str(data)], check=True, capture_output=True, text=True).stdout.split()
    return int(right) / int(count), float(seconds)


def onnxruntime_session(path: Path):
    """ONNX Runtime's view of the model; None where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"image": x})[0]


def picture(image: np.ndarray, predicted: int, label: int) -> Text:
    """A digit drawn with half blocks, two rows of pixels to a line, and what was predicted."""
    shades = (np.clip(image.reshape(8, 8), 0, 1) * 23).astype(int) + 232  # the grey ramp of 256 colours
    text = Text()
    for top, bottom in zip(shades[::2], shades[1::2]):
        for upper, lower in zip(top, bottom):
            text.append("▀", style=f"color({upper}) on color({lower})")
        text.append("\n")
    text.append(f"→ {predicted}", style="bold green" if predicted == label else "bold red")
    return text if predicted == label else text.append(f" ({label})", style="dim")


def drawn_plainly(image: np.ndarray, predicted: int, label: int) -> Text:
    """The same with characters, where there are no colours."""
    rows = (np.clip(image.reshape(8, 8), 0, 0.999) * 5).astype(int)
    lines = ["".join(" .:*#"[v] * 2 for v in row) for row in rows]
    return Text("\n".join([*lines, f"-> {predicted}" + ("" if predicted == label else f" ({label})")]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=Path, default=Path("build"), help="where the files go")
    build = parser.parse_args().build
    build.mkdir(parents=True, exist_ok=True)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=110)

    with console.status("training"):
        network, images, labels = train()
    console.print(f"trained on {1797 - len(images)} digits, {len(images)} held out: scikit-learn's own accuracy {network.score(images, labels):.2%}")
    path = build / "digits.onnx"
    console.print(f"converted to {path} by {convert(network, path)}")
    start = time.perf_counter()
    with console.status("compiling"):
        model = dlc.compile(path, name="digits")
    library = model.save(build / "digits.so")
    console.print(f"compiled to {library} ({library.stat().st_size >> 10} KiB) and {library.with_suffix('.h')} "
                  f"in {time.perf_counter() - start:.2f} s, cached for the next time")

    scores = model(images)
    predicted = scores.argmax(1)
    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for column, side in (("", "left"), ("accuracy", "right"), ("scores differ from ONNX Runtime by", "right"), ("a call with one digit", "right")):
        table.add_column(column, justify=side)
    reference = onnxruntime_session(path)
    expected = reference(images) if reference else None
    error = f"at most {np.abs(scores - expected).max():.1e}" if reference else "(not installed)"
    table.add_row("dlcompile, Python", f"{np.mean(predicted == labels):.2%}", error, f"{median_time(model, images) * 1e6:.2f} µs")
    c_accuracy, c_seconds = run_in_c(build, images, labels)
    table.add_row("dlcompile, C", f"{c_accuracy:.2%}", "", f"{c_seconds * 1e6:.2f} µs")
    if reference:
        table.add_row("ONNX Runtime, Python", f"{np.mean(expected.argmax(1) == labels):.2%}", "", f"{median_time(reference, images) * 1e6:.2f} µs")
    console.print()
    console.print(table)
    if reference:
        agreement = np.mean(predicted == expected.argmax(1))
        console.print(f"\nthe same digit as ONNX Runtime for {agreement:.2%} of the images")

    draw = picture if console.is_terminal and console.color_system not in (None, "standard") else drawn_plainly
    wrong = np.flatnonzero(predicted != labels)[:2]
    right = np.flatnonzero(predicted == labels)
    some = [*right[:10 - len(wrong)], *wrong]
    console.print()
    console.print(Columns([draw(images[i], predicted[i], labels[i]) for i in some], padding=(0, 2)))


if __name__ == "__main__":
    main()
