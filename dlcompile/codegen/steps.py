"""The body of a run: the steps of a program as C, calls in the order in which they are made, inside the branches and loops around them."""
from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlcompile.codegen.dims import c_int
from dlcompile.codegen.names import c_comment, c_string
from dlcompile.codegen.units import call_title
from dlcompile.graph import Dim, DimLike
from dlcompile.kernels.program import (
    Argument,
    BoxArgument,
    Branch,
    BufferArgument,
    Call,
    Carry,
    ConstantArgument,
    Define,
    DimArgument,
    Element,
    InputArgument,
    Loop,
    OutputArgument,
    Part,
    Reserve,
    Step,
    VariableArgument,
    walk,
)

if TYPE_CHECKING:
    from dlcompile.codegen.library import _Library


class Steps:
    """The steps of a library's program, printed."""

    def __init__(self, library: _Library):
        self.library, self.program, self.names = library, library.program, library.names
        self.threads = self.program.threads != 1
        self.call = 0
        self.team, self.alone = "team", "&alone"  # who makes the calls, and who those for one thread
        self.grows = {c.next.index for s in walk(self.program.steps) if isinstance(s, Loop) for c in s.carries if c.grows}
        self.grows |= {c.now.index for s in walk(self.program.steps) if isinstance(s, Loop) for c in s.carries if c.grows}
        self.turn_of = {p.variable.index: p for s in walk(self.program.steps) if isinstance(s, Loop) for p in s.parts if p.grows}

    def lines(self) -> Iterator[str]:
        """The statements of the function."""
        yield from self._block(self.program.steps, 1)

    def declarations(self, text: str) -> Iterator[str]:
        """The variables that the statements use which are the same for a whole run."""
        words = set(text.replace("(", " ").replace(")", " ").replace(",", " ").replace(";", " ").replace("[", " ").replace("*", " ").split())
        names = self.names
        if "arena" in words:
            yield "    void *const arena = context->arena;"
        if "at" in words:
            yield "    const int64_t *const at = context->layout.offsets; /* of each buffer in the arena */"
        if "weights" in words:
            yield f"    const void *const weights = {self.library.name}_weights_address;"
        if "d" in words:
            yield "    const int64_t *const d = context->layout.values;"
        for index, symbol in enumerate(names.symbols):
            if symbol in words:
                yield f"    const int64_t {symbol} = context->symbols[{index}];"
        for index, parameter in enumerate(names.inputs):
            if parameter in words:
                yield f"    const void *const {parameter} = dlc_input(context, {index});"
        for index, parameter in enumerate(names.outputs):
            if parameter in words:
                yield f"    void *const {parameter} = dlc_output(context, {index});"
        if "&alone" in words:
            yield "    dlc_team alone = dlc_alone(team);"

    # -- steps --------------------------------------------------------------------------------------------------------------
    def _block(self, steps: tuple[Step, ...], depth: int) -> Iterator[str]:
        indent = "    " * depth
        for step in steps:
            for line in self._step(step, depth):
                yield f"{indent}{line}" if line else line

    def _step(self, step: Step, depth: int) -> Iterator[str]:
        match step:
            case Call():
                yield from self._call(step)
            case Define():
                yield from self._define(step)
            case Reserve():
                yield from self._reserve(step)
            case Branch():
                yield from self._branch(step)
            case Loop():
                yield from self._loop(step)

    def _inside(self, steps: tuple[Step, ...]) -> Iterator[str]:
        for line in self._block(steps, 1):
            yield line

    def _call(self, call: Call) -> Iterator[str]:
        index, self.call = self.call, self.call + 1
        yield ""
        yield f"/* {c_comment(call_title(call))} */"
        if call.barrier and self.threads:
            yield f"dlc_barrier({self.team});"
        yield f"dlc_mark(context, team, {index});"
        team = self.team if call.parallel else self.alone
        stage = self.program.stage_of(call.scratch)
        if stage:
            team = f"&(dlc_team[]){{dlc_stage_team(context, {team}, {stage})}}[0]"
        arguments = ", ".join([team, *(self.argument(a) for a in call.arguments)])
        invocation = f"{self.names.function(call.kernel.name)}({arguments});"
        if call.parallel or not self.threads:
            yield invocation
        else:
            yield f"if ({self.team}->index == 0)"
            yield f"    {invocation}"

    def _define(self, step: Define) -> Iterator[str]:
        names = [self.library.symbols[s] for s in step.symbols]
        sources = ", ".join(f"(const int64_t *)({self.argument(e.argument)}){self._index(e)}" for e in step.sources)
        yield ""
        what = ", ".join(names) or "what has to hold in this branch"
        yield f"/* {what}: {c_comment(', '.join(step.origin) or 'no node of the model')} */"
        yield f"if (dlc_define(context, team, {step.stage}, {f'(const int64_t *const[]){{{sources}}}' if sources else 'NULL'}))"
        yield "    return;"
        for name in names:
            yield f"const int64_t {name} __attribute__((unused)) = context->symbols[{list(self.library.symbols.values()).index(name)}];"
        if any(stage == step.stage for stage in self.library.buffer_stages):
            yield f"void *const arena_{step.stage} = context->stages[{step.stage}].memory;"

    def _reserve(self, step: Reserve) -> Iterator[str]:
        nbytes = self.value(step.nbytes)
        match step.target:
            case OutputArgument(index):
                box = f"&context->results[{index}]"
            case BoxArgument(index):
                box = f"&context->boxes[{index}]"
            case VariableArgument(index) if index in self.turn_of:
                box = f"&context->boxes[{self.turn_of[index].array.index}]"
                number, loop = self.depth(index)
                shape = [self.value(d) for d in self._varying(self.turn_of[index])]
                dims = f"{len(shape)}, (const int64_t[]){{{', '.join(shape)}}}, p{index}_dims" if shape else "0, NULL, NULL"
                yield f"if (dlc_append(context, team, {box}, turn_{number}, {nbytes}, {dims}, {c_string(', '.join(loop.origin) or '?')}, &p{index}))"
                yield "    return;"
                return
            case VariableArgument(index):
                box = f"p{index}"
        yield f"if (dlc_reserve(context, team, {box}, {nbytes}))"
        yield "    return;"

    def depth(self, variable: int) -> tuple[int, Loop]:
        """The loop whose part a variable is, and its number: what its turns are counted by."""
        loops = [s for s in walk(self.program.steps) if isinstance(s, Loop)]
        return next((i, s) for i, s in enumerate(loops) if any(p.variable.index == variable for p in s.parts))

    @staticmethod
    def _varying(part: Part) -> list[Dim]:
        """The dimensions of a turn's part that could be others in another turn."""
        return [d for d in part.shape if isinstance(d, Dim)]

    def _branch(self, step: Branch) -> Iterator[str]:
        yield ""
        yield f"/* {c_comment(', '.join(step.origin) or 'no node of the model')}: a branch */"
        yield from ["dlc_barrier(team);"] if self.threads else []
        yield f"if (((const uint8_t *)({self.argument(step.predicate.argument)})){self._at(step.predicate)}) {{"
        yield from self._inside(step.then)
        if step.otherwise:
            yield "} else {"
            yield from self._inside(step.otherwise)
        yield "}"

    def _loop(self, step: Loop) -> Iterator[str]:
        number = self._number(step)
        turn = f"turn_{number}"
        if step.private is not None:
            yield from self._turns(step, number)
            return
        yield ""
        yield f"/* {c_comment(', '.join(step.origin) or 'no node of the model')}: a loop */"
        yield from ["dlc_barrier(team);"] if self.threads else []
        for carry in step.carries:
            yield from self._begin(carry)
        for part in step.parts:
            if part.grows and self._varying(part):
                yield f"int64_t p{part.variable.index}_dims[{len(self._varying(part))}] = {{0}}; /* of what the turns yield */"
        if step.length is None:
            yield f"int64_t {turn} = 0;"
            yield f"for (;; ++{turn}) {{"
        else:
            yield f"for (int64_t {turn} = 0; {turn} < {self.value(step.length)}; ++{turn}) {{"
        if step.going is not None:
            yield from self._inside(step.test)
            yield from ["    dlc_barrier(team);"] if self.threads else []
            yield f"    if (!((const uint8_t *)({self.argument(step.going.argument)})){self._at(step.going)})"
            yield "        break;"
        for part in step.parts:
            yield f"    {self._part(part, turn, step)}"
        yield from self._inside(step.body)
        yield from ["    dlc_barrier(team);"] if self.threads else []
        for carry in step.carries:
            yield from (f"    {line}" for line in self._hand_over(carry))
        yield "}"
        if step.counter is not None:
            yield "if (team->index == 0)"
            yield f"    *(int64_t *)({self.argument(step.counter)}) = {turn};"
            yield from ["dlc_barrier(team);"] if self.threads else []

    def _turns(self, step: Loop, number: int) -> Iterator[str]:
        """A loop whose turns threads take for themselves."""
        turn, turns = f"turn_{number}", f"turns_{number}"
        yield ""
        yield f"/* {c_comment(', '.join(step.origin) or 'no node of the model')}: turns that need nothing of one another */"
        yield from ["dlc_barrier(team);"] if self.threads else []
        yield (f"for (dlc_turns {turns} = dlc_first_turn(context, team, {self.value(step.length)}, {c_int(self.library.private_bytes[number])}); "
               f"{turns}.turn < {turns}.length; dlc_next_turn(context, &{turns})) {{")
        yield f"    dlc_team *const taker_{number} = &{turns}.team;"
        yield f"    const int64_t {turn} = {turns}.turn;"
        for part in step.parts:
            yield f"    {self._part(part, turn, step)}"
        self.team, self.alone = f"taker_{number}", f"&(dlc_team[]){{dlc_alone(taker_{number})}}[0]"
        yield from self._inside(step.body)
        self.team, self.alone = "team", "&alone"
        yield "}"
        yield from ["dlc_barrier(team);"] if self.threads else []

    def _number(self, loop: Loop) -> int:
        """The number of a loop among all of them."""
        return next(i for i, s in enumerate(s for s in walk(self.program.steps) if isinstance(s, Loop)) if s is loop)

    def _begin(self, carry: Carry) -> Iterator[str]:
        now, following = f"p{carry.now.index}", f"p{carry.next.index}"
        first, second = carry.places
        if carry.grows:
            yield f"dlc_box *{now} = &context->boxes[{first.index}], *{following} = &context->boxes[{second.index}];"
            yield f"if (dlc_fill(context, team, {now}, {self.argument(carry.initial)}, {self.value(carry.nbytes)}))"
            yield "    return;"
        else:
            yield f"void *{now} = (void *)(uintptr_t)({self.argument(carry.initial)});"
            yield f"void *{following} = {self.argument(first)}, *{following}_after = {self.argument(second)};"

    def _hand_over(self, carry: Carry) -> Iterator[str]:
        now, following = f"p{carry.now.index}", f"p{carry.next.index}"
        if carry.grows:
            yield f"dlc_box *const {now}_before = {now};"
            yield f"{now} = {following};"
            yield f"{following} = {now}_before;"
        else:
            yield f"{now} = {following};"
            yield f"{following} = {following}_after;"
            yield f"{following}_after = {now};"

    def _part(self, part: Part, turn: str, loop: Loop) -> str:
        if part.grows:
            return f"void *p{part.variable.index} = NULL;"
        place = f"({self.value(loop.length)} - 1 - {turn})" if loop.reverse else turn
        array = self.argument(part.array)
        return f"void *const p{part.variable.index} = (char *)(uintptr_t)({array}) + {place} * {self.value(part.nbytes)};"

    # -- arguments ----------------------------------------------------------------------------------------------------------
    def argument(self, argument: Argument) -> str:
        """An argument of a kernel."""
        match argument:
            case InputArgument(index):
                return self.names.inputs[index]
            case OutputArgument(index) if self.program.stage_of(self.program.outputs[index].type.size):
                return f"context->results[{index}].memory"
            case OutputArgument(index):
                return self.names.outputs[index]
            case ConstantArgument(index):
                return _offset("weights", self.program.constant_offsets[index])
            case BufferArgument(index) if index in self.library.private:
                return _offset(f"turns_{self.library.private[index]}.memory", self.library.offsets[index])
            case BufferArgument(index) if index in self.library.planned:
                return _offset("arena", self.library.offsets[index])
            case BufferArgument(index):
                stage = self.library.buffer_stages[index]
                return f"{f'arena_{stage}' if stage else 'arena'} + at[{self.library.rows[index]}]"
            case BoxArgument(index):
                return f"context->boxes[{index}].memory"
            case VariableArgument(index):
                return f"p{index}->memory" if index in self.grows else f"p{index}"
            case DimArgument(value):
                return self.value(value)
        raise TypeError(f"not a kernel argument: {argument!r}")

    def value(self, dim: DimLike) -> str:
        """A dimension."""
        return self.library.expressions.value(dim)

    def _index(self, element: Element) -> str:
        return f" + {self.value(element.index)}" if element.index != 0 else ""

    def _at(self, element: Element) -> str:
        return f"[{self.value(element.index)}]"


def _offset(base: str, offset: int) -> str:
    return f"{base} + {c_int(offset)}" if offset else base
