"""Orders of elimination: greedy ones, several tries, remembered per plan and component."""

from __future__ import annotations

from time import perf_counter
from weakref import WeakKeyDictionary

import numpy as np

from ..kernels.order import (
    ALIVE,
    BY_FILL,
    BY_WEIGHT,
    END,
    FINISHED,
    FULL,
    MOST,
    WORK,
    Greedy,
    count_pairs,
    grow_order,
    list_neighbours,
    start_order,
)
from ..plan import Plan

#: Steps of work (some nanoseconds each) of one kernel call, and of all tries: at least, and for each entry of a list.
SLICE, LEAST_WORK, WORK_PER_ENTRY = 1 << 22, 1 << 27, 64
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
    fresh = unknown[owner]
    if unknown.any():
        _search(plan, components[unknown], variables[fresh], count, known, limit, tries, deadline)
        known.count[variables[fresh]] = count[variables[fresh]]
        late = deadline is not None and perf_counter() > deadline
        known.limit[components[unknown]] = -1.0 if late else limit
    return known


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
    n = free.size
    number = np.full(plan.states.size, -1, np.int32)
    number[free] = np.arange(n)
    place = np.empty(plan.n_components, np.int32)
    place[components] = np.arange(components.size)
    component = place[plan.component[free]]
    room, size, stamp = np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -1, np.int64)
    count_pairs(components, plan.factors, number, room)
    start = np.cumsum(room) - room
    lists = np.empty(int(room.sum()), np.int32)
    list_neighbours(components, plan.factors, number, start, lists, size, stamp)
    log2 = np.log2(count[free].astype(np.float64))
    best = np.full(components.size, np.inf)
    left = max(LEAST_WORK, WORK_PER_ENTRY * (lists.size + n))
    for number_of_try in range(tries):
        rng = np.random.default_rng(number_of_try)
        rule = BY_WEIGHT if number_of_try == 0 else BY_FILL
        scale = np.ones(n) if number_of_try % 2 else log2.copy()
        noise = rng.random(n) * (0 if number_of_try == 0 else 0.5 if number_of_try < 3 else 0.9 * scale.min(initial=1))
        most = np.minimum(limit, best)
        found, g = _try(rule, start, size, room, lists, log2, scale, noise, component, most, left, deadline)
        better = found < best
        best[better] = found[better]
        chosen = better[component]
        known.when[free[chosen]] = g.when[chosen]
        known.degree[free[chosen]] = g.degree[chosen]
        steps = int(g.state[WORK])
        left -= steps
        late = deadline is not None and perf_counter() > deadline
        if late or left < steps or best.sum() < CELLS_PER_STEP * steps:
            break
    known.cells[components] = best


def _try(
    rule: int,
    start: np.ndarray,
    size: np.ndarray,
    room: np.ndarray,
    lists: np.ndarray,
    log2: np.ndarray,
    scale: np.ndarray,
    noise: np.ndarray,
    component: np.ndarray,
    limit: np.ndarray,
    work: int,
    deadline: float | None,
) -> tuple[np.ndarray, Greedy]:
    """One greedy order: cells float64 of every component, +inf where it was given up."""
    n = log2.size
    grown = np.empty(2 * lists.size + 16 * n + 64, np.int32)
    grown[: lists.size] = lists
    state = np.zeros(7, np.int64)
    state[END], state[MOST], state[ALIVE] = lists.size, work, limit.size
    g = Greedy(
        *(array.copy() for array in (start, size, room)),
        grown,
        np.empty(n, np.int32),
        np.empty(n),
        log2,
        scale,
        noise,
        np.empty(n),
        np.empty(n, np.int32),
        np.empty(n, np.int32),
        component,
        np.zeros(limit.size),
        limit,
        np.full(n, -1, np.int64),
        np.zeros(n, np.int32),
        np.zeros(n, np.int64),
        np.empty(n, np.int32),
        state,
    )
    start_order(g, rule)
    while (code := grow_order(g, rule, SLICE)) != FINISHED:
        if code == FULL:
            more = np.empty(2 * g.lists.size, np.int32)
            more[: g.lists.size] = g.lists
            g = g._replace(lists=more)
        elif state[WORK] >= work or (deadline is not None and perf_counter() > deadline):
            break
    unfinished = np.bincount(component[g.when < 0], minlength=limit.size) > 0
    return np.where(unfinished, np.inf, g.spent), g


def width_of(plan: Plan, tries: int = 4) -> tuple[int, float]:
    """Estimate of the treewidth of a plan (an upper bound: the most neighbours of a variable when it is eliminated),
    and of the table cells of elimination in all; (−1, inf) where the graph is too wide to tell in a second or so."""
    components = np.arange(plan.n_components)
    known = find_orders(plan, components, plan.states, np.inf, tries)
    cells = float(known.cells.sum())
    return (int(known.degree.max(initial=0)) if cells < np.inf else -1), cells
