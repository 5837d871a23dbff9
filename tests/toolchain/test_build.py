"""Building: what it reports, and what it says and leaves behind when it fails."""
import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dlcompile.codegen import generate
from dlcompile.codegen import project as project_module
from dlcompile.errors import ToolchainError
from dlcompile.kernels.target import TARGETS, resolve_target, runs_here
from dlcompile.runtime import load
from dlcompile.toolchain import build, find_compiler
from tests.programs import COMPILERS, weighted_sum

NATIVE = resolve_target("native")
X = np.ones((4, 3), np.float32)


@pytest.fixture
def project():
    return generate(weighted_sum(), NATIVE)


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("target", [t for t in TARGETS.values() if runs_here(t)], ids=lambda t: t.name)
def test_every_target_and_compiler(tmp_path, monkeypatch, compiler, target):
    monkeypatch.setenv("CC", compiler)
    model = load(build(generate(weighted_sum(), target), tmp_path / "m.so"))
    np.testing.assert_array_equal(model(X), [6] * 4)
    assert model.info.target == target.name and compiler in model.info.compiler


def test_progress(project, tmp_path):
    steps = []
    build(project, tmp_path / "m.so", lambda *step: steps.append(step))
    assert [s[1] for s in steps] == [1, 2, 3, 4] and {s[2] for s in steps} == {4}
    assert {s[0] for s in steps} == {"weighted.c", "weighted_kernels_1.c", "weighted_weights.S", "weighted.so"}
    assert [p.name for p in tmp_path.iterdir()] == ["m.so"]


def test_cflags_are_used(project, tmp_path, monkeypatch):
    monkeypatch.setenv("CFLAGS", "-DX='a b' -Winvalid-pch")
    build(project, tmp_path / "m.so")
    monkeypatch.setenv("CFLAGS", "'unfinished")
    with pytest.raises(ToolchainError, match="CFLAGS"):
        build(project, tmp_path / "n.so")


# -- failures ---------------------------------------------------------------------------------------------------------------
def test_no_compiler(project, tmp_path, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolchainError, match="no C compiler was found.*apt install gcc"):
        build(project, tmp_path / "out" / "m.so")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("cc", "words"), [("no-such-compiler -m64", "'no-such-compiler', was not found"), ("'", "CC=.* is not a command")])
def test_wrong_cc(project, tmp_path, monkeypatch, cc, words):
    monkeypatch.setenv("CC", cc)
    with pytest.raises(ToolchainError, match=words):
        build(project, tmp_path / "m.so")


def test_a_compiler_that_does_not_start(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", "echo no licence >&2; exit 3")))
    with pytest.raises(ToolchainError, match="no licence"):
        find_compiler()


def test_a_compiler_that_fails(project, tmp_path, monkeypatch):
    """Its output and the command are shown; what was there stays."""
    (tmp_path / "m.so").write_text("before")
    text = '[ "$1" = --version ] && { echo fake 1; exit 0; }\necho "weighted.c:1: error: out of ideas" >&2\nexit 1'
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", text)))
    with pytest.raises(ToolchainError) as error:
        build(project, tmp_path / "m.so")
    for words in ("weighted: ", "out of ideas", "status 1", "-O3"):
        assert words in str(error.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cc", "m.so"] and (tmp_path / "m.so").read_text() == "before"


def test_a_compiler_that_is_killed(project, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", '[ "$1" = --version ] && exit 0\nkill -9 $$')))
    with pytest.raises(ToolchainError, match="killed by signal 9; was there enough memory"):
        build(project, tmp_path / "m.so")


def test_openmp_missing(project, tmp_path, monkeypatch):
    real = shutil.which(COMPILERS[0])
    text = f'case "$*" in *-lgomp*) echo "ld: cannot find -lgomp: No such file" >&2; exit 1;; esac\nexec {real} "$@"'
    monkeypatch.setenv("CC", str(script(tmp_path / "cc", text)))
    with pytest.raises(ToolchainError, match="the OpenMP runtime is missing; install libgomp"):
        build(project, tmp_path / "m.so")


def test_a_failing_unit_stops_the_others(tmp_path, monkeypatch):
    """A translation unit that does not compile: its own error is the one that is raised."""
    broken = generate(weighted_sum(), NATIVE)
    broken.files["weighted_kernels_1.c"] += "\n#error broken on purpose\n"
    with pytest.raises(ToolchainError, match="broken on purpose"):
        build(broken, tmp_path / "m.so")
    assert not list(tmp_path.iterdir())


def test_no_room_for_the_sources(project, tmp_path, monkeypatch):
    def full(constants, file):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(project_module, "write_constants", full)
    with pytest.raises(ToolchainError, match="No space left on device"):
        build(project, tmp_path / "m.so")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full(project, tmp_path):
    """A real one, where we may mount one: 64 KiB hold the sources, not what the compiler makes of them."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)], capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    try:
        with pytest.raises(ToolchainError, match="[Nn]o space left on device|the disk is full|cannot write"):
            build(project, disk / "m.so")
        assert not list(disk.iterdir())
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_place_that_is_none(project, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolchainError, match="cannot write"):
        build(project, tmp_path / "file" / "m.so")
