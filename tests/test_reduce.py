"""Reductions keep the minimum of every component, and lift a best labelling to a best labelling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import RandomChoices, random_case

import factorgraph as fg
from factorgraph.infer.fold import fold
from factorgraph.infer.reduce import prune, reduce
from factorgraph.infer.solver import Answer, evaluate
from factorgraph.plan import Asked, Question


def minima(asked: Asked) -> tuple[np.ndarray, np.ndarray]:
    """(labels, minimum per component) by enumeration."""
    answer = Answer.empty(asked.plan)
    if asked.components.size:
        fg.BruteForce().minimise(asked, answer)
    return answer.labels, evaluate(asked, np.maximum(answer.labels, 0))[1]


def random_question(seed: int, dtype: type, percent: int = 20) -> Asked:
    choices = RandomChoices(seed)
    case = random_case(choices, forest=False, lattices=False, dtype=dtype)
    plan = case.graph.compile()
    bias = choices.values(plan.variable_states)
    bias[choices.mask(plan.variable_states, percent)] = np.inf
    energies = case.graph.energies()
    asked = Question(bias.astype(energies.dtype)).of(plan, energies)
    return asked.part(choices.rng.permutation(plan.n_components)[: choices.integer(1, max(1, plan.n_components))])


@pytest.mark.jitoff
@given(st.integers(0, 1 << 32), st.sampled_from([np.float32, np.float64]))
def test_reductions_keep_every_minimum(seed, dtype):
    asked = random_question(seed, dtype)
    _, truth = minima(asked)
    reduced = reduce(asked)
    labels, least = minima(reduced.asked)
    least = reduced.constant + np.bincount(reduced.owner, least, truth.size)
    lifted = reduced.lift(labels)
    mine = np.isin(asked.plan.component, asked.components)
    assert (lifted[~mine] == -1).all()
    for i, c in enumerate(asked.components):
        if reduced.lost[i] >= 0:
            assert truth[i] == np.inf and asked.plan.component[reduced.lost[i]] == c
        else:
            assert least[i] == truth[i]
            assert (lifted[asked.plan.component == c] >= 0).all()
            assert evaluate(asked.part(np.array([i])), lifted)[1][0] == truth[i]


@given(st.integers(0, 1 << 32))
def test_each_step_keeps_every_minimum(seed):
    asked = random_question(seed, np.float64, 10)
    _, truth = minima(asked)
    for step in (prune, fold):
        whole = asked if step is prune else reduce_nothing(asked)
        place = np.full(whole.plan.n_components, -1)
        place[whole.components] = np.arange(whole.components.size)
        smaller, variables, constant, lost, lift = step(whole)
        labels, least = minima(smaller)
        owner = np.zeros(smaller.plan.n_components, np.int64)
        owner[smaller.plan.component] = place[whole.plan.component[variables]]
        total = constant + np.bincount(owner, least, constant.size)
        total[lost >= 0] = np.inf
        assert total.sum() == truth.sum()
        if total.sum() < np.inf:
            assert evaluate(whole, lift(labels))[1].sum() == truth.sum()


def reduce_nothing(asked: Asked) -> Asked:
    """The same question of all components of a plan, as steps after the first get it."""
    from factorgraph.infer.network import asked_of, network_of

    return asked_of(network_of(asked).network)


def test_states_without_support_go_until_nothing_is_left():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=3)
    less = np.where(np.arange(3)[:, None] < np.arange(3), 0.0, np.inf)
    g.add(fg.Table(less), x[:3], x[1:])  # four different values out of three
    g.add(fg.Table(less), x[:1], x[3:])
    plan = g.compile()
    reduced = reduce(Question().of(plan, g.energies()))
    assert reduced.lost[0] >= 0 and reduced.asked.plan.states.size == 0


def test_dominated_states_go():
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,), states=4)
    a, b = np.triu_indices(5, 1)
    g.add(fg.Table(rng.random((10, 4, 4))), x[a], x[b])
    g.add(fg.Table(np.tile([0.0, 5.0, 0.1, 9.0], (5, 1))), x)  # pairs cannot make up for 5 (four of them below 1 each)
    smaller, *_ = prune(Question().of(g.compile(), g.energies()))
    assert (smaller.plan.states == 2).all()


def test_of_equal_states_one_stays():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=3)
    a, b = np.triu_indices(4, 1)
    g.add(fg.Table(np.zeros((3, 3))), x[a], x[b])
    smaller, _, _, lost, lift = prune(Question().of(g.compile(), g.energies()))
    assert smaller.plan.states.size == 0 and (lost == -1).all() and (lift(np.zeros(0, np.int32)) == 0).all()


def test_trees_and_rings_fold_away():
    rng = np.random.default_rng(1)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(30,), states=3)
    g.add(fg.Table(rng.random((20, 3, 3))), x[:20], x[np.r_[1:20, 0]])  # a ring
    g.add(fg.Table(rng.random((10, 3, 3))), x[20:], x[rng.integers(0, 20, 10)])  # and leaves
    smaller, variables, constant, *_ = fold(Question().of(g.compile(), g.energies()))
    assert variables.size == 0 and np.isfinite(constant).all()


def test_nothing_grows():
    rng = np.random.default_rng(2)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(7,), states=3)
    a, b = np.triu_indices(7, 1)
    g.add(fg.Table(rng.random((21, 3, 3))), x[a], x[b])
    smaller, variables, *_ = fold(Question().of(g.compile(), g.energies()))
    assert variables.size == 7 and smaller.plan.size == 7 * 3 + 21 * 9
