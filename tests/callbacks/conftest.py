"""A small model, interpreted, and a training whose losses are as the test wants them."""
from __future__ import annotations

import pytest

from dlcompile import config, layers, optimizers
from dlcompile.models import Sequential
from dlcompile.random import set_random_seed
from tests.callbacks.helpers import Scripted


@pytest.fixture(autouse=True)
def interpreted():
    config.set_backend("numpy")
    set_random_seed(0)
    yield
    config._forget()


@pytest.fixture
def model():
    made = Sequential([layers.Input((2,)), layers.Dense(1)])
    made.compile(optimizers.SGD(0.125), "mse", metrics=["mae"])
    return made


@pytest.fixture
def scripted():
    return Scripted()
