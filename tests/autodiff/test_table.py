"""The table is complete: every primitive has a derivative, is flat, or says why it has none. And each derivative is right."""
import numpy as np
import pytest

from dlcompile import ops
from dlcompile.autodiff import FLAT, NO_DERIVATIVE, RULES, gradients
from dlcompile.errors import UnsupportedOperatorError
from dlcompile.graph import OPERATORS, make_input
from tests.autodiff.cases import CASES, FIXED
from tests.autodiff.helpers import check, run

PRIMITIVES = sorted(name for name, row in OPERATORS.items() if not row.is_composite)
EACH = [pytest.param(name, i, id=f"{name}-{i}") for name, cases in CASES.items() for i in range(len(cases))]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_primitive_is_in_one_of_the_tables(name):
    assert [name in RULES, name in FLAT, name in NO_DERIVATIVE].count(True) == 1


def test_the_tables_know_no_other_operators():
    import dlcompile.frontends.onnx  # noqa: F401  (which has some of its own)

    assert {*RULES, *FLAT, *NO_DERIVATIVE} <= set(OPERATORS)


def test_every_derivative_has_a_case():
    assert {name for name in RULES if not OPERATORS[name].is_composite} - {"tree_ensemble"} == set(CASES)


def arguments(name, i):
    function, arrays = CASES[name][i]
    return function, [draw() for draw in arrays]


@pytest.mark.parametrize(("name", "i"), EACH)
def test_first(name, i):
    function, arrays = arguments(name, i)
    check(function, *arrays)


@pytest.mark.parametrize(("name", "i"), EACH)
def test_second(name, i):
    function, arrays = arguments(name, i)
    check(function, *arrays, order=2)


@pytest.mark.parametrize(("name", "i"), [p for p in EACH if p.values[0] not in FIXED])
def test_symbolic_dimensions(name, i):
    function, arrays = arguments(name, i)
    check(function, *arrays, symbolic=True)


@pytest.mark.parametrize("name", ["sign", "floor", "ceil", "round"])
def test_steps_are_flat(name):
    x = np.array([-1.3, -0.2, 0.4, 2.6])
    moved, (slope,) = (run(getattr(ops, name), x + d)[0] for d in (-1e-3, 1e-3)), run(lambda x: gradients(getattr(ops, name)(x) * x, [x]), x)
    np.testing.assert_array_equal(*moved)
    np.testing.assert_array_equal(slope, run(getattr(ops, name), x)[0])


def test_the_weights_of_a_forest_are_taken_as_given():
    from dlcompile.graph import apply

    def forest(x, weights):
        i32 = np.zeros(1, np.int32)
        return apply("tree_ensemble", x, *(ops.as_tensor(a) for a in (i32, i32, i32, np.zeros(1), i32, i32, i32, np.int32([0, 1]), i32)), weights,
                     targets=1, aggregate="SUM")

    x, weights = make_input("x", np.float64, (2, 3)), make_input("weights", np.float64, (1,))
    (slope,) = run(lambda x: gradients(forest(x, ops.as_tensor(np.ones(1))), [x]), np.ones((2, 3)))
    assert not slope.any()
    with pytest.raises(UnsupportedOperatorError, match="weights of its leaves"):
        gradients(forest(x, weights), [weights])
