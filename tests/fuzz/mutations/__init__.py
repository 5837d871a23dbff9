"""The table of mutations: (function, weight) rows of each family, and drawing from it.

A mutation changes a `ModelProto` in place, as the `Random` it is given says, or leaves it alone where there is nothing for it to change.
"""
from __future__ import annotations

from random import Random

import onnx

from tests.fuzz import structure
from tests.fuzz.corpus import Entry
from tests.fuzz.mutations import attributes, growth, tensors, wiring
from tests.fuzz.wire import mutate_bytes

MUTATIONS = (*attributes.MUTATIONS, *tensors.MUTATIONS, *wiring.MUTATIONS, *growth.MUTATIONS)
BYTES = 0.12  # of the attempts change bytes, whatever they mean
DEEPEST = 30  # graphs inside one another; beyond that protobuf itself refuses


def mutated(random: Random, data: bytes, corpus: list[Entry]) -> tuple[bytes, list[str]]:
    """The bytes of a model mutated, and what was done."""
    if random.random() < BYTES:
        return mutate_bytes(random, data), ["bytes"]
    model = onnx.ModelProto.FromString(data)
    done: list[str] = []
    for _ in range(random.choice((1, 1, 1, 1, 2, 2, 3, 5))):
        if random.random() < 0.04:
            splice(random, model, onnx.ModelProto.FromString(random.choice(corpus).data))
            done.append("splice")
            continue
        mutation, = random.choices([m for m, _ in MUTATIONS], [w for _, w in MUTATIONS])
        if mutation in (wiring.swap_subgraphs, growth.nest) and structure.depth(model) > DEEPEST:
            continue
        mutation(random, model)
        done.append(mutation.__name__)
    try:
        data = model.SerializeToString(deterministic=True)
    except ValueError:  # nested too deep for protobuf
        return data, ["nothing"]
    if random.random() < 0.03:
        return mutate_bytes(random, data), [*done, "bytes"]
    return data, done


def splice(random: Random, model: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """The nodes of another model, reading values of this one instead of their inputs."""
    names = structure.names(model.graph)
    if not names:
        return
    replaced = {value.name: random.choice(names) for value in other.graph.input}
    for node in other.graph.node:
        made = model.graph.node.add()
        made.CopyFrom(node)
        made.input[:] = [replaced.get(name, name and f"other_{name}") for name in node.input]
        made.output[:] = [name and f"other_{name}" for name in node.output]
    for tensor in other.graph.initializer:
        made = model.graph.initializer.add()
        made.CopyFrom(tensor)
        made.name = f"other_{tensor.name}"
    for value in other.graph.output:
        model.graph.output.add(name=f"other_{value.name}")
