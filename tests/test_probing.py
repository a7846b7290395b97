"""Probing and improvement by roof duality against enumeration: every best labelling survives, energies never rise."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from oracle import INF, Spec
from test_cuts import any_spec, asked_of, cubic_spec, declared

import factorgraph as fg
from factorgraph.infer.fold import Step
from factorgraph.infer.probing import improve, probe
from factorgraph.infer.qpbo import persistent
from factorgraph.infer.solver import evaluate
from factorgraph.plan import Asked

CHUNK = 100
chunks = pytest.mark.parametrize("chunk", [0, 1, *(pytest.param(c, marks=pytest.mark.check) for c in range(2, 40))])


def law_probe(spec: Spec, step: Step, asked: Asked) -> int:
    """All best labellings are among those of the smaller question, at the same energies; returns variables gone."""
    joint = spec.joint()
    best = joint.min()
    smaller, kept, constant, lost, lift = step
    assert best == INF or (lost < 0).all()
    assert kept.size == smaller.plan.states.size and (constant == 0).all()
    if best == INF:
        return 0
    found = []
    for labels in itertools.product(*map(range, smaller.plan.states)):
        chosen = np.array(labels, np.int32)
        energy, whole = evaluate(smaller, chosen)[1].sum(), lift(chosen)
        assert (whole[kept] == chosen).all()
        assert energy in (INF, spec.energy(whole))
        if energy == best:
            found.append(tuple(whole.tolist()))
    assert sorted(found) == sorted(map(tuple, np.argwhere(joint == best).tolist()))
    return len(spec.states) - kept.size


@chunks
def test_every_best_labelling_survives(chunk):
    gone = 0
    for seed in range(CHUNK):
        rng = np.random.default_rng([chunk, seed])
        spec = any_spec(rng) if seed % 2 else cubic_spec(rng)
        asked = asked_of(declared(spec))
        gone += law_probe(spec, probe(asked), asked)
    assert gone > 0


def frustrated_ring(length: int) -> Spec:
    """Strong pairs, one of which wants its ends to differ, and a weak one that wants them to be equal: an odd cycle."""
    factors = []
    for v in range(length):
        weight = 1.0 if v == length - 1 else 4.0 + v % 3
        sign = -1.0 if v == 0 else 1.0
        factors.append(((v, (v + 1) % length), sign * weight * (1.0 - np.eye(2))))
    return Spec([2] * length, [False] * length, factors)


def test_strong_pairs_of_a_frustrated_ring_become_one_variable():
    """Roof duality knows no label of it, as the opposite of a best labelling is one too."""
    spec = frustrated_ring(9)
    asked = asked_of(declared(spec))
    assert (persistent(asked)[0] == -1).all()
    smaller, kept, _, _, lift = probe(asked)
    assert law_probe(spec, (smaller, kept, np.zeros(1), np.full(1, -1), lift), asked) == 8 and kept.size == 1


def test_probing_proves_that_nothing_is_left():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,), states=2)
    for v in range(5):  # an odd cycle of variables that must differ
        g.add(fg.Table([[INF, 0.0], [0.0, INF]]), x[v], x[(v + 1) % 5])
    asked = asked_of(g)
    assert persistent(asked)[1][0] < INF
    assert probe(asked)[3].tolist() == [0]


def random_grid(size: int, seed: int) -> fg.FactorGraph:
    rng = np.random.default_rng(seed)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(size, size), states=2)
    g.add(fg.Table(rng.normal(size=(size, size, 2))), x)
    for a, b in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1])):
        g.add(fg.Potts(3 * rng.normal(size=a.shape)), a, b)
    return g


def test_a_frustrated_grid_is_proven_by_probing():
    """22 x 22 couplings of either sign: too wide to eliminate before variables are merged."""
    g = random_grid(22, 0)
    with pytest.raises(fg.FactorGraphError, match="elimination|cells"):
        fg.solve(g, method="elimination")
    solution = fg.solve(g)
    assert solution.status == fg.Status.OPTIMAL
    asked = asked_of(g)
    assert persistent(asked)[1].sum() < solution.energy
    start = np.zeros(22 * 22, np.int32)
    better = improve(asked, start, tries=40)
    assert solution.energy <= evaluate(asked, better)[1][0] < evaluate(asked, start)[1][0]
    assert (improve(asked, start, tries=40) == better).all()


def test_holding_some_improves_what_bounds_and_moves_find():
    """A grid that nothing proves: `auto` ends below what TRW-S ends at, and says who found it."""
    g = random_grid(40, 2)
    solution, rounded = fg.solve(g), fg.solve(g, method="trw-s")
    assert solution.status == fg.Status.BOUNDED and solution.components.method.tolist() == ["roof duality"]
    assert rounded.bound <= solution.bound <= solution.energy < rounded.energy


def test_time_is_kept():
    g = random_grid(60, 1)
    asked = asked_of(g)
    probe(asked)
    begin = time.perf_counter()
    step = probe(asked, begin + 0.5)
    assert time.perf_counter() - begin < 1.0 and step[1].size <= 3600
    late = probe(asked, time.perf_counter() - 1)
    assert late[0] is asked and (late[3] == -1).all()
    labels = np.zeros(3600, np.int32)
    assert (improve(asked, labels, deadline=time.perf_counter() - 1) == labels).all()


@chunks
def test_improvement_never_raises_the_energy(chunk):
    best = 0
    for seed in range(CHUNK // 2):
        rng = np.random.default_rng([1, chunk, seed])
        spec = any_spec(rng) if seed % 2 else cubic_spec(rng)
        start = rng.integers(0, 2, len(spec.states)).astype(np.int32)
        labels = improve(asked_of(declared(spec)), start, tries=12, seed=seed)
        assert set(labels.tolist()) <= {0, 1}
        assert spec.energy(labels) <= spec.energy(start)
        best += spec.energy(labels) == spec.joint().min()
    assert best > CHUNK // 4


def test_what_cannot_be_improved_is_refused():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=3)
    g.add(fg.Table(np.zeros((3, 3, 3))), x[0], x[1], x[2])
    with pytest.raises(fg.FactorGraphError, match="improve: component 0 .* binary variables and arity at most 3"):
        improve(asked_of(g), np.zeros(3, np.int32))


@pytest.mark.jitoff
def test_probing_without_the_compiler():
    for seed in range(4):
        rng = np.random.default_rng([2, seed])
        spec = any_spec(rng) if seed % 2 else cubic_spec(rng)
        asked = asked_of(declared(spec))
        law_probe(spec, probe(asked), asked)
        start = np.zeros(len(spec.states), np.int32)
        assert spec.energy(improve(asked, start, tries=3)) <= spec.energy(start)
