"""Minimum cuts, roof duality and moves against enumeration, and the flow kernel against its laws and a peer."""

from __future__ import annotations

import itertools
import time

import numpy as np
import oracle
import pytest
from oracle import INF, Spec

import factorgraph as fg
from factorgraph.infer.flows import Clock, Network, new_flow, push
from factorgraph.infer.qpbo import fuse, persistent
from factorgraph.kernels.arcs import Grid, Pairs, Sparse, count_arcs, place_arcs
from factorgraph.kernels.maxflow import PAUSED, UNBOUNDED, Flow, prepare, run
from factorgraph.plan import Asked

FEW = range(5)  # × CHUNK graphs in `make test`
MANY = range(5, 100)  # … and the rest of the 10,000 in `make check`
CHUNK = 100
chunks = pytest.mark.parametrize("chunk", [*FEW, *(pytest.param(chunk, marks=pytest.mark.check) for chunk in MANY)])


def declared(spec: Spec) -> fg.FactorGraph:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(len(spec.states),), states=np.array(spec.states))
    for scope, table in spec.factors:
        g.add(fg.Table(table), *(x[v] for v in scope))
    return g


def asked_of(g: fg.FactorGraph) -> Asked:
    plan, energies = g.compile(), g.energies()
    return Asked(plan, energies, np.zeros(0, energies.dtype), np.arange(plan.n_components))


def random_unaries(rng: np.random.Generator, states: list[int], forbidden: float = 0.0) -> list:
    tables = [rng.integers(-5, 6, k).astype(float) for k in states]
    return [((v,), np.where(rng.random(t.size) < forbidden, INF, t)) for v, t in enumerate(tables)]


def random_pairs(rng: np.random.Generator, n: int, most: int) -> list[tuple[int, int]]:
    return [tuple(map(int, rng.choice(n, 2, replace=False))) for _ in range(rng.integers(0, most + 1))]


def submodular_spec(rng: np.random.Generator) -> Spec:
    """Up to six binary variables: pairs, parallel ones, implications and equalities, triples; ints."""
    n = int(rng.integers(2, 7))
    factors = random_unaries(rng, [2] * n, 0.05)
    for u, v in random_pairs(rng, n, 2 * n):
        t = rng.integers(-4, 5, (2, 2)).astype(float)
        t[0, 1] += max(0.0, t[0, 0] + t[1, 1] - t[0, 1] - t[1, 0])
        if rng.random() < 0.1:  # a factor that is not submodular, and what makes up for it
            t[0, 0] += 3
            factors.append(((v, u), np.array([[0.0, 1.0], [2.0, 0.0]])))
        if rng.random() < 0.2:
            t[0, 1] = INF
        if rng.random() < 0.1:
            t[1, 0] = INF
        if rng.random() < 0.03:
            t[:, rng.integers(2)] = INF
        factors.append(((u, v), t))
    for _ in range(rng.integers(0, n) if n > 2 else 0):
        t = np.zeros((2, 2, 2)) + rng.integers(-2, 3, (2, 1, 1)) + rng.integers(-2, 3, (1, 1, 2))
        t[(0, 0, 0) if rng.random() < 0.5 else (1, 1, 1)] -= rng.integers(0, 5)
        for i, j in itertools.combinations(range(3), 2):
            labels = np.indices(t.shape)
            t += rng.integers(0, 3) * (labels[i] != labels[j])
        factors.append((tuple(map(int, rng.choice(n, 3, replace=False))), t))
    return Spec([2] * n, [False] * n, factors)


def any_spec(rng: np.random.Generator, most: int = 2, forbidden: float = 0.05) -> Spec:
    """Pairs with any ints, some forbidden."""
    n = int(rng.integers(2, 8 if most == 2 else 6))
    states = [2] * n if most == 2 else [int(k) for k in rng.integers(1, most + 1, n)]
    factors = random_unaries(rng, states, forbidden)
    for u, v in random_pairs(rng, n, 2 * n):
        t = rng.integers(-4, 5, (states[u], states[v])).astype(float)
        factors.append(((u, v), np.where(rng.random(t.shape) < forbidden, INF, t)))
    return Spec(states, [False] * n, factors)


def cubic_spec(rng: np.random.Generator, states: int = 2, forbidden: float = 0.02) -> Spec:
    """Any factors of arity up to three, ints, few forbidden."""
    n = int(rng.integers(3, 8 if states == 2 else 6))
    counts = [states] * n
    factors = random_unaries(rng, counts, forbidden)
    for arity in (2, 3):
        for _ in range(rng.integers(0, n + 1)):
            t = rng.integers(-4, 5, (states,) * arity).astype(float)
            scope = tuple(map(int, rng.choice(n, arity, replace=False)))
            factors.append((scope, np.where(rng.random(t.shape) < (forbidden if arity == 2 else 0.005), INF, t)))
    return Spec(counts, [False] * n, factors)


def law_min_cut(spec: Spec) -> None:
    """The minimum, the least of all best labellings, every min-marginal, and that it is recognised."""
    g, joint = declared(spec), spec.joint()
    best = joint.min()
    solution = fg.solve(g, method="min-cut")
    assert solution.energy == best and solution.status == (fg.Status.OPTIMAL if best < INF else fg.Status.INFEASIBLE)
    if best < INF:
        optima = np.argwhere(joint == best)
        assert (solution.labels["x"] == optima.min(0)).all()  # best labellings are a lattice: the meet is one of them
    given = fg.min_marginals(g, method="min-cut").variables["x"]
    for v, expected in enumerate(oracle.min_marginals(joint)):
        np.testing.assert_array_equal(given[v], expected)
    assert fg.MinCut().submodular(asked_of(g)).all()


@chunks
def test_min_cut_equals_enumeration(chunk):
    for seed in range(CHUNK):
        law_min_cut(submodular_spec(np.random.default_rng([chunk, seed])))


def law_recognised(spec: Spec) -> None:
    """`submodular` is exact where nothing is forbidden: every pair's summed table tells."""
    sums: dict = {}
    for scope, table in spec.factors:
        if len(scope) == 2:
            u, v = sorted(scope)
            sums[u, v] = sums.get((u, v), 0) + (table if scope == (u, v) else table.T)
    fine = all(t[0, 0] + t[1, 1] <= t[0, 1] + t[1, 0] for t in sums.values())
    g = declared(spec)
    assert fg.MinCut().submodular(asked_of(g)).all() == fine
    if not fine:
        with pytest.raises(fg.FactorGraphError, match=r"MinCut: component \d+ has factors that are not submodular"):
            fg.solve(g, method="min-cut")


def law_persistency(spec: Spec) -> int:
    """Labels of roof duality are those of every best labelling, its bound is below; returns how many there are."""
    g, joint = declared(spec), spec.joint()
    best = joint.min()
    labels, bound = persistent(asked_of(g))
    assert bound.sum() <= best
    if any(len(scope) == 3 and (table == INF).any() for scope, table in spec.factors):
        assert (bound == -INF).any()
    if best == INF:
        return 0
    assert (bound < INF).all()
    known = labels >= 0
    assert (np.argwhere(joint == best)[:, known] == labels[known]).all()
    if known.all():
        assert spec.energy(labels) == best == pytest.approx(bound.sum(), rel=1e-9, abs=1e-9)
    return int(known.sum())


@chunks
def test_persistent_labels_are_never_wrong(chunk):
    known = 0
    for seed in range(CHUNK):
        rng = np.random.default_rng([1, chunk, seed])
        law_recognised(any_spec(rng, forbidden=0.0))
        known += law_persistency(any_spec(rng))
    assert known > CHUNK  # it does label


@chunks
def test_persistent_labels_of_cubic_factors_are_never_wrong(chunk):
    known = 0
    for seed in range(CHUNK // 2):
        known += law_persistency(cubic_spec(np.random.default_rng([14, chunk, seed])))
    assert known > CHUNK // 4


def law_roof_equals_relaxation(spec: Spec) -> None:
    """The bound is that of the linear program over pairs: no labels forbidden, so that all is finite."""
    from scipy.optimize import linprog

    n, cost, rows, sides = len(spec.states), [], [], []
    pairs: dict = {}
    unary = np.zeros((n, 2))
    for scope, table in spec.factors:
        if len(scope) == 1:
            unary[scope[0]] += table
        else:
            u, v = sorted(scope)
            pairs[u, v] = pairs.get((u, v), 0) + (table if scope == (u, v) else table.T)
    cost = [*unary.ravel(), *(entry for t in pairs.values() for entry in t.ravel())]
    for v in range(n):
        rows.append({2 * v: 1.0, 2 * v + 1: 1.0})
        sides.append(1.0)
    for i, (u, v) in enumerate(pairs):
        at = 2 * n + 4 * i
        for k in range(2):
            rows.append({at + 2 * k: 1.0, at + 2 * k + 1: 1.0, 2 * u + k: -1.0})
            rows.append({at + k: 1.0, at + 2 + k: 1.0, 2 * v + k: -1.0})
            sides += [0.0, 0.0]
    matrix = np.zeros((len(rows), len(cost)))
    for i, row in enumerate(rows):
        for j, value in row.items():
            matrix[i, j] = value
    relaxed = linprog(cost, A_eq=matrix, b_eq=sides, bounds=(0, 1)).fun
    assert persistent(asked_of(declared(spec)))[1].sum() == pytest.approx(relaxed, abs=1e-6)


def test_roof_duality_is_the_linear_relaxation():
    for seed in range(60):
        law_roof_equals_relaxation(any_spec(np.random.default_rng([2, seed]), forbidden=0.0))


# Moves


def law_fusion(spec: Spec, rng: np.random.Generator) -> None:
    """Never above either labelling; exact where the choice is submodular."""
    asked = asked_of(declared(spec))
    first, second = (np.array([rng.integers(k) for k in spec.states], np.int32) for _ in range(2))
    labels = fuse(asked, first, second)
    assert all(label in (a, b) for label, a, b in zip(labels, first, second, strict=True))
    assert spec.energy(labels) <= min(spec.energy(first), spec.energy(second))
    network = Network(asked.plan, asked.components, np.zeros(len(spec.states), np.int32))
    if network.ask(asked, (first, second)) == 0 and not network.unreduced().any():
        choices = itertools.product(*zip(first, second, strict=True))
        assert spec.energy(labels) == min(map(spec.energy, choices))


def law_moves(spec: Spec, rng: np.random.Generator) -> None:
    """Expansion and swap keep to feasible labels, never end above where they start, and warm starts are obeyed."""
    g = declared(spec)
    best, start = spec.joint().min(), [int(rng.integers(k)) for k in spec.states]
    for solver in (fg.Expansion(threads=1), fg.Swap(threads=1)):
        solution = fg.solve(g, method=solver, initial={"x": start})
        assert solution.energy >= best
        if solution.status != fg.Status.INFEASIBLE and spec.energy(start) < INF:
            assert solution.energy <= spec.energy(start)
            assert solution.energy == spec.energy(solution.labels["x"])


@chunks
def test_moves_never_raise_the_energy(chunk):
    for seed in range(CHUNK // 2):
        rng = np.random.default_rng([3, chunk, seed])
        spec = any_spec(rng, most=4) if seed % 2 else cubic_spec(rng, states=int(rng.integers(2, 4)))
        law_fusion(spec, rng)
        law_moves(spec, rng)


@chunks
def test_expansion_of_potts_ends_within_twice_the_optimum(chunk):
    for seed in range(CHUNK // 2):
        rng = np.random.default_rng([4, chunk, seed])
        n, k = int(rng.integers(3, 8)), int(rng.integers(2, 5))
        factors = [((v,), rng.integers(0, 10, k).astype(float)) for v in range(n)]
        factors += [(pair, rng.integers(0, 8) * (1.0 - np.eye(k))) for pair in random_pairs(rng, n, 2 * n)]
        spec = Spec([k] * n, [False] * n, factors)
        start = rng.integers(0, k, n)
        solution = fg.solve(declared(spec), method="expansion", initial={"x": start})
        assert solution.energy <= 2 * spec.joint().min()
        network_moves = [spec.energy(np.where(mask, a, solution.labels["x"])) for a in range(k) for mask in MASKS[n]]
        assert solution.energy == min(network_moves)  # no expansion lowers it any more


MASKS = {n: list(itertools.product([False, True], repeat=n)) for n in range(3, 8)}


def move_of(spec: Spec, labels: np.ndarray, other: np.ndarray) -> float:
    """The least energy of labellings that take every label from one of the two."""
    return min(map(spec.energy, itertools.product(*zip(labels.tolist(), other.tolist(), strict=True))))


@pytest.mark.parametrize("chunk", [0, 1, *(pytest.param(chunk, marks=pytest.mark.check) for chunk in range(2, 20))])
def test_expansions_of_metrics_are_best_and_of_others_better_than_none(chunk):
    """At the end no expansion of a truncated distance lowers the energy; of squared ones energies do not rise."""
    for seed in range(CHUNK // 5):
        rng = np.random.default_rng([15, chunk, seed])
        n, k = int(rng.integers(3, 7)), int(rng.integers(3, 5))
        pairs, start = random_pairs(rng, n, 2 * n), rng.integers(0, k, n)
        gaps = abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(float)
        for table in (np.minimum(gaps, 2), gaps**2, np.minimum(gaps**2, 5), rng.integers(-4, 5, (k, k)).astype(float)):
            factors = random_unaries(rng, [k] * n) + [(pair, rng.integers(0, 4) * table) for pair in pairs]
            spec = Spec([k] * n, [False] * n, factors)
            solution = fg.solve(declared(spec), method="expansion", initial={"x": start})
            assert spec.energy(solution.labels["x"]) == solution.energy <= spec.energy(start)
            if table.max() <= 2 and table.min() == 0 and (table == table.T).all():
                assert solution.energy == min(
                    move_of(spec, solution.labels["x"], np.full(n, label)) for label in range(k)
                )


def test_expansions_by_roof_duality_are_far_below_their_start():
    """Random tables are no metric: truncating them is too timid, and TRW-S bounds how far the rest is."""
    rng = np.random.default_rng(16)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(30, 30), states=6)
    unary = rng.random((30, 30, 6))
    g.add(fg.Table(unary), x)
    table = fg.Table(rng.random((6, 6)))
    g.add(table, x[1:], x[:-1])
    g.add(table, x[:, 1:], x[:, :-1])
    start, bound = fg.energy(g, {"x": unary.argmin(-1)}), fg.solve(g, method="trw-s").bound
    assert fg.solve(g, method="expansion").energy - bound < 0.25 * (start - bound)


@pytest.mark.parametrize("kind", ["huge", "tiny", "infinite", "zero", "equal"])
def test_adversarial_energies_are_exact(kind):
    """Sums of these energies are exact in float64, so that the minimum is, to the last bit."""
    scale = {"huge": 2.0**900, "tiny": 2.0**-1060}.get(kind, 1.0)
    for seed in range(40):
        rng = np.random.default_rng([17, seed])
        n = int(rng.integers(3, 8))
        low, high = {"zero": (0, 1), "equal": (1, 2)}.get(kind, (0, 9))
        factors = [((v,), rng.integers(low, high, 2) * scale) for v in range(n)]
        for pair in random_pairs(rng, n, 3 * n):
            t = np.zeros((2, 2))
            t[0, 1], t[1, 0] = rng.integers(low, high, 2) * scale
            if kind == "infinite":
                t[0, 1] = t[0, 1] if rng.random() < 0.5 else INF
                t[1, 0] = t[1, 0] if rng.random() < 0.8 else INF
            factors.append((pair, t))
        law_min_cut(Spec([2] * n, [False] * n, factors))


def test_mixed_sizes_end_and_are_cuts():
    """Grids of 2**0 … 2**500, of 2**-1000 … 1, of nothing: the number of steps does not depend on capacities."""
    rng = np.random.default_rng(18)
    begin = time.perf_counter()
    for kind in KINDS:
        grid, flow, _, edges = random_grid(rng, kind, 60, 60)
        excess = flow.excess.copy()
        assert push(grid, flow, Clock(None))
        if not (flow.marked & UNBOUNDED > 0).any():
            assert flow.total[0] == pytest.approx(cut_value(edges, excess, flow.dist > 0), rel=1e-9)
    assert time.perf_counter() - begin < 20


def test_moves_reach_the_optimum_of_grids_with_few_labels():
    """On a grid of 40 × 40 with 3 labels moves come within a percent of the minimum-cut bound of two labels each."""
    rng = np.random.default_rng(5)
    unary = rng.random((40, 40, 3))
    g = fg.FactorGraph()
    x = g.variables("x", shape=(40, 40), states=3)
    g.add(fg.Table(unary), x)
    g.add(fg.Potts(0.3), x[1:], x[:-1])
    g.add(fg.Potts(0.3), x[:, 1:], x[:, :-1])
    cold = fg.solve(g, method="expansion")
    warm = fg.solve(g, method=fg.Expansion(), initial=fg.solve(g, method="min-sum").labels)
    again = fg.solve(g, method=fg.Expansion(threads=2))
    assert (again.flat == cold.flat).all() and again.energy == cold.energy
    assert warm.energy <= fg.solve(g, method="min-sum").energy
    assert fg.energy(g, cold.labels) == cold.energy < fg.energy(g, {"x": unary.argmin(-1)})
    asked = asked_of(g)
    fused = fuse(asked, cold.flat, warm.flat)
    assert fg.energy(g, {"x": fused.reshape(40, 40)}) <= min(cold.energy, warm.energy)


def test_what_cannot_be_cut_is_refused():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=np.array([2, 2, 2, 3]))
    g.add(fg.Table(np.zeros((2, 2, 2, 3))), x[0], x[1], x[2], x[3])
    g.add(fg.Table(np.zeros((2, 3))), x[2], x[3])
    with pytest.raises(fg.FactorGraphError, match="MinCut: component 0 .* binary variables and arity at most 3"):
        fg.solve(g, method="min-cut")
    with pytest.raises(fg.FactorGraphError, match="persistent: component 0 .* binary variables and arity at most 3"):
        persistent(asked_of(g))
    with pytest.raises(fg.FactorGraphError, match="fuse: component 0 .* arity above 3; expected arity at most 3"):
        fuse(asked_of(g), np.zeros(4, np.int32), np.zeros(4, np.int32))
    g.add(fg.Table(np.zeros((2, 2))), x[0], x[1])
    g.add(fg.Table(np.zeros((2, 2))), x[0], x[2])
    with pytest.raises(fg.FactorGraphError, match="Expansion: component 0 .* arity above 3; expected arity at most 3"):
        fg.solve(g, method="expansion")


# The kernel


def capacities(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    match kind:
        case "equal":
            return np.ones(shape)
        case "zero":
            return (rng.random(shape) < 0.3).astype(float)
        case "huge":
            return np.exp2(rng.integers(0, 500, shape).astype(float))
        case "tiny":
            return np.exp2(-rng.integers(0, 1000, shape).astype(float))
        case "infinite":
            return np.where(rng.random(shape) < 0.2, INF, rng.integers(0, 9, shape).astype(float))
    return rng.integers(0, 9, shape).astype(float)


KINDS = ["integer", "equal", "zero", "huge", "tiny", "infinite"]


def grid_flow(height: int, width: int, dtype: type = np.float64) -> tuple[Grid, Flow, np.ndarray]:
    """An empty grid, and its vertices (height, width)."""
    vertices = (np.arange(height)[:, None] + 1) * (width + 1) + np.arange(width)
    size = (height + 2) * (width + 1) + 1
    flow = new_flow(size, 4 * size)
    flow = flow._replace(**{name: getattr(flow, name).astype(dtype) for name in ("residual", "excess", "total")})
    return Grid(np.array([1, -1, width + 1, -width - 1], np.int32)), flow, vertices


def random_grid(rng: np.random.Generator, kind: str, height: int, width: int, dtype: type = np.float64):
    """A grid flow, and the same as a sparse network with (u, v, capacity forth, back) and excess."""
    grid, flow, vertices = grid_flow(height, width, dtype)
    excess, sign = capacities(rng, kind, vertices.shape), rng.choice([-1, 0, 1], vertices.shape, p=[0.4, 0.2, 0.4])
    flow.excess[vertices] = np.where(sign == 0, 0, np.copysign(excess, sign))
    edges = []
    for direction, (here, there) in ((0, (vertices[:, :-1], vertices[:, 1:])), (2, (vertices[:-1], vertices[1:]))):
        forth, back = (capacities(rng, kind, here.shape) for _ in range(2))
        flow.residual[4 * here + direction] = forth
        flow.residual[4 * there + direction + 1] = back
        edges.append(np.stack([here.ravel(), there.ravel(), forth.ravel(), back.ravel()], 1))
    return grid, flow, vertices, np.concatenate(edges)


def sparse_twin(edges: np.ndarray, excess: np.ndarray) -> tuple[Sparse, Flow]:
    u, v = edges[:, 0].astype(np.int32), edges[:, 1].astype(np.int32)
    none, node = np.zeros(0, np.int64), np.arange(excess.size, dtype=np.int32)
    pairs = Pairs(u, v, none, none, np.zeros(u.size, np.int32))
    first, (head, back) = np.zeros(excess.size + 1, np.int32), np.zeros((2, 2 * u.size), np.int32)
    count_arcs(pairs, node, first)
    place_arcs(pairs, node, first.copy(), head, back)
    flow = new_flow(excess.size, 2 * u.size)
    flow.residual[pairs.arc], flow.residual[back[pairs.arc]] = edges[:, 2], edges[:, 3]
    flow.excess[:] = excess
    return Sparse(first, head, back), flow


def cut_value(edges: np.ndarray, excess: np.ndarray, source: np.ndarray) -> float:
    u, v = edges[:, 0].astype(int), edges[:, 1].astype(int)
    total = edges[source[u] & ~source[v], 2].sum() + edges[source[v] & ~source[u], 3].sum()
    return total + excess[~source & (excess > 0)].sum() - excess[source & (excess < 0)].sum()


@pytest.mark.parametrize("kind", KINDS)
def test_flow_equals_cut_on_adversarial_capacities_and_grid_equals_sparse(kind):
    """Max-flow min-cut on implicit and stored networks: the flow is a cut's capacity, so both are optimal."""
    for seed in range(60):
        rng = np.random.default_rng([6, seed])
        height, width = rng.integers(2, 7, 2)
        grid, flow, vertices, edges = random_grid(rng, kind, int(height), int(width))
        excess = flow.excess.copy()
        twin, other = sparse_twin(edges, excess)
        assert push(grid, flow, Clock(None)) and push(twin, other, Clock(None))
        unbounded = (flow.marked & UNBOUNDED > 0).any()
        assert unbounded == (other.marked & UNBOUNDED > 0).any()
        if unbounded:
            assert kind == "infinite"
            continue
        source = flow.dist > 0
        assert (source == (other.dist > 0)).all()
        value = cut_value(edges, excess, source)
        assert flow.total[0] == pytest.approx(value, rel=1e-12) == other.total[0]
        assert (flow.residual >= 0).all()
        if kind in ("integer", "equal", "zero", "infinite"):
            assert flow.total[0] == value  # exact


def test_an_infinite_cut_is_proven_by_enumeration():
    """UNBOUNDED exactly where every cut of a 3 × 3 grid has an infinite capacity."""
    unbounded = 0
    for seed in range(80):
        _, flow, vertices, edges = random_grid(np.random.default_rng([7, seed]), "infinite", 3, 3)
        excess = flow.excess.copy()
        network, flow = sparse_twin(edges, excess)
        push(network, flow, Clock(None))
        least = INF
        for sides in itertools.product([False, True], repeat=9):
            source = np.zeros(excess.size, bool)
            source[vertices.ravel()] = sides
            least = min(least, cut_value(edges, excess, source))
        marked = bool((flow.marked & UNBOUNDED > 0).any())
        assert marked == (least == INF)
        assert marked or flow.total[0] == least
        unbounded += marked
    assert 0 < unbounded < 80


def test_integer_capacities_of_64_bits_are_exact_and_slices_do_not_show():
    rng = np.random.default_rng(8)
    grid, flow, vertices, edges = random_grid(rng, "integer", 20, 30)
    whole, _, _, _ = random_grid(np.random.default_rng(8), "integer", 20, 30)
    large = 2**50 + 1
    exact = flow._replace(**{n: getattr(flow, n).astype(np.int64) * large for n in ("residual", "excess", "total")})
    exact = exact._replace(**{n: getattr(flow, n).copy() for n in ("dist", "parent", "marked", "queue", "state")})
    push(grid, flow, Clock(None))
    prepare(grid, exact)
    slices = 1
    while run(grid, exact, 50) == PAUSED:
        slices += 1
    assert slices > 10
    assert int(exact.total[0]) == int(flow.total[0]) * large
    assert (exact.dist == flow.dist).all() and (exact.residual == flow.residual.astype(np.int64) * large).all()


@chunks
def test_minima_are_those_of_a_peer(chunk):
    """CHUNK graphs of up to 60 variables are the components of one."""
    maxflow = pytest.importorskip("maxflow")
    rng = np.random.default_rng(chunk)
    g = fg.FactorGraph()
    least = []
    for number in range(CHUNK):
        n = int(rng.integers(2, 61))
        i = np.concatenate([np.arange(n - 1), rng.integers(0, n, 2 * n)])
        j = np.concatenate([np.arange(1, n), rng.integers(0, n, 2 * n)])
        i, j = i[i != j], j[i != j]
        unary, weight = rng.integers(0, 20, (n, 2)), rng.integers(0, 15, (i.size, 2))
        x = g.variables(f"x{number}", shape=(n,), states=2)
        g.add(fg.Table(unary), x)
        tables = np.zeros((i.size, 2, 2), int)
        tables[:, 0, 1], tables[:, 1, 0] = weight.T
        g.add(fg.Table(tables), x[i], x[j])
        peer = maxflow.GraphInt()
        nodes = peer.add_nodes(n)
        for v in range(n):
            peer.add_tedge(nodes[v], int(unary[v, 1]), int(unary[v, 0]))
        for u, v, (forth, back) in zip(i.tolist(), j.tolist(), weight.tolist()):
            peer.add_edge(u, v, forth, back)
        least.append(peer.maxflow())
    solution = fg.solve(g, method="min-cut")
    assert solution.status == fg.Status.OPTIMAL
    assert solution.components.energy.tolist() == least


def test_large_grids_are_implicit_and_agree_with_a_peer():
    maxflow = pytest.importorskip("maxflow")
    for seed in range(3):
        rng = np.random.default_rng([9, seed])
        unary = rng.integers(-9, 10, (60, 70, 2)).astype(float)
        right, down = rng.integers(0, 9, (60, 69)).astype(float), rng.integers(0, 9, (59, 70)).astype(float)
        g = fg.FactorGraph()
        x = g.variables("x", shape=(60, 70), states=2)
        g.add(fg.Table(unary), x)
        g.add(fg.Potts(right), x[:, :-1], x[:, 1:])
        g.add(fg.Potts(down), x[1:], x[:-1])
        asked = asked_of(g)
        network = Network(asked.plan, asked.components, np.zeros(60 * 70, np.int32))
        assert isinstance(network.network, Grid)
        peer = maxflow.GraphFloat()
        ids = peer.add_grid_nodes((60, 70))
        for weights, there in ((right, (0, 1)), (down, (1, 0))):
            full = np.zeros((60, 70))
            full[: weights.shape[0], : weights.shape[1]] = weights
            structure = np.zeros((3, 3))
            structure[1 + there[0], 1 + there[1]] = 1
            peer.add_grid_edges(ids, full, structure, symmetric=True)
        low = unary.min(-1)
        peer.add_grid_tedges(ids, unary[..., 0] - low, unary[..., 1] - low)
        assert fg.solve(g, method="min-cut").energy == peer.maxflow() + low.sum()


def test_a_grid_answers_as_it_does_in_company(monkeypatch):
    """Implicit grids and sparse networks give one labelling and one set of min-marginals, for any threads."""
    from factorgraph.infer import flows

    rng = np.random.default_rng(10)
    g = fg.FactorGraph()
    for name, (height, width) in {"a": (40, 30), "b": (3, 500), "c": (2, 600), "d": (5, 5)}.items():
        x = g.variables(name, shape=(height, width), states=2)
        g.add(fg.Table(rng.integers(-5, 6, (height, width, 2)).astype(float)), x)
        g.add(fg.Table([[0.0, 3.0], [1.0, 0.0]]), x[1:], x[:-1])
        g.add(fg.Potts(1.0), x[:, 1:], x[:, :-1])
    one, two = (fg.solve(g, method=fg.MinCut(threads)) for threads in (1, 2))
    marginals = fg.min_marginals(g, method="min-cut")
    monkeypatch.setattr(flows, "ALONE", 10**9)
    sparse = fg.solve(g, method="min-cut")
    other = fg.min_marginals(g, method="min-cut")
    assert (one.flat == two.flat).all() and (one.flat == sparse.flat).all()
    for name in "abcd":
        np.testing.assert_array_equal(marginals.variables[name], other.variables[name])
        for v in ((0, 0), (1, 4), (2, 2))[: 2 if name == "c" else 3]:  # two flows instead of a potential
            for k in range(2):
                evidence = {name: np.full(one.labels[name].shape, -1)}
                evidence[name][v] = k
                assert fg.solve(g, evidence, method="min-cut").minimum == marginals.variables[name][v][k]


def test_a_flow_that_is_stopped_is_no_proof():
    rng = np.random.default_rng(11)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(600, 600), states=2)
    g.add(fg.Table(rng.normal(size=(600, 600, 2))), x)
    g.add(fg.Potts(1.0), x[1:], x[:-1])
    g.add(fg.Potts(1.0), x[:, 1:], x[:, :-1])
    fg.solve(g, method="min-cut")
    begun = time.perf_counter()
    stopped = fg.solve(g, method="min-cut", time_limit=0)
    assert stopped.status == fg.Status.APPROXIMATE and time.perf_counter() - begun < 2
    assert (stopped.labels["x"] >= 0).all()
    moved = fg.solve(g, method="expansion", time_limit=0)
    assert moved.energy <= fg.energy(g, {"x": x_best(g)})


def x_best(g: fg.FactorGraph) -> np.ndarray:
    return g.energies()[: 2 * 600 * 600].reshape(600, 600, 2).argmin(-1)


@pytest.mark.jitoff
def test_cuts_without_the_compiler():
    for seed in range(8):
        rng = np.random.default_rng([12, seed])
        law_min_cut(submodular_spec(rng))
        law_persistency(any_spec(rng))
        law_persistency(cubic_spec(rng))
        spec = any_spec(rng, most=3)
        law_fusion(spec, rng)
        law_moves(spec, rng)
    grid, flow, vertices, edges = random_grid(np.random.default_rng(13), "integer", 5, 4)
    excess = flow.excess.copy()
    push(grid, flow, Clock(None))
    assert flow.total[0] == cut_value(edges, excess, flow.dist > 0)
