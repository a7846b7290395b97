"""k_best beyond what test_laws.py enumerates: close energies, many components, large lattices, long chains."""

from __future__ import annotations

import heapq
import itertools
import tracemalloc
from dataclasses import dataclass
from typing import Any

import numpy as np
import oracle
import pytest
from strategies import Case, ContinuousChoices, RandomChoices, explained, random_case, random_evidence

import factorgraph as fg
from factorgraph.infer import DynamicProgramming, Solver
from factorgraph.infer.ranking import best_sums
from factorgraph.kernels.jit import JIT_DISABLED
from factorgraph.plan import Acceptor, Question, restrict

INF = np.inf


def chain(count: int, length: int, states: int, dtype: Any = np.float64, seed: int = 0) -> tuple[Any, Any, Any]:
    """(graph, unary tables, transition) of `count` chains."""
    rng = np.random.default_rng(seed)
    unary = rng.normal(size=(count, length, states)).astype(dtype)
    table = rng.normal(size=(states, states)).astype(dtype)
    g = fg.FactorGraph()
    y = g.variables("y", shape=(count, length), states=states)
    g.add(fg.Table(unary), y)
    g.add(fg.Table(table), y[:, :-1], y[:, 1:])
    return g, unary, table


def energies_of(best: list[Any]) -> list[float]:
    return [s.energy for s in best]


# Against enumeration


@pytest.mark.jitoff
def test_energies_without_ties_against_enumeration() -> None:
    """Real numbers: the order is the only one possible; every form of edge, latents, lattices, evidence."""
    for seed in range(150):
        choices = ContinuousChoices(seed)
        case = random_case(choices, forest=seed % 5 > 0, dtype=[np.float64, np.float32][seed % 2])
        evidence, allowed, strings = random_evidence(case, choices)
        with explained(case, evidence=evidence):
            expected = oracle.k_best(case.spec, 15, allowed, strings)
            best = fg.k_best(case.graph, 15, evidence=evidence)
            assert energies_of(best) == pytest.approx(expected, abs=1e-9)
            assert energies_of(best) == sorted(energies_of(best))
        if seed > 15 and JIT_DISABLED:
            return


def test_hundreds_of_forests_and_more_ranks_than_labellings() -> None:
    """k far beyond the number of labellings lists all that are feasible, each once."""
    seen = 0
    for seed in range(300):
        case = random_case(RandomChoices(50_000 + seed), lattices=False)
        spec = case.spec
        if np.prod(spec.states) > 200 or any(spec.latent):
            continue
        seen += 1
        joint = spec.joint()
        with explained(case):
            best = fg.k_best(case.graph, 10**6)
            assert energies_of(best) == sorted(joint[joint < INF].tolist())
            labels = [tuple(case.flat(s.labels)) for s in best]
            assert len(set(labels)) == len(labels)
            assert [joint[chosen] for chosen in labels] == energies_of(best)
    assert seen > 60


def test_each_method_ranks_alike() -> None:
    for seed in range(40):
        case = random_case(RandomChoices(60_000 + seed), lattices=False)
        with explained(case):
            expected = energies_of(fg.k_best(case.graph, 9))
            for method in ("dynamic", "brute", "min-sum"):
                assert energies_of(fg.k_best(case.graph, 9, method=method)) == expected


# The first rank, dtypes, threads


def test_the_best_one_is_what_solve_finds() -> None:
    for seed in range(60):
        case = random_case(RandomChoices(70_000 + seed))
        with explained(case):
            solution = fg.solve(case.graph)
            for k in (1, 4):
                best = fg.k_best(case.graph, k)
                assert bool(best) == (solution.energy < INF)
                if best:
                    first = best[0]
                    assert (first.energy, first.bound, first.status) == (
                        solution.energy,
                        solution.bound,
                        solution.status,
                    )
                    if not any(case.spec.latent) and not case.lattices:  # of paths that cost the same any may come
                        np.testing.assert_array_equal(first.flat, solution.flat)


def test_float32_energies_are_ranked_as_exactly_as_float64() -> None:
    """5,000 positions of float32: sums in float32 could not tell successive answers apart."""
    g, unary, table = chain(1, 5000, 8, np.float32)
    wide = fg.FactorGraph()
    y = wide.variables("y", shape=(1, 5000), states=8)
    wide.add(fg.Table(unary.astype(np.float64)), y)
    wide.add(fg.Table(table.astype(np.float64)), y[:, :-1], y[:, 1:])
    left, right = fg.k_best(g, 100), fg.k_best(wide, 100)
    assert energies_of(left) == pytest.approx(energies_of(right), abs=1e-9)
    assert all((a.flat == b.flat).all() for a, b in zip(left, right, strict=True))
    assert energies_of(left)[-1] - energies_of(left)[0] < 0.5
    large = fg.FactorGraph()
    x = large.variables("x", shape=(3,), states=2)
    large.add(fg.Table(np.array([2e38, 3e38], np.float32)), x)
    large.add(fg.Table(np.zeros((2, 2), np.float32)), x[:-1], x[1:])
    assert len(fg.k_best(large, 9)) == 8  # 6e38 is no infinity


def test_threads_do_not_change_a_byte() -> None:
    g, *_ = chain(40, 12, 5, np.float32)
    for each in (False, True):
        one, two = (fg.k_best(g, 7, threads=threads, each=each) for threads in (1, 2))
        assert [s.flat.tobytes() for s in one] == [s.flat.tobytes() for s in two]


# Many components


@pytest.mark.jitoff
def test_sums_over_many_components() -> None:
    """The k least sums against a plain merge, with ties and with components that have few answers."""
    rng = np.random.default_rng(0)
    for components, n, k in [(1, 4, 9), (5, 3, 300), (40, 6, 50), (3000, 10, 100)]:
        energies = np.sort(rng.integers(0, 6, size=(components, n)).astype(float), axis=1)
        energies[np.arange(n) >= rng.integers(1, n + 1, size=(components, 1))] = INF
        merged = [0.0]
        for row in energies:
            merged = heapq.nsmallest(k, (a + b for a in merged for b in row if b < INF))
        ranks = best_sums(energies, k)
        sums = energies[np.arange(components), ranks].sum(1)
        assert sums.tolist() == merged
        assert len({tuple(row) for row in ranks.tolist()}) == len(ranks)
    assert best_sums(np.zeros((0, 1)), 3).shape == (1, 0)


def test_each_component_has_its_own_ranks() -> None:
    """What a data set wants: one infeasible example, one with few answers, and the rest as if alone."""
    tables = np.random.default_rng(1).normal(size=(6, 3, 4))
    tables[2] = INF
    tables[4, :, 1:] = INF
    tables[4, 2, 1] = 0.5
    g = fg.FactorGraph()
    y = g.variables("y", shape=(6, 3), states=4)
    g.add(fg.Table(tables), y)
    g.add(fg.Potts(0.3), y[:, :-1], y[:, 1:])
    assert fg.k_best(g, 5) == []
    best = fg.k_best(g, 5, each=True)
    assert len(best) == 5 and {s.status for s in best} == {fg.Status.INFEASIBLE}
    for n in range(6):
        costs = {
            labels: sum(tables[n, t, k] for t, k in enumerate(labels)) + 0.3 * sum(a != b for a, b in pairs)
            for labels in itertools.product(range(4), repeat=3)
            for pairs in [list(itertools.pairwise(labels))]
        }
        expected = [e for e in sorted(costs.values()) if e < INF][:5]
        found = [s.components.energy[n] for s in best]
        assert found == pytest.approx(expected + [INF] * (5 - len(expected)))
        for r, s in enumerate(best):
            labels = tuple(int(k) for k in s.labels["y"][n])
            assert labels == (-1, -1, -1) if r >= len(expected) else costs[labels] == pytest.approx(expected[r])
            status = ["OPTIMAL", "BOUNDED"][r > 0] if r < len(expected) else "INFEASIBLE"
            assert fg.Status(s.components.status[n]).name == status
            assert s.components.bound[n] == (found[0] if r < len(expected) else INF)
    assert sum(s.components.energy[4] < INF for s in best) == 2


def test_each_of_a_thousand_chains_is_ranked_as_if_alone() -> None:
    g, unary, table = chain(1000, 4, 3)
    joint = np.zeros((1000, 3, 3, 3, 3))
    for t in range(4):
        joint += unary[:, t].reshape(1000, *[3 if axis == t else 1 for axis in range(4)])
    for t in range(3):
        joint += table.reshape([3 if axis in (t, t + 1) else 1 for axis in range(4)])
    expected = np.sort(joint.reshape(1000, -1), axis=1)[:, :12]
    best = fg.k_best(g, 12, each=True)
    np.testing.assert_allclose(np.stack([s.components.energy for s in best], 1), expected, atol=1e-12)
    for r, s in enumerate(best):
        np.testing.assert_allclose(joint[(np.arange(1000), *s.labels["y"].T)], expected[:, r], atol=1e-12)
    sums = [0.0]  # of all: the merged list adds the least steps up
    for row in expected - expected[:, :1]:
        sums = heapq.nsmallest(12, (a + b for a in sums for b in row))
    total = [s.energy - expected[:, 0].sum() for s in fg.k_best(g, 12)]
    np.testing.assert_allclose(total, sums, atol=1e-9)


# Lattices


@pytest.mark.parametrize("transitions", [False, True])
def test_large_lattices_against_excluding_what_was_found(transitions: bool) -> None:
    """The next string is the best one that an acceptor of all other strings admits."""
    rng = np.random.default_rng(5)
    start, end = np.array([(i, j) for i in range(16) for j in range(i + 1, min(17, i + 5))]).T
    g = fg.FactorGraph()
    for n in range(3):
        line = g.lattice(f"line{n}", arcs=(start, end), states=10)
        costs = rng.normal(size=(start.size, 10)) + 1
        costs[rng.random(costs.shape) < 0.2] = INF
        g.add(fg.Table(costs if n else np.round(costs)), line)  # the first lattice has ties
        if transitions:
            g.add(fg.Table(rng.normal(size=(10, 10))), line, line)
    plan, energies = g.compile(), g.energies()
    best = fg.k_best(g, 8, each=True)
    for n in range(3):
        found: list[tuple[int, ...]] = []
        for s in best:
            restriction = restrict(plan, {n: Acceptor.excluding(found, 10)}) if found else None
            least = DynamicProgramming()(plan, energies, Question(None, restriction), np.array([n]))
            assert s.components.energy[n] == pytest.approx(least.components.energy[n], abs=1e-12)
            found.append(s.strings[f"line{n}"])
            nodes = [0, *end[s.paths[f"line{n}"]]]
            assert nodes[:-1] == start[s.paths[f"line{n}"]].tolist() and nodes[-1] == 16
        assert len(set(found)) == 8


def test_a_lattice_lists_every_string_once() -> None:
    """Many paths per string, strings of several lengths, dead ends."""
    case = Case()
    lattice = case.lattice("line", [0, 0, 1, 1, 2, 0, 2, 3, 1], [1, 2, 2, 4, 4, 4, 3, 4, 3], 2)
    case.add_arcs("line", np.random.default_rng(0).integers(0, 3, size=(9, 2)).astype(float))
    spelled = lattice.strings()
    best = fg.k_best(case.graph, 500)
    assert energies_of(best) == sorted(spelled.values())
    assert {s.strings["line"]: s.energy for s in best} == spelled and len(best) == len(spelled)


# Long chains


def test_twenty_thousand_positions() -> None:
    """No recursion, memory linear; zero transitions make the k best the k least sums of single changes."""
    rng = np.random.default_rng(0)
    length = 20_000
    unary = rng.random((length, 3)) * 100
    g = fg.FactorGraph()
    y = g.variables("y", shape=(length,), states=3)
    g.add(fg.Table(unary), y)
    g.add(fg.Table(np.zeros((3, 3))), y[1:], y[:-1])
    fg.k_best(g, 2)
    tracemalloc.start()
    best = fg.k_best(g, 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    steps = np.sort((unary - unary.min(1, keepdims=True)), axis=1)[:, 1:]
    sums = [0.0]
    for row in steps[np.argsort(steps[:, 0])[:25]]:
        sums = heapq.nsmallest(20, (a + b for a in sums for b in [0.0, *row]))
    np.testing.assert_allclose(np.array(energies_of(best)) - unary.min(1).sum(), sums, atol=1e-7)
    assert len({s.flat.tobytes() for s in best}) == 20
    assert peak < 40e6


# Refusals


@dataclass(frozen=True)
class OneOnly(Solver):
    """Exact, but ranks nothing."""

    def minimise(self, asked: Any, answer: Any) -> None:
        DynamicProgramming().minimise(asked, answer)


def test_solvers_that_cannot_rank_say_so() -> None:
    g, *_ = chain(1, 3, 2)
    assert len(fg.k_best(g, 1, method=OneOnly())) == 1
    with pytest.raises(fg.FactorGraphError, match="OneOnly: finds one labelling only; expected a solver that ranks"):
        fg.k_best(g, 2, method=OneOnly())
