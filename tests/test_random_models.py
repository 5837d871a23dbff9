"""Random ONNX models through the whole compiler, held against the onnx reference evaluator. `python -m tests.random_models` runs more."""
from __future__ import annotations

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.kernels.build import RUNNABLE
from tests.random_models import found
from tests.random_models.builder import OPSETS, grow
from tests.random_models.entries.table import ENTRIES
from tests.random_models.running import BATCH, compiled, describe, exportable, exported, findings, interpreted, reduced, screened, seeded

SEEDS = 48  # evaluated by NumPy, a few times in a second
COMPILED = 3  # compiled for each target: what takes time is the C compiler


@st.composite
def models(draw):
    """A small random model: what hypothesis draws it can shrink."""
    return grow(draw(st.randoms(use_true_random=False)), draw(st.sampled_from(OPSETS)), nodes=(1, 8))


def answers(wrong) -> list:
    """What is wrong, without what is refused."""
    return [finding for finding in wrong if not finding.refused]


def report(wrong) -> str:
    return "\n".join(f"{finding}\n{describe(finding.model)}" for finding in wrong)


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(model=models())
def test_imported_and_optimised(model) -> None:
    _, wrong = screened([model])
    wrong = answers(wrong)
    assert not wrong, report(wrong)


@pytest.mark.parametrize("first", range(0, SEEDS, BATCH))
def test_seeds(first: int) -> None:
    wrong = answers(screened([seeded(seed) for seed in range(first, first + BATCH)])[1])
    assert not wrong, report(reduced(finding, interpreted) for finding in wrong)


@pytest.mark.parametrize("first", [320000, 320096])  # among them what export got wrong once
def test_exported(first: int) -> None:
    models, _ = screened([seeded(seed) for seed in range(first, first + BATCH)])
    wrong = answers(finding for model in map(exportable, models) for finding in findings([model], exported))
    assert not wrong, report(reduced(finding, exported) for finding in wrong)


@pytest.mark.parametrize("target", RUNNABLE, ids=lambda t: t.name)
def test_compiled(target) -> None:
    first = BATCH * (100 + RUNNABLE.index(target))
    models, wrong = screened([seeded(seed) for seed in range(first, first + COMPILED)])
    wrong += findings(models, compiled(target.name))
    wrong = answers(wrong)
    assert not wrong, report(wrong)


@pytest.mark.parametrize("model", found.models(), ids=lambda m: m.origin)
def test_found_before(model) -> None:
    wrong = findings([model], interpreted)
    wrong = answers(wrong)
    assert not wrong, report(wrong)


def test_found_before_compiled() -> None:
    wrong = findings(found.models(), compiled())
    wrong = answers(wrong)
    assert not wrong, report(wrong)


def test_every_entry_finds_a_place() -> None:
    """An entry whose attempts are all refused by the reference would test nothing, silently."""
    for entry in ENTRIES:
        made = [grow(Random(seed), OPSETS[-1], nodes=(2, 2), only=[entry.op]).nodes for seed in range(3)]
        assert any(node.op_type != "Constant" for nodes in made for node in nodes), entry.op
