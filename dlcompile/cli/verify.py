"""`dlcompile verify`: does the compiled model compute what the model says?"""
from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np
from rich.text import Text

from dlcompile.cli.compile import code_options
from dlcompile.cli.console import compile_progress, errors, output, table
from dlcompile.cli.layers import Departure, first_departures
from dlcompile.cli.values import dims_option, fitted, index_limits, inputs_option, make_inputs, read_tensor_file, refuse_structured
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph
from dlcompile.runtime import CompiledModel

RTOL, RTOL_16 = 1e-4, 5e-3
"""relative to the largest magnitude of the expected output; the second where the model computes in 16-bit floats"""


@click.command("verify", short_help="Compare the compiled model with NumPy and ONNX Runtime.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@inputs_option
@click.option("--test-data", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR",
              help="A directory with input_0.pb, output_0.pb, ..., or with directories test_data_set_0, ... that have them: "
                   "the model must give these outputs.")
@dims_option("The size of a symbolic dimension, for random inputs. Repeatable.")
@code_options
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads of the compiled model's runs.")
@click.option("--reference", type=click.Choice(["numpy", "onnxruntime", "both"]), default="both", show_default=True,
              help="What to compare with: the NumPy interpreter, ONNX Runtime (where it is installed), or both.")
@click.option("--rtol", type=click.FloatRange(0), help=f"Largest error, relative to the largest magnitude of an output. By default {RTOL:g}; "
              f"{RTOL_16:g} for models that compute in 16-bit floats.")
@click.option("--atol", type=click.FloatRange(0), default=1e-7, show_default=True, help="Largest error beside that.")
@click.option("--layers", is_flag=True, help="Compare every intermediate value too, and name the first node that departs.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs.")
def command(model: Path, inputs: tuple[str, ...], test_data: Path | None, dims: dict[str, int], name: str | None, target: str,
            precision: str, threads: int | None, reference: str, rtol: float | None, atol: float, layers: bool, seed: int) -> None:
    """Compile MODEL, run it, and compare its outputs with references. Exit status 1 where they disagree.

    Random inputs are standard normal floats, and integers that the model can take (below the size of the table they index).

    \b
    Examples:
      dlcompile verify resnet50.onnx
      dlcompile verify minilm.onnx --dim batch=3 --dim sequence=128
      dlcompile verify model.onnx --input image=cat.npy --reference onnxruntime
      dlcompile verify mnist/model.onnx --test-data mnist/
      dlcompile verify broken.onnx --layers
    """
    import dlcompile

    graph = dlcompile.import_onnx(model)
    options = {"name": name, "target": target, "precision": precision}
    with compile_progress(model.name) as progress:
        compiled = dlcompile.compile(model, threads=threads, progress=progress, **options)
    refuse_structured(compiled)
    tolerance = Tolerance(rtol if rtol is not None else RTOL_16 if _has_16_bit(graph) else RTOL, atol)
    references = _references(model, graph, reference)
    failed = False
    for label, arrays, expected in _cases(compiled, graph, inputs, test_data, dims, seed):
        failed |= not _compare(label, compiled, arrays, expected, references, tolerance)
        if layers:
            failed |= not _compare_layers(graph, compiled, arrays, options, tolerance)
    if failed:
        raise SystemExit(1)


class Tolerance:
    """|y − expected| ≤ atol + rtol · max|expected|; integers exactly; NaN and infinity where the reference has them."""

    def __init__(self, rtol: float, atol: float):
        self.rtol, self.atol = rtol, atol

    def measure(self, actual: np.ndarray, expected: np.ndarray) -> tuple[float, float, bool]:
        """(largest error, the same relative to max|expected|, whether it is within the tolerance)."""
        if actual.shape != expected.shape or actual.dtype != expected.dtype:
            return float("inf"), float("inf"), False
        if actual.dtype.kind in "biu":
            error = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max(initial=0)
            return float(error), float(error / max(np.abs(expected.astype(np.float64)).max(initial=0), 1)), not error
        a, e = actual.astype(np.float64), expected.astype(np.float64)
        finite = np.isfinite(e)
        same = np.array_equal(np.isfinite(a), finite) and np.array_equal(a[~finite], e[~finite], equal_nan=True)
        if not same:
            return float("inf"), float("inf"), False
        error = float(np.abs(a[finite] - e[finite]).max(initial=0))
        scale = float(np.abs(e[finite]).max(initial=0))
        return error, error / scale if scale else error, error <= self.atol + self.rtol * scale


# -- references -------------------------------------------------------------------------------------------------------------
def _references(path: Path, graph: Graph, which: str) -> dict:
    """name → function from inputs by name to outputs by name."""
    found = {}
    if which in ("numpy", "both"):
        from dlcompile.operators import evaluate

        found["numpy"] = lambda arrays: dict(zip(graph.output_names, evaluate(graph, arrays)))
    if which in ("onnxruntime", "both"):
        if importlib.util.find_spec("onnxruntime") is not None:
            found["onnxruntime"] = _onnxruntime(path)
        elif which == "onnxruntime":
            raise ArgumentError("onnxruntime is not installed (pip install onnxruntime); --reference numpy does without it")
    return found


def _onnxruntime(path: Path):
    def run(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
            names = [o.name for o in session.get_outputs()]
            return dict(zip(names, session.run(names, dict(arrays))))
        except Exception as error:  # its exceptions have no common base but Exception
            errors().print(f"onnxruntime cannot run {path}: {error}", markup=False, soft_wrap=True)
            return {}

    return run


def _has_16_bit(graph: Graph) -> bool:
    return any(t.dtype.name in ("float16", "bfloat16") for n in graph.nodes for t in n.outputs)


# -- inputs -----------------------------------------------------------------------------------------------------------------
def _cases(compiled: CompiledModel, graph: Graph, inputs: Sequence[str], test_data: Path | None, dims: Mapping[str, int], seed: int):
    """(label, inputs by name, expected outputs by name) for each run."""
    if test_data is None:
        arrays = make_inputs(compiled.inputs, compiled.symbols, inputs, dims, seed, index_limits(graph))
        yield "", arrays, {}
        return
    sets = sorted(p for p in test_data.glob("test_data_set_*") if p.is_dir()) or [test_data]
    for directory in sets:
        arrays = _read_set(directory, "input", compiled.inputs)
        missing = [p.name for p in compiled.inputs if p.name not in arrays]
        if missing:
            raise ArgumentError(f"{directory}: there is no input_N.pb for {', '.join(missing)}")
        yield directory.name, {n: arrays[n] for n in graph.input_names}, _read_set(directory, "output", compiled.outputs)


def _read_set(directory: Path, kind: str, ports) -> dict[str, np.ndarray]:
    found = {}
    for index, port in enumerate(ports):
        path = directory / f"{kind}_{index}.pb"
        if path.exists():
            try:
                found[port.name] = fitted(read_tensor_file(path), port)
            except (OSError, ValueError) as error:
                raise ArgumentError(f"{path}: {error}") from None
    return found


# -- comparison -------------------------------------------------------------------------------------------------------------
def _compare(label: str, compiled: CompiledModel, arrays, expected, references, tolerance: Tolerance) -> bool:
    actual = compiled.run(arrays)
    rows = table(f"{compiled.name} {label}".strip(), "output", "type", "reference", "max error", "relative", "", right=("max error", "relative"))
    agree = True
    for name, reference in [("expected", expected), *((n, r(arrays)) for n, r in references.items())]:
        for port in compiled.outputs:
            if port.name not in reference:
                continue
            error, relative, within = tolerance.measure(actual[port.name], np.asarray(reference[port.name]))
            agree &= within
            rows.add_row(port.name, f"{actual[port.name].dtype}{list(actual[port.name].shape)}", name, f"{error:.3g}", f"{relative:.3g}",
                         verdict(within))
    output().print(rows)
    return agree


def verdict(within: bool) -> Text:
    return Text("agrees", style="green") if within else Text("DISAGREES", style="bold red")


def _compare_layers(graph: Graph, compiled: CompiledModel, arrays, options, tolerance: Tolerance) -> bool:
    with compile_progress(f"{compiled.name} with every value as an output") as progress:
        departures, count = first_departures(graph, arrays, options, tolerance.measure, progress)
    console = output()
    if not departures:
        console.print(f"all {count} intermediate values agree with the NumPy interpreter")
        return True
    rows = table(f"of {count} intermediate values these depart from the NumPy interpreter, the first first", "node", "operator", "type",
                 "max error", "relative", right=("max error", "relative"))
    for departure in departures[:10]:
        _add_departure(rows, departure)
    console.print(rows)
    console.print(f"the first node that departs: {departures[0].node}", markup=False, soft_wrap=True)
    return False


def _add_departure(rows, departure: Departure) -> None:
    rows.add_row(departure.node, departure.operator, departure.type, f"{departure.error:.3g}", f"{departure.relative:.3g}")
