"""`dlcompile inspect`: what a model is made of, and what it becomes."""
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcompile.cli.compile import code_options
from dlcompile.cli.console import output, quantity, table
from dlcompile.cli.run import is_library
from dlcompile.cli.values import BATCH, LENGTH, default_size, dims_option

if TYPE_CHECKING:
    from dlcompile.kernels.program import Program


@click.command("inspect", short_help="Show inputs, outputs, operators, sizes, and what was fused into what.")
@click.argument("model", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@code_options
@dims_option(f"The size of a symbolic dimension that sizes and costs are given for; by default {BATCH} for a batch, {LENGTH} for others.")
@click.option("--pin", is_flag=True, help="Take the dimensions that --dim names as constants, as `compile --dim` does.")
@click.option("--kernels/--no-kernels", default=True, show_default=True, help="List the kernels and the nodes fused into each.")
@click.option("--graph", "show_graph", is_flag=True, help="Print the graph as it is read, and as it is after the transforms.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def command(model: Path, name: str | None, target: str, precision: str, dims: dict[str, int], pin: bool, kernels: bool, show_graph: bool,
            as_json: bool) -> None:
    """Show what MODEL, an ONNX file or a compiled library, consists of.

    For an ONNX file everything up to the C text happens, but nothing is compiled.

    \b
    Examples:
      dlcompile inspect resnet50.onnx
      dlcompile inspect minilm.onnx --dim batch=8 --dim sequence=128
      dlcompile inspect model.onnx --graph --no-kernels
      dlcompile inspect resnet50.so --json
    """
    if model.suffix != ".onnx" and is_library(model):
        facts, texts = library_facts(model, dims), ()
    else:
        facts, texts = model_facts(model, name, target, precision, dims, pin)
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    if show_graph:
        for text in texts:
            click.echo(text + "\n")
    _print(facts, kernels)


# -- facts ------------------------------------------------------------------------------------------------------------------
def model_facts(path: Path, name: str | None, target: str, precision: str, dims: Mapping[str, int], pin: bool) -> tuple[dict, tuple[str, str]]:
    """What can be said of an ONNX file without compiling it, and the text of its graph before and after the transforms."""
    import dlcompile
    from dlcompile.graph import evaluate

    fixed = dims if pin else None
    graph = dlcompile.import_onnx(path, dims=fixed)
    optimized, program, project = dlcompile.lower(path, name=name, target=target, precision=precision, dims=fixed)
    sizes = _sizes(program.symbols, {} if pin else dims)

    def amount(work) -> int:
        """-1 for what only a run knows, as the library says too."""
        return evaluate(work, sizes) if program.stage_of(work) == 0 else -1

    facts = {
        "file": str(path), "name": project.name, "target": project.target.name, "symbols": sizes,
        "inputs": [_port(p.name, p.type) for p in program.inputs],
        "outputs": [_port(p.name, p.type) for p in program.outputs],
        "operators": dict(Counter(n.op for n in graph.nodes).most_common()),
        "nodes": len(graph.nodes), "optimized_nodes": len(optimized.nodes),
        "parameters": sum(t.value.size for t in graph.constants if t.dtype.kind in "fV" or t.value.size > 64),
        "weights_bytes": program.constant_bytes,
        "arena_bytes": _arena_bytes(program, sizes),
        "kernels": len({c.kernel.name for c in program.calls}),
        "calls": [{"form": c.form, "origin": list(c.origin), "operators": list(c.operators), "flops": amount(c.flops),
                   "bytes": amount(c.bytes), "parallel": c.parallel} for c in program.calls],
    }
    return facts, (str(graph), str(optimized))


def library_facts(path: Path, dims: Mapping[str, int]) -> dict[str, Any]:
    """What a library says about itself."""
    from dlcompile.runtime import load

    compiled = load(path)
    info = compiled.info
    sizes = _sizes(info.symbols, dims)
    flops, nbytes = compiled.library.costs(sizes)
    return {
        "file": str(path), "name": info.name, "target": info.target, "compiler": info.compiler, "version": info.version,
        "features": list(info.features), "metadata": dict(info.metadata), "symbols": sizes,
        "inputs": [_port(p.name, p) for p in info.inputs], "outputs": [_port(p.name, p) for p in info.outputs],
        "weights_bytes": info.weights_bytes, "arena_bytes": compiled.arena_bytes(**sizes), "kernels": len({c.kernel for c in info.calls}),
        "calls": [{"form": c.form, "origin": list(c.origin), "operators": list(c.operators), "flops": f, "bytes": b, "parallel": c.parallel}
                  for c, f, b in zip(info.calls, flops, nbytes)],
    }


def _sizes(symbols: Sequence[str], dims: Mapping[str, int]) -> dict[str, int]:
    unknown = sorted(set(dims) - set(symbols))
    if unknown:
        raise click.UsageError(f"no dimension is called {', '.join(unknown)}; the symbolic ones are: {', '.join(symbols) or 'none'}")
    return {s: dims.get(s, default_size(s)) for s in symbols}


def _port(name: str, type_) -> dict[str, Any]:
    return {"name": name, "type": str(type_)}


def _arena_bytes(program: Program, sizes: Mapping[str, int]) -> int:
    """The buffers of a run, as the library will place them; each thread's scratch comes on top, and what has its size from data."""
    from dlcompile.graph import evaluate
    from dlcompile.kernels.memory import plan_arena

    known = [b for b in program.buffers if program.stage_of(b.nbytes) == 0]
    return plan_arena([evaluate(b.nbytes, sizes) for b in known], [(b.first, b.last) for b in known])[1]


# -- print ------------------------------------------------------------------------------------------------------------------
def _print(facts: Mapping[str, Any], kernels: bool) -> None:
    console = output()
    calls = facts["calls"]
    flops = sum(c["flops"] for c in calls if c["flops"] > 0)
    lines = [("name", f"{facts['name']} for {facts['target']}")]
    lines += [("input", f"{p['name']}: {p['type']}") for p in facts["inputs"]]
    lines += [("output", f"{p['name']}: {p['type']}") for p in facts["outputs"]]
    if facts["symbols"]:
        lines.append(("symbols", ", ".join(f"{k} (here {v})" for k, v in facts["symbols"].items())))
    if "parameters" in facts:
        lines.append(("parameters", f"{facts['parameters']:,}"))
    lines += [("weights", quantity(facts["weights_bytes"], "B", 1024)), ("work", quantity(flops, "FLOP")),
              ("arena", quantity(facts["arena_bytes"], "B", 1024))]
    if "operators" in facts:
        lines.append(("nodes", f"{facts['nodes']} as read, {facts['optimized_nodes']} optimised, in {len(calls)} calls of "
                      f"{facts['kernels']} kernels"))
        lines.append(("operators", ", ".join(f"{count} {op}" for op, count in facts["operators"].items())))
    else:
        lines += [("calls", f"{len(calls)} of {facts['kernels']} kernels"), ("compiler", facts["compiler"]),
                  ("dlcompile", facts["version"])]
    summary = table(facts["file"])
    for key, value in lines:
        summary.add_row(key, value)
    console.print(summary)
    if kernels:
        console.print()
        console.print(_kernel_table(calls))


def _kernel_table(calls: Sequence[Mapping[str, Any]]):
    rows = table("what was fused into what", "#", "form", "work", "memory", "nodes of the model", "operators", right=("#", "work", "memory"))
    for index, call in enumerate(calls):
        counts = Counter(call["operators"])
        operators = ", ".join(op if n == 1 else f"{n} {op}" for op, n in counts.items())
        rows.add_row(str(index), call["form"], quantity(call["flops"], "FLOP"), quantity(call["bytes"], "B", 1024),
                     ", ".join(call["origin"]), operators)
    return rows
