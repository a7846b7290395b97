"""Small declared graphs of many shapes: one of every component class, and thirty different ones."""

from __future__ import annotations

from typing import Any

import numpy as np

import factorgraph as fg


def representatives(dtype: Any) -> list[fg.FactorGraph]:
    """One graph of every component class: isolated, chain, tree, loopy (many labellings, few) and lattice; and a tree
    with a factor of three variables, whose edges have kernels of their own."""
    rng = np.random.default_rng(0)
    isolated, ternary = fg.FactorGraph(), fg.FactorGraph()
    isolated.add(fg.Table(_normal(rng, dtype, 3)), isolated.variables("x", states=3))
    x = ternary.variables("x", shape=(3,), states=2)
    ternary.add(fg.Table(_normal(rng, dtype, 2, 2, 2)), x[0], x[1], x[2])
    kinds = ((chain, 4), (tree, 6), (grid, 2), (grid, 8), (lattice, 4))
    return [isolated, ternary, *(kind(rng, dtype, size) for kind, size in kinds)]


def shapes(dtype: Any, rounds: int = 6) -> list[fg.FactorGraph]:
    """`rounds` each of chains, trees, grids, lattices and mixed arities, no two alike."""
    rng = np.random.default_rng(1)
    kinds = (chain, tree, grid, lattice, mixed)
    return [kind(rng, dtype, size) for size in range(5, 5 + rounds) for kind in kinds]


def chain(rng: np.random.Generator, dtype: Any, size: int) -> fg.FactorGraph:
    """A path; its table is shared for even sizes and one each for odd ones."""
    g = fg.FactorGraph()
    states = size - 2
    y = g.variables("y", shape=(size,), states=states)
    own = (size - 1,) if size % 2 else ()
    g.add(fg.Table(_normal(rng, dtype, size, states)), y)
    g.add(fg.Table(_normal(rng, dtype, *own, states, states)), y[:-1], y[1:])
    return g


def tree(rng: np.random.Generator, dtype: Any, size: int) -> fg.FactorGraph:
    """A random recursive tree whose edges point either way."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3 * size,), states=size)
    child = np.arange(1, 3 * size)
    parent = (rng.random(len(child)) * child).astype(int)
    ends = rng.permuted(np.stack([parent, child], 1), axis=1)
    g.add(fg.Table(_normal(rng, dtype, 3 * size, size)), x)
    g.add(fg.Table(_normal(rng, dtype, size, size)), x[ends[:, 0]], x[ends[:, 1]])
    return g


def grid(rng: np.random.Generator, dtype: Any, size: int) -> fg.FactorGraph:
    """A grid, Potts for even sizes and dense tables for odd ones."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(size, size + 1), states=3)
    factor = fg.Table(_normal(rng, dtype, 3, 3)) if size % 2 else fg.Potts(dtype(0.5))
    g.add(fg.Table(_normal(rng, dtype, size, size + 1, 3)), x)
    g.add(factor, x[:, :-1], x[:, 1:])
    g.add(factor, x[:-1], x[1:])
    return g


def lattice(rng: np.random.Generator, dtype: Any, size: int) -> fg.FactorGraph:
    """All arcs of length 1 to 3 over nodes 0..size, with scores of consecutive arcs."""
    g = fg.FactorGraph()
    start, length = (a.ravel() for a in np.meshgrid(np.arange(size), np.arange(1, 4), indexing="ij"))
    inside = start + length <= size
    start, end = start[inside], (start + length)[inside]
    line = g.lattice("line", arcs=(start, end), states=4)
    g.add(fg.Table(_normal(rng, dtype, len(start), 4)), line)
    g.add(fg.Table(_normal(rng, dtype, 4, 4)), line, line)
    return g


def mixed(rng: np.random.Generator, dtype: Any, size: int) -> fg.FactorGraph:
    """Variables of 2 to 4 states under factors of arity 0 to 4; cycles where they fall."""
    g = fg.FactorGraph()
    states = rng.integers(2, 5, size)
    x = g.variables("x", shape=(size,), states=states)
    g.add(fg.Table(_normal(rng, dtype)))
    for arity in (1, 2, 2, 3, 4):
        scope = rng.permutation(size)[:arity]
        g.add(fg.Table(_normal(rng, dtype, *states[scope])), *(x[int(v)] for v in scope))
    return g


def _normal(rng: np.random.Generator, dtype: Any, *shape: int) -> np.ndarray:
    return np.asarray(rng.standard_normal(shape), dtype)
