"""Printing the kernels of a program."""
from __future__ import annotations

from dataclasses import replace

from dlcompile.codegen.printer import print_kernel
from dlcompile.kernels.ir import Loop, Tile, walk
from dlcompile.kernels.program import Kernel, Program


def printed(program: Program) -> Program:
    """The program with the Kernel IR of every kernel printed as C; kernels that are text already stay as they are."""
    made = {kernel: _printed(kernel) for kernel in {call.kernel: None for call in program.calls}}
    return program.map_calls(lambda call: replace(call, kernel=made[call.kernel]))


def _printed(kernel: Kernel) -> Kernel:
    if isinstance(kernel.body, str):
        return kernel
    text = print_kernel(kernel.body)
    statements = list(walk(kernel.body.body))
    tiles = sum(isinstance(s, Tile) for s in statements)
    weight = 1.0 + 0.2 * sum(isinstance(s, Loop) for s in statements) + 8.0 * tiles  # microkernels are what takes the compiler's time
    return Kernel(kernel.name, text.parameters, text.body, text.headers, weight)
