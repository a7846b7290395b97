"""Bucket elimination, upwards: the message of every bucket (Dechter 1999; see buckets.py).

    M_i(s) = min_k ψ_i(k, s)  or  −T log Σ_k exp(−ψ_i(k, s) / T),     ψ_i(k, s) = Σ of what bucket i holds

at every joint state s of the separator, so that the last message is the minimum or the free energy. No clique is ever
stored: a row of the message at a time, its tables are added up (opened.py says how they are read) and reduced.

Everything is float64. Messages are energies in sums too, so that nothing over- or underflows; a row is shifted by its
minimum before exponentials are taken.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .buckets import CELLS, OUTSIDE
from .jit import inlined, inner, kernel
from .opened import BASE, COUNT, DIRECT, INDEX, INNERS, LINES, OUTERS, PARTS, STEP, STRIDE, WHOLES, open_bucket
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_sum import vexp, vless, vmul


class Own(NamedTuple):
    """What each thread needs for itself: rows float64 (ROWS of any bucket), one a row of the message, lanes float64
    (8 · states), cost float64 (states,), at int64 (tables + 1,), digit int64 (axes,)."""

    rows: np.ndarray
    one: np.ndarray
    lanes: np.ndarray
    cost: np.ndarray
    at: np.ndarray
    digit: np.ndarray


@inlined
def start_rows(i, row, b, opened, own, pool, top):
    """Point the thread's `at` to row `row` of bucket i; without PARTs its `rows` are what is INNER, for all rows."""
    info = opened.info
    last = info[LINES]
    for t in range(info[OUTERS]):
        own.at[t] = opened.form[t, BASE]
    own.at[last] = opened.form[last, BASE]
    for a in range(b.size[i, OUTSIDE] - 1, -1, -1):
        states = b.states[b.sep[b.sep_ptr[i] + a]]
        own.digit[a] = row % states
        row //= states
        _step(a, own.digit[a], opened, own)
    if info[PARTS] == info[WHOLES]:
        for x in range(b.states[i] * b.size[i, CELLS]):
            own.rows[x] = pool[top + x] if info[INNERS] > info[OUTERS] else 0.0


@inlined
def _step(a, by, opened, own):
    """Move `at` by so many states of axis a."""
    for t in range(opened.info[OUTERS]):
        own.at[t] += by * opened.form[t, STRIDE + a]
    own.at[opened.info[LINES]] += by * opened.form[opened.info[LINES], STRIDE + a]


@inlined
def next_row(i, b, opened, own):
    """Point `at` to the next row."""
    for a in range(b.size[i, OUTSIDE] - 1, -1, -1):
        own.digit[a] += 1
        if own.digit[a] < b.states[b.sep[b.sep_ptr[i] + a]]:
            _step(a, 1, opened, own)
            return
        own.digit[a] = 0
        _step(a, 1 - b.states[b.sep[b.sep_ptr[i] + a]], opened, own)


@inlined
def weigh_row(states, cells, opened, own, pool, top):
    """cost[k] and rows[k, ·]: the sum of all but the WHOLE tables."""
    info = opened.info
    for k in range(states):
        cost = opened.line[k]
        for t in range(info[PARTS], info[OUTERS]):
            cost += get(pool, own.at[t] + k * opened.form[t, STEP])
        own.cost[k] = cost
    if info[PARTS] == info[WHOLES]:
        return
    for k in range(states):
        start = k * cells
        for t in range(info[WHOLES], info[PARTS]):
            at = own.at[t] + k * opened.form[t, STEP]
            index = opened.form[t, INDEX]
            if t > info[WHOLES]:
                for x in range(cells):
                    own.rows[start + x] += get(pool, at + get(opened.spots, index + x))
            elif info[INNERS] > info[OUTERS]:
                for x in range(cells):
                    own.rows[start + x] = get(pool, top + start + x) + get(pool, at + get(opened.spots, index + x))
            else:
                for x in range(cells):
                    own.rows[start + x] = get(pool, at + get(opened.spots, index + x))


@inlined
def cell_of(k, j, cells, wholes, opened, own, pool):
    """ψ at state k and the cells from j of the present row, a vector."""
    x = vadd(vsplat(get(own.cost, k)), vload(own.rows, k * cells + j))
    for t in range(wholes):
        x = vadd(x, vload(pool, get(own.at, t) + k * opened.form[t, STEP] + j))
    return x


@inlined
def _least(states, j, cells, wholes, opened, own, pool):
    """min_k ψ at the cells from j of the present row, a vector."""
    least = cell_of(0, j, cells, wholes, opened, own, pool)
    if wholes != 1:
        for k in range(1, states):
            least = vmin(least, cell_of(k, j, cells, wholes, opened, own, pool))
        return least
    at = own.at[0] + j  # nearly always
    step = opened.form[0, STEP]
    row = j
    for k in range(1, states):
        at += step
        row += cells
        x = vadd(vsplat(get(own.cost, k)), vload(own.rows, row))
        least = vmin(least, vadd(x, vload(pool, at)))
    return least


@inner
def sweep_rows(i, low, high, b, opened, own, pool, top, beta):
    """Rows low … high − 1 of the message of bucket i: minima where beta is 0, else −log Σ exp(−beta ψ) / beta."""
    width = lanes(pool)
    states = b.states[i]
    cells = b.size[i, CELLS]
    info = opened.info
    index = opened.form[info[LINES], INDEX]
    start_rows(i, low, b, opened, own, pool, top)
    for row in range(low, high):
        if row > low:
            next_row(i, b, opened, own)
        weigh_row(states, cells, opened, own, pool, top)
        to = own.at[info[LINES]]
        for j in range(0, cells, width):
            if beta == 0.0:
                x = _least(states, j, cells, info[WHOLES], opened, own, pool)
            else:
                x = _soft_minimum(states, j, cells, info[WHOLES], opened, own, pool, beta)
            if info[DIRECT] and j + width <= cells:
                vstore(pool, to + j, x)
            else:  # what follows a row may be another thread's
                vstore(own.one, j, x)
                for y in range(j, min(j + width, cells)):
                    pool[to + opened.spots[index + y]] = own.one[y]


@inlined
def _soft_minimum(states, j, cells, wholes, opened, own, pool, beta):
    """least − log Σ_k exp(beta (least − ψ_k)) / beta of the cells from j, +inf where the least is."""
    width = lanes(pool)
    infinite = vsplat(np.float64(np.inf))
    zero = vsplat(np.float64(0.0))
    least = infinite
    for k in range(states):
        x = cell_of(k, j, cells, wholes, opened, own, pool)
        vstore(own.lanes, k * width, x)
        least = vmin(least, x)
    shift = vmul(vless(least, infinite, least, zero), vsplat(np.float64(-1.0)))
    slope = vsplat(np.float64(-beta))
    total = zero
    for k in range(states):
        x = vload(own.lanes, k * width)
        total = vadd(total, vless(x, infinite, vexp(vmul(slope, vadd(x, shift))), zero))
    vstore(own.lanes, 0, total)
    for y in range(width):
        x = own.lanes[y]
        own.lanes[y] = math.log(x) / -beta if x > 0.0 else 0.0
    return vadd(least, vload(own.lanes, 0))


@kernel
def eliminate(low, high, b, factors, allowed, about, opened, owned, pool, scale):
    """Messages of buckets low … high − 1; scale = (top, beta), owned the thread's Own."""
    top, beta = scale
    for i in range(low, high):
        open_bucket(i, b, factors, allowed, about, opened, pool, top)
        sweep_rows(i, 0, opened.info[COUNT], b, opened, owned, pool, top, beta)


@kernel
def open_one(i, b, factors, allowed, about, opened, pool, top):
    """Make one large bucket ready for `sweep_some`."""
    open_bucket(i, b, factors, allowed, about, opened, pool, top)


@kernel
def sweep_some(i, low, high, b, opened, owned, pool, scale):
    """Some rows of a bucket that is ready; scale = (top, beta)."""
    top, beta = scale
    sweep_rows(i, low, high, b, opened, owned, pool, top, beta)
