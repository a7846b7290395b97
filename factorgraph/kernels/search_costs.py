"""Costs that move: a network whose energy is shifted between tables, unaries and a constant, and every shift undone.

    E(x) ≥ base + c + Σ_v u_v(x_v) + Σ_f c_f(x_f),    c_f(x_f) = table_f(x_f) − Σ_{e of f} d_e(x_e)

u and all c_f are ≥ 0, so base + c is a lower bound; moving d_e(k) from c_f to u_v, and min u_v to c, changes no
labelling's sum (Schiex 2000; Larrosa and Schiex 2004: soft arc consistency). Tables are rounded down once to multiples
of a power of two, so small that all shifts are exact in float64: nothing is lost to rounding, however long a search.
Entries at or above the gap between `base` and a known labelling are +inf: no better labelling uses them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner
from .network import Incidence, Network

#: Columns of Costs.count: entries of the log, number of the open node, highest flags of both queues, work done, whether
#: the constant or the cut rose since states were last weighed, the last factor that moved costs, entries of the stack,
#: conflicts, variable of the last conflict, nodes, labellings found.
LOG, NODE, TOP, DOUBTS, WORK, DIRTY, FACTOR, DEPTH, FAILS, LAST, NODES, FOUND = range(12)
COUNTS = 12
#: Entries of Costs.level: labels whose sum is at least CUT are of no use; rises of less than LEAST are not worth
#: their while; no d goes below −REACH, beyond which sums would be rounded; GRAIN is what all costs are multiples of;
#: BEST is the energy of the best labelling, BASE + c − ROUNDING the bound, SLACK what BASE + CUT
#: lies below BEST.
CUT, LEAST, REACH, GRAIN, BEST, BASE, SLACK, ROUNDING = range(8)
LEVELS = 8
#: Bits of Costs.flag: the unary rose where it was 0; states were lost; the support may be lost.
ROSE, SHRANK, DOUBT = 1, 2, 4
#: Factors with more labellings left than this wait until variables are known.
MOST_LABELLINGS = 1 << 16


class Costs(NamedTuple):
    """The state of a search; all that changes is in these arrays, so that it can stop and go on anywhere.

    `net.tables` are the rounded ones. `value`: u of (v, k) at net.first[v] + k, then c, then d of (scope entry e, k)
    at shift[e] + k. `hint` (same places): the state of the other variable that supported k last. The states of v that
    are left are live[first[v] : first[v] + size[v]]; place[first[v] + k] says where k stands among them. The log holds
    what values and sizes (of v, under −1 − v) were; stamp is the node at which a value was last logged. Bits of
    lenders[e] are the entries of e's factor whose unaries may come to the variable of e by this factor: each neighbour's
    by one factor only, so that what may come by all its factors at once adds up.
    """

    net: Network
    inc: Incidence
    shift: np.ndarray  # int64 (Σ arity,)
    lenders: np.ndarray  # int64 (Σ arity,)
    value: np.ndarray  # float64
    hint: np.ndarray  # int64, as value
    stamp: np.ndarray  # int64, as value
    live: np.ndarray  # int64 (Σ states,)
    place: np.ndarray  # int64 (Σ states,)
    size: np.ndarray  # int64 (V,)
    flag: np.ndarray  # uint8 (V,)
    support: np.ndarray  # int64 (V,): a state that costs nothing, in itself and towards its neighbours
    log_at: np.ndarray  # int64
    log_old: np.ndarray  # float64
    count: np.ndarray  # int64 (COUNTS,)
    level: np.ndarray  # float64 (LEVELS,)
    weight: np.ndarray  # float64 (F,): conflicts that a factor took part in
    scratch: np.ndarray  # float64 (3, most states)
    digit: np.ndarray  # int64 (2, most arity)


@inner
def put(s, at, new):
    """value[at] = new, logged."""
    if s.stamp[at] != s.count[NODE]:
        s.stamp[at] = s.count[NODE]
        s.log_at[s.count[LOG]] = at
        s.log_old[s.count[LOG]] = s.value[at]
        s.count[LOG] += 1
    s.value[at] = new


@inner
def flag(s, v, bits):
    """Remember that v needs a look."""
    s.flag[v] |= bits
    if bits & (ROSE | SHRANK) and v > s.count[TOP]:
        s.count[TOP] = v
    if bits & DOUBT and v > s.count[DOUBTS]:
        s.count[DOUBTS] = v


@inner
def resize(s, v, size):
    """size[v] = size, logged."""
    s.log_at[s.count[LOG]] = -1 - v
    s.log_old[s.count[LOG]] = s.size[v]
    s.count[LOG] += 1
    s.size[v] = size
    flag(s, v, SHRANK | DOUBT)


@inner
def _swap(s, v, k, to):
    """Move state k to position `to` of v's states."""
    first = s.net.first[v]
    position = s.place[first + k]
    other = s.live[first + to]
    s.live[first + position], s.live[first + to] = other, k
    s.place[first + other], s.place[first + k] = position, to


@inner
def forbid(s, v, k):
    """Take state k from v."""
    _swap(s, v, k, s.size[v] - 1)
    resize(s, v, s.size[v] - 1)


@inner
def assign(s, v, k):
    """Leave v only state k."""
    _swap(s, v, k, 0)
    resize(s, v, 1)


@inner
def alive(s, v, k):
    """Whether v may still be k."""
    return s.place[s.net.first[v] + k] < s.size[v]


@inner
def undo(s, mark):
    """Take back all that was logged since the log had `mark` entries; nothing is flagged any more."""
    for n in range(s.count[LOG] - 1, mark - 1, -1):
        at = s.log_at[n]
        if at < 0:
            s.size[-1 - at] = np.int64(s.log_old[n])
        else:
            s.value[at] = s.log_old[n]
    s.count[LOG] = mark
    for v in range(max(s.count[TOP], s.count[DOUBTS]) + 1):
        s.flag[v] = 0
    s.count[TOP] = s.count[DOUBTS] = -1
    s.count[NODES] += 1
    s.count[NODE] = s.count[NODES]


@inner
def normalise(s, v):
    """Move the least unary of v to the constant; False where no state is left or the bound reaches the cut."""
    if s.size[v] == 0:
        return False
    first = s.net.first[v]
    least = np.inf
    for i in range(s.size[v]):
        least = min(least, s.value[first + s.live[first + i]])
    if least > 0:
        for i in range(s.size[v]):
            at = first + s.live[first + i]
            put(s, at, s.value[at] - least)
        constant = s.net.first[s.size.size]
        put(s, constant, s.value[constant] + least)
        s.count[DIRTY] = 1
        return s.value[constant] < s.level[CUT]
    return True


@inner
def _project(s, t, amounts):
    """Move amounts[i] from the factor of entry t to the unary of its variable's i-th state; +inf takes the state."""
    v = s.net.var[t]
    first = s.net.first[v]
    for i in range(s.size[v] - 1, -1, -1):
        k = s.live[first + i]
        if amounts[i] == np.inf:
            forbid(s, v, k)
        elif amounts[i] > 0:
            put(s, s.shift[t] + k, s.value[s.shift[t] + k] + amounts[i])
            if s.value[first + k] == 0:
                flag(s, v, ROSE | DOUBT)
            put(s, first + k, s.value[first + k] + amounts[i])


@inner
def _extend(s, t, k, amount):
    """Move `amount` of the unary of state k to the factor of entry t."""
    at = s.net.first[s.net.var[t]] + k
    put(s, s.shift[t] + k, s.value[s.shift[t] + k] - amount)
    put(s, at, s.value[at] - amount)


@inner
def partner(s, f, t):
    """The other entry of a factor of arity 2."""
    return 2 * s.net.ptr[f] + 1 - t


@inner
def _steps(s, f, t):
    """How far apart the states of t's variable, and of its partner's, lie in a table of arity 2."""
    wide = s.net.states[s.net.var[s.net.ptr[f] + 1]]
    return (wide, 1) if t == s.net.ptr[f] else (1, wide)


@inner
def pair_least(s, f, t, k, full):
    """min_j c_f(k, j) (+ u(j) if `full`) over the states j of t's partner. Hints make most calls short."""
    o = partner(s, f, t)
    y = s.net.var[o]
    first = s.net.first[y]
    step, cross = _steps(s, f, t)
    row = s.net.start[f] + k * step
    own, other = s.shift[t] + k, s.shift[o]
    j = s.hint[own]
    if s.place[first + j] < s.size[y]:
        cost = s.net.tables[row + j * cross] - s.value[own] - s.value[other + j]
        if cost == 0 and (not full or s.value[first + j] == 0):
            return 0.0
    least = np.inf
    for i in range(s.size[y]):
        j = s.live[first + i]
        cost = s.net.tables[row + j * cross] - s.value[other + j]
        if full:
            cost += s.value[first + j]
        if cost < least:
            least = cost
            s.hint[own] = j
    s.count[WORK] += s.size[y]
    return least - s.value[own]


@inner
def _pair_extend(s, f, t, amounts):
    """Bring from the partner's unary what the factor lacks to give `amounts`; False where d would go out of reach."""
    o = partner(s, f, t)
    x, y = s.net.var[t], s.net.var[o]
    step, cross = _steps(s, f, t)
    s.count[WORK] += s.size[x] * s.size[y]
    for j in range(s.size[y]):
        b = s.live[s.net.first[y] + j]
        lack = 0.0
        for i in range(s.size[x]):
            if 0 < amounts[i] < np.inf:
                a = s.live[s.net.first[x] + i]
                cost = s.net.tables[s.net.start[f] + a * step + b * cross]
                lack = max(lack, amounts[i] - (cost - s.value[s.shift[t] + a] - s.value[s.shift[o] + b]))
        if lack > 0:
            if s.value[s.shift[o] + b] - lack < -s.level[REACH]:
                return False
            _extend(s, o, b, lack)
    return True


@inner
def _begin(s, f):
    """Put the digits on the first labelling of f that is left."""
    stride = 1
    for k in range(s.net.ptr[f + 1] - s.net.ptr[f] - 1, -1, -1):
        s.digit[1, k] = stride
        s.digit[0, k] = 0
        stride *= s.net.states[s.net.var[s.net.ptr[f] + k]]


@inner
def _next(s, f):
    """Put the digits on the next labelling of f; False after the last."""
    low = s.net.ptr[f]
    for k in range(s.net.ptr[f + 1] - low - 1, -1, -1):
        s.digit[0, k] += 1
        if s.digit[0, k] < s.size[s.net.var[low + k]]:
            return True
        s.digit[0, k] = 0
    return False


@inner
def _cost(s, f, lenders):
    """c_f of the labelling at the digits, and the unaries of the entries among `lenders`."""
    at, moved = s.net.start[f], 0.0
    for e in range(s.net.ptr[f], s.net.ptr[f + 1]):
        first = s.net.first[s.net.var[e]]
        state = s.live[first + s.digit[0, e - s.net.ptr[f]]]
        at += s.digit[1, e - s.net.ptr[f]] * state
        moved += s.value[s.shift[e] + state]
        if lenders >> (e - s.net.ptr[f]) & 1:
            moved -= s.value[first + state]
    s.count[WORK] += s.net.ptr[f + 1] - s.net.ptr[f]
    return s.net.tables[at] - moved


@inner
def table_least(s, f, t, lenders, out):
    """out[i] = min c_f + u of the lenders, over labellings of f whose entry t is its i-th state."""
    for i in range(s.size[s.net.var[t]]):
        out[i] = np.inf
    _begin(s, f)
    while True:
        i = s.digit[0, t - s.net.ptr[f]]
        out[i] = min(out[i], _cost(s, f, lenders))
        if not _next(s, f):
            return


@inner
def _table_extend(s, f, t, amounts, lack):
    """Bring from the lenders' unaries what factor f lacks to give `amounts`; False where d would go out of reach."""
    lenders = s.lenders[t]
    for e in range(s.net.ptr[f], s.net.ptr[f + 1]):
        if lenders >> (e - s.net.ptr[f]) & 1 == 0:
            continue
        lenders ^= 1 << (e - s.net.ptr[f])  # the others' are counted on: no more is brought than must be
        y = s.net.var[e]
        for j in range(s.size[y]):
            lack[j] = 0
        _begin(s, f)
        while True:
            i, j = s.digit[0, t - s.net.ptr[f]], s.digit[0, e - s.net.ptr[f]]
            if 0 < amounts[i] < np.inf:
                lack[j] = max(lack[j], amounts[i] - _cost(s, f, lenders))
            if not _next(s, f):
                break
        for j in range(s.size[y]):
            k = s.live[s.net.first[y] + j]
            if s.value[s.shift[e] + k] - lack[j] < -s.level[REACH]:
                return False
            if lack[j] > 0:
                _extend(s, e, k, lack[j])
    return True


@inner
def open_labellings(s, f):
    """How many labellings of f are left."""
    product = 1
    for e in range(s.net.ptr[f], s.net.ptr[f + 1]):
        product = min(product * s.size[s.net.var[e]], 2 * MOST_LABELLINGS)
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
    x = s.net.var[t]
    amounts = s.scratch[0]
    s.count[FACTOR] = f
    if s.net.ptr[f + 1] - s.net.ptr[f] == 2:
        first = s.net.first[x]
        for i in range(s.size[x]):
            amounts[i] = pair_least(s, f, t, s.live[first + i], full)
        if not _any_above(amounts, s.size[x]) or (full and not _pair_extend(s, f, t, amounts)):
            return True
    elif open_labellings(s, f) <= MOST_LABELLINGS:
        table_least(s, f, t, s.lenders[t] if full else 0, amounts)
        if not _any_above(amounts, s.size[x]) or (full and not _table_extend(s, f, t, amounts, s.scratch[2])):
            return True
    else:
        return True
    _project(s, t, amounts)
    return normalise(s, x)
