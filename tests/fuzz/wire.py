"""Mutations of bytes: of any bytes, and of protobuf's fields without knowing what they mean."""
from __future__ import annotations

import copy
from dataclasses import dataclass
from random import Random

from tests.fuzz.values import INTS


def mutate_bytes(random: Random, data: bytes) -> bytes:
    """The bytes with some changes: a well-formed message with other fields, or what comes of a broken disk."""
    message = parsed(data) if random.random() < 0.7 else None
    if message is not None:
        for _ in range(random.choice((1, 1, 2, 4))):
            _change_field(random, message)
        return b"".join(field.encoded() for field in message)
    changed = bytearray(data)
    for _ in range(random.choice((1, 1, 2, 4, 16, 40))):
        if changed:
            random.choice(BYTE_MUTATIONS)(random, changed)
    return bytes(changed)


# -- any bytes --------------------------------------------------------------------------------------------------------------
def _flip(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)


def _set(random: Random, data: bytearray) -> None:
    data[random.randrange(len(data))] = random.choice((0, 1, 127, 128, 255, random.randrange(256)))


def _insert(random: Random, data: bytearray) -> None:
    place = random.randint(0, len(data))
    data[place:place] = random.randbytes(random.choice((1, 1, 2, 8)))


def _delete(random: Random, data: bytearray) -> None:
    place = random.randrange(len(data))
    del data[place:place + random.choice((1, 1, 2, 8, 64))]


def _truncate(random: Random, data: bytearray) -> None:
    del data[random.randrange(len(data)):]


def _copy(random: Random, data: bytearray) -> None:
    start, to = random.randrange(len(data)), random.randint(0, len(data))
    data[to:to] = data[start:start + random.choice((1, 4, 16, 64, 256))]


BYTE_MUTATIONS = (_flip, _flip, _set, _insert, _delete, _truncate, _copy)


# -- fields -----------------------------------------------------------------------------------------------------------------
@dataclass
class Field:
    """A field of a message: its number, its kind, and its payload: an integer, bytes, or the fields of a message inside."""

    number: int
    kind: int
    payload: int | bytes | list[Field]

    def encoded(self) -> bytes:
        tag = varint(self.number << 3 | self.kind)
        if self.kind == 0:
            return tag + varint(self.payload)
        if self.kind in (1, 5):
            return tag + self.payload
        body = b"".join(f.encoded() for f in self.payload) if isinstance(self.payload, list) else self.payload
        return tag + varint(len(body)) + body


def _change_field(random: Random, message: list[Field]) -> None:
    """One field of a message or of one inside it: another value, number or kind; left out, or there twice, or from elsewhere."""
    groups = _groups(message)
    group = random.choice([g for g in groups if g] or [message])
    if not group:
        return
    place = random.randrange(len(group))
    field = group[place]
    action = random.randrange(8)
    if action == 0:
        del group[place]
    elif action == 1:
        group.insert(random.randint(0, len(group)), copy.deepcopy(field))
    elif action == 2:
        other = random.choice(random.choice([g for g in groups if g]))
        group.insert(random.randint(0, len(group)), copy.deepcopy(other))
    elif action == 3:
        field.number = max(1, field.number + random.choice((-1, 1, 2, 5, 10)))
    elif field.kind == 0:
        field.payload = random.choice((*INTS, field.payload + 1, field.payload ^ 1)) % 2**64
    elif isinstance(field.payload, list):
        random.shuffle(field.payload)
    elif isinstance(field.payload, bytes) and field.kind == 2:
        data = bytearray(field.payload)
        if data:
            random.choice(BYTE_MUTATIONS)(random, data)
        field.payload = bytes(data)
    else:
        field.payload = random.randbytes(len(field.payload))


def _groups(message: list[Field]) -> list[list[Field]]:
    """The fields of a message, and of each inside it."""
    found: dict[int, list[Field]] = {}
    waiting = [message]
    while waiting:
        group = waiting.pop()
        if id(group) not in found:
            found[id(group)] = group
            waiting += [field.payload for field in group if isinstance(field.payload, list)]
    return list(found.values())


def parsed(data: bytes, deep: int = 12) -> list[Field] | None:
    """The fields of a message and of those inside it; None where the bytes are no message."""
    found: list[Field] = []
    at = 0
    while at < len(data):
        tag = _read_varint(data, at)
        if tag is None or tag[0] >> 3 == 0:
            return None
        (number, kind), at = divmod(tag[0], 8), tag[1]
        if kind == 0:
            value = _read_varint(data, at)
            if value is None:
                return None
            payload, at = value
        elif kind in (1, 2, 5):
            size = (8 if kind == 1 else 4, at) if kind != 2 else _read_varint(data, at)
            if size is None or size[1] + size[0] > len(data):
                return None
            payload, at = data[size[1]:size[1] + size[0]], size[1] + size[0]
            if kind == 2 and deep and len(payload) > 1:
                payload = parsed(payload, deep - 1) or payload
        else:
            return None
        found.append(Field(number, kind, payload))
    return found


def varint(value: int) -> bytes:
    """Protobuf's encoding of an unsigned integer."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    """(value, position after it); None where there is none."""
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 127) << shift
        at += 1
        if data[at - 1] < 128:
            return value, at
        shift += 7
    return None
