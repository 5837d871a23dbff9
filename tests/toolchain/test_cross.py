"""Compilers for another kind of processor: which one is taken, and what is said where there is none."""
import platform
import shutil
import stat
from pathlib import Path

import pytest

from dlcompile.errors import ToolchainError
from dlcompile.kernels.target import TARGETS, Target
from dlcompile.toolchain import find_compiler

HERE = platform.machine()
OTHER = next(t for t in reversed(TARGETS.values()) if t.machine != HERE)


def fake(directory: Path, name: str, machine: str, options: str = "") -> Path:
    """A compiler that says it makes code for `machine`: given `options`, where they are named."""
    path = directory / name
    path.write_text(f"""#!/bin/sh
case "$*" in
    "{options}"*--version) echo {name} 1.0;;
    "{options}"*-dumpmachine) echo {machine}-linux-gnu;;
    *-dumpmachine) echo {HERE}-linux-gnu;;
    *) exit 1;;
esac
""")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    """The only directory where programs are looked for; it has what this machine needs to run scripts."""
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda t: t.name)
def test_machines(target: Target) -> None:
    assert target.machine == ("aarch64" if target.name == "aarch64" else "x86_64")


def test_this_machine_takes_the_ordinary_compiler(path) -> None:
    fake(path, "cc", HERE)
    fake(path, f"{HERE}-linux-gnu-gcc", HERE)
    same = next(t for t in TARGETS.values() if t.machine == HERE)
    assert find_compiler(same).command == find_compiler().command == (str(path / "cc"),)


def test_the_cross_compiler_is_found(path) -> None:
    fake(path, "cc", HERE)
    fake(path, "clang", OTHER.machine, "--target")
    cross = fake(path, f"{OTHER.machine}-linux-gnu-gcc", OTHER.machine)
    assert find_compiler(OTHER).command == (str(cross),)


def test_clang_is_told_the_machine(path) -> None:
    clang = fake(path, "clang", OTHER.machine, f"--target={OTHER.machine}-linux-gnu")
    assert find_compiler(OTHER).command == (str(clang), f"--target={OTHER.machine}-linux-gnu")


def test_cc_comes_first_where_it_can(path, monkeypatch) -> None:
    fake(path, f"{OTHER.machine}-linux-gnu-gcc", OTHER.machine)
    own = fake(path, "own-compiler", OTHER.machine)
    monkeypatch.setenv("CC", "own-compiler -O1")
    assert find_compiler(OTHER).command == (str(own), "-O1")


def test_cc_for_this_machine_does_not_hide_the_cross_compiler(path, monkeypatch) -> None:
    fake(path, "cc", HERE, "-never")
    cross = fake(path, f"{OTHER.machine}-linux-gnu-gcc", OTHER.machine)
    monkeypatch.setenv("CC", "cc")
    assert find_compiler(OTHER).command == (str(cross),)


def test_none(path) -> None:
    fake(path, "cc", HERE, "-never")
    with pytest.raises(ToolchainError, match=f"no C compiler for {OTHER.machine}.*apt install gcc-"):
        find_compiler(OTHER)
