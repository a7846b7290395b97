"""Orders of elimination: greedy ones, several tries, remembered per plan and component."""

from __future__ import annotations

from time import perf_counter
from weakref import WeakKeyDictionary

import numpy as np

from ..kernels.order import BY_FILL, BY_WEIGHT, FINISHED, FULL, grow_order, start_order
from ..kernels.order_heap import (
    ALIVE,
    COMPONENT,
    DEGREE,
    END,
    LIMIT,
    LOG2,
    MOST,
    NOISE,
    ROOM,
    SCALE,
    SIZE,
    SPENT,
    START,
    WHEN,
    WORK,
    Greedy,
    count_pairs,
    list_neighbours,
)
from ..plan import Plan
from ..plan.grids import find_raster

#: Steps of work (some nanoseconds each) of one kernel call, and of all tries: at least, and for each entry of a list.
SLICE, LEAST_WORK, WORK_PER_ENTRY = 1 << 22, 1 << 27, 64
#: A try that was given up before this share of so many variables was ordered is the last one.
LARGE, NEARLY = 1000, 0.7
#: Cells that cost no more than a step of looking for a better order.
CELLS_PER_STEP = 4


class Known:
    """The best order found of every component, for the states it was asked with.

    when int64 (V,), degree int32 (V,): number in the component's order, and neighbours when eliminated. count int32
    (V,): allowed states then, −1 where nothing is known. cells float64 (C,), +inf where none was found with at most
    limit float64 (C,) cells.
    """

    def __init__(self, plan: Plan):
        self.when = np.zeros(plan.states.size, np.int64)
        self.degree = np.zeros(plan.states.size, np.int32)
        self.count = np.full(plan.states.size, -1, np.int32)
        self.cells = np.full(plan.n_components, np.inf)
        self.limit = np.full(plan.n_components, -1.0)


_known: WeakKeyDictionary[Plan, tuple[Known, Known]] = WeakKeyDictionary()


def variables_of(plan: Plan, components: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int64: the variables of the listed components, one component after the other, and which entry of the list each
    belongs to."""
    ptr, order = plan.members
    length = ptr[components + 1] - ptr[components]
    owner = np.repeat(np.arange(components.size), length)
    return order[np.arange(owner.size) + (ptr[components] - np.cumsum(length) + length)[owner]], owner


def find_orders(
    plan: Plan, components: np.ndarray, count: np.ndarray, limit: float, tries: int, deadline: float | None = None
) -> Known:
    """Orders of at most `limit` cells of the listed components, where some are found; count int32 (V,): states allowed.

    What depends on the plan alone is remembered, and the last question that forbids states.
    """
    whole, other = _known.get(plan) or _known.setdefault(plan, (Known(plan), Known(plan)))
    variables, owner = variables_of(plan, components)
    known = whole if np.array_equal(count[variables], plan.states[variables]) else other
    changed = np.bincount(owner[known.count[variables] != count[variables]], minlength=components.size) > 0
    unknown = changed | ((known.cells[components] == np.inf) & (known.limit[components] < limit))
    known.cells[components[changed]] = np.inf
    size = np.bincount(owner, minlength=components.size)
    for i in np.flatnonzero(unknown & (size > np.log2(limit) ** 2)):
        if _least_cells(plan, int(components[i]), count) > limit:
            unknown[i] = False
    fresh = unknown[owner]
    if unknown.any():
        _search(plan, components[unknown], variables[fresh], count, known, limit, tries, deadline)
        known.count[variables[fresh]] = count[variables[fresh]]
        late = deadline is not None and perf_counter() > deadline
        known.limit[components[unknown]] = -1.0 if late else limit
    return known


def _least_cells(plan: Plan, component: int, count: np.ndarray) -> float:
    """A lower bound: the treewidth of a grid is its shorter side, and some variable has as many neighbours."""
    raster = find_raster(plan, component)
    if raster is None:
        return 0.0
    states = float(count[raster.first : raster.first + raster.height * raster.width].min())
    side = min(raster.height, raster.width)
    return states ** min(side + 1, 64) if states > 1 else 0.0


def _search(
    plan: Plan,
    components: np.ndarray,
    variables: np.ndarray,
    count: np.ndarray,
    known: Known,
    limit: float,
    tries: int,
    deadline: float | None,
) -> None:
    free = variables[count[variables] > 1]
    place = np.empty(plan.n_components, np.int32)
    place[components] = np.arange(components.size)
    component = place[plan.component[free]]
    blank = _start(plan, components, free, count, component)
    n, log2 = free.size, blank.value[:, LOG2].copy()
    best = np.full(components.size, np.inf)
    size_of = np.bincount(component, minlength=components.size)
    hopeless = np.zeros(components.size, bool)
    left = max(LEAST_WORK, WORK_PER_ENTRY * (blank.lists.size + n))
    for number in range(tries):
        noise = np.random.default_rng(number).random(n)
        noise *= (0.0, 0.5, 0.5)[number] if number < 3 else 0.9 * log2.min(initial=1)
        blank.value[:, NOISE] = noise
        blank.value[:, SCALE] = 1.0 if number % 2 else log2
        blank.budget[:, LIMIT] = np.where(hopeless, -1.0, np.minimum(limit, best))
        found, g = _try(blank, BY_WEIGHT if number == 0 else BY_FILL, left, deadline)
        better = found < best
        best[better] = found[better]
        chosen = better[component]
        known.when[free[chosen]] = g.node[chosen, WHEN]
        known.degree[free[chosen]] = g.node[chosen, DEGREE]
        steps = int(g.state[WORK])
        left -= steps
        ordered = np.bincount(component[g.node[:, WHEN] >= 0], minlength=components.size)
        hopeless |= (best == np.inf) & (size_of > LARGE) & (ordered < NEARLY * size_of)
        late = deadline is not None and perf_counter() > deadline
        if late or left < steps or best[~hopeless].sum() < CELLS_PER_STEP * steps:
            break
    known.cells[components] = best


def _start(plan: Plan, components: np.ndarray, free: np.ndarray, count: np.ndarray, component: np.ndarray) -> Greedy:
    """The graph of the free variables; scale, noise and limit are up to each try."""
    n = free.size
    number = np.full(plan.states.size, -1, np.int32)
    number[free] = np.arange(n)
    room, size, stamp = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    count_pairs(components, plan.factors, number, room)
    start = np.cumsum(room) - room
    lists = np.empty(int(room.sum()), np.int32)
    list_neighbours(components, plan.factors, number, start, lists, size, stamp)
    node, value = np.zeros((n, 9), np.int64), np.zeros((n, 5))
    node[:, START], node[:, SIZE], node[:, ROOM], node[:, COMPONENT] = start, size, room, component
    node[:, WHEN] = -1
    value[:, LOG2] = np.log2(count[free])
    budget = np.zeros((components.size, 2))
    return Greedy(node, value, lists, np.zeros((2, n), np.int64), budget, np.zeros(7, np.int64))


def _try(blank: Greedy, rule: int, work: int, deadline: float | None) -> tuple[np.ndarray, Greedy]:
    """One greedy order: cells float64 of every component, +inf where it was given up."""
    g = Greedy(*(array.copy() for array in blank))
    n, used, count = len(g.node), g.lists.size, len(g.budget)
    g.state[END], g.state[MOST], g.state[ALIVE] = used, work, count
    g = _with_room(g, 2 * used + 16 * n + 64)
    start_order(g, rule)
    while (code := grow_order(g, rule, SLICE)) != FINISHED:
        if code == FULL:
            g = _with_room(g, 2 * g.lists.size)
        elif g.state[WORK] >= work or (deadline is not None and perf_counter() > deadline):
            break
    unfinished = np.bincount(g.node[g.node[:, WHEN] < 0, COMPONENT], minlength=count) > 0
    return np.where(unfinished, np.inf, g.budget[:, SPENT]), g


def _with_room(g: Greedy, size: int) -> Greedy:
    lists = np.empty(size, np.int32)
    lists[: g.lists.size] = g.lists
    return g._replace(lists=lists)


def width_of(plan: Plan, tries: int = 4) -> tuple[int, float]:
    """Estimate of the treewidth of a plan (an upper bound: the most neighbours of a variable when it is eliminated),
    and of the table cells of elimination in all; (−1, inf) where the graph is too wide to tell in a second or so."""
    components = np.arange(plan.n_components)
    known = find_orders(plan, components, plan.states, np.inf, tries)
    cells = float(known.cells.sum())
    return (int(known.degree.max(initial=0)) if cells < np.inf else -1), cells
