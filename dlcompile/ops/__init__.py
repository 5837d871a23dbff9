"""Functions on tensors: what graphs are built with.

Each converts its operands (arrays and numbers become constants), normalises its arguments, and applies the operator of its name. Python's
operators and NumPy-like methods of `Tensor` are installed here too; `==` stays identity, use `eq`.
"""
from dlcompile.ops import methods
from dlcompile.ops.arithmetic import *  # noqa: F403
from dlcompile.ops.composites import *  # noqa: F403
from dlcompile.ops.contract import einsum
from dlcompile.ops.control import cond, scan, while_loop
from dlcompile.ops.core import *  # noqa: F403
from dlcompile.ops.elementwise import *  # noqa: F403
from dlcompile.ops.random import random_bernoulli, random_bits, random_key, random_normal, random_uniform

methods.install()

__all__ = [name for name in dir() if not name.startswith("_") and name != "methods"]
