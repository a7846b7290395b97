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


#: Columns of rows, in this order: of variables, of their states, of factors, of scope entries, of values.
FIRST, STATES, SIZE, FLAG, SUPPORT, HOOK = range(6)
LIVE, PLACE = range(2)
PTR, START, WEIGHT = range(3)
VAR, SHIFT, LENDERS, OWNER, ENTRY = range(5)
HINT, STAMP = range(2)


class Costs(NamedTuple):
    """The state of a search; all that changes is in these arrays, so that it can stop and go on anywhere.

    node: FIRST is where the values of v's states begin, STATES how many there are and SIZE how many are left; FLAG bits
    as above; SUPPORT is a state that costs nothing, in itself and towards its neighbours. Scope entries of v are
    entry[entry[i, ENTRY]] of factors entry[i, OWNER] for i from HOOK of v to that of v + 1.
    state: the states left to v are state[FIRST + i, LIVE] for i < SIZE; state[FIRST + k, PLACE] is where k stands.
    factor: f has entries from PTR of f to that of f + 1; its table, in C order, begins at START; WEIGHT counts the
    conflicts that it took part in.
    entry: VAR is the variable; SHIFT is where its d begins among the values; bits of LENDERS are the entries of the
    same factor whose unaries may come to VAR by this factor: each neighbour's by one factor only, so that what may come
    by all factors at once adds up.
    value: the constant, unaries from FIRST on, d from SHIFT on.
    trace: HINT of (e, k) is the state of the other variable that supported k last; STAMP the node at which a value was
    last logged. The log holds what values were, and sizes of v under −1 − v.
    """

    node: np.ndarray  # int64 (V + 1, 6)
    state: np.ndarray  # int64 (1 + Σ states, 2)
    factor: np.ndarray  # int64 (F + 1, 3)
    entry: np.ndarray  # int64 (Σ arity, 5)
    tables: np.ndarray  # float64, rounded
    given: tuple[np.ndarray, np.ndarray]  # float64: unaries (at FIRST) and tables as they were given
    value: np.ndarray  # float64
    trace: np.ndarray  # int64 (values, 2)
    log_at: np.ndarray  # int64
    log_old: np.ndarray  # float64
    count: np.ndarray  # int64 (COUNTS,)
    level: np.ndarray  # float64 (LEVELS,)
    scratch: np.ndarray  # float64 (3, most states)
    digit: np.ndarray  # int64 (2, most arity)


@inner
def put(s, at, new):
    """value[at] = new, logged."""
    if s.trace[at, STAMP] != s.count[NODE]:
        s.trace[at, STAMP] = s.count[NODE]
        s.log_at[s.count[LOG]] = at
        s.log_old[s.count[LOG]] = s.value[at]
        s.count[LOG] += 1
    s.value[at] = new


@inner
def flag(s, v, bits):
    """Remember that v needs a look."""
    s.node[v, FLAG] |= bits
    if bits & (ROSE | SHRANK) and v > s.count[TOP]:
        s.count[TOP] = v
    if bits & DOUBT and v > s.count[DOUBTS]:
        s.count[DOUBTS] = v


@inner
def resize(s, v, size):
    """size[v] = size, logged."""
    s.log_at[s.count[LOG]] = -1 - v
    s.log_old[s.count[LOG]] = s.node[v, SIZE]
    s.count[LOG] += 1
    s.node[v, SIZE] = size
    flag(s, v, SHRANK | DOUBT)


@inner
def _swap(s, v, k, to):
    """Move state k to position `to` of v's states."""
    first = s.node[v, FIRST]
    position = s.state[first + k, PLACE]
    other = s.state[first + to, LIVE]
    s.state[first + position, LIVE], s.state[first + to, LIVE] = other, k
    s.state[first + other, PLACE], s.state[first + k, PLACE] = position, to


@inner
def forbid(s, v, k):
    """Take state k from v."""
    _swap(s, v, k, s.node[v, SIZE] - 1)
    resize(s, v, s.node[v, SIZE] - 1)


@inner
def assign(s, v, k):
    """Leave v only state k."""
    _swap(s, v, k, 0)
    resize(s, v, 1)


@inner
def alive(s, v, k):
    """Whether v may still be k."""
    return s.state[s.node[v, FIRST] + k, PLACE] < s.node[v, SIZE]


@inner
def undo(s, mark):
    """Take back all that was logged since the log had `mark` entries; nothing is flagged any more."""
    for n in range(s.count[LOG] - 1, mark - 1, -1):
        at = s.log_at[n]
        if at < 0:
            s.node[-1 - at, SIZE] = np.int64(s.log_old[n])
        else:
            s.value[at] = s.log_old[n]
    s.count[LOG] = mark
    for v in range(max(s.count[TOP], s.count[DOUBTS]) + 1):
        s.node[v, FLAG] = 0
    s.count[TOP] = s.count[DOUBTS] = -1
    s.count[NODES] += 1
    s.count[NODE] = s.count[NODES]
