"""Models compiled for aarch64 and run by qemu: they give what the same models give on this machine.

Skipped where the cross compiler or qemu is missing.
"""
from __future__ import annotations

import numpy as np
import pytest

import dlcompile as dlc
from tests import models, qemu

pytestmark = pytest.mark.skipif(not qemu.available(), reason="no cross compiler for aarch64, or no qemu-user, is installed")


@pytest.mark.parametrize("name", ["mlp", "depthwise", "transformer", "lstm"])
def test_models(name: str) -> None:
    proto = models.BUILDERS[name]()
    here = dlc.compile(proto)
    given = models.random_inputs(proto, **{symbol: 3 for symbol in here.info.symbols})
    expected, got = here.run(given), qemu.EmulatedModel(proto).run(given)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(got[key], value, rtol=2e-5, atol=2e-6)


def test_a_refusal_is_said_in_words() -> None:
    model = qemu.EmulatedModel(models.mlp())
    with pytest.raises(dlc.ExecutionError, match="wrong shape"):
        model.run({"x": np.zeros((2, 19), np.float32)})
