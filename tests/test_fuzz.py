"""Malformed models: a short run of the fuzzer, what it found before, and that it does find what it looks for."""
from __future__ import annotations

import faulthandler
import itertools
import os
import time
from random import Random

import onnx
import pytest

from tests.fuzz.attempt import GOOD, Outcome, Shares, attempt
from tests.fuzz.corpus import small
from tests.fuzz.mutations import MUTATIONS, mutated
from tests.fuzz.reducing import outcome_of, reduced
from tests.fuzz.running import outcomes
from tests.fuzz.wire import mutate_bytes, parsed

CORPUS = small()
ATTEMPTS = 120


def test_a_short_run() -> None:
    shares = Shares(checked=0.15, run=0.0)
    found = list(outcomes(lambda seed, report: attempt(seed, CORPUS, shares, report), iter(range(ATTEMPTS))))
    assert len(found) == ATTEMPTS
    assert [o for o in found if o.kind not in GOOD] == []
    assert {o.kind for o in found} == set(GOOD)  # it is neither all nonsense nor all in order


# -- what was found before --------------------------------------------------------------------------------------------------
HEADER = '<ir_version: 8, opset_import: ["" : 17]>\n'
FOUND = {
    "sizes beyond 64 bits": 'g (float[3, 10] x) => (y) <int64[2] n = {10000000000, 10000000000}> { a = Tile(x, n) y = Tile(a, n) }',
    "a value joined to itself again and again": "g (float[n, 3] x) => (y) { " + "x0 = Exp(x) " + "".join(
        f"x{i + 1} = Concat<axis = 0>(x{i}, x{i}) " for i in range(40)) + "y = Neg(x40) }",
    "attention in float64": "g (double[1, 2, 5, 4] q, double[1, 2, 4, 5] k, double[1, 2, 5, 4] v) => (y) "
                            "{ s = MatMul(q, k) p = Softmax(s) y = MatMul(p, v) }",
    "a grouped convolution with weights from outside": "g (float[1, 4, 5, 5] x, float[6, 2, 3, 3] w) => (y) { y = Conv<group = 2>(x, w) }",
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    model = onnx.parser.parse_model(HEADER + FOUND[name])
    outcome = outcome_of(model.SerializeToString())
    assert outcome.kind in GOOD, outcome.detail


# -- the fuzzer itself ------------------------------------------------------------------------------------------------------
def test_a_seed_is_an_attempt() -> None:
    for seed in range(30):
        first, again = (mutated(Random(seed), CORPUS[seed % 9].data, CORPUS) for _ in range(2))
        assert first == again


@pytest.mark.parametrize("mutation", [m for m, _ in MUTATIONS], ids=lambda m: m.__name__)
def test_mutations_change_models(mutation) -> None:
    """Each does something to most models that have anything for it, and leaves a message that can be written."""
    changed = 0
    for seed, entry in zip(range(40), itertools.cycle(CORPUS[::3])):
        model = onnx.ModelProto.FromString(entry.data)
        before = model.SerializeToString(deterministic=True)
        mutation(Random(seed), model)
        changed += model.SerializeToString(deterministic=True) != before
    assert changed >= 3


def test_fields_are_read_as_they_are_written() -> None:
    for entry in CORPUS[::10]:
        assert b"".join(field.encoded() for field in parsed(entry.data)) == entry.data
        assert any(mutate_bytes(Random(seed), entry.data) != entry.data for seed in range(3))


def misbehave(seed: int, report) -> Outcome:
    report("compile")
    if seed == 1:
        os.abort()
    if seed == 2:
        while True:
            pass
    if seed == 3:
        faulthandler._sigsegv()
    if seed == 4:
        os._exit(7)
    if seed == 5:
        try:
            return Outcome(seed, "exception", str(len(bytearray(8 << 30))))
        except MemoryError:
            return Outcome(seed, "memory")
    return Outcome(seed, "refused")


def test_processes_may_die() -> None:
    found = {o.seed: o for o in outcomes(misbehave, iter(range(8)), workers=2, per_process=4, processor_seconds=0.3)}
    kinds = [found[seed].kind for seed in range(8)]
    assert kinds == ["refused", "crash", "hang", "crash", "crash", "memory", "refused", "refused"]
    assert "SIGABRT" in found[1].signature and "SIGSEGV" in found[3].signature and "status 7" in found[4].signature
    assert "misbehave" in found[2].detail and found[2].phase == "compile"


def test_a_run_ends_in_time() -> None:
    begin = time.monotonic()
    found = list(outcomes(lambda seed, report: Outcome(seed, "refused"), itertools.count(), seconds=0.3))
    assert found and time.monotonic() - begin < 5


def test_findings_are_cut_down(monkeypatch) -> None:
    """What is not needed for a finding goes; the node that it takes stays."""
    from tests.fuzz import reducing

    def look(data: bytes, seed: int = 0, run: bool = False) -> Outcome:
        model = onnx.ModelProto.FromString(data)
        return Outcome(seed, "exception", "Exp") if any(n.op_type == "Exp" for n in model.graph.node) else Outcome(seed, "refused")

    monkeypatch.setattr(reducing, "outcome_of", look)
    nodes = " ".join(f"y{i} = {'Exp' if i == 7 else 'Neg'}(x)" for i in range(20))
    model = onnx.parser.parse_model(HEADER + f"g (float[2] x) => (y3, y4) <float a = {{1}}> {{ {nodes} }}")
    data = model.SerializeToString(deterministic=True)
    small_model = onnx.ModelProto.FromString(reduced(data, look(data)))
    assert [n.op_type for n in small_model.graph.node] == ["Exp"] and not small_model.graph.initializer
