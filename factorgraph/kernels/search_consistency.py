"""Existential directional arc consistency (de Givry, Heras, Zytnicki, Larrosa 2005) on factors of any arity.

Every state of a variable has a support in each of its factors: a labelling that costs nothing there. Towards variables
earlier in the order supports are full: they cost nothing in the other variables either. And every variable has a state
of unary 0 with full supports in all its factors: where none has, moving the costs towards the variable raises the
constant. States that cost as much as the best labelling known are taken.
"""

from __future__ import annotations

import numpy as np

from .jit import inner
from .search_costs import (
    CUT,
    DIRTY,
    DOUBT,
    DOUBTS,
    ENTRY,
    FIRST,
    FLAG,
    HOOK,
    LEAST,
    LENDERS,
    LIVE,
    LOG,
    MOST_LABELLINGS,
    OWNER,
    PLACE,
    PTR,
    ROSE,
    SHRANK,
    SIZE,
    SUPPORT,
    TOP,
    VAR,
    WORK,
    alive,
    flag,
    forbid,
)
from .search_shifts import normalise, open_labellings, pair_least, partner, seek, table_least

#: What `settle` and the search answer: settled (or: searched to the end), the bound reached the cut, call again after
#: making room in the log, call again, too many conflicts.
DONE, CONFLICT, FULL, SLICE, FAILED = range(5)


@inner
def pop(s, top, bits):
    """The last variable with one of the flags, −1 where there is none; `top` is the count that bounds it."""
    v = s.count[top]
    while v >= 0 and not s.node[v, FLAG] & bits:
        v -= 1
    s.count[top] = v
    return v


@inner
def _first_of(s, f):
    """The first variable of a factor in the order."""
    least = s.entry[s.factor[f, PTR], VAR]
    for e in range(s.factor[f, PTR] + 1, s.factor[f + 1, PTR]):
        least = min(least, s.entry[e, VAR])
    return least


@inner
def _revise(s, v, shrank):
    """Find new supports for the neighbours of v, which changed; False: conflict."""
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f = s.entry[i, OWNER]
        first = _first_of(s, f)
        for t in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
            u = s.entry[t, VAR]
            if u != v:
                if s.node[u, SIZE] > 1:
                    flag(s, u, DOUBT)
                if (shrank or u == first) and not seek(s, f, t, u == first):
                    return False
    return True


@inner
def _supported(s, v, k, costs):
    """Whether state k has full supports that cost nothing in all factors of v of arity 2."""
    if not alive(s, v, k) or s.value[s.node[v, FIRST] + k] > 0:
        return False
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
        if s.factor[f + 1, PTR] - s.factor[f, PTR] == 2:
            if s.node[s.entry[partner(s, f, t), VAR], SIZE] > 1 and pair_least(s, f, t, k, True) > 0:
                return False
        elif open_labellings(s, f) <= MOST_LABELLINGS:
            table_least(s, f, t, s.entry[t, LENDERS], costs)
            if costs[s.state[s.node[v, FIRST] + k, PLACE]] > 0:
                return False
    return True


@inner
def _assure(s, v):
    """Find v a state that costs nothing anywhere, or raise the constant by what the cheapest costs; False: conflict."""
    if _supported(s, v, s.node[v, SUPPORT], s.scratch[0]):
        return True
    first = s.node[v, FIRST]
    total, costs = s.scratch[1], s.scratch[0]
    for j in range(s.node[v, SIZE]):
        total[j] = s.value[first + s.state[first + j, LIVE]]
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
        if s.factor[f + 1, PTR] - s.factor[f, PTR] == 2:
            if s.node[s.entry[partner(s, f, t), VAR], SIZE] > 1:
                for j in range(s.node[v, SIZE]):
                    if total[j] < np.inf:
                        total[j] += pair_least(s, f, t, s.state[first + j, LIVE], True)
        elif open_labellings(s, f) <= MOST_LABELLINGS:
            table_least(s, f, t, s.entry[t, LENDERS], costs)
            for j in range(s.node[v, SIZE]):
                total[j] += costs[j]
    best = 0
    for j in range(1, s.node[v, SIZE]):
        if total[j] < total[best]:
            best = j
    s.node[v, SUPPORT] = s.state[first + best, LIVE]
    if total[best] < s.level[LEAST]:
        return True
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
        if s.factor[f + 1, PTR] - s.factor[f, PTR] > 2 or s.node[s.entry[partner(s, f, t), VAR], SIZE] > 1:
            if not seek(s, f, t, True):
                return False
    return True


@inner
def _weigh(s):
    """Take the states that would reach the cut; False: conflict."""
    constant = s.value[0]
    if constant >= s.level[CUT]:
        return False
    for v in range(s.node.shape[0] - 1):
        first = s.node[v, FIRST]
        if s.node[v, SIZE] > 1:
            for i in range(s.node[v, SIZE] - 1, -1, -1):
                k = s.state[first + i, LIVE]
                if constant + s.value[first + k] >= s.level[CUT]:
                    forbid(s, v, k)
            s.count[WORK] += s.node[v, SIZE]
            if s.node[v, SIZE] == 0:
                return False
    s.count[DIRTY] = 0
    return True


@inner
def settle(s, room, until):
    """Work off the flags: DONE, CONFLICT, FULL (less than `room` left in the log) or SLICE (work beyond `until`)."""
    while True:
        if s.log_at.size - s.count[LOG] < room:
            return FULL
        if s.count[WORK] > until:
            return SLICE
        v = pop(s, TOP, ROSE | SHRANK)
        if v >= 0:
            shrank = s.node[v, FLAG] & SHRANK
            s.node[v, FLAG] &= DOUBT
            s.count[WORK] += 1
            if (shrank and not normalise(s, v)) or not _revise(s, v, shrank != 0):
                return CONFLICT
            continue
        if s.count[DIRTY]:
            if not _weigh(s):
                return CONFLICT
            continue
        v = pop(s, DOUBTS, DOUBT)
        if v < 0:
            return DONE
        s.node[v, FLAG] &= ROSE | SHRANK
        if s.node[v, SIZE] > 1 and not _assure(s, v):
            return CONFLICT
