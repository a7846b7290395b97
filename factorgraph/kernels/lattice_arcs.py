"""Lattices whose arcs do not depend on each other: best path, free energy, posteriors.

With e(a, k) the energy of arc a and label k, and potentials M of the nodes, M[0] = 0:

    own(a) = min_k e(a, k),   M[end] = min_a M[start] + own(a)                                 (the best path's energy)
    x(a, k) = exp(own(a) − e(a, k)),   y(a) = exp(M[start] + own(a) − M[end])⁻¹ ≤ 1,   w(a) = y(a) Σ_k x(a, k)
    A[end] = Σ_a A[start] w(a),   B[start] = Σ_a w(a) B[end],   Z = A[last node],   free energy = M[last node] − log Z
    P(a, k) = A[start] y(a) B[end] x(a, k) / Z

The minima make every exponent ≤ 0, so that one exp per label and one per arc are all there are, in vectors; the sums
are linear. Where a line has so many readings that A may overflow, M are the free energies themselves, and A = 1.
What is summed over labels has the energies' dtype, all else is float64.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inlined, inner
from .schedule import END, FIRST, NODES, SLOT, START, STATES, UNARY, VAR
from .simd import get, lanes, trailing_zeros, vadd, vequal, vhmin, vload, vmin, vsplat, vstore
from .simd_sum import vadd_first, vexp, vhsum, vmul

#: Sums beyond this are not safe: products with what vexp takes for 0 shall not matter.
MOST = 1e150


@inner
def soft_add(a, b):
    """−log(exp(−a) + exp(−b))."""
    if a == np.inf:
        return b
    if b == np.inf:
        return a
    if a < b:
        return a - math.log1p(math.exp(a - b))
    return b - math.log1p(math.exp(b - a))


@inner
def reads_tables(c, schedule, bias):
    """Whether every arc's energies are one table as it lies."""
    if bias.size > 0:
        return False
    position = schedule.position
    odd = 0
    for p in range(schedule.component[c, FIRST], schedule.component[c + 1, FIRST]):
        odd |= position[p + 1, UNARY] - position[p, UNARY] - 1
    return odd == 0


@inlined
def _table(p, schedule, direct):
    """Where the arc's energies start, in the energies or among the beliefs."""
    return get(schedule.unary, schedule.position[p, UNARY]) if direct else schedule.position[p, SLOT]


@inlined
def _row(values, mask, at, states, j):
    """A vector of an arc's energies, padded with +inf."""
    return vadd(vload(values, at + j), vload(mask, 16 - min(states - j, lanes(values))))


@inlined
def _least(values, mask, at, states):
    x = _row(values, mask, at, states, 0)
    for j in range(lanes(values), states, lanes(values)):
        x = vmin(x, _row(values, mask, at, states, j))
    return vhmin(x)


@inlined
def _where(values, mask, at, states, least):
    """The first label of energy `least`."""
    target = vsplat(least)
    for j in range(0, states, lanes(values)):
        hits = vequal(_row(values, mask, at, states, j), target)
        if hits:
            return j + trailing_zeros(hits)
    return np.int64(0)


@inner
def best_path(c, schedule, values, direct, mask, own, node, labels):
    """Energy of the best path; its arcs' labels, of equal paths the one whose arcs come last. Others keep theirs."""
    arc = schedule.arc
    position = schedule.position
    first = schedule.component[c, FIRST]
    last = schedule.component[c + 1, FIRST]
    n = schedule.component[c, NODES] - 1
    node[1 : n + 1] = np.inf
    node[0] = 0.0
    for p in range(first, last):
        at = _table(p, schedule, direct)
        states = position[p, STATES]
        own[p - first] = values[at] if states == 1 else _least(values, mask, at, states)
    for p in range(first, last):
        node[arc[p, END]] = min(node[arc[p, END]], node[arc[p, START]] + own[p - first])
    least = node[n]
    if least == np.inf:
        return least
    for p in range(last - 1, first - 1, -1):
        if arc[p, END] == n and node[arc[p, START]] + own[p - first] == node[n]:
            states = position[p, STATES]
            cheapest = values.dtype.type(own[p - first])
            labels[position[p, VAR]] = _where(values, mask, _table(p, schedule, direct), states, cheapest)
            n = arc[p, START]
    return least


@inner
def _weigh_labels(c, schedule, values, direct, beta, mask, own, total, share):
    """own = β · least energy of each arc, total = Σ_k x(k), share = x, padded with 0 (arcs of one state: 1 unsaid)."""
    position = schedule.position
    first = schedule.component[c, FIRST]
    infinite = mask[31]
    slope = vsplat(values.dtype.type(-beta))
    for p in range(first, schedule.component[c + 1, FIRST]):
        at = _table(p, schedule, direct)
        states = position[p, STATES]
        if states == 1:
            own[p - first] = beta * values[at]
            total[p - first] = 1.0
            continue
        least = _least(values, mask, at, states)
        shift = vsplat(-least if least < infinite else mask[0])
        slot = position[p, SLOT]
        x = vexp(vmul(slope, vadd(_row(values, mask, at, states, 0), shift)))
        vstore(share, slot, x)
        for j in range(lanes(values), states, lanes(values)):
            y = vexp(vmul(slope, vadd(_row(values, mask, at, states, j), shift)))
            vstore(share, slot + j, y)
            x = vadd(x, y)
        own[p - first] = beta * least
        total[p - first] = vhsum(x)


@inner
def _sum_forward(c, schedule, own, total, node, weight):
    """A and Z from potentials node[: nodes] to node[nodes : 2 nodes]; weight = y(a), total becomes w(a)."""
    arc = schedule.arc
    first = schedule.component[c, FIRST]
    count = schedule.component[c + 1, FIRST] - first
    nodes = schedule.component[c, NODES]
    for i in range(count):
        through = node[arc[first + i, START]] + own[i]
        weight[i] = node[arc[first + i, END]] - through if through < np.inf else -np.inf
    for i in range(0, count, 8):
        vstore(weight, i, vexp(vload(weight, i)))
    node[nodes : 2 * nodes] = 0.0
    node[nodes] = 1.0
    most = 1.0
    for i in range(count):
        end = nodes + arc[first + i, END]
        total[i] *= weight[i]
        node[end] += node[nodes + arc[first + i, START]] * total[i]
        most = max(most, node[end])
    return most


@inner
def sum_paths(c, schedule, values, direct, beta, mask, work):
    """β · free energy of all paths; leaves x(a, k) in `share` and P(a) / Σ_k x(a, k) in `weight`.

    work = (own, total, weight, node, share): per arc, three entries per node, float64; share of the values' dtype.
    """
    own, total, weight, node, share = work
    arc = schedule.arc
    first = schedule.component[c, FIRST]
    count = schedule.component[c + 1, FIRST] - first
    nodes = schedule.component[c, NODES]
    _weigh_labels(c, schedule, values, direct, beta, mask, own, total, share)
    node[1:nodes] = np.inf
    node[0] = 0.0
    for i in range(count):
        end = arc[first + i, END]
        node[end] = min(node[end], node[arc[first + i, START]] + own[i])
    if node[nodes - 1] == np.inf:
        return np.inf
    if not _sum_forward(c, schedule, own, total, node, weight) <= MOST:
        _weigh_labels(c, schedule, values, direct, beta, mask, own, total, share)
        node[1:nodes] = np.inf
        for i in range(count):
            end = arc[first + i, END]
            through = node[arc[first + i, START]] + own[i]
            if through < np.inf:
                node[end] = soft_add(node[end], through - math.log(total[i]))
        _sum_forward(c, schedule, own, total, node, weight)
    whole = node[2 * nodes - 1]
    node[2 * nodes : 3 * nodes - 1] = 0.0
    node[3 * nodes - 1] = 1.0
    for i in range(count - 1, -1, -1):
        start = nodes + arc[first + i, START]
        behind = node[2 * nodes + arc[first + i, END]]
        weight[i] *= node[start] * behind / whole
        node[nodes + start] += total[i] * behind
    return node[nodes - 1] - math.log(whole)


@inner
def add_labels(c, schedule, share, weight, factor, gradient):
    """gradient += factor · P(a, k), where the arcs' tables are."""
    position = schedule.position
    first = schedule.component[c, FIRST]
    for p in range(first, schedule.component[c + 1, FIRST]):
        at = get(schedule.unary, position[p, UNARY])
        states = position[p, STATES]
        scale = gradient.dtype.type(factor * weight[p - first])
        if states == 1:
            gradient[at] += scale
            continue
        for j in range(0, states, lanes(share)):
            x = vmul(vsplat(scale), vload(share, position[p, SLOT] + j))
            vadd_first(gradient, at + j, x, min(states - j, lanes(share)))


@inner
def write_labels(c, schedule, share, weight, probability):
    """probability = P(a, k), per belief."""
    position = schedule.position
    first = schedule.component[c, FIRST]
    for p in range(first, schedule.component[c + 1, FIRST]):
        slot = position[p, SLOT]
        if position[p, STATES] == 1:
            probability[slot] = weight[p - first]
            continue
        for k in range(slot, slot + position[p, STATES]):
            probability[k] = weight[p - first] * share[k]
