"""The onnx package's backend tests: some of them compiled, half of them through import and the interpreter, and exported again and computed
by that package's reference evaluator; all of them with `--onnx-suite`. `python -m tests.onnx_suite` runs them outside of pytest."""
from __future__ import annotations

import unittest
import warnings
from functools import cache

import pytest
from onnx.backend.test import BackendTest

import dlcompile.onnx_backend
from tests.onnx_suite.backends import MODES
from tests.onnx_suite.cases import Case, Comparison, error_of, left_out, load_cases
from tests.onnx_suite.record import operators_of
from tests.onnx_suite.running import run_case

SHARES = 8  # tests that processes can share out
EVERY = 20
SLOW_IN_PYTHON = "real"  # the light models, which NumPy takes minutes for


@cache
def cases(mode: str) -> list[Case]:
    return list(load_cases(MODES[mode]))


@cache
def representative() -> list[Case]:
    """A case for each operator, and every twentieth of the rest."""
    chosen: dict[str, Case] = {}
    seen: set[str] = set()
    for case in cases("compiled"):
        if case.kind == "node" and (new := set(operators_of(case.model())) - seen) and not left_out(case.name):
            seen |= new
            chosen[case.name] = case
    some = {c.name: c for c in cases("compiled")[::EVERY] if c.kind != SLOW_IN_PYTHON}
    return list({**chosen, **some}.values())


def failures(some: list[Case], mode: str = "compiled") -> list[str]:
    """Those that fail without a reason."""
    found = []
    for case in some:
        if left_out(case.name, mode) is None and (failure := run_case(case).failure):
            found.append(f"{case.name}: {failure[:500]}")
    return found


@pytest.mark.parametrize("share", range(SHARES))
def test_compiled(share, pytestconfig):
    chosen = cases("compiled") if pytestconfig.getoption("--onnx-suite") else representative()
    assert len(chosen) > 200
    assert not (found := failures(chosen[share::SHARES])), "\n".join(found)


@pytest.mark.parametrize("share", range(2))
@pytest.mark.parametrize("mode", ["interpreted", "round-trip"])
def test_not_compiled(mode, share, pytestconfig):
    chosen = [c for c in cases(mode) if c.kind != SLOW_IN_PYTHON]
    assert len(chosen) > 2000
    if not pytestconfig.getoption("--onnx-suite"):
        chosen = chosen[::2]
    assert not (found := failures(chosen[share::2], mode)), "\n".join(found)


def test_the_standard_way_of_running_them():
    """As the documentation of onnx.backend.test has it, with no code of ours in between."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        backend_test = BackendTest(dlcompile.onnx_backend, __name__)
    backend_test.include("^test_(relu|add_bcast|sequence_insert_at_back|exp_example|gradient_of_add)_(cpu|cuda)$")
    result = unittest.TestResult()
    backend_test.test_suite.run(result)
    skipped = {str(test).split()[0] for test, why in result.skipped if "include" not in why}
    assert result.wasSuccessful(), result.failures + result.errors
    assert result.testsRun - len(result.skipped) == 5
    assert skipped == {"test_relu_cuda", "test_add_bcast_cuda", "test_sequence_insert_at_back_cuda", "test_exp_example_cuda",
                       "test_gradient_of_add_cuda"}


# -- the harness itself ---------------------------------------------------------------------------------------------------------
def case_of(function) -> Case:
    return Case("test_it", "node", function, Comparison(), lambda: None)


def test_failures_are_told():
    def wrong():
        raise ValueError("no")

    assert run_case(case_of(wrong)).failure == "ValueError: no"
    assert run_case(case_of(lambda: None)).failure == ""


def test_a_case_that_kills_its_process_or_does_not_end():
    import os
    import time

    from tests.onnx_suite.running import run_cases

    some = [case_of(lambda: os.abort()), case_of(lambda: time.sleep(60)), case_of(lambda: None), case_of(lambda: None)]
    found = sorted(r.failure[:8] for r in run_cases(some, 2, timeout=2))
    assert found == ["", "", "Died: th", "Timeout:"]


def test_the_error_of_a_value():
    import numpy as np

    assert error_of(np.float32([1, np.nan, np.inf]), np.float32([1, np.nan, np.inf])) == 0
    assert error_of(np.float32([1.5, 10]), np.float32([1, 20])) == 0.5
    assert error_of([np.float32(1), None], [np.float32(3), None]) == pytest.approx(2 / 3)
    assert error_of(np.zeros((0, 2)), np.zeros((0, 2))) == 0
