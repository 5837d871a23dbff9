"""What a machine is measured to do: that something is measured, with either compiler. How much is no matter for a test."""
from __future__ import annotations

import shutil

import pytest

from dlcompile.errors import ToolchainError
from dlcompile.toolchain.machine import measure_machine


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_rates_are_numbers(compiler, monkeypatch) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    monkeypatch.setenv("CC", compiler)
    machine = measure_machine(2)
    assert machine.threads == 2
    assert 1e8 < machine.flops < 1e15 and 1e7 < machine.bytes < 1e14


def test_without_a_compiler(monkeypatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(ToolchainError, match="no-such-compiler"):
        measure_machine(1)
