"""Functions on tensors: what graphs are built with.

Each converts its operands (arrays and numbers become constants), normalises its arguments, and applies the operator of its name. Python's
operators and NumPy-like methods of `Tensor` are installed here too; `==` stays identity, use `eq`. What stands for a tensor may take a call over
(`ops.overrides`).
"""
from dlcompile.graph import Tensor
from dlcompile.ops import methods
from dlcompile.ops.arithmetic import *  # noqa: F403
from dlcompile.ops.classical import *  # noqa: F403
from dlcompile.ops.composites import *  # noqa: F403
from dlcompile.ops.contract import *  # noqa: F403
from dlcompile.ops.control import *  # noqa: F403
from dlcompile.ops.core import *  # noqa: F403
from dlcompile.ops.differentiation import *  # noqa: F403
from dlcompile.ops.elementwise import *  # noqa: F403
from dlcompile.ops.overrides import overridable
from dlcompile.ops.random import *  # noqa: F403
from dlcompile.ops.sampling import *  # noqa: F403
from dlcompile.ops.selection import *  # noqa: F403
from dlcompile.ops.text import *  # noqa: F403

methods.install(Tensor)
Tensor.__bool__ = methods.no_truth

__all__ = sorted(name for name, value in globals().items()
                 if callable(value) and not name.startswith("_") and getattr(value, "__module__", "").startswith(__name__)
                 and name != "overridable")
globals().update({name: overridable(globals()[name]) for name in __all__})
