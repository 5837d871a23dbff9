"""One attempt: a model's bytes along the whole road. Either there is a library in the end, or a `dlcompile.Error`; anything else is a finding."""
from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np

import dlcompile as dlc
from dlcompile.codegen.csrc import csrc_dir
from dlcompile.codegen.project import Project
from dlcompile.compiler import lower
from dlcompile.graph.dim import evaluate
from dlcompile.kernels.program import Port, Program
from dlcompile.runtime import load
from dlcompile.toolchain import build, find_compiler
from tests.fuzz.corpus import Entry
from tests.fuzz.mutations import mutated

ADDRESS_SPACE = 3 << 30  # bytes a worker may have beside those it begins with
GROWTH = 768 << 20       # bytes an attempt may add to what its process had
PROCESSOR_SECONDS = 20   # an attempt may take

GOOD = ("compiled", "refused")
"""how an attempt should end"""


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended: `kind` one of GOOD, or what went wrong; `signature`, the same for what has the same cause, most likely."""

    seed: int
    kind: str
    signature: str = ""
    detail: str = ""
    phase: str = ""


@dataclass(frozen=True)
class Shares:
    """Of the attempts that generate C: how many are given to the compiler, and how many are built and run."""

    checked: float = 0.25
    run: float = 0.05


Report = Callable[[str], None]
"""is told of each phase as it begins"""


def attempt(seed: int, corpus: list[Entry], shares: Shares, report: Report) -> Outcome:
    """The attempt of a seed."""
    random = Random(seed)
    report("mutate")
    data, _ = mutated(random, random.choice(corpus).data, corpus)
    return follow(seed, data, random, shares, report)


def follow(seed: int, data: bytes, random: Random, shares: Shares, report: Report) -> Outcome:
    """A model's bytes along the road, as far as the shares say. What `random` decides from here on does not change the bytes."""
    before = _start_peak()
    phase = "compile"

    def enter(name: str) -> None:
        nonlocal phase
        phase = name
        report(name)

    checked, run = random.random() < shares.checked, random.random() < shares.run
    try:
        with warnings.catch_warnings(record=True) as caught, tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            warnings.simplefilter("always")
            path = Path(folder, "model.onnx")
            path.write_bytes(data)
            Path(folder, "data").write_bytes(bytes(256))
            enter("compile")
            _, program, project = lower(path)
            failed = ""
            if checked or run:
                enter("check C")
                failed = complaints(project, Path(folder))
            if run and not failed:
                enter("build")
                _run(program, project, Path(folder), random, enter)
    except dlc.Error as error:
        if phase in ("check C", "build") or isinstance(error, dlc.ToolchainError):
            return Outcome(seed, "C does not build", _first_line(str(error)), str(error)[-3000:], phase)
        if _ran_out(error):
            return Outcome(seed, "memory", _place(error.__cause__ or error), _text(error), phase)
        return Outcome(seed, "compiled" if phase == "run" else "refused", type(error).__name__, str(error)[:500], phase)
    except Exception as error:
        kind = "memory" if isinstance(error, MemoryError) else "exception"
        return Outcome(seed, kind, _place(error), _text(error), phase)
    if failed:
        return Outcome(seed, "C does not compile", _first_line(failed), failed[:3000], phase)
    noticed = [str(w.message) for w in caught if "rewriting stopped" in str(w.message)]
    if noticed:
        return Outcome(seed, "warning", noticed[0], noticed[0], phase)
    grown = _peak() - before
    if grown > GROWTH:
        return Outcome(seed, "memory", "grown", f"{grown >> 20} MiB more than before", phase)
    return Outcome(seed, "compiled", phase=phase)


# -- C ----------------------------------------------------------------------------------------------------------------------
def complaints(project: Project, folder: Path) -> str:
    """What the C compiler says of the sources; nothing where they are right."""
    directory = folder / "sources"
    directory.mkdir()
    project.write_sources(directory)
    sources = [name for name in project.sources if name.endswith(".c")]
    command = [*find_compiler().command, *project.flags, "-O0", "-fsyntax-only", "-Werror=implicit-function-declaration", f"-I{csrc_dir()}", "-I.", *sources]
    result = subprocess.run(command, cwd=directory, capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C"})
    return result.stderr.strip() or f"status {result.returncode}" if result.returncode else ""


LARGEST_RUN = 1 << 26  # bytes of inputs and outputs; and a limit of operations
MOST_OPERATIONS = 1 << 30


def _run(program: Program, project: Project, folder: Path, random: Random, enter: Report) -> None:
    """The library built, quickly, and called with random inputs where that is no large amount of work."""
    symbols = {name: random.choice((0, 1, 1, 2, 3, 5)) for name in program.symbols}
    work = [_amount(p.type.nbytes, symbols) for p in (*program.inputs, *program.outputs)]
    calls = [_amount(amount, symbols) for call in program.calls for amount in (call.flops, call.bytes)]
    if sum(work) > LARGEST_RUN or sum(calls) > MOST_OPERATIONS:
        return
    os.environ["CFLAGS"] = "-O0"
    model = load(build(project, folder / "model.so"), threads=1)
    numbers = np.random.default_rng(random.randrange(2**32))
    arrays = [_array(port, symbols, numbers) for port in program.inputs]
    enter("run")
    model(*arrays)


def _amount(value, symbols: dict[str, int]) -> int:
    """A size for these symbols; one that only a run knows, or that no run has (a quotient of 0), counts as none."""
    try:
        return max(int(evaluate(value, symbols)), 0)
    except (KeyError, ZeroDivisionError):
        return 0


def _array(port: Port, symbols: dict[str, int], random: np.random.Generator) -> np.ndarray:
    shape = tuple(max(int(evaluate(d, symbols)), 0) for d in port.type.shape)
    dtype = port.type.dtype
    with np.errstate(all="ignore"):
        if dtype.kind in "iub":
            values = random.integers(-3, 6, shape)
            values = np.where(random.random(shape) < 0.1, random.choice([2**62, -2**62, 2**31, 255, -129], shape), values)
            return values.astype(dtype)
        values = random.standard_normal(shape)
        return np.where(random.random(shape) < 0.1, random.choice([np.nan, np.inf, -np.inf, 1e30, 0.0], shape), values).astype(dtype)


# -- what is said of a failure ----------------------------------------------------------------------------------------------
def _place(error: BaseException) -> str:
    """Where it was raised: its type and the last functions of dlcompile it came through."""
    frames = [f"{Path(f.filename).name}:{f.name}" for f in traceback.extract_tb(error.__traceback__) if "dlcompile" in f.filename]
    return f"{type(error).__name__} {' < '.join(list(dict.fromkeys(reversed(frames)))[:3])}"


def _text(error: BaseException) -> str:
    lines = traceback.format_exception(error)
    text = "".join(lines)
    return text if len(text) < 4000 else text[:1000] + "\n...\n" + text[-3000:]


def _first_line(text: str) -> str:
    """The first error of a compiler, without what differs from model to model."""
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or [""]
    return re.sub(r"'[^']*'|\d+", "_", lines[0].partition("error")[2] or lines[0])[:160]


def _ran_out(error: BaseException) -> bool:
    """Whether it was memory that made somebody raise this."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


# -- memory -----------------------------------------------------------------------------------------------------------------
def limit_memory() -> None:
    """No more than ADDRESS_SPACE for this process and those it starts, beside what it has."""
    limit = _status("VmSize") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _start_peak() -> int:
    """The bytes in use; the highest figure starts from here."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass  # then it is that of the whole process
    return _peak()


def _peak() -> int:
    """The most bytes that were in use."""
    return _status("VmHWM")


def _status(field: str) -> int:
    """Bytes, from what the system says about this process."""
    try:
        text = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(rf"{field}:\s*(\d+) kB", text)
    return int(found[1]) << 10 if found else 0
