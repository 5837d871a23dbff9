"""The kernels of a model in translation units, for the compiler to work on side by side."""
from __future__ import annotations

from collections.abc import Sequence

from dlcompile.codegen.interface import Interface
from dlcompile.codegen.names import c_comment
from dlcompile.errors import InvalidModelError
from dlcompile.graph import DTYPES
from dlcompile.kernels.program import Call, Kernel, Program
from dlcompile.version import VERSION

UNIT_WEIGHT = 48.0
"""how much kernel (`Kernel.weight`) a translation unit gets: enough to outweigh reading the headers, little enough to share out"""

MAX_UNITS = 32


def distinct_kernels(program: Program) -> list[Kernel]:
    """The kernels that are called, in order of first call. Two kernels may not share a name."""
    kernels: dict[str, Kernel] = {}
    for call in program.calls:
        if kernels.setdefault(call.kernel.name, call.kernel) is not call.kernel and kernels[call.kernel.name] != call.kernel:
            raise InvalidModelError(f"two kernels are called {call.kernel.name!r}")
    return list(kernels.values())


def split_kernels(kernels: Sequence[Kernel]) -> list[list[Kernel]]:
    """The kernels of each translation unit, in order, the units about equally heavy.

    Kernels that include the same headers come together: a header is then read in few units, and the instances of a microkernel
    (`dlc_contract.h`) that several kernels call are compiled once for all of them.
    """
    total = sum(k.weight for k in kernels)
    count = max(1, min(MAX_UNITS, len(kernels), round(total / UNIT_WEIGHT)))
    units: list[list[int]] = [[] for _ in range(count)]
    before = 0.0
    for index in sorted(range(len(kernels)), key=lambda i: (sorted(kernels[i].headers), i)):
        units[min(count - 1, int(before / total * count))].append(index)
        before += kernels[index].weight
    return [[kernels[i] for i in sorted(unit)] for unit in units if unit]


def _parameters(kernel: Kernel) -> str:
    return ", ".join(["dlc_team *team", *(f"{kind}{'' if kind.endswith('*') else ' '}{name}" for kind, name in kernel.parameters)])


def kernels_header(program: Program, names: Interface) -> str:
    """NAME_kernels.h: the prototypes of all kernels, none of them visible outside the library."""
    kernels = distinct_kernels(program)
    kinds = {word for k in kernels for kind, _ in k.parameters for word in kind.split()}
    headers = dict.fromkeys(row.header for row in DTYPES.values() if row.header and row.c_storage in kinds)
    includes = "".join(f'#include "{header}"\n' for header in headers)
    prototypes = "\n".join(f"void {names.function(k.name)}({_parameters(k)});" for k in kernels)
    return f"""\
/* The kernels of {names.name}. */
#ifndef DLC_KERNELS_{names.name}
#define DLC_KERNELS_{names.name}

#include "dlc_base.h"
{includes}
#pragma GCC visibility push(hidden)
{prototypes}
#pragma GCC visibility pop

#endif
"""


def kernels_source(program: Program, names: Interface, kernels: Sequence[Kernel], part: int, parts: int) -> str:
    """A translation unit of kernels."""
    headers = dict.fromkeys(h for k in kernels for h in k.headers)
    users: dict[str, list[Call]] = {}
    for call in program.calls:
        users.setdefault(call.kernel.name, []).append(call)
    functions = []
    for kernel in kernels:
        calls = users[kernel.name]
        more = f", and {len(calls) - 1} more" if len(calls) > 1 else ""
        functions.append(f"/* {c_comment(call_title(calls[0]))}{more} */\n"
                         f"void {names.function(kernel.name)}({_parameters(kernel)})\n{{\n{kernel.body.rstrip()}\n}}\n")
    includes = "".join(f'#include "{h}"\n' for h in headers)
    return (f"/* Kernels of {names.name}, part {part} of {parts}; {names.name}.c calls them. Written by dlcompile {VERSION}. */\n"
            f'{includes}\n#include "{names.name}_kernels.h"\n\n' + "\n".join(functions))


def call_title(call: Call) -> str:
    """What a call computes, for a comment."""
    return f"{', '.join(call.origin) or 'no node of the model'} ({call.form})"
