"""Tests that run functions do so on each backend."""
import pytest

from dlcompile.functional import default_backend, set_default_backend


@pytest.fixture(params=["numpy", "c"])
def backend(request):
    before = default_backend()
    set_default_backend(request.param)
    yield request.param
    set_default_backend(before)
