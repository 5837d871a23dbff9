"""The library a project becomes, seen from C: its symbols, its header, its runs under the sanitizers."""
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dlcompile.codegen import generate
from dlcompile.codegen.units import split_kernels
from dlcompile.errors import InvalidModelError
from dlcompile.kernels.program import Kernel
from dlcompile.kernels.target import resolve_target
from dlcompile.toolchain import build
from tests.programs import COMPILERS, FLOAT, SCALE, constrained, copies, weighted_sum

HARNESS = Path(__file__).with_name("harness.c")
NATIVE = resolve_target("native")


def programs():
    return weighted_sum(), weighted_sum("fixed", 5), constrained()


@pytest.fixture(scope="module")
def projects(tmp_path_factory):
    """The three models of the harness, each written as a C project."""
    folder = tmp_path_factory.mktemp("projects")
    return [generate(p, NATIVE).write(folder / p.name) for p in programs()]


def make(directory: Path, compiler: str, flags: str = "", goal: str = "", name: str = "") -> None:
    environment = {k: v for k, v in os.environ.items() if k not in ("CFLAGS", "CC", "MAKEFLAGS")}
    command = ["make", "-s", "-B", "-C", str(directory), f"CC={compiler}", f"CFLAGS={flags}", *([goal] if goal else [])]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == 0 and not result.stderr, result.stderr


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("sanitizer", ["address,undefined", "thread"])
def test_runs_clean_under_sanitizers(projects, tmp_path, compiler, sanitizer):
    """Runs, failures, profiles, forks, threads, two models in one program: no leak, no undefined behaviour, no race."""
    flags = f"-g -fsanitize={sanitizer} -fno-sanitize-recover=undefined -Wall"
    for project in projects:
        make(project, compiler, flags)
    libraries = [str(p / f"{p.name}.so") for p in projects]
    paths = [f for p in projects for f in (f"-I{p}", f"-Wl,-rpath,{p}")]
    program = str(tmp_path / "harness")
    subprocess.run([compiler, *flags.split(), *paths, str(HARNESS), *libraries, "-lpthread", "-o", program], check=True)
    arguments = ["nofork"] if sanitizer == "thread" else []  # ThreadSanitizer starts no threads after a fork
    environment = {**os.environ, "TSAN_OPTIONS": "halt_on_error=1", "OMP_NUM_THREADS": "3"}
    result = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0 and result.stdout == "done\n", result.stderr[-4000:]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_archives_link_into_one_program(projects, tmp_path, compiler):
    for project in projects:
        make(project, compiler, goal=f"{project.name}.a")
    paths = [f"-I{p}" for p in projects]
    archives = [str(p / f"{p.name}.a") for p in projects]
    program = str(tmp_path / "harness")
    subprocess.run([compiler, *paths, str(HARNESS), *archives, "-lgomp", "-lm", "-lpthread", "-o", program], check=True)
    assert subprocess.run([program], capture_output=True, text=True, timeout=60).stdout == "done\n"


def test_symbols_and_dependencies(projects):
    make(projects[0], COMPILERS[0])
    library = projects[0] / "weighted.so"
    symbols = subprocess.run(["nm", "-D", "--defined-only", str(library)], capture_output=True, text=True, check=True).stdout
    names = {line.split()[-1] for line in symbols.splitlines()}
    assert names == {f"weighted_{f}" for f in ("create", "run", "error", "destroy", "arena_bytes", "info")}
    needed = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=True).stdout
    libraries = {line.split()[0].split("/")[-1].split(".so")[0] for line in needed.splitlines()}
    assert libraries <= {"linux-vdso", "libgomp", "libc", "libm", "libpthread", "ld-linux-x86-64", "ld-linux-aarch64"}
    stack = subprocess.run(["readelf", "-lW", str(library)], capture_output=True, text=True, check=True).stdout
    assert "RWE" not in stack


@pytest.mark.parametrize(("compiler", "language"), [("gcc", "c99"), ("gcc", "c++11"), ("clang", "c99"), ("clang", "c++11")])
def test_headers_together_in_c_and_cpp(projects, tmp_path, compiler, language):
    if compiler not in COMPILERS:
        pytest.skip(f"no {compiler} here")
    source = tmp_path / "both.c"
    source.write_text('#include "weighted.h"\n#include "fixed.h"\n#include "weighted.h"\nint main(void) { return fixed_info()->format; }\n')
    command = [compiler, f"-std={language}", "-x", "c++" if "+" in language else "c", "-Wall", "-Wextra", "-pedantic", "-Werror",
               *(f"-I{p}" for p in projects), "-c", "-o", os.devnull, str(source)]
    if "+" in language and subprocess.run([compiler, "-x", "c++", "-E", "-", "-o", os.devnull], input=b"").returncode:
        pytest.skip("no C++ compiler here")
    subprocess.run(command, check=True)


def test_names_that_try_to_break_out(tmp_path):
    """A model whose every name is an attack on C, the shell or the file system compiles, and says its names unchanged."""
    evil = '*/ int main(void) { system("touch /tmp/owned"); } /* "; \\ \n #error `x` $(x) ??/ \u202e größe'
    program = weighted_sum(evil, "batch", input_name=evil, output_name=evil + "'", origin=(evil, "../../x"))
    project = generate(program, NATIVE)
    assert project.name.isidentifier() and all(f.startswith(project.name) for f in project.files)
    from dlcompile.runtime import load

    model = load(build(project, tmp_path / "evil.so"), threads=1)
    assert model.inputs[0].name == evil and model.outputs[0].name == evil + "'" and model.info.calls[0].origin == (evil, "../../x")
    np.testing.assert_array_equal(model(np.ones((2, 3), np.float32)), [6, 6])


def test_words_of_c_as_names(tmp_path):
    """Symbols, ports and models may be called as keywords, as our own variables, or alike."""
    ports = [(n, FLOAT, ("int",)) for n in ("int", "arena", "context", "dlc_run", "this_program", "main", "main_k_copy_f32", "a.b", "a_b")]
    from dlcompile.graph import symbol

    program = copies("main", [(n, d, (symbol("class"),)) for n, d, _ in ports], ("class",))
    from dlcompile.runtime import load

    model = load(build(generate(program, NATIVE), tmp_path / "main.so"), threads=1)
    parameters = [p.parameter for p in (*model.inputs, *model.outputs)]
    assert len(set(parameters)) == 18 and model.symbols == ("class",)
    values = [np.full(2, i, np.float32) for i in range(9)]
    np.testing.assert_array_equal(np.stack(model(*values))[:, 1], range(9))


def test_kernels_are_shared_out_by_weight():
    kernels = [Kernel(f"k{i}", (), "", weight=w) for i, w in enumerate([60, 2, 2, 56, 4, 80])]
    units = split_kernels(kernels)
    assert sorted(k.name for u in units for k in u) == [k.name for k in kernels]
    weights = [sum(k.weight for k in u) for u in units]
    assert len(units) >= 3 and max(weights) <= 84
    assert split_kernels([]) == [] and len(split_kernels(kernels[1:3])) == 1


def test_kernels_with_the_same_headers_come_together():
    kernels = [Kernel(f"k{i}", (), "", (header,), weight=40) for i, header in enumerate(["a.h", "b.h", "a.h", "b.h"])]
    assert {frozenset(k.headers for k in unit) for unit in split_kernels(kernels)} == {frozenset({("a.h",)}), frozenset({("b.h",)})}


def test_two_kernels_of_one_name_are_refused():
    program = weighted_sum()
    other = replace(SCALE, body="    (void)x;\n")
    calls = (*program.calls, replace(program.calls[0], kernel=other))
    with pytest.raises(InvalidModelError, match="scale"):
        generate(replace(program, steps=calls), NATIVE)


def test_generating_is_repeatable():
    assert generate(weighted_sum(), NATIVE).files == generate(weighted_sum(), NATIVE).files
