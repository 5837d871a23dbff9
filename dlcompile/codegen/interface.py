"""The C interface of a model: what its functions and their parameters are called, and what type they have."""
from __future__ import annotations

from dataclasses import dataclass

from dlcompile.codegen.names import identifier, model_identifier, unique_identifiers
from dlcompile.graph import DTYPES
from dlcompile.kernels.program import Loop, Port, Program, walk

_PUBLIC_TYPES = {"dlc_float16": "uint16_t", "dlc_bfloat16": "uint16_t", "dlc_narrow": "uint8_t", "dlc_complex64": "float",
                 "dlc_complex128": "double"}
_LOCALS = ("context", "team", "alone", "arena", "weights", "d", "at", "overflow", "symbols", "values", "inputs", "outputs", "threads",
           "symbol_values", "input_arrays", "output_arrays")
"""variables of the functions that have the parameters"""


@dataclass(frozen=True)
class Interface:
    """Names in C. `name` is the model's prefix; symbols, inputs and outputs have a parameter each, in the program's order; unknowns, the
    dimensions that a run learns, are variables of it."""

    name: str
    symbols: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    unknowns: tuple[str, ...] = ()

    def function(self, kernel: str) -> str:
        """The C function of a kernel."""
        return _function(self.name, kernel)


def _function(name: str, kernel: str) -> str:
    """`k_` keeps kernels apart from the functions of the interface."""
    return f"{name}_k_{identifier(kernel, 'kernel')}"


def interface(program: Program) -> Interface:
    """The interface of a program: parameters are the model's own names as far as C takes them, made unique."""
    name = model_identifier(program.name)
    numbered = (*(f"arena_{d.stage}" for d in program.defines), *(f"turn_{i}" for i in range(sum(isinstance(s, Loop) for s in walk(program.steps)))),
                *(f"p{i}{suffix}" for i in range(program.variables) for suffix in ("", "_after", "_before")))
    taken = (*_LOCALS, *numbered, name, f"{name}_weights_address", *(_function(name, c.kernel.name) for c in program.calls))
    symbols = unique_identifiers(program.symbols, taken, "dim")
    inputs = unique_identifiers((p.name for p in program.inputs), (*taken, *symbols), "input")
    outputs = unique_identifiers((p.name for p in program.outputs), (*taken, *symbols, *inputs), "output")
    unknowns = unique_identifiers(program.unknowns, (*taken, *symbols, *inputs, *outputs), "dim")
    return Interface(name, symbols, inputs, outputs, unknowns)


def result_type(program: Program, port: Port) -> str:
    """The C type of an output's parameter is a pointer to this: elements, or what tells of an array whose size only a run knows."""
    return "dlc_array" if program.stage_of(port.type.size) else public_type(port)


def public_type(port: Port) -> str:
    """The C type of an element in the header: float16, bfloat16 and narrower types are their bits, complex numbers two floats."""
    storage = DTYPES[port.type.dtype].c_storage
    return _PUBLIC_TYPES.get(storage, storage)
