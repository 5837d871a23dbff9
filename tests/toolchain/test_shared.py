"""The runtime's object file: compiled once, kept in memory and in a directory, and another one for whatever changes it."""
from __future__ import annotations

import subprocess
from dataclasses import replace

import numpy as np
import pytest

from dlcompile.codegen import generate
from dlcompile.kernels.target import TARGETS, resolve_target
from dlcompile.runtime import load
from dlcompile.toolchain import build, find_compiler, shared
from dlcompile.toolchain.shared import RuntimeObject
from tests.programs import weighted_sum

NATIVE = resolve_target("native")
X = np.ones((4, 3), np.float32)


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch):
    monkeypatch.setattr(shared, "_kept", {})


@pytest.fixture
def project():
    return generate(weighted_sum(), NATIVE)


@pytest.fixture
def compiled(monkeypatch):
    """The sources that compilers are started for."""
    seen = []
    original = subprocess.run

    def run(command, *args, **kwargs):
        seen.extend(argument for argument in command if argument.endswith((".c", ".S")))
        return original(command, *args, **kwargs)

    monkeypatch.setattr(subprocess, "run", run)
    return seen


def test_compiled_once_in_a_process(project, tmp_path, compiled):
    for name in ("a", "b"):
        np.testing.assert_array_equal(load(build(project, tmp_path / f"{name}.so"))(X), [6] * 4)
    assert compiled.count("_runtime.c") == 1
    assert compiled.count("weighted.c") == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.so", "b.so"]


def test_a_directory_keeps_it_for_other_processes(project, tmp_path, compiled, monkeypatch):
    objects = tmp_path / "objects"
    build(project, tmp_path / "a.so", objects=objects)
    assert len(list(objects.glob("*.o"))) == len(list(objects.iterdir())) == 1
    monkeypatch.setattr(shared, "_kept", {})  # as in another process
    np.testing.assert_array_equal(load(build(project, tmp_path / "b.so", objects=objects))(X), [6] * 4)
    assert compiled.count("_runtime.c") == 1


def test_a_directory_that_cannot_be_written_is_none(project, tmp_path):
    (tmp_path / "objects").write_text("a file")
    np.testing.assert_array_equal(load(build(project, tmp_path / "a.so", objects=tmp_path / "objects"))(X), [6] * 4)


def test_what_makes_another_object(tmp_path, monkeypatch):
    compiler = find_compiler()
    keys = {RuntimeObject(compiler, target, threaded, None).key for target in TARGETS.values() for threaded in (False, True)}
    keys.add(RuntimeObject(replace(compiler, identity="another"), NATIVE, True, None).key)
    monkeypatch.setenv("CFLAGS", "-g")
    keys.add(RuntimeObject(compiler, NATIVE, True, None).key)
    assert len(keys) == 2 * len(TARGETS) + 2


def test_a_models_source_has_the_runtime_where_it_is_compiled_alone(project, tmp_path):
    directory = project.write(tmp_path / "project")
    subprocess.run(["make", "-s", "-C", str(directory)], check=True, capture_output=True)
    np.testing.assert_array_equal(load(directory / f"{project.name}.so")(X), [6] * 4)
    assert not list(directory.glob("_runtime*"))
