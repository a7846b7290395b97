"""The bound before any branching: sequential reweighted sweeps (Kolmogorov 2006; 2015 for factors of any arity).

A sweep visits the variables in order. Each pulls what its factors can give,

    d_e(k) ← min_{x_f, x_e = k} table_f(x_f) − Σ_{other entries} d(x),

moves its least unary to the constant, and gives equal shares of the rest to the factors that go on to later variables.
After a whole sweep all costs are ≥ 0 and the constant is the bound; sweeps go to and fro.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .network import place_of
from .search_costs import (
    ENTRY,
    FIRST,
    GRAIN,
    HOOK,
    LIVE,
    MOST_LABELLINGS,
    OWNER,
    PTR,
    SHIFT,
    SIZE,
    START,
    STATES,
    VAR,
    WORK,
    forbid,
)
from .search_shifts import cell, open_labellings, partner, table_least


@inner
def _ends(s, f, v, ascending):
    """Whether a factor has variables before v, and after v, in the order of the sweep."""
    before = after = False
    for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
        before = before or s.entry[e, VAR] < v
        after = after or s.entry[e, VAR] > v
    return (before, after) if ascending else (after, before)


@inner
def _least(s, f, t, out):
    """out[i] = min c_f over labellings of f whose entry t is its i-th state."""
    if s.factor[f + 1, PTR] - s.factor[f, PTR] > 2:
        table_least(s, f, t, 0, out)
        return
    o = partner(s, f, t)
    x, y = s.entry[t, VAR], s.entry[o, VAR]
    wide = s.node[s.entry[s.factor[f, PTR] + 1, VAR], STATES]
    step, cross = (wide, 1) if o > t else (1, wide)
    for i in range(s.node[x, SIZE]):
        k = s.state[s.node[x, FIRST] + i, LIVE]
        row = s.factor[f, START] + k * step
        least = np.inf
        for n in range(s.node[y, SIZE]):
            j = s.state[s.node[y, FIRST] + n, LIVE]
            least = min(least, s.tables[row + j * cross] - s.value[s.entry[o, SHIFT] + j])
        out[i] = least - s.value[s.entry[t, SHIFT] + k]
    s.count[WORK] += s.node[x, SIZE] * s.node[y, SIZE]


@inner
def _pull(s, v, ascending, labels):
    """Pull from the factors of v, those that end with others first done with; False where v has no state left.

    labels[v] becomes the state of least cost given the labels of the variables before v.
    """
    first = s.node[v, FIRST]
    out, cost = s.scratch[0], s.scratch[1]
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
        if _ends(s, f, v, ascending)[0] and open_labellings(s, f) <= MOST_LABELLINGS:
            _least(s, f, t, out)
            for j in range(s.node[v, SIZE] - 1, -1, -1):
                k = s.state[first + j, LIVE]
                if out[j] == np.inf:
                    forbid(s, v, k)
                else:
                    s.value[s.entry[t, SHIFT] + k] += out[j]
                    s.value[first + k] += out[j]
    if s.node[v, SIZE] == 0:
        return False
    least = np.inf
    for j in range(s.node[v, SIZE]):
        cost[j] = s.value[first + s.state[first + j, LIVE]]
        least = min(least, cost[j])
    for j in range(s.node[v, SIZE]):
        s.value[first + s.state[first + j, LIVE]] -= least
    s.value[0] += least
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
        before, after = _ends(s, f, v, ascending)
        if before and not after:
            for j in range(s.node[v, SIZE]):
                labels[v] = s.state[first + j, LIVE]
                cost[j] += s.tables[cell(s, f, labels)] - s.value[s.entry[t, SHIFT] + labels[v]]
    best = 0
    for j in range(1, s.node[v, SIZE]):
        if cost[j] < cost[best]:
            best = j
    labels[v] = s.state[first + best, LIVE]
    return True


@inner
def _give(s, v, ascending):
    """Give shares of v's unary to the factors that go on."""
    first = s.node[v, FIRST]
    come = go = 0
    for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
        f = s.entry[i, OWNER]
        if open_labellings(s, f) <= MOST_LABELLINGS:
            before, after = _ends(s, f, v, ascending)
            come += before
            go += after
    for j in range(s.node[v, SIZE] if go else 0):
        k = s.state[first + j, LIVE]
        share = np.floor(s.value[first + k] / max(come, go) / s.level[GRAIN]) * s.level[GRAIN]
        for i in range(s.node[v, HOOK], s.node[v + 1, HOOK]):
            f, t = s.entry[i, OWNER], s.entry[i, ENTRY]
            if _ends(s, f, v, ascending)[1] and open_labellings(s, f) <= MOST_LABELLINGS:
                s.value[s.entry[t, SHIFT] + k] -= share
                s.value[first + k] -= share


@kernel
def sweep_root(s, begin, ascending, until, labels):
    """Visit the variables from the begin-th on until there is that much work done; where to go on, −1: infeasible."""
    count = s.node.shape[0] - 1
    for n in range(begin, count):
        v = n if ascending else count - 1 - n
        if not _pull(s, v, ascending, labels):
            return -1
        _give(s, v, ascending)
        if s.count[WORK] > until:
            return n + 1
    return count


@inner
def _cost(network, incidence, labels, v):
    """Energy of what v takes part in."""
    total = network.unary[network.first[v] + labels[v]]
    for i in range(incidence.ptr[v], incidence.ptr[v + 1]):
        total += network.tables[place_of(network, incidence.owner[i], labels)]
    return total


@kernel
def descend(network, incidence, labels, begin, end):
    """Iterated conditional modes (Besag 1986): variables begin … end − 1 take their best states; whether one did."""
    changed = False
    for v in range(begin, end):
        best, least = labels[v], _cost(network, incidence, labels, v)
        for k in range(network.states[v]):
            labels[v] = k
            cost = _cost(network, incidence, labels, v)
            if cost < least:
                best, least, changed = k, cost, True
        labels[v] = best
    return changed
