"""Masks belong to objects, and names to sessions."""
from __future__ import annotations

import gc

import numpy as np
import pytest

from dlcompile import masks
from dlcompile.errors import ArgumentError
from dlcompile.graph import make_input
from dlcompile.naming import auto_name, checked_name, class_name, clear_session


@pytest.mark.parametrize("make", [lambda: np.zeros((2, 3), np.float32), lambda: make_input("x", np.float32, (2, 3))])
def test_a_mask_goes_with_its_object(make):
    value, mask = make(), np.ones((2, 3), bool)
    assert masks.mask_of(value) is None
    masks.set_mask(value, mask)
    assert masks.mask_of(value) is mask and masks.mask_of(make()) is None
    masks.set_mask(value, None)
    assert masks.mask_of(value) is None
    masks.set_mask(value, mask)
    del value
    gc.collect()
    assert not any(kept is mask for _, kept in masks._masks.values())


def test_what_can_have_no_mask_has_none():
    assert masks.mask_of(5) is None and masks.mask_of([1, 2]) is None


def test_names():
    clear_session()
    assert [auto_name("dense") for _ in range(3)] == ["dense", "dense_1", "dense_2"]
    assert class_name(type("Conv2D", (), {})) == "conv2d" and class_name(type("_Hidden", (), {})) == "hidden"
    clear_session()
    assert auto_name("dense") == "dense"
    for wrong in ("", "a/b", 5):
        with pytest.raises(ArgumentError):
            checked_name(wrong)
