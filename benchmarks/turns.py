"""Whether two models in one process leave each other alone: the time of each when they are called in turns, beside its time by itself.

    python benchmarks/turns.py models/resnet18.onnx models/lstm.onnx --threads 2

What the other model leaves in the caches is no fault of its threads, so a model by itself is not called at once again: first as many bytes
are read as the other one has weights and working memory. What is left of a difference is threads that go on running when they should rest.
"""
from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

import dlcompile as dlc
from dlcompile.cli.values import index_limits, make_inputs


def loaded(path: Path, threads: int):
    """(a call without arguments, the bytes it goes through)"""
    model = dlc.compile(path, threads=threads)
    arrays = make_inputs(model.inputs, model.symbols, (), {}, 0, index_limits(dlc.import_onnx(path)))
    values = tuple(arrays[p.name] for p in model.inputs)
    return (lambda: model(*values)), model.info.weights_bytes + (model.arena_bytes(threads, **model.bind(*values)) or 0)


def timed(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure(calls, sizes, rounds: int) -> np.ndarray:
    """Seconds [round, model, by itself or in turns]."""
    others = [np.ones(max(size // 8, 1)) for size in reversed(sizes)]
    times = np.zeros((rounds, 2, 2))
    for turn in range(-1, rounds):
        found = np.zeros((2, 2))
        for which, call in enumerate(calls):
            alone = []
            for _ in range(5):
                others[which].sum()
                alone.append(timed(call))
            found[which, 0] = np.median(alone)
        mixed = np.array([[timed(call) for call in calls] for _ in range(6)])
        found[:, 1] = np.median(mixed[1:], axis=0)
        if turn >= 0:
            times[turn] = found
    return times


@click.command(context_settings={"show_default": True})
@click.argument("models", nargs=2, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--threads", default=2, help="Threads of each model.")
@click.option("--rounds", default=21, help="Rounds; in each both models run by themselves and in turns.")
def main(models, threads: int, rounds: int) -> None:
    """Call the two MODELS in turns."""
    calls, sizes = zip(*(loaded(path, threads) for path in models))
    times = measure(calls, sizes, rounds)
    table = Table("model", "by itself ms", "in turns ms", "in turns / by itself", header_style="bold", show_edge=False)
    for which, path in enumerate(models):
        alone, mixed = np.median(times[:, which], axis=0) * 1e3
        table.add_row(path.stem, f"{alone:.3g}", f"{mixed:.3g}", f"{np.median(times[:, which, 1] / times[:, which, 0]):.3f}")
    Console(highlight=False, width=None if sys.stdout.isatty() else 100).print(table)


if __name__ == "__main__":
    main()
