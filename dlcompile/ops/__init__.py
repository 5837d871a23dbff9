"""Functions on tensors: what graphs are built with.

Each converts its operands (arrays and numbers become constants), normalises its arguments, and applies the operator of its name. Python's
operators and NumPy-like methods of `Tensor` are installed here too; `==` stays identity, use `eq`.
"""
from __future__ import annotations

from dlcompile.graph import Tensor
from dlcompile.ops import elementwise as _elementwise
from dlcompile.ops.composites import *  # noqa: F403
from dlcompile.ops.contract import einsum
from dlcompile.ops.core import *  # noqa: F403
from dlcompile.ops.core import as_tensor, cast, matmul, reduce_max, reduce_mean, reduce_min, reduce_sum, reshape, transpose, wrap_indices
from dlcompile.ops.elementwise import *  # noqa: F403


def floor_mod(a, b) -> Tensor:
    """The remainder with the sign of the divisor, as Python's %."""
    a, b = _elementwise.as_tensors(a, b)
    rest = _elementwise.rem(a, b)
    zero = as_tensor(0, a.dtype)
    if a.dtype.kind == "u":
        return rest
    wrong = _elementwise.logical_and(_elementwise.ne(rest, zero), _elementwise.ne(_elementwise.lt(rest, zero), _elementwise.lt(b, zero)))
    return _elementwise.select(wrong, _elementwise.add(rest, b), rest)


def square(x) -> Tensor:
    """x * x."""
    x = as_tensor(x)
    return _elementwise.mul(x, x)


def _swapped(function):
    return lambda self, other: function(other, self)


for _name, _function in (("add", _elementwise.add), ("sub", _elementwise.sub), ("mul", _elementwise.mul), ("truediv", _elementwise.div),
                         ("pow", _elementwise.pow), ("mod", floor_mod), ("matmul", matmul)):
    setattr(Tensor, f"__{_name}__", lambda self, other, f=_function: f(self, other))
    setattr(Tensor, f"__r{_name}__", _swapped(_function))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Tensor, f"__{_name}__", lambda self, other, f=getattr(_elementwise, _name): f(self, other))
Tensor.__neg__ = lambda self: _elementwise.neg(self)
Tensor.__abs__ = lambda self: _elementwise.abs(self)
Tensor.reshape = lambda self, *shape: reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)
Tensor.transpose = lambda self, *axes: transpose(self, (axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes) or None)
Tensor.astype = lambda self, dtype: cast(self, dtype)
Tensor.sum = lambda self, axis=None, keepdims=False: reduce_sum(self, axis, keepdims)
Tensor.max = lambda self, axis=None, keepdims=False: reduce_max(self, axis, keepdims)
Tensor.min = lambda self, axis=None, keepdims=False: reduce_min(self, axis, keepdims)
Tensor.mean = lambda self, axis=None, keepdims=False: reduce_mean(self, axis, keepdims)

__all__ = [name for name in dir() if not name.startswith("_") and name not in ("annotations", "Tensor")]
__all__ += ["einsum", "wrap_indices"]
