"""Exact minimum of forest components by dynamic programming (Viterbi on chains).

One sweep towards the root adds messages to beliefs; the root's least belief is the minimum; one sweep back reads
the labels off, recomputing each argmin on the way instead of storing back-pointers.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from .jit import inlined, inner, kernel
from .messages import (
    COLUMNS,
    POTTS,
    ROWS,
    SETTLE,
    SHARED_COLUMNS,
    SHARED_ROWS,
    argmin_column,
    argmin_general,
    argmin_potts,
    argmin_row,
    settle,
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
    SLOT,
    STATE,
    STATES,
    TABLE,
    UNARY,
    UP,
    VAR,
)
from .simd import lanes, prefetch, vadd, vload, vstore

#: How many edges or positions ahead their tables are asked for: the order of sweeps is not that of the energies.
AHEAD = 8


@inlined
def _fetch(energies, start, count):
    """Ask for the cache lines of a table, the first few: what follows is found by the processor."""
    for x in range(0, min(count, 8 * lanes(energies)), lanes(energies)):
        prefetch(energies, start + x)


@inlined
def _start(p, position, unary, energies, bias, mask, belief):
    """belief = padding mask + bias + unary tables, in vectors."""
    width = lanes(belief)
    states = position[p, STATES]
    for j in range(0, states, width):
        x = vload(mask, 16 - min(states - j, width))
        if bias.size > 0:
            x = vadd(x, vload(bias, position[p, STATE] + j))
        for u in range(position[p, UNARY], position[p + 1, UNARY]):
            x = vadd(x, vload(energies, unary[u] + j))
        vstore(belief, position[p, SLOT] + j, x)


@inner
def sweep_up(c, schedule, energies, copies, bias, mask, work):
    """Beliefs of component c, each with the messages of all its children; returns what was taken off them in all.

    work = (belief, scratch).
    """
    belief, scratch = work
    width = lanes(belief)
    position = schedule.position
    edge = schedule.edge
    root = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    for p in range(root, last):
        if p + AHEAD < last and position[p + AHEAD, UNARY] < schedule.unary.size:
            _fetch(energies, schedule.unary[position[p + AHEAD, UNARY]], 1)
        _start(p, position, schedule.unary, energies, bias, mask, belief)
    low = schedule.component[c, EDGE]
    off = 0.0
    for e in range(schedule.component[c + 1, EDGE] - 1, low - 1, -1):
        if e - AHEAD >= low and (edge[e - AHEAD, FORM] == ROWS or edge[e - AHEAD, FORM] == COLUMNS):
            _fetch(
                energies, edge[e - AHEAD, TABLE], position[edge[e, PARENT], STATES] * position[edge[e, CHILD], STATES]
            )
        p = edge[e, PARENT]
        q = edge[e, CHILD]
        form = edge[e, FORM]
        to = position[p, SLOT]
        of = position[q, SLOT]
        n = position[p, STATES]
        m = position[q, STATES]
        if (q - root) % SETTLE == 0:
            off += settle(belief, of, m)
        if form == SHARED_ROWS or form == SHARED_COLUMNS:
            up_rows(belief, of, to, copies, edge[e, UP], width, m * width, m, n)
        elif form == ROWS:
            up_rows(belief, of, to, energies, edge[e, TABLE], n, width, m, n)
        elif form == COLUMNS:
            up_columns(belief, of, to, energies, edge[e, TABLE], m, m, n)
        elif form == POTTS:
            up_potts(belief, of, to, energies[edge[e, TABLE]], m, n)
        else:
            up_general(schedule, e, copies, belief, scratch)
    return off


@inner
def sweep_down(c, schedule, energies, copies, belief, labels):
    """Labels of component c, from its beliefs; returns the root's least one."""
    width = lanes(belief)
    position = schedule.position
    edge = schedule.edge
    root = schedule.component[c, FIRST]
    slot = position[root, SLOT]
    at = 0
    for k in range(1, position[root, STATES]):
        if belief[slot + k] < belief[slot + at]:
            at = k
    least = belief[slot + at]
    labels[position[root, VAR]] = at
    last = schedule.component[c + 1, EDGE]
    for e in range(schedule.component[c, EDGE], last):
        if e + AHEAD < last and (edge[e + AHEAD, FORM] == ROWS or edge[e + AHEAD, FORM] == COLUMNS):
            _fetch(
                energies, edge[e + AHEAD, TABLE], position[edge[e, PARENT], STATES] * position[edge[e, CHILD], STATES]
            )
        q = edge[e, CHILD]
        form = edge[e, FORM]
        of = position[q, SLOT]
        m = position[q, STATES]
        label = np.int64(labels[position[edge[e, PARENT], VAR]])
        if form == SHARED_ROWS or form == SHARED_COLUMNS:
            n = position[edge[e, PARENT], STATES]
            at = argmin_row(belief, of, copies, edge[e, DOWN] + label * width, n * width, m)
        elif form == ROWS:
            at = argmin_column(belief, of, energies, edge[e, TABLE] + label, position[edge[e, PARENT], STATES], m)
        elif form == COLUMNS:
            at = argmin_row(belief, of, energies, edge[e, TABLE] + label * m, width, m)
        elif form == POTTS:
            at = argmin_potts(belief, of, energies[edge[e, TABLE]], label, m)
        else:
            at = argmin_general(schedule, e, copies, belief, label)
            for k in range(schedule.entries[edge[e, TABLE] - 2] - 1, 0, -1):
                labels[position[q + k, VAR]] = at % position[q + k, STATES]
                at //= position[q + k, STATES]
        labels[position[q, VAR]] = at
    return least


@inner
def minimise_forest(c, schedule, energies, copies, bias, mask, work, labels):
    """Minimum of component c; writes its labels. work = (belief, scratch)."""
    off = sweep_up(c, schedule, energies, copies, bias, mask, work)
    return off + np.float64(sweep_down(c, schedule, energies, copies, work[0], labels))


@kernel
def minimise_forests(components, schedule, energies, copies, bias, mask, work, labels, minimum):
    """Labels (per variable) and minimum of every listed component; minimum[i] (float64) belongs to components[i].

    work = (belief, scratch), owned by the caller; mask as by `padding_mask`.
    """
    for i in range(components.size):
        minimum[i] = minimise_forest(components[i], schedule, energies, copies, bias, mask, work, labels)


@cache
def padding_mask(dtype: np.dtype) -> np.ndarray:
    """Sixteen zeros, then sixteen infinities: loaded at 16 − n it lets n lanes pass. Then a one (see run_min.py)."""
    return np.concatenate([np.zeros(16, dtype), np.full(16, np.inf, dtype), np.ones(1, dtype)])
