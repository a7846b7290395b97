"""Depth-first branch and bound, in bursts: a burst ends with its subtree, or after so many conflicts.

A decision gives a variable a state, and where that fails, takes the state from it. Which variable: the one that
failed last (Lecoutre et al. 2009), else fewest states per weight of conflicts (Boussemart et al. 2004), among those
whose supports disagree. If all supports agree, they are a labelling that costs no more than the bound.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .search_consistency import CONFLICT, DONE, FAILED, settle
from .search_costs import (
    BASE,
    BEST,
    CUT,
    DEPTH,
    DIRTY,
    FACTOR,
    FAILS,
    FIRST,
    FOUND,
    HOOK,
    LAST,
    LIVE,
    LOG,
    NODE,
    NODES,
    OWNER,
    PTR,
    SHIFT,
    SIZE,
    SLACK,
    SUPPORT,
    VAR,
    WEIGHT,
    WORK,
    alive,
    assign,
    forbid,
    undo,
)
from .search_shifts import cell

#: Columns of the stack: what was decided, whether the state was given or taken, and where the log was before.
VARIABLE, STATE, TAKEN, MARK = range(4)


@inner
def _apply(s, v, k, taken):
    if taken:
        forbid(s, v, k)
    else:
        assign(s, v, k)


@inner
def _push(s, stack, below, decision):
    """Decide (variable, state, taken); `below` keeps the bound of the node."""
    v, k, taken = decision
    row = stack[s.count[DEPTH]]
    row[VARIABLE], row[STATE], row[TAKEN], row[MARK] = v, k, taken, s.count[LOG]
    below[s.count[DEPTH]] = s.value[0]
    s.count[DEPTH] += 1
    s.count[NODES] += 1
    s.count[NODE] = s.count[NODES]
    _apply(s, v, k, taken)


@inner
def _retreat(s, stack, below, floor):
    """Back to the last decision above `floor` that has another side, and take that; False where there is none."""
    while s.count[DEPTH] > floor:
        s.count[DEPTH] -= 1
        row = stack[s.count[DEPTH]]
        undo(s, row[MARK])
        if not row[TAKEN] and below[s.count[DEPTH]] < s.level[CUT]:
            _push(s, stack, below, (row[VARIABLE], row[STATE], 1))
            return True
    return False


@inner
def _keep(s, labels, best):
    """Keep labels if they are better than the best, by the energies that were given."""
    unary, tables = s.given
    energy = 0.0
    for v in range(labels.size):
        energy += unary[s.node[v, FIRST] + labels[v]]
    for f in range(s.factor.shape[0] - 1):
        energy += tables[cell(s, f, labels)]
    if energy < s.level[BEST]:
        s.level[BEST] = energy
        s.level[CUT] = energy - s.level[BASE] - s.level[SLACK]
        s.count[FOUND] += 1
        s.count[DIRTY] = 1
        for v in range(labels.size):
            best[v] = labels[v]


@inner
def _supports(s, labels):
    """A labelling of supports; where a support is gone, the state of least unary."""
    for v in range(s.node.shape[0] - 1):
        first = s.node[v, FIRST]
        k = s.node[v, SUPPORT]
        if not alive(s, v, k) or s.value[first + k] > 0:
            for i in range(s.node[v, SIZE]):
                if s.value[first + s.state[first + i, LIVE]] == 0:
                    k = s.state[first + i, LIVE]
                    break
            s.node[v, SUPPORT] = k
        labels[v] = k


@inner
def _choose(s, labels):
    """The variable to branch on; −1 where every variable has one state left."""
    n = s.node.shape[0] - 1
    last = -1
    best, least = -1, np.inf
    for v in range(n):
        if s.node[v, SIZE] == 1:
            continue
        if best < 0:
            best = v
        weight = 0.0
        clash = False
        for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
            f = s.entry[i, OWNER]
            free = False
            cost = s.tables[cell(s, f, labels)]
            for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
                u = s.entry[e, VAR]
                free = free or (u != v and s.node[u, SIZE] > 1)
                cost -= s.value[s.entry[e, SHIFT] + labels[u]]
            if free:
                weight += s.factor[f, WEIGHT]
                clash = clash or cost > 0
        if clash:
            if v == s.count[LAST]:
                last = v
            if s.node[v, SIZE] / weight < least:
                best, least = v, s.node[v, SIZE] / weight
    return last if last >= 0 else best


@kernel
def burst(s, stack, below, best, labels, limits, room, until):
    """Search below the first limits[0] decisions of the stack: DONE, FULL, SLICE, FAILED after limits[1] conflicts.

    If limits[1] is 0, just settle: DONE or CONFLICT. best int64 (V,): the best labelling, kept up to date. labels:
    scratch.
    """
    floor, fails = limits
    while True:
        code = settle(s, room, until)
        if fails == 0 or (code != DONE and code != CONFLICT):
            return code
        if code == DONE:
            s.count[WORK] += 4 * s.entry.shape[0]
            _supports(s, labels)
            _keep(s, labels, best)
            v = _choose(s, labels) if s.value[0] < s.level[CUT] else -1
            if v >= 0:
                k = best[v]
                if s.level[BEST] == np.inf or not alive(s, v, k) or s.value[s.node[v, FIRST] + k] > 0:
                    k = labels[v]
                _push(s, stack, below, (v, k, 0))
                continue
        else:
            s.factor[s.count[FACTOR], WEIGHT] += 1
        s.count[FAILS] += 1
        if s.count[DEPTH] > floor:
            s.count[LAST] = stack[s.count[DEPTH] - 1, VARIABLE]
        if s.count[FAILS] >= fails:
            return FAILED
        if not _retreat(s, stack, below, floor):
            return DONE


@kernel
def resume(s, stack, below, path):
    """Go back to the root and take the decisions of an open node, int64 (n, 3); False where they contradict."""
    undo(s, 0)
    s.count[DEPTH] = s.count[FAILS] = 0
    s.count[DIRTY] = 1
    for n in range(path.shape[0]):
        v, k, taken = path[n, VARIABLE], path[n, STATE], path[n, TAKEN]
        if alive(s, v, k) == (taken != 0) and s.node[v, SIZE] == 1:
            return False
        if alive(s, v, k):
            _push(s, stack, below, (v, k, taken))
    return True
