"""A finding in fewer nodes: whatever can be left out of a model without changing how it fails is left out."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from random import Random

import onnx
from google.protobuf.message import DecodeError

from tests.fuzz import structure
from tests.fuzz.attempt import Outcome, Shares, follow
from tests.fuzz.running import alone

ALWAYS = Shares(1, 0)
WITH_RUN = Shares(1, 1)


def outcome_of(data: bytes, seed: int = 0, run: bool = False) -> Outcome:
    """How the road ends for these bytes, the C given to the compiler if there is any."""
    return alone(lambda s, report: follow(s, data, Random(s), WITH_RUN if run else ALWAYS, report), seed)


def reduced(data: bytes, outcome: Outcome, seconds: float = 60) -> bytes:
    """The smallest model that was found to end as `outcome` does."""
    if outcome.kind == "hang":  # each look at it takes as long
        return data
    end = time.monotonic() + seconds
    run = outcome.phase in ("build", "run")

    def same(candidate: bytes) -> bool:
        other = outcome_of(candidate, outcome.seed, run)
        return (other.kind, other.signature) == (outcome.kind, outcome.signature)

    if not same(data):
        return data
    try:
        model = onnx.ModelProto.FromString(data)
    except DecodeError:
        return data
    progress = True
    while progress and time.monotonic() < end:
        progress = False
        for cut in cuts(model):
            if time.monotonic() >= end:
                break
            smaller = onnx.ModelProto()
            smaller.CopyFrom(model)
            if not cut(smaller):
                continue
            candidate = smaller.SerializeToString(deterministic=True)
            if len(candidate) < len(data) and same(candidate):
                model, data, progress = smaller, candidate, True
    return data


Cut = Callable[[onnx.ModelProto], bool]
"""takes something away, where it is there"""


def cuts(model: onnx.ModelProto) -> Iterator[Cut]:
    """What may be left out, large things first. Positions count from the back, so that they stay right as the model shrinks."""
    def from_list(find: Callable[[onnx.ModelProto], object], count: int) -> Iterator[Cut]:
        size = count
        while size:  # halves, quarters, ... single ones
            for start in range(count - size, -1, -size):
                def cut(m: onnx.ModelProto, start=start, size=size) -> bool:
                    try:
                        group = find(m)
                    except IndexError:
                        return False
                    if start >= len(group):
                        return False
                    del group[start:start + size]
                    return True
                yield cut
            size //= 2

    yield from from_list(lambda m: m.functions, len(model.functions))
    yield from from_list(lambda m: m.metadata_props, len(model.metadata_props))
    yield from from_list(lambda m: m.graph.value_info, len(model.graph.value_info))
    for index, body in enumerate(structure.bodies(model)):
        yield from from_list(lambda m, i=index: structure.bodies(m)[i].node, len(body.node))
        yield from from_list(lambda m, i=index: structure.bodies(m)[i].output, len(body.output))
        yield from from_list(lambda m, i=index: structure.bodies(m)[i].input, len(body.input))
        if isinstance(body, onnx.GraphProto):
            yield from from_list(lambda m, i=index: structure.bodies(m)[i].initializer, len(body.initializer))
    for index, node in enumerate(structure.nodes(model)):
        yield from from_list(lambda m, i=index: structure.nodes(m)[i].attribute, len(node.attribute))
