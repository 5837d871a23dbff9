"""The cases: those of `onnx.backend.test`, run by its own `Runner`, with a look at what it compares."""
from __future__ import annotations

import os
import re
import tempfile
import unittest
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend

KINDS = {"node": "NodeModel", "real": "RealModel", "simple": "SimpleModel", "pytorch-converted": "PyTorchConvertedModel",
         "pytorch-operator": "PyTorchOperatorModel"}
"""the onnx package's name of a kind → what its runner calls it; the "real" ones are the light models"""

LEFT_OUT: dict[str, str] = {
    "test_bernoulli.*": "random: what NumPy drew when the expected values were made",
    "test_image_decoder_.*": "ImageDecoder is left out: decoding needs libraries that a compiled model does not depend on",
    "test_dft_inverse(_opset19)?": "where the exact value is 0 the expected ones are roundings of NumPy's transform, "
                                  "larger than the tolerance",
    "test_loop16_seq_none": "not there yet: a sequence that is empty or made of scalars, as data say",
}
"""regular expression of whole names → why these cases cannot pass, or do not yet"""

LEFT_OUT_OF: dict[str, dict[str, str]] = {
    "interpreted": {
        "test_attention_4d_(causal_)?fp16": "NumPy rounds to float16 after every step, and in another order than the expected values",
    },
    "round-trip": {
        "test_(identity|if)_opt": "the onnx reference evaluator puts what Optional makes into a list, which its expected values are not in",
    },
}
"""the same for what is not compiled"""


def left_out(name: str, mode: str = "compiled") -> str | None:
    """Why a case cannot pass; None for one that has to."""
    reasons = {**LEFT_OUT, **LEFT_OUT_OF.get(mode.removesuffix("-newest"), {})}
    return next((reason for pattern, reason in reasons.items() if re.fullmatch(pattern, name)), None)


@dataclass
class Comparison:
    """What was compared in a case: the largest error of any element, |actual - expected| / max(1, |expected|)."""

    error: float = 0.0
    outputs: int = 0


@dataclass(frozen=True)
class Case:
    """`run()` raises what the case fails with; `compared` then has what was seen."""

    name: str
    kind: str
    run: Callable[[], Any] = field(repr=False)
    compared: Comparison
    model: Callable[[], onnx.ModelProto] = field(repr=False)


def error_of(actual: Any, expected: Any) -> float:
    """The largest difference of two values, relative to the larger of 1 and the expected one."""
    if isinstance(expected, (list, tuple)):
        return max((error_of(a, e) for a, e in zip(actual, expected)), default=0.0)
    if not isinstance(expected, (np.ndarray, np.generic)) or expected.dtype == object or expected.size == 0:
        return 0.0
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    with np.errstate(all="ignore"):
        a, e = np.asarray(actual).astype(wide), expected.astype(wide)
        difference = np.abs(a - e) / np.maximum(1, np.abs(e))
    return float(np.where((a == e) | (np.isnan(a) & np.isnan(e)), 0, difference).max())


def load_cases(backend: type[Backend]) -> Iterator[Case]:
    """All cases of the onnx package, to be run by a backend on the CPU."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.loader import load_model_tests
        from onnx.backend.test.runner import Runner

        seen = Comparison()  # one case runs at a time

        class Looking(Runner):
            @classmethod
            def assert_similar_outputs(cls, ref_outputs, outputs, rtol, atol, model_dir=None):
                super().assert_similar_outputs(ref_outputs, outputs, rtol, atol, model_dir)
                seen.error = max(seen.error, error_of(list(outputs), list(ref_outputs)))
                seen.outputs += len(ref_outputs)

        os.environ.setdefault("ONNX_MODELS", tempfile.mkdtemp(prefix="onnx-models-"))  # where it puts inputs of light models
        items = Looking(backend)._test_items
        protos = {c.name: c for kind in KINDS for c in load_model_tests(kind=kind)}
    for kind, category in KINDS.items():
        for name, item in items[category].items():
            if name.endswith("_cpu"):
                name = name.removesuffix("_cpu")
                yield Case(name, kind, _runner(item.func, seen), seen, _model(protos[name]))


def _runner(function: Callable, seen: Comparison) -> Callable[[], None]:
    def run() -> None:
        seen.error, seen.outputs = 0.0, 0
        try:
            function(None)
        except unittest.SkipTest as error:
            raise AssertionError(f"skipped: {error}") from None
        if not seen.outputs:
            raise AssertionError("nothing was compared")
    return run


def _model(case) -> Callable[[], onnx.ModelProto]:
    def model() -> onnx.ModelProto:
        if case.model is not None:
            return case.model
        if case.model_dir is not None:
            return onnx.load(os.path.join(case.model_dir, "model.onnx"))
        return onnx.load(os.path.join(os.path.dirname(onnx.__file__), os.path.relpath(case.url, "onnx")))
    return model
