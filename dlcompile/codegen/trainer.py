"""The C project of a training library: NAME.h and NAME.c over two models that are parts of it, a training step and a prediction, and the variables
that both compute with. What is the same in all of them is in `csrc/dlc_trainer.h`."""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlcompile.codegen.csrc import csrc_text
from dlcompile.codegen.dims import c_int
from dlcompile.codegen.interface import public_type
from dlcompile.codegen.names import c_comment, c_string, unique_identifiers
from dlcompile.codegen.project import Project, generate, weights_source
from dlcompile.errors import ArgumentError
from dlcompile.graph import dtype_name, is_string
from dlcompile.kernels.program import ALIGNMENT, Port, Program
from dlcompile.kernels.target import Target
from dlcompile.version import FORMAT, VERSION

_LOCALS = ("context", "options", "batch", "logs", "arrays", "results", "variable", "log", "name")
"""parameters and variables of the functions that have those of the model"""

_KINDS = {name: f"DLC_KIND_{name.upper()}" for name in ("float64", "float32", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")}
_KINDS["bool"] = "DLC_KIND_UINT8"
"""the types that labels and logs may have → a `dlc_kind`"""


@dataclass(frozen=True)
class Stored:
    """A variable: its name, the value it begins with, and whether the optimizer changes it."""

    name: str
    value: np.ndarray
    trainable: bool


@dataclass(frozen=True)
class Range:
    """The array of the batch at `place` holds whole numbers from 0 to `count` - 1, or `ignored`; `what` takes them."""

    place: int
    count: int
    ignored: int | None
    what: str


@dataclass(frozen=True)
class Part:
    """A model that computes with variables.

    program: its inputs are the arrays of the batch, then variables; its outputs results, then new values of variables.
    arrays:  names for the arrays of the batch. results: names for the results. reads, writes: numbers of variables.
    """

    program: Program
    arrays: tuple[str, ...]
    results: tuple[str, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    ranges: tuple[Range, ...] = ()

    @property
    def batch_ports(self) -> tuple[Port, ...]:
        return self.program.inputs[: len(self.arrays)]

    @property
    def result_ports(self) -> tuple[Port, ...]:
        return self.program.outputs[: len(self.results)]


@dataclass(frozen=True)
class Trainer:
    """What a training library is made of. resets: variables that begin anew with the metrics, by number, and what they are then."""

    name: str
    step: Part
    predict: Part
    variables: tuple[Stored, ...]
    resets: tuple[tuple[int, np.ndarray], ...]


def generate_trainer(trainer: Trainer, target: Target) -> Project:
    """The C project of a training library. ArgumentError for types of labels, logs and variables that it cannot have."""
    parts = tuple(generate(part.program, target, part=True) for part in (trainer.step, trainer.predict))
    library = _Library(trainer, target, parts)
    name = trainer.name
    constants = (*(v.value for v in trainer.variables), *(value for _, value in trainer.resets))
    files = {f"{name}.h": library.header(), f"{name}.c": library.source(), f"{name}_weights.S": weights_source(name, library.weights_bytes, target)}
    for part in parts:
        files |= part.files
    return Project(name, target, files, constants, any(part.threaded for part in parts), parts)


class _Function:
    """NAME_step or NAME_predict: what its parameters are called, and what they are."""

    def __init__(self, part: Part, taken: Sequence[str], results: bool):
        self.part = part
        self.any_batch = bool(part.program.symbols)
        self.arrays = unique_identifiers(part.arrays, (*_LOCALS, *taken), "input")
        self.results = unique_identifiers(part.results, (*_LOCALS, *taken, *self.arrays), "output") if results else ()

    @property
    def parameters(self) -> str:
        """Those between the context and the logs."""
        return "".join([", int64_t batch" if self.any_batch else "",
                        *(f", const {public_type(port)} *{name}" for name, port in zip(self.arrays, self.part.batch_ports)),
                        *(f", {public_type(port)} *{name}" for name, port in zip(self.results, self.part.result_ports))])

    @property
    def batch(self) -> str:
        """The number of samples, as C."""
        return "batch" if self.any_batch else c_int(next((port.type.shape[0] for port in self.part.batch_ports), 1))

    def lines(self) -> list[str]:
        """The parameters, described."""
        rows = [*zip(self.arrays, self.part.batch_ports, self.part.arrays), *zip(self.results, self.part.result_ports, self.part.results)]
        ranges = {r.place: r for r in self.part.ranges}
        told = []
        for place, (parameter, port, name) in enumerate(rows):
            dims = "".join(f"[{c_comment(str(d))}]" for d in port.type.shape)
            kind = "input" if place < len(self.arrays) else "output"
            own = "" if parameter == name else f' "{c_comment(name)}"'
            found = ranges.get(place)
            numbers = "" if found is None else f", whole numbers from 0 to {found.count - 1}" + ("" if found.ignored is None else f", or {found.ignored}")
            told.append(f" *   {parameter}{dims}  {dtype_name(port.type.dtype)} {kind}{own}{numbers}")
        return told


class _Library:
    def __init__(self, trainer: Trainer, target: Target, parts: Sequence[Project]):
        self.trainer, self.target, self.parts, self.name = trainer, target, parts, trainer.name
        self.step = _Function(trainer.step, (trainer.name,), False)
        self.predict = _Function(trainer.predict, (trainer.name,), True)
        self.offsets, self.variable_bytes = _placed([v.value for v in trainer.variables])
        offsets, self.weights_bytes = _placed([*(v.value for v in trainer.variables), *(value for _, value in trainer.resets)])
        self.reset_offsets = offsets[len(self.offsets):]
        for variable in trainer.variables:
            if is_string(variable.value.dtype):
                raise ArgumentError(f"{trainer.name}: variable {variable.name} is of strings; numbers can be trained")
        self.log_names = unique_identifiers(trainer.step.results, ("COUNT",), "log")
        self.log_counts = [_count(port) for port in trainer.step.result_ports]

    # -- NAME.h ---------------------------------------------------------------------------------------------------------------
    def header(self) -> str:
        name, target = self.name, self.target
        needs = f" It needs a CPU with {' '.join(target.requires)}." if target.requires else ""
        logs, at = [], 0
        for constant, log, count in zip(self.log_names, self.trainer.step.results, self.log_counts):
            own = ("" if constant == log else f' "{c_comment(log)}"') + ("" if count == 1 else f" {count} numbers from here on")
            logs.append(f"    {name}_LOG_{constant} = {at}," + (f" /*{own} */" if own else ""))
            at += count
        batch = " `batch`, the number of samples, is at least 1." if self.step.any_batch else f" It is for batches of {self.step.batch} samples."
        return f"""\
/* {name}: a model that trains, compiled by dlcompile {VERSION} for {target.name}.{needs}
 *
 * Arrays are C-contiguous and aligned as their elements are; outputs overlap nothing. {name}_step takes
{chr(10).join(self.step.lines())}
 * and {name}_predict
{chr(10).join(self.predict.lines())}
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

typedef struct {name} {name}; /* a model in training: its variables, and what a run needs. Used by one thread at a time. */
typedef dlc_options {name}_options;

/* What {name}_step tells: where each number stands in `logs`, and how many there are. Metrics are since they were last reset. */
enum {{
{chr(10).join(logs)}
    {name}_LOG_COUNT = {at}
}};

/* A variable: a weight, the optimizer's state, a metric's, the counter of random numbers. */
typedef struct {name}_variable {{
    const char *name;    /* UTF-8 */
    const char *dtype;   /* "float32", "int64", ... as in dlc_port */
    int32_t rank;
    const int64_t *dims; /* null where rank is 0 */
    int64_t bytes;
    int32_t trainable;   /* whether the optimizer changes it */
}} {name}_variable;

/* The model as it was when the library was written; `options` may be null. Null on failure: {name}_error(0) says why. */
{name} *{name}_create(const {name}_options *options);

/* One step of the training with a batch.{batch} `logs` takes {name}_LOG_COUNT numbers; it may be null.
 * 0 on success, else a dlc_status, and {name}_error(context) says why: nothing has been changed. */
int {name}_step({name} *context{self.step.parameters}, float *logs);

/* What the model makes of a batch now, not in training. 0 on success, else a dlc_status. */
int {name}_predict({name} *context{self.predict.parameters});

/* Metrics and the mean loss count from the beginning, as at the start of an epoch. */
int {name}_reset_metrics({name} *context);

/* The name of the log at a place below {name}_LOG_COUNT; null for any other. */
const char *{name}_log_name(int32_t log);

/* How many variables there are, what they are, and their arrays, which may be read and written between two calls. Null for a number that none has. */
int32_t {name}_variable_count(void);
const {name}_variable *{name}_variable_info(int32_t variable);
void *{name}_variable_data({name} *context, int32_t variable);

/* The number of the variable of that name; -1 where there is none. */
int32_t {name}_find_variable(const char *name);

/* The words for the last failure of a context; those of {name}_create in this thread for a null one. */
const char *{name}_error(const {name} *context);

/* Frees a context; null is one that needs no freeing. */
void {name}_destroy({name} *context);

#ifdef __cplusplus
}}
#endif

#endif
"""

    # -- NAME.c ---------------------------------------------------------------------------------------------------------------
    def source(self) -> str:
        name, trainer = self.name, self.trainer
        count = len(trainer.variables)
        parts = "\n".join(f'#include "{part.name}.h"' for part in self.parts)
        infos, dims = [], []
        for v in trainer.variables:
            where = f"this_dims + {len(dims)}" if v.value.ndim else "NULL"
            infos.append(f"{{{c_string(v.name)}, {c_string(dtype_name(v.value.dtype))}, {v.value.ndim}, {where}, {v.value.nbytes}, {int(v.trainable)}}}")
            dims += map(c_int, v.value.shape)
        labels = [c_string(log) for log, n in zip(trainer.step.results, self.log_counts) for _ in range(n)]
        logs, log_bytes = self._logs()
        resets = [f"{{{variable}, {c_int(offset)}}}" for (variable, _), offset in zip(trainer.resets, self.reset_offsets)]
        return f"""\
/* {name}: the functions of {name}.h over the models {self.parts[0].name} and {self.parts[1].name}. Written by dlcompile {VERSION}. */
#define _GNU_SOURCE

#pragma GCC visibility push(default)
#include "{name}.h"
#pragma GCC visibility pop

#pragma GCC visibility push(hidden)
{parts}
#pragma GCC visibility pop
#include "dlc_trainer.h"

struct {name} {{
    dlc_trainer trainer;
}};

/* in {name}_weights.S */
extern const void *const {name}_weights_address __attribute__((visibility("hidden")));

/* -- tables {'-' * 111} */
{_table("int64_t", "dims", dims)}{_table(f"{name}_variable", "variables", infos)}\
{_table("int64_t", "offsets", map(c_int, self.offsets))}{_table("int64_t", "bytes", (c_int(v.value.nbytes) for v in trainer.variables))}\
{_table("dlc_log", "logs", logs)}{_table("char *const", "log_names", labels)}{_table("dlc_reset", "resets", resets)}\
{self._part_tables("step", self.step)}{self._part_tables("predict", self.predict)}
static const dlc_trainer_program this_program = {{
    .name = {c_string(name)},
    .variable_count = {count},
    .log_count = {len(logs)},
    .reset_count = {len(resets)},
    .variable_bytes = {c_int(self.variable_bytes)},
    .log_bytes = {c_int(log_bytes)},
    .offsets = {_ref("offsets", count)},
    .bytes = {_ref("bytes", count)},
    .logs = {_ref("logs", len(logs))},
    .resets = {_ref("resets", len(resets))},
    .weights = &{name}_weights_address,
    .step = {self._part("step", self.step, self.parts[0].name, 1)},
    .predict = {self._part("predict", self.predict, self.parts[1].name, 0)},
}};

/* -- the functions of the header {'-' * 90} */
{name} *{name}_create(const {name}_options *options)
{{
    return ({name} *)dlc_trainer_create(&this_program, options);
}}

int {name}_step({name} *context{self.step.parameters}, float *logs)
{{
    const void *const arrays[] = {{{', '.join(self.step.arrays) or '0'}}};
    return dlc_trainer_step((dlc_trainer *)context, {self.step.batch}, arrays, logs);
}}

int {name}_predict({name} *context{self.predict.parameters})
{{
    const void *const arrays[] = {{{', '.join(self.predict.arrays) or '0'}}};
    void *const results[] = {{{', '.join(self.predict.results) or '0'}}};
    return dlc_trainer_predict((dlc_trainer *)context, {self.predict.batch}, arrays, results);
}}

int {name}_reset_metrics({name} *context)
{{
    return dlc_trainer_reset_metrics((dlc_trainer *)context);
}}

const char *{name}_log_name(int32_t log)
{{
    return log >= 0 && log < {len(labels)} ? {'this_log_names[log]' if labels else 'NULL'} : NULL;
}}

int32_t {name}_variable_count(void)
{{
    return {count};
}}

const {name}_variable *{name}_variable_info(int32_t variable)
{{
    return variable >= 0 && variable < {count} ? &this_variables[variable] : NULL;
}}

void *{name}_variable_data({name} *context, int32_t variable)
{{
    return context && variable >= 0 && variable < {count} ? dlc_trainer_variable((dlc_trainer *)context, variable) : NULL;
}}

int32_t {name}_find_variable(const char *name)
{{
    for (int32_t i = 0; name && i < {count}; ++i)
        if (!strcmp(this_variables[i].name, name))
            return i;
    return -1;
}}

const char *{name}_error(const {name} *context)
{{
    return dlc_trainer_error((const dlc_trainer *)context);
}}

void {name}_destroy({name} *context)
{{
    dlc_trainer_destroy((dlc_trainer *)context);
}}
"""

    def _logs(self) -> tuple[list[str], int]:
        """The rows of the table of logs, and the bytes of them all."""
        rows, at = [], 0
        for port, count, name in zip(self.trainer.step.result_ports, self.log_counts, self.trainer.step.results):
            rows.append(f"{{{_kind(port, f'{self.name}: log {name}')}, {count}, {at}}}")
            at += -(-count * port.type.dtype.itemsize // 16) * 16
        return rows, at

    def _part_tables(self, what: str, function: _Function) -> str:
        part = function.part
        checked = {r.place for r in part.ranges}
        arrays = [f"{{{c_string(name)}, {_kind(port, f'{self.name}: {name}') if i in checked else 'DLC_KIND_OTHER'}, {c_int(_elements(port))}}}"
                  for i, (name, port) in enumerate(zip(part.arrays, part.batch_ports))]
        checks = [f"{{{r.place}, {c_int(r.count)}, {int(r.ignored is not None)}, {c_int(r.ignored or 0)}, {c_string(r.what)}}}" for r in part.ranges]
        return (_table("dlc_batch_array", f"{what}_arrays", arrays) + _table("dlc_label_check", f"{what}_checks", checks)
                + _table("int32_t", f"{what}_reads", map(str, part.reads)) + _table("int32_t", f"{what}_writes", map(str, part.writes)))

    def _part(self, what: str, function: _Function, model: str, least: int) -> str:
        part = function.part
        rows = {"array": part.arrays, "check": part.ranges, "read": part.reads, "write": part.writes}
        counts = "".join(f"        .{kind}_count = {len(items)},\n        .{kind}s = {_ref(f'{what}_{kind}s', len(items))},\n" for kind, items in rows.items())
        return f"{{\n        .info = {model}_info,\n        .least = {least},\n        .result_count = {len(part.results)},\n{counts}    }}"


def _table(kind: str, name: str, rows) -> str:
    """A static array, one row a line; nothing where there are no rows."""
    lines = "".join(f"    {row},\n" for row in rows)
    return f"static const {kind} this_{name}[] = {{\n{lines}}};\n" if lines else ""


def _ref(name: str, count: int) -> str:
    return f"this_{name}" if count else "NULL"


def _placed(arrays: Sequence[np.ndarray]) -> tuple[list[int], int]:
    """The offsets of arrays in a weights file, and its size."""
    offsets, end = [], 0
    for array in arrays:
        offsets.append(-(-end // ALIGNMENT) * ALIGNMENT)
        end = offsets[-1] + array.nbytes
    return offsets, end


def _kind(port: Port, what: str) -> str:
    name = dtype_name(port.type.dtype)
    if name not in _KINDS:
        raise ArgumentError(f"{what} is {name}; it can be {', '.join(_KINDS)}")
    return _KINDS[name]


def _elements(port: Port) -> int:
    """Of a sample."""
    return int(np.prod(port.type.shape[1:], dtype=object))


def _count(port: Port) -> int:
    return int(np.prod(port.type.shape, dtype=object))


__all__ = ["Part", "Range", "Stored", "Trainer", "generate_trainer"]
