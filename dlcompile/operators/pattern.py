"""Regular expressions made into deterministic automata over the bytes of UTF-8, when a model is compiled.

The syntax is RE2's as far as Python's parser reads the same; the little that is spelled otherwise is respelled first. `\\d`, `\\w`, `\\s` and `\\b` know
ASCII only, `$` is the end of the text, as there. What no automaton of finite size can do (back references, looking around) RE2 refuses
too.
"""
from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import numpy as np

try:
    from re import _constants as sre
    from re import _parser as parser
except ImportError:  # Python 3.10
    import sre_constants as sre
    import sre_parse as parser

from dlcompile.errors import InvalidModelError, UnsupportedOperatorError

MOST_STATES = 10_000
MOST_NODES = 200_000
LAST = 0x10FFFF
Ranges = list[tuple[int, int]]

_POSIX = {"alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F", "digit": "0-9",
          "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ", "upper": "A-Z",
          "word": "0-9A-Za-z_", "xdigit": "0-9A-Fa-f"}
_CATEGORIES = {sre.CATEGORY_DIGIT: [(48, 57)], sre.CATEGORY_SPACE: [(9, 10), (12, 13), (32, 32)],
               sre.CATEGORY_WORD: [(48, 57), (65, 90), (95, 95), (97, 122)]}
_OPPOSITES = {sre.CATEGORY_NOT_DIGIT: sre.CATEGORY_DIGIT, sre.CATEGORY_NOT_SPACE: sre.CATEGORY_SPACE, sre.CATEGORY_NOT_WORD: sre.CATEGORY_WORD}
_REFUSED = {"GROUPREF": "back references", "GROUPREF_EXISTS": "conditions on groups", "ASSERT": "looking ahead or behind",
            "ASSERT_NOT": "looking ahead or behind", "ATOMIC_GROUP": "atomic groups", "POSSESSIVE_REPEAT": "possessive repetition"}


@lru_cache(maxsize=64)
def automaton(pattern: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(next state int32[states, classes], class of each byte uint8[256], whether a state accepts uint8[states]); the first state is 0.

    InvalidModelError for what is no pattern, UnsupportedOperatorError for one that no automaton of `MOST_STATES` can match.
    """
    what = f"the pattern {pattern!r}"
    try:
        tree = parser.parse(_respelled(pattern), re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise InvalidModelError(f"{what} is no regular expression: {error}") from None
    try:
        machine = _Machine(what)
        machine.add_sequence(tree, tree.state.flags)
    except RecursionError:
        raise UnsupportedOperatorError(f"{what} is nested too deep") from None
    return _determined(machine, what)


def _respelled(pattern: str) -> str:
    r"""RE2's own spellings as Python's: \z, \Q…\E, [[:alpha:]], \x{…}, \C, \pN."""
    out, i, inside = [], 0, False
    while i < len(pattern):
        pair, rest = pattern[i:i + 2], pattern[i:]
        if pair == r"\Q":
            end = pattern.find(r"\E", i)
            end = len(pattern) if end < 0 else end
            out.append(re.escape(pattern[i + 2:end]))
            i = end + 2
        elif pair == r"\z":
            out.append(r"\Z")
            i += 2
        elif found := re.match(r"\\x\{([0-9A-Fa-f]{1,6})\}", rest):
            if int(found[1], 16) > LAST:
                raise InvalidModelError(f"the pattern {pattern!r} is no regular expression: there is no character {found[1]}")
            out.append(f"\\U{int(found[1], 16):08x}")
            i += found.end()
        elif pair in (r"\p", r"\P", r"\C", r"\Z") or inside and pair == "[:" and not re.match(r"\[:\^?[a-z]+:\]", rest):
            raise UnsupportedOperatorError(f"the pattern {pattern!r} has {pair}, which is not supported")
        elif inside and (found := re.match(r"\[:([a-z]+):\]", rest)) and found[1] in _POSIX:
            out.append(_POSIX[found[1]])
            i += found.end()
        elif pair.startswith("\\"):
            out.append(pair)
            i += 2
        else:
            if pattern[i] == "[" and not inside:
                inside = True
                head = re.match(r"\[\^?\]?", rest)[0]
                out.append(head)
                i += len(head)
                continue
            inside = inside and pattern[i] != "]"
            out.append(pattern[i])
            i += 1
    return "".join(out)


# -- the automaton that is in several states at once ------------------------------------------------------------------------
class _Machine:
    """States with edges on ranges of bytes, and edges that read nothing, some of which hold only in a place."""

    def __init__(self, what: str):
        self.what = what
        self.reading: list[list[tuple[int, int, int]]] = []
        self.free: list[list[tuple[str, int]]] = []
        self.end = self.state()
        self.looks = False

    def state(self) -> int:
        if len(self.reading) > MOST_NODES:
            raise UnsupportedOperatorError(f"{self.what} is too large: its repetitions make more than {MOST_NODES} states")
        self.reading.append([])
        self.free.append([])
        return len(self.reading) - 1

    def add_sequence(self, items, flags: int) -> None:
        self.end = self._sequence(items, self.end, flags)

    def _sequence(self, items, at: int, flags: int) -> int:
        for op, value in items:
            at = self._item(op, value, at, flags)
        return at

    def _item(self, op, value, at: int, flags: int) -> int:
        name = str(op)
        if name in _REFUSED:
            raise UnsupportedOperatorError(f"{self.what} has {_REFUSED[name]}, which RE2 does not have either")
        if op in (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN):
            return self._read(at, _characters(op, value, flags))
        if op is sre.SUBPATTERN:
            _, more, less, inside = value
            return self._sequence(inside, at, (flags | more) & ~less)
        if op is sre.BRANCH:
            end = self.state()
            for branch in value[1]:
                self.free[self._sequence(branch, at, flags)].append(("", end))
            return end
        if op in (sre.MAX_REPEAT, sre.MIN_REPEAT):
            return self._repeat(*value, at, flags)
        if op is sre.AT:
            place = {sre.AT_BEGINNING: "line begins" if flags & re.MULTILINE else "begins", sre.AT_BEGINNING_STRING: "begins",
                     sre.AT_END: "line ends" if flags & re.MULTILINE else "ends", sre.AT_END_STRING: "ends", sre.AT_BOUNDARY: "boundary",
                     sre.AT_NON_BOUNDARY: "no boundary"}[value]
            end = self.state()
            self.free[at].append((place, end))
            self.looks = True
            return end
        raise UnsupportedOperatorError(f"{self.what} has {name}, which is not supported")

    def _repeat(self, least: int, most: int, items, at: int, flags: int) -> int:
        for _ in range(least):
            at = self._sequence(items, at, flags)
        if most is sre.MAXREPEAT or most == sre.MAXREPEAT:
            begin = self.state()
            self.free[at].append(("", begin))
            self.free[self._sequence(items, begin, flags)].append(("", begin))
            return begin
        end = self.state()
        self.free[at].append(("", end))
        for _ in range(most - least):
            at = self._sequence(items, at, flags)
            self.free[at].append(("", end))
        return end

    def _read(self, at: int, ranges: Ranges) -> int:
        """One character of the ranges, as the bytes of UTF-8."""
        end = self.state()
        for low, high in ranges:
            for sequence in _utf8(low, high):
                here = at
                for i, (first, last) in enumerate(sequence):
                    there = end if i + 1 == len(sequence) else self.state()
                    self.reading[here].append((first, last, there))
                    here = there
        return end


def _characters(op, value, flags: int) -> Ranges:
    if op is sre.ANY:
        return _normal([(0, LAST)] if flags & re.DOTALL else [(0, 9), (11, LAST)])
    if op in (sre.LITERAL, sre.NOT_LITERAL):
        ranges = _folded([(value, value)], flags)
        return _normal(ranges) if op is sre.LITERAL else _without(_normal(ranges))
    ranges, negative = [], False
    for kind, item in value:
        if kind is sre.NEGATE:
            negative = True
        elif kind is sre.LITERAL:
            ranges.append((item, item))
        elif kind is sre.RANGE:
            ranges.append(item)
        else:
            ranges += _CATEGORIES[item] if item in _CATEGORIES else _without(_CATEGORIES[_OPPOSITES[item]])
    ranges = _normal(_folded(ranges, flags))
    return _without(ranges) if negative else ranges


def _folded(ranges: Ranges, flags: int) -> Ranges:
    """With the characters that are the same but for their case."""
    if not flags & re.IGNORECASE:
        return ranges
    found = list(ranges)
    others = _case_pairs()
    for low, high in ranges:
        found += [(b, b) for a, b in others if low <= a <= high]
    return found


@lru_cache(maxsize=1)
def _case_pairs() -> list[tuple[int, int]]:
    families: dict[str, list[int]] = {}
    for code in range(LAST + 1):
        folded = chr(code).casefold()
        if len(folded) == 1:
            families.setdefault(folded, []).append(code)
    return [(a, b) for family in families.values() if len(family) > 1 for a in family for b in family if a != b]


def _normal(ranges: Ranges) -> Ranges:
    """Rising, apart from one another, and without what is no character (the surrogates)."""
    result: Ranges = []
    for low, high in sorted(ranges):
        if result and low <= result[-1][1] + 1:
            result[-1] = (result[-1][0], max(high, result[-1][1]))
        else:
            result.append((low, high))
    parts = [(max(low, a), min(high, b)) for low, high in result for a, b in ((0, 0xD7FF), (0xE000, LAST))]
    return [(low, high) for low, high in parts if low <= high]


def _without(ranges: Ranges) -> Ranges:
    """All other characters."""
    result, begin = [], 0
    for low, high in ranges:
        result.append((begin, low - 1))
        begin = high + 1
    return _normal([(a, b) for a, b in (*result, (begin, LAST)) if a <= b])


def _utf8(low: int, high: int) -> Iterator[list[tuple[int, int]]]:
    """Sequences of ranges of bytes that together are the characters low to high."""
    for limit in (0x7F, 0x7FF, 0xFFFF):
        if low <= limit < high:
            yield from _utf8(low, limit)
            yield from _utf8(limit + 1, high)
            return
    count = len(chr(low).encode())
    for tail in range(1, count):
        mask = (1 << 6 * tail) - 1
        if low & ~mask != high & ~mask:
            if low & mask:
                yield from _utf8(low, low | mask)
                yield from _utf8((low | mask) + 1, high)
                return
            if high & mask != mask:
                yield from _utf8(low, (high & ~mask) - 1)
                yield from _utf8(high & ~mask, high)
                return
    yield list(zip(chr(low).encode(), chr(high).encode()))


# -- made deterministic -----------------------------------------------------------------------------------------------------
def _kind(byte: int) -> str:
    return "line" if byte == 10 else "word" if chr(byte).isalnum() and byte < 128 or byte == 95 else "other"


def _holds(place: str, before: str, after: str) -> bool:
    """Whether a place lies between what is before it and what is after it."""
    boundary = (before == "word") != (after == "word")
    return {"": True, "begins": before == "edge", "ends": after == "edge", "line begins": before in ("edge", "line"),
            "line ends": after in ("edge", "line"), "boundary": boundary, "no boundary": not boundary}[place]


def _determined(machine: _Machine, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    class_of, samples = _classes(machine)

    def reached(states: frozenset[int], before: str, after: str) -> set[int]:
        seen, stack = set(states), list(states)
        while stack:
            for place, there in machine.free[stack.pop()]:
                if there not in seen and _holds(place, before, after):
                    seen.add(there)
                    stack.append(there)
        return seen

    start = (frozenset([0]), "edge")
    numbers, rows, accepts, work = {start: 0}, [], [], [start]
    for states, before in work:  # grows while it is walked
        row = []
        sets: dict[str, set[int]] = {}
        for byte in samples:
            after = _kind(byte) if machine.looks else "other"
            if after not in sets:
                sets[after] = reached(states, before, after)
            following = frozenset(there for s in sets[after] for low, high, there in machine.reading[s] if low <= byte <= high)
            key = (following, after if machine.looks and following else "other")
            if key not in numbers:
                if len(numbers) >= MOST_STATES:
                    raise UnsupportedOperatorError(f"{what} needs an automaton of more than {MOST_STATES} states")
                numbers[key] = len(numbers)
                work.append(key)
            row.append(numbers[key])
        rows.append(row)
        accepts.append(machine.end in reached(states, before, "edge"))
    return np.array(rows, np.int32).reshape(len(rows), len(samples)), class_of, np.array(accepts, np.uint8)


def _classes(machine: _Machine) -> tuple[np.ndarray, list[int]]:
    """The class of each byte, those of one class being the same to the machine, and a byte of each."""
    edges = {(low, high) for state in machine.reading for low, high, _ in state}
    cuts = {0, *(low for low, _ in edges), *(high + 1 for _, high in edges)}
    if machine.looks:
        cuts |= {b for b in range(1, 256) if _kind(b) != _kind(b - 1)}
    class_of = np.cumsum([b in cuts for b in range(256)]).astype(np.int64) - 1
    return class_of.astype(np.uint8), [int(np.flatnonzero(class_of == c)[0]) for c in range(class_of.max() + 1)]
