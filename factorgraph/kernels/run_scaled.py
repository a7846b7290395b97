"""Sums over many short-labelled runs of one table: one run to a lane, in probabilities (Rabiner 1989).

    x_t = exp(−β (u_t − min u_t)),    a_t[j] = x_t[j] Σ_i a_{t−1}[i] E(i, j) / n_{t−1},    n_t = Σ a_t
    b_{t−1}[i] = Σ_j E(i, j) r_t[j],   r_t = x_t b_t / (n_{t−1} Σ a_t b_t),   P_t = a_t b_t / Σ a_t b_t

with t from the leaf, E = exp(−β (T − min T)) and b = 1 / n at the root; −log Z = Σ (β min u_t − log n_t) + Σ β min T,
and P(i, j) = a_{t−1}(i) E(i, j) r_t(j). It is what forest_scaled.py computes, laid out as in run_lanes.py.

Always safe where no entry of the table is forbidden and its least entry's square, over the states, is above the floor:
then n_t ≥ min E whatever the unary tables are, and so is what forest_scaled.py asks at every edge.
"""

from __future__ import annotations

import numpy as np

from .jit import inlined, inner, kernel
from .probability import LEAST
from .run_lanes import BIAS, OWN, describe
from .run_min import shape_of
from .schedule import HEAD, RUN_UP
from .simd import VECTOR_BYTES, buffer, get, lanes, vadd, vload, vmin, vsplat, vstore
from .simd_lanes import accumulate, transpose
from .simd_sum import vdiv, vexp, vfma, vhsum, vless, vlog, vmul

#: Rows of the work space of float64: Σ min u and Σ log n of each lane.
LEASTS, LOGS = range(2)
#: Row of the work space of int64, beside those of run_lanes.py: where its vectors of probabilities begin.
ROW = 3


@inlined
def _multiply_four(states, j, before, q, copies, work, to, zero):
    """Σ_i work[before](i) copies(i, j … j + 3)."""
    width = lanes(work)
    p = q + j // width * (states * width) + j % width
    x0 = zero
    x1 = zero
    x2 = zero
    x3 = zero
    for i in range(states):
        a = vload(work, before + i * width)
        x0 = vfma(a, vsplat(get(copies, p)), x0)
        x1 = vfma(a, vsplat(get(copies, p + 1)), x1)
        x2 = vfma(a, vsplat(get(copies, p + 2)), x2)
        x3 = vfma(a, vsplat(get(copies, p + 3)), x3)
        p += width
    s = to + j * width
    vstore(work, s, x0)
    vstore(work, s + width, x1)
    vstore(work, s + 2 * width, x2)
    vstore(work, s + 3 * width, x3)


@inlined
def _multiply_two(states, j, before, q, copies, work, to, zero):
    width = lanes(work)
    p = q + j // width * (states * width) + j % width
    x0 = zero
    x1 = zero
    for i in range(states):
        a = vload(work, before + i * width)
        x0 = vfma(a, vsplat(get(copies, p)), x0)
        x1 = vfma(a, vsplat(get(copies, p + 1)), x1)
        p += width
    vstore(work, to + j * width, x0)
    vstore(work, to + (j + 1) * width, x1)


@inlined
def _multiply(states, before, q, copies, work, to, zero):
    """Row vectors times a table, lane by lane; up to three vectors past the last state are written too."""
    for j in range(0, states - 2, 4):
        _multiply_four(states, j, before, q, copies, work, to, zero)
    if (states - 1) % 4 < 2:
        _multiply_two(states, (states - 1) // 4 * 4, before, q, copies, work, to, zero)


@inlined
def _weigh(states, x, slope, infinite, zero, work):
    """x = exp(slope (x − least)), lane by lane, and the least; zeros and +inf where all is +inf."""
    width = lanes(work)
    least = vload(work, x)
    for j in range(width, states * width, width):
        least = vmin(least, vload(work, x + j))
    shift = vless(least, infinite, least, zero)
    minus = vsplat(work.dtype.type(-1))
    for j in range(0, states * width, width):
        u = vload(work, x + j)
        y = vexp(vmul(slope, vfma(minus, shift, u)))
        vstore(work, x + j, vless(u, infinite, y, zero))
    return least


@inner
def _forward(longest, states, q, beta, copies, bases, work, sums, mask):
    """Fill a and the inverses of n; sums of the least unary energies, and of the logarithms."""
    norms, x, a, _, _ = bases
    width = lanes(work)
    step = states * width
    zero = vsplat(mask[0])
    one = vsplat(mask[32])
    infinite = vsplat(mask[31])
    slope = vsplat(work.dtype.type(-beta))
    inverse = one
    for t in range(longest):
        at = a + t * step
        own = x + t * step
        least = _weigh(states, own, slope, infinite, zero, work)
        total = zero
        if t == 0:
            for j in range(0, step, width):
                y = vload(work, own + j)
                vstore(work, at + j, y)
                total = vadd(total, y)
        else:
            _multiply(states, at - step, q, copies, work, at, zero)
            for j in range(0, step, width):
                y = vmul(vmul(vload(work, own + j), inverse), vload(work, at + j))
                vstore(work, at + j, y)
                total = vadd(total, y)
        inverse = vless(zero, total, vdiv(one, total), zero)
        vstore(work, norms + t * width, inverse)
        now = vsplat(work.dtype.type(t))
        length = vload(work, 0)
        accumulate(sums, LEASTS * width, vless(now, length, least, zero), zero)
        accumulate(sums, LOGS * width, vless(now, length, vless(zero, total, vlog(total), zero), zero), zero)


@inner
def _backward(longest, states, q, copies, bases, work, mask):
    """Overwrite x with r, zero past a run's root, and fill P; runs of length 0 are left out."""
    norms, x, a, b, probability = bases
    width = lanes(work)
    step = states * width
    zero = vsplat(mask[0])
    one = vsplat(mask[32])
    length = vload(work, 0)
    for t in range(longest - 1, -1, -1):
        inverse = vload(work, norms + t * width)
        here = vsplat(work.dtype.type(t))
        next_ = vsplat(work.dtype.type(t + 1))
        total = zero
        for j in range(0, step, width):
            y = vless(here, length, vless(next_, length, vload(work, b + j), inverse), zero)
            vstore(work, b + j, y)
            total = vadd(total, vmul(y, vload(work, a + t * step + j)))
        scale = vless(zero, total, vdiv(one, total), zero)
        before = vmul(scale, vload(work, norms + max(t - 1, 0) * width))
        for j in range(0, step, width):
            y = vload(work, b + j)
            vstore(work, probability + t * step + j, vmul(vmul(scale, y), vload(work, a + t * step + j)))
            r = vmul(vmul(before, y), vload(work, x + t * step + j))
            vstore(work, x + t * step + j, vless(zero, y, r, zero))
        if t > 0:
            _multiply(states, x + t * step, q, copies, work, b, zero)


@inlined
def _count_tile(longest, states, i, j, rows, columns, a, r, work, zero):
    """Σ_t a_{t−1}(i …) r_t(j …), 2 by 4 of them; those past `rows` and `columns` repeat the first."""
    width = lanes(work)
    i1 = width if rows > 1 else np.int64(0)
    j1 = width if columns > 1 else np.int64(0)
    j2 = 2 * width if columns > 2 else np.int64(0)
    j3 = 3 * width if columns > 3 else np.int64(0)
    x0 = zero
    x1 = zero
    x2 = zero
    x3 = zero
    y0 = zero
    y1 = zero
    y2 = zero
    y3 = zero
    at = a + i * width
    to = r + (states + j) * width
    for _ in range(1, longest):
        p = vload(work, at)
        q = vload(work, at + i1)
        z = vload(work, to)
        x0 = vfma(p, z, x0)
        y0 = vfma(q, z, y0)
        z = vload(work, to + j1)
        x1 = vfma(p, z, x1)
        y1 = vfma(q, z, y1)
        z = vload(work, to + j2)
        x2 = vfma(p, z, x2)
        y2 = vfma(q, z, y2)
        z = vload(work, to + j3)
        x3 = vfma(p, z, x3)
        y3 = vfma(q, z, y3)
        at += states * width
        to += states * width
    return (x0, x1, x2, x3), (y0, y1, y2, y3)


@inner
def _count(longest, states, q, bases, work, totals, mask):
    """totals += Σ_t a_{t−1}(i) r_t(j), blocked like the copy at q."""
    _, r, a, _, _ = bases
    width = lanes(work)
    zero = vsplat(mask[0])
    for i in range(0, states, 2):
        rows = min(2, states - i)
        for j in range(0, states, 4):
            columns = min(4, states - j)
            x, y = _count_tile(longest, states, i, j, rows, columns, a, r, work, zero)
            p = q + j // width * (states * width) + i * width + j % width
            totals[p] += vhsum(x[0])
            if columns > 1:
                totals[p + 1] += vhsum(x[1])
            if columns > 2:
                totals[p + 2] += vhsum(x[2])
            if columns > 3:
                totals[p + 3] += vhsum(x[3])
            if rows > 1:
                p += width
                totals[p] += vhsum(y[0])
                if columns > 1:
                    totals[p + 1] += vhsum(y[1])
                if columns > 2:
                    totals[p + 2] += vhsum(y[2])
                if columns > 3:
                    totals[p + 3] += vhsum(y[3])


@inner
def _write(count, entries, states, probability, spare, work, place, into):
    """Probabilities from one vector per state to one row per lane: marginals set, gradients added to."""
    marginals, _, gradient, weight = into
    width = lanes(work)
    scale = gradient.dtype.type(weight)
    for w in range(width):
        place[ROW * width + w] = probability + w * width
    for x in range(0, entries, width):
        transpose(work, place[ROW * width :], x * width, work, spare)
        for w in range(count):
            most = min(np.int64(width), np.int64(work[w]) * states - x)
            row = spare + w * width
            if marginals.size > 0:
                at = place[BIAS * width + w] + x
                for k in range(most):
                    marginals[at + k] = work[row + k]
            if gradient.size > 0:
                at = place[OWN * width + w] + x
                for k in range(most):
                    gradient[at + k] += scale * work[row + k]


@inner
def _sum_group(components, schedule, energies, weights, bias, beta, mask, spaces, into, free):
    """At most W runs of one table, the longest first."""
    work, place, sums = spaces
    marginals, totals, gradient, _ = into
    width = lanes(work)
    states, _, q, down = shape_of(components[0], schedule)
    longest, _ = describe(components, schedule, work, place)
    room = (longest * states + width + 4) * width
    norms = width
    b = norms + longest * width
    spare = b + (states + 4) * width
    x = spare + width * width
    a = x + room
    probability = a + room if totals.size > 0 else a
    for e in range(0, longest * states, width):
        transpose(energies, place, e, work, x + e * width)
    if bias.size > 0:
        for e in range(0, longest * states, width):
            transpose(bias, place[BIAS * width :], e, work, a)
            for y in range(0, width * width, width):
                vstore(work, x + e * width + y, vadd(vload(work, x + e * width + y), vload(work, a + y)))
    sums[: 2 * width] = 0
    bases = (norms, x, a, b, probability)
    _forward(longest, states, q, beta, weights, bases, work, sums, mask)
    least = np.float64(weights[q - HEAD + LEAST])
    for w in range(width):
        if w < components.size:
            edges = np.float64(work[w]) - 1
            free[w] = beta * (sums[LEASTS * width + w] + edges * least) - sums[LOGS * width + w]
        if w >= components.size or not free[w] < np.inf:
            work[w] = 0
    if marginals.size > 0 or gradient.size > 0:
        _backward(longest, states, down, weights, bases, work, mask)
        _write(components.size, longest * states, states, probability, spare, work, place, into)
        if totals.size > 0:
            _count(longest, states, q, bases, work, totals, mask)


@kernel
def scaled_lanes(components, schedule, energies, weights, bias, beta, mask, spaces, into, free):
    """free[i] = free energy · β of components[i], runs for which `minimise_lanes` is, +inf or NaN where there is none.

    weights: copies as `weigh_shared` makes them, safe as said above. spaces as by `sum_work`. into = (marginals,
    totals, gradient, weight) as of `scaled_forests`, without its counts.
    """
    width = lanes(weights)
    run = schedule.run
    i = 0
    while i < components.size:
        j = i + 1
        while j < min(i + width, components.size) and run[components[j], RUN_UP] == run[components[i], RUN_UP]:
            j += 1
        _sum_group(components[i:j], schedule, energies, weights, bias, beta, mask, spaces, into, free[i:])
        i = j


def sum_work(most: tuple[int, int], dtype: np.dtype, counted: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Work space of `scaled_lanes` for runs of at most so many positions, and states of all of them.

    Entries of the energies' dtype with slack (ends of runs; norms; one belief, one square; x, a and P), int64 (4 W,)
    and float64 (2 W,).
    """
    width = VECTOR_BYTES // dtype.itemsize
    entries = (3 if counted else 2) * (most[1] + width + 4)
    work = buffer((1 + most[0] + most[1] + 4 + width + entries) * width, dtype)
    return work, np.empty(4 * width, np.int64), np.empty(2 * width)
