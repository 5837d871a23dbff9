"""What the docstrings show is what happens."""
from __future__ import annotations

import doctest
import importlib

import numpy as np
import pytest

from dlcompile import ops


@pytest.mark.parametrize("module", ["tree", "specs", "tracing", "jitting", "derivatives"])
def test_docstrings(module, backend):
    found = importlib.import_module(f"dlcompile.functional.{module}")
    result = doctest.testmod(found, extraglobs={"np": np, "ops": ops})
    assert result.attempted > 0 and result.failed == 0
