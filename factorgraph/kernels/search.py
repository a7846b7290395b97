"""Depth-first branch and bound, in bursts: a burst ends with its subtree, or after so many conflicts.

A decision gives a variable a state, and where that fails, takes the state from it; many states are halved instead, in
their order. Which variable: the one that failed last (Lecoutre et al. 2009), else fewest states per weight of conflicts
(Boussemart et al. 2004), among those whose supports disagree. If all supports agree, they are a labelling that costs no
more than the bound.
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
    STATES,
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

#: Columns of the stack: what was decided, whether the other side is still to be searched, where the log was before.
VARIABLE, STATE, KIND, OPEN, MARK = range(5)
COLUMNS = 5
#: Kinds of decisions: the state, not the state, states up to it, states above it. The other side differs in one bit.
IS, NOT, UPTO, ABOVE = range(4)
#: Variables with more states than this are halved.
MANY = 10


@inner
def _apply(s, v, k, kind):
    """Take from v the states that the decision excludes."""
    if kind == IS and alive(s, v, k):
        assign(s, v, k)
        return
    first = s.node[v, FIRST]
    for i in range(s.node[v, SIZE] - 1, -1, -1):
        j = s.state[first + i, LIVE]
        if (j == k) if kind == NOT else (j > k) if kind == UPTO else (j <= k) if kind == ABOVE else True:
            forbid(s, v, j)


@inner
def _push(s, stack, below, decision):
    """Decide (variable, state, kind, open); `below` keeps the bound of the node."""
    v, k, kind, open_ = decision
    row = stack[s.tally[DEPTH]]
    row[VARIABLE], row[STATE], row[KIND], row[OPEN], row[MARK] = v, k, kind, open_, s.tally[LOG]
    below[s.tally[DEPTH]] = s.value[0]
    s.tally[DEPTH] += 1
    s.tally[NODES] += 1
    s.tally[NODE] = s.tally[NODES]
    _apply(s, v, k, kind)


@inner
def _middle(s, v):
    """The state up to which v has half of its states."""
    n = 0
    for k in range(s.node[v, STATES]):
        n += alive(s, v, k)
        if 2 * n >= s.node[v, SIZE]:
            return k
    return 0


@inner
def _decide(s, stack, below, v, k):
    """Give v state k, or the half of its states where that is."""
    if s.node[v, SIZE] > MANY:
        middle = _middle(s, v)
        _push(s, stack, below, (v, middle, UPTO if k <= middle else ABOVE, 1))
    else:
        _push(s, stack, below, (v, k, IS, 1))


@inner
def _retreat(s, stack, below, floor):
    """Back to the last decision above `floor` that has another side, and take that; False where there is none."""
    while s.tally[DEPTH] > floor:
        s.tally[DEPTH] -= 1
        row = stack[s.tally[DEPTH]]
        undo(s, row[MARK])
        if row[OPEN] and below[s.tally[DEPTH]] < s.level[CUT]:
            _push(s, stack, below, (row[VARIABLE], row[STATE], row[KIND] ^ 1, 0))
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
        s.tally[DIRTY] = 1
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
            if v == s.tally[LAST]:
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
            s.tally[WORK] += 4 * s.entry.shape[0]
            _supports(s, labels)
            _keep(s, labels, best)
            v = _choose(s, labels) if s.value[0] < s.level[CUT] else -1
            if v >= 0:
                k = best[v]
                if s.level[BEST] == np.inf or not alive(s, v, k) or s.value[s.node[v, FIRST] + k] > 0:
                    k = labels[v]
                _decide(s, stack, below, v, k)
                continue
        else:
            s.factor[s.tally[FACTOR], WEIGHT] += 1
        s.tally[FAILS] += 1
        if s.tally[DEPTH] > floor:
            s.tally[LAST] = stack[s.tally[DEPTH] - 1, VARIABLE]
        if s.tally[FAILS] >= fails:
            return FAILED
        if not _retreat(s, stack, below, floor):
            return DONE


@kernel
def resume(s, stack, below, path):
    """Go back to the root and take the decisions of an open node, int64 (n, 3); False where they contradict."""
    undo(s, 0)
    s.tally[DEPTH] = s.tally[FAILS] = 0
    s.tally[DIRTY] = 1
    for n in range(path.shape[0]):
        v = path[n, VARIABLE]
        _push(s, stack, below, (v, path[n, STATE], path[n, KIND], 0))
        if s.node[v, SIZE] == 0:
            return False
    return True
