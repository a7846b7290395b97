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

from .buckets import CELLS, MESSAGE, OUTSIDE, ROWS, aligned, scope_of
from .configurations import entry
from .jit import inner
from .structure import KIND, OFFSET, SCOPE
from .tables import DENSE

WHOLE, PART, OUTER, INNER, LINE = range(5)

#: Columns of Opened.form: where a table starts in the pool, entries from one state k to the next, where its list of
#: spots starts, what it is (as in Buckets.source), and the strides of the separator's axes outside the row.
BASE, STEP, INDEX, SOURCE, STRIDE = range(5)

#: Entries of Opened.info: ends of the kinds in form (the message itself comes after them), how many rows there are,
#: whether the message's rows lie in one piece.
WHOLES, PARTS, OUTERS, INNERS, LINES, COUNT, DIRECT = range(7)


class Opened(NamedTuple):
    """A bucket made ready: form int64 (tables + 1, 4 + axes) sorted by kind; spots int64, lists of where the cells of a
    row are in a table's own row; line float64 (states,); info int64 (7,); scope int64 (axes,), axes int64 (2, axes),
    kind int64 (tables,) and labels int32 (V,) are scratch (labels of variables that are not free stay as they are)."""

    form: np.ndarray
    spots: np.ndarray
    line: np.ndarray
    info: np.ndarray
    scope: np.ndarray
    axes: np.ndarray
    kind: np.ndarray
    labels: np.ndarray


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
    but for the first axis, and past the last of its spots."""
    cells = np.int64(1)
    opened.spots[index] = 0
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
                    opened.spots[index + k * cells + x] = opened.spots[index + x] + k * mine
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
                    pool[top + k * cells + y] += pool[form[BASE] + k * form[STEP] + opened.spots[form[INDEX] + y]]
    form = opened.form[info[LINES]]
    form[BASE] = b.message[i]
    form[INDEX] = index
    _place(i, axis, axes, b, b.layout[b.sep_ptr[i] : b.sep_ptr[i + 1]], axes, form, opened, index)
    info[DIRECT] = 1
    for y in range(cells):
        info[DIRECT] &= opened.spots[index + y] == y
    info[COUNT] = b.size[i, MESSAGE] // cells
