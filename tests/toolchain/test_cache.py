"""The cache: one compilation for several processes, the oldest going first, and no harm where it cannot be written."""
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlcompile as dlc
from dlcompile.errors import ArgumentError, Error, InvalidModelError, LibraryError, ToolchainError
from dlcompile.kernels.target import resolve_target
from dlcompile.toolchain.cache import Cache, user_cache
from tests.programs import COMPILERS

X = np.arange(6, dtype=np.float32).reshape(2, 3)


def onnx_model(bias: float = 1.0) -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "b"], ["y"], name="Plus")], "plus",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.full(3, bias, np.float32), "b")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """A cache of its own and a compiler that counts its links: returns the count."""
    real, log = COMPILERS[0], tmp_path / "links"
    compiler = tmp_path / "cc"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *-shared*) echo link >> {log}; sleep 0.1;; esac\nexec {real} "$@"\n')
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    return lambda: len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "plus.onnx"
    file.write_bytes(onnx_model().SerializeToString())
    return file


def test_the_second_time_nothing_is_compiled(counted, path):
    for _ in range(3):
        np.testing.assert_array_equal(dlc.compile(path)(X), X + 1)
    assert counted() == 1
    assert dlc.compile(path).name == "plus"


def test_what_makes_another_library(counted, path, monkeypatch):
    dlc.compile(path)
    other = path.with_name("other.onnx")
    other.write_bytes(onnx_model(2.0).SerializeToString())
    np.testing.assert_array_equal(dlc.compile(other)(X), X + 2)
    assert dlc.compile(path, name="mine").name == "mine"
    dlc.compile(path, target="x86-64")
    dlc.compile(path, precision="strict")
    assert dlc.compile(path, dims={"n": 2}).inputs[0].shape == (2, 3)
    assert counted() == 6
    monkeypatch.setenv("CFLAGS", "-DANYTHING")
    dlc.compile(path)
    assert counted() == 7
    dlc.compile(path, threads=2)  # of the runs, not of the library
    assert counted() == 7


def test_every_kind_of_model(counted, path):
    proto = onnx_model()
    for model in (str(path), path, proto, proto.SerializeToString(), dlc.import_onnx(path)):
        for _ in range(2):
            np.testing.assert_array_equal(dlc.compile(model)(X), X + 1)
    assert counted() == 4  # str and Path are the same file
    with pytest.raises(ArgumentError, match="a model is a path"):
        dlc.compile(7)


def test_without_the_cache(counted, path, tmp_path):
    for _ in range(2):
        np.testing.assert_array_equal(dlc.compile(path, cache=False)(X), X + 1)
    assert counted() == 2 and not (tmp_path / "cache").exists()
    dlc.compile(path, cache=False).save(tmp_path / "saved.so")
    np.testing.assert_array_equal(dlc.load(tmp_path / "saved.so")(X), X + 1)


def test_several_processes_compile_once(counted, path):
    code = "import sys, numpy as np, dlcompile as dlc; print(dlc.compile(sys.argv[1])(np.zeros((1, 3), np.float32)).tolist())"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [p.communicate(timeout=120)[0] for p in processes] == ["[[1.0, 1.0, 1.0]]\n"] * 3
    assert counted() == 1


def test_a_damaged_library_is_compiled_again(counted, path, tmp_path):
    dlc.compile(path)
    (library,) = (tmp_path / "cache").rglob("*.so")
    data = library.read_bytes()
    library.unlink()
    library.write_bytes(data[: len(data) // 2])
    np.testing.assert_array_equal(dlc.compile(path)(X), X + 1)
    assert counted() == 2


def test_a_failure_is_not_kept(counted, path, tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-no-such-option-at-all")
    with pytest.raises(ToolchainError, match="no-such-option"):
        dlc.compile(path)
    assert not list((tmp_path / "cache").rglob("*.so"))


def test_a_cache_that_cannot_be_written(path, tmp_path, monkeypatch):
    """A file stands where the directory should be."""
    (tmp_path / "cache").write_text("in the way")
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    np.testing.assert_array_equal(dlc.compile(path)(X), X + 1)
    assert (tmp_path / "cache").read_text() == "in the way"


def test_a_cache_that_is_full(path, tmp_path, monkeypatch):
    """The locks can be made and the library cannot be stored: the model is compiled elsewhere."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "models").write_text("in the way")
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    np.testing.assert_array_equal(dlc.compile(path)(X), X + 1)


def entry(cache: Cache, key: str, size: int, age: float) -> None:
    path = cache.place(key, "m")
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age, time.time() - age))


def test_the_longest_unused_go_first(tmp_path):
    cache = Cache(tmp_path, limit=250)
    for key, age in (("a", 50), ("b", 40), ("c", 30), ("d", 20)):
        entry(cache, key, 100, age)
    assert cache.find("a") and cache.find("absent") is None  # a use of it
    cache.trim(keep="d")
    assert [k for k in "abcd" if cache.find(k)] == ["a", "d"]
    entry(cache, "e", 1000, 0)
    cache.trim(keep="e")
    assert [k for k in "abcde" if cache.find(k)] == ["e"]


def test_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "x"))
    monkeypatch.setenv("DLCOMPILE_CACHE_BYTES", "1000")
    assert user_cache() == Cache(tmp_path / "x", 1000)
    monkeypatch.delenv("DLCOMPILE_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "y"))
    assert user_cache().directory == tmp_path / "y" / "dlcompile"
    monkeypatch.setenv("DLCOMPILE_CACHE_BYTES", "a lot")
    with pytest.raises(ArgumentError, match="DLCOMPILE_CACHE_BYTES"):
        user_cache()


@pytest.mark.parametrize(("options", "words"), [
    ({"name": "a b"}, "name='a b' cannot be the prefix of C functions; 'a_b' can"), ({"name": "int"}, "'int_model' can"),
    ({"target": "pdp11"}, "unknown target 'pdp11'"), ({"precision": "sloppy"}, "precision"), ({"threads": 0}, "threads"),
    ({"dims": {"m": 3}}, "m"), ({"tune": True}, "tune"),
])
def test_wrong_options(path, tmp_path, monkeypatch, options, words):
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    with pytest.raises(Error, match=words):
        dlc.compile(path, **options)


def test_files_that_are_no_models(tmp_path, monkeypatch):
    monkeypatch.setenv("DLCOMPILE_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "text.onnx").write_text("hello")
    for name in ("text.onnx", "missing.onnx"):
        with pytest.raises(InvalidModelError, match=name):
            dlc.compile(tmp_path / name)


def test_a_library_for_another_machine(counted, path, tmp_path):
    """What this machine cannot run it can still write; here the other machine is one of the same kind with a feature more."""
    target = replace(resolve_target("native"), name="later", requires=("telepathy",))
    with pytest.raises(ArgumentError, match="cannot run what is compiled for later"):
        dlc.compile(path, target=target)
    assert dlc.compile_library(path, tmp_path / "out" / "plus.so", target=target) == tmp_path / "out" / "plus.so"
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["plus.h", "plus.so"]
    with pytest.raises(LibraryError, match="this CPU lacks telepathy"):
        dlc.load(tmp_path / "out" / "plus.so")
    for cache in (True, False):
        dlc.compile_library(path, tmp_path / "plus.so", cache=cache)
        np.testing.assert_array_equal(dlc.load(tmp_path / "plus.so")(X), X + 1)
    assert "int plus_run(" in (tmp_path / "plus.h").read_text()


def test_lower(path):
    graph, program, project = dlc.lower(path, name="mine")
    assert graph.input_names == ("x",) and program.name == project.name == "mine" and program.metadata["precision"] == "default"
    assert "mine_run" in project.header
