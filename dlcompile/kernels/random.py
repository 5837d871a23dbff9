"""The random form: the sequence of the Mersenne Twister (csrc/dlc_random.h), one number after the other, on one thread.

Random bits that are a function of key and position are no form: they are computed element by element where they are
read (`kernels.emit`).
"""
from __future__ import annotations

from dlcompile.kernels.emit import Parameters
from dlcompile.kernels.group import Context, Group, Lowered, finish
from dlcompile.kernels.ir import Address, Invoke


def lower_mt19937(group: Group, context: Context) -> Lowered:
    """One call for all numbers."""
    (node,) = group.anchors
    parameters = Parameters()
    storage = context.stored(node.output)
    result = Address(parameters.write(storage.argument, node.output.dtype), storage.offset)
    function = f"dlc_mt19937_{node.attributes['distribution']}"
    call = Invoke(function, (f"{node.attributes['seed']}u", node.output.type.size, result), "dlc_random.h")
    return finish(parameters, (call,), "random", False)
