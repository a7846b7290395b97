"""Nothing is compiled or searched in vain: integers of kernels, grids too wide, expansions that find nothing."""

from __future__ import annotations

import numpy as np
import pytest

import factorgraph as fg
from factorgraph.infer.elimination import Elimination
from factorgraph.infer.expansion import alike
from factorgraph.infer.order import find_orders
from factorgraph.kernels.jit import JIT_DISABLED, inner, kernel
from factorgraph.plan import Question


@inner
def _next(x):
    return x + 1


@kernel
def _several(a, b):
    return _next(a[0]) + _next(b[0]) + _next(5)


@pytest.mark.skipif(JIT_DISABLED, reason="looks at what is compiled")
def test_kernels_hand_over_one_kind_of_integer():
    assert _several(np.array([1], np.int32), np.array([2], np.int64)) == 11
    assert len(_next.signatures) <= 1  # none where it came from the disk


def grid(height: int, width: int) -> tuple[fg.FactorGraph, fg.Variables]:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(height, width), states=2)
    rng = np.random.default_rng(0)
    for a, b in (x[:-1], x[1:]), (x[:, :-1], x[:, 1:]):
        g.add(fg.Table(rng.normal(size=(*a.shape, 2, 2))), a, b)
    return g, x


@pytest.mark.parametrize(
    ("height", "width", "fits"), [(30, 30, False), (25, 40, False), (5, 200, True), (200, 5, True)]
)
def test_grids_are_eliminated_by_their_shorter_side(height, width, fits):
    """No order of 2^20 cells exists where 2^(shorter side + 1) is more; all others are looked for."""
    plan = grid(height, width)[0].compile()
    found = find_orders(plan, np.array([0]), plan.states, 2.0**20, 2)
    assert (found.cells[0] < np.inf) == fits
    assert not fits or found.cells[0] >= 2.0 ** (min(height, width) + 1)
    assert Elimination(cells=1 << 20).exact_on(plan, 0) == fits


def test_wide_grids_that_evidence_cuts_are_eliminated():
    g, _ = grid(24, 24)
    known = np.full((24, 24), -1)
    known[::4] = 0
    solution = fg.solve(g, {"x": known}, method=Elimination(cells=1 << 20))
    assert solution.status.name == "OPTIMAL"


def test_expansions_are_asked_where_pairs_favour_equal_labels():
    g = fg.FactorGraph()
    apart = np.minimum(np.abs(np.subtract.outer(np.arange(4), np.arange(4))), 2.0)
    rng = np.random.default_rng(1)
    for name, table in (
        ("Potts", None), ("linear", apart + np.arange(4.0)), ("random", rng.normal(size=(4, 4))), ("against", -apart),
    ):  # fmt: skip
        x = g.variables(name, shape=(3,), states=4)
        a, b = x[[0, 1, 2]], x[[1, 2, 0]]
        g.add(fg.Potts(0.5) if table is None else fg.Table(table), a, b)
    plan = g.compile()
    assert alike(Question().of(plan, g.energies())).tolist() == [True, True, False, False]
