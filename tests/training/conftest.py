"""What the tests of training share."""
from __future__ import annotations

import pytest

from dlcompile import config
from dlcompile.random import set_random_seed


@pytest.fixture(scope="module", autouse=True)
def alone(one_processor):
    """Models are small, and trained step after step."""


@pytest.fixture(autouse=True)
def seeds():
    set_random_seed(1)


@pytest.fixture
def interpreted():
    """Steps are interpreted: nothing is compiled, which takes longer than a small model."""
    config.set_backend("numpy")
    yield
    config._forget()


@pytest.fixture(params=["numpy", "c"])
def backend(request):
    """Both backends, one after the other."""
    config.set_backend(request.param)
    yield request.param
    config._forget()
