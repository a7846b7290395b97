"""The moves of soft arc consistency on factors of any arity: projections, extensions, and supports found by both.

A support of state k of a variable in factor f is a labelling of f with that state that costs nothing there. `seek`
finds one for all states of a variable: what the cheapest labelling costs is projected from f to the unary of k (Schiex
2000). A full support costs nothing in the unaries of f's other variables either: as much as that takes, and no more,
is extended from these unaries to f first (Cooper 2003; Larrosa and Schiex 2003).
"""

from __future__ import annotations

import numpy as np

from .jit import inner
from .search_costs import (
    CUT,
    DIRTY,
    DOUBT,
    FACTOR,
    FIRST,
    HINT,
    LENDERS,
    LIVE,
    MOST_LABELLINGS,
    PLACE,
    PTR,
    REACH,
    ROSE,
    SHIFT,
    SIZE,
    START,
    STATES,
    VAR,
    WORK,
    flag,
    forbid,
    put,
)


@inner
def normalise(s, v):
    """Move the least unary of v to the constant; False where no state is left or the bound reaches the cut."""
    if s.node[v, SIZE] == 0:
        return False
    first = s.node[v, FIRST]
    least = np.inf
    for i in range(s.node[v, SIZE]):
        least = min(least, s.value[first + s.state[first + i, LIVE]])
    if least > 0:
        for i in range(s.node[v, SIZE]):
            at = first + s.state[first + i, LIVE]
            put(s, at, s.value[at] - least)
        put(s, 0, s.value[0] + least)
        s.count[DIRTY] = 1
        return s.value[0] < s.level[CUT]
    return True


@inner
def _project(s, t, amounts):
    """Move amounts[i] from the factor of entry t to the unary of its variable's i-th state; +inf takes the state."""
    v = s.entry[t, VAR]
    first = s.node[v, FIRST]
    for i in range(s.node[v, SIZE] - 1, -1, -1):
        k = s.state[first + i, LIVE]
        if amounts[i] == np.inf:
            forbid(s, v, k)
        elif amounts[i] > 0:
            put(s, s.entry[t, SHIFT] + k, s.value[s.entry[t, SHIFT] + k] + amounts[i])
            if s.value[first + k] == 0:
                flag(s, v, ROSE | DOUBT)
            put(s, first + k, s.value[first + k] + amounts[i])


@inner
def _extend(s, t, k, amount):
    """Move `amount` of the unary of state k to the factor of entry t."""
    at = s.node[s.entry[t, VAR], FIRST] + k
    put(s, s.entry[t, SHIFT] + k, s.value[s.entry[t, SHIFT] + k] - amount)
    put(s, at, s.value[at] - amount)


@inner
def cell(s, f, labels):
    """Index into the tables of factor f's entry at `labels`."""
    x = 0
    for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
        v = s.entry[e, VAR]
        x = x * s.node[v, STATES] + labels[v]
    return s.factor[f, START] + x


@inner
def partner(s, f, t):
    """The other entry of a factor of arity 2."""
    return 2 * s.factor[f, PTR] + 1 - t


@inner
def _steps(s, f, t):
    """How far apart the states of t's variable, and of its partner's, lie in a table of arity 2."""
    wide = s.node[s.entry[s.factor[f, PTR] + 1, VAR], STATES]
    return (wide, 1) if t == s.factor[f, PTR] else (1, wide)


@inner
def pair_least(s, f, t, k, full):
    """min_j c_f(k, j) (+ u(j) if `full`) over the states j of t's partner. Hints make most calls short."""
    o = partner(s, f, t)
    y = s.entry[o, VAR]
    first = s.node[y, FIRST]
    step, cross = _steps(s, f, t)
    row = s.factor[f, START] + k * step
    own, other = s.entry[t, SHIFT] + k, s.entry[o, SHIFT]
    j = s.trace[own, HINT]
    if s.state[first + j, PLACE] < s.node[y, SIZE]:
        cost = s.tables[row + j * cross] - s.value[own] - s.value[other + j]
        if cost == 0 and (not full or s.value[first + j] == 0):
            return 0.0
    least = np.inf
    for i in range(s.node[y, SIZE]):
        j = s.state[first + i, LIVE]
        cost = s.tables[row + j * cross] - s.value[other + j]
        if full:
            cost += s.value[first + j]
        if cost < least:
            least = cost
            s.trace[own, HINT] = j
    s.count[WORK] += s.node[y, SIZE]
    return least - s.value[own]


@inner
def _pair_extend(s, f, t, amounts):
    """Bring from the partner's unary what the factor lacks to give `amounts`; False where d would go out of reach."""
    o = partner(s, f, t)
    x, y = s.entry[t, VAR], s.entry[o, VAR]
    step, cross = _steps(s, f, t)
    s.count[WORK] += s.node[x, SIZE] * s.node[y, SIZE]
    for j in range(s.node[y, SIZE]):
        b = s.state[s.node[y, FIRST] + j, LIVE]
        lack = 0.0
        for i in range(s.node[x, SIZE]):
            if 0 < amounts[i] < np.inf:
                a = s.state[s.node[x, FIRST] + i, LIVE]
                cost = s.tables[s.factor[f, START] + a * step + b * cross]
                lack = max(lack, amounts[i] - (cost - s.value[s.entry[t, SHIFT] + a] - s.value[s.entry[o, SHIFT] + b]))
        if lack > 0:
            if s.value[s.entry[o, SHIFT] + b] - lack < -s.level[REACH]:
                return False
            _extend(s, o, b, lack)
    return True


@inner
def _begin(s, f):
    """Put the digits on the first labelling of f that is left."""
    stride = 1
    for k in range(s.factor[f + 1, PTR] - s.factor[f, PTR] - 1, -1, -1):
        s.digit[1, k] = stride
        s.digit[0, k] = 0
        stride *= s.node[s.entry[s.factor[f, PTR] + k, VAR], STATES]


@inner
def _next(s, f):
    """Put the digits on the next labelling of f; False after the last."""
    low = s.factor[f, PTR]
    for k in range(s.factor[f + 1, PTR] - low - 1, -1, -1):
        s.digit[0, k] += 1
        if s.digit[0, k] < s.node[s.entry[low + k, VAR], SIZE]:
            return True
        s.digit[0, k] = 0
    return False


@inner
def _cost(s, f, lenders):
    """c_f of the labelling at the digits, and the unaries of the entries among `lenders`."""
    at, moved = s.factor[f, START], 0.0
    for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
        first = s.node[s.entry[e, VAR], FIRST]
        state = s.state[first + s.digit[0, e - s.factor[f, PTR]], LIVE]
        at += s.digit[1, e - s.factor[f, PTR]] * state
        moved += s.value[s.entry[e, SHIFT] + state]
        if lenders >> (e - s.factor[f, PTR]) & 1:
            moved -= s.value[first + state]
    s.count[WORK] += s.factor[f + 1, PTR] - s.factor[f, PTR]
    return s.tables[at] - moved


@inner
def table_least(s, f, t, lenders, out):
    """out[i] = min c_f + u of the lenders, over labellings of f whose entry t is its i-th state."""
    for i in range(s.node[s.entry[t, VAR], SIZE]):
        out[i] = np.inf
    _begin(s, f)
    while True:
        i = s.digit[0, t - s.factor[f, PTR]]
        out[i] = min(out[i], _cost(s, f, lenders))
        if not _next(s, f):
            return


@inner
def _table_extend(s, f, t, amounts, lack):
    """Bring from the lenders' unaries what factor f lacks to give `amounts`; False where d would go out of reach."""
    lenders = s.entry[t, LENDERS]
    for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
        if lenders >> (e - s.factor[f, PTR]) & 1 == 0:
            continue
        lenders ^= 1 << (e - s.factor[f, PTR])  # the others' are counted on: no more is brought than must be
        y = s.entry[e, VAR]
        for j in range(s.node[y, SIZE]):
            lack[j] = 0
        _begin(s, f)
        while True:
            i, j = s.digit[0, t - s.factor[f, PTR]], s.digit[0, e - s.factor[f, PTR]]
            if 0 < amounts[i] < np.inf:
                lack[j] = max(lack[j], amounts[i] - _cost(s, f, lenders))
            if not _next(s, f):
                break
        for j in range(s.node[y, SIZE]):
            k = s.state[s.node[y, FIRST] + j, LIVE]
            if s.value[s.entry[e, SHIFT] + k] - lack[j] < -s.level[REACH]:
                return False
            if lack[j] > 0:
                _extend(s, e, k, lack[j])
    return True


@inner
def open_labellings(s, f):
    """How many labellings of f are left."""
    product = 1
    for e in range(s.factor[f, PTR], s.factor[f + 1, PTR]):
        product = min(product * s.node[s.entry[e, VAR], SIZE], 2 * MOST_LABELLINGS)
    return product


@inner
def _any_above(amounts, count):
    for i in range(count):
        if amounts[i] > 0:
            return True
    return False


@inner
def seek(s, f, t, full):
    """Give every state of entry t's variable its support in f: a labelling of f that costs nothing beyond it.

    If `full`, unaries of the other variables count as costs and are brought in. False: the bound reaches the cut.
    """
    x = s.entry[t, VAR]
    amounts = s.scratch[0]
    s.count[FACTOR] = f
    if s.factor[f + 1, PTR] - s.factor[f, PTR] == 2:
        first = s.node[x, FIRST]
        for i in range(s.node[x, SIZE]):
            amounts[i] = pair_least(s, f, t, s.state[first + i, LIVE], full)
        if not _any_above(amounts, s.node[x, SIZE]) or (full and not _pair_extend(s, f, t, amounts)):
            return True
    elif open_labellings(s, f) <= MOST_LABELLINGS:
        table_least(s, f, t, s.entry[t, LENDERS] if full else 0, amounts)
        if not _any_above(amounts, s.node[x, SIZE]) or (full and not _table_extend(s, f, t, amounts, s.scratch[2])):
            return True
    else:
        return True
    _project(s, t, amounts)
    return normalise(s, x)
