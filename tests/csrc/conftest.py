"""Compiling small C programs against csrc/, for every width and compiler that this machine has."""
from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from dlcompile.kernels.target import TARGETS, runs_here

CSRC = Path(__file__).parents[2] / "csrc"
FLAGS = ("-std=gnu11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast", "-Wall", "-Wextra", "-Wno-psabi", "-Werror")
WIDTHS = ("x86-64", "x86-64-v3", "x86-64-v4")
CONFIGURATIONS = [(compiler, width) for compiler in ("gcc", "clang") for width in WIDTHS]


def _available(compiler: str, width: str) -> str | None:
    """Why a configuration cannot be tested here, or None."""
    if shutil.which(compiler) is None:
        return f"no {compiler} here"
    return None if runs_here(TARGETS[width]) else f"this CPU is no {width}"


class Library:
    """Compiled C. Functions are called with NumPy arrays (their addresses), ints (int64_t) and floats (float)."""

    def __init__(self, path: Path, width: str):
        self._library = ctypes.CDLL(str(path))
        self.lanes = TARGETS[width].lanes

    def __getattr__(self, name: str):
        function = getattr(self._library, name)
        function.restype = ctypes.c_int64

        def call(*arguments):
            return function(*(_as_c(a) for a in arguments))

        return call


def _as_c(argument):
    if argument is None:
        return ctypes.c_void_p(0)
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    return ctypes.c_float(argument) if isinstance(argument, float) else ctypes.c_int64(int(argument))


@pytest.fixture(scope="session")
def build(tmp_path_factory):
    """build(source, (compiler, width)) -> Library; each compiled once."""
    folder = tmp_path_factory.mktemp("csrc")
    built: dict[tuple, Library | None] = {}

    def make(source: str, configuration: tuple[str, str]) -> Library:
        compiler, width = configuration
        key = (source, configuration)
        if key not in built:
            built[key] = None  # compiling fails once, not once for each test
            stem = folder / hashlib.sha256(repr(key).encode()).hexdigest()[:16]
            stem.with_suffix(".c").write_text(source)
            subprocess.run([compiler, *FLAGS, "-fopenmp-simd", *TARGETS[width].flags, f"-I{CSRC}", "-shared", "-fPIC", f"{stem}.c",
                            "-o", f"{stem}.so", "-lm", "-lpthread"], check=True)
            built[key] = Library(stem.with_suffix(".so"), width)
        return built[key] or pytest.fail("does not compile")

    return make


@pytest.fixture(params=CONFIGURATIONS, ids="-".join, scope="session")
def configuration(request):
    reason = _available(*request.param)
    if reason:
        pytest.skip(reason)
    return request.param


@pytest.fixture(scope="session")
def run_sanitized(tmp_path_factory):
    """run_sanitized(program, configuration, sanitizers): builds a program with a main() under sanitizers and runs it; fails on any report."""
    folder = tmp_path_factory.mktemp("sanitized")

    def run(source: str, configuration: tuple[str, str], sanitizers: str = "address,undefined") -> str:
        compiler, width = configuration
        if compiler != "gcc":
            pytest.skip("one compiler's sanitizers are enough, and GCC's compile faster")
        stem = folder / hashlib.sha256(repr((source, configuration, sanitizers)).encode()).hexdigest()[:16]
        stem.with_suffix(".c").write_text(source)
        command = [compiler, "-std=gnu11", "-O1", "-g", "-fno-math-errno", f"-fsanitize={sanitizers}", "-fno-sanitize-recover=all",
                   "-fopenmp-simd", *TARGETS[width].flags, f"-I{CSRC}", f"{stem}.c", "-o", str(stem), "-lm", "-lpthread"]
        subprocess.run(command, check=True)
        done = subprocess.run([str(stem)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def aligned():
    """aligned(*shape): an array on a cache line, full of NaN."""

    def make(*shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        memory = np.full(size + 16, np.nan, np.float32)
        skip = -memory.ctypes.data // 4 % 16
        return memory[skip:skip + size].reshape(shape)

    return make


@pytest.fixture(scope="session")
def close():
    """close(got, exact, terms): float32 sums of so many products agree with float64 ones."""

    def check(got: np.ndarray, exact: np.ndarray, terms: int) -> None:
        np.testing.assert_allclose(got, exact, rtol=0, atol=3e-7 * max(terms, 1) ** 0.5 * max(1.0, np.abs(exact).max(initial=0)))

    return check
