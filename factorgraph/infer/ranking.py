"""The k best answers of every component, and the k best of their sums."""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np

from ..kernels.forest_min import padding_mask
from ..kernels.forest_rank import rank_forests
from ..kernels.lattice_rank import rank_lattices
from ..kernels.schedule import EDGE, FIRST, NODES
from ..kernels.simd import buffer
from ..plan import Asked, Plan


class Ranking(NamedTuple):
    """The k best labellings of each listed component.

    energies float64 (components listed, k): minima of the question asked, ascending, +inf where there are fewer.
    labels int32 (k, V): row r holds the r-th best labels of every listed component, −1 where there are none.
    """

    energies: np.ndarray
    labels: np.ndarray

    @staticmethod
    def empty(plan: Plan, components: int, k: int) -> Ranking:
        """Nothing found yet."""
        return Ranking(np.full((components, k), np.inf), np.full((k, plan.states.size), -1, np.int32))

    def put(self, rows: np.ndarray, plan: Plan, components: np.ndarray, part: Ranking) -> None:
        """Take the ranking of `components`, whose energies are `rows` of this one, from `part`."""
        self.energies[rows] = part.energies
        inside = slice(None) if components.size == plan.n_components else plan.inside(components)
        self.labels[:, inside] = part.labels[:, inside]

    def in_order(self, plan: Plan, energies: np.ndarray) -> Ranking:
        """The same under other energies of the same labellings, all components listed: sorted anew, stably."""
        order = np.argsort(energies, axis=1, kind="stable")
        moved = np.any(order[:, 1:] < order[:, :-1], axis=1)
        inside = np.flatnonzero(moved[plan.component])
        if inside.size:
            turn = order[plan.component[inside]].T
            self.labels[:, inside] = np.take_along_axis(self.labels[:, inside], turn, 0)
        return Ranking(np.take_along_axis(energies, order, 1), self.labels)


def rank_forest_part(asked: Asked, copies: np.ndarray, chosen: np.ndarray, ranking: Ranking) -> None:
    """Rank the forests at indices `chosen` of asked.components; see kernels/forest_rank.py."""
    plan, energies, bias, components = asked
    k = ranking.energies.shape[1]
    spans = plan.schedule.component[:, EDGE]
    decisions = int((spans[components[chosen] + 1] - spans[components[chosen]]).max()) + 1
    cost = buffer((max(plan.extent.table, int(plan.states.max())) + 15) // 16 * 16, energies.dtype)
    work = (buffer(plan.extent.belief, energies.dtype), cost, np.empty((k, decisions)), np.empty((k, 2), np.int64))
    out = np.empty((chosen.size, k))
    mask = padding_mask(energies.dtype)
    rank_forests(components[chosen], plan.schedule, energies, copies, bias, mask, work, ranking.labels, out)
    ranking.energies[chosen] = out


def rank_lattice_part(asked: Asked, chosen: np.ndarray, ranking: Ranking) -> None:
    """Rank the lattices at indices `chosen` of asked.components, whose best paths are known; see lattice_rank.py."""
    plan, energies, bias, components = asked
    k = ranking.energies.shape[1]
    index, listed = plan.schedule.component, components[chosen]
    arcs = index[listed + 1, FIRST] - index[listed, FIRST]
    steps = int(np.minimum(index[listed, NODES], arcs + 1).max())
    choices = int(plan.states[plan.lattices.var].max()) + 1
    beliefs = [np.empty(plan.extent.belief) for _ in range(3)]
    values = (np.empty(plan.extent.nodes), np.empty(plan.extent.table), np.empty((steps, int(arcs.max()))))
    work = (*beliefs, *values, np.empty((k, steps * choices)), np.empty(k, np.int64))
    string = np.empty(steps + 1, np.int64)
    out = ranking.energies[chosen]
    rank_lattices(listed, plan.schedule, energies, bias, work, string, ranking.labels, out)
    ranking.energies[chosen] = out


def best_sums(energies: np.ndarray, k: int) -> np.ndarray:
    """int64 (≤ k, components): which rank each component takes in the k least sums of one energy of each.

    energies (components, n) as in Ranking, with a finite first column. Ascending sums, equal ones in a fixed order.
    Components are put in the order of their first step; a sum whose last step down was taken at place p by rank j
    spawns three: one rank further at p, a first step at p + 1 as well, and that one instead of a first step at p.
    """
    step = energies - energies[:, :1]
    place = np.argsort(step[:, 1], kind="stable") if energies.shape[1] > 1 else np.zeros(0, np.int64)
    out = [np.zeros(len(energies), np.int64)]
    heap: list[tuple[float, int, float, int, int, int]] = []  # (sum, number, sum without p's step, its row, p, j)
    number = 0

    def offer(base: float, row: int, p: int, j: int) -> None:
        nonlocal number
        if p < place.size and j < energies.shape[1] and step[place[p], j] < np.inf:
            number += 1
            heapq.heappush(heap, (base + float(step[place[p], j]), number, base, row, p, j))

    offer(0.0, 0, 0, 1)
    while heap and len(out) < k:
        total, _, base, row, p, j = heapq.heappop(heap)
        found = out[row].copy()
        found[place[p]] = j
        out.append(found)
        offer(base, row, p, j + 1)
        offer(total, len(out) - 1, p + 1, 1)
        if j == 1:
            offer(base, row, p + 1, 1)
    return np.array(out)
