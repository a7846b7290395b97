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


class Raster(NamedTuple):
    """Sides of a grid, its first variable, and right and down as in Grid; `kind` of its pairs as in Factors."""

    first: int
    height: int
    width: int
    kind: int
    right: np.ndarray
    down: np.ndarray


def find_raster(plan: Plan, component: int) -> Raster | None:
    """The grid that a component is, whatever its states and tables: consecutive variables, one pair to an edge."""
    about = np.zeros(5, np.int64)
    if plan.kinds[component] != LOOPY or not measure_grid(plan.factors, component, about):
        return None
    first, last, width, edges, kind = (int(x) for x in about)
    size = last + 1 - first
    height = size // width
    if width < 2 or size % width or edges != 2 * size - width - height:
        return None
    right, down = np.full((height, width - 1), -1, np.int64), np.full((height - 1, width), -1, np.int64)
    if not place_grid(plan.factors, component, first, right, down):
        return None
    return Raster(first, height, width, kind, right, down)


def find_grid(plan: Plan, component: int) -> Grid | None:
    """The grid that a component is, if it is one of equal states, and of Potts factors or two tables."""
    raster = find_raster(plan, component)
    if raster is None:
        return None
    first, height, width, kind, right, down = raster
    states = plan.states[first : first + height * width]
    if (states != states[0]).any():
        return None
    if kind != POTTS:
        if (right != right[0, 0]).any() or (down != down[0, 0]).any():
            return None
        right, down = (np.broadcast_to(each[0, 0], each.shape) for each in (right, down))
    return Grid(first, height, width, int(states[0]), kind == POTTS, right, down)
