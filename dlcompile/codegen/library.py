"""The source file of a model that has its functions, the tables that describe it, and the list of calls."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcompile.codegen.dims import Expressions, c_int, linear
from dlcompile.codegen.interface import Interface, public_type
from dlcompile.codegen.names import c_comment, c_string
from dlcompile.codegen.units import call_title
from dlcompile.graph import DimLike, dtype_name
from dlcompile.kernels.memory import plan_arena
from dlcompile.kernels.program import Argument, BufferArgument, Call, ConstantArgument, DimArgument, InputArgument, OutputArgument, Program
from dlcompile.kernels.target import Target
from dlcompile.version import FORMAT, VERSION


def library_source(program: Program, names: Interface, target: Target, header: str) -> str:
    """NAME.c: the functions of the header, the tables that describe the model, and the calls of its kernels."""
    return _Library(program, names, target).text(header)


class _Library:
    def __init__(self, program: Program, names: Interface, target: Target):
        self.program, self.names, self.target = program, names, target
        self.name = names.name
        symbols = dict(zip(program.symbols, names.symbols))
        self.expressions, self.costs = Expressions(symbols), Expressions(symbols)
        self.ports = (*program.inputs, *program.outputs)
        self.tables: set[str] = set()
        self.static = not program.symbols
        self.offsets, self.arena_bytes = (), 0
        if self.static:
            lifetimes = [(b.first, b.last) for b in program.buffers]
            self.offsets, self.arena_bytes = plan_arena([b.nbytes for b in program.buffers], lifetimes)

    def text(self, header: str) -> str:
        """The whole file. Functions and tables first: they decide which expressions there are."""
        program, name = self.program, self.name
        calls = "\n".join(self._calls())
        tables = "\n".join(self._tables())
        info = "\n".join(self._info(header))
        evaluate = "\n".join([*self._evaluate(), *self._evaluate_costs()])
        return f"""\
/* {name}: the functions of {name}.h, the tables behind them, and the calls that make a run. Written by dlcompile {VERSION}. */
#define _GNU_SOURCE
#define DLC_THREADED {0 if program.threads == 1 else 1}

#pragma GCC visibility push(default)
#include "{name}.h"
#pragma GCC visibility pop

#include "{name}_kernels.h"
#include "dlc_runtime.h"

struct {name} {{
    dlc_context context;
}};

{self._weights()}
/* -- sizes that depend on the symbols {'-' * 85} */
{evaluate}
{tables}
/* -- a run {'-' * 112} */
{calls}
{info}
{self._functions()}"""

    # -- expressions --------------------------------------------------------------------------------------------------------
    def _symbols(self) -> list[str]:
        return [f"    const int64_t {c} = symbols[{i}];" for i, c in enumerate(self.names.symbols)]

    def _evaluate(self) -> Iterator[str]:
        yield "static int this_evaluate(const int64_t *symbols, int64_t *d)\n{"
        yield from self._symbols() if self.expressions else ["    (void)symbols, (void)d;"]
        yield "    int overflow = 0;"
        yield from (f"    {line}" for line in self.expressions.statements("d"))
        yield from (f"    (void){c};" for c in self.names.symbols if self.expressions)
        yield "    return overflow;\n}\n"

    def _evaluate_costs(self) -> Iterator[str]:
        yield "static void this_evaluate_costs(const int64_t *symbols, int64_t *d)\n{"
        yield from self._symbols() if self.costs else ["    (void)symbols, (void)d;"]
        if self.costs:
            yield "    int overflow = 0;"
        for line in self.costs.statements("d"):
            target = line.partition(" =")[0]
            yield f"    {line}"
            yield f"    {target} = overflow ? -1 : {target};\n    overflow = 0;"
        yield from (f"    (void){c};" for c in self.names.symbols if self.costs)
        yield "}\n"

    # -- tables -------------------------------------------------------------------------------------------------------------
    def _table(self, kind: str, name: str, rows: Sequence[str]) -> Iterator[str]:
        """A static array, one row a line; nothing where there are no rows."""
        if rows:
            self.tables.add(name)
            yield f"static const {kind} this_{name}[] = {{"
            yield from (f"    {row}," for row in rows)
            yield "};\n"

    def _ref(self, name: str) -> str:
        """A table's name, or the null pointer for one without rows."""
        return f"this_{name}" if name in self.tables else "NULL"

    def _tables(self) -> Iterator[str]:
        program, size = self.program, self.expressions.size
        buffers = () if self.static else program.buffers
        yield from self._table("dlc_buffer", "buffers", [f"{{{size(b.nbytes)}, {b.first}, {b.last}}}" for b in buffers])
        yield from self._table("dlc_constraint", "constraints", [
            f"{{{size(c.left)}, {size(c.right)}, {c_string(str(c.left))}, {c_string(str(c.right))}, {c_string(c.origin)}}}"
            for c in program.constraints])
        yield from self._table("dlc_size", "scratch", [size(s) for s in self._scratch()])
        yield from self._table("dlc_size", "dimensions", [size(d) for p in self.ports for d in p.type.shape])
        yield from self._table("dlc_size", "port_bytes", [size(p.type.nbytes) for p in self.ports])
        yield from self._table("dlc_size", "flops", [self.costs.size(c.flops) for c in program.calls])
        yield from self._table("dlc_size", "bytes", [self.costs.size(c.bytes) for c in program.calls])

    def _scratch(self) -> list[DimLike]:
        return [s for s in dict.fromkeys(c.scratch for c in self.program.calls) if s != 0]

    # -- the calls ----------------------------------------------------------------------------------------------------------
    def _calls(self) -> Iterator[str]:
        program, names = self.program, self.names
        used = {(type(a), a.index) for c in program.calls for a in c.arguments if not isinstance(a, DimArgument)}
        kinds = {kind for kind, _ in used}
        dims = [a.value for c in program.calls for a in c.arguments if isinstance(a, DimArgument)]
        texts = " ".join(self.expressions.value(d) for d in dims)
        yield "/* Every thread of the team comes through here and shares in the calls it meets; some are made by the first thread alone. */"
        yield "static void this_calls(dlc_context *context, dlc_team *team)\n{"
        if BufferArgument in kinds:
            yield "    void *const arena = context->arena;"
            if not self.static:
                yield "    const int64_t *const at = context->layout.offsets; /* of each buffer in the arena */"
        if ConstantArgument in kinds:
            yield f"    const void *const weights = {self.name}_weights_address;"
        if "d[" in texts:
            yield "    const int64_t *const d = context->layout.values;"
        for index, symbol in enumerate(names.symbols):
            if symbol in texts.split():
                yield f"    const int64_t {symbol} = context->symbols[{index}];"
        for index, parameter in enumerate(names.inputs):
            if (InputArgument, index) in used:
                yield f"    const void *const {parameter} = dlc_input(context, {index});"
        for index, parameter in enumerate(names.outputs):
            if (OutputArgument, index) in used:
                yield f"    void *const {parameter} = dlc_output(context, {index});"
        if any(not c.parallel for c in program.calls):
            yield "    dlc_team alone = dlc_alone(team);"
        for index, call in enumerate(program.calls):
            yield from self._call(index, call)
        if not program.calls:
            yield "    (void)context, (void)team;"
        yield "}\n"

    def _call(self, index: int, call: Call) -> Iterator[str]:
        yield f"\n    /* {c_comment(call_title(call))} */"
        if call.barrier and index and self.program.threads != 1:
            yield "    dlc_barrier(team);"
        yield f"    dlc_mark(context, team, {index});"
        arguments = ", ".join(["team" if call.parallel else "&alone", *(self._argument(a) for a in call.arguments)])
        invocation = f"{self.names.function(call.kernel.name)}({arguments});"
        if call.parallel or self.program.threads == 1:
            yield f"    {invocation}"
        else:
            yield f"    if (team->index == 0)\n        {invocation}"

    def _argument(self, argument: Argument) -> str:
        match argument:
            case InputArgument(index):
                return self.names.inputs[index]
            case OutputArgument(index):
                return self.names.outputs[index]
            case ConstantArgument(index):
                return _offset("weights", self.program.constant_offsets[index])
            case BufferArgument(index):
                return _offset("arena", self.offsets[index]) if self.static else f"arena + at[{index}]"
            case DimArgument(value):
                return self.expressions.value(value)
        raise TypeError(f"not a kernel argument: {argument!r}")

    def _weights(self) -> str:
        if not self.program.constants:
            return ""
        return (f"/* in {self.name}_weights.S */\n"
                f'extern const void *const {self.name}_weights_address __attribute__((visibility("hidden")));\n')

    # -- info ---------------------------------------------------------------------------------------------------------------
    def _info(self, header: str) -> Iterator[str]:
        program, names = self.program, self.names
        yield f"/* -- what {self.name} tells about itself {'-' * 85} */"
        for kind, parameters, ports in (("inputs", names.inputs, program.inputs), ("outputs", names.outputs, program.outputs)):
            yield from self._table("dlc_dim", f"{kind}_dims", [self._dim(d) for p in ports for d in p.type.shape])
            rows, start = [], 0
            for parameter, port in zip(parameters, ports):
                row = (c_string(port.name), c_string(parameter), c_string(dtype_name(port.type.dtype)), str(port.type.dtype.itemsize),
                       str(port.type.rank), f"this_{kind}_dims + {start}" if port.type.rank else "NULL")
                rows.append(f"{{{', '.join(row)}}}")
                start += port.type.rank
            yield from self._table("dlc_port", kind, rows)
        yield from self._table("dlc_call", "call_list", [
            f"{{{c_string(names.function(c.kernel.name))}, {c_string(c.form)}, {c_string(', '.join(c.origin))}, "
            f"{c_string(', '.join(c.operators))}, {int(c.parallel)}, {int(c.barrier)}}}" for c in program.calls])
        yield from self._table("dlc_metadata", "metadata", [f"{{{c_string(k)}, {c_string(v)}}}" for k, v in program.metadata.items()])
        yield from self._table("char *const", "symbols", [c_string(s) for s in program.symbols])
        yield from self._table("char *const", "features", [*(c_string(f) for f in self.target.requires), "0"])
        lines = "\n    ".join(c_string(line + "\n") for line in header.splitlines())
        yield f"static const char this_header[] =\n    {lines};\n"
        yield self._note()

    def _dim(self, dim: DimLike) -> str:
        symbol, scale, offset = linear(dim, self.program.symbols)
        return f"{{{c_string(str(dim))}, {symbol}, {c_int(scale)}, {c_int(offset)}}}"

    def _note(self) -> str:
        """An ELF note: what a loader has to know before it runs any of the library's code."""
        lines = {"format": str(FORMAT), "name": self.name, "version": VERSION, "target": self.target.name,
                 "features": " ".join(self.target.requires)}
        text = "".join(f"{key}={value}\n" for key, value in lines.items())
        text += "\n" * (-len(text) % 4)
        literals = "".join(f"\n    {c_string(line + chr(10))}" for line in text.removesuffix("\n").split("\n"))
        return f"""\
/* What a loader has to know before it runs any of this code. */
static const struct {{
    uint32_t name_bytes, text_bytes, type;
    char name[12];
    char text[{len(text)}];
}} this_note __attribute__((section(".note.dlcompile"), used, aligned(4))) = {{10, {len(text)}, 1, "dlcompile",{literals}}};
"""

    # -- functions ----------------------------------------------------------------------------------------------------------
    def _functions(self) -> str:
        program, names, name = self.program, self.names, self.name
        symbols = "".join(f", int64_t {s}" for s in names.symbols)
        ports = "".join([*(f", const {public_type(p)} *{n}" for n, p in zip(names.inputs, program.inputs)),
                         *(f", {public_type(p)} *{n}" for n, p in zip(names.outputs, program.outputs))])
        arena_parameters = (symbols + ", int32_t threads").removeprefix(", ")

        def array(kind: str, variable: str, values: Sequence[str]) -> str:
            return f"    {kind} {variable}[] = {{{', '.join(values) or '0'}}};"

        return f"""\
static int32_t this_shape(const int64_t *symbols, int32_t port, int64_t *dims);
static int64_t this_arena_bytes(const int64_t *symbols, int32_t threads);
static void this_costs(const int64_t *symbols, int64_t *flop_counts, int64_t *byte_counts);
static void *this_create(const dlc_options *options);

#ifdef __clang__
#define THIS_COMPILER "clang " __clang_version__
#else
#define THIS_COMPILER "gcc " __VERSION__
#endif

static const dlc_model_info this_info = {{
    .format = DLC_MODEL_FORMAT,
    .name = {c_string(name)},
    .version = {c_string(VERSION)},
    .compiler = THIS_COMPILER,
    .target = {c_string(self.target.name)},
    .features = {self._ref("features")},
    .header = this_header,
    .symbol_count = {len(program.symbols)},
    .input_count = {len(program.inputs)},
    .output_count = {len(program.outputs)},
    .call_count = {len(program.calls)},
    .metadata_count = {len(program.metadata)},
    .threads = {program.threads or 0},
    .symbols = {self._ref("symbols")},
    .inputs = {self._ref("inputs")},
    .outputs = {self._ref("outputs")},
    .calls = {self._ref("call_list")},
    .metadata = {self._ref("metadata")},
    .weights_bytes = {c_int(program.constant_bytes)},
    .shape = this_shape,
    .arena_bytes = this_arena_bytes,
    .costs = this_costs,
    .create = this_create,
    .run = dlc_any_run,
    .error = dlc_any_error,
    .destroy = dlc_any_destroy,
    .profile = dlc_any_profile,
    .context_threads = dlc_any_threads,
}};

static const dlc_program this_program = {{
    .info = &this_info,
    .expression_count = {len(self.expressions)},
    .cost_count = {len(self.costs)},
    .buffer_count = {0 if self.static else len(program.buffers)},
    .constraint_count = {len(program.constraints)},
    .scratch_count = {len(self._scratch())},
    .arena_bytes = {c_int(self.arena_bytes)},
    .evaluate = this_evaluate,
    .evaluate_costs = this_evaluate_costs,
    .buffers = {self._ref("buffers")},
    .constraints = {self._ref("constraints")},
    .scratch = {self._ref("scratch")},
    .dimensions = {self._ref("dimensions")},
    .port_bytes = {self._ref("port_bytes")},
    .flops = {self._ref("flops")},
    .bytes = {self._ref("bytes")},
    .calls = this_calls,
}};

/* -- the functions of the header {'-' * 90} */
{name} *{name}_create(const {name}_options *options)
{{
    return ({name} *)dlc_create(&this_program, options);
}}

int {name}_run({name} *context{symbols}{ports})
{{
{array("const int64_t", "symbol_values", names.symbols)}
{array("const void *const", "input_arrays", names.inputs)}
{array("void *const", "output_arrays", names.outputs)}
    return dlc_run((dlc_context *)context, symbol_values, input_arrays, output_arrays);
}}

const char *{name}_error(const {name} *context)
{{
    return dlc_error((const dlc_context *)context);
}}

void {name}_destroy({name} *context)
{{
    dlc_destroy((dlc_context *)context);
}}

int64_t {name}_arena_bytes({arena_parameters})
{{
{array("const int64_t", "symbol_values", names.symbols)}
    return dlc_arena_bytes(&this_program, symbol_values, threads);
}}

const dlc_model_info *{name}_info(void)
{{
    return &this_info;
}}

/* -- the same, for those who learn of the model at run time {'-' * 63} */
static int32_t this_shape(const int64_t *symbols, int32_t port, int64_t *dims)
{{
    return dlc_shape(&this_program, symbols, port, dims);
}}

static int64_t this_arena_bytes(const int64_t *symbols, int32_t threads)
{{
    return dlc_arena_bytes(&this_program, symbols, threads);
}}

static void this_costs(const int64_t *symbols, int64_t *flop_counts, int64_t *byte_counts)
{{
    dlc_costs(&this_program, symbols, flop_counts, byte_counts);
}}

static void *this_create(const dlc_options *options)
{{
    return dlc_create(&this_program, options);
}}
"""


def _offset(base: str, offset: int) -> str:
    return f"{base} + {c_int(offset)}" if offset else base
