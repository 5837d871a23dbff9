"""The header of a model: everything a C or C++ program needs to call it."""
from __future__ import annotations

from dlcompile.codegen.csrc import csrc_text
from dlcompile.codegen.interface import Interface, public_type, result_type
from dlcompile.codegen.names import c_comment
from dlcompile.graph import dtype_name
from dlcompile.kernels.program import Port, Program
from dlcompile.kernels.target import Target
from dlcompile.version import FORMAT, VERSION


def header_text(program: Program, names: Interface, target: Target) -> str:
    """The text of NAME.h. It includes nothing but <stdint.h>; two models' headers can be included together."""
    name = names.name
    ports = [*_described(names.inputs, program.inputs, "input"), *_described(names.outputs, program.outputs, "output")]
    for output, source in program.updates:
        ports[len(program.inputs) + output] += f", the next value of {names.inputs[source]}: one array for both is updated in place"
    needs = f" It needs a CPU with {' '.join(target.requires)}." if target.requires else ""
    symbols = "".join(f", int64_t {s}" for s in names.symbols)
    parameters = "".join([symbols, *(f", const {public_type(p)} *{n}" for n, p in zip(names.inputs, program.inputs)),
                          *(f", {result_type(program, p)} *{n}" for n, p in zip(names.outputs, program.outputs))])
    sizes = ("for these dimensions and " if names.symbols else "") + "with that many threads (0: the default)"
    arena_parameters = (symbols + ", int32_t threads").removeprefix(", ")
    dims = "int64_t symbols: the sizes of the model's symbolic dimensions.\n * " if names.symbols else ""
    return f"""\
/* {name}: a model compiled by dlcompile {VERSION} for {target.name}.{needs}
 *
 * Arrays are C-contiguous and aligned as their elements are; outputs overlap nothing.
{chr(10).join(f" *   {line}" for line in ports)}
 */
#ifndef DLC_HEADER_{name}
#define DLC_HEADER_{name}

{csrc_text("dlc_model.h").strip()}

#if DLC_MODEL_FORMAT != {FORMAT}
#error "this header and that of another model, included before it, are from versions of dlcompile that do not go together"
#endif

#ifdef __cplusplus
extern "C" {{
#endif

typedef struct {name} {name}; /* a context: an arena and a number of threads. One for each thread of yours that runs the model. */
typedef dlc_options {name}_options;

/* A new context; `options` may be null. Null on failure: {name}_error(0) says why. */
{name} *{name}_create(const {name}_options *options);

/* Computes the outputs. {dims}0 on success, else a dlc_status, nothing is written, and {name}_error(context) says why. */
int {name}_run({name} *context{parameters});

/* The words for the last failure of a context; those of {name}_create in this thread for a null one. */
const char *{name}_error(const {name} *context);

/* Frees a context; null is one that needs no freeing. */
void {name}_destroy({name} *context);

/* Bytes of memory that a run needs {sizes}; -1 where there is no answer. */
int64_t {name}_arena_bytes({arena_parameters});

/* Names, types and dimensions of inputs and outputs, versions, and the functions above for callers that learn of the model at run time. */
const dlc_model_info *{name}_info(void);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _described(parameters: tuple[str, ...], ports: tuple[Port, ...], kind: str) -> list[str]:
    lines = []
    for parameter, port in zip(parameters, ports):
        dims = "".join(f"[{c_comment(str(d))}]" for d in port.type.shape)
        own = "" if parameter == port.name else f' "{c_comment(port.name)}"'
        lines.append(f"{parameter}{dims}  {dtype_name(port.type.dtype)} {kind}{own}")
    return lines
