"""Tables and vectors of probabilities: exponentials of energies, products with tables, sums.

A shared table's copies are blocked as in messages.py and hold exp(−β (T − least)); the entries of their heads are named
here. Probabilities are padded with 0, so that vectors may be summed whole.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inlined, kernel
from .messages import COLUMNS, ROWS, blocked
from .schedule import HEAD
from .simd import get, lanes, vadd, vhmin, vload, vmin, vsplat, vstore
from .simd_sum import vexp, vfma, vhsum, vless, vmul

#: Entries of a copy's head: the least energy, the least positive exp, 1 where no entry is forbidden.
LEAST, LOW, WHOLE = range(3)


#: Bounds below this are not safe, in float32 and in float64: far above the least normal number, and the inverse times
#: states is finite.
FLOORS = 1e-30, 1e-290


@inlined
def floor_of(array):
    return FLOORS[1] if lanes(array) == 8 else FLOORS[0]


@inlined
def padding(mask, states, j, width):
    return vload(mask, 16 - min(states - j, width))


@inlined
def exponentials(values, at, count, beta, mask, out, to):
    """out = exp(−β (values − least)), padded with 0; returns the least value and the least positive entry.

    (+inf, 1) and zeros where every value is +inf.
    """
    width = lanes(out)
    infinite = vsplat(mask[31])
    zero = vsplat(mask[0])
    one = vsplat(mask[32])
    x = infinite
    for j in range(0, count, width):
        x = vmin(x, vadd(vload(values, at + j), padding(mask, count, j, width)))
    least = vhmin(x)
    shift = vsplat(-least if least < mask[31] else mask[0])
    slope = vsplat(out.dtype.type(-beta))
    low = one
    for j in range(0, count, width):
        x = vadd(vload(values, at + j), padding(mask, count, j, width))
        y = vexp(vmul(slope, vadd(x, shift)))
        y = vless(x, infinite, y, zero)
        low = vmin(low, vless(x, infinite, y, one))
        vstore(out, to + j, y)
    return least, np.float64(vhmin(low))


@kernel
def weigh_shared(tables, rows, columns, beta, mask, as_is, turned, copies):
    """Blocked copies of exp(−β (table − least)), both ways round, their heads filled; tables starts with the table."""
    width = lanes(copies)
    infinite = mask[31]
    least = infinite
    whole = 1
    for x in range(rows * columns):
        least = min(least, tables[x])
        if tables[x] == infinite:
            whole = 0
    low = 1.0
    for i in range(rows):
        for j in range(columns):
            value = copies.dtype.type(0)
            if tables[i * columns + j] < infinite:
                value = copies.dtype.type(math.exp(-beta * (np.float64(tables[i * columns + j]) - np.float64(least))))
                low = min(low, np.float64(value))
            copies[as_is + blocked(i, j, rows, width)] = value
            copies[turned + blocked(j, i, columns, width)] = value
    for head in (as_is - HEAD, turned - HEAD):
        copies[head + LEAST] = least
        copies[head + LOW] = low
        copies[head + WHOLE] = whole


@inlined
def _rows(vector, at, table, start, stride, rows):
    """Σ_i vector[at + i] · table[start + i · stride], a vector."""
    x0 = vmul(vsplat(get(vector, at)), vload(table, start))
    x1 = vsplat(vector.dtype.type(0))
    x2 = x1
    x3 = x1
    i = 1
    while i + 4 <= rows:
        q = start + i * stride
        x0 = vfma(vsplat(get(vector, at + i)), vload(table, q), x0)
        x1 = vfma(vsplat(get(vector, at + i + 1)), vload(table, q + stride), x1)
        x2 = vfma(vsplat(get(vector, at + i + 2)), vload(table, q + 2 * stride), x2)
        x3 = vfma(vsplat(get(vector, at + i + 3)), vload(table, q + 3 * stride), x3)
        i += 4
    while i < rows:
        x1 = vfma(vsplat(get(vector, at + i)), vload(table, start + i * stride), x1)
        i += 1
    return vadd(vadd(x0, x1), vadd(x2, x3))


@inlined
def multiply(vector, at, form, table, start, rows, columns, scale, out, to):
    """out = scale · vectorᵀ table, a table of rows × columns: blocked (SHARED_*), or as it lies; a table that lies the
    other way round (COLUMNS) is multiplied row by row."""
    width = lanes(vector)
    if form == COLUMNS:
        for j in range(columns):
            x = vmul(vload(vector, at), vload(table, start + j * rows))
            for i in range(width, rows, width):
                x = vfma(vload(vector, at + i), vload(table, start + j * rows + i), x)
            out[to + j] = scale * vhsum(x)
        for j in range(columns, (columns + width - 1) // width * width):
            out[to + j] = 0
        return
    stride = columns if form == ROWS else width
    step = width if form == ROWS else rows * width
    factor = vsplat(scale)
    for j in range(0, columns, width):
        vstore(out, to + j, vmul(factor, _rows(vector, at, table, start, stride, rows)))
        start += step


@inlined
def total_of(values, at, count):
    width = lanes(values)
    x = vload(values, at)
    for j in range(width, count, width):
        x = vadd(x, vload(values, at + j))
    return vhsum(x)


@inlined
def scale_by(values, at, count, factor):
    width = lanes(values)
    by = vsplat(factor)
    for j in range(0, count, width):
        vstore(values, at + j, vmul(by, vload(values, at + j)))


@inlined
def least_positive(values, at, count, one):
    """Least positive entry, at most 1."""
    width = lanes(values)
    zero = vsplat(values.dtype.type(0))
    x = one
    for j in range(0, count, width):
        y = vload(values, at + j)
        x = vmin(x, vless(zero, y, y, one))
    return np.float64(vhmin(x))


@inlined
def count_pairs(alpha, of, m, ratio, side, n, counts, start):
    """counts(i, j) += alpha(i) ratio(j), blocked like the copy at `start`."""
    width = lanes(alpha)
    for j in range(0, n, width):
        y = vload(ratio, side + j)
        for i in range(m):
            q = start + i * width
            vstore(counts, q, vfma(vsplat(get(alpha, of + i)), y, vload(counts, q)))
        start += m * width


@kernel
def add_counts(rows, columns, weights, counts, as_is, turned, weight, gradient):
    """gradient += weight · E · counts (float64) of a shared table; gradient starts where the table does."""
    width = lanes(weights)
    for i in range(rows):
        for j in range(columns):
            a = as_is + blocked(i, j, rows, width)
            b = turned + blocked(j, i, columns, width)
            gradient[i * columns + j] += weight * (counts[a] + counts[b]) * np.float64(weights[a])
