"""Building a project: its translation units compiled side by side, linked, and put in place whole or not at all."""
from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from dlcompile.codegen.csrc import csrc_dir
from dlcompile.codegen.project import LIBRARIES, LINK_FLAGS, RUNTIME_APART, Project, runtime_source
from dlcompile.errors import ToolchainError
from dlcompile.toolchain.compiler import Compiler, extra_flags, find_compiler
from dlcompile.toolchain.shared import RuntimeObject

Progress = Callable[[str, int, int], None]
"""called with (what has just been done, steps done, steps in all)"""


def build(project: Project, path: str | os.PathLike, progress: Progress | None = None, *, compiler: Compiler | None = None,
          objects: Path | None = None) -> Path:
    """Compile and link `project` to the shared library `path`, which exists afterwards either whole or as it was before.

    objects: a directory that keeps what is the same in many libraries (see `toolchain.shared`) for other processes.
    ToolchainError, with the compiler's output, where it fails or is missing, and where there is no room for its files.
    """
    path = Path(path)
    compiler = compiler or find_compiler(project.target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{project.name}-", dir=path.parent) as temporary:
            directory = Path(temporary)
            project.write_sources(directory)
            library = _compile(project, directory, compiler, progress or (lambda what, done, total: None), objects)
            os.chmod(library, 0o644)
            os.replace(library, path)
    except OSError as error:
        raise ToolchainError(f"{project.name}: cannot write {path}: {error.strerror or error}") from error
    return path


def _compile(project: Project, directory: Path, compiler: Compiler, progress: Progress, objects: Path | None) -> Path:
    flags = [*project.flags, *extra_flags(), f"-I{csrc_dir()}", "-I."]
    alone = not project.parts  # parts have a runtime each, as its form depends on whether there are threads
    runtime = RuntimeObject(compiler, project.target, project.threaded, objects)
    steps = len(project.sources) + 1
    made = [f"{Path(source).stem}.o" for source in project.sources]
    with ThreadPoolExecutor(max_workers=_processors()) as pool:
        jobs = {}
        ready = pool.submit(_runtime, project, runtime, compiler, flags, directory) if alone else None
        for source, target in zip(project.sources, made):
            options = flags if source.endswith(".c") else []
            if alone and source == f"{project.name}.c":
                options = [*options, RUNTIME_APART]
            jobs[pool.submit(_run, project, compiler, [*options, "-c", "-o", target, source], directory)] = source
        try:
            for done, job in enumerate(as_completed(jobs), 1):
                job.result()
                progress(jobs[job], done, steps)
            if ready is not None:
                ready.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    library = f"{project.name}.so"
    _run(project, compiler, [*LINK_FLAGS, *extra_flags(), "-o", library, *made, *([RUNTIME] if alone else []), *LIBRARIES], directory)
    progress(library, steps, steps)
    return directory / library


RUNTIME = "_runtime.o"  # no model is called that: its files begin with a letter


def _runtime(project: Project, runtime: RuntimeObject, compiler: Compiler, flags: list[str], directory: Path) -> None:
    """Put the object of the runtime into the directory, compiled where it is not at hand."""
    data = runtime.find()
    if data is None:
        (directory / "_runtime.c").write_text(runtime_source(project.threaded), encoding="utf-8")
        _run(project, compiler, [*flags, "-c", "-o", RUNTIME, "_runtime.c"], directory)
        runtime.keep((directory / RUNTIME).read_bytes())
    else:
        (directory / RUNTIME).write_bytes(data)


def _run(project: Project, compiler: Compiler, arguments: list[str], directory: Path) -> None:
    command = [*compiler.command, *arguments]
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(directory)}
    try:
        result = subprocess.run(command, cwd=directory, capture_output=True, text=True, errors="replace", env=environment)
    except OSError as error:
        raise ToolchainError(f"{project.name}: the C compiler {compiler.command[0]} does not start: {error}") from None
    if result.returncode:
        output = (result.stderr + result.stdout).strip()
        raise ToolchainError(f"{project.name}: the C compiler failed ({_meaning(result.returncode)}){_hint(output)}\n"
                             f"{' '.join(command)}\n{output[-8000:]}")


def _meaning(code: int) -> str:
    return f"status {code}" if code > 0 else f"killed by signal {-code}; was there enough memory?"


HINTS = {
    "cannot find -lgomp": "the OpenMP runtime is missing; install libgomp with its development files (they come with gcc)",
    "cannot find -lm": "the C library's development files are missing (Debian, Ubuntu: `apt install libc6-dev`)",
    "stdio.h: No such file": "the C library's headers are missing (Debian, Ubuntu: `apt install libc6-dev`)",
    "'stdio.h' file not found": "the C library's headers are missing (Debian, Ubuntu: `apt install libc6-dev`)",
    "No space left on device": "the disk is full",
}


def _hint(output: str) -> str:
    return "".join(f": {hint}" for sign, hint in HINTS.items() if sign in output)


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
