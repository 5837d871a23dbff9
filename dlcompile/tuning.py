"""Tuning: how products and convolutions of a model are computed, as measured on this machine rather than estimated.

The model is compiled as often as there are ways worth trying (see `kernels.choices`): first with the best estimate for every product, then with
the second best for every product, and so on. Profiles of these tell for each product which way took the least time where it stands, with the
caches as its neighbours leave them. The model with the best of each is then run in turns with the one that the estimates make.
"""
from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from dlcompile.codegen import Project
from dlcompile.errors import ArgumentError
from dlcompile.kernels.program import Program
from dlcompile.runtime import CompiledModel, load
from dlcompile.toolchain.build import Progress, build

WAYS = 5  # that are tried at most
SECONDS = 1.0  # of profiling each
ROUNDS = 9  # of the comparison at the end
LEAST_GAIN = 0.01  # of a product's time: less is noise

Make = Callable[[Mapping[int, int]], tuple[Program, Project]]
"""what compiles the model for some choices (see `kernels.choices.Choices`), up to the C project"""


def tuned(make: Make, threads: int | None, progress: Progress | None) -> tuple[dict[int, int], str]:
    """The best choices, {} where the estimates are as good, and a sentence that tells what was gained.

    ArgumentError for a model that cannot be run on numbers of our own: with symbolic dimensions, or inputs that are not numbers.
    """
    report = progress or (lambda what, done, total: None)
    with tempfile.TemporaryDirectory(prefix="dlcompile-tune-") as folder:
        def built(ranks: Mapping[int, int], name: str) -> tuple[Program, CompiledModel]:
            program, project = make(ranks)
            return program, load(build(project, Path(folder, name, f"{project.name}.so")), threads=threads)

        program, model = built({}, "estimated")
        arrays = inputs_of(model)
        products = sorted({call.product for call in program.calls if call.product is not None})
        times = {0: _times(program, model, arrays)}
        for rank in range(1, WAYS):
            report(f"measured {rank} of {WAYS} ways", rank, WAYS)
            times[rank] = _times(*built(dict.fromkeys(products, rank), f"way{rank}"), arrays)
        ranks = {}
        for product in products:
            best = min(times, key=lambda rank: times[rank].get(product, np.inf))
            if times[best].get(product, np.inf) < times[0].get(product, 0) * (1 - LEAST_GAIN):
                ranks[product] = best
        if not ranks:
            return {}, f"tuning changed nothing: of {len(products)} products none is faster in another way"
        before, after = _in_turns(model, built(ranks, "tuned")[1], arrays)
    what = f"a run takes {after * 1e3:.3g} ms, {before * 1e3:.3g} ms as estimated"
    if after >= before:
        return {}, f"tuning gained nothing and changed nothing: {what.replace('takes', 'would take')}"
    return ranks, f"tuning changed {len(ranks)} of {len(products)} products: {what}"


def inputs_of(model: CompiledModel) -> list[np.ndarray]:
    """Numbers to run a model on."""
    if "interface" in model.info.metadata:
        raise ArgumentError(f"{model.name}: tune=True runs the model on numbers, and some inputs or outputs are sequences, maps or optional values")
    if model.symbols:
        raise ArgumentError(f"{model.name}: tune=True measures runs, for which sizes have to be known: give {', '.join(model.symbols)} in dims")
    generator, made = np.random.default_rng(0), []
    for port in model.inputs:
        if port.dtype.kind not in "fiub":
            raise ArgumentError(f"{model.name}: tune=True runs the model on numbers, and the input {port.name!r} is {port.dtype}")
        shape = tuple(port.shape)
        made.append((generator.standard_normal(shape) if port.dtype.kind == "f" else np.zeros(shape)).astype(port.dtype))
    return made


def _times(program: Program, model: CompiledModel, arrays: list[np.ndarray]) -> dict[int, float]:
    """Seconds of each product, the least of several profiles."""
    for _ in range(2):
        model(*arrays)
    found: dict[int, float] = {}
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end or not found:
        once: dict[int, float] = {}
        for call, profile in zip(program.calls, model.profile(*arrays)):
            if call.product is not None:
                once[call.product] = once.get(call.product, 0.0) + profile.seconds
        found = {product: min(seconds, found.get(product, seconds)) for product, seconds in once.items()}
    return found


def _in_turns(a: CompiledModel, b: CompiledModel, arrays: list[np.ndarray]) -> tuple[float, float]:
    """The median seconds of a call of either, in turns."""
    rounds: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for model, seconds in zip((a, b), rounds):
            model(*arrays)
            start, calls = time.perf_counter(), 0
            while calls < 3 or time.perf_counter() < start + SECONDS / 10:
                model(*arrays)
                calls += 1
            seconds.append((time.perf_counter() - start) / calls)
    return float(np.median(rounds[0])), float(np.median(rounds[1]))
