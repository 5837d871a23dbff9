"""Functions compiled when they are called."""
from __future__ import annotations

from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dlcompile import ops
from dlcompile.errors import ArgumentError, ShapeError
from dlcompile.functional import TensorSpec, default_backend, jit, set_default_backend, trace

F = np.float32
Layer = namedtuple("Layer", "w b")


@jit
def affine(x, layer, *, scale=1.0):
    """x w + b"""
    return {"y": (x @ layer.w + layer.b) * scale, "shapes": (ops.shape_of(x), None)}


def test_trees(backend):
    x, layer = np.ones((2, 3), F), Layer(np.full((3, 1), 2, F), np.array([1], F))
    made = affine(x, layer, scale=F(3))
    assert sorted(made) == ["shapes", "y"] and made["shapes"][1] is None
    np.testing.assert_array_equal(made["y"], [[21], [21]])
    np.testing.assert_array_equal(made["shapes"][0], [2, 3])
    assert affine.__name__ == "affine" and affine.__doc__ == "x w + b"


def test_one_program_for_each_form(backend):
    calls = []

    @jit
    def function(x, y=None):
        calls.append(1)
        return x * 2.0 if y is None else x + y["a"]

    a = np.ones(3, F)
    for _ in range(3):
        function(a)
    assert len(calls) == 1 == function.cache_size()
    function(a * 7)
    assert len(calls) == 1
    function(np.ones(4, F))  # another shape
    function(np.ones(3))  # another type
    function(a, {"a": a})  # another tree
    function(a, y={"a": a})  # by name
    assert len(calls) == 5 == function.cache_size()
    np.testing.assert_array_equal(function(a, {"a": a}), [2, 2, 2])
    assert len(calls) == 5


def test_numbers_and_lists(backend):
    @jit
    def function(x, k, flags, scale):
        return x * scale, k + 1, flags

    x, k, flags = function(np.ones(2), [1, 2], [[True, False]], 0.5)  # the scale is of the type of x
    assert (x.dtype, k.dtype, flags.dtype) == (np.float64, np.int64, np.bool_)
    assert (x.tolist(), k.tolist(), flags.tolist()) == ([0.5, 0.5], [2, 3], [[True, False]])
    x, *_ = function([1.0, 2.0], 1, True, 2.0)
    assert x.dtype == F and x.tolist() == [2, 4]


def test_a_list_of_arrays_is_a_tree(backend):
    made = jit(lambda layers: [w * 2.0 for w in layers])([np.ones(2, F), np.ones(3, F)])
    assert isinstance(made, list) and [len(m) for m in made] == [2, 3]


def test_element_types(backend):
    import ml_dtypes

    for dtype in (np.float16, ml_dtypes.bfloat16, np.int8, np.uint64, np.bool_):
        x = np.array([1, 0, 1], dtype)
        made = jit(lambda x: ops.reverse(x, 0))(x)
        assert made.dtype == dtype and made.tolist() == x[::-1].tolist()


def test_results_of_all_kinds(backend):
    """Constants, arguments, one tensor twice, nothing."""
    function = jit(lambda x: (x, x, np.arange(2), {"one": 1.0}, None, x + 1.0))
    x = np.ones((2, 1), F)
    a, b, c, d, e, f = function(x)
    assert e is None and c.tolist() == [0, 1] and d["one"] == 1 and f.tolist() == [[2], [2]]
    a[:] = 5
    assert b.tolist() == [[1], [1]] and x.tolist() == [[1], [1]]  # nobody else's
    assert jit(lambda x: None)(x) is None and jit(lambda: ops.full((2,), 3.0, F))().tolist() == [3, 3]


def test_static_arguments(backend):
    calls = []

    @jit
    def plain(x):
        return x

    def power(x, n, y, activation="relu"):
        calls.append(n)
        for _ in range(n):
            x = x * y
        return getattr(ops, activation)(x)

    function = jit(power, static_argnums=(1, -1))
    x = np.array([-1, 2], F)
    np.testing.assert_array_equal(function(x, 3, x, "relu"), [1, 16])
    np.testing.assert_array_equal(function(x, 2, x, "neg"), [1, -8])
    function(x, 3, x, "relu")
    assert calls == [3, 2]
    assert jit(power, static_argnums=1)(x, 0, x).tolist() == [0, 2]
    with pytest.raises(ArgumentError, match="power: a static argument must be hashable"):
        function(x, [3], x, "relu")
    with pytest.raises(ArgumentError, match="static argument 5 is not among the 1"):
        jit(plain, static_argnums=5)(x)


def test_inside_of_another_trace(backend):
    """It is the function itself: one program, and what it closes over is no constant."""
    inner = jit(lambda x: x * 2.0)

    @jit
    def outer(x, y):
        return inner(x + y) + jit(lambda z: z * y)(x)

    assert outer(F(3), F(4)) == 26 and inner.cache_size() == 0
    graph = trace(outer, TensorSpec(("n",)), TensorSpec(("n",)))
    assert {n.op for n in graph.nodes} == {"add", "mul"}


def test_methods(backend):
    class Model:
        factor = 3.0

        @jit
        def scaled(self, x):
            return x * 2.0

    with pytest.raises(ArgumentError, match="scaled: argument self: Model is no array"):
        Model().scaled(F(1))
    assert jit(Model.scaled._function, static_argnums=0)(Model(), F(2)) == 4


def test_arguments_that_are_none():
    with pytest.raises(ArgumentError, match=r"affine: argument layer\['w'\]\[1\]: object is no array; expected an array, a number or a list"):
        affine(F(1), {"w": (F(1), object())})
    with pytest.raises(ArgumentError, match="affine: argument scale: set is no array"):
        affine(F(1), F(1), scale={1})
    with pytest.raises(ArgumentError, match="affine: argument x: an array of objects"):
        affine(np.array([object()]), F(1))
    with pytest.raises(ArgumentError, match="affine: argument x: element type .* is not supported"):
        affine(np.array("2020-01-01", np.datetime64), F(1))
    with pytest.raises(ArgumentError, match="jit takes a function, not int"):
        jit(3)


def test_errors_name_the_function(backend):
    with pytest.raises(ShapeError, match="^affine: "):
        affine(np.ones((2, 3), F), Layer(np.ones((4, 1), F), F(0)))


def test_backends():
    assert default_backend() == "c"
    set_default_backend("numpy")
    try:
        assert default_backend() == "numpy"
    finally:
        set_default_backend("c")
    for given in (lambda: set_default_backend("fortran"), lambda: jit(lambda x: x, backend="fortran")):
        with pytest.raises(ArgumentError, match="backend 'fortran'; expected 'c' or 'numpy'"):
            given()
    with pytest.raises(ArgumentError, match="precision is"):
        jit(lambda x: x, precision="sloppy")
    x = np.ones(3, F)
    assert jit(lambda x: x + 1.0, backend="numpy")(x).tolist() == jit(lambda x: x + 1.0, backend="c", target="x86-64", precision="strict")(x).tolist()


def test_a_backend_for_each_call():
    """The default is looked at when the function is called."""
    function = jit(lambda x: x + 1.0)
    set_default_backend("numpy")
    try:
        function(F(1))
    finally:
        set_default_backend("c")
    function(F(1))
    assert function.cache_size() == 2


def test_from_several_threads(backend):
    calls = []

    @jit
    def function(x):
        calls.append(1)
        return ops.exp(x)

    x = np.zeros(5, F)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(lambda _: function(x), range(16)):
            assert result.tolist() == [1] * 5
    assert len(calls) == 1


def test_a_failed_trace_is_not_kept(backend):
    @jit
    def function(x):
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            function(F(1))
    assert function.cache_size() == 0


def test_strings(backend):
    made = jit(lambda words, end: ops.string_concat(words, end))(np.array(["a", "b"]), "!")
    assert made.tolist() == ["a!", "b!"]
