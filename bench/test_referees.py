"""The referees against naive twins: `pytest bench/test_referees.py`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy import sparse
from scipy.special import logsumexp

import factorgraph as fg
from bench import ours, peers, workloads
from bench.referees import chain_perceptron, viterbi
from bench.twins import chains, lattices, machine, trees, trws
from bench.twins.build import COMPILER
from factorgraph.infer.passes import General
from factorgraph.kernels.structure import LOOPY

compiled = pytest.mark.skipif(COMPILER is None, reason="no g++: no twins")
STATES = (1, 2, 9, 16, 17, 26, 33)


def naive_viterbi(unary: np.ndarray, pairwise: np.ndarray) -> list[int]:
    """Labels of one chain, ties to the lowest state."""
    beliefs = [unary[0]]
    for row in unary[1:]:
        beliefs.append((beliefs[-1][:, None] + pairwise).min(0) + row)
    labels = [int(beliefs[-1].argmin())]
    for row in beliefs[-2::-1]:
        labels.append(int((row + pairwise[:, labels[-1]]).argmin()))
    return labels[::-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", [1, 2, 8, 9, 16, 17, 22, 26, 45, 64, 70])
def test_viterbi(states: int, dtype: type) -> None:
    rng = np.random.default_rng(states)
    lengths = rng.integers(1, 9, 12)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    unary: np.ndarray = rng.integers(0, 5, (offsets[-1], states)).astype(dtype)  # many ties
    unary[rng.random(unary.shape) < 0.1] = np.inf
    pairwise: np.ndarray = rng.integers(0, 5, (states, states)).astype(dtype)
    problem = viterbi.prepare(unary, pairwise, offsets)
    labels = viterbi.decode(problem, *viterbi.work(problem))
    twin = [label for a, b in zip(offsets[:-1], offsets[1:]) for label in naive_viterbi(unary[a:b], pairwise)]
    assert labels.tolist() == twin


@pytest.mark.parametrize("states", [2, 9, 22, 33])
def test_perceptron(states: int) -> None:
    rng = np.random.default_rng(states)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 7, 20))])
    tokens, features = int(offsets[-1]), 30
    matrix = sparse.random(tokens, features, 0.2, "csr", np.float32, rng)
    matrix.data[:] = 1
    gold = rng.integers(0, states, tokens)
    chains = chain_perceptron.Chains(offsets, matrix.indptr.astype(np.int64), matrix.indices, gold)
    learner = chain_perceptron.Perceptron(chains, features, states)
    emit, table = np.zeros((features, states)), np.zeros((states, states))
    sums, steps, dense = [np.zeros_like(emit), np.zeros_like(table)], 0, matrix.toarray()
    for _ in range(3):
        order = rng.permutation(len(offsets) - 1)
        mistakes = 0
        for n in order:
            span = slice(offsets[n], offsets[n + 1])
            rows = dense[span]
            for sign, y in ((-1, gold[span]), (1, np.array(naive_viterbi(rows @ emit, table)))):
                mistakes += (y != gold[span]).sum()
                for change, sum_ in zip((emit, table), sums):
                    where = (y,) if change is emit else (y[:-1], y[1:])
                    step = np.zeros_like(change)
                    if change is emit:
                        np.add.at(step.T, where, rows)
                    else:
                        np.add.at(step, where, 1)
                    change += sign * step
                    sum_ += sign * steps * step
            steps += 1
        assert learner.epoch(order) == mistakes
    for average, current, sum_ in zip(learner.average(), (emit, table), sums):
        np.testing.assert_allclose(average, current - sum_ / steps, atol=1e-5)


def test_tagging_is_a_partition_of_its_tokens() -> None:
    data = workloads.synthetic_tagging(count=50, tokens=600, features=400)
    assert data.offsets[-1] == len(data.labels) == data.features.shape[0] == 600
    assert (np.diff(data.offsets) > 0).all()
    assert data.features.has_canonical_format
    assert len(data.left()) == 550


# ---- C++ twins ----------------------------------------------------------------------------------------------------


def naive_sums(unary: np.ndarray, pairwise: np.ndarray) -> tuple[np.ndarray, float]:
    """Marginals (T, S) and log Z of one chain, in log space."""
    ahead, behind = [-unary[0]], [np.zeros(unary.shape[1])]
    for row in unary[1:]:
        ahead.append(logsumexp(ahead[-1][:, None] - pairwise, axis=0) - row)
    for row in unary[:0:-1]:
        behind.append(logsumexp(behind[-1] - row - pairwise, axis=1))
    logz = float(logsumexp(ahead[-1]))
    return np.exp(np.array(ahead) + np.array(behind[::-1]) - logz), logz


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", STATES)
def test_chain_twins_label_as_the_naive_one_and_as_we_do(states: int, dtype: type) -> None:
    data = workloads.ragged(21, states, dtype, seed=states)
    rng = np.random.default_rng(states)
    unary: np.ndarray = rng.integers(0, 5, data.unary.shape).astype(dtype)  # many ties
    unary[rng.random(unary.shape) < 0.1] = np.inf
    tied = workloads.Ragged(data.offsets, unary, rng.integers(0, 5, data.table.shape).astype(dtype))
    for variant in chains.decoders(states, np.dtype(dtype)):
        for case in (data, tied):
            found = chains.viterbi(variant, case.unary, case.table, case.offsets)()
            naive = [k for a, b in _spans(case) for k in naive_viterbi(case.unary[a:b], case.table)]
            assert found.labels.tolist() == naive, variant
            np.testing.assert_allclose(found.least, ours.minima(ours.chains(case))()[1], rtol=1e-5)


@compiled
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", STATES)
def test_sum_twins_agree_with_the_naive_one_and_with_ours(states: int, dtype: type) -> None:
    data = workloads.ragged(21, states, dtype, seed=states)
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    naive = [naive_sums(data.unary[a:b].astype(float), data.table.astype(float)) for a, b in _spans(data)]
    marginals, free = ours.sums(ours.chains(data))()
    for variant in (*chains.summers(states, np.dtype(dtype)), "logsumexp"):
        found = chains.forward_backward(variant, data.unary, data.table, data.offsets)()
        slack = 200 * tolerance if variant == "logsumexp" else tolerance
        np.testing.assert_allclose(found.logz, [z for _, z in naive], rtol=slack)
        np.testing.assert_allclose(found.marginals, np.concatenate([p for p, _ in naive]), atol=slack)
    np.testing.assert_allclose(-free, [z for _, z in naive], rtol=tolerance)
    np.testing.assert_allclose(marginals.reshape(-1, states), np.concatenate([p for p, _ in naive]), atol=tolerance)


@compiled
@pytest.mark.parametrize("states", (*STATES, 8))
@pytest.mark.parametrize("own", [False, True])
def test_tree_twin(states: int, own: bool) -> None:
    data = workloads.tree(200, states, renamed=True, seed=states)
    if own:
        data = data._replace(pairwise=workloads.edge_tables(len(data.child), states))
    order = trees.breadth_first(data.parent, data.child)
    tables = data.pairwise[order.edge[1:]] if own else data.pairwise
    labels = np.empty(200, np.int64)
    labels[order.name] = trees.solver(order, data.unary[order.name], tables)()
    naive = np.empty(200, np.int64)
    each = np.broadcast_to(tables, (199, states, states))
    beliefs = data.unary[order.name].astype(float)
    for node in range(199, 0, -1):
        beliefs[order.parent[node]] += (each[node - 1] + beliefs[node]).min(1)
    naive[0] = beliefs[0].argmin()
    for node in range(1, 200):
        naive[node] = (each[node - 1][naive[order.parent[node]]] + beliefs[node]).argmin()
    assert labels[order.name].tolist() == naive.tolist()
    assert labels.tolist() == ours.minima(ours.tree(data))()[0].tolist()


def paths(data: workloads.Lines, line: int) -> Iterator[list[int]]:
    """Arcs of every path of a line."""
    first, last = data.ptr[line], data.ptr[line + 1]
    open_: list[list[int]] = [[]]
    while open_:
        path = open_.pop()
        at = data.end[path[-1]] if path else 0
        if at == data.nodes[line] - 1:
            yield path
        open_ += [[*path, a] for a in range(first, last) if data.start[a] == at]


@compiled
@pytest.mark.parametrize("states", STATES)
@pytest.mark.parametrize("spelling", [False, True])
def test_lattice_twin(states: int, spelling: bool) -> None:
    data = workloads.lines(6, arcs=14, nodes=7, states=states, seed=states)
    (labels, least), (posteriors, free) = lattices.best(data, spelling)(), lattices.sums(data, spelling)()
    for line in range(6):
        letters = data.letters[data.spelled[line] : data.spelled[line + 1]]
        known = [p for p in paths(data, line) if not spelling or len(p) == len(letters)]
        rows = [data.energies[p].astype(float) for p in known]
        if spelling:
            costs = [row[np.arange(len(row)), letters].sum() for row in rows]
            energies = costs
        else:
            costs = [row.min(1).sum() for row in rows]
            energies = [-logsumexp(-row, axis=1).sum() for row in rows]
        best = known[int(np.argmin(costs))]
        span = slice(data.ptr[line], data.ptr[line + 1])
        assert (np.flatnonzero(labels[span] >= 0) + span.start).tolist() == best
        assert labels[best].tolist() == (letters if spelling else data.energies[best].argmin(1)).tolist()
        assert least[line] == pytest.approx(min(costs), rel=1e-6, abs=1e-6)
        assert free[line] == pytest.approx(-logsumexp(-np.array(energies)), rel=1e-5, abs=1e-6)
        expected = np.zeros((len(data.energies), states))
        for path, energy in zip(known, energies):
            share = np.exp(free[line] - energy)
            for place, arc in enumerate(path):
                of_arc = -data.energies[arc].astype(float)
                within = np.eye(states)[letters[place]] if spelling else np.exp(of_arc - logsumexp(of_arc))
                expected[arc] += share * within
        np.testing.assert_allclose(posteriors[span], expected[span], atol=1e-5)
    if not spelling:
        g = ours.lines(data)
        np.testing.assert_allclose(least, ours.minima(g)()[1], rtol=1e-6)
        np.testing.assert_allclose(posteriors.ravel(), ours.sums(g)()[0], atol=1e-6)


@compiled
def test_the_peak_is_a_peak() -> None:
    peak = machine.peak()
    assert min(peak.read, peak.copied) > 1e8
    assert all(rate > 1e8 for rate in (*peak.add_min.values(), *peak.fused.values()))


# ---- peers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("package", peers.ADAPTERS)
def test_peers_solve_the_same_problem(package: str) -> None:
    peer = peers.adapter(package)
    if peer is None:
        pytest.skip(f"{package} is not installed")
    unary, table = workloads.chains(5, 12, 4)
    if hasattr(peer, "decode") and package != "pycrfsuite":  # that one decodes by its own energies
        found = peer.decode(unary, table)()
        assert np.array(found).tolist() == [naive_viterbi(chain, table) for chain in unary]
    if hasattr(peer, "sums"):
        naive = [naive_sums(chain.astype(float), table.astype(float))[0] for chain in unary]
        np.testing.assert_allclose(np.array(peer.sums(unary, table)()), naive, atol=1e-5)
    pixels = workloads.potts_grid(3, 4, 2)
    grid = ours.grid(pixels, fg.Potts(0.7))
    least = fg.solve(grid, method="brute").energy
    if hasattr(peer, "cut"):
        assert peer.cut(pixels, 0.7)() == pytest.approx(least)
    if hasattr(peer, "expand"):  # an expansion from nothing is one cut of two labels
        assert fg.energy(grid, {"x": peer.expand(pixels, 0.7 * (1 - np.eye(2)))()}) == pytest.approx(least, abs=1e-4)


def _spans(data: workloads.Ragged) -> list[tuple[int, int]]:
    return list(zip(data.offsets[:-1].tolist(), data.offsets[1:].tolist()))


@compiled
@pytest.mark.parametrize("kind", [trws.POTTS, trws.LINEAR, trws.DENSE])
def test_trws_passes(kind: int) -> None:
    """The twin's bounds are ours, pass after pass, on random graphs."""
    rng = np.random.default_rng(kind)
    unary = rng.uniform(0, 2, (40, 5)).astype(np.float32)
    drawn = np.unique(np.sort(rng.integers(0, 40, (120, 2)), 1), axis=0)
    pairs = drawn[drawn[:, 0] != drawn[:, 1]]
    tables = rng.uniform(-1, 1, (2, 5, 5)).astype(np.float32)
    which = rng.integers(0, 2, len(pairs))
    factor = {trws.POTTS: fg.Potts(np.float32(0.5)), trws.LINEAR: fg.TruncatedLinear(np.float32(0.25), np.float32(0.5))}
    g = fg.FactorGraph()
    x = g.variables("x", shape=(40,), states=5)
    g.add(fg.Table(unary), x)
    g.add(factor.get(kind, fg.Table(tables[which])), x[pairs[:, 0]], x[pairs[:, 1]])
    plan = g.compile()
    asked = fg.Question().of(plan, g.energies())
    engine = General(asked.part(plan.kinds == LOOPY))
    twin = trws.passes(unary, pairs, kind, 0.25 if kind == trws.LINEAR else 0.0, 0.5, tables, which)
    isolated = [v for c in np.flatnonzero(plan.kinds != LOOPY) for v in plan.variables_of(int(c))]
    assert all(np.count_nonzero(pairs == v) == 0 for v in isolated)
    for _ in range(5):
        found = engine.iterate(np.ones(engine.asked.components.size, bool), np.inf, True)
        assert found is not None
        assert twin(1) == pytest.approx(found.sum() + unary[isolated].min(1).sum(), rel=1e-5)
