"""Grids of four neighbours among the loopy components, found from the factor table alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.structure import KIND, LOOPY, OFFSET, SCOPE
from ..kernels.tables import POTTS

if TYPE_CHECKING:
    from .plan import Plan


class Grid(NamedTuple):
    """Variables first … first + height · width − 1 in raster order, each joined to its right and lower neighbour.

    right int64 (height, width − 1), down int64 (height − 1, width): where each edge's table starts in the energies; of
    Potts factors one weight each, else dense tables, one for all edges of a direction (of either orientation).
    """

    first: int
    height: int
    width: int
    states: int
    potts: bool
    right: np.ndarray
    down: np.ndarray


def find_grid(plan: Plan, component: int) -> Grid | None:
    """The grid that a component is, if it is one: consecutive variables, one kind of pair factors, one to an edge."""
    factors = plan.factors
    rows = factors.row[factors.first[component] : factors.first[component + 1] + 1]
    arity = np.diff(rows[:, SCOPE])
    if plan.kinds[component] != LOOPY or arity.max(initial=0) != 2:
        return None
    edges = np.flatnonzero(arity == 2)
    scope = rows[edges, SCOPE]
    a, b = factors.var[scope].astype(np.int64), factors.var[scope + 1].astype(np.int64)
    first, distance = int(min(a.min(), b.min())), np.abs(b - a)
    low = np.minimum(a, b) - first
    width, size = int(distance.max()), int(max(a.max(), b.max())) - first + 1
    members = plan.states[first : first + size]
    kinds = rows[edges, KIND]
    fits = width > 1 and size % width == 0 and edges.size == 2 * size - width - size // width
    fits = fits and ((distance == 1) | (distance == width)).all() and bool((kinds == kinds[0]).all())
    if not fits or not (members == members[0]).all():
        return None
    across = distance == 1
    height = size // width
    right, down = np.full((height, width - 1), -1, np.int64), np.full((height - 1, width), -1, np.int64)
    y, x = np.divmod(low, width)
    if (x[across] == width - 1).any():
        return None
    right[y[across], x[across]], down[y[~across], x[~across]] = (rows[edges[m], OFFSET] for m in (across, ~across))
    if min(right.min(initial=0), down.min(initial=0)) < 0:
        return None
    if kinds[0] != POTTS and ((right != right[0, 0]).any() or (down != down[0, 0]).any()):
        return None
    return Grid(first, height, width, int(members[0]), bool(kinds[0] == POTTS), right, down)
