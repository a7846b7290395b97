"""Exact minimum of forest components by dynamic programming (Viterbi on chains).

One sweep towards the root adds messages to beliefs; the root's least belief is the minimum; one sweep back reads
the labels off, recomputing each argmin on the way instead of storing back-pointers.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .messages import (
    COLUMNS,
    POTTS,
    ROWS,
    SHARED_COLUMNS,
    SHARED_ROWS,
    argmin_column,
    argmin_general,
    argmin_potts,
    argmin_row,
    up_columns,
    up_general,
    up_potts,
    up_rows,
)
from .schedule import (
    CHILD,
    DOWN,
    EDGE,
    FIRST,
    FORM,
    PARENT,
    RUN_DOWN,
    RUN_STEP,
    RUN_TURN,
    RUN_UNARY,
    RUN_UP,
    SLOT,
    STATE,
    STATES,
    TABLE,
    UNARY,
    UP,
    VAR,
)
from .simd import get, vadd, vload, vmin, vsplat, vstore


@inner
def _start(p, position, unary, energies, bias, mask, belief):
    """belief = padding mask + bias + unary tables, in vectors."""
    width = 64 // belief.itemsize
    states = position[p, STATES]
    for j in range(0, states, width):
        x = vload(mask, 16 - min(states - j, width))
        if bias.size > 0:
            x = vadd(x, vload(bias, position[p, STATE] + j))
        for u in range(position[p, UNARY], position[p + 1, UNARY]):
            x = vadd(x, vload(energies, unary[u] + j))
        vstore(belief, position[p, SLOT] + j, x)


@inner
def _sweep_run(c, schedule, energies, copies, bias, mask, belief):
    """The sweep towards the root of a run: a chain of equal alphabets, one unary table each at even steps, and one
    shared table. Nothing is looked up per variable; unary, bias and message go into one store."""
    width = 64 // belief.itemsize
    first = schedule.component[c, FIRST]
    count = schedule.component[c + 1, FIRST] - first
    states = schedule.position[first, STATES]
    stride = (states + 15) // 16 * 16
    up = schedule.run[c, RUN_UP]
    unary = schedule.run[c, RUN_UNARY]
    step = schedule.run[c, RUN_STEP]
    offset = schedule.position[first, STATE]
    turn = schedule.run[c, RUN_TURN]
    for i in range(count - 1, -1, -1):
        slot = i * stride
        child = slot + stride
        u = unary + i * step
        for j in range(0, states, width):
            own = vadd(vload(energies, u + j), vload(mask, 16 - min(states - j, width)))
            if bias.size > 0:
                own = vadd(own, vload(bias, offset + i * turn + j))
            if i < count - 1:
                x0 = vadd(vsplat(get(belief, child)), vload(copies, up + j))
                x1 = x0
                x2 = x0
                x3 = x0
                k = 1
                while k + 4 <= states:
                    q = up + k * stride + j
                    b = child + k
                    x0 = vmin(x0, vadd(vsplat(get(belief, b)), vload(copies, q)))
                    x1 = vmin(x1, vadd(vsplat(get(belief, b + 1)), vload(copies, q + stride)))
                    x2 = vmin(x2, vadd(vsplat(get(belief, b + 2)), vload(copies, q + 2 * stride)))
                    x3 = vmin(x3, vadd(vsplat(get(belief, b + 3)), vload(copies, q + 3 * stride)))
                    k += 4
                while k < states:
                    x0 = vmin(x0, vadd(vsplat(get(belief, child + k)), vload(copies, up + k * stride + j)))
                    k += 1
                own = vadd(own, vmin(vmin(x0, x1), vmin(x2, x3)))
            vstore(belief, slot + j, own)


@inner
def _trace_run(c, schedule, copies, belief, at, labels):
    """Labels of a run from its root's label `at`."""
    first = schedule.component[c, FIRST]
    states = schedule.position[first, STATES]
    stride = (states + 15) // 16 * 16
    down = schedule.run[c, RUN_DOWN]
    var = schedule.position[first, VAR]
    turn = schedule.run[c, RUN_TURN] // states
    for i in range(1, schedule.component[c + 1, FIRST] - first):
        at = argmin_row(belief, i * stride, copies, down + at * stride, states)
        labels[var + i * turn] = at


@kernel
def minimise_forests(components, schedule, energies, copies, bias, mask, work, labels, minimum):
    """Labels (per variable) and minimum of every listed component; minimum[i] (float64) belongs to components[i].

    work = (belief, scratch), owned by the caller; mask as by `padding_mask`.
    """
    belief, scratch = work
    position = schedule.position
    edge = schedule.edge
    for i in range(components.size):
        c = components[i]
        root = schedule.component[c, FIRST]
        run = schedule.run[c, RUN_STEP] != 0
        if run:
            _sweep_run(c, schedule, energies, copies, bias, mask, belief)
        for p in range(root, root if run else schedule.component[c + 1, FIRST]):
            _start(p, position, schedule.unary, energies, bias, mask, belief)
        low = schedule.component[c, EDGE]
        high = low if run else schedule.component[c + 1, EDGE]
        for e in range(high - 1, low - 1, -1):
            p = edge[e, PARENT]
            q = edge[e, CHILD]
            form = edge[e, FORM]
            to = position[p, SLOT]
            of = position[q, SLOT]
            n = position[p, STATES]
            m = position[q, STATES]
            if form == SHARED_ROWS or form == SHARED_COLUMNS:
                up_rows(belief, of, to, copies, edge[e, UP], (n + 15) // 16 * 16, m, n)
            elif form == ROWS:
                up_rows(belief, of, to, energies, edge[e, TABLE], n, m, n)
            elif form == COLUMNS:
                up_columns(belief, of, to, energies, edge[e, TABLE], m, m, n)
            elif form == POTTS:
                up_potts(belief, of, to, energies[edge[e, TABLE]], m, n)
            else:
                up_general(schedule, e, copies, belief, scratch)
        slot = position[root, SLOT]
        at = 0
        for k in range(1, position[root, STATES]):
            if belief[slot + k] < belief[slot + at]:
                at = k
        minimum[i] = belief[slot + at]
        labels[position[root, VAR]] = at
        if run:
            _trace_run(c, schedule, copies, belief, at, labels)
        for e in range(low, high):
            q = edge[e, CHILD]
            form = edge[e, FORM]
            of = position[q, SLOT]
            m = position[q, STATES]
            label = np.int64(labels[position[edge[e, PARENT], VAR]])
            if form == SHARED_ROWS or form == SHARED_COLUMNS:
                at = argmin_row(belief, of, copies, edge[e, DOWN] + label * ((m + 15) // 16 * 16), m)
            elif form == ROWS:
                at = argmin_column(belief, of, energies, edge[e, TABLE] + label, position[edge[e, PARENT], STATES], m)
            elif form == COLUMNS:
                at = argmin_row(belief, of, energies, edge[e, TABLE] + label * m, m)
            elif form == POTTS:
                at = argmin_potts(belief, of, energies[edge[e, TABLE]], label, m)
            else:
                at = argmin_general(schedule, e, copies, belief, label)
                for k in range(schedule.entries[edge[e, TABLE] - 2] - 1, 0, -1):
                    labels[position[q + k, VAR]] = at % position[q + k, STATES]
                    at //= position[q + k, STATES]
            labels[position[q, VAR]] = at


def padding_mask(dtype: np.dtype) -> np.ndarray:
    """Sixteen zeros, then sixteen infinities: loaded at 16 − n it lets n lanes pass."""
    return np.concatenate([np.zeros(16, dtype), np.full(16, np.inf, dtype)])
