"""Python functions as models: traced, compiled when they are called, and differentiated. The names are JAX's.

    @dlc.jit
    def step(params, x, y):
        slopes = dlc.grad(loss)(params, x, y)
        return tree.map(lambda p, s: p - 0.1 * s, params, slopes)
"""
import dlcompile.operators  # noqa: F401  (fills the table that tracing looks operators up in)
from dlcompile.autodiff import gradients
from dlcompile.functional import tree
from dlcompile.functional.backends import default_backend, set_default_backend
from dlcompile.functional.derivatives import custom_vjp, grad, stop_gradient, value_and_grad
from dlcompile.functional.jitting import jit
from dlcompile.functional.specs import TensorSpec
from dlcompile.functional.tracing import trace

__all__ = ["TensorSpec", "custom_vjp", "default_backend", "grad", "gradients", "jit", "set_default_backend", "stop_gradient", "trace",
           "tree", "value_and_grad"]
