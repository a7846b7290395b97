"""What a bucket holds, made ready to be added up row by row: copies of its factors' tables, strides, kinds of tables.

Tables differ by what they know of a row's axes (see buckets.py):

    WHOLE   all of them: read in vectors
    PART    some of them, and other axes of the separator: spread over the row by a list of spots
    OUTER   none of them: one number per row and state k of the variable eliminated
    INNER   nothing else: summed once, for all rows
    LINE    nothing but the variable eliminated: one number per state k
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .buckets import AXES, CELLS, HELD, MESSAGE, OUTSIDE, PLACE, ROWS, STATES, VAR, aligned, scope_of
from .configurations import entry
from .jit import inlined, inner
from .structure import KIND, OFFSET, SCOPE
from .tables import DENSE

WHOLE, PART, OUTER, INNER, LINE = range(5)

#: Columns of Opened.form: where a table starts in the pool, entries from one state k to the next, where its list of
#: spots starts, what it is (as in Buckets.source), the kind of the bucket's table of that number (a scratch), and the
#: strides of the separator's axes outside the row.
BASE, STEP, INDEX, SOURCE, WHAT, STRIDE = range(6)

#: Entries of Opened.info: ends of the kinds in form (the message itself comes after them), how many rows there are,
#: whether the message's rows lie in one piece.
WHOLES, PARTS, OUTERS, INNERS, LINES, COUNT, DIRECT = range(7)


class Opened(NamedTuple):
    """A bucket made ready: form int64 (tables + 1, 5 + axes) sorted by kind; spots int64, lists of where the cells of a
    row are in a table's own row; line float64 (states,); info int64 (7,). axes int64 (3, axes): a table's positions,
    and its present labels and its strides while it is walked; labels int32 (V,): those of variables that are not free,
    the others are scratch."""

    form: np.ndarray
    spots: np.ndarray
    line: np.ndarray
    info: np.ndarray
    axes: np.ndarray
    labels: np.ndarray


@inlined
def next_point(b, opened, count):
    """Step the digits of the first `count` axes, the last one fastest; whether there was a further point."""
    for a in range(count - 1, -1, -1):
        opened.axes[1, a] += 1
        if opened.axes[1, a] < b.row[opened.axes[0, a], STATES]:
            return True
        opened.axes[1, a] = 0
    return False


@inner
def copy_table(f, count, b, factors, allowed, about, opened, pool, to):
    """The table of factor f over its free variables' allowed states, opened.axes[0] its axes, the last fastest."""
    states, offsets, energies, _ = about
    stride = np.int64(1)
    start = factors.row[f, OFFSET]
    for e in range(factors.row[f + 1, SCOPE] - 1, factors.row[f, SCOPE] - 1, -1):
        v = factors.var[e]
        p = b.position[v]
        if p < 0:
            start += stride * allowed.label[offsets[v]]
        for a in range(count):
            if opened.axes[0, a] == p:
                opened.axes[2, a] = stride
        stride *= states[v]
    dense = factors.row[f, KIND] == DENSE
    opened.axes[1, :count] = 0
    last = count - 1
    v = b.row[opened.axes[0, last], VAR]
    while True:
        here = start
        for a in range(last):
            u = b.row[opened.axes[0, a], VAR]
            label = allowed.label[offsets[u] + opened.axes[1, a]]
            opened.labels[u] = label
            here += opened.axes[2, a] * label
        for k in range(b.row[opened.axes[0, last], STATES]):
            label = allowed.label[offsets[v] + k]
            if dense:
                pool[to] = energies[here + opened.axes[2, last] * label]
            else:
                opened.labels[v] = label
                x = entry(factors, states, f, opened.labels)
                pool[to] = energies[factors.row[f, OFFSET] + x] if x >= 0 else 0.0
            to += 1
        if not next_point(b, opened, last):
            return


@inner
def _kind_of(i, axis, axes, b, scope, count):
    if count == 1:
        return LINE
    inside = 0
    start = b.row[i, AXES]
    for a in range(axis, axes):
        for c in range(1, count):
            inside += scope[c] == b.sep[start + a]
    if inside == count - 1:
        return INNER
    return OUTER if inside == 0 else WHOLE if inside == axes - axis else PART


@inner
def _place(i, axis, axes, b, scope, count, form, opened, index):
    """Strides of a table over `scope` along the separator's axes, and where its row's cells are; returns its entries
    but for the first axis, and past the last of its spots."""
    cells = np.int64(1)
    opened.spots[index] = 0
    whole = np.int64(1)
    for c in range(1, count):
        whole *= b.row[scope[c], STATES]
    for a in range(axes - 1, -1, -1):
        position = b.sep[b.row[i, AXES] + a]
        mine = np.int64(0)
        stride = np.int64(1)
        for c in range(count - 1, -1, -1):
            if scope[c] == position:
                mine = stride
            stride *= b.row[scope[c], STATES]
        if a < axis:
            form[STRIDE + a] = mine
        else:
            for k in range(1, b.row[position, STATES]):
                for x in range(cells):
                    opened.spots[index + k * cells + x] = opened.spots[index + x] + k * mine
            cells *= b.row[position, STATES]
    return whole, index + cells


@inner
def open_bucket(i, b, factors, allowed, about, opened, pool, top):
    """Make bucket i ready: its tables' kinds and strides; copies of its factors and what is INNER from pool[top] on."""
    _, offsets, _, bias = about
    info = opened.info
    axes = b.row[i + 1, AXES] - b.row[i, AXES]
    axis = b.row[i, OUTSIDE]
    cells = b.row[i, CELLS]
    states = b.row[i, STATES]
    v = b.row[i, VAR]
    for k in range(states):
        opened.line[k] = bias[offsets[v] + allowed.label[offsets[v] + k]] if bias.size > 0 else 0.0
    info[:] = 0
    first = b.row[i, HELD]
    for x in range(first, b.row[i + 1, HELD]):
        count = scope_of(b, factors, i, b.source[x], opened.axes[0])
        kind = _kind_of(i, axis, axes, b, opened.axes[0], count)
        opened.form[x - first, WHAT] = kind
        for later in range(kind + 1, LINE + 1):
            info[WHOLES + later] += 1
    if info[INNERS + 1] > info[INNERS]:
        for x in range(states * cells):
            pool[top + x] = 0.0
    to = top + b.row[i, ROWS]
    index = np.int64(0)
    for x in range(first, b.row[i + 1, HELD]):
        source = b.source[x]
        kind = opened.form[x - first, WHAT]
        count = scope_of(b, factors, i, source, opened.axes[0])
        form = opened.form[info[WHOLES + kind]]
        info[WHOLES + kind] += 1
        form[SOURCE] = source
        form[INDEX] = index
        if source < 0:
            form[BASE] = b.row[-1 - source, PLACE]
        else:
            copy_table(source, count, b, factors, allowed, about, opened, pool, to)
            form[BASE] = to
        form[STEP] = 1
        after = index
        if kind != LINE:
            form[STEP], after = _place(i, axis, axes, b, opened.axes[0], count, form, opened, index)
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
                    pool[top + k * cells + y] += pool[form[BASE] + k * form[STEP] + opened.spots[form[INDEX] + y]]
    form = opened.form[info[LINES]]
    form[BASE] = b.row[i, PLACE]
    form[INDEX] = index
    for a in range(axes):
        opened.axes[0, a] = b.layout[b.row[i, AXES] + a]
    _place(i, axis, axes, b, opened.axes[0], axes, form, opened, index)
    info[DIRECT] = 1
    for y in range(cells):
        info[DIRECT] &= opened.spots[index + y] == y
    info[COUNT] = b.row[i, MESSAGE] // cells
