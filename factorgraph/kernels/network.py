"""A network of dense tables: what reductions and search work on, one float64 table per set of variables.

    E(x) = Σ_v unary_v(x_v) + Σ_f table_f(x_scope(f))

Nothing is shared, parallel factors are one table, biases and factors of one variable are in the unaries. Energies are
finite or +inf.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import KIND, OFFSET, SCOPE
from .tables import POTTS


class Network(NamedTuple):
    """Variables 0 … V − 1 and factors 0 … F − 1 of arity ≥ 2, no two over the same set of variables.

    Factor f is over `var[ptr[f] : ptr[f + 1]]`; its table, in C order, is `tables[start[f] : start[f + 1]]`.
    The unary of v is `unary[first[v] : first[v + 1]]`.
    """

    states: np.ndarray  # int64 (V,)
    first: np.ndarray  # int64 (V + 1,)
    unary: np.ndarray  # float64 (Σ states,)
    ptr: np.ndarray  # int64 (F + 1,)
    var: np.ndarray  # int64 (Σ arity,)
    start: np.ndarray  # int64 (F + 1,)
    tables: np.ndarray  # float64


class Incidence(NamedTuple):
    """Where variables occur: entry[ptr[v] : ptr[v + 1]] are indices into Network.var, owner the factors they are of."""

    ptr: np.ndarray  # int64 (V + 1,)
    entry: np.ndarray  # int64
    owner: np.ndarray  # int64


@inner
def stride_of(network, f, v):
    """How far apart the states of v lie in the table of f."""
    step = 1
    e = network.ptr[f + 1] - 1
    while network.var[e] != v:
        step *= network.states[network.var[e]]
        e -= 1
    return step


@inner
def _add_table(network, f, factors, row, local, energies, scratch):
    """tables[f] += the energies of `row`, whose scope has the same variables in any order."""
    digit, step = scratch
    low = factors.row[row, SCOPE]
    arity = factors.row[row + 1, SCOPE] - low
    size = 1
    for k in range(arity):
        v = local[factors.var[low + k]]
        size *= network.states[v]
        digit[k] = 0
        step[k] = stride_of(network, f, v)
    start = factors.row[row, OFFSET]
    potts = factors.row[row, KIND] == POTTS
    at = network.start[f]
    for x in range(size):
        if potts:
            if digit[0] != digit[1]:
                network.tables[at] += energies[start]
        else:
            network.tables[at] += energies[start + x]
        k = arity - 1
        while k >= 0:
            digit[k] += 1
            at += step[k]
            if digit[k] < network.states[local[factors.var[low + k]]]:
                break
            at -= step[k] * digit[k]
            digit[k] = 0
            k -= 1


@kernel
def fill_network(rows, factors, place, local, energies, network, scratch):
    """Add the energies of factors `rows` to the unaries and tables of a network that holds zeros.

    place int64 (rows,): the network's factor, −1 where a row has one variable. local int64 (V,): the network's number
    of a variable of the plan. scratch: two int64 arrays as long as the widest scope.
    """
    for i in range(rows.size):
        row = rows[i]
        if place[i] >= 0:
            _add_table(network, place[i], factors, row, local, energies, scratch)
        else:
            v = local[factors.var[factors.row[row, SCOPE]]]
            for k in range(network.states[v]):
                network.unary[network.first[v] + k] += energies[factors.row[row, OFFSET] + k]


@inner
def place_of(network, f, labels):
    """Index into `tables` of factor f's entry at `labels`."""
    x = 0
    for e in range(network.ptr[f], network.ptr[f + 1]):
        v = network.var[e]
        x = x * network.states[v] + labels[v]
    return network.start[f] + x


@kernel
def network_energy(network, labels):
    """Energy of a complete labelling."""
    total = 0.0
    for v in range(network.states.size):
        total += network.unary[network.first[v] + labels[v]]
    for f in range(network.ptr.size - 1):
        total += network.tables[place_of(network, f, labels)]
    return total
