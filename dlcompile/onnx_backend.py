"""dlcompile as a backend in the sense of `onnx.backend.base`: what the onnx package's tests and other tools run models
with.

    import dlcompile.onnx_backend as backend
    outputs = backend.run_model(onnx.load("model.onnx"), [x])
    outputs = backend.run_node(onnx.helper.make_node("Relu", ["x"], ["y"]), [x])

    backend_test = onnx.backend.test.BackendTest(dlcompile.onnx_backend, __name__)

Every model is compiled to a library, which computes it. `prepare`, `run_model` and `run_node` take the keyword
arguments of `dlcompile.compile` (`target=`, `precision=`, `threads=`, `dims=`, `cache=`); where there is no `target=`,
the environment variable DLCOMPILE_BACKEND_TARGET names it.
"""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TypeProto, ValueInfoProto, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from dlcompile.compiler import compile, import_model
from dlcompile.errors import ArgumentError, UnsupportedOperatorError
from dlcompile.runtime import CompiledModel

TARGET_VARIABLE = "DLCOMPILE_BACKEND_TARGET"


class DlcompileBackendRep(BackendRep):
    """A model prepared to run: `model` is the compiled one."""

    def __init__(self, model: CompiledModel, output_names: Sequence[str]):
        self.model = model
        self._outputs = namedtupledict("Outputs", list(output_names))

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """The outputs in order, as a tuple that also takes their names as indices.

        inputs: a list or tuple of values in the order of the model's inputs, a mapping by name, or one array for a
        model with one input. A value is an array, for a sequence a list of arrays, for an optional value one of these
        or None. Arrays of strings have the element type object. ArgumentError where they do not fit the model.
        """
        if kwargs:
            raise ArgumentError(f"run takes the inputs and nothing else; {', '.join(map(repr, kwargs))} is not known")
        if isinstance(inputs, Mapping):
            results = self.model(**inputs)
        elif isinstance(inputs, (list, tuple)):
            results = self.model(*inputs)
        else:
            results = self.model(inputs)
        return self._outputs(*(results if isinstance(results, tuple) else (results,)))


class DlcompileBackend(Backend):
    """The interface of `onnx.backend.base.Backend`; this module has its methods as functions."""

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models can run on a device: "CPU", with or without a number, is the only one."""
        return device.partition(":")[0].upper() == "CPU"

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether dlcompile knows all operators of a model, in the forms in which it uses them. InvalidModelError for
        what is none."""
        if not cls.supports_device(device):
            return False
        try:
            import_model(model)
        except UnsupportedOperatorError:
            return False
        return True

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> DlcompileBackendRep:
        """A model compiled. `kwargs` go to `dlcompile.compile`, as do a path or bytes instead of a ModelProto; errors
        are those of it."""
        if not cls.supports_device(device):
            raise ArgumentError(f"models run on the device 'CPU', not on {device!r}")
        kwargs.setdefault("target", os.environ.get(TARGET_VARIABLE) or "native")
        compiled = compile(model, **kwargs)
        return DlcompileBackendRep(compiled, output_names(compiled))

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of a model for inputs as `DlcompileBackendRep.run` takes them."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(cls, node: NodeProto, inputs: Any, device: str = "CPU",
                 outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None, *, opset_version: int | None = None,
                 **kwargs: Any) -> tuple[Any, ...]:
        """The outputs of one node.

        inputs: the values of the node's inputs in order (None for one left out), or a mapping by name; see
        `DlcompileBackendRep.run`.
        outputs_info: element type and shape of each output; nothing depends on it but what the model says of itself.
        opset_version: of the node's operators; the newest that the onnx package knows by default.
        """
        model, feeds = node_model(node, inputs, outputs_info, opset_version)
        return cls.prepare(model, device, **kwargs).run(feeds)


def output_names(model: CompiledModel) -> list[str]:
    """The names of a compiled model's outputs as its user sees them: a sequence, made of two tensors, has one."""
    structure = getattr(model, "structure", None)
    return [port.name for port in model.outputs] if structure is None else [port["name"] for port in structure.outputs]


def node_model(node: NodeProto, inputs: Any, outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
               opset_version: int | None = None) -> tuple[ModelProto, dict[str, Any]]:
    """A model of one node whose inputs have the types of the given values, and these by name. ArgumentError where they
    are not as many as the node's."""
    if isinstance(inputs, Mapping):
        values = [inputs.get(name) for name in node.input]
        unknown = sorted(set(inputs) - set(node.input))
    else:
        values = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
        if len(values) == sum(map(bool, node.input)) != len(node.input):
            given = iter(values)
            values = [next(given) if name else None for name in node.input]
        unknown = [f"number {i}" for i in range(len(node.input), len(values))]
        values += [None] * (len(node.input) - len(values))
    if unknown:
        raise ArgumentError(f"{node.op_type}: the node has no input {', '.join(unknown)}; it has {', '.join(node.input) or 'none'}")
    feeds = {name: _as_value(value) for name, value in zip(node.input, values) if name and value is not None}
    alone = NodeProto()
    alone.CopyFrom(node)
    alone.input[:] = [name if name in feeds else "" for name in node.input]
    while alone.input and not alone.input[-1]:
        alone.input.pop()
    infos = [ValueInfoProto(name=name) for name in node.output if name]
    for info, (dtype, shape) in zip(infos, outputs_info or ()):
        info.type.CopyFrom(helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape))
    graph = helper.make_graph([alone], node.op_type, [ValueInfoProto(name=n, type=_type_of(v, n)) for n, v in feeds.items()], infos)
    imports = [helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    if node.domain in ("", "ai.onnx"):
        imports[0].version = opset_version or imports[0].version
    else:
        imports.append(helper.make_opsetid(node.domain, opset_version or _newest(node.domain)))
    return helper.make_model(graph, opset_imports=imports, ir_version=onnx.IR_VERSION), feeds


def _newest(domain: str) -> int:
    return max((s.since_version for s in onnx.defs.get_all_schemas() if s.domain == domain), default=1)


def _as_value(value: Any) -> Any:
    """An array, or a list of values."""
    return [_as_value(v) for v in value] if isinstance(value, (list, tuple)) else np.asarray(value)


def _type_of(value: Any, name: str) -> TypeProto:
    if isinstance(value, list):
        if not value:
            raise ArgumentError(f"the elements of the empty sequence {name!r} have no type; run it as a model")
        shapes = {v.shape for v in value if isinstance(v, np.ndarray)}
        item = _type_of(value[0], name)
        if len(shapes) > 1:
            item.tensor_type.ClearField("shape")
        return helper.make_sequence_type_proto(item)
    text = value.dtype.kind in "OSU"
    return helper.make_tensor_type_proto(onnx.TensorProto.STRING if text else helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


is_compatible = DlcompileBackend.is_compatible
prepare = DlcompileBackend.prepare
run_model = DlcompileBackend.run_model
run_node = DlcompileBackend.run_node
supports_device = DlcompileBackend.supports_device

__all__ = ["DlcompileBackend", "DlcompileBackendRep", "is_compatible", "prepare", "run_model", "run_node", "supports_device"]
