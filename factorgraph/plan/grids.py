"""Grids of four neighbours among the loopy components, found from the factor table alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..kernels.structure import LOOPY, measure_grid, place_grid
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
    about = np.zeros(5, np.int64)
    if plan.kinds[component] != LOOPY or not measure_grid(plan.factors, component, about):
        return None
    first, last, width, edges, kind = (int(x) for x in about)
    size = last + 1 - first
    height = size // width
    states = plan.states[first : last + 1]
    if width < 2 or size % width or edges != 2 * size - width - height or (states != states[0]).any():
        return None
    right, down = np.full((height, width - 1), -1, np.int64), np.full((height - 1, width), -1, np.int64)
    if not place_grid(plan.factors, component, first, right, down):
        return None
    if kind != POTTS:
        if (right != right[0, 0]).any() or (down != down[0, 0]).any():
            return None
        right, down = (np.broadcast_to(each[0, 0], each.shape) for each in (right, down))
    return Grid(first, height, width, int(states[0]), kind == POTTS, right, down)
