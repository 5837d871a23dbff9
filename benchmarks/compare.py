"""dlcompile beside ONNX Runtime (and OpenVINO, PyTorch where installed), in turns in one process.

    python benchmarks/compare.py models/ --threads 2 --threads 1 --markdown table.md

Every engine is loaded first, then rounds follow: in each round every engine runs for about the same time, and what a round says is the
median of its calls. Reported are the median and the least over the rounds, so that a burst of other work on the machine touches all
engines alike and moves neither. Ratios are taken round by round, and their median is reported.
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
def dlcompile_engine(path: Path, arrays: dict[str, np.ndarray], threads: int, options: dict) -> Call:
    model = dlc.compile(path, threads=threads, **options)
    values = tuple(arrays[p.name] for p in model.inputs)
    return lambda: model(*values)


def onnxruntime_engine(path: Path, arrays: dict[str, np.ndarray], threads: int, options: dict) -> Call:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, arrays)


def openvino_engine(path: Path, arrays: dict[str, np.ndarray], threads: int, options: dict) -> Call:
    import openvino

    core = openvino.Core()
    model = core.compile_model(core.read_model(path), "CPU", {
        "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"})
    request = model.create_infer_request()
    values = list(arrays.values())
    return lambda: request.infer(values)


ENGINES = {"dlcompile": dlcompile_engine, "onnxruntime": onnxruntime_engine, "openvino": openvino_engine}


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
    """One model at one number of threads: what `report` prints."""
    graph = dlc.import_onnx(path)
    model = dlc.compile(path, threads=threads, **options)
    arrays = make_inputs(model.inputs, model.symbols, (), dims, 0, index_limits(graph))
    engines = []
    for name in names:
        start = time.perf_counter()
        engines.append(Engine(name, ENGINES[name](path, arrays, threads, options), time.perf_counter() - start))
    measure(engines, rounds, seconds)
    ours = engines[0]
    result = {"model": path.stem, "threads": threads, "rounds": rounds, "engines": {}}
    for engine in engines:
        ratios = [a / b for a, b in zip(ours.rounds, engine.rounds)]
        result["engines"][engine.name] = {"median_ms": engine.median * 1e3, "least_ms": min(engine.rounds) * 1e3,
                                          "load_ms": engine.load_seconds * 1e3, "ours_over_it": float(np.median(ratios))}
    reference = "onnxruntime" if "onnxruntime" in names else None
    if reference:
        result["max_error"] = worst_error(engines[0].call(), engines[names.index(reference)].call())
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
def rows_of(results: list[dict], names: list[str]) -> Iterator[list[str]]:
    """A row for each model and number of threads."""
    for r in results:
        cells = [r["model"], str(r["threads"]), *(f"{r['engines'][n]['median_ms']:.3g}" for n in names)]
        cells += [f"{r['engines'][n]['ours_over_it']:.2f}" for n in names[1:]]
        yield [*cells, f"{r['max_error']:.1e}" if "max_error" in r else ""]


def header(names: list[str]) -> list[str]:
    return ["model", "threads", *(f"{n} ms" for n in names), *(f"ours / {n}" for n in names[1:]), "error"]


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
@click.option("--engine", "names", multiple=True, type=click.Choice(list(ENGINES)[1:]), help="Whom to compare with; all installed by default.")
@click.option("--dim", "dims", multiple=True, metavar="NAME=N", help="The size of a symbolic dimension. Repeatable.")
@click.option("--target", default="native", help="dlcompile's target.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write everything measured here.")
@click.option("--markdown", "markdown_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the table here.")
def main(models, threads, rounds, seconds, names, dims, target, json_path, markdown_path) -> None:
    """Time MODELS (.onnx files or directories of them) with dlcompile and with the other engines that are installed, in turns."""
    chosen = ["dlcompile", *(names or [n for n in list(ENGINES)[1:] if importlib.util.find_spec(n)])]
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
