"""Functions of `ops` leave a call to an argument that takes it over."""
from __future__ import annotations

import numpy as np

from dlcompile import activations, ops
from dlcompile.graph import Tensor, make_input
from dlcompile.ops.methods import install


class Takes:
    """Stands for a tensor, and tells what was called."""

    def __tensor_function__(self, function, args, kwargs):
        return function.__name__, args, kwargs


install(Takes)
T, X = Takes(), make_input("x", np.float32, (2, 3))


def test_functions() -> None:
    assert ops.add(X, T) == ("add", (X, T), {})
    assert ops.concatenate([X, T], axis=1) == ("concatenate", ([X, T],), {"axis": 1})
    assert ops.select(predicate=X, on_true=X, on_false=T)[0] == "select"
    assert activations.hard_silu(T)[0] == "hard_silu"
    assert isinstance(ops.add(X, X), Tensor)


def test_operators() -> None:
    assert (X + T)[:2] == ("add", (X, T)) and (T + X)[:2] == ("add", (T, X)) and (2 - T)[:2] == ("sub", (2, T))
    assert (-T)[0] == "neg" and (T < 1)[0] == "lt" and T[0][:2] == ("getitem", (T, 0)) and T.sum(axis=1)[1] == (T, 1, False)
    assert T.T[0] == "transpose" and T.reshape(2, 3)[1] == (T, (2, 3)) and T.astype("int32")[0] == "cast"


def test_names_stay() -> None:
    assert ops.add.__name__ == "add" and "broadcast" in ops.add.__doc__ and "overridable" not in ops.__all__
