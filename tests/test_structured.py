"""Factors that count against their enumerated tables: every question, every solver, every loss, files, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import oracle
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oracle import INF
from scipy.optimize import linear_sum_assignment
from strategies import Case, ContinuousChoices, DrawnChoices, RandomChoices, explained, random_case, random_evidence
from test_gradients import LOSSES, differences, given_answers, random_answer
from test_laws import (
    check_solution,
    law_configurations,
    law_entropy,
    law_evidence,
    law_k_best,
    law_marginals,
    law_min_marginals,
    law_min_sum,
    law_samples,
    law_solve,
)

import factorgraph as fg
from factorgraph.infer.solver import Solver
from factorgraph.kernels.tables import COUNT
from factorgraph.plan import Asked

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere

#: `make check` looks at ten times as many graphs.
MORE = settings.default.max_examples // 200


def graphs(count: int, first: int = 0) -> Iterator[tuple[Case, RandomChoices, bool]]:
    """Forests and, as often, small graphs at will, with up to three factors that count among tables and lattices."""
    for seed in range(first, first + count * max(1, MORE)):
        choices = RandomChoices(seed)
        yield random_case(choices, forest=seed % 2 > 0, counts=choices.integer(1, 3)), choices, seed % 2 > 0


def counts(case: Case) -> bool:
    return case.graph.compile().counters is not None


# Every question


def all_laws(case: Case, choices: Any, forest: bool) -> None:
    evidence, allowed, strings = random_evidence(case, choices)
    with explained(case, evidence=evidence):
        law_evidence(case, evidence, allowed, strings, law_solve(case))
        law_min_sum(case, evidence, allowed, strings)
        if forest:
            law_marginals(case, 0.5, evidence, allowed, strings)
            law_k_best(case, 4, evidence, allowed, strings)
        law_min_marginals(case, evidence, allowed, strings)
        law_entropy(case, 1.0, evidence, allowed, strings)
        law_configurations(case, 2.0, evidence, allowed, strings)
        law_samples(case, choices, evidence, allowed, strings)


def test_the_laws_of_every_question() -> None:
    assert sum(counts(case) for case, *_ in graphs(40)) > 30
    for case, choices, forest in graphs(150):
        all_laws(case, choices, forest)


@pytest.mark.jitoff
def test_a_small_slice_of_the_laws() -> None:
    for case, choices, forest in graphs(6, first=500):
        all_laws(case, choices, forest)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_laws_shrinking(data: Any) -> None:
    choices = DrawnChoices(data.draw)
    forest = bool(choices.integer(0, 1))
    case = random_case(choices, forest, counts=2)
    all_laws(case, choices, forest)
