"""Exact search: against enumeration and toulbar2, stopped at any moment, and its one law: shifts keep every energy."""

from __future__ import annotations

import itertools
import operator
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import RandomChoices, explained, random_case

import factorgraph as fg
from factorgraph.infer import search as searching
from factorgraph.infer.network import asked_of
from factorgraph.infer.search import Search
from factorgraph.infer.search_costs import costs_of
from factorgraph.kernels.network import Network, network_energy
from factorgraph.kernels.search import ABOVE, COLUMNS, IS, NOT, UPTO, burst, resume
from factorgraph.kernels.search_consistency import CONFLICT, FULL
from factorgraph.kernels.search_costs import BASE, CUT, FIRST, LIVE, LOG, NODES, PTR, SHIFT, SIZE, START, STATES, VAR
from factorgraph.kernels.search_root import sweep_root


def random_network(rng, count, most_states=4, most_arity=3, factors=None, values=None, forbid=0.1, least=1) -> Network:
    """A connected-ish network; `values(size)` draws energies, a share `forbid` of the table entries is +inf."""
    values = values or (lambda size: rng.integers(-5, 6, size).astype(float))
    states = rng.integers(least, most_states + 1, count)
    scopes = set()
    for _ in range(factors or 2 * count):
        arity = int(rng.integers(2, most_arity + 1))
        if arity <= count:
            scopes.add(frozenset(rng.choice(count, arity, replace=False).tolist()))
    chosen = [rng.permutation(sorted(scope)) for scope in sorted(scopes, key=sorted)]
    sizes = [int(states[scope].prod()) for scope in chosen]
    tables = values(sum(sizes))
    tables[rng.random(tables.size) < forbid] = np.inf
    first = np.append(0, np.cumsum(states))
    unary = values(int(first[-1]))
    ptr = np.append(0, np.cumsum([len(scope) for scope in chosen])).astype(np.int64)
    var = np.concatenate([*chosen, np.zeros(0, np.int64)]).astype(np.int64)
    return Network(states, first, unary, ptr, var, np.append(0, np.cumsum(sizes)).astype(np.int64), tables)


def floats(rng):
    """Energies whose sums are rounded, of any size."""
    scale = 10.0 ** rng.integers(-3, 7)
    return lambda size: rng.normal(size=size) * scale


def least_energy(network: Network) -> float:
    """By enumeration, as one array."""
    total = np.zeros(network.states)
    parts = [((v,), network.unary[network.first[v] : network.first[v + 1]]) for v in range(network.states.size)]
    for f in range(network.ptr.size - 1):
        scope = tuple(network.var[network.ptr[f] : network.ptr[f + 1]])
        parts.append((scope, network.tables[network.start[f] : network.start[f + 1]]))
    for scope, flat in parts:
        shape = np.ones(network.states.size, int)
        shape[list(scope)] = network.states[list(scope)]
        table = flat.reshape(network.states[list(scope)])
        total = total + np.transpose(table, np.argsort(scope, kind="stable")).reshape(shape)
    return float(total.min())


def check_answer(search: Search, status: fg.Status, least: float) -> None:
    """Everything that a finished search claims."""
    if least == np.inf:
        assert status == fg.Status.INFEASIBLE and search.bound == np.inf
        return
    close = 1e-7 * max(1.0, abs(least))
    assert status == fg.Status.OPTIMAL
    assert least - 1e-12 * abs(least) <= search.energy <= least + close
    assert network_energy(search.network, search.labels) == search.energy
    assert least - close <= search.bound <= least + 1e-12 * max(1.0, abs(least))


@settings(max_examples=4 * settings.default.max_examples)
@given(st.integers(0, 1 << 32))
def test_search_finds_what_enumeration_finds(seed):
    rng = np.random.default_rng(seed)
    values = None if seed % 2 else floats(rng)
    forbid = [0, 0.1, 0.4][seed % 3]
    network = random_network(rng, int(rng.integers(1, 9)), 3, 4, int(rng.integers(1, 14)), values, forbid)
    search = Search(network)
    check_answer(search, search.run(), least_energy(network))


@pytest.mark.jitoff
@pytest.mark.parametrize("seed", range(6))
def test_search_without_the_compiler(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, 5, 3, 3, 7, floats(rng) if seed % 2 else None)
    search = Search(network)
    check_answer(search, search.run(), least_energy(network))


@given(st.integers(0, 1 << 32))
def test_solve_exact_is_the_oracles_minimum(seed):
    case = random_case(RandomChoices(seed), forest=False, lattices=False)
    with explained(case):
        s = fg.solve(case.graph, method="exact")
        least = float(case.spec.joint().min())
        if least == np.inf:
            assert s.status == fg.Status.INFEASIBLE and s.energy == s.bound == np.inf
        else:
            assert s.status == fg.Status.OPTIMAL and s.energy == s.bound == least
            assert case.spec.energy(case.flat(s.labels)) == least
            assert set(s.components.method) <= {"exact search", "dynamic programming"}


def test_a_factor_too_wide_to_be_looked_at_waits_until_variables_are_known():
    rng = np.random.default_rng(4)
    count, cells = 17, 1 << 17
    scopes = [np.arange(count), *(np.array([v, (v + 1) % count]) for v in range(count))]
    tables = np.append(rng.integers(0, 30, cells), rng.integers(0, 3, 4 * count)).astype(float)
    ptr = np.append(0, np.cumsum([scope.size for scope in scopes]))
    start = np.append(0, np.cumsum([1 << scope.size for scope in scopes]))
    states = np.full(count, 2)
    network = Network(states, 2 * np.arange(count + 1), np.zeros(2 * count), ptr, np.concatenate(scopes), start, tables)
    search = Search(network)
    check_answer(search, search.run(), least_energy(network))
    assert search.costs.tally[NODES] > 0


# Soft arc consistency


def left(s) -> list[list[int]]:
    """The states left to each variable."""
    return [s.state[v[FIRST] : v[FIRST] + v[SIZE], LIVE].tolist() for v in s.node[:-1]]


def table_cost(s, f, states) -> float:
    """What factor f costs beyond what was moved."""
    entries = range(s.factor[f, PTR], s.factor[f + 1, PTR])
    shape = [s.node[s.entry[e, VAR], STATES] for e in entries]
    table = s.tables[s.factor[f, START] : s.factor[f + 1, START]].reshape(shape)
    return table[tuple(states)] - sum(s.value[s.entry[e, SHIFT] + k] for e, k in zip(entries, states))


def scope_of(s, f) -> list[int]:
    return s.entry[s.factor[f, PTR] : s.factor[f + 1, PTR], VAR].tolist()


def costs_of_labellings(s) -> dict[tuple[int, ...], float]:
    """Of every labelling that is left: the constant, unaries and tables less what was moved."""
    costs = {}
    for labels in itertools.product(*left(s)):
        total = s.value[0] + sum(s.value[s.node[v, FIRST] + k] for v, k in enumerate(labels))
        for f in range(len(s.factor) - 1):
            total += table_cost(s, f, [labels[v] for v in scope_of(s, f)])
        costs[labels] = total
    return costs


def least_costs(s) -> float:
    """The least unary or table entry that is left."""
    live = left(s)
    least = min((s.value[s.node[v, FIRST] + k] for v in range(len(live)) for k in live[v]), default=0.0)
    for f in range(len(s.factor) - 1):
        for states in itertools.product(*(live[v] for v in scope_of(s, f))):
            least = min(least, table_cost(s, f, states))
    return least


ALLOWS = {IS: operator.eq, NOT: operator.ne, UPTO: operator.le, ABOVE: operator.gt}


def settle(s, room=None) -> int:
    """Work off all flags."""
    none = np.zeros((0, COLUMNS), np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64)
    return burst(s, *none, (0, 0), room or s.log_at.size // 4, 1 << 60)


@given(st.integers(0, 1 << 32))
def test_shifts_keep_every_energy_to_the_last_bit(seed):
    rng = np.random.default_rng(seed)
    network = random_network(rng, int(rng.integers(2, 6)), 3, 3, 6, None if seed % 2 else floats(rng), 0.15)
    labels = rng.integers(0, network.states)
    energy = float(network_energy(network, labels)) if seed % 3 else np.inf
    if Search(network).bound == np.inf:
        assert least_energy(network) == np.inf
        return
    s = costs_of(network, labels, energy)
    before = costs_of_labellings(s)
    for labelling, cost in before.items():
        true = network_energy(network, np.array(labelling)) - s.level[BASE]
        if true < np.inf and cost < np.inf:
            assert cost <= true + 1e-12 * max(1.0, abs(true) + abs(s.level[BASE]))

    def check():
        after = costs_of_labellings(s)
        for labelling, cost in before.items():
            if labelling in after:
                assert after[labelling] == cost
            else:
                assert cost == np.inf or cost >= s.level[CUT]

    for sweep in range(int(rng.integers(0, 4))):
        if sweep_root(s, 0, sweep % 2 == 0, 1 << 60, labels.copy()) < 0:
            assert not min(before.values(), default=np.inf) < np.inf
            return
        check()
        assert least_costs(s) >= 0
    if settle(s) == CONFLICT:
        assert min(before.values(), default=np.inf) >= s.level[CUT]
        return
    check()
    assert least_costs(s) >= 0
    s.tally[LOG] = 0
    kept = (s.value.copy(), s.node[:, SIZE].copy())
    before = costs_of_labellings(s)
    stack, below = np.zeros((30, COLUMNS), np.int64), np.zeros(30)
    path = []
    for _ in range(3):
        v = int(rng.integers(network.states.size))
        path.append((v, int(rng.integers(network.states[v])), int(rng.integers(4))))
    if resume(s, stack, below, np.array(path)):
        wanted = {
            labelling: cost
            for labelling, cost in before.items()
            if all(ALLOWS[kind](labelling[v], k) for v, k, kind in path)
        }
        if settle(s) == CONFLICT:
            assert min(wanted.values(), default=np.inf) >= s.level[CUT]
        else:
            after = costs_of_labellings(s)
            assert all(after[labelling] == cost for labelling, cost in wanted.items() if labelling in after)
            assert all(cost >= s.level[CUT] for labelling, cost in wanted.items() if labelling not in after)
            assert least_costs(s) >= 0
    resume(s, stack, below, np.zeros((0, 3), np.int64))
    assert (s.value == kept[0]).all() and (s.node[:, SIZE] == kept[1]).all()


def test_a_full_log_asks_for_room():
    rng = np.random.default_rng(0)
    network = random_network(rng, 10)
    s = costs_of(network, np.zeros(10, np.int64), np.inf)
    assert settle(s, s.log_at.size + 1) == FULL


# Longer searches


def hard_network(seed: int, count: int = 32, forbid: float = 0.05) -> Network:
    """Takes a thousand conflicts or so."""
    rng = np.random.default_rng(seed)
    return random_network(rng, count, 4, 3, 3 * count, lambda size: rng.integers(0, 40, size).astype(float), forbid, 2)


def test_a_search_may_be_stopped_at_any_moment(monkeypatch):
    network = hard_network(1)
    whole = Search(network)
    assert whole.run() == fg.Status.OPTIMAL
    least = whole.energy
    monkeypatch.setattr(searching, "WORK_SLICE", 20_000)
    bounds = []
    for limit in (0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2):
        begin = time.perf_counter()
        search = Search(network)
        status = search.run(begin + limit)
        assert time.perf_counter() - begin < limit + 1
        assert search.bound <= least <= search.energy
        assert status == fg.Status.OPTIMAL or search.bound < search.energy
        if search.energy < np.inf:
            assert network_energy(network, search.labels) == search.energy
        bounds.append(search.bound)
    assert bounds[0] > -np.inf and bounds[-1] >= bounds[0]


def test_slices_memory_and_room_in_the_log_change_no_answer(monkeypatch):
    network = hard_network(2)
    first = Search(network)
    assert first.run() == fg.Status.OPTIMAL
    again = Search(network)
    again.run()
    assert (again.labels == first.labels).all() and again.costs.tally.tolist() == first.costs.tally.tolist()
    monkeypatch.setattr(searching, "WORK_SLICE", 5_000)
    sliced = Search(network)
    sliced.run()
    assert (sliced.labels == first.labels).all() and sliced.bound == first.bound
    monkeypatch.setattr(searching, "OPEN_BYTES", 0)
    deep = Search(network)
    deep.run()
    assert deep.energy == deep.bound == first.energy


def test_initial_labels_are_kept_unless_there_are_better_ones():
    network = hard_network(3)
    search = Search(network)
    search.run()
    begun = Search(network, search.labels.astype(np.int32))
    assert begun.energy == search.energy
    assert begun.run() == fg.Status.OPTIMAL and begun.energy == search.energy
    late = Search(network, search.labels.astype(np.int32))
    assert late.run(0.0) == fg.Status.BOUNDED and late.energy == search.energy


@pytest.mark.parametrize(
    "count", [200, pytest.param(2_000, marks=pytest.mark.check)], ids=lambda count: f"{count}-graphs"
)
def test_toulbar2_agrees(count):
    pytest.importorskip("pytoulbar2")
    for seed in range(count):
        rng = np.random.default_rng(seed)
        size = 10 + seed % 51
        values = lambda cells: rng.integers(0, 12, cells).astype(float)  # noqa: B023, E731
        network = random_network(rng, size, 4, 3, int(rng.uniform(1.0, 1.8) * size), values, 0.08 * (seed % 2), 2)
        plan, energies, _, _ = asked_of(network)
        ours, theirs = fg.ExactSearch()(plan, energies), fg.Toulbar2()(plan, energies)
        assert ours.status == theirs.status and ours.status in (fg.Status.OPTIMAL, fg.Status.INFEASIBLE), seed
        assert ours.energy == theirs.energy == ours.bound, seed


@pytest.mark.parametrize("method", ["exact", "toulbar2"])
@pytest.mark.parametrize("states", [2, 3])
def test_constraints_alone(method, states):
    if method == "toulbar2":
        pytest.importorskip("pytoulbar2")
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=states)
    g.add(fg.Table(np.where(np.eye(states, dtype=bool), np.inf, 0.0)), x[[0, 1, 2]], x[[1, 2, 0]])
    s = fg.solve(g, method=method)
    if states == 2:
        assert s.status == fg.Status.INFEASIBLE and s.bound == np.inf
    else:
        assert s.status == fg.Status.OPTIMAL and s.energy == s.bound == 0 and set(s.labels["x"]) == {0, 1, 2}


def test_toulbar2_rounds_honestly():
    pytest.importorskip("pytoulbar2")
    for seed in range(20):
        rng = np.random.default_rng(seed)
        g = fg.FactorGraph()
        x = g.variables("x", shape=(8,), states=3)
        for a, b in itertools.combinations(range(8), 2):
            g.add(fg.Table(rng.normal(size=(3, 3)) * 10.0 ** rng.integers(-2, 3)), x[a], x[b])
        best = fg.solve(g, method="brute")
        s = fg.solve(g, method=fg.Toulbar2(decimals=int(rng.integers(0, 9))))
        assert s.bound <= best.energy <= s.energy
        assert s.status == fg.Status.OPTIMAL or s.gap < 40
        fine = fg.solve(g, method="toulbar2", time_limit=60, initial=dict(x=np.zeros(8, int)))
        assert fine.status == fg.Status.OPTIMAL and fine.energy == pytest.approx(best.energy, abs=1e-6)
        assert set(fine.components.method) == {"toulbar2"}


def test_toulbar2_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pytoulbar2", None)
    with pytest.raises(fg.FactorGraphError, match=r"toulbar2: expected the package pytoulbar2.*pip install"):
        fg.solve(fg.FactorGraph(), method="toulbar2")


@pytest.mark.data
@pytest.mark.parametrize("name, energy", [("zebra", 0.0), ("GEOM40_6", 0.0), ("pedigree1", 76911689.0)])
def test_known_instances(data_dir, name, energy):
    """Integer costs in the wcsp layout: variables, domains, upper bound; tables by default cost and exceptions."""
    import lzma

    file = data_dir / "instances" / f"{name}.wcsp"
    text = file.read_text() if file.exists() else lzma.open(f"{file}.xz", "rt").read()
    words = iter(text.split()[1:])
    count, _, factors, top = (int(next(words)) for _ in range(4))
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=np.array([int(next(words)) for _ in range(count)]))
    states = g.compile().states
    for _ in range(factors):
        scope = [int(next(words)) for _ in range(int(next(words)))]
        table = np.full(states[scope], float(next(words)))
        for _ in range(int(next(words))):
            where = tuple(int(next(words)) for _ in scope)
            table[where] = float(next(words))
        table[table >= top] = np.inf
        g.add(fg.Table(table), *(x[v] for v in scope))
    s = fg.solve(g, method="exact", time_limit=60)
    assert s.status == fg.Status.OPTIMAL and s.energy == s.bound == energy
