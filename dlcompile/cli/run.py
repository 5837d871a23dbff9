"""`dlcompile run`: a library or a model, on given or random inputs."""
from __future__ import annotations

import re
import time
from pathlib import Path

import click
import numpy as np

from dlcompile.cli.console import compile_progress, duration, output, quantity, table
from dlcompile.cli.values import dims_option, index_limits, inputs_option, make_inputs, refuse_structured
from dlcompile.errors import ToolchainError
from dlcompile.runtime import CompiledModel, load
from dlcompile.toolchain.machine import measure_machine


@click.command("run", short_help="Run a library or a model on given or random inputs.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@inputs_option
@dims_option("The size of a symbolic dimension, for random inputs. Repeatable.")
@click.option("--output", "directory", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Write each output to DIR as a .npy file.")
@click.option("--repeat", type=click.IntRange(1), default=1, show_default=True, help="Run so many times and say how long a run takes.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads of a run; by default as many as there are CPUs and as can pay.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs.")
@click.option("--profile", is_flag=True, help="Say what each kernel took, the longest first, beside what this machine can do.")
def command(model: Path, inputs: tuple[str, ...], dims: dict[str, int], directory: Path | None, repeat: int, threads: int | None,
            seed: int, profile: bool) -> None:
    """Run MODEL, a library that `dlcompile compile` wrote or an ONNX file, which is compiled first.

    \b
    Examples:
      dlcompile run resnet50.so --input pixels=cat.npy --output results/
      dlcompile run minilm.onnx --dim batch=1 --dim sequence=64 --repeat 100
      dlcompile run vad.so --input sr=16000 --input input=speech.npy
      dlcompile run resnet50.so --profile --repeat 20
    """
    compiled, limits = open_model(model, threads)
    refuse_structured(compiled)
    arrays = make_inputs(compiled.inputs, compiled.symbols, inputs, dims, seed, limits)
    results = compiled.run(arrays)
    console = output()
    rows = table(f"{compiled.name}, threads: {compiled.threads}", "", "name", "type", "least", "mean", "greatest", right=("least", "mean", "greatest"))
    for kind, values in (("input", arrays), ("output", results)):
        for name, array in values.items():
            rows.add_row(kind, name, f"{array.dtype}{list(array.shape)}", *statistics(array))
    console.print(rows)
    if directory is not None:
        for path in save_arrays(directory, results):
            console.print(f"wrote {path}", markup=False, soft_wrap=True)
    if repeat > 1:
        console.print(timing(compiled, tuple(arrays.values()), repeat))
    if profile:
        console.print(profile_table(compiled, arrays, repeat))


def open_model(path: Path, threads: int | None) -> tuple[CompiledModel, dict[str, int]]:
    """The compiled model of a library or of an ONNX file, and the limits of its integer inputs, where the file tells them."""
    if path.suffix != ".onnx" and is_library(path):
        return load(path, threads=threads), {}
    import dlcompile

    with compile_progress(path.name) as progress:
        compiled = dlcompile.compile(path, threads=threads, progress=progress)
    return compiled, index_limits(dlcompile.import_onnx(path)) if any(p.dtype.kind in "iu" for p in compiled.inputs) else {}


def is_library(path: Path) -> bool:
    """Whether the file is a shared library: it starts as ELF files do."""
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def statistics(array: np.ndarray) -> tuple[str, str, str]:
    """Least, mean and greatest element."""
    if array.size == 0:
        return "", "", ""
    values = array.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return tuple(f"{v:.6g}" for v in (values.min(), values.mean(), values.max()))


def save_arrays(directory: Path, arrays: dict[str, np.ndarray]) -> list[Path]:
    """Write arrays to `directory`, each under its name as far as a file can have it."""
    directory.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for name, array in arrays.items():
        stem = re.sub(r"[^\w.-]", "_", name, flags=re.ASCII).lstrip(".")[:100] or "output"
        path, number = directory / f"{stem}.npy", 1
        while path in paths:
            path, number = directory / f"{stem}_{number}.npy", number + 1
        np.save(path, array, allow_pickle=False)
        paths.append(path)
    return paths


def timing(compiled: CompiledModel, arrays: tuple[np.ndarray, ...], repeat: int) -> str:
    """The median and the shortest of `repeat` runs."""
    seconds = []
    for _ in range(repeat):
        start = time.perf_counter()
        compiled(*arrays)
        seconds.append(time.perf_counter() - start)
    return f"{repeat} runs: median {duration(float(np.median(seconds)))}, shortest {duration(min(seconds))}"


def profile_table(compiled: CompiledModel, arrays: dict[str, np.ndarray], repeat: int):
    """What each kernel took, and how near it came to what the machine was measured to do (see docs/performance.md)."""
    profiles = sorted(compiled.profile(*arrays.values(), repeat=repeat), key=lambda p: -p.seconds)
    total = sum(p.seconds for p in profiles) or 1
    try:
        machine = measure_machine(compiled.threads)
    except ToolchainError:
        machine = None  # a library may be where no compiler is
    title = "kernels by time" if machine is None else (
        f"kernels by time; threads: {machine.threads}, which have been measured to do {quantity(machine.flops, 'FLOP/s')} in float32 and to read "
        f"{quantity(machine.bytes, 'B/s')} from memory")
    columns = ("time", "share", "GFLOP/s", "of peak", "GB/s", "of memory")
    rows = table(title, *columns, "form", "nodes", right=columns)
    for p in profiles:
        seconds = max(p.seconds, 1e-9)
        flops, moved = max(p.flops, 0) / seconds, max(p.bytes, 0) / seconds
        shares = ("", "") if machine is None else (f"{flops / machine.flops:.0%}", f"{moved / machine.bytes:.0%}")
        rows.add_row(duration(p.seconds), f"{p.seconds / total:.1%}", f"{flops / 1e9:.1f}", shares[0], f"{moved / 1e9:.1f}", shares[1], p.call.form,
                     ", ".join(p.call.origin) or quantity(p.flops, "FLOP"))
    flops = sum(max(p.flops, 0) for p in profiles) / total
    rows.add_row(duration(total), "", f"{flops / 1e9:.1f}", "" if machine is None else f"{flops / machine.flops:.0%}", "", "", "", "the whole run", style="bold")
    return rows
