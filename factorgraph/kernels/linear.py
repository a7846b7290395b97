"""Sparse linear energies and their row-sparse gradient.

    E[t, j] = Σ_e data[e] · weights[indices[e], j]        e = indptr[t] … indptr[t + 1] − 1
    G[f, j] = Σ_{t, e: indices[e] = f} data[e] · g[t, j]  only over tables t with g[t] ≠ 0

E, weights, g and G are flat and unpadded: row r is entries `r * width : (r + 1) * width`. indptr is int64, indices
int32 or int64, an empty `data` means that all features are 1. The last vector of a row ends where the row ends and
overlaps the one before it: nothing is stored outside a row, nothing is read outside an array.
"""

from __future__ import annotations

import numpy as np
from numba.extending import intrinsic

from .jit import JIT_DISABLED, kernel
from .simd import get, lanes, vadd, vlane, vload, vsplat, vstore
from .simd_sum import vhsum

#: What `check_rows` finds.
FINE, BAD_INDPTR, BAD_INDEX, NOT_FINITE = range(4)


@intrinsic
def _vmuladd(typing, x, y, z):
    def codegen(context, builder, signature, arguments):
        product = builder.fmul(arguments[0], arguments[1], flags=("contract",))
        return builder.fadd(product, arguments[2], flags=("contract",))

    return x(x, y, z), codegen


if JIT_DISABLED:

    def vmuladd(x, y, z):
        """Lane-wise x · y + z."""
        return x * y + z

else:
    vmuladd = _vmuladd


@kernel
def check_rows(indptr, indices, data, columns):
    """(what is wrong, where, are all data 1) of a CSR matrix with so many columns."""
    ones = True
    if indptr.size == 0 or indptr[0] != 0:
        return BAD_INDPTR, 0, ones
    for t in range(indptr.size - 1):
        if indptr[t + 1] < indptr[t] or indptr[t + 1] > min(indices.size, data.size):
            return BAD_INDPTR, t + 1, ones
    for e in range(indptr[-1]):
        if indices[e] < 0 or indices[e] >= columns:
            return BAD_INDEX, e, ones
        if not np.isfinite(data[e]):
            return NOT_FINITE, e, ones
        ones &= data[e] == 1
    return FINE, 0, ones


@kernel
def _score_narrow(indptr, indices, data, weights, width, rows, first, last, out):
    """Rows shorter than a vector: the lanes behind a row hold the next ones and are ignored. The last rows of weights,
    where a vector would leave the array, are added one by one."""
    step = lanes(out)
    safe = (weights.size - step) // width if weights.size >= step else -1
    zero = vsplat(out.dtype.type(0))
    total = out.dtype.type(0)
    for i in range(first, last):
        t = rows[i] if rows.size > 0 else i
        x = zero
        unsafe = False
        for e in range(get(indptr, t), get(indptr, t + 1)):
            f = np.int64(get(indices, e))
            if f > safe:
                unsafe = True
            elif data.size == 0:
                x = vadd(x, vload(weights, f * width))
            else:
                x = vmuladd(vload(weights, f * width), vsplat(out.dtype.type(get(data, e))), x)
        for j in range(width):
            out[t * width + j] = vlane(x, j)
        if unsafe:
            for e in range(get(indptr, t), get(indptr, t + 1)):
                f = np.int64(get(indices, e))
                if f > safe:
                    scale = out.dtype.type(1) if data.size == 0 else out.dtype.type(get(data, e))
                    for j in range(width):
                        out[t * width + j] += scale * weights[f * width + j]
        for j in range(width):
            total += out[t * width + j]
    return total > -np.inf


@kernel
def _score_wide(indptr, indices, data, weights, width, rows, first, last, out):
    """Two vectors and two features at a time."""
    step = lanes(out)
    zero = vsplat(out.dtype.type(0))
    total = zero
    for i in range(first, last):
        t = rows[i] if rows.size > 0 else i
        begin = get(indptr, t)
        end = get(indptr, t + 1)
        j = 0
        while j < width:
            left = min(j, width - step)
            right = min(j + step, width - step)
            x0 = zero
            x1 = zero
            y0 = zero
            y1 = zero
            e = begin
            if data.size == 0:
                while e + 2 <= end:
                    p = np.int64(get(indices, e)) * width
                    q = np.int64(get(indices, e + 1)) * width
                    x0 = vadd(x0, vload(weights, p + left))
                    x1 = vadd(x1, vload(weights, p + right))
                    y0 = vadd(y0, vload(weights, q + left))
                    y1 = vadd(y1, vload(weights, q + right))
                    e += 2
                if e < end:
                    p = np.int64(get(indices, e)) * width
                    x0 = vadd(x0, vload(weights, p + left))
                    x1 = vadd(x1, vload(weights, p + right))
            else:
                while e < end:
                    p = np.int64(get(indices, e)) * width
                    scale = vsplat(out.dtype.type(get(data, e)))
                    x0 = vmuladd(vload(weights, p + left), scale, x0)
                    x1 = vmuladd(vload(weights, p + right), scale, x1)
                    e += 1
            x0 = vadd(x0, y0)
            x1 = vadd(x1, y1)
            vstore(out, t * width + left, x0)
            vstore(out, t * width + right, x1)
            total = vadd(total, vadd(x0, x1))
            j += 2 * step
    return vhsum(total) > -np.inf


@kernel
def score_rows(indptr, indices, data, weights, width, rows, first, last, out):
    """Energies of tables rows[first:last] (an empty `rows` stands for all tables in order) into their rows of out.

    weights and out are flat and of one dtype. False where an energy may be NaN or −inf: look again.
    """
    if width * out.itemsize < 64:
        return _score_narrow(indptr, indices, data, weights, width, rows, first, last, out)
    return _score_wide(indptr, indices, data, weights, width, rows, first, last, out)


@kernel
def active_rows(bits, width, rows, first, last, out):
    """out[:count] = those of rows[first:last] (all for empty `rows`) that have a bit set, so all that are not 0.

    bits: the gradient, flat, seen as integers: a loop of `or` becomes vectors, one of comparisons does not.
    """
    count = 0
    for i in range(first, last):
        t = rows[i] if rows.size > 0 else i
        any_set = bits.dtype.type(0)
        for j in range(t * width, (t + 1) * width):
            any_set |= get(bits, j)
        out[count] = t
        count += any_set != 0
    return count


@kernel
def count_features(indptr, tables):
    """Features of `tables`, with repeats."""
    count = 0
    for i in range(tables.size):
        count += indptr[tables[i] + 1] - indptr[tables[i]]
    return count


@kernel
def list_features(indptr, indices, tables, out):
    """out = the features of `tables`, one table after the other."""
    k = 0
    for i in range(tables.size):
        for e in range(get(indptr, tables[i]), get(indptr, tables[i] + 1)):
            out[k] = get(indices, e)
            k += 1


@kernel
def rank_sorted(keys, features, rows):
    """As `rank_features`, from the sorted keys features[k] · 2³² + k."""
    count = 0
    for i in range(keys.size):
        f = keys[i] >> 32
        if count == 0 or rows[count - 1] != f:
            rows[count] = f
            count += 1
        features[keys[i] & 0xFFFFFFFF] = count - 1
    return count


@kernel
def rank_features(features, rank, rows):
    """rows[:count] = the distinct features, ascending; features[k] becomes its place among them. Returns count.

    `rank` has an entry for every feature there is, all 0.
    """
    for k in range(features.size):
        rank[features[k]] = 1
    count = 0
    for f in range(rank.size):
        if rank[f] != 0:
            rank[f] = count
            rows[count] = f
            count += 1
    for k in range(features.size):
        features[k] = rank[features[k]]
    return count


@kernel
def add_gradients(indptr, data, tables, places, gradient, width, first, last, start, out):
    """Row places[k] of out += data · the gradient of its table, for the features k = start, … of tables[first:last].

    places numbers the features as `list_features` does. Rows of out are padded to whole vectors (a vector that
    overlaps two earlier stores waits for both) and what is in the padding has no meaning. Returns the next k.
    """
    step = lanes(out)
    stride = (width + step - 1) // step * step
    k = start
    for i in range(first, last):
        t = tables[i]
        g = t * width
        inside = g + stride <= gradient.size
        for e in range(get(indptr, t), get(indptr, t + 1)):
            r = get(places, k) * stride
            k += 1
            scale = out.dtype.type(1) if data.size == 0 else out.dtype.type(get(data, e))
            if inside:
                x = vsplat(scale)
                for j in range(0, stride, step):
                    vstore(out, r + j, vmuladd(vload(gradient, g + j), x, vload(out, r + j)))
            else:
                for j in range(width):
                    out[r + j] += scale * gradient[g + j]
    return k
