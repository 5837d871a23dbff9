"""dlcompile beside the engines that people would use instead, in turns in one process.

    python benchmarks/compare.py models/ --threads 2 --threads 1 --markdown table.md
    python benchmarks/compare.py model.onnx --engine onnxruntime --engine my_engines.py:fast

ONNX Runtime, OpenVINO (in float32) and torch.compile (by way of onnx2torch) take part where they are installed. Another engine is a function in a file
of yours, given (path of the model, arrays by input name, threads) and returning a function without arguments that runs it.

Every engine is loaded first, then rounds follow: in each round every engine runs for about the same time, and what a round says is the
median of its calls. Reported is the median over the rounds, so that a burst of other work on the machine touches all engines alike. Ratios
are taken round by round, and their median is reported.
"""
from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import dlcompile as dlc
from dlcompile.cli.values import index_limits, make_inputs

Call = Callable[[], object]


@dataclass
class Engine:
    """One way to run a model. `rounds`: the median seconds of a call, of each round."""

    name: str
    call: Call
    load_seconds: float
    rounds: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return float(np.median(self.rounds))


# -- engines ----------------------------------------------------------------------------------------------------------------
def dlcompile_engine(path: Path, arrays: dict[str, np.ndarray], threads: int, **options) -> Call:
    model = dlc.compile(path, threads=threads, **options)
    values = tuple(arrays[p.name] for p in model.inputs)
    return lambda: model(*values)


def onnxruntime_engine(path: Path, arrays: dict[str, np.ndarray], threads: int) -> Call:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, arrays)


def openvino_engine(path: Path, arrays: dict[str, np.ndarray], threads: int) -> Call:
    import openvino

    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()
    names = [port.any_name for port in model.inputs]
    values = {name: arrays[name] for name in names}
    return lambda: request.infer(values)


def torch_engine(path: Path, arrays: dict[str, np.ndarray], threads: int) -> Call:
    import onnx2torch
    import torch

    torch.set_num_threads(threads)
    model = torch.compile(onnx2torch.convert(str(path)).eval())
    values = [torch.from_numpy(a) for a in arrays.values()]

    def call():
        with torch.inference_mode():
            return model(*values)

    return call


ENGINES: dict[str, tuple[Callable[..., Call], tuple[str, ...]]] = {
    "onnxruntime": (onnxruntime_engine, ("onnxruntime",)),
    "openvino": (openvino_engine, ("openvino",)),
    "torch.compile": (torch_engine, ("torch", "onnx2torch")),
}
"""name → how to load it, and the packages that have to be installed"""


def engine_named(name: str) -> Callable[..., Call]:
    """The loader of an engine: one of `ENGINES`, or FILE.py:FUNCTION."""
    if name in ENGINES:
        return ENGINES[name][0]
    file, colon, function = name.rpartition(":")
    if not colon or not Path(file).is_file():
        raise click.BadParameter(f"{name!r} is none of {', '.join(ENGINES)}, and no FILE.py:FUNCTION", param_hint="--engine")
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


def installed_engines() -> list[str]:
    return [name for name, (_, packages) in ENGINES.items() if all(importlib.util.find_spec(p) for p in packages)]


# -- measuring --------------------------------------------------------------------------------------------------------------
def measure(engines: list[Engine], rounds: int, seconds: float) -> None:
    """Run the engines in turns, so many rounds, each engine for about `seconds` a round; the order turns round from one to the next."""
    for engine in engines:
        warm_until = time.perf_counter() + seconds
        engine.call()
        while time.perf_counter() < warm_until:
            engine.call()
    for turn in range(rounds):
        for engine in engines if turn % 2 == 0 else reversed(engines):
            engine.call()  # its weights and code come back to the caches
            times: list[float] = []
            end = time.perf_counter() + seconds
            while len(times) < 3 or time.perf_counter() < end:
                start = time.perf_counter()
                engine.call()
                times.append(time.perf_counter() - start)
            engine.rounds.append(float(np.median(times)))


def compare(path: Path, threads: int, names: list[str], rounds: int, seconds: float, dims: dict[str, int], options: dict) -> dict:
    """One model at one number of threads: what `report` prints. An engine that cannot load or run the model takes no part."""
    graph = dlc.import_onnx(path)
    model = dlc.compile(path, threads=threads, **options)
    arrays = make_inputs(model.inputs, model.symbols, (), dims, 0, index_limits(graph))
    engines, failures = [], {}
    for name in names:
        start = time.perf_counter()
        try:
            call = dlcompile_engine(path, arrays, threads, **options) if name == "dlcompile" else engine_named(name)(path, arrays, threads)
            call()
        except Exception as error:  # whatever another engine may raise
            if name == "dlcompile":
                raise
            failures[name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            print(f"{path.stem}: {name} takes no part: {failures[name]}", file=sys.stderr)
            continue
        engines.append(Engine(name, call, time.perf_counter() - start))
    measure(engines, rounds, seconds)
    ours, *others = engines
    result = {"model": path.stem, "input": "×".join(map(str, next(iter(arrays.values())).shape)), "threads": threads, "rounds": rounds, "engines": {},
              "failures": failures}
    for engine in engines:
        ratios = [b / a for a, b in zip(ours.rounds, engine.rounds)]
        result["engines"][engine.name] = {"median_ms": engine.median * 1e3, "least_ms": min(engine.rounds) * 1e3,
                                          "load_ms": engine.load_seconds * 1e3, "over_ours": float(np.median(ratios))}
    if others:
        result["best_over_ours"] = float(np.median([min(times) / a for a, *times in zip(ours.rounds, *(e.rounds for e in others))]))
    by_name = {engine.name: engine for engine in engines}
    if "onnxruntime" in by_name:
        result["max_error"] = worst_error(ours.call(), by_name["onnxruntime"].call())
    return result


def worst_error(ours, theirs) -> float:
    """The greatest of max|y − reference| / max|reference| over the outputs."""
    ours = ours if isinstance(ours, tuple) else (ours,)
    worst = 0.0
    for y, reference in zip(ours, theirs):
        y, reference = np.asarray(y, np.float64), np.asarray(reference, np.float64)
        if reference.size:
            worst = max(worst, float(np.abs(y - reference).max() / max(np.abs(reference).max(), 1e-30)))
    return worst


# -- reporting --------------------------------------------------------------------------------------------------------------
def header(names: list[str]) -> list[str]:
    return ["model", "first input", "threads", *(f"{n} ms" for n in names), "best other / ours", "error"]


def rows_of(results: list[dict], names: list[str]) -> Iterator[list[str]]:
    """A row for each model and number of threads, and one for each number of threads that sums up."""
    for r in results:
        times = (f"{r['engines'][n]['median_ms']:.3g}" if n in r["engines"] else "-" for n in names)
        yield [r["model"], r["input"], str(r["threads"]), *times, f"{r['best_over_ours']:.2f}" if "best_over_ours" in r else "",
               f"{r['max_error']:.1e}" if "max_error" in r else ""]
    for threads in dict.fromkeys(r["threads"] for r in results):
        ratios = [r["best_over_ours"] for r in results if r["threads"] == threads and "best_over_ours" in r]
        if len(ratios) > 1:
            mean, worst = float(np.exp(np.mean(np.log(ratios)))), min(ratios)
            yield ["geometric mean", "", str(threads), *[""] * len(names), f"{mean:.2f} (least {worst:.2f})", ""]


def report(console: Console, results: list[dict], names: list[str]) -> None:
    table = Table(header_style="bold", show_edge=False, pad_edge=False)
    for index, column in enumerate(header(names)):
        table.add_column(column, justify="left" if index == 0 else "right")
    for row in rows_of(results, names):
        table.add_row(*row)
    console.print(table)


def markdown(results: list[dict], names: list[str]) -> str:
    """The table for a README."""
    lines = [header(names), ["---", *["---:"] * (len(header(names)) - 1)], *rows_of(results, names)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def model_files(paths: tuple[Path, ...]) -> list[Path]:
    """The .onnx files that the paths name, those of directories in alphabetical order."""
    return [file for path in paths for file in ([path] if path.is_file() else sorted(path.glob("*.onnx")))]


@click.command(context_settings={"show_default": True})
@click.argument("models", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--threads", multiple=True, type=click.IntRange(1), default=(2, 1), help="Threads of every engine. Repeatable.")
@click.option("--rounds", type=click.IntRange(1), default=9, help="Rounds; each engine runs once in each.")
@click.option("--seconds", type=click.FloatRange(0), default=0.3, help="How long an engine runs in a round (three calls at least).")
@click.option("--engine", "names", multiple=True, metavar="NAME|FILE.py:FUNCTION",
              help=f"Whom to compare with: {', '.join(ENGINES)}, or one of yours; all that are installed by default. Repeatable.")
@click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="The size of a symbolic dimension. Repeatable.")
@click.option("--target", default="native", help="dlcompile's target.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write everything measured here.")
@click.option("--markdown", "markdown_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here.")
def main(models, threads, rounds, seconds, names, dims, target, json_path, markdown_path) -> None:
    """Time MODELS (.onnx files or directories of them) with dlcompile and with the other engines that are installed, in turns."""
    chosen = ["dlcompile", *(names or installed_engines())]
    for name in chosen[1:]:
        engine_named(name)
    console = Console(highlight=False)
    console = console if console.is_terminal else Console(highlight=False, width=140)
    sizes = {k: int(v) for k, v in (d.split("=") for d in dims)}
    results: list[dict] = []
    for path in model_files(models):
        for count in threads:
            try:
                symbols = {s.name for s in dlc.import_onnx(path).symbols}
                own = {k: v for k, v in sizes.items() if k in symbols}
                results.append(compare(path, count, chosen, rounds, seconds, own, {"target": target}))
                print("  ".join(next(rows_of(results[-1:], chosen))), file=sys.stderr, flush=True)
            except dlc.Error as error:
                print(f"{path}: {error}", file=sys.stderr)
                break
    report(console, results, chosen)
    if json_path:
        json_path.write_text(json.dumps({"cpu": cpu_name(), "processors": os.cpu_count(), "results": results}, indent=2))
    if markdown_path:
        markdown_path.write_text(markdown(results, chosen))


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return "unknown"


if __name__ == "__main__":
    main()
