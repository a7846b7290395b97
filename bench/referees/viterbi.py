"""Bare Viterbi over ragged chains with one shared table: nothing but the recursion, in the fastest shape known.

    a_1 = u_1,   a_t[j] = u_t[j] + min_i (a_{t-1}[i] + E[i, j])                     (Viterbi 1967)
    y_T = argmin_j a_T[j],   y_t = argmin_i (a_t[i] + E[i, y_{t+1}])

Only the beliefs a are kept; the argmin is recomputed along the best path, O(T K) instead of back-pointers at
every state. Rows are vectors of 64 bytes. Where K is no multiple of the lanes the last vector of a row overlaps
its neighbour, so a row is padded to `width(K)` (22 float32 states: 24) and nothing is stored outside it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from factorgraph.kernels.simd import (
    VECTOR_BYTES,
    buffer,
    get,
    trailing_zeros,
    vadd,
    vequal,
    vhmin,
    vload,
    vmin,
    vsplat,
    vstore,
)

OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "cache": True}
UNIT = 8  #: rows are padded to a multiple of this, and to one vector at least


def width(states: int, dtype: Any) -> int:
    """Entries of a padded row."""
    return max(-(-states // UNIT) * UNIT, VECTOR_BYTES // np.dtype(dtype).itemsize)


def padded(rows: np.ndarray, fill: float) -> np.ndarray:
    """Flat aligned copy of (n, K) `rows` with row stride `width(K)`; the padding of each row is `fill`."""
    count, states = rows.shape
    stride = width(states, rows.dtype)
    out = buffer(count * stride, rows.dtype, fill)
    out[: count * stride].reshape(count, stride)[:, :states] = rows
    return out


class Problem(NamedTuple):
    """Chains with everything padded beforehand.

    `unary` flat (T, width), `table` flat (K, width): E[i, j], +inf in the padding, `transposed` likewise E[j, i],
    `offsets` int64 (N + 1,): chain n owns rows offsets[n] to offsets[n + 1], `states` K.
    """

    unary: np.ndarray
    table: np.ndarray
    transposed: np.ndarray
    offsets: np.ndarray
    states: int


def prepare(unary: np.ndarray, pairwise: np.ndarray, offsets: np.ndarray) -> Problem:
    """Pad (T, K) unaries and a (K, K) table of one dtype."""
    transposed = padded(np.ascontiguousarray(pairwise.T), np.inf)
    return Problem(padded(unary, 0.0), padded(pairwise, np.inf), transposed, offsets.astype(np.int64), len(pairwise))


def work(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs of the longest chain, and int64 labels (T,)."""
    longest = int(np.diff(problem.offsets).max())
    dtype = problem.unary.dtype
    return buffer(longest * width(problem.states, dtype), dtype), np.empty(problem.offsets[-1], np.int64)


def decode(problem: Problem, beliefs: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels of lowest energy of all chains."""
    unary, table, transposed, offsets, states = problem
    stride = width(states, unary.dtype)
    decode_range(unary, table, transposed, offsets, states, stride, beliefs, labels, 0, len(offsets) - 1)
    return labels


@njit(**OPTIONS)
def step(beliefs, before, table, unary, here, after, states, stride):  # type: ignore[no-untyped-def]
    """beliefs[after + j] = unary[here + j] + min_i beliefs[before + i] + table[i * stride + j]."""
    lanes = 64 // beliefs.itemsize
    j = 0
    while j + 4 * lanes <= stride:
        b = vsplat(get(beliefs, before))
        x0 = vadd(b, vload(table, j))
        x1 = vadd(b, vload(table, j + lanes))
        x2 = vadd(b, vload(table, j + 2 * lanes))
        x3 = vadd(b, vload(table, j + 3 * lanes))
        for i in range(1, states):
            b = vsplat(get(beliefs, before + i))
            q = i * stride + j
            x0 = vmin(x0, vadd(b, vload(table, q)))
            x1 = vmin(x1, vadd(b, vload(table, q + lanes)))
            x2 = vmin(x2, vadd(b, vload(table, q + 2 * lanes)))
            x3 = vmin(x3, vadd(b, vload(table, q + 3 * lanes)))
        vstore(beliefs, after + j, vadd(x0, vload(unary, here + j)))
        vstore(beliefs, after + j + lanes, vadd(x1, vload(unary, here + j + lanes)))
        vstore(beliefs, after + j + 2 * lanes, vadd(x2, vload(unary, here + j + 2 * lanes)))
        vstore(beliefs, after + j + 3 * lanes, vadd(x3, vload(unary, here + j + 3 * lanes)))
        j += 4 * lanes
    while j < stride:
        j = min(j, stride - lanes)
        x0 = vadd(vsplat(get(beliefs, before)), vload(table, j))
        x1 = x0
        x2 = x0
        x3 = x0
        i = 1
        while i + 4 <= states:
            q = i * stride + j
            x0 = vmin(x0, vadd(vsplat(get(beliefs, before + i)), vload(table, q)))
            x1 = vmin(x1, vadd(vsplat(get(beliefs, before + i + 1)), vload(table, q + stride)))
            x2 = vmin(x2, vadd(vsplat(get(beliefs, before + i + 2)), vload(table, q + 2 * stride)))
            x3 = vmin(x3, vadd(vsplat(get(beliefs, before + i + 3)), vload(table, q + 3 * stride)))
            i += 4
        while i < states:
            x0 = vmin(x0, vadd(vsplat(get(beliefs, before + i)), vload(table, i * stride + j)))
            i += 1
        vstore(beliefs, after + j, vadd(vmin(vmin(x0, x1), vmin(x2, x3)), vload(unary, here + j)))
        j += lanes


@njit(**OPTIONS)
def first_minimum(beliefs, at, row, q, stride):  # type: ignore[no-untyped-def]
    """First argmin_i beliefs[at + i] + row[q + i]; the padding of `row` is +inf."""
    lanes = 64 // beliefs.itemsize
    low = vadd(vload(beliefs, at), vload(row, q))
    if stride == lanes:
        return trailing_zeros(vequal(low, vsplat(vhmin(low))))
    j = lanes
    while j < stride:
        j = min(j, stride - lanes)
        low = vmin(low, vadd(vload(beliefs, at + j), vload(row, q + j)))
        j += lanes
    low = vsplat(vhmin(low))
    j = 0
    while j < stride:
        j = min(j, stride - lanes)
        bits = vequal(vadd(vload(beliefs, at + j), vload(row, q + j)), low)
        if bits != 0:
            return j + trailing_zeros(bits)
        j += lanes
    return 0


@njit(**OPTIONS)
def decode_chain(unary, here, table, transposed, length, states, stride, beliefs, labels, begin):  # type: ignore[no-untyped-def]
    """Labels of one chain, whose unaries start at unary[here], into labels[begin : begin + length]."""
    for j in range(stride):
        beliefs[j] = unary[here + j]
    for t in range(1, length):
        step(beliefs, (t - 1) * stride, table, unary, here + t * stride, t * stride, states, stride)
    last = (length - 1) * stride
    k = 0
    low = beliefs[last]
    for j in range(1, states):
        if beliefs[last + j] < low:
            low = beliefs[last + j]
            k = j
    labels[begin + length - 1] = k
    for t in range(length - 2, -1, -1):
        k = first_minimum(beliefs, t * stride, transposed, k * stride, stride)
        labels[begin + t] = k


@njit(**OPTIONS)
def decode_range(unary, table, transposed, offsets, states, stride, beliefs, labels, first, last):  # type: ignore[no-untyped-def]
    """Labels of the chains first to last - 1 (none empty)."""
    for n in range(first, last):
        begin = offsets[n]
        length = offsets[n + 1] - begin
        decode_chain(unary, begin * stride, table, transposed, length, states, stride, beliefs, labels, begin)
