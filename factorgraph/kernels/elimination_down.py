"""Bucket elimination, downwards: the beliefs of all cliques, from the last bucket to the first.

Where the parent of bucket i says what belongs to its separator, B_i(s) (the least energy of a labelling with s, or the
probability Q_i(s)), the clique's belief follows from one table that takes the place of the message M_i,

    min:  b_i(k, s) = ψ_i(k, s) − R_i(s),                 R_i = M_i − B_i
    sum:  P_i(k, s) = exp(−(ψ_i(k, s) − R_i(s)) / T),     R_i = M_i + T log Q_i

with R_i = −inf wherever nothing is possible, so that no difference of infinities is ever taken. A clique's belief is
reduced to every table the bucket holds while it is walked, and never stored.
"""

from __future__ import annotations

import math

import numpy as np

from .buckets import CELLS, ENTRIES, MESSAGE, ROWS, STATES, TABLES, VAR, aligned, scope_of
from .configurations import entry
from .elimination import cell_of, next_row, start_rows, weigh_row
from .jit import inlined, inner, kernel
from .opened import BASE, COUNT, INDEX, INNERS, LINES, OUTERS, PARTS, SOURCE, STEP, WHOLES, next_point, open_bucket
from .simd import lanes, vadd, vload, vsplat, vstore
from .simd_sum import vexp, vmul
from .structure import OFFSET


@inner
def start_goals(i, b, factors, allowed, about, opened, goal, pool, scale):
    """Make bucket i ready, and a table of nothing (0, or +inf for minima) for everything it holds: goal[t] its place.

    The last three goals are those of what is INNER, of the LINEs, and a clique's row.
    """
    top, beta = scale
    open_bucket(i, b, factors, allowed, about, opened, pool, top)
    info = opened.info
    states = np.int64(b.row[i, STATES])
    start = top + b.row[i, ROWS] + b.row[i, TABLES]
    at = start
    for t in range(info[INNERS]):
        goal[t] = at
        at += aligned(opened.form[t, STEP] * states)
    count = info[LINES]
    goal[count] = at
    goal[count + 1] = at + b.row[i, ROWS]
    goal[count + 2] = goal[count + 1] + aligned(states)
    nothing = 0.0 if beta > 0.0 else np.inf
    for x in range(start, goal[count + 2]):
        pool[x] = nothing
    for t in range(info[INNERS], count):
        goal[t] = goal[count + 1]


@inlined
def _put(pool, to, value, beta):
    if beta > 0.0:
        pool[to] += value
    elif value < pool[to]:
        pool[to] = value


@inner
def reduce_rows(i, low, high, b, opened, own, goal, pool, scale):
    """Rows low … high − 1 of the clique's belief, added to (or minimised into) the goals."""
    top, beta = scale
    info = opened.info
    width = lanes(pool)
    states = b.row[i, STATES]
    cells = b.row[i, CELLS]
    count = info[LINES]
    index = opened.form[count, INDEX]
    belief = goal[count + 2]
    minus = vsplat(np.float64(-1.0))
    slope = vsplat(np.float64(-beta))
    start_rows(i, low, b, opened, own, pool, top)
    for row in range(low, high):
        if row > low:
            next_row(i, b, opened, own)
        weigh_row(states, cells, opened, own, pool, top)
        for y in range(cells):
            own.one[y] = pool[own.at[0, count] + opened.spots[index + y]]
        for y in range(cells, min(own.one.size, cells + width)):
            own.one[y] = 0.0  # lanes past the row: what another row left there may be infinite
        for k in range(states):
            for j in range(0, cells, width):
                x = cell_of(k, j, cells, info[WHOLES], opened, own, pool)
                x = vadd(x, vmul(minus, vload(own.one, j)))
                if beta > 0.0:
                    x = vexp(vmul(slope, x))
                vstore(pool, belief + k * cells + j, x)
        for k in range(states):
            start = belief + k * cells
            whole = 0.0 if beta > 0.0 else np.inf
            if beta > 0.0:
                for y in range(cells):
                    whole += pool[start + y]
            else:
                for y in range(cells):
                    whole = min(whole, pool[start + y])
            _put(pool, goal[count + 1] + k, whole, beta)
            if info[INNERS] > info[OUTERS]:
                for y in range(cells):
                    _put(pool, goal[count] + k * cells + y, pool[start + y], beta)
            for t in range(info[OUTERS]):
                to = goal[t] + own.at[0, t] - opened.form[t, BASE] + k * opened.form[t, STEP]
                if t >= info[PARTS]:
                    _put(pool, to, whole, beta)
                elif t >= info[WHOLES]:
                    for y in range(cells):
                        _put(pool, to + opened.spots[opened.form[t, INDEX] + y], pool[start + y], beta)
                else:
                    for y in range(cells):
                        _put(pool, to + y, pool[start + y], beta)


@inner
def _add_configurations(f, count, goal, b, factors, allowed, about, opened, pool, weight, gradient):
    """gradient += weight · the table at `goal` over opened.axes[0], in the layout of factor f's energies."""
    states, offsets, _, _ = about
    opened.axes[1, :count] = 0
    while True:
        for a in range(count):
            v = b.row[opened.axes[0, a], VAR]
            opened.labels[v] = allowed.label[offsets[v] + opened.axes[1, a]]
        x = entry(factors, states, f, opened.labels)
        if x >= 0:
            gradient[factors.row[f, OFFSET] + x] += weight * pool[goal]
        goal += 1
        if not next_point(b, opened, count):
            return


@inner
def finish_goals(i, b, factors, allowed, about, opened, goal, pool, beta, outputs):
    """Hand the goals on: R to the messages, marginals of the variable, configurations of the factors."""
    marginals, gradient, weight = outputs
    info = opened.info
    states = np.int64(b.row[i, STATES])
    cells = b.row[i, CELLS]
    count = info[LINES]
    for t in range(info[OUTERS], info[INNERS]):
        for k in range(states):
            for y in range(cells):
                to = goal[t] + k * opened.form[t, STEP] + opened.spots[opened.form[t, INDEX] + y]
                _put(pool, to, pool[goal[count] + k * cells + y], beta)
    if marginals.size > 0:
        first = about[1][b.row[i, VAR]]
        for k in range(states):
            marginals[first + allowed.label[first + k]] = pool[goal[count + 1] + k]
    for t in range(count):
        f = opened.form[t, SOURCE]
        if f < 0:
            at = opened.form[t, BASE]
            for x in range(b.row[-1 - f, MESSAGE]):
                value = pool[goal[t] + x]
                if value == (0.0 if beta > 0.0 else np.inf):
                    pool[at + x] = -np.inf
                else:
                    pool[at + x] += math.log(value) / beta if beta > 0.0 else -value
        elif gradient.size > 0:
            axes = scope_of(b, factors, i, f, opened.axes[0])
            _add_configurations(f, axes, goal[t], b, factors, allowed, about, opened, pool, weight, gradient)


@kernel
def descend(span, b, factors, allowed, about, opened, own, pool, scale, outputs):
    """Buckets span[1] − 1 … span[0], whose R take the place of their messages; those below receive theirs.

    scale = (top, beta), beta 0 for minima; own = (Own, goal int64 (tables + 3,)); outputs = (marginals, gradient,
    weight), what is empty is not wanted.
    """
    work, goal = own
    for i in range(span[1] - 1, span[0] - 1, -1):
        start_goals(i, b, factors, allowed, about, opened, goal, pool, scale)
        reduce_rows(i, 0, opened.info[COUNT], b, opened, work, goal, pool, scale)
        finish_goals(i, b, factors, allowed, about, opened, goal, pool, scale[1], outputs)


@kernel
def descend_open(i, b, factors, allowed, about, opened, own, pool, scale):
    """Start one large bucket."""
    start_goals(i, b, factors, allowed, about, opened, own[1], pool, scale)


@kernel
def descend_some(i, low, high, b, opened, own, pool, scale):
    """Some rows of a bucket that has been started."""
    reduce_rows(i, low, high, b, opened, own[0], own[1], pool, scale)


@kernel
def descend_close(i, b, factors, allowed, about, opened, own, pool, scale, outputs):
    """Finish it."""
    finish_goals(i, b, factors, allowed, about, opened, own[1], pool, scale[1], outputs)


def room_below(row: np.ndarray) -> np.ndarray:
    """Entries of scratch of every bucket on the way down."""
    return 3 * row[:, ROWS] + row[:, TABLES] + row[:, ENTRIES] + (row[:, STATES] + 15) // 8 * 8
