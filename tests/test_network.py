"""Networks of dense tables keep every energy, of plans of any kind, there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import RandomChoices, random_case

import factorgraph as fg
from factorgraph.infer.network import asked_of, incidence_of, network_of
from factorgraph.infer.solver import evaluate
from factorgraph.kernels.network import network_energy
from factorgraph.plan import Question

pytestmark = pytest.mark.jitoff


@given(st.integers(0, 1 << 32), st.sampled_from([np.float32, np.float64]))
def test_every_labelling_keeps_its_energy(seed, dtype):
    choices = RandomChoices(seed)
    case = random_case(choices, forest=False, lattices=False, dtype=dtype)
    plan = case.graph.compile()
    energies = case.graph.energies()
    bias = np.where(choices.mask(plan.variable_states, 20), np.inf, 1.0).astype(energies.dtype)
    asked = Question(bias).of(plan, energies)
    chosen = choices.rng.permutation(plan.n_components)[: choices.integer(1, max(1, plan.n_components))]
    asked = asked.part(chosen)
    scene = network_of(asked)
    network, back = scene.network, asked_of(scene.network)
    assert (plan.states[scene.variables] == network.states).all()
    rng = np.random.default_rng(seed)
    for _ in range(5):
        labels = np.full(plan.states.size, -1, np.int32)
        labels[scene.variables] = rng.integers(0, network.states)
        expected = evaluate(asked, labels)[1].sum()
        assert network_energy(network, labels[scene.variables]) == expected
        assert evaluate(back, labels[scene.variables].astype(np.int32))[1].sum() == expected
    incidence = incidence_of(network)
    for v in range(network.states.size):
        mine = incidence.entry[incidence.ptr[v] : incidence.ptr[v + 1]]
        assert (network.var[mine] == v).all() and mine.size == (network.var == v).sum()
        for entry, owner in zip(mine, incidence.owner[incidence.ptr[v] : incidence.ptr[v + 1]]):
            assert network.ptr[owner] <= entry < network.ptr[owner + 1]


def test_parallel_factors_become_one_table():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=np.array([2, 3, 2]))
    table = np.arange(12.0).reshape(2, 3, 2)
    g.add(fg.Table(table), x[0], x[1], x[2])
    g.add(fg.Table(table.transpose(2, 0, 1)), x[2], x[0], x[1])
    g.add(fg.Table([[0.0, 5.0], [7.0, 0.0]]), x[2], x[0])
    g.add(fg.Potts(4.0), x[0], x[2])
    plan = g.compile()
    network = network_of(Question().of(plan, g.energies())).network
    assert sorted(np.diff(network.ptr)) == [2, 3] and network.tables.size == 16
    pair = int(np.flatnonzero(np.diff(network.ptr) == 2)[0])
    assert network.tables[network.start[pair] : network.start[pair + 1]].tolist() == [0.0, 9.0, 11.0, 0.0]
