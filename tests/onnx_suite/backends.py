"""What a case can be run by: dlcompile's backend as it is, or other ways through parts of the road."""
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import onnx
from onnx.backend.base import Backend, BackendRep

from dlcompile.compiler import import_model
from dlcompile.kernels.target import resolve_target, runs_here
from dlcompile.onnx_backend import TARGET_VARIABLE, DlcompileBackend, DlcompileBackendRep, output_names
from dlcompile.runtime.structure import Structure
from tests import qemu


class Compiled(DlcompileBackend):
    """The backend, with nothing taken from the cache; for a target that this machine cannot run, on an emulator. `last`
    is the model compiled last."""

    last: Any = None

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        target = resolve_target(os.environ.get(TARGET_VARIABLE) or "native")
        if runs_here(target):
            prepared = super().prepare(model, device, cache=False)
        else:
            compiled = qemu.compile_for(model, target.name, cache=False)
            prepared = DlcompileBackendRep(compiled, output_names(compiled))
        cls.last = prepared.model
        return prepared


class _Function(BackendRep):
    """A model that is a function of a mapping by name."""

    def __init__(self, function: Callable[[dict[str, Any]], Sequence[Any]], names: Sequence[str]):
        self.function, self.names = function, names

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        feeds = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(self.names, inputs))
        return tuple(self.function(feeds))


class RoundTrip(Backend):
    """Import, export, and the onnx reference evaluator; the opset is export's own choice."""

    opset: int | None = None

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        from dlcompile.frontends.onnx import export_onnx, import_onnx

        written = export_onnx(import_onnx(model), **({} if cls.opset is None else {"opset": cls.opset}))
        evaluator = onnx.reference.ReferenceEvaluator(written)
        return _Function(lambda feeds: evaluator.run(None, feeds), [i.name for i in written.graph.input])


class RoundTripNewest(RoundTrip):
    """The same, written in the newest opset."""

    opset = onnx.defs.onnx_opset_version()


class Interpreted(Backend):
    """Import, transforms, and NumPy."""

    @classmethod
    def supports_device(cls, device):
        return device == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        from dlcompile.operators import evaluate
        from dlcompile.transforms import optimize

        graph = optimize(import_model(model))
        if graph.structure is None:
            return _Function(lambda feeds: evaluate(graph, feeds), graph.input_names)
        ports = [[SimpleNamespace(name=name, dtype=t.dtype, shape=tuple(d if isinstance(d, int) else str(d) for d in t.shape))
                  for name, t in zip(names, tensors)]
                 for names, tensors in ((graph.input_names, graph.inputs), (graph.output_names, graph.outputs))]
        structure = Structure(graph.name, graph.structure, *ports)
        return _Function(lambda feeds: structure.values(evaluate(graph, structure.arrays((), feeds))),
                         [port["name"] for port in structure.inputs])


MODES: dict[str, type[Backend]] = {"compiled": Compiled, "round-trip": RoundTrip, "round-trip-newest": RoundTripNewest, "interpreted": Interpreted}


def choose_target(target: str | None) -> None:
    """Have `Compiled` compile for a target."""
    if target:
        os.environ[TARGET_VARIABLE] = target
