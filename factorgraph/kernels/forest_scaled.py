"""Forward and backward through forests in probabilities instead of logarithms, where that is safe (Rabiner 1989).

    up:    a[p] = exp(−β (u_p − min u_p)) · Π m[e],    m[e](j) = Σ_i E_e(i, j) a[q](i) / Σ a[q]
    down:  P[q](i) = a[q](i) Σ_j E_e(i, j) r_e(j),     r_e = P[p] / m[e],    P(i, j) = a[q](i) E_e(i, j) r_e(j)

over every edge e from child q to parent p, E = exp(−β (T − min T)). One exponential per state and table entry, none per
pair of states of a shared table; what is divided out is kept as one logarithm. In the energies' own dtype.

Safe means that what becomes zero cannot matter. low[q] ≤ every positive entry of a[q]; where it is below the floor,
entries may be lost, each of them less than the least normal number ε, for messages are at most 1 and a[q] is not scaled
up again. A table none of whose entries is forbidden gives every j at least its least entry · Σ a[q], and of what is
lost at most states · ε: their ratio must be small, or an unlikely state was the likely way on. Where a table forbids
pairs, any state may be the only way on: none may be lost. Where that is not sure, or an edge is in general form, the
answer is NaN: ask forest_sum.py.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inlined, inner, kernel
from .messages import COLUMNS, POTTS, ROWS, SHARED_COLUMNS, SHARED_ROWS
from .probability import (
    LEAST,
    LOW,
    WHOLE,
    count_pairs,
    exponentials,
    floor_of,
    least_positive,
    multiply,
    padding,
    scale_by,
    total_of,
)
from .schedule import CHILD, DOWN, EDGE, FIRST, FORM, HEAD, PARENT, SIDE, SLOT, STATE, STATES, TABLE, UNARY, UP
from .simd import lanes, vadd, vload, vsplat, vstore
from .simd_sum import vdiv, vless, vmul

#: Counts are added to their totals after this many times their size of configurations: long sums need float64.
OFTEN = 16
#: Beliefs whose sum is below this are scaled up, where nothing is lost.
SMALL = 1e-10


@inlined
def _start(p, position, unary, energies, bias, beta, mask, alpha):
    """alpha = exp(−β (own − least)) of a position's bias and unary tables; returns the least and a lower bound."""
    width = lanes(alpha)
    states = position[p, STATES]
    slot = position[p, SLOT]
    first = position[p, UNARY]
    if bias.size == 0 and position[p + 1, UNARY] - first == 1:
        return exponentials(energies, unary[first], states, beta, mask, alpha, slot)
    for j in range(0, states, width):
        x = padding(mask, states, j, width)
        if bias.size > 0:
            x = vadd(x, vload(bias, position[p, STATE] + j))
        for u in range(first, position[p + 1, UNARY]):
            x = vadd(x, vload(energies, unary[u] + j))
        vstore(alpha, slot + j, x)
    return exponentials(alpha, slot, states, beta, mask, alpha, slot)


@inner
def _own_table(e, schedule, energies, beta, mask, table):
    """table = exp(−β (T − least)) of an edge that has it for itself, as it lies there; least, lower bound, whole."""
    edge = schedule.edge
    n = schedule.position[edge[e, PARENT], STATES]
    m = schedule.position[edge[e, CHILD], STATES]
    if edge[e, FORM] == POTTS:
        weight = energies[edge[e, TABLE]]
        least = min(weight, mask[0])
        other = table.dtype.type(math.exp(-beta * np.float64(weight - least)))
        same = table.dtype.type(math.exp(beta * np.float64(least)))
        for i in range(m):
            for j in range(n):
                table[i * n + j] = same if i == j else other
        low = min(same, other) if weight < mask[31] else same
        return least, np.float64(low), weight < mask[31]
    least, low = exponentials(energies, edge[e, TABLE], n * m, beta, mask, table, 0)
    whole = True
    for x in range(n * m):
        whole &= energies[edge[e, TABLE] + x] < mask[31]
    return least, low, whole


@inlined
def _times(product, total, free):
    """product · total; into the logarithm with both where that could leave the range. total ≥ `floor_of`."""
    if 1e-200 < product < 1e200 and total > 1e-100:
        return product * np.float64(total), free
    return 1.0, free - math.log(product) - math.log(np.float64(total))


@inlined
def _up(c, schedule, energies, weights, bias, beta, mask, work):
    """Fill alpha and the messages of component c; returns its free energy · β, NaN where that is not safe."""
    alpha, _, message, table, low = work
    position = schedule.position
    edge = schedule.edge
    width = lanes(alpha)
    first = schedule.component[c, FIRST]
    one = vsplat(mask[32])
    floor = floor_of(alpha)
    free = 0.0
    product = 1.0
    for p in range(first, schedule.component[c + 1, FIRST]):
        least, low[p - first] = _start(p, position, schedule.unary, energies, bias, beta, mask, alpha)
        free += beta * np.float64(least)
    if free == np.inf:
        return free
    for e in range(schedule.component[c + 1, EDGE] - 1, schedule.component[c, EDGE] - 1, -1):
        p = edge[e, PARENT]
        q = edge[e, CHILD]
        n = position[p, STATES]
        m = position[q, STATES]
        of = position[q, SLOT]
        form = edge[e, FORM]
        shared = form == SHARED_ROWS or form == SHARED_COLUMNS
        if shared:
            head = edge[e, UP] - HEAD
            least = weights[head + LEAST]
            bound = np.float64(weights[head + LOW])
            whole = weights[head + WHOLE] == 1
        elif form == ROWS or form == COLUMNS or form == POTTS:
            least, bound, whole = _own_table(e, schedule, energies, beta, mask, table)
        else:
            return np.nan
        free += beta * np.float64(least)
        total = total_of(alpha, of, m)
        if total == 0 or least == mask[31]:
            return np.inf if low[q - first] >= floor else np.nan
        if whole:
            bound /= m
        elif low[q - first] < floor:
            return np.nan
        else:
            bound *= least_positive(alpha, of, m, one) / np.float64(total)
        if not bound * np.float64(total) >= floor:
            return np.nan
        inverse = alpha.dtype.type(1) / total
        product, free = _times(product, total, free)
        way = ROWS if form == POTTS else form
        if shared:
            multiply(alpha, of, form, weights, edge[e, UP], m, n, inverse, message, edge[e, SIDE])
        else:
            multiply(alpha, of, way, table, 0, m, n, inverse, message, edge[e, SIDE])
        scale_by(alpha, of, m, inverse)
        to = position[p, SLOT]
        for j in range(0, n, width):
            vstore(alpha, to + j, vmul(vload(alpha, to + j), vload(message, edge[e, SIDE] + j)))
        low[p - first] *= bound
        if floor <= low[p - first] < SMALL:  # many children: their product must not vanish in all states
            total = total_of(alpha, to, n)
            if 0 < total < SMALL:
                scale_by(alpha, to, n, alpha.dtype.type(1) / total)
                product, free = _times(product, total, free)
            low[p - first] = least_positive(alpha, to, n, one)
    total = total_of(alpha, position[first, SLOT], position[first, STATES])
    if total == 0 and low[0] >= floor:
        return np.inf
    if total < floor * position[first, STATES]:
        return np.nan
    return free - math.log(product) - math.log(np.float64(total))


@inner
def _add_pairs(e, schedule, alpha, ratio, table, weight, gradient):
    """gradient += weight · P(i, j) of an edge that has its table for itself."""
    edge = schedule.edge
    n = schedule.position[edge[e, PARENT], STATES]
    m = schedule.position[edge[e, CHILD], STATES]
    of = schedule.position[edge[e, CHILD], SLOT]
    at = edge[e, TABLE]
    if edge[e, FORM] == COLUMNS:
        for j in range(n):
            share = gradient.dtype.type(weight) * ratio[j]
            for i in range(m):
                gradient[at + j * m + i] += share * alpha[of + i] * table[j * m + i]
        return
    unequal = 0.0
    for i in range(m):
        share = gradient.dtype.type(weight) * alpha[of + i]
        for j in range(n):
            value = share * table[i * n + j] * ratio[j]
            if edge[e, FORM] == ROWS:
                gradient[at + i * n + j] += value
            elif i != j:
                unequal += value
    if edge[e, FORM] == POTTS:
        gradient[at] += unequal


@inner
def _settle(counts, totals):
    """totals += counts; counts = 0."""
    for x in range(counts.size):
        totals[x] += counts[x]
        counts[x] = 0


@inlined
def _down(c, schedule, energies, weights, beta, mask, work, into, pending):
    """Probabilities of the states of component c, after `_up`; adds Σ a[q](i) r(j) to the copies' counts.

    Returns the configurations counted since the last `_settle`, `pending` before.
    """
    _, counts, totals, gradient, weight = into
    alpha, probability, message, table, _ = work
    position = schedule.position
    edge = schedule.edge
    width = lanes(alpha)
    root = schedule.component[c, FIRST]
    slot = position[root, SLOT]
    zero = vsplat(alpha.dtype.type(0))
    factor = vsplat(alpha.dtype.type(1) / total_of(alpha, slot, position[root, STATES]))
    for j in range(0, position[root, STATES], width):
        vstore(probability, slot + j, vmul(factor, vload(alpha, slot + j)))
    for e in range(schedule.component[c, EDGE], schedule.component[c + 1, EDGE]):
        n = position[edge[e, PARENT], STATES]
        m = position[edge[e, CHILD], STATES]
        at = position[edge[e, PARENT], SLOT]
        of = position[edge[e, CHILD], SLOT]
        side = edge[e, SIDE]
        form = edge[e, FORM]
        for j in range(0, n, width):
            y = vload(message, side + j)
            vstore(message, side + j, vless(zero, y, vdiv(vload(probability, at + j), y), zero))
        one = alpha.dtype.type(1)
        if form == SHARED_ROWS or form == SHARED_COLUMNS:
            multiply(message, side, form, weights, edge[e, DOWN], n, m, one, probability, of)
            if counts.size > 0:
                count_pairs(alpha, of, m, message, side, n, counts, edge[e, UP])
                pending += n * m
                if pending > OFTEN * counts.size:
                    _settle(counts, totals)
                    pending = np.int64(0)
        else:
            _own_table(e, schedule, energies, beta, mask, table)
            way = ROWS if form == COLUMNS else COLUMNS
            multiply(message, side, way, table, 0, n, m, one, probability, of)
            if gradient.size > 0:
                _add_pairs(e, schedule, alpha, message[side:], table, weight, gradient)
        for j in range(0, m, width):
            vstore(probability, of + j, vmul(vload(probability, of + j), vload(alpha, of + j)))
        scale_by(probability, of, m, one / total_of(probability, of, m))
    return pending


@kernel
def scaled_forests(components, schedule, energies, weights, bias, beta, mask, work, into, free):
    """free[i] = free energy · β of components[i], NaN where probabilities are not safe; then nothing else is written.

    weights: copies as `weigh_shared` makes them. work = (alpha, probability, message, table, low): belief, belief,
    message and table entries of the energies' dtype with slack, float64 positions. into = (marginals, counts, totals,
    gradient, weight): probabilities float64 by variable states; zeros of the energies' dtype; Σ a r of the copies,
    float64; weight · P(configuration) in the energies' layout for what is not a copy; empty: not asked.
    """
    alpha, probability, _, _, _ = work
    marginals, counts, totals, gradient, weight = into
    pending = np.int64(0)
    position = schedule.position
    for k in range(components.size):
        c = components[k]
        free[k] = _up(c, schedule, energies, weights, bias, beta, mask, work)
        if not free[k] < np.inf or (marginals.size == 0 and gradient.size == 0):
            continue
        pending = _down(c, schedule, energies, weights, beta, mask, work, into, pending)
        for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
            slot = position[p, SLOT]
            if marginals.size > 0:
                for i in range(position[p, STATES]):
                    marginals[position[p, STATE] + i] = probability[slot + i]
            if gradient.size > 0:
                scale = gradient.dtype.type(weight)
                for u in range(position[p, UNARY], position[p + 1, UNARY]):
                    for i in range(position[p, STATES]):
                        gradient[schedule.unary[u] + i] += scale * probability[slot + i]
    _settle(counts, totals)
