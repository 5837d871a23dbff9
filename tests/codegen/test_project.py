"""The written C project: complete, whole, and buildable with make and a compiler only."""
import ctypes
import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcompile.codegen import Project, generate
from dlcompile.codegen import project as project_module
from dlcompile.kernels.program import ALIGNMENT
from dlcompile.kernels.target import resolve_target
from dlcompile.runtime import load
from tests.codegen.test_library import make
from tests.programs import COMPILERS, weighted_sum

NATIVE = resolve_target("native")


def contents(directory: Path) -> dict[str, bytes]:
    return {str(p.relative_to(directory)): p.read_bytes() for p in directory.rglob("*") if p.is_file()}


@pytest.mark.parametrize("compiler", COMPILERS)
def test_builds_where_it_stands(tmp_path, compiler):
    directory = generate(weighted_sum(), NATIVE).write(tmp_path / "new" / "project")
    assert {"Makefile", "weighted.h", "weighted.c", "weighted.weights", "csrc/dlc_base.h"} <= set(contents(directory))
    assert str(Path.cwd()) not in "".join(p.read_text(errors="replace") for p in directory.rglob("*.[chS]"))
    make(directory, compiler)
    np.testing.assert_array_equal(load(directory / "weighted.so")(np.ones((4, 3), np.float32)), [6] * 4)


def test_every_header_it_needs_is_there(tmp_path):
    directory = generate(weighted_sum(), NATIVE).write(tmp_path)
    for path in directory.rglob("*.[ch]"):
        for line in path.read_text().splitlines():
            if line.startswith('#include "'):
                name = line.split('"')[1]
                assert (directory / name).exists() or (directory / "csrc" / name).exists(), name


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    generate(weighted_sum(), NATIVE).write(tmp_path)
    before = contents(tmp_path)

    def full(constants, file):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(project_module, "write_constants", full)
    with pytest.raises(OSError, match="No space"):
        generate(weighted_sum(rows=7), NATIVE).write(tmp_path)
    assert contents(tmp_path) == before


def test_weights_are_aligned_and_in_order(tmp_path):
    constants = (np.arange(3, dtype=np.float32), np.zeros((0, 4), np.int64), np.array(7, ">i4"),
                 np.arange(6, dtype=np.int8).reshape(2, 3).T)
    project = Project("m", NATIVE, {}, constants)
    project.write_sources(tmp_path)
    data = (tmp_path / "m.weights").read_bytes()
    program = replace(weighted_sum(), constants=tuple(np.ascontiguousarray(c) for c in constants))
    assert len(data) == program.constant_bytes
    for offset, array in zip(program.constant_offsets, constants):
        assert offset % ALIGNMENT == 0
        native = np.frombuffer(data, array.dtype.newbyteorder("<"), array.size, offset).reshape(array.shape)
        np.testing.assert_array_equal(native, array)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_large_weights_lie_apart(tmp_path, monkeypatch, compiler):
    """Above a limit weights go where code cannot reach by itself; here the limit is low."""
    monkeypatch.setattr(project_module, "LARGE_WEIGHTS", 1)
    directory = generate(weighted_sum(), NATIVE).write(tmp_path)
    assert ".lrodata" in (directory / "weighted_weights.S").read_text()
    make(directory, compiler)
    np.testing.assert_array_equal(load(directory / "weighted.so")(np.ones((4, 3), np.float32)), [6] * 4)
    library = ctypes.CDLL(str(directory / "weighted.so"))
    assert library.weighted_info
