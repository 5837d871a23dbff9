"""The command line, end to end: what is printed, what is written, and the exit status."""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

import dlcompile as dlc
from dlcompile.cli import main
from dlcompile.cli.main import COMMANDS
from dlcompile.cli.verify import Tolerance
from tests import onnx_models as models


def cli(*arguments: str | Path, status: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], prog_name="dlcompile")
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == status, result.output
    return result


@pytest.fixture(scope="module")
def library(model_files, tmp_path_factory) -> Path:
    return dlc.compile(model_files["mlp"]).save(tmp_path_factory.mktemp("library") / "mlp.so")


# -- help -------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "doctor"])
def test_help_has_examples(command) -> None:
    text = cli(command, "--help").output
    assert "Examples:" in text and f"dlcompile {command}" in text


def test_module_and_version() -> None:
    result = subprocess.run([sys.executable, "-m", "dlcompile", "--version"], capture_output=True, text=True, check=True)
    assert result.stdout.split()[-1] == dlc.__version__


# -- compile and run --------------------------------------------------------------------------------------------------------
def test_compile_then_run_a_file(model_files, tmp_path) -> None:
    path = tmp_path / "out" / "classifier.so"
    cli("compile", model_files["mlp"], "-o", path, "--name", "classifier")
    assert "classifier_run" in path.with_suffix(".h").read_text()
    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(3, 20)
    np.save(tmp_path / "x.npy", x)
    output = cli("run", path, "--input", f"x={tmp_path / 'x.npy'}", "--output", tmp_path / "results", "--repeat", "3", "--profile").output
    assert "float32[3, 5]" in output and "median" in output and "dense0" in output
    assert "of peak" in output and "FLOP/s in float32" in output and "the whole run" in output
    np.testing.assert_array_equal(np.load(tmp_path / "results" / "y.npy"), dlc.load(path)(x))


def test_a_profile_where_no_compiler_is(model_files, tmp_path, monkeypatch) -> None:
    path = tmp_path / "mlp.so"
    cli("compile", model_files["mlp"], "-o", path)
    monkeypatch.setenv("CC", "no-such-compiler")
    output = cli("run", path, "--dim", "batch=2", "--profile").output
    assert "GFLOP/s" in output and "measured" not in output


def test_a_model_whose_sizes_depend_on_data(tmp_path) -> None:
    graph = helper.make_graph([helper.make_node("NonZero", ["x"], ["y"])], "g", [helper.make_tensor_value_info("x", 1, ["n", 4])],
                              [helper.make_tensor_value_info("y", 7, [2, "k"])])
    path = tmp_path / "nonzero.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    assert "y: int64[2, u0]" in cli("inspect", path).output
    assert "int64[2, 8]" in cli("run", path, "--profile").output
    assert "agrees" in cli("verify", path, "--reference", "numpy").output


def test_what_a_command_line_cannot_write(tmp_path) -> None:
    items = helper.make_sequence_type_proto(helper.make_tensor_type_proto(1, ["a"]))
    graph = helper.make_graph([helper.make_node("SequenceLength", ["s"], ["n"])], "g", [helper.make_value_info("s", items)],
                              [helper.make_tensor_value_info("n", 7, [])])
    path = tmp_path / "length.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), path)
    for command in ("run", "verify"):
        assert "call it from Python" in cli(command, path, status=1).output


def test_compile_writes_to_the_current_directory(model_files, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    cli("compile", model_files["mlp"], "--dim", "batch=4")
    assert dlc.load(tmp_path / "mlp.so").inputs[0].shape == (4, 20)


def test_emitted_project_builds_with_make(model_files, tmp_path) -> None:
    if not shutil.which("make"):
        pytest.skip("make is not installed")
    cli("compile", model_files["mlp"], "--emit-c", tmp_path / "project")
    subprocess.run(["make", "-s", "-C", str(tmp_path / "project")], check=True, capture_output=True)
    x = np.ones((2, 20), np.float32)
    np.testing.assert_array_equal(dlc.load(tmp_path / "project" / "mlp.so")(x), dlc.compile(model_files["mlp"])(x))


def test_run_random_inputs_of_an_onnx_file(model_files) -> None:
    output = cli("run", model_files["transformer"], "--dim", "batch=2", "--dim", "seq=7").output
    assert "int64[2, 7]" in output and "float32[2, 7, 16]" in output


def test_random_token_ids_stay_inside_the_table(tmp_path) -> None:
    b = models.ModelBuilder("tiny_table")
    b.node("Gather", b.weight(3, 4), "ids", outputs=["y"])
    onnx.save(b.model({"ids": (models.INT64, ["n"])}, {"y": (models.FLOAT, ["n", 4])}), tmp_path / "t.onnx")
    cli("verify", tmp_path / "t.onnx", "--dim", "n=200")


def test_run_fills_inputs_with_a_number(library) -> None:
    assert "0.5" in cli("run", library, "--input", "0.5").output


@pytest.mark.parametrize("inputs, words", [
    (["nothing=1"], "no input of that name"), (["x=missing.npy"], "missing.npy"), (["x=word"], "word")])
def test_wrong_inputs(library, inputs, words) -> None:
    assert words in cli("run", library, *(a for i in inputs for a in ("--input", i)), status=1).output


def test_unknown_dimension(library) -> None:
    assert "batch" in cli("run", library, "--dim", "other=3", status=1).output


def test_usage_errors_have_status_2(model_files) -> None:
    cli("run", "there-is-no-such-file.so", status=2)
    cli("compile", model_files["mlp"], "--dim", "batch", status=2)
    cli("compile", model_files["mlp"], "--target", "pdp-11", status=2)
    cli("no-such-command", status=2)


# -- convert and inspect ----------------------------------------------------------------------------------------------------
def test_convert(model_files, tmp_path) -> None:
    cli("convert", model_files["cnn"], tmp_path / "small.onnx", "--optimize")
    onnx.checker.check_model(onnx.load(tmp_path / "small.onnx"))
    inputs = models.random_inputs(models.cnn())
    np.testing.assert_allclose(dlc.compile(tmp_path / "small.onnx").run(inputs)["scores"], dlc.compile(model_files["cnn"]).run(inputs)["scores"],
                               rtol=1e-4, atol=1e-5)


def test_convert_pins_dimensions(model_files, tmp_path) -> None:
    cli("convert", model_files["mlp"], tmp_path / "fixed.onnx", "--dim", "batch=6")
    assert dlc.import_onnx(tmp_path / "fixed.onnx").inputs[0].shape == (6, 20)


def test_inspect_names_what_was_fused(model_files) -> None:
    output = cli("inspect", model_files["cnn"]).output
    assert "first/conv, first/norm, first/relu" in output.replace("\n", " ") or "first/relu" in output
    assert "parameters" in output and "arena" in output


def test_inspect_json(model_files, library) -> None:
    facts = json.loads(cli("inspect", model_files["mlp"], "--json", "--dim", "batch=10").output)
    assert facts["symbols"] == {"batch": 10}
    assert facts["parameters"] == sum(a * b + b for a, b in ((20, 33), (33, 17), (17, 5)))
    assert {o for c in facts["calls"] for o in c["origin"]} == {"dense0", "relu0", "dense1", "relu1", "dense2", "softmax"}
    described = json.loads(cli("inspect", library, "--json", "--dim", "batch=10").output)
    assert [c["origin"] for c in described["calls"]] == [c["origin"] for c in facts["calls"]]
    assert sum(c["flops"] for c in described["calls"]) == sum(c["flops"] for c in facts["calls"])
    assert facts["arena_bytes"] <= described["arena_bytes"]


def test_inspect_graph(model_files) -> None:
    output = cli("inspect", model_files["mlp"], "--graph", "--no-kernels").output
    assert output.count("graph mlp(%x: float32[batch, 20])") == 2


# -- verify -----------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ["mlp", "cnn", "transformer"])
def test_verify_agrees(model_files, name) -> None:
    output = cli("verify", model_files[name], "--layers", "--reference", "numpy").output
    assert "agrees" in output and "DISAGREES" not in output and "intermediate values agree" in output


def test_verify_with_onnxruntime(model_files) -> None:
    pytest.importorskip("onnxruntime")
    assert cli("verify", model_files["depthwise"]).output.count("agrees") == 2


def test_verify_disagreement_has_status_1(model_files) -> None:
    assert "DISAGREES" in cli("verify", model_files["cnn"], "--reference", "numpy", "--rtol", "0", "--atol", "0", status=1).output


def write_test_set(directory: Path, model: Path, shift: float) -> None:
    directory.mkdir(parents=True)
    inputs = models.random_inputs(onnx.load(model), batch=2)
    (y,) = dlc.compile(model).run(inputs).values()
    for name, array in (("input_0", inputs["x"]), ("output_0", y + np.float32(shift))):
        (directory / f"{name}.pb").write_bytes(numpy_helper.from_array(array).SerializeToString())


def test_verify_test_data(model_files, tmp_path) -> None:
    write_test_set(tmp_path / "good" / "test_data_set_0", model_files["mlp"], 0)
    assert "expected" in cli("verify", model_files["mlp"], "--test-data", tmp_path / "good").output
    write_test_set(tmp_path / "bad", model_files["mlp"], 0.25)
    cli("verify", model_files["mlp"], "--test-data", tmp_path / "bad", status=1)


def test_layers_names_the_first_node_that_departs(model_files, monkeypatch) -> None:
    """A multiplication that is compiled wrongly from some node on: the report names that node, not a later one."""
    from dlcompile.cli import layers

    graph = dlc.import_onnx(model_files["mlp"])
    computed = layers._computed

    def wrong_from_the_second_relu_on(graph_, tensors, *rest):
        results = computed(graph_, tensors, *rest)
        late = {t for n in graph_.nodes for t in n.outputs if n.origin[-1] in ("relu1", "dense2", "softmax")}
        return [r + 1 if t in late else r for t, r in zip(tensors, results)]

    monkeypatch.setattr(layers, "_computed", wrong_from_the_second_relu_on)
    inputs = models.random_inputs(models.mlp(), batch=3)
    found, count = layers.first_departures(graph, inputs, {}, Tolerance(1e-4, 0).measure, None)
    assert found[0].node == "relu1" and count == len([t for n in graph.nodes for t in n.outputs])


def test_bisection_finds_a_departure_that_fusion_hides(model_files, monkeypatch) -> None:
    """Wrong only when a value is computed alone, right when all are outputs: found by bisection."""
    from dlcompile.cli import layers

    graph = dlc.import_onnx(model_files["mlp"])
    computed = layers._computed
    order = [t for n in graph.nodes for t in n.outputs]
    first = next(i for i, t in enumerate(order) if t.producer.origin[-1] == "dense1")

    def wrong_when_fused(graph_, tensors, *rest):
        results = computed(graph_, tensors, *rest)
        return results if len(tensors) > 1 else [r + (order.index(t) >= first) for t, r in zip(tensors, results)]

    monkeypatch.setattr(layers, "_computed", wrong_when_fused)
    found, _ = layers.first_departures(graph, models.random_inputs(models.mlp(), batch=3), {}, Tolerance(1e-4, 0).measure, None)
    assert [f.node for f in found] == ["dense1"]


@pytest.mark.parametrize("actual, expected, within", [
    ([1.0, 2.0], [1.0, 2.0001], True), ([1.0, 2.0], [1.0, 2.001], False), ([np.nan, 1], [np.nan, 1], True), ([np.nan, 1], [0, 1], False),
    ([np.inf, 1], [np.inf, 1], True), ([np.inf, 1], [-np.inf, 1], False), ([], [], True), ([0.0], [0.0], True)])
def test_tolerance(actual, expected, within) -> None:
    arrays = np.array(actual, np.float32), np.array(expected, np.float32)
    assert Tolerance(1e-4, 0).measure(*arrays)[2] == within


def test_tolerance_of_integers_is_none() -> None:
    assert not Tolerance(1, 1).measure(np.array([1, 2]), np.array([1, 3]))[2]


# -- errors -----------------------------------------------------------------------------------------------------------------
def test_errors_are_one_message(tmp_path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"this is no model")
    result = subprocess.run([sys.executable, "-m", "dlcompile", "compile", str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 1 and result.stderr.startswith("error: ") and "Traceback" not in result.stderr
    assert str(path) in result.stderr.replace("\n", "") and list(tmp_path.iterdir()) == [path]
    shown = subprocess.run([sys.executable, "-m", "dlcompile", "--traceback", "compile", str(path)], capture_output=True, text=True, cwd=tmp_path)
    assert shown.returncode == 1 and "Traceback" in shown.stderr


def test_an_operator_nobody_knows(tmp_path) -> None:
    nodes = [helper.make_node(op, ["x"], [f"y{i}"], name=op.lower(), domain="com.example") for i, op in enumerate(("Wobble", "Quiver"))]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", 1, [2])],
                              [helper.make_tensor_value_info(f"y{i}", 1, [2]) for i in range(2)])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)], ir_version=9),
              tmp_path / "m.onnx")
    output = cli("compile", tmp_path / "m.onnx", status=1).output
    assert "Wobble" in output and "Quiver" in output
