"""Min-sum messages over one edge, in vectors.

    up:    belief[parent, j] += min_i belief[child, i] + table(i, j)
    down:  label[child] = argmin_i belief[child, i] + table(i, label[parent])

Beliefs are padded to 64 bytes and hold +inf past their states, so a vector that reads past the end of a table row
(into the next row, or the buffer's slack) never wins. The copies are *blocked*: all rows of the first W columns one
after the other, then those of the next W, W lanes to a vector, so that a sweep reads them in one stream and a single
row is found as easily: its vectors lie rows · W apart. How an edge does it is its *form*:

    ROWS     one dense table, child first in scope: vectors over the parent's states
    COLUMNS  one dense table, parent first: a horizontal minimum per parent state
    SHARED_  (rows or columns) one dense table read by many edges: copies both ways round, vectors over rows
    POTTS    weight where the labels differ, in O(states)
    GENERAL  any arity, any number of folded factors: summed into a dense table, parent first, and reduced
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .schedule import CHILD, EDGE, FORM, PARENT, SLOT, STATES, TABLE, UP
from .simd import get, lanes, trailing_zeros, vadd, vequal, vhmin, vload, vmin, vsplat, vstore

ROWS, COLUMNS, SHARED_ROWS, SHARED_COLUMNS, POTTS, GENERAL = range(6)


@inlined
def up_rows(belief, child, parent, energies, table, stride, step, child_states, parent_states):
    """Rows of `table` are child states: four rows a pass, lanes over parent states.

    Rows lie `stride` apart, the vectors of one row `step`.
    """
    width = lanes(belief)
    for j in range(0, parent_states, width):
        x0 = vadd(vsplat(get(belief, child)), vload(energies, table))
        x1 = x0
        x2 = x0
        x3 = x0
        i = 1
        while i + 4 <= child_states:
            q = table + i * stride
            b = child + i
            x0 = vmin(x0, vadd(vsplat(get(belief, b)), vload(energies, q)))
            x1 = vmin(x1, vadd(vsplat(get(belief, b + 1)), vload(energies, q + stride)))
            x2 = vmin(x2, vadd(vsplat(get(belief, b + 2)), vload(energies, q + 2 * stride)))
            x3 = vmin(x3, vadd(vsplat(get(belief, b + 3)), vload(energies, q + 3 * stride)))
            i += 4
        while i < child_states:
            x0 = vmin(x0, vadd(vsplat(get(belief, child + i)), vload(energies, table + i * stride)))
            i += 1
        message = vmin(vmin(x0, x1), vmin(x2, x3))
        vstore(belief, parent + j, vadd(message, vload(belief, parent + j)))
        table += step


#: At every so many positions the least entry of a belief is taken off, so that sums stay small and rounding with them:
#: beliefs of a million float32 variables would otherwise have no digits left behind the point.
SETTLE = 16


@inlined
def settle(belief, slot, states):
    """Take the least entry off a belief, where that is finite; returns it."""
    width = lanes(belief)
    x = vload(belief, slot)
    for j in range(width, states, width):
        x = vmin(x, vload(belief, slot + j))
    least = vhmin(x)
    if not abs(least) < np.inf:
        return 0.0
    off = vsplat(-least)
    for j in range(0, states, width):
        vstore(belief, slot + j, vadd(vload(belief, slot + j), off))
    return np.float64(least)


@inner
def up_columns(belief, child, parent, energies, table, stride, child_states, parent_states):
    """Rows of `table` are parent states: one horizontal minimum each."""
    width = lanes(belief)
    for i in range(parent_states):
        q = table + i * stride
        x = vadd(vload(belief, child), vload(energies, q))
        for j in range(width, child_states, width):
            x = vmin(x, vadd(vload(belief, child + j), vload(energies, q + j)))
        belief[parent + i] += vhmin(x)


@inner
def up_potts(belief, child, parent, weight, child_states, parent_states):
    """Least and second least child belief decide every parent state, for weights of either sign."""
    first = belief[child]
    second = belief.dtype.type(np.inf)
    at = 0
    for i in range(1, child_states):
        value = belief[child + i]
        if value < first:
            second = first
            first = value
            at = i
        elif value < second:
            second = value
    for j in range(parent_states):
        value = (second if j == at else first) + weight
        if j < child_states and belief[child + j] < value:
            value = belief[child + j]
        belief[parent + j] += value


@inner
def up_general(schedule, e, tables, belief, scratch):
    """Reduce a dense table, parent first, over its children, the last first."""
    parent = schedule.edge[e, PARENT]
    first = schedule.edge[e, CHILD]
    children = schedule.entries[schedule.edge[e, TABLE] - 2]
    size = schedule.position[parent, STATES]
    for p in range(first, first + children):
        size *= schedule.position[p, STATES]
    for x in range(size):
        scratch[x] = tables[schedule.edge[e, UP] + x]
    for p in range(first + children - 1, first - 1, -1):
        states = schedule.position[p, STATES]
        child = schedule.position[p, SLOT]
        size //= states
        for x in range(size):
            least = scratch[x * states] + belief[child]
            for i in range(1, states):
                value = scratch[x * states + i] + belief[child + i]
                if value < least:
                    least = value
            scratch[x] = least
    for j in range(size):
        belief[schedule.position[parent, SLOT] + j] += scratch[j]


@inlined
def argmin_row(belief, child, energies, row, step, states):
    """First argmin_i belief[child + i] + energies[row + i]; 0 where everything is +inf. Vectors of the row lie `step`
    apart; 64 states are compared before the only branch, which nothing could predict."""
    width = lanes(belief)
    x = vadd(vload(belief, child), vload(energies, row))
    q = row
    for j in range(width, states, width):
        q += step
        x = vmin(x, vadd(vload(belief, child + j), vload(energies, q)))
    least = vsplat(vhmin(x))
    q = row
    for low in range(0, states, 64):
        bits = np.int64(0)
        for j in range(low, min(states, low + 64), width):
            bits |= vequal(vadd(vload(belief, child + j), vload(energies, q)), least) << (j - low)
            q += step
        if bits != 0:
            return min(low + trailing_zeros(bits), states - 1)
    return 0


@inner
def argmin_column(belief, child, energies, start, stride, states):
    """First argmin_i belief[child + i] + energies[start + i·stride]."""
    least = belief[child] + energies[start]
    at = 0
    for i in range(1, states):
        value = belief[child + i] + energies[start + i * stride]
        if value < least:
            least = value
            at = i
    return at


@inner
def argmin_potts(belief, child, weight, label, states):
    """First argmin_i belief[child + i] + weight·[i ≠ label]."""
    least = belief.dtype.type(np.inf)
    at = 0
    for i in range(states):
        value = belief[child + i]
        if i != label:
            value += weight
        if i == 0 or value < least:
            least = value
            at = i
    return at


@inner
def argmin_general(schedule, e, tables, belief, label):
    """First joint argmin over all children of a dense table's row `label`, as one index, the last child fastest."""
    first = schedule.edge[e, CHILD]
    children = schedule.entries[schedule.edge[e, TABLE] - 2]
    size = np.int64(1)
    for p in range(first, first + children):
        size *= schedule.position[p, STATES]
    least = belief.dtype.type(np.inf)
    at = np.int64(0)
    for x in range(size):
        value = tables[schedule.edge[e, UP] + label * size + x]
        y = x
        for p in range(first + children - 1, first - 1, -1):
            value += belief[schedule.position[p, SLOT] + y % schedule.position[p, STATES]]
            y //= schedule.position[p, STATES]
        if value < least:
            least = value
            at = x
    return at


@inner
def blocked(row, column, rows, width):
    """Place of an entry in a blocked copy."""
    return column // width * (rows * width) + row * width + column % width


@inner
def _copy_turned(energies, at, rows, columns, copies, to):
    """Blocked copy of a table's transpose, written in one stream."""
    width = lanes(copies)
    for i in range(0, rows, width):
        for j in range(columns):
            for lane in range(min(width, rows - i)):
                copies[to + lane] = energies[at + (i + lane) * columns + j]
            to += width


@kernel
def copy_shared(energies, shared, copies):
    """Blocked copies of tables that many edges read, both ways round; shared as in plan.Extent."""
    width = lanes(copies)
    for t in range(shared.shape[0]):
        at, rows, columns, to, turned = shared[t, 0], shared[t, 1], shared[t, 2], shared[t, 3], shared[t, 4]
        for j in range(0, columns, width):
            for i in range(rows):
                for lane in range(min(width, columns - j)):
                    copies[to + lane] = energies[at + i * columns + j + lane]
                to += width
        _copy_turned(energies, at, rows, columns, copies, turned)


@kernel
def copy_padded(energies, start, rows, columns, copies, as_is):
    """A table with rows padded to a multiple of 16, and behind it its transpose likewise."""
    across = (columns + 15) // 16 * 16
    down = (rows + 15) // 16 * 16
    turned = as_is + rows * across
    for i in range(rows):
        for j in range(columns):
            value = energies[start + i * columns + j]
            copies[as_is + i * across + j] = value
            copies[turned + j * down + i] = value


@kernel
def copy_general(components, schedule, energies, copies):
    """Dense tables, parent first, of all general edges of the listed components: folded factors summed."""
    for c in components:
        for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
            if schedule.edge[e, FORM] != GENERAL:
                continue
            i = schedule.edge[e, TABLE]
            folds = schedule.entries[i - 1]
            size = schedule.position[schedule.edge[e, PARENT], STATES]
            for p in range(schedule.edge[e, CHILD], schedule.edge[e, CHILD] + schedule.entries[i - 2]):
                size *= schedule.position[p, STATES]
            for x in range(size):
                value = energies.dtype.type(0)
                for _ in range(folds):
                    if schedule.entries[i] >= 0:
                        value += energies[schedule.entries[i]]
                    i += 1
                copies[schedule.edge[e, UP] + x] = value
