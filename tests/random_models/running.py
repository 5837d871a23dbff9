"""Random models compiled, many in one library, run and compared; and what disagrees cut down to the nodes that it takes."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
import onnx
from onnx import helper, numpy_helper

from dlcompile.compiler import import_model
from dlcompile.frontends.onnx import export_onnx
from dlcompile.operators import evaluate as evaluate_graph
from dlcompile.transforms import optimize
from tests.qemu import compile_for
from tests.random_models.builder import OPSETS, RandomModel, grow, read_by
from tests.random_models.entries import entries
from tests.random_models.reference import evaluate, evaluate_nodes
from tests.random_models.tolerance import disagreement

Run = Callable[[onnx.ModelProto, dict[str, np.ndarray]], dict[str, np.ndarray]]
"""computes a model's outputs by name"""
BATCH = 16  # models of neighbouring seeds have one opset, so that they can be one model


def seeded(seed: int, **options) -> RandomModel:
    """The model of a seed. Of the opsets the newest where the seed's does not have the `only` operators wanted."""
    opset, only = OPSETS[seed // BATCH % len(OPSETS)], options.get("only")
    if only and not any(e.op in only for e in entries(opset)):
        opset = OPSETS[-1]
    return grow(Random(seed), opset, f"g{seed}_", origin=f"seed {seed}", **options)


def proto(models: Sequence[RandomModel]) -> onnx.ModelProto:
    """The models side by side as one."""
    def info(name: str, dtype: np.dtype, dims: Sequence[int | str] | None) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), dims)

    opset, = {m.opset for m in models}
    graph = helper.make_graph(
        [node for m in models for node in m.nodes], "random",
        [info(name, array.dtype, m.dims[name]) for m in models for name, array in m.inputs.items()],
        [info(value.name, value.dtype, None) for m in models for value in m.outputs],
        [numpy_helper.from_array(array, name) for m in models for name, array in m.initializers.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 4), helper.make_opsetid("ai.onnx.preview.training", 1)], ir_version=10)


def interpreted(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Imported, optimised, and evaluated by NumPy: everything but the C."""
    graph = optimize(import_model(model))
    return dict(zip(graph.output_names, evaluate_graph(graph, [inputs[name] for name in graph.input_names])))


def exported(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Imported, exported, and what was written computed by the reference evaluator, node by node, so that `corrections` apply."""
    written = export_onnx(import_model(model))
    onnx.checker.check_model(written)
    opset = next(o.version for o in written.opset_import if o.domain in ("", "ai.onnx"))
    values: dict[str, object] = {**inputs, **{t.name: np.array(numpy_helper.to_array(t)) for t in written.graph.initializer}}
    for node in written.graph.node:
        read = {name: values[name] for name in read_by(node) if name in values}
        if len(read) > len(node.input) or any(a.type == onnx.AttributeProto.GRAPH for a in node.attribute):
            results = evaluate_nodes([node], read, opset)
        else:
            results = evaluate(node, [values[name] if name else None for name in node.input], opset)
        values.update(zip(node.output, results))
    return {output.name: values[output.name] for output in written.graph.output}


def exportable(model: RandomModel) -> RandomModel:
    """The model, with numbers for symbols where it has a Loop: what the evaluator collects in one is put right by its declared shape."""
    return static(model) if any(node.op_type == "Loop" for node in model.nodes) else model


def compiled(target: str = "native", threads: int | None = None) -> Run:
    """Compiled for a target, and run, by qemu where this machine cannot."""
    def run(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return compile_for(model, target, name="random_model", threads=threads, cache=False).run(inputs)
    return run


@dataclass(frozen=True)
class Finding:
    """A disagreement: in which model, at which value, what. A refusal or a crash has no value."""

    model: RandomModel
    value: str
    what: str

    @property
    def refused(self) -> bool:
        """Whether the compiler says that it has no kernel for something, or the model that an extent of its data (u0, …) is not
        what it was taken for: no answer is no wrong answer."""
        return self.what.startswith("UnsupportedOperatorError") or bool(re.search(r"\bu\d+ = \d+ .*must be equal|must be equal.*\bu\d+|and u\d+ = ", self.what))

    def __str__(self) -> str:
        return f"{self.model.origin} (opset {self.model.opset}), {self.value or 'as a whole'}: {self.what}"


def findings(models: Sequence[RandomModel], run: Run) -> list[Finding]:
    """All that is wrong with some models: run together, and where that fails, in halves until the failing one is found."""
    models = [m for m in models if m.outputs]
    if not models:
        return []
    try:
        results = run(proto(models), {name: array for m in models for name, array in m.inputs.items()})
    except Exception as error:
        if len(models) == 1:
            return [Finding(models[0], "", f"{type(error).__name__}: {str(error)[-600:]}")]
        middle = len(models) // 2
        return findings(models[:middle], run) + findings(models[middle:], run)
    return [Finding(m, value.name, what) for m in models for value in m.outputs if value.compared
            for what in [disagreement(np.asarray(results[value.name]), value.samples)] if what]


def screened(models: Sequence[RandomModel]) -> tuple[list[RandomModel], list[Finding]]:
    """The models that come out right without the C, and what is wrong with the others.

    A compiled model takes two dimensions as equal where it cannot see whether they are (a symbol broadcast to something, the last
    element of an axis that may be empty), and refuses to run where they differ; where they always differ but for a few sizes it refuses
    to compile. Where these inputs are such, the dimensions become numbers: what is left is a model that has to be right.
    """
    right, wrong = [], []
    for model in models:
        found = findings([model], interpreted)
        if found and (" must be " in found[0].what or " differ" in found[0].what):
            model = static(model)
            found = findings([model], interpreted)
        wrong += found
        right += [] if found else [model]
    return right, wrong


def static(model: RandomModel) -> RandomModel:
    """The model with numbers for symbols."""
    return replace(model, dims={name: array.shape for name, array in model.inputs.items()})


# -- cutting down -----------------------------------------------------------------------------------------------------------------
def part(model: RandomModel, outputs: Iterable[str], given: Iterable[str] = ()) -> RandomModel:
    """The model of some values, others given as inputs instead of computed."""
    given, wanted, nodes = set(given), set(outputs), []
    for node in reversed(model.nodes):
        if wanted & set(node.output) - given:
            nodes.insert(0, node)
            wanted |= read_by(node)
    made = {name for node in nodes for name in node.output}
    extra = {name: model.values[name].array for name in sorted((given & wanted) - made) if name in model.values}
    inputs = {name: array for name, array in model.inputs.items() if name in wanted} | extra
    dims = {name: model.dims.get(name, array.shape) for name, array in inputs.items()}
    return replace(model, nodes=nodes, inputs=inputs, dims=dims, outputs=[model.values[name] for name in outputs],
                   initializers={name: array for name, array in model.initializers.items() if name in wanted})


def reduced(finding: Finding, run: Run) -> Finding:
    """The same disagreement in fewer nodes: the first value that is wrong by itself, its ancestors given where they need not be computed."""
    def wrong(model: RandomModel) -> Finding | None:
        return next(iter(findings([model], run)), None)

    model = finding.model
    names = [name for node in model.nodes if node.op_type != "Constant" for name in node.output if name in model.values and model.values[name].compared]
    best = next((f for f in (wrong(part(model, [name])) for name in names) if f), None)
    if best is None:
        return finding
    output = best.model.outputs[0].name
    best = wrong(static(best.model)) or best
    given: set[str] = set()
    for node in reversed(best.model.nodes[:-1]):
        # samples of a given value are exact: what follows from it may be held to be off, never the reverse
        found = wrong(part(best.model, [output], given | set(node.output))) if set(node.output) <= set(best.model.values) else None
        if found:
            given |= set(node.output)
            best = found
    return best


def describe(model: RandomModel) -> str:
    """The model as text, with the shapes and, where they are few, the elements of what it is given."""
    lines = []
    for kind, table in (("input", model.inputs), ("constant", model.initializers)):
        for name, array in table.items():
            elements = f" = {array.tolist()}" if array.size <= 12 else ""
            lines.append(f"  {kind} {name} {array.dtype}{list(model.dims.get(name, array.shape))}{elements}")
    for node in model.nodes:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        shown = {k: _shown(a) for k, a in attributes.items()}
        values = ", ".join(f"{o} {model.values[o].dtype}{list(model.values[o].shape)}" for o in node.output if o in model.values)
        lines.append(f"  {values or ', '.join(node.output)} = {node.op_type}({', '.join(node.input)}) {shown or ''}")
    return "\n".join(lines)


def _shown(attribute):
    if isinstance(attribute, onnx.TensorProto):
        return numpy_helper.to_array(attribute).tolist()
    if isinstance(attribute, onnx.GraphProto):
        return f"({', '.join(i.name for i in attribute.input)}) -> {', '.join(o.name for o in attribute.output)}: " + "; ".join(
            f"{', '.join(n.output)} = {n.op_type}({', '.join(n.input)})" for n in attribute.node)
    return attribute
