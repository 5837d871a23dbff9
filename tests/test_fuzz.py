"""Malformed models: a short run of the fuzzer, what it found before, and that it does find what it looks for."""
from __future__ import annotations

import faulthandler
import itertools
import os
import time
from random import Random

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile as dlc
from dlcompile.frontends.onnx import importer
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
HEADER = '<ir_version: 8, opset_import: ["" : 18]>\n'
FOUND = {
    "sizes beyond 64 bits": 'g (float[3, 10] x) => (y) <int64[2] n = {10000000000, 10000000000}> { a = Tile(x, n) y = Tile(a, n) }',
    "a value joined to itself again and again": "g (float[n, 3] x) => (y) { " + "x0 = Exp(x) " + "".join(
        f"x{i + 1} = Concat<axis = 0>(x{i}, x{i}) " for i in range(40)) + "y = Neg(x40) }",
    "attention in float64": "g (double[1, 2, 5, 4] q, double[1, 2, 4, 5] k, double[1, 2, 5, 4] v) => (y) "
                            "{ s = MatMul(q, k) p = Softmax(s) y = MatMul(p, v) }",
    "a grouped convolution with weights from outside": "g (float[1, 4, 5, 5] x, float[6, 2, 3, 3] w) => (y) { y = Conv<group = 2>(x, w) }",
    "tables of a resizing": "g (float[1, 1, 3, 3] x) => (y) <float[4] s = {1.0, 1.0, 1e9, 1.0}> { y = Resize<mode = \"linear\">(x, , s) }",
    "a window as large as memory": "g (float[3] x) => (y) <int64 n = {2000000000}> { w = HannWindow(n) s = ReduceMax<keepdims = 0>(w) y = Add(x, s) }",
    "a billion pieces": "g (float[1000000000] x) => (y) <int64 i = {0}> { s = SplitToSequence<keepdims = 0>(x) y = SequenceAt(s, i) }",
    "a billion phases": "g (float[1, 1, 9, 9] x, float[1, 1, 3, 3] w) => (y) { y = ConvTranspose<strides = [1000000000, 1]>(x, w) }",
    "more work than 64 bits can count": "g (float[1, 1, 9, 9] x) => (y) "
                                        "{ y = AveragePool<kernel_shape = [100000, 100000], pads = [99999, 99999, 99999, 99999]>(x) }",
    "more axes than NumPy has": f"g (float[1] x) => (y) <float[1] c = {{2}}, int64[100] s = {{{', '.join('1' * 100)}}}> "
                                "{ z = Expand(c, s) w = Exp(z) y = Add(x, w) }",
    "a size squared again and again": "g (float[n, m] x) => (y) { s0 = Size(x) " + "".join(
        f"s{i + 1} = Mul(s{i}, s{i}) " for i in range(12)) + "y = Range(s0, s12, s0) }",
    "a power of sizes": "g (float[n, m] x) => (y) <int64[1] i = {0}, int64[1] j = {1}> { s = Shape(x) a = Gather(s, i) b = Gather(s, j) p0 = Add(a, b) "
                        + "".join(f"p{i + 1} = Mul(p{i}, p0) " for i in range(60)) + "y = Cast<to = 1>(p60) }",
    "larger and smaller, again and again": "g (float[n, m] x) => (y) <int64[1] i = {0}, int64[1] j = {1}> "
                                           "{ s = Shape(x) a0 = Gather(s, i) b0 = Gather(s, j) " + "".join(
        f"a{i + 1} = Max(a{i}, b{i}) b{i + 1} = Min(a{i + 1}, b{i}) " for i in range(25)) + "y = ConstantOfShape(b25) }",
    "a vector of very many sizes": "g (float[n, m] x) => (y) { s0 = Shape(x) " + "".join(
        f"s{i + 1} = Concat<axis = 0>(s{i}, s{i}) " for i in range(20)) + "y = Cast<to = 1>(s20) }",
    "a float made complex": "g (float[n] x) => (y) { z = Exp(x) y = Cast<to = 14>(z) }",
    "a concatenation of very many": "g (float[3] x) => (y) { a = Exp(x) " + "".join(f"b{i} = Add(x, a) " for i in range(300))
                                    + f"c = Concat<axis = 0>({', '.join(f'b{i}' for i in range(300))}) y = Exp(c) }}",
    "rearranged again and again": "g (float[n, 6] x0) => (y) <int64[2] s = {-1, 6}> { " + "".join(
        f"t{i} = Transpose(x{i}) x{i + 1} = Reshape(t{i}, s) " for i in range(12)) + "y = Exp(x12) }",
    "a convolution of no channels": "g (float[2, 0, 5, 5] x, float[4, 0, 3, 3] w) => (y) { y = Conv(x, w) }",
    "a constant joined to itself again and again": "g (float[n] x) => (y) <float[1] c0 = {1}> { " + "".join(
        f"c{i + 1} = Concat<axis = 0>(c{i}, c{i}, c{i}, c{i}, c{i}, c{i}, c{i}) " for i in range(11)) + "y = Mul(c11, x) }",
    "a mask of more elements than memory has": "g (float[9007199254740992] x) => (y) { y, m = Dropout(x) k = Not(m) }",
    "strides below 0": "g (float[1, 1, 3, 3] x, float[1, 2, 3, 3] w) => (y) { y = ConvTranspose<output_shape = [10, 8], strides = [1, -2]>(x, w) }",
    "an image of very many axes": "g (float[1, 5, 5] x, int64[9007199254740992] i, int64[2] k) => (y) { y = Col2Im(x, i, k) }",
    "scales for very many axes": "g (float[1, 1, 2, 2] x, float[4294967296] s) => (y) { y = Resize(x, , s) }",
    "a window as large as memory, counted": "g (float[1, 3, 32, 32] x) => (y) { y = AveragePool<auto_pad = \"SAME_LOWER\", kernel_shape = [134217728, 7]>(x) }",
    "scales of more elements than there are": "g (float[3, 4] x, float[2147483648, 2] s) => (y) { y = QuantizeLinear(x, s) }",
    "a text made complex": "g (float[2] x) => (y) { a = Cast<to = 8>(x) y = Cast<to = 14>(a) }",
    "taps four billion pixels apart": "g (float[1, 1, 6, 7] x) => (y) <float[1, 1, 3, 3] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}> "
                                      "{ y = ConvTranspose<dilations = [1, 4294967296], strides = [2, 3], output_shape = [12, 20]>(x, w) }",
    "pieces of no sizes": "g (float[3, 6] x, int64[0] s) => (seq(float[]) y) { y = SplitToSequence<axis = 1>(x, s) }",
    "strings that are padded": "g (string[3, 20] x, int64[2] s) => (y) { y = CenterCropPad(x, s) }",
    "two elements of a softmax": "g (int64[2] i, float d, float16[2] v) => (y) { s = Softmax(v) y = OneHot(i, d, s) }",
    "a long line of elementwise nodes": "g (float[3] x0) => (y) { " + "".join(f"x{i + 1} = Exp(x{i}) " for i in range(700)) + "y = Neg(x700) }",
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    model = onnx.parser.parse_model(HEADER + FOUND[name])
    outcome = outcome_of(model.SerializeToString())
    assert outcome.kind in GOOD, outcome.detail


def test_a_sequence_of_pieces_that_do_not_add_up() -> None:
    """What a run is given may be as malformed as a model."""
    text = HEADER + "g (float[3, 6] x, int64[2] sizes) => (seq(float[k, 6]) y) { y = SplitToSequence<axis = 0>(x, sizes) }"
    model = dlc.compile(onnx.parser.parse_model(text), cache=False)
    x = np.arange(18, dtype=np.float32).reshape(3, 6)
    assert [item.shape for item in model(x, np.array([1, 2]))] == [(1, 6), (2, 6)]
    for sizes in ([4, 1], [4, -1], [1, 1]):
        with pytest.raises(dlc.Error):
            model(x, np.array(sizes))


def functions(depth: int, calls: int) -> bytes:
    """A model of functions, each of which calls the next a number of times."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made = []
    for level in range(depth):
        operator = {"op_type": f"f{level + 1}", "domain": "own"} if level < depth - 1 else {"op_type": "Neg"}
        body = [helper.make_node(inputs=[f"x{i}"], outputs=[f"x{i + 1}"], **operator) for i in range(calls)]
        made.append(helper.make_function("own", f"f{level}", ["x0"], [f"x{calls}"], body, imports))
    graph = helper.make_graph([helper.make_node("f0", ["x"], ["y"], domain="own")], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3])], [onnx.ValueInfoProto(name="y")])
    return helper.make_model(graph, functions=made, opset_imports=imports, ir_version=8).SerializeToString()


def test_functions_in_functions(monkeypatch) -> None:
    monkeypatch.setattr(importer, "MOST_EXPANDED", 500)
    assert outcome_of(functions(3, 5)).kind == "compiled"
    for depth, calls, words in ((40, 2, "more than 500 nodes"), (400, 1, "nested too deep")):
        outcome = outcome_of(functions(depth, calls))
        assert outcome.kind == "refused" and words in outcome.detail


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
