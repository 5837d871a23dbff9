"""`dlcompile doctor`: whether this machine has what compiling needs."""
from __future__ import annotations

import importlib.util
import os
import platform
from importlib import metadata

import click

from dlcompile.cli.console import output, table
from dlcompile.version import VERSION


@click.command("doctor", short_help="Show compilers, targets, the cache, and whether they work.")
def command() -> None:
    """Show what dlcompile finds on this machine: compiler, CPU, cache, optional packages. Compiles a small model to be sure.

    Exit status 1 where compiling does not work.
    """
    import numpy as np

    import dlcompile
    from dlcompile import ops
    from dlcompile.graph import make_input
    from dlcompile.kernels.target import TARGETS, resolve_target, runs_here
    from dlcompile.toolchain import find_compiler
    from dlcompile.toolchain.cache import user_cache

    rows = table(f"dlcompile {VERSION}, Python {platform.python_version()}")
    runnable = [t.name for t in TARGETS.values() if runs_here(t)]
    rows.add_row("targets", f"{', '.join(runnable)} run here; native is {resolve_target('native').name}")
    rows.add_row("processors", str(len(os.sched_getaffinity(0))))
    fast = importlib.util.find_spec("dlcompile.runtime._call") is not None
    rows.add_row("call path", "Cython" if fast else "Python (no python3-dev when dlcompile was installed)")
    cache = user_cache()
    directory = next(p for p in (cache.directory, *cache.directory.parents) if p.exists())
    writable = os.access(directory, os.W_OK)
    rows.add_row("cache", f"{cache.directory}{'' if writable else ' (not writable: nothing is kept)'}")
    for package in ("numpy", "onnx", "onnxruntime"):
        rows.add_row(package, _version(package) or "not installed")
    rows.add_row("compiler", find_compiler().identity.replace("\n", " ").strip()[:100])
    console = output()
    console.print(rows)
    x = make_input("x", "float32", (3,))
    model = dlcompile.compile(dlcompile.Graph("doctor", [x], [ops.add(x, np.float32(1))], output_names=["y"]), cache=False)
    if not np.array_equal(model(np.zeros(3, np.float32)), np.ones(3, np.float32)):
        raise dlcompile.ToolchainError("a compiled model gives wrong answers")
    console.print("a small model compiles, loads and runs")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
