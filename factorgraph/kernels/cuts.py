"""From energies to cuts: the choice, for every variable at once, between two labels.

Variable v keeps label a_v (x_v = 0) or takes label b_v (x_v = 1). The energy of x is quadratic in x. A table
A = E(0, 0), B = E(0, 1), C = E(1, 0), D = E(1, 1) with slack s = B + C − A − D ≥ 0 (submodular) is

    A + (C − A − s/2) x_u + (B − A − s/2) x_v + s/2 · x_u (1 − x_v) + s/2 · (1 − x_u) x_v

and so a network: x = 1 is the source's side, arcs u → v and v → u carry s/2 each, linear terms are excesses
(Kolmogorov, Zabih, "What energy functions can be minimized via graph cuts?", 2004). Forbidden entries are arcs of
infinite capacity; a forbidden row or column forbids a label. Where the slack is negative the pair is odd: v is replaced
by 1 − x_v, for roof duality.

The excess of a vertex is E(x = 0) − E(x = 1) of its linear terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .arcs import sister
from .jit import inlined, kernel
from .maxflow import UNBOUNDED
from .structure import KIND, OFFSET, SCOPE
from .tables import POTTS


class Split(NamedTuple):
    """What pairs become: capacities forth (u → v) and back (v → u), float64 (P,).

    odd uint8 (P,): the slack was negative, and v stands for 1 − x_v.
    """

    forth: np.ndarray
    back: np.ndarray
    odd: np.ndarray


@kernel
def sort_factors(components, factors, out, count):
    """List the factors of `components` by arity, in one pass: out int64 (their number,), count int64 (2,).

    Pairs come first, factors of arity 1 last and in reverse, all others, arity 3 and more, are left out: count holds
    how many pairs there are, and how many of arity 1.
    """
    pairs = 0
    unaries = 0
    for c in components:
        start = factors.row[factors.first[c], SCOPE]
        for f in range(factors.first[c], factors.first[c + 1]):
            stop = factors.row[f + 1, SCOPE]
            if stop - start == 2:
                out[pairs] = f
                pairs += 1
            elif stop - start == 1:
                unaries += 1
                out[out.size - unaries] = f
            start = stop
    count[0] = pairs
    count[1] = unaries


@kernel
def add_unaries(listed, factors, energies, choice, node, cost):
    """cost[node, x] += the energies of `listed` factors of arity 1 at x; choice = (a, b), int32 (V,) labels."""
    a, b = choice
    for f in listed:
        v = factors.var[factors.row[f, SCOPE]]
        at = factors.row[f, OFFSET]
        cost[node[v], 0] += energies[at + a[v]]
        cost[node[v], 1] += energies[at + b[v]]


@kernel
def add_bias(variables, offsets, bias, choice, node, cost):
    """cost[node, x] += the bias at x."""
    a, b = choice
    for v in variables:
        cost[node[v], 0] += bias[offsets[v] + a[v]]
        cost[node[v], 1] += bias[offsets[v] + b[v]]


@inlined
def _energy(factors, states, energies, f, i, j):
    """Energy of labels i, j of the pair factor f."""
    at = factors.row[f, OFFSET]
    if factors.row[f, KIND] == POTTS:
        return np.float64(0.0) if i == j else np.float64(energies[at])
    return np.float64(energies[at + i * states[factors.var[factors.row[f, SCOPE] + 1]] + j])


@inlined
def _pair(p, pairs, tables, choice, extra):
    """The four energies of pair p: of labels (left, left), (left, right), (right, left), (right, right)."""
    factors, states, energies, _ = tables
    left, right = choice
    u = pairs.u[p]
    v = pairs.v[p]
    a = 0.0
    b = 0.0
    c = 0.0
    d = 0.0
    first = p
    last = p + 1
    if pairs.first.size > 0:
        first = pairs.first[p]
        last = pairs.first[p + 1]
    for i in range(first, last):
        f = pairs.factor[i]
        if factors.var[factors.row[f, SCOPE]] == u:
            a += _energy(factors, states, energies, f, left[u], left[v])
            b += _energy(factors, states, energies, f, left[u], right[v])
            c += _energy(factors, states, energies, f, right[u], left[v])
            d += _energy(factors, states, energies, f, right[u], right[v])
        else:
            a += _energy(factors, states, energies, f, left[v], left[u])
            b += _energy(factors, states, energies, f, right[v], left[u])
            c += _energy(factors, states, energies, f, left[v], right[u])
            d += _energy(factors, states, energies, f, right[v], right[u])
    if extra.size > 0:
        a += extra[p, 0]
        b += extra[p, 1]
        c += extra[p, 2]
        d += extra[p, 3]
    return a, b, c, d


@inlined
def _forbid(i, j, a, b, c, d, cost):
    """Forbid labels that have nothing but forbidden ones beside them, and put the energies of the other label in their
    place: they count no more. A variable without any label leaves none to the other one either."""
    if (cost[i, 0] == np.inf and cost[i, 1] == np.inf) or (cost[j, 0] == np.inf and cost[j, 1] == np.inf):
        cost[i, 0] = np.inf
        cost[i, 1] = np.inf
        cost[j, 0] = np.inf
        cost[j, 1] = np.inf
        return np.inf, np.inf, np.inf, np.inf
    for _ in range(2):  # a label that is forbidden may leave no other label to the other variable
        if cost[i, 0] == np.inf or (a == np.inf and b == np.inf):
            cost[i, 0] = np.inf
            a, b = c, d
        if cost[i, 1] == np.inf or (c == np.inf and d == np.inf):
            cost[i, 1] = np.inf
            c, d = a, b
        if cost[j, 0] == np.inf or (a == np.inf and c == np.inf):
            cost[j, 0] = np.inf
            a, c = b, d
        if cost[j, 1] == np.inf or (b == np.inf and d == np.inf):
            cost[j, 1] = np.inf
            b, d = a, c
    return a, b, c, d


@inlined
def _forbidden(i, cost):
    return (1 if cost[i, 0] == np.inf else 0) + (1 if cost[i, 1] == np.inf else 0)


@kernel
def forbid_labels(low, high, pairs, tables, choice, extra, node, cost):
    """Forbid labels by pairs low … high − 1; returns how many more are forbidden than before. To be called until none
    are: only then what `split_pairs` finds does not depend on the order of pairs."""
    more = 0
    for p in range(low, high):
        i = node[pairs.u[p]]
        j = node[pairs.v[p]]
        before = _forbidden(i, cost) + _forbidden(j, cost)
        a, b, c, d = _pair(p, pairs, tables, choice, extra)
        _forbid(i, j, a, b, c, d, cost)
        more += _forbidden(i, cost) + _forbidden(j, cost) - before
    return more


@kernel
def split_pairs(low, high, pairs, tables, choice, extra, node, cost, split):
    """Make capacities and costs of pairs low … high − 1; returns how many had a negative slack.

    tables = (factors, states, energies, rounding): slacks above −rounding · the largest entry are none. extra float64
    (P or 0, 4) is added to the tables.
    """
    rounding = tables[3]
    odd = 0
    for p in range(low, high):
        u = pairs.u[p]
        v = pairs.v[p]
        i = node[u]
        j = node[v]
        a, b, c, d = _pair(p, pairs, tables, choice, extra)
        a, b, c, d = _forbid(i, j, a, b, c, d, cost)
        split.odd[p] = 0
        if a == np.inf and d == np.inf and b == np.inf:  # nothing is left
            split.forth[p] = 0
            split.back[p] = 0
            continue
        slack = b + c - a - d
        if slack < 0:
            if slack > -rounding * max(max(abs(a), abs(b)), max(abs(c), abs(d))):
                a = b + c - d
                slack = 0.0
            else:
                odd += 1
                split.odd[p] = 1
                a, b = b, a
                c, d = d, c
                slack = -slack
        forth = slack / 2
        back = slack / 2
        if slack < np.inf:
            first_cost = c - a - forth
            second_cost = b - a - back
        elif b < np.inf:  # only C is forbidden
            back = 0.0
            first_cost = d - b
            second_cost = b - a
        elif c < np.inf:  # only B is
            forth = 0.0
            first_cost = c - a
            second_cost = d - c
        else:
            first_cost = d - a
            second_cost = 0.0
        split.forth[p] = forth
        split.back[p] = back
        cost[i, 1] += first_cost
        if split.odd[p] == 1:
            cost[j, 0] += second_cost
        else:
            cost[j, 1] += second_cost
    return odd


@kernel
def set_capacities(low, high, pairs, split, network, node, residual):
    """Residuals of the arcs of pairs low … high − 1."""
    for p in range(low, high):
        arc = pairs.arc[p]
        residual[arc] = split.forth[p]
        residual[sister(network, node[pairs.u[p]], arc)] = split.back[p]


@kernel
def set_excess(cost, excess, marked):
    """excess = what it costs to be on the sink's side (x = 0), less what it costs to be on the source's."""
    for v in range(excess.size):
        marked[v] = 0
        if cost[v, 0] == np.inf and cost[v, 1] == np.inf:
            marked[v] = UNBOUNDED
            excess[v] = 0
        else:
            excess[v] = cost[v, 0] - cost[v, 1]


@kernel
def unpack_pairs(listed, factors, u, v):
    """The two variables of each listed factor."""
    for i in range(listed.size):
        at = factors.row[listed[i], SCOPE]
        u[i] = factors.var[at]
        v[i] = factors.var[at + 1]


@kernel
def roof_pairs(pairs, tables, choice, extra, node, sides, odd, out):
    """out[p] = E(x_u, x_v) + E(y_u, y_v), or where the pair is odd E(x_u, y_v) + E(y_u, x_v).

    sides uint8 (n, 2): x and y of every vertex, 0 or 1. For tables and extra see split_pairs.
    """
    for p in range(out.size):
        a, b, c, d = _pair(p, pairs, tables, choice, extra)
        i = node[pairs.u[p]]
        j = node[pairs.v[p]]
        for side in range(2):
            left = sides[i, side]
            right = sides[j, 1 - side if odd[p] else side]
            if left == 0:
                out[p] += a if right == 0 else b
            else:
                out[p] += c if right == 0 else d
