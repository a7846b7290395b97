"""The wavefront on grids against a plain raster-order twin, dynamic programming and the general method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import factorgraph as fg
from factorgraph.infer.grids import GridMessages, grid_messages, read_pairs
from factorgraph.infer.passes import General
from factorgraph.infer.solver import check_flat, evaluate
from factorgraph.plan import Asked, Question
from factorgraph.plan.grids import find_grid

INF = np.inf
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


class Kind:
    """Pair factors of a grid: two factors (right, down) and twins of their tables (edges, states, states)."""

    def __init__(self, name: str, shape: tuple[int, int], states: int, dtype: Any):
        rng = np.random.default_rng(len(name))
        height, width = shape
        apart = np.abs(np.subtract.outer(np.arange(states), np.arange(states)))
        if name == "weights":
            weights = [rng.exponential(size=n).astype(dtype) for n in ((height, width - 1), (height - 1, width))]
            self.factors = [fg.Potts(w) for w in weights]
            self.tables = [w.astype(float)[..., None, None] * (apart > 0) for w in weights]
            return
        steps, make = {
            "potts": (lambda d: 0.75 * (d > 0), lambda c: fg.Potts(dtype(0.75 * c))),
            "table": (lambda d: 0.75 * (d > 0), lambda c: fg.Table((0.75 * c * (apart > 0)).astype(dtype))),
            "near": (
                lambda d: np.minimum(0.5, 0.25 * d),
                lambda c: fg.TruncatedLinear(dtype(0.25 * c), dtype(0.5 * c)),
            ),
            "far": (lambda d: np.minimum(1.5, 0.25 * d), lambda c: fg.TruncatedLinear(dtype(0.25 * c), dtype(1.5 * c))),
            "free": (lambda d: 0.25 * d, lambda c: fg.TruncatedLinear(dtype(0.25 * c))),
            "square": (
                lambda d: np.minimum(2, 0.25 * d * d),
                lambda c: fg.TruncatedQuadratic(dtype(0.25 * c), dtype(2 * c)),
            ),
        }[name]
        self.factors = [make(1), make(2)]
        self.tables = [
            np.broadcast_to(c * steps(apart), (*n, states, states))
            for c, n in ((1, (height, width - 1)), (2, (height - 1, width)))
        ]


KINDS = ["potts", "table", "weights", "near", "far", "free", "square"]


def make(
    name: str, shape: tuple[int, int], states: int, dtype: Any, more: np.ndarray | None = None
) -> tuple[fg.FactorGraph, np.ndarray, Kind]:
    """A graph, its unary energies (the first table), its pairs."""
    unary = np.random.default_rng(0).uniform(0, 2, (*shape, states)).astype(dtype)
    kind = Kind(name, shape, states, dtype)
    g = fg.FactorGraph()
    x = g.variables("x", shape=shape, states=states)
    g.add(fg.Table(unary), x)
    g.add(kind.factors[0], x[:, :-1], x[:, 1:])
    g.add(kind.factors[1], x[1:], x[:-1])
    if more is not None:
        g.add(fg.Table(more), x)
    return g, unary.astype(float), kind


def asked_of(g: fg.FactorGraph) -> Asked:
    plan = g.compile()
    return Question().of(plan, check_flat(plan, g.energies()))


def engine_of(g: fg.FactorGraph) -> GridMessages:
    asked = asked_of(g)
    engine = grid_messages(asked.plan, asked)
    assert engine is not None
    return engine


class Twin:
    """TRW-S in raster order as in the paper, every node giving half of itself to either side."""

    def __init__(self, unary: np.ndarray, kind: Kind):
        self.unary, self.tables = unary, kind.tables
        height, width, states = unary.shape
        self.right, self.down = np.zeros((height, width - 1, states)), np.zeros((height - 1, width, states))

    def belief(self, y: int, x: int) -> np.ndarray:
        height, width, _ = self.unary.shape
        out = self.unary[y, x].copy()
        out += self.right[y, x - 1] if x else 0
        out += self.right[y, x] if x + 1 < width else 0
        out += self.down[y - 1, x] if y else 0
        out += self.down[y, x] if y + 1 < height else 0
        return out

    def send(self, messages: np.ndarray, at: tuple[int, int], table: np.ndarray, share: np.ndarray) -> float:
        heights = share - messages[at]
        message = (heights[:, None] + table).min(0)
        messages[at] = message - message.min()
        return float(message.min())

    def iterate(self) -> float:
        height, width, _ = self.unary.shape
        for y in range(height):
            for x in range(width):
                belief = self.belief(y, x)
                share = (belief - belief.min()) / 2
                if x + 1 < width:
                    self.send(self.right, (y, x), self.tables[0][y, x], share)
                if y + 1 < height:
                    self.send(self.down, (y, x), self.tables[1][y, x], share)
        bound = 0.0
        for y in range(height - 1, -1, -1):
            for x in range(width - 1, -1, -1):
                belief = self.belief(y, x)
                bound += belief.min()
                share = (belief - belief.min()) / 2
                if x:
                    bound += self.send(self.right, (y, x - 1), self.tables[0][y, x - 1], share)
                if y:
                    bound += self.send(self.down, (y - 1, x), self.tables[1][y - 1, x], share)
        return bound

    def round(self) -> np.ndarray:
        height, width, _ = self.unary.shape
        labels = np.zeros((height, width), np.int32)
        for y in range(height):
            for x in range(width):
                cost = self.unary[y, x].copy()
                cost += self.right[y, x] if x + 1 < width else 0
                cost += self.down[y, x] if y + 1 < height else 0
                cost += self.tables[0][y, x - 1][labels[y, x - 1]] if x else 0
                cost += self.tables[1][y - 1, x][labels[y - 1, x]] if y else 0
                labels[y, x] = np.argmin(cost)
        return labels


@dtypes
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("shape", [(2, 2), (3, 21), (17, 5), (33, 18)])
def test_passes_are_those_of_the_twin(name: str, shape: tuple[int, int], dtype: Any) -> None:
    """Bounds after each iteration, and the labels rounded at the end (float64, where rounding decides no tie)."""
    g, unary, kind = make(name, shape, 6, dtype)
    engine, twin = engine_of(g), Twin(unary, kind)
    active = np.ones(1, bool)
    for _ in range(4):
        found, expected = engine.iterate(active, INF, True)[0], twin.iterate()
        assert found == pytest.approx(expected, rel=1e-6 if dtype is np.float32 else 1e-10)
        assert found <= expected + 1e-6 * expected * (dtype is np.float32)
    labels = np.zeros(unary.shape[0] * unary.shape[1], np.int32)
    engine.round(labels)
    if dtype is np.float64:
        np.testing.assert_array_equal(labels.reshape(shape), twin.round())


@pytest.mark.jitoff
@pytest.mark.parametrize("name", ["weights", "near", "far"])
def test_a_small_grid_with_the_compiler_or_without(name: str) -> None:
    g, unary, kind = make(name, (3, 4), 5, np.float32)
    engine, twin = engine_of(g), Twin(unary, kind)
    for _ in range(2):
        assert engine.iterate(np.ones(1, bool), INF, True)[0] == pytest.approx(twin.iterate(), rel=1e-6)
    labels = np.zeros(12, np.int32)
    engine.round(labels)
    before = evaluate(engine.asked, labels)[1]
    engine.improve(labels, INF)
    assert evaluate(engine.asked, labels)[1] <= before


def best_chain(cost: np.ndarray, tables: np.ndarray) -> float:
    """Least cost of a chain: cost (length, states), tables (length - 1, states, states)."""
    least = cost[0]
    for t in range(1, len(cost)):
        least = (least[:, None] + tables[t - 1]).min(0) + cost[t]
    return float(least.min())


@dtypes
@pytest.mark.parametrize("name", KINDS)
def test_moves_are_exact(name: str, dtype: Any) -> None:
    """Rows and columns of one parity, all others as they are, against plain dynamic programming of each."""
    shape = (35, 37)
    g, unary, kind = make(name, shape, 4, dtype)
    engine = engine_of(g)
    labels = np.random.default_rng(1).integers(0, 4, shape[0] * shape[1]).astype(np.int32)
    image = labels.reshape(shape)
    for way in (0, 1):
        for parity in (0, 1):
            view, costs, (along, across) = image, unary, kind.tables
            if way == 1:
                view, costs = image.T, unary.transpose(1, 0, 2)
                across, along = (table.swapaxes(0, 1) for table in kind.tables)
            fixed = view[1 - parity :: 2].copy()
            expected = 0.0
            for c in range(parity, len(view), 2):
                cost = costs[c].copy()
                for neighbour, edge in ((c - 1, c - 1), (c + 1, c)):
                    if 0 <= neighbour < len(view):
                        cost += across[edge, np.arange(len(cost)), view[neighbour]]
                expected += best_chain(cost, along[c])
            expected += sum(costs[c, np.arange(len(costs[c])), view[c]].sum() for c in range(1 - parity, len(view), 2))
            for c in range(1 - parity, len(view), 2):
                expected += along[c, np.arange(len(costs[c]) - 1), view[c, :-1], view[c, 1:]].sum()
            engine.move(way, parity, labels)
            assert (view[1 - parity :: 2] == fixed).all()
            assert evaluate(engine.asked, labels)[1][0] == pytest.approx(expected, rel=1e-5)


@dtypes
@pytest.mark.parametrize("name", KINDS)
def test_the_general_method_has_nearly_the_same_bounds(name: str, dtype: Any) -> None:
    """They differ where two corners give all of themselves away; integers make the proof the same."""
    g, _, _ = make(name, (34, 33), 5, dtype)
    engine, general = engine_of(g), General(asked_of(g))
    for _ in range(40):
        found = [e.iterate(np.ones(1, bool), INF, True)[0] for e in (engine, general)]
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    solution = fg.solve(g, method=fg.TRWS(iterations=200))
    assert max(found) <= solution.energy and solution.gap < 0.01 * solution.energy
    best = [fg.solve(g, method=fg.TRWS(iterations=n)) for n in (1, 10, 100)]
    assert best[0].bound <= best[1].bound <= best[2].bound <= best[2].energy <= best[1].energy <= best[0].energy


def test_energies_and_bounds_of_integers_are_exact() -> None:
    rng = np.random.default_rng(3)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(40, 40), states=3)
    g.add(fg.Table(rng.integers(0, 20, (40, 40, 3))), x)
    g.add(fg.Potts(1), x[1:], x[:-1])
    g.add(fg.Potts(2), x[:, 1:], x[:, :-1])
    solution = fg.solve(g, method="trw-s")
    assert solution.status == fg.Status.OPTIMAL and solution.bound == solution.energy == int(solution.energy)
    assert fg.energy(g, solution.labels) == solution.energy


@dtypes
def test_unaries_add_up(dtype: Any) -> None:
    """Several tables and evidence that stays finite: float32 sums are rounded, and the bound allows for that."""
    more = np.random.default_rng(5).uniform(0, 1e4, (33, 35, 4)).astype(dtype)
    g, unary, kind = make("near", (33, 35), 4, dtype, more)
    engine, twin = engine_of(g), Twin(unary + more, kind)
    for _ in range(3):
        found, expected = engine.iterate(np.ones(1, bool), INF, True)[0], twin.iterate()
        assert found <= expected * (1 + 1e-12)
        assert found == pytest.approx(expected, rel=1e-5)


def test_what_is_no_grid_of_ours_takes_the_general_way() -> None:
    def grid(change: str = "") -> fg.FactorGraph:
        g = fg.FactorGraph()
        x = g.variables("x", shape=(4, 5), states=3)
        factor: fg.Factor = fg.Potts(-1.0 if change == "negative" else INF if change == "inf" else 1.0)
        if change == "table":
            factor = fg.Table(np.arange(9.0).reshape(3, 3))
        if change == "uneven":
            factor = fg.Table(np.array([[0, 1, 5.0], [1, 0, 1], [5, 1, 0]]))
        g.add(factor, x[1:], x[:-1])
        g.add(factor, x[:, 1:], x[:, :-1])
        if change == "twice":
            g.add(factor, x[0, 0], x[0, 1])
        if change == "diagonal":
            g.add(factor, x[0, 0], x[1, 1])
        if change == "triple":
            g.add(fg.Table(np.zeros((3, 3, 3))), x[0, 0], x[0, 1], x[1, 1])
        if change == "unary":
            g.add(fg.Table([0, INF, 0]), x[2, 2])
        return g

    for change in ("negative", "inf", "table", "uneven", "twice", "diagonal", "triple", "unary"):
        asked = asked_of(grid(change))
        assert grid_messages(asked.plan, asked) is None, change
    found = find_grid(grid().compile(), 0)
    assert found is not None and (found.height, found.width, found.states, found.potts) == (4, 5, 3, True)
    pairs = read_pairs(found, grid().energies())
    assert pairs is not None and (pairs.right == 1).all() and pairs.steps.shape == (2, 1)
    ring = fg.FactorGraph()
    y = ring.variables("y", shape=(6,), states=2)
    ring.add(fg.Potts(1.0), y, y[[1, 2, 3, 4, 5, 0]])
    assert find_grid(ring.compile(), 0) is None
    ragged = fg.FactorGraph()
    z = ragged.variables("z", shape=(4,), states=np.array([2, 2, 2, 3]))
    ragged.add(fg.Table(np.zeros((2, 2))), z[[0, 0]], z[[1, 2]])
    ragged.add(fg.Table(np.zeros((2, 3))), z[[1, 2]], z[[3, 3]])
    assert find_grid(ragged.compile(), 0) is None


def test_several_grids_and_other_graphs_in_one_plan() -> None:
    """Large grids go the fast way, the rest together; each has its own bound."""
    rng = np.random.default_rng(7)
    g = fg.FactorGraph()
    for name, shape in (("a", (32, 32)), ("b", (3, 3)), ("c", (33, 40))):
        x = g.variables(name, shape=shape, states=3)
        g.add(fg.Table(rng.uniform(0, 3, (*shape, 3))), x)
        g.add(fg.Potts(0.5), x[1:], x[:-1])
        g.add(fg.Potts(0.5), x[:, 1:], x[:, :-1])
    y = g.variables("y", shape=(5,), states=3)
    g.add(fg.Table(rng.uniform(0, 3, (4, 3, 3))), y[1:], y[:-1])
    solution = fg.solve(g, method=fg.TRWS(iterations=50))
    assert (solution.components.bound > 0).all() and solution.components.status[3] == fg.Status.OPTIMAL
    assert (solution.components.bound <= solution.components.energy).all()
    assert (solution.components.energy < 1.02 * solution.components.bound).all()
    hasty = fg.solve(g, method="trw-s", time_limit=0.0)
    assert hasty.energy < INF and hasty.bound <= solution.energy
