"""Keys and generators."""
from __future__ import annotations

import json
import random as python_random
import subprocess
import sys

import numpy as np
import pytest

import dlcompile
from dlcompile import random, registry
from dlcompile.errors import ArgumentError
from dlcompile.graph import Graph, make_input
from dlcompile.operators import evaluate
from dlcompile.variables import tracing


def test_a_generator_never_gives_a_key_twice():
    generator = random.SeedGenerator(2**32 + 5)
    assert [generator.next().tolist() for _ in range(3)] == [[5, 1], [5, 2], [5, 3]]
    generator.state.assign(np.array([5, 2**32 - 1], np.uint32))
    generator.next()
    assert generator.next().tolist() == [5, 0]


def test_an_integer_is_the_first_of_its_generator():
    np.testing.assert_array_equal(random.normal((4,), seed=11), random.normal((4,), seed=random.SeedGenerator(11)))
    assert random.draw_key(11).tolist() == random.SeedGenerator(11).next().tolist()
    key = random.draw_key(11)
    np.testing.assert_array_equal(random.normal((4,), seed=key), random.normal((4,), seed=11))


def test_seeds_tell_sequences_apart():
    drawn = [random.uniform((64,), seed=s) for s in (0, 1, random.SeedGenerator(2), 2**32, 2**33)]
    generator = random.SeedGenerator(7)
    drawn += [random.uniform((64,), seed=generator) for _ in range(3)]
    rows = np.stack(drawn)
    assert len(np.unique(rows)) == rows.size


def test_set_random_seed_begins_all_sequences_anew():
    def drawn():
        return [python_random.random(), np.random.rand(), *random.normal((2,)), *random.normal((2,)), *random.SeedGenerator().next().tolist()]

    random.set_random_seed(3)
    first, later = drawn(), drawn()
    random.set_random_seed(3)
    assert drawn() == first != later
    random.set_random_seed(4)
    assert drawn() != first


@pytest.mark.parametrize("backend", ["numpy", "c"])
def test_a_step_that_is_repeated_from_its_state_draws_the_same(backend):
    generator = random.SeedGenerator(9)
    x = make_input("x", np.float32, (8,))
    with tracing() as trace:
        y = x + random.normal((8,), seed=generator) + random.uniform((8,), seed=generator)
    assert list(trace.read) == list(trace.written) == [generator.state]
    graph = Graph("step", [x, trace.read[generator.state]], [y, trace.written[generator.state]], input_names=["x", "state"], output_names=["y", "new"])
    step = (lambda *a: evaluate(graph, a)) if backend == "numpy" else dlcompile.compile(graph)
    zeros, state = np.zeros(8, np.float32), generator.state.numpy()
    first, after = step(zeros, state)
    again, _ = step(zeros, state)
    np.testing.assert_array_equal(first, again)
    assert after.tolist() == [9, 2]
    second, _ = step(zeros, after)
    assert not np.any(first == second)
    expected = random.normal((8,), seed=generator) + random.uniform((8,), seed=generator)  # outside of a trace
    np.testing.assert_allclose(first, expected, rtol=1e-5, atol=1e-6)


def test_a_generator_is_written_to_files():
    generator = registry.deserialize(json.loads(json.dumps(registry.serialize(random.SeedGenerator(5, name="noise")))))
    assert generator.next().tolist() == [5, 0] and generator.state.name == "noise_state"


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, True, "7"])
def test_what_is_no_seed(seed):
    with pytest.raises(ArgumentError, match="seed"):
        random.SeedGenerator(seed)
    with pytest.raises(ArgumentError, match="seed"):
        random.normal((2,), seed=seed)
    with pytest.raises(ArgumentError, match="seed"):
        random.set_random_seed(seed)


def test_the_first_time_is_like_any_other():
    """In a process that has drawn nothing yet."""
    program = "from dlcompile.random import set_random_seed as s; from dlcompile.random.seed import make_default_seed as d; s(5); a = d(); s(5); assert a == d()"
    subprocess.run([sys.executable, "-c", program], check=True)
