"""What goes wrong outside of dlcompile, end to end: the error says what and where, and nothing half written is left behind."""
from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile as dlc
from tests import onnx_models as models

HOSTILE = ['a*/b', '"; system("x"); "', "line\nbreak", "$(touch pwned)", "`touch pwned`", "../../escape", "int", "x y", "-o", "数", "a'b", "\\", "%s%n",
           "?\u0000?".replace("\u0000", ""), "/*", "#include", "main", "x" * 300]


def hostile_model(name: str) -> onnx.ModelProto:
    """A model that is called, and calls its node, its input, its output, its dimension and its metadata, by a name that C does not take."""
    nodes = [helper.make_node("Mul", [f"{name}1", f"{name}1"], [f"{name}2"], name=name)]
    nodes.append(helper.make_node("Exp", [f"{name}2"], [f"{name}3"], name=f"{name} again"))
    graph = helper.make_graph(nodes, name, [helper.make_tensor_value_info(f"{name}1", TensorProto.FLOAT, [f"{name}dim", 3])],
                              [helper.make_tensor_value_info(f"{name}3", TensorProto.FLOAT, [f"{name}dim", 3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9, doc_string=name)
    model.metadata_props.add(key=name, value=name)
    return model


# -- names ------------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_names(name, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = dlc.compile(hostile_model(name), cache=False)
    x = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(model(x), np.exp(x * x), rtol=1e-6)
    np.testing.assert_array_equal(model.run({f"{name}1": x})[f"{name}3"], model(x))
    assert model.inputs[0].name == f"{name}1" and model.outputs[0].name == f"{name}3"
    header = model.save(tmp_path / "saved.so").with_suffix(".h")
    (tmp_path / "use.c").write_text('#include "saved.h"\nint main(void) { return 0; }\n')
    subprocess.run(["cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "use.c"], check=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved.h", "saved.so", "use.c"], header


def test_hostile_file_names(tmp_path) -> None:
    path = tmp_path / "$(touch pwned); \"x\" 'y' -o *.onnx"
    onnx.save(models.mlp(), path)
    model = dlc.compile(path, cache=False)
    dlc.lower(path)[2].write(tmp_path / "a project; $(touch pwned)")
    assert model.name.isidentifier()
    assert not (tmp_path / "pwned").exists() and not Path("pwned").exists()


def test_a_name_that_cannot_be_a_prefix_is_refused(model_files) -> None:
    with pytest.raises(dlc.ArgumentError, match="not-c"):
        dlc.compile(model_files["mlp"], name="not-c")


# -- the compiler -----------------------------------------------------------------------------------------------------------
def test_no_compiler(model_files, tmp_path, monkeypatch) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(dlc.ToolchainError, match="no C compiler.*install"):
        dlc.compile(model_files["mlp"], cache=False)


def test_a_compiler_that_is_not_there(model_files, monkeypatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -O3")
    with pytest.raises(dlc.ToolchainError, match="no-such-compiler"):
        dlc.compile(model_files["mlp"], cache=False)


def test_a_compiler_that_fails(model_files, tmp_path, monkeypatch) -> None:
    failing = tmp_path / "failing-cc"
    failing.write_text("#!/bin/sh\n[ \"$1\" = --version ] && { echo 'failing 1.0'; exit 0; }\necho 'the flux capacitor is missing' >&2\nexit 3\n")
    failing.chmod(0o755)
    monkeypatch.setenv("CC", str(failing))
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(dlc.ToolchainError, match="flux capacitor"):
        dlc.compile(model_files["mlp"])
    assert not [p for p in (tmp_path / "cache").rglob("*") if p.is_file() and p.parent.name != "locks"]
    monkeypatch.delenv("CC")
    assert dlc.compile(model_files["mlp"]).name == "mlp"


# -- the disk ---------------------------------------------------------------------------------------------------------------
def test_unwritable_cache(model_files, tmp_path, monkeypatch) -> None:
    """A file stands where the directory should be: nobody can write there, not even root."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "file" / "cache"))
    assert dlc.compile(model_files["mlp"])(np.ones((1, 20), np.float32)).shape == (1, 5)


def test_unwritable_cache_of_somebody_else(model_files, tmp_path, monkeypatch) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(stat.S_IRUSR | stat.S_IXUSR)
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(cache))
    assert dlc.compile(model_files["mlp"])(np.ones((1, 20), np.float32)).shape == (1, 5)


@pytest.fixture
def full_disk(tmp_path):
    """A file system with room for next to nothing."""
    directory = tmp_path / "full"
    directory.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(directory)], capture_output=True).returncode:
        pytest.skip("a small tmpfs can be mounted by root only")
    yield directory
    subprocess.run(["umount", "-l", str(directory)], check=True)


def test_save_to_a_full_disk(model_files, full_disk) -> None:
    model = dlc.compile(model_files["mlp"])
    (full_disk / "mlp.so").write_text("what was there before")
    (full_disk / "ballast").write_bytes(bytes(48 << 10))
    with pytest.raises(dlc.LibraryError, match="mlp.so.*[Nn]o space"):
        model.save(full_disk / "mlp.so")
    assert sorted(p.name for p in full_disk.iterdir()) == ["ballast", "mlp.so"]
    assert (full_disk / "mlp.so").read_text() == "what was there before"


def test_a_full_cache(model_files, full_disk, monkeypatch) -> None:
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(full_disk))
    (full_disk / "ballast").write_bytes(bytes(48 << 10))
    assert dlc.compile(model_files["mlp"])(np.ones((1, 20), np.float32)).shape == (1, 5)
    assert not list(full_disk.rglob("*.so"))


def test_emitting_a_project_to_a_full_disk(model_files, full_disk) -> None:
    (full_disk / "ballast").write_bytes(bytes(48 << 10))
    with pytest.raises(OSError, match="[Nn]o space"):
        dlc.lower(model_files["mlp"])[2].write(full_disk / "project")
    assert [p for p in full_disk.rglob("*") if p.is_file()] == [full_disk / "ballast"]


# -- libraries --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"not a library at all" * 100])
def test_load_what_is_no_library(content, tmp_path) -> None:
    path = tmp_path / "file.so"
    path.write_bytes(content)
    with pytest.raises(dlc.LibraryError, match=r"file\.so"):
        dlc.load(path)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
def test_load_a_truncated_library(model_files, tmp_path, part) -> None:
    whole = dlc.compile(model_files["mlp"]).save(tmp_path / "whole.so").read_bytes()
    path = tmp_path / "part.so"
    path.write_bytes(whole[:int(len(whole) * part)])
    with pytest.raises(dlc.LibraryError, match=r"part\.so"):
        dlc.load(path)


def test_a_damaged_library_in_the_cache_is_compiled_again(model_files, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path))
    x = np.ones((2, 20), np.float32)
    first = dlc.compile(model_files["mlp"])(x)
    (library,) = tmp_path.rglob("*.so")
    library.unlink()
    library.write_bytes(b"\x7fELF")
    np.testing.assert_array_equal(dlc.compile(model_files["mlp"])(x), first)


def test_no_file() -> None:
    with pytest.raises(dlc.Error, match="nowhere.so"):
        dlc.load("nowhere.so")
    with pytest.raises(dlc.Error, match="nowhere.onnx"):
        dlc.compile("nowhere.onnx")
