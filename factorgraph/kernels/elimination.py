"""Bucket elimination, upwards: the message of every bucket (Dechter 1999; see buckets.py).

    M_i(s) = min_k ψ_i(k, s)  or  −T log Σ_k exp(−ψ_i(k, s) / T),     ψ_i(k, s) = Σ of what bucket i holds

at every joint state s of the separator, so that the last message is the minimum or the free energy. No clique is ever
stored. A separator is walked in *rows*, its last axes together, and a bucket's tables differ by what they know of them:

    WHOLE   all axes of the row: read in vectors
    PART    some of them, and others of the separator: spread over the row by a list of indices
    OUTER   none of them: one number per row and state k
    INNER   nothing else: summed once, for all rows
    LINE    nothing but the variable eliminated: one number per state k

Everything is float64. Messages are energies in sums too, so that nothing over- or underflows; a row is shifted by its
minimum before exponentials are taken.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from .buckets import CELLS, MESSAGE, OUTSIDE, ROWS, aligned, scope_of
from .configurations import entry
from .jit import inlined, inner, kernel
from .simd import get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_sum import vexp, vless, vmul
from .structure import KIND, OFFSET, SCOPE
from .tables import DENSE

WHOLE, PART, OUTER, INNER, LINE = range(5)

#: Columns of Opened.form: where a table starts in the pool, entries from one state k to the next, where its list of
#: indices starts, what it is (as in Buckets.source), and the strides of the separator's axes outside the row.
BASE, STEP, INDEX, SOURCE, STRIDE = range(5)

#: Entries of Opened.info: ends of the kinds in form (and the row of the message itself, after them), how many rows there
#: are, whether the message's rows lie in one piece.
WHOLES, PARTS, OUTERS, INNERS, LINES, COUNT, DIRECT = range(7)


class Opened(NamedTuple):
    """A bucket made ready: form int64 (tables + 1, 4 + axes) sorted by kind; index int64, the places of a row's cells in
    a table's own row; line float64 (states,); info int64 (7,); scope int64 (axes,), axes int64 (2, axes), kind int64
    (tables,) and labels int32 (V,) are scratch (labels of variables that are not free stay as they are)."""

    form: np.ndarray
    index: np.ndarray
    line: np.ndarray
    info: np.ndarray
    scope: np.ndarray
    axes: np.ndarray
    kind: np.ndarray
    labels: np.ndarray


class Own(NamedTuple):
    """What each thread needs for itself: rows float64 (ROWS of any bucket), one a row of the message, lanes float64
    (8 · states), cost float64 (states,), at int64 (tables + 1,), digit int64 (axes,)."""

    rows: np.ndarray
    one: np.ndarray
    lanes: np.ndarray
    cost: np.ndarray
    at: np.ndarray
    digit: np.ndarray


@inner
def copy_table(f, count, b, factors, allowed, about, opened, pool, to):
    """The table of factor f over its free variables' allowed states, opened.scope its axes, the last fastest."""
    states, offsets, energies, _ = about
    stride = np.int64(1)
    start = factors.row[f, OFFSET]
    for e in range(factors.row[f + 1, SCOPE] - 1, factors.row[f, SCOPE] - 1, -1):
        v = factors.var[e]
        p = b.position[v]
        if p < 0:
            start += stride * allowed.label[offsets[v]]
        for a in range(count):
            if opened.scope[a] == p:
                opened.axes[0, a] = stride
        stride *= states[v]
    dense = factors.row[f, KIND] == DENSE
    opened.axes[1, :count] = 0
    last = count - 1
    v = b.var[opened.scope[last]]
    while True:
        here = start
        for a in range(last):
            u = b.var[opened.scope[a]]
            label = allowed.label[offsets[u] + opened.axes[1, a]]
            opened.labels[u] = label
            here += opened.axes[0, a] * label
        for k in range(b.states[opened.scope[last]]):
            label = allowed.label[offsets[v] + k]
            if dense:
                pool[to] = energies[here + opened.axes[0, last] * label]
            else:
                opened.labels[v] = label
                x = entry(factors, states, f, opened.labels)
                pool[to] = energies[factors.row[f, OFFSET] + x] if x >= 0 else 0.0
            to += 1
        a = last - 1
        while a >= 0:
            opened.axes[1, a] += 1
            if opened.axes[1, a] < b.states[opened.scope[a]]:
                break
            opened.axes[1, a] = 0
            a -= 1
        if a < 0:
            return


@inner
def _kind_of(i, axis, axes, b, scope, count):
    if count == 1:
        return LINE
    inside = 0
    start = b.sep_ptr[i]
    for a in range(axis, axes):
        for c in range(1, count):
            inside += scope[c] == b.sep[start + a]
    if inside == count - 1:
        return INNER
    return OUTER if inside == 0 else WHOLE if inside == axes - axis else PART


@inner
def _place(i, axis, axes, b, scope, count, form, opened, index):
    """Strides of a table over `scope` along the separator's axes, and where its row's cells are; returns its entries
    but for the first axis, and past the last of `index`."""
    cells = np.int64(1)
    opened.index[index] = 0
    whole = np.int64(1)
    for c in range(1, count):
        whole *= b.states[scope[c]]
    for a in range(axes - 1, -1, -1):
        position = b.sep[b.sep_ptr[i] + a]
        mine = np.int64(0)
        stride = np.int64(1)
        for c in range(count - 1, -1, -1):
            if scope[c] == position:
                mine = stride
            stride *= b.states[scope[c]]
        if a < axis:
            form[STRIDE + a] = mine
        else:
            for k in range(1, b.states[position]):
                for x in range(cells):
                    opened.index[index + k * cells + x] = opened.index[index + x] + k * mine
            cells *= b.states[position]
    return whole, index + cells


@inner
def open_bucket(i, b, factors, allowed, about, opened, pool, top):
    """Make bucket i ready: its tables' kinds and strides; copies of its factors and what is INNER from pool[top] on."""
    _, offsets, _, bias = about
    info = opened.info
    axes = b.sep_ptr[i + 1] - b.sep_ptr[i]
    axis = b.size[i, OUTSIDE]
    cells = b.size[i, CELLS]
    states = b.states[i]
    v = b.var[i]
    for k in range(states):
        opened.line[k] = bias[offsets[v] + allowed.label[offsets[v] + k]] if bias.size > 0 else 0.0
    info[:] = 0
    first = b.source_ptr[i]
    for x in range(first, b.source_ptr[i + 1]):
        count = scope_of(b, factors, i, b.source[x], opened.scope)
        kind = _kind_of(i, axis, axes, b, opened.scope, count)
        opened.kind[x - first] = kind
        for later in range(kind + 1, LINE + 1):
            info[WHOLES + later] += 1
    if info[INNERS + 1] > info[INNERS]:
        for x in range(states * cells):
            pool[top + x] = 0.0
    to = top + b.size[i, ROWS]
    index = np.int64(0)
    for x in range(first, b.source_ptr[i + 1]):
        source = b.source[x]
        kind = opened.kind[x - first]
        count = scope_of(b, factors, i, source, opened.scope)
        form = opened.form[info[WHOLES + kind]]
        info[WHOLES + kind] += 1
        form[SOURCE] = source
        form[INDEX] = index
        if source < 0:
            form[BASE] = b.message[-1 - source]
        else:
            copy_table(source, count, b, factors, allowed, about, opened, pool, to)
            form[BASE] = to
        form[STEP] = 1
        after = index
        if kind != LINE:
            form[STEP], after = _place(i, axis, axes, b, opened.scope, count, form, opened, index)
        if source >= 0:
            to += aligned(form[STEP] * states)
        if kind == PART or kind == INNER:
            index = after
        if kind == LINE:
            for k in range(states):
                opened.line[k] += pool[form[BASE] + k]
        elif kind == INNER:
            for k in range(states):
                for y in range(cells):
                    pool[top + k * cells + y] += pool[form[BASE] + k * form[STEP] + opened.index[form[INDEX] + y]]
    form = opened.form[info[LINES]]
    form[BASE] = b.message[i]
    form[INDEX] = index
    _place(i, axis, axes, b, b.layout[b.sep_ptr[i] : b.sep_ptr[i + 1]], axes, form, opened, index)
    info[DIRECT] = 1
    for y in range(cells):
        info[DIRECT] &= opened.index[index + y] == y
    info[COUNT] = b.size[i, MESSAGE] // cells


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
                    own.rows[start + x] += get(pool, at + get(opened.index, index + x))
            elif info[INNERS] > info[OUTERS]:
                for x in range(cells):
                    own.rows[start + x] = get(pool, top + start + x) + get(pool, at + get(opened.index, index + x))
            else:
                for x in range(cells):
                    own.rows[start + x] = get(pool, at + get(opened.index, index + x))


@inlined
def _cell(k, j, cells, wholes, opened, own, pool):
    """ψ at state k and the cells from j of the present row, a vector."""
    x = vadd(vsplat(get(own.cost, k)), vload(own.rows, k * cells + j))
    for t in range(wholes):
        x = vadd(x, vload(pool, get(own.at, t) + k * opened.form[t, STEP] + j))
    return x


@inlined
def _least(states, j, cells, wholes, opened, own, pool):
    """min_k ψ at the cells from j of the present row, a vector."""
    least = _cell(0, j, cells, wholes, opened, own, pool)
    if wholes != 1:
        for k in range(1, states):
            least = vmin(least, _cell(k, j, cells, wholes, opened, own, pool))
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
                    pool[to + opened.index[index + y]] = own.one[y]


@inlined
def _soft_minimum(states, j, cells, wholes, opened, own, pool, beta):
    """least − log Σ_k exp(beta (least − ψ_k)) / beta of the cells from j, +inf where the least is."""
    width = lanes(pool)
    infinite = vsplat(np.float64(np.inf))
    zero = vsplat(np.float64(0.0))
    least = infinite
    for k in range(states):
        x = _cell(k, j, cells, wholes, opened, own, pool)
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
