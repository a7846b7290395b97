"""Better labellings from labellings, on any graph: exact moves along induced forests, fusion, repair.

    forest move:  labels_S ← argmin over labels_S of E(labels_S, the others as they are),  S inducing a forest
    fusion:       on every connected component D of the difference of a and b:  a_D ← b_D where E falls by that

The first is dynamic programming: S is grown so that no factor has more than two variables in it, and each variable
that joins touches at most one that is there (its parent). The second is exact among the 2^components combinations: no
factor touches two components of the difference, so that their changes of energy add up.
"""

from __future__ import annotations

import numpy as np

from .configurations import entry
from .jit import inner, kernel
from .minsum import conditional
from .structure import KIND, OFFSET, SCOPE, find
from .tables import POTTS


@kernel
def grow_forest(variables, factors, loops, via, parent, forest):
    """Grow S greedily in the order of `variables`; returns how many joined: forest[:count], parents first.

    via int64 (V,): the factor between a variable and its parent, −1 for roots, −2 for those not in S; all −2 before.
    parent int64 (V,).
    """
    count = 0
    for v in variables:
        joins = True
        via[v] = -1
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            f = loops.owner[j]
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                u = factors.var[e]
                if u != v and via[u] > -2:
                    joins &= via[v] == -1
                    via[v] = f
                    parent[v] = u
        if joins:
            forest[count] = v
            count += 1
        else:
            via[v] = -2
    return count


@inner
def _steps(factors, states, f, v, u, labels):
    """Where factor f's entries start under the labels of all but v and u, and their distances by v and by u."""
    q = factors.row[f, OFFSET]
    step = np.int64(1)
    by_v = np.int64(0)
    by_u = np.int64(0)
    for e in range(factors.row[f + 1, SCOPE] - 1, factors.row[f, SCOPE] - 1, -1):
        w = factors.var[e]
        if w == v:
            by_v = step
        elif w == u:
            by_u = step
        else:
            q += step * labels[w]
        step *= states[w]
    return q, by_v, by_u


@inner
def _paired(f, v, factors, via):
    """Whether another variable of f is in the forest."""
    for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
        if factors.var[e] != v and via[factors.var[e]] > -2:
            return True
    return False


@kernel
def move_forest(forest, via, parent, factors, loops, states, offsets, costs, labels, space):
    """Best labels of the forest, the others as they are; where none is feasible, a tree keeps its labels.

    costs = (energies, unary float64); space = (belief, float64 over variable states; cost, float64 of the widest).
    """
    energies, unary = costs
    belief, cost = space
    for v in forest:
        at = offsets[v]
        for k in range(states[v]):
            cost[k] = unary[at + k]
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            f = loops.owner[j]
            if not _paired(f, v, factors, via):
                conditional(v, loops.entry[j], f, factors, states, energies, labels, cost)
        for k in range(states[v]):
            belief[at + k] = cost[k]
    for i in range(forest.size - 1, -1, -1):
        v = forest[i]
        f = via[v]
        if f < 0:
            continue
        u = parent[v]
        potts = factors.row[f, KIND] == POTTS
        q, by_v, by_u = _steps(factors, states, f, v, u, labels)
        for j in range(states[u]):
            least = np.inf
            for k in range(states[v]):
                value = belief[offsets[v] + k]
                if potts:
                    if k != j:
                        value += energies[factors.row[f, OFFSET]]
                else:
                    value += energies[q + k * by_v + j * by_u]
                least = min(least, value)
            belief[offsets[u] + j] += least
    for i in range(forest.size):
        v = forest[i]
        f = via[v]
        for k in range(states[v]):
            cost[k] = belief[offsets[v] + k]
        if f >= 0:
            # the other variables of f have kept their labels, and the parent has its new one
            e = factors.row[f, SCOPE]
            while factors.var[e] != v:
                e += 1
            conditional(v, e, f, factors, states, energies, labels, cost)
        at = np.int64(labels[v])
        for k in range(states[v]):
            if cost[k] < cost[at]:
                at = k
        labels[v] = at


@kernel
def join_difference(factors, components, a, b, parent):
    """Unite the variables of each factor at which a and b differ; parent int32 (V,), every variable its own before."""
    for c in components:
        for f in range(factors.first[c], factors.first[c + 1]):
            root = -1
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                v = factors.var[e]
                if a[v] != b[v]:
                    x = find(parent, v)
                    if root < 0:
                        root = x
                    elif root < x:
                        parent[x] = root
                    elif x < root:
                        parent[root] = x
                        root = x


@kernel
def weigh_difference(factors, components, states, energies, a, b, parent, forbidden, change):
    """change[root] += E(b) − E(a) over the factors of each difference; forbidden[root] likewise counts +inf."""
    for c in components:
        for f in range(factors.first[c], factors.first[c + 1]):
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                v = factors.var[e]
                if a[v] != b[v]:
                    root = find(parent, v)
                    for sign in (-1, 1):
                        x = entry(factors, states, f, a if sign < 0 else b)
                        if x >= 0:
                            value = np.float64(energies[factors.row[f, OFFSET] + x])
                            if value < np.inf:
                                change[root] += sign * value
                            else:
                                forbidden[root] += sign
                    break


@kernel
def repair_labels(factors, loops, states, offsets, energies, unary, labels, weight, space):
    """One sweep of weighted min-conflicts; returns how many factors are violated by the labels it started from.

    weight float64 (F,): what a violation (+inf) of each factor counts; it grows by one where it persists. Of states
    with equally weighted violations the one of least energy is taken. space = (cost, part, conflicts) float64.
    """
    cost, part, conflicts = space
    for i in range(loops.var.size):
        v = loops.var[i]
        for k in range(states[v]):
            forbidden = unary[offsets[v] + k] == np.inf
            cost[k] = 0.0 if forbidden else unary[offsets[v] + k]
            conflicts[k] = np.inf if forbidden else 0.0
        for j in range(loops.ptr[v], loops.ptr[v + 1]):
            f = loops.owner[j]
            for k in range(states[v]):
                part[k] = 0.0
            conditional(v, loops.entry[j], f, factors, states, energies, labels, part)
            for k in range(states[v]):
                if part[k] < np.inf:
                    cost[k] += part[k]
                else:
                    conflicts[k] += weight[f]
        at = labels[v]
        for k in range(states[v]):
            if conflicts[k] < conflicts[at] or (conflicts[k] == conflicts[at] and cost[k] < cost[at]):
                at = k
        labels[v] = at
    violated = 0
    for i in range(loops.factor.size):
        f = loops.factor[i]
        x = entry(factors, states, f, labels)
        if x >= 0 and energies[factors.row[f, OFFSET] + x] == np.inf:
            weight[f] += 1.0
            violated += 1
    return violated
