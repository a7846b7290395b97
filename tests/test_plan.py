"""Plans: classes, folding, sharing, runs, restrictions, and that new energies never compile anything."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numba.core import event

import factorgraph as fg
from factorgraph.kernels.structure import CHAIN, ISOLATED, LATTICE, LOOPY, TREE
from factorgraph.plan import Acceptor, restrict


def kinds(g):
    return g.compile().kinds.tolist()


def test_classes_of_components():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(12,), states=2)
    pair = fg.Table(np.zeros((2, 2)))
    g.add(pair, x[0:2], x[1:3])  # 0-1-2: a chain
    g.add(pair, x[[3, 3, 3]], x[[4, 5, 6]])  # a star
    g.add(pair, x[[7, 8, 9]], x[[8, 9, 7]])  # a ring
    g.lattice("line", arcs=([0, 0, 1], [1, 2, 2]), states=3)
    assert kinds(g) == [CHAIN, TREE, LOOPY, ISOLATED, ISOLATED, LATTICE]


def test_a_factor_of_three_variables_makes_a_tree():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table(np.zeros((2, 2, 2))), x[0], x[1], x[2])
    assert kinds(g) == [TREE]


@pytest.mark.parametrize("turned", [False, True])
def test_factors_over_the_same_pair_are_one_edge(turned):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 9, (2, 3, 3)).astype(float)
    g = fg.FactorGraph()
    x, y = g.variables("x", states=3), g.variables("y", states=3)
    g.add(fg.Table(a), x, y)
    g.add(fg.Table(b), *((y, x) if turned else (x, y)))
    g.add(fg.Potts(-2.5), x, y)
    assert kinds(g) == [CHAIN]
    total = a + (b.T if turned else b) - 2.5 * (1 - np.eye(3))
    assert fg.solve(g).energy == total.min()
    assert np.isclose(fg.marginals(g).log_partition, np.log(np.exp(-total).sum()))


def test_graphs_of_one_structure_share_a_plan():
    def graph(names, energies):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(4,), states=names)
        g.add(fg.Table(energies), x[:-1], x[1:])
        return g

    one, other = graph(["a", "b"], np.eye(2)), graph(["c", "d"], -np.eye(2))
    assert one.compile() is other.compile() and hash(one.compile()) == hash(other.compile())
    assert [fg.solve(g).energy for g in (one, other)] == [0, -3]
    assert fg.solve(other).states["x"][0] in ("c", "d")
    assert graph(["a", "b", "c"], np.eye(3)).compile() != one.compile()


def test_a_plan_is_frozen():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=2)
    g.add(fg.Table(np.eye(2)), x[:-1], x[1:])
    plan = g.compile()
    for array in (plan.states, plan.component, *plan.factors, *plan.schedule):
        with pytest.raises(ValueError):
            array[...] = 0


def test_new_numbers_in_a_table_need_no_new_plan():
    table = np.zeros((2, 2))
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table(table), x[:-1], x[1:])
    plan = g.compile()
    assert fg.solve(g).energy == 0
    table += 1
    assert fg.solve(g).energy == 2 and g.compile() is plan


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", [1, 2, 15, 16, 17, 26, 33])
def test_runs_answer_as_the_general_sweep_does(states, dtype):
    """The same chains declared evenly (runs) and with their unaries shuffled (no runs)."""
    rng = np.random.default_rng(states)
    unary = rng.integers(0, 50, (5, 7, states)).astype(dtype)
    unary[rng.random(unary.shape) < 0.1] = np.inf
    pair = rng.integers(0, 50, (states, states)).astype(dtype)
    order = rng.permutation(35)
    energies = []
    for shuffled in (False, True):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(5, 7), states=states)
        if shuffled:
            rows, columns = np.unravel_index(order, (5, 7))
            g.add(fg.Table(unary.reshape(35, states)[order]), x[rows, columns])
        else:
            g.add(fg.Table(unary), x)
        g.add(fg.Table(pair), x[:, :-1], x[:, 1:])
        assert (g.compile().schedule.run[:, 1] != 0).all() != shuffled
        mask = np.ones((5, 7, states), bool)
        mask[2, 3, : states // 2] = False
        s = fg.solve(g, {"x": mask})
        energies.append(s.components.energy)
        energies.append(fg.solve(g).components.energy)
    assert (energies[0] == energies[2]).all() and (energies[1] == energies[3]).all()


def test_sums_beyond_float32_are_not_called_infeasible():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=2)
    g.add(fg.Table(np.full(2, 3e38, np.float32)), x)
    g.add(fg.Table(np.zeros((2, 2), np.float32)), x[:-1], x[1:])
    s = fg.solve(g)
    assert s.status == fg.Status.OPTIMAL and np.isclose(s.energy, 12e38)


def test_some_components_answer_as_all_do():
    rng = np.random.default_rng(1)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(6, 4), states=3)
    g.add(fg.Table(rng.normal(size=(6, 4, 3))), x)
    g.add(fg.Table(rng.normal(size=(3, 3))), x[:, :-1], x[:, 1:])
    plan, energies = g.compile(), g.energies()
    some = np.array([4, 1])
    partly = plan.zeros(energies.dtype)
    g.energies(components=some, out=partly)
    whole, part = fg.Auto()(plan, energies), fg.Auto()(plan, partly, components=some)
    assert (part.components.energy[some] == whole.components.energy[some]).all()
    assert (part.labels["x"][some] == whole.labels["x"][some]).all() and (part.labels["x"][0] == -1).all()
    answers = {"x": rng.integers(0, 3, (6, 4))}
    for loss in (fg.losses.Perceptron(), fg.losses.Margin(), fg.losses.NLL()):
        value, gradient = loss(plan, energies, answers)
        halves = [loss(plan, energies, answers, components=c) for c in (some, np.array([0, 2, 3, 5]))]
        assert np.isclose(value, sum(v for v, _ in halves))
        assert np.allclose(gradient, sum(slope for _, slope in halves))


def test_an_acceptor_of_any_language_restricts_a_lattice():
    """Strings of even length over {0, 1}, by enumeration of all paths."""
    rng = np.random.default_rng(2)
    start, end = np.array([(i, j) for i in range(5) for j in range(i + 1, 5)]).T
    table = rng.normal(size=(start.size, 2))
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=(start, end), states=2)
    g.add(fg.Table(table), line)
    plan, energies = g.compile(), g.energies()
    even = Acceptor(np.array([[1, 1], [0, 0]], np.int32), np.array([True, False]))
    s = fg.Auto()(plan, energies, fg.Question(restriction=restrict(plan, {0: even})))
    arc = {(a, b): k for k, (a, b) in enumerate(zip(start, end, strict=True))}
    costs = []
    for inner in itertools.chain.from_iterable(itertools.combinations((1, 2, 3), n) for n in range(4)):
        nodes = (0, *inner, 4)
        if len(nodes) % 2 == 1:
            costs.append(sum(table[arc[p]].min() for p in itertools.pairwise(nodes)))
    assert np.isclose(s.energy, min(costs)) and len(s.strings["line"]) % 2 == 0


def shapes(count, dtype):
    """Graphs of many shapes: chains, trees, grids, lattices, mixed arity."""
    rng = np.random.default_rng(0)
    for i in range(count):
        n = 3 + i // 5
        g = fg.FactorGraph()
        if i % 5 == 3:
            line = g.lattice("line", arcs=(np.r_[0:n, 0 : n - 1], np.r_[1 : n + 1, 2 : n + 1]), states=2 + i % 4)
            g.add(fg.Table(rng.normal(size=(len(line), 2 + i % 4)).astype(dtype)), line)
            if i % 2:
                g.add(fg.Table(rng.normal(size=(2 + i % 4, 2 + i % 4)).astype(dtype)), line, line)
            yield g
            continue
        shape = (n + 3, n + 3) if i % 5 == 2 else (n + i % 3,)
        x = g.variables("x", shape=shape, states=2 + i % 7)
        k = (2 + i % 7,)
        g.add(fg.Table(rng.normal(size=shape + k).astype(dtype)), x)
        pair = fg.Table(rng.normal(size=k + k).astype(dtype))
        if i % 5 == 2:
            g.add(pair, x[:-1], x[1:])
            g.add(fg.Potts(dtype(0.5)), x[:, :-1], x[:, 1:])
        elif i % 5 == 1:
            g.add(pair, x[rng.integers(0, np.arange(1, len(x)))], x[1:])
        elif i % 5 == 4:
            g.add(fg.Table(rng.normal(size=k * 3).astype(dtype)), x[0], x[1], x[2])
            g.add(fg.Table(rng.normal(size=k * 2 + (1,)).astype(dtype)), x[0], x[1], g.variables("one", states=1))
        else:
            g.add(pair, x[:-1], x[1:])
        yield g


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_thirty_shapes_compile_nothing_after_the_first_of_each_class(dtype):
    """Graphs with cycles are of as many classes as there are methods that they may need.

    One more class are cliques of more cells than one kernel call is given: graph 37, which has the first of them.
    """
    for i, g in enumerate(shapes(38, dtype)):
        if i < 20 or i == 37:
            fg.solve(g)
    compiled = []

    class Listener(event.Listener):
        def on_start(self, e):
            compiled.append(e.data["dispatcher"].py_func.__name__)

        def on_end(self, e):
            pass

    with event.install_listener("numba:compile", Listener()):
        for g in shapes(40, dtype):
            assert fg.solve(g).status != fg.Status.INFEASIBLE
    assert compiled == []


def test_an_unreachable_string_contributes_nothing_to_any_loss():
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1], [1, 2]), states=2)
    g.add(fg.Table([[1.0, 2.0], [3.0, 4.0]]), line)
    for loss in (fg.losses.Perceptron(), fg.losses.Margin(), fg.losses.NLL(), fg.losses.Energy()):
        value, gradient = loss(g.compile(), g.energies(), {"line": [0]})
        assert value == 0 and not gradient.any()


def test_a_reused_index_buffer_is_read_anew():
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table(np.arange(6.0).reshape(3, 2)), x)
    chosen, out = np.array([0]), g.compile().zeros(np.float64)
    g.energies(components=chosen, out=out)
    chosen[0] = 2
    g.energies(components=chosen, out=out)
    assert out.tolist() == [0, 1, 0, 0, 4, 5]


@pytest.mark.parametrize("components", [[-1], [3], [1, 1], [True, False, True], [0.5], [[0]]])
def test_components_that_are_none_are_refused(components):
    g = fg.FactorGraph()
    g.add(fg.Table(np.zeros((3, 2))), g.variables("x", shape=(3,), states=2))
    with pytest.raises(fg.FactorGraphError, match="components: expected different ints, 0 … 2; got"):
        fg.Auto()(g.compile(), g.energies(), components=components)


def test_restrictions_and_biases_that_do_not_fit_are_refused():
    g = fg.FactorGraph()
    g.lattice("line", arcs=([0], [1]), states=5)
    plan = g.compile()
    for wrong in ({0: Acceptor.spelling([1], 2)}, {1: Acceptor.everything(5)}, {"line": Acceptor.everything(5)}):
        with pytest.raises(fg.FactorGraphError, match="restrict: expected"):
            restrict(plan, wrong)
    with pytest.raises(fg.FactorGraphError, match="expected a bias over 5 variable states"):
        fg.Auto()(plan, g.energies(), fg.Question(np.zeros(2)))
    with pytest.raises(fg.FactorGraphError, match="missing those of 'line'"):
        fg.energy(g, {})
