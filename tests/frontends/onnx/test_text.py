"""Strings: compiled, interpreted and exported again, against ONNX Runtime and Python."""
import re

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlcompile
from dlcompile.errors import ArgumentError, Error, InvalidModelError, UnsupportedOperatorError
from dlcompile.frontends.onnx import export_onnx, import_onnx
from dlcompile.operators.conversion import from_text, to_text
from dlcompile.operators.interpreter import evaluate
from dlcompile.operators.pattern import automaton

STRING, INT64, FLOAT = TensorProto.STRING, TensorProto.INT64, TensorProto.FLOAT
WORDS = ["", "a", "A b", " padded\t x ", "a,b,,c", ",", "ÄÖü ß", "日本 語", "\U0001f600!", 'quote"\\%s\n', "x" * 300, "a.b", "tail,"]


def strings(values, shape=None):
    array = np.empty(len(values), object)
    array[:] = values
    return array if shape is None else array.reshape(shape)


def model_of(nodes, inputs, outputs, initializers=(), opset=21):
    graph = helper.make_graph(nodes, "text", [helper.make_tensor_value_info(*i) for i in inputs],
                              [helper.make_tensor_value_info(*o) for o in outputs], list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 4)], ir_version=10)


def every_way(model, *inputs, threads=2):
    """The outputs of the compiled model, the interpreter and the exported model, which have to agree; the compiled ones are returned."""
    graph = import_onnx(model)
    compiled = dlcompile.compile(model, threads=threads)(*inputs)
    compiled = compiled if isinstance(compiled, tuple) else (compiled,)
    exported = export_onnx(graph)
    again = evaluate(import_onnx(exported), inputs)
    for results in (evaluate(graph, inputs), again):
        for got, wanted in zip(results, compiled, strict=True):
            assert got.shape == wanted.shape and got.tolist() == wanted.tolist()
    return compiled


def test_everything_that_moves_elements():
    nodes = [helper.make_node("Transpose", ["x"], ["t"]), helper.make_node("Concat", ["t", "k"], ["c"], axis=0),
             helper.make_node("Gather", ["c", "i"], ["g"]), helper.make_node("Equal", ["g", "one"], ["e"]),
             helper.make_node("Where", ["e", "other", "g"], ["w"]), helper.make_node("Tile", ["w", "twice"], ["y"])]
    tensors = [helper.make_tensor("k", STRING, [1, 3], [b'"; int x;', b"%d", b""]), helper.make_tensor("i", INT64, [3], [2, 0, -1]),
               helper.make_tensor("one", STRING, [], [b"a"]), helper.make_tensor("other", STRING, [1], ["Ä".encode()]),
               helper.make_tensor("twice", INT64, [2], [1, 2])]
    model = model_of(nodes, [("x", STRING, ["n", 2])], [("y", STRING, None)], tensors)
    x = strings(["a", "b", "", "a", "日", "c"], (3, 2))
    (y,) = every_way(model, x)
    table = np.concatenate([x.T, [['"; int x;', "%d", ""]]])[[2, 0, 2]]
    assert y.tolist() == np.tile(np.where(table == "a", "Ä", table), (1, 2)).tolist()


def test_triangles():
    nodes = [helper.make_node("Trilu", ["x"], ["upper"]), helper.make_node("Trilu", ["x", "k"], ["lower"], upper=0)]
    model = model_of(nodes, [("x", STRING, ["n", 3]), ("k", INT64, [])], [("upper", STRING, None), ("lower", STRING, None)])
    x = strings(list("abcdef"), (2, 3))
    upper, lower = every_way(model, x, np.array(-1))
    assert upper.tolist() == [["a", "b", "c"], ["", "e", "f"]] and lower.tolist() == [["", "", ""], ["d", "", ""]]


def test_no_string_of_a_model_is_c_text():
    evil = b'");system("id");//*/ \\ ??/ \x00 \xff'
    model = model_of([helper.make_node("StringConcat", ["x", "k"], ["y"])], [("x", STRING, [1])], [("y", STRING, [1])],
                     [helper.make_tensor("k", STRING, [], [evil])])
    source = "".join(str(text) for text in dlcompile.lower(model)[2].files.values())
    assert "dlc_run" in source and "system" not in source
    assert dlcompile.compile(model)(strings(["a"]))[0].encode("utf-8", "surrogateescape") == b"a" + evil


@pytest.mark.parametrize("delimiter", [None, "", ",", "a,", "日"])
@pytest.mark.parametrize("most", [None, 0, 1, 2])
def test_split(delimiter, most):
    model = model_of([helper.make_node("StringSplit", ["x"], ["y", "n"], delimiter=delimiter, maxsplit=most)], [("x", STRING, ["n"])],
                     [("y", STRING, None), ("n", INT64, None)])
    graph = import_onnx(model)
    pieces, counts = evaluate(graph, [strings(WORDS)])
    expected = [word.split(delimiter or None, -1 if most is None else most) if word else [] for word in WORDS]
    assert counts.tolist() == [len(e) for e in expected]
    if delimiter or most is None:
        assert [row[:n] for row, n in zip(pieces.tolist(), counts)] == expected
    if (delimiter, most) in ((None, None), (",", 1), (None, 2)):
        compiled = every_way(model, strings(WORDS))
        assert compiled[0].tolist() == pieces.tolist()


def test_concatenation_broadcasts():
    model = model_of([helper.make_node("StringConcat", ["a", "b"], ["y"])], [("a", STRING, ["n", 1]), ("b", STRING, ["m"])],
                     [("y", STRING, None)])
    a, b = strings(WORDS, (-1, 1)), strings(WORDS * 30)
    (y,) = every_way(model, a, b)
    assert y.tolist() == (a + b).tolist()
    assert every_way(model, a[:0], b)[0].shape == (0, len(b))


@pytest.mark.parametrize("pattern", [
    r"", r"a*", r"[^,]*,.*", r"(?i)a B", r"\w+\.\w+", r".{3}", r"(a|b|,)+c?", r"[À-ÿ]+.*", r"^a$", r"\Aa\z", r"(?s).*\n", r".*\bx ", r"x{300}",
    r"[[:alpha:]]", r"\x{65E5}.*", r"\Qa.b\E", r"[]a]", r"(?:a.?)*?b", r"日本?.語", r"\S+"])
def test_patterns(pattern):
    """As Python's own expressions, in whose syntax RE2's are written here."""
    python = re.sub(r"\\z", r"\\Z", pattern).replace("[[:alpha:]]", "[A-Za-z]").replace(r"\x{65E5}", "日").replace(r"\Qa.b\E", r"a\.b")
    expected = [re.fullmatch(python, word, re.ASCII) is not None for word in WORDS]
    following, class_of, accepts = automaton(pattern)
    for word, wanted in zip(WORDS, expected):
        state = 0
        for byte in word.encode():
            state = following[state, class_of[byte]]
        assert bool(accepts[state]) == wanted, (pattern, word)


def test_patterns_compiled():
    model = model_of([helper.make_node("RegexFullMatch", ["x"], ["y"], pattern=r"(\w|日|\s)*[ac!].*")], [("x", STRING, ["n"])],
                     [("y", TensorProto.BOOL, ["n"])])
    (y,) = every_way(model, strings(WORDS))
    assert y.tolist() == [re.fullmatch(r"([0-9A-Za-z_]|日|[ \t])*[ac!][^\n]*", word) is not None for word in WORDS]


@pytest.mark.parametrize("pattern, error", [(r"(a)\1", UnsupportedOperatorError), (r"a(?=b)", UnsupportedOperatorError), (r"(", InvalidModelError),
                                            (r"[a-", InvalidModelError), (r"((a{99}){99}){99}", UnsupportedOperatorError),
                                            (r"(a|b)*a(a|b){20}", UnsupportedOperatorError)])
def test_patterns_that_no_automaton_matches(pattern, error):
    with pytest.raises(error, match="pattern"):
        automaton(pattern)


@pytest.mark.parametrize("case", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("sensitive", [0, 1])
def test_normalizer(case, sensitive):
    model = model_of([helper.make_node("StringNormalizer", ["x"], ["y"], case_change_action=case, is_case_sensitive=sensitive, stopwords=["a", "TAIL,"])],
                     [("x", STRING, ["n"])], [("y", STRING, None)])
    words = [w for w in WORDS if w] + ["A", "Tail,", "ﬀ"]
    stop = {"a", "TAIL,"} if sensitive else {"a", "tail,"}
    change = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}[case]
    expected = [change(w) for w in words if (w if sensitive else w.lower()) not in stop]  # (the reference evaluator takes accents off)
    assert evaluate(import_onnx(model), [strings(words)])[0].tolist() == expected
    if case != "NONE":
        assert every_way(model, strings(words))[0].tolist() == expected
        assert every_way(model, strings(["a"]))[0].tolist() == [""]


@pytest.mark.parametrize("mode, text, skip", [("TF", True, 0), ("IDF", False, 2), ("TFIDF", True, 5)])
def test_tf_idf(mode, text, skip):
    runtime = pytest.importorskip("onnxruntime")
    random = np.random.default_rng(0)
    pool = [2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 2, 3, 5, 4, 5, 6]
    spelled = {"pool_strings": [f"w{p}" for p in pool]} if text else {"pool_int64s": pool}
    model = model_of([helper.make_node("TfIdfVectorizer", ["x"], ["y"], mode=mode, min_gram_length=1, max_gram_length=3, max_skip_count=skip,
                                       ngram_counts=[0, 4, 10], ngram_indexes=[3, 0, 1, 2, 4, 5, 6, 7, 8][:9],
                                       weights=[float(i) for i in range(1, 10)], **spelled)],
                     [("x", STRING if text else INT64, ["n", "c"])], [("y", FLOAT, None)])
    x = random.integers(2, 9, (5, 13))
    x = strings([f"w{v}" for v in x.flat], x.shape) if text else x
    (expected,) = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert every_way(model, x)[0].tolist() == expected.tolist()


def test_numbers_as_text():
    values = np.array([0, -0.0, 1, -1.5, 0.1, 1e-5, 1e-4, 123456789, 1e15, 1e16, np.pi, np.nan, np.inf, -np.inf, 1.17549435e-38, 3e38], np.float32)
    random = np.random.default_rng(0).integers(0, 2**32, 2000, np.uint32).view(np.float32)
    for x in (values, random, np.random.default_rng(1).integers(0, 2**64, 500, np.uint64).view(np.float64),
              np.array([-2**63, 2**63 - 1, 0]), np.array([2**64 - 1], np.uint64), np.array([-128, 7], np.int8), np.array([True, False])):
        code = helper.np_dtype_to_tensor_dtype(x.dtype)
        model = model_of([helper.make_node("Cast", ["x"], ["s"], to=STRING), helper.make_node("Cast", ["s"], ["y"], to=code)], [("x", code, ["n"])],
                         [("s", STRING, ["n"]), ("y", code, ["n"])])
        text, back = dlcompile.compile(model)(x)
        assert text.tolist() == to_text(x).tolist()
        np.testing.assert_array_equal(back, x)
        np.testing.assert_array_equal(from_text(text, x.dtype), x)


def test_text_that_is_no_number():
    model = model_of([helper.make_node("Cast", ["x"], ["y"], to=FLOAT)], [("x", STRING, ["n"])], [("y", FLOAT, ["n"])])
    compiled = dlcompile.compile(model)
    assert compiled(strings([" 1e3 ", "+.5", "-INF", "NaN", "7."])).tolist()[:3] == [1000.0, 0.5, -np.inf]
    for wrong in ("", " ", "1x", "0x10", "1,5", "--1", "1" * 600 + "x"):
        with pytest.raises(ArgumentError, match="number"):
            compiled(strings(["1", wrong]))
        with pytest.raises(Error):
            from_text(strings([wrong]), np.dtype(np.float32))
    assert compiled(strings(["2"])).tolist() == [2.0]  # the failure was that run's


@pytest.mark.parametrize("keys, values, x", [
    ({"keys_strings": ["b", "a", "ä", "a"]}, {"values_int64s": [1, 2, 3, 4], "default_int64": -7}, strings(["a", "b", "c", "ä", ""])),
    ({"keys_strings": ["b", "a"]}, {"values_strings": ["x", ""]}, strings(["a", "b", "c"])),
    ({"keys_int64s": [5, -3, 9]}, {"values_strings": ["x", "y", "z"], "default_string": "?"}, np.array([[9, 5], [-3, 0]])),
    ({"keys_floats": [np.nan, 0.5, -1.0]}, {"values_floats": [1.0, 2.0, 3.0], "default_float": 9.0}, np.array([np.nan, 0.5, 7, -1], np.float32)),
], ids=["string-int", "string-string", "int-string", "float-float"])
def test_label_encoder(keys, values, x):
    runtime = pytest.importorskip("onnxruntime")
    codes = {"s": STRING, "i": INT64, "f": FLOAT}
    types = [codes[next(iter(d)).split("_")[1][0]] for d in (keys, values)]
    model = model_of([helper.make_node("LabelEncoder", ["x"], ["y"], domain="ai.onnx.ml", **keys, **values)], [("x", types[0], list(x.shape))],
                     [("y", types[1], list(x.shape))])
    (expected,) = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
    assert every_way(model, x)[0].tolist() == expected.tolist()


def test_arguments():
    compiled = dlcompile.compile(model_of([helper.make_node("Identity", ["x"], ["y"])], [("x", STRING, ["n"])], [("y", STRING, ["n"])]))
    for given in (np.array(["a", "bc"]), ["a", "bc"], strings(["a", "-", "bc"])[::2]):
        assert compiled(given).tolist() == ["a", "bc"]
    for wrong in (np.array([1.0]), strings(["a", 3]), np.array([b"a"])):
        with pytest.raises(ArgumentError, match="array of str"):
            compiled(wrong)


def test_strings_of_a_file_that_are_too_few_are_refused():
    proto = helper.make_tensor("k", STRING, [2], [b"a", b"b"])
    del proto.string_data[1:]
    model = model_of([helper.make_node("StringConcat", ["x", "k"], ["y"])], [("x", STRING, [2])], [("y", STRING, [2])], [proto])
    with pytest.raises(InvalidModelError, match="1 strings"):
        import_onnx(onnx.load_from_string(model.SerializeToString()))
