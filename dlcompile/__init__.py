"""dlcompile: from a neural network to one shared library and one C header.

    import dlcompile as dlc
    model = dlc.compile("resnet50.onnx")
    y = model(x)
    model.save("resnet50.so")                  # and resnet50.h
    model = dlc.load("resnet50.so")            # no compiler needed
"""
from __future__ import annotations

import importlib

from dlcompile.errors import (
    ArgumentError,
    DTypeError,
    Error,
    ExecutionError,
    InvalidModelError,
    LibraryError,
    SettingsError,
    ShapeError,
    ToolchainError,
    UnsupportedOperatorError,
)
from dlcompile.version import VERSION as __version__

_HOMES = {
    "compile": "dlcompile.compiler",
    "compile_library": "dlcompile.compiler",
    "lower": "dlcompile.compiler",
    "load": "dlcompile.runtime",
    "CompiledModel": "dlcompile.runtime",
    "Graph": "dlcompile.graph",
    "import_onnx": "dlcompile.frontends.onnx",
    "export_onnx": "dlcompile.frontends.onnx",
    "graph": "dlcompile.graph",
    "ops": "dlcompile.ops",
    "activations": "dlcompile.activations",
    "backend": "dlcompile.backend",
    "callbacks": "dlcompile.callbacks",
    "config": "dlcompile.config",
    "constraints": "dlcompile.constraints",
    "initializers": "dlcompile.initializers",
    "layers": "dlcompile.layers",
    "losses": "dlcompile.losses",
    "metrics": "dlcompile.metrics",
    "models": "dlcompile.models",
    "optimizers": "dlcompile.optimizers",
    "random": "dlcompile.random",
    "regularizers": "dlcompile.regularizers",
    "saving": "dlcompile.saving",
    "tree": "dlcompile.tree",
    "utils": "dlcompile.utils",
    "Initializer": "dlcompile.initializers",
    "Input": "dlcompile.layers",
    "InputSpec": "dlcompile.layers",
    "KerasTensor": "dlcompile.layers",
    "Layer": "dlcompile.layers",
    "Loss": "dlcompile.losses",
    "Metric": "dlcompile.metrics",
    "Model": "dlcompile.models",
    "Optimizer": "dlcompile.optimizers",
    "Regularizer": "dlcompile.regularizers",
    "Sequential": "dlcompile.models",
    "Variable": "dlcompile.variables",
    "functional": "dlcompile.functional",
    **dict.fromkeys(("TensorSpec", "custom_vjp", "grad", "gradients", "jit", "stop_gradient", "trace", "value_and_grad"), "dlcompile.functional"),
}
"""public name → the module that has it; imported when first asked for, so that loading a library imports no front end"""


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'dlcompile' has no attribute {name!r}")
    if name == "ops":
        importlib.import_module("dlcompile.operators")  # fills the table that its functions look operators up in
    module = importlib.import_module(_HOMES[name])
    value = module if _HOMES[name] == f"dlcompile.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


__all__ = [
    "ArgumentError", "CompiledModel", "DTypeError", "Error", "ExecutionError", "Graph", "InvalidModelError", "LibraryError", "SettingsError",
    "ShapeError", "TensorSpec", "ToolchainError", "UnsupportedOperatorError", "__version__", "compile", "compile_library", "custom_vjp",
    "export_onnx", "grad", "gradients", "import_onnx", "jit", "load", "lower", "stop_gradient", "trace", "value_and_grad",
]
