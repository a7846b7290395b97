"""Naive mean field: the distribution of independent variables whose free energy is least, found one variable at a time.

    F(q) = Σ_f Σ_x q(x_f) E_f(x_f) + T Σ_v Σ_k q_v(k) log q_v(k)  ≥  −T log Z     for every product q = Π_v q_v

    q_v(k) ∝ exp(−(E_v(k) + Σ_f Σ_{x_f: x_v = k} Π_{u ≠ v} q_u(x_u) E_f(x_f)) / T)

is the best q_v, the others as they are, so that F never rises (Parisi 1988; Jordan, Ghahramani, Jaakkola, Saul 1999). A
configuration of probability 0 counts nothing, whatever it costs: from a feasible q no step leads to +inf.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inner, kernel
from .structure import KIND, OFFSET, SCOPE
from .tables import POTTS
from .weighing import advance, table_size


@inner
def _others(q, at, count, k):
    """Σ_{i ≠ k} q_i, exactly 0 only where all are."""
    total = 0.0
    for i in range(count):
        if i != k:
            total += q[at + i]
    return total


@inner
def _expect(e, f, index, energies, q, cost, labels):
    """cost[k] += E[E_f | x_v = k] of the variable v at scope entry e."""
    factors, states, offsets = index.factors, index.states, index.offsets
    first = factors.row[f, SCOPE]
    end = factors.row[f + 1, SCOPE]
    at = factors.row[f, OFFSET]
    count = states[factors.var[e]]
    if end - first == 2:
        u = factors.var[2 * first + 1 - e]
        base = offsets[u]
        if factors.row[f, KIND] == POTTS:
            for k in range(count):
                rest = 1.0 - q[base + k]
                if rest < 0.5:
                    rest = _others(q, base, count, k)
                if rest > 0.0:
                    cost[k] += rest * energies[at]
            return
        down = states[u] if e == first else np.int64(1)
        across = np.int64(1) if e == first else count
        for i in range(states[u]):
            share = q[base + i]
            if share > 0.0:
                for k in range(count):
                    cost[k] += share * energies[at + k * down + i * across]
        return
    for x in range(table_size(f, index)):
        share = 1.0
        for d in range(first, end):
            if d != e:
                share *= q[offsets[factors.var[d]] + labels[factors.var[d]]]
        if share > 0.0:
            cost[labels[factors.var[e]]] += share * energies[at + x]
        advance(f, index, labels)


@kernel
def renew_marginals(span, index, energies, unary, beta, q, cost, labels, change):
    """The best q_v of the variables loops.var[span[0] : span[1]], one after the other; unary float64.

    change float64 (C,): where a component's is NaN its variables stay, else it is raised to the largest change of q.
    labels int32 (V,), 0.
    """
    loops, states, offsets = index.loops, index.states, index.offsets
    for i in range(span[0], span[1]):
        v = loops.var[i]
        c = index.component[v]
        if not change[c] >= 0.0:
            continue
        for k in range(states[v]):
            cost[k] = unary[offsets[v] + k]
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            _expect(loops.entry[j], loops.owner[j], index, energies, q, cost, labels)
        least = np.inf
        for k in range(states[v]):
            least = min(least, cost[k])
        if least == np.inf:  # what allowed the labels of v has left the range of float64
            continue
        total = 0.0
        for k in range(states[v]):
            cost[k] = math.exp(beta * (least - cost[k])) if cost[k] < np.inf else 0.0
            total += cost[k]
        for k in range(states[v]):
            value = cost[k] / total
            change[c] = max(change[c], abs(value - q[offsets[v] + k]))
            q[offsets[v] + k] = value


@kernel
def sum_variables(span, index, unary, temperature, q, free):
    """free[c] += Σ q (E_v + T log q) of the variables loops.var[span[0] : span[1]]."""
    for i in range(span[0], span[1]):
        v = index.loops.var[i]
        for x in range(index.offsets[v], index.offsets[v] + index.states[v]):
            if q[x] > 0.0:
                free[index.component[v]] += q[x] * (unary[x] + temperature * math.log(q[x]))


@kernel
def sum_factors(span, index, energies, q, labels, free, gradient, weight):
    """free[c] += Σ q(x) E_f(x) of the factors loops.factor[span[0] : span[1]]; where `gradient` has entries it receives
    weight[0] · q(x) instead. labels int32 (V,), 0."""
    factors, states, offsets = index.factors, index.states, index.offsets
    for i in range(span[0], span[1]):
        f = index.loops.factor[i]
        first = factors.row[f, SCOPE]
        end = factors.row[f + 1, SCOPE]
        c = index.component[factors.var[first]]
        at = factors.row[f, OFFSET]
        if factors.row[f, KIND] == POTTS:
            a = factors.var[first]
            b = offsets[factors.var[first + 1]]
            share = 0.0
            for k in range(states[a]):
                if q[offsets[a] + k] > 0.0:
                    share += q[offsets[a] + k] * _others(q, b, states[a], k)
            if gradient.size > 0:
                gradient[at] += weight[0] * share
            elif share > 0.0:
                free[c] += share * energies[at]
            continue
        for x in range(table_size(f, index)):
            share = 1.0
            for d in range(first, end):
                share *= q[offsets[factors.var[d]] + labels[factors.var[d]]]
            if gradient.size > 0:
                gradient[at + x] += weight[0] * share
            elif share > 0.0:
                free[c] += share * energies[at + x]
            advance(f, index, labels)
