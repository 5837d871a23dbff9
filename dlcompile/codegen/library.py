"""The source file of a model that has its functions, the tables that describe it, and the list of calls."""
from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcompile.codegen.dims import Expressions, c_int, linear
from dlcompile.codegen.interface import Interface, public_type, result_type
from dlcompile.codegen.names import c_string
from dlcompile.codegen.steps import Steps
from dlcompile.graph import DTYPES, Dim, DimLike, dtype_name, order_of
from dlcompile.kernels.memory import plan_arena
from dlcompile.kernels.program import Constraint, Loop, Program, walk
from dlcompile.kernels.target import Target
from dlcompile.version import FORMAT, VERSION


def library_source(program: Program, names: Interface, target: Target, header: str, part: bool = False) -> str:
    """NAME.c: the functions of the header, the tables that describe the model, and the calls of its kernels.

    part: of another library, which shows none of the functions and is not one that can be loaded as this model."""
    return _Library(program, names, target, part).text(header)


class _Library:
    def __init__(self, program: Program, names: Interface, target: Target, part: bool):
        self.program, self.names, self.target, self.part = program, names, target, part
        self.name = names.name
        self.symbols = dict(zip((*program.symbols, *program.unknowns), (*names.symbols, *names.unknowns)))
        self.expressions, self.costs = Expressions(self.symbols), Expressions(self.symbols)
        self.ports = (*program.inputs, *program.outputs)
        self.tables: set[str] = set()
        # by stage: those of a stage stand together in the table of buffers
        self.buffer_stages = [program.stage_of(b.nbytes) for b in program.buffers]
        loops = [s for s in walk(program.steps) if isinstance(s, Loop)]
        self.private = {buffer: number for number, loop in enumerate(loops) for buffer in loop.private or ()}  # → the loop whose turns use it
        self.planned = {i for i, stage in enumerate(self.buffer_stages) if stage == 0 and not program.symbols and i not in self.private}
        laid_out = sorted((i for i in range(len(program.buffers)) if i not in self.planned and i not in self.private),
                          key=lambda i: self.buffer_stages[i])
        self.rows = {buffer: row for row, buffer in enumerate(laid_out)}
        self.offsets: dict[int, int] = {}
        self.arena_bytes = self._plan(sorted(self.planned))
        self.private_bytes = {number: self._plan(loop.private) for number, loop in enumerate(loops) if loop.private is not None}

    def _plan(self, buffers: Sequence[int]) -> int:
        """Give buffers whose sizes are known their offsets in a piece of memory. How many bytes that has."""
        planned = [self.program.buffers[i] for i in buffers]
        offsets, nbytes = plan_arena([b.nbytes for b in planned], [(b.first, b.last) for b in planned])
        self.offsets.update(zip(buffers, offsets))
        return nbytes

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

#pragma GCC visibility push({"hidden" if self.part else "default"})
#include "{name}.h"
#pragma GCC visibility pop

#include "{name}_kernels.h"
#include "dlc_runtime.h"
{self._turns()}
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
    def _symbols(self, names: Sequence[str]) -> list[str]:
        """The symbols as variables, numbered as in `context->symbols`."""
        return [f"    const int64_t {c} = symbols[{i}];" for i, c in enumerate(self.symbols.values()) if c in names]

    def _evaluate(self) -> Iterator[str]:
        """A function for each stage, of the expressions whose values are known there."""
        by_stage: dict[int, list[str]] = {stage: [] for stage in range(len(self.program.defines) + 1)}
        mentioned: dict[int, set[str]] = {stage: set() for stage in by_stage}
        for dim, line in zip(self.expressions.rows, self.expressions.statements("d")):
            stage = self.program.stage_of(dim)
            by_stage[stage].append(line)
            mentioned[stage] |= {self.symbols[s.name] for s in dim.symbols}
        for stage, lines in by_stage.items():
            yield f"static int {_evaluator(stage)}(const int64_t *symbols, int64_t *d)\n{{"
            yield from self._symbols(mentioned[stage]) if lines else ["    (void)symbols, (void)d;"]
            yield "    int overflow = 0;"
            yield from (f"    {line}" for line in lines)
            yield "    return overflow;\n}\n"

    def _evaluate_costs(self) -> Iterator[str]:
        yield "static void this_evaluate_costs(const int64_t *symbols, int64_t *d)\n{"
        yield from self._symbols(self.names.symbols) if self.costs else ["    (void)symbols, (void)d;"]
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
        buffers = [program.buffers[i] for i in self.rows]
        constraints = sorted(program.constraints, key=self._constraint_stage)
        yield from self._table("dlc_buffer", "buffers", [f"{{{size(b.nbytes)}, {b.first}, {b.last}}}" for b in buffers])
        yield from self._table("dlc_constraint", "constraints", list(map(self._constraint, constraints)))
        scratch = sorted(self._scratch(), key=program.stage_of)
        yield from self._table("dlc_size", "scratch", [size(s) for s in scratch])
        yield from self._table("dlc_stage", "stages", list(self._stages(scratch)))
        yield from self._table("dlc_size", "dimensions", [size(d) for p in self.ports for d in p.type.shape])
        yield from self._table("dlc_size", "port_bytes", [size(p.type.nbytes) for p in self.ports])
        yield from self._table("dlc_update", "updates", [f"{{{output}, {source}}}" for output, source in program.updates])
        yield from self._table("dlc_size", "flops", [self._cost(c.flops) for c in program.calls])
        yield from self._table("dlc_size", "bytes", [self._cost(c.bytes) for c in program.calls])

    def _stages(self, scratch: Sequence[DimLike]) -> Iterator[str]:
        """What becomes known at each stage, in numbers of rows of the other tables: (first, how many)."""
        program = self.program
        symbol = len(program.symbols)
        groups = [[self.buffer_stages[i] for i in self.rows], sorted(map(self._constraint_stage, program.constraints)),
                  [program.stage_of(s) for s in scratch]]
        for stage, step in enumerate([None, *program.defines]):
            count = len(step.symbols) if step else 0
            spans = [(rows.index(stage), rows.count(stage)) if stage in rows else (0, 0) for rows in groups]
            cells = [f"{{{first}, {rows}}}" for first, rows in ((symbol, count), *spans)]
            yield f"{{{', '.join(cells)}, {_evaluator(stage)}, {c_string(', '.join(step.origin) or '?' if step else '')}}}"
            symbol += count

    def _constraint(self, constraint: Constraint) -> str:
        """Two equal dimensions; where one is the lesser of the other and a third, which is one of them being at most the other, as that."""
        ordered = order_of(constraint.left, constraint.right)
        left, right = ordered or (constraint.left, constraint.right)
        relation, size = "DLC_AT_MOST" if ordered else "DLC_EQUAL", self.expressions.size
        return f"{{{relation}, {size(left)}, {size(right)}, {c_string(str(left))}, {c_string(str(right))}, {c_string(constraint.origin)}}}"

    def _constraint_stage(self, constraint: Constraint) -> int:
        return max(constraint.stage, self.program.stage_of(constraint.left), self.program.stage_of(constraint.right))

    def _cost(self, amount: DimLike) -> str:
        """An amount of work; -1 for one that only a run knows, and for one beyond 64 bits."""
        told = self.program.stage_of(amount) == 0 and (isinstance(amount, Dim) or amount < 2**63)
        return self.costs.size(amount if told else -1)

    def _scratch(self) -> list[DimLike]:
        """What threads need beside the arena: the scratch of calls, and the buffers of turns that they take for themselves with that of the calls in
        them."""
        loops = [s for s in walk(self.program.steps) if isinstance(s, Loop)]
        turns = [self.private_bytes[i] + max((c.scratch for c in loop.body), default=0) for i, loop in enumerate(loops) if loop.private is not None]
        return [s for s in dict.fromkeys([*(c.scratch for c in self.program.calls), *turns]) if s != 0]

    # -- the calls ----------------------------------------------------------------------------------------------------------
    def _calls(self) -> Iterator[str]:
        calls = Steps(self)
        lines = list(calls.lines())
        yield "/* Every thread of the team comes through here and shares in the calls it meets; some are made by the first thread alone. */"
        yield "static void this_calls(dlc_context *context, dlc_team *team)\n{"
        yield from calls.declarations(" ".join(line for line in lines if not line.lstrip().startswith("/*")))
        yield from lines
        if not lines:
            yield "    (void)context, (void)team;"
        yield "}\n"

    def _turns(self) -> str:
        return '#include "dlc_turns.h"\n' if self.private_bytes else ""

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
                row = (c_string(port.name), c_string(parameter), c_string(dtype_name(port.type.dtype)), str(DTYPES[port.type.dtype].itemsize),
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
        if not self.part:
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
                         *(f", {result_type(program, p)} *{n}" for n, p in zip(names.outputs, program.outputs))])
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
    .buffer_count = {len(self.rows)},
    .stage_count = {len(program.defines) + 1},
    .unknown_count = {len(program.unknowns)},
    .box_count = {program.boxes},
    .constraint_count = {len(program.constraints)},
    .scratch_count = {len(self._scratch())},
    .update_count = {len(program.updates)},
    .arena_bytes = {c_int(self.arena_bytes)},
    .stages = this_stages,
    .evaluate_costs = this_evaluate_costs,
    .buffers = {self._ref("buffers")},
    .constraints = {self._ref("constraints")},
    .scratch = {self._ref("scratch")},
    .dimensions = {self._ref("dimensions")},
    .port_bytes = {self._ref("port_bytes")},
    .updates = {self._ref("updates")},
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


def _evaluator(stage: int) -> str:
    return f"this_evaluate_{stage}" if stage else "this_evaluate"
