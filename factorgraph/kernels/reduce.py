"""Reductions of a network that keep its minimum: states without support, dominated states, and cutting them out.

    support:    k of v goes if some factor has no finite entry with v = k among the states that are left
                (generalised arc consistency; Mackworth 1977)
    domination: k of v goes if some other state j is never worse, whatever the others are:
                u(k) − u(j) + Σ_f min over the others of  E_f(k, ·) − E_f(j, ·)  ≥ 0
                (dead-end elimination; Desmet, De Maeyer, Hazes, Lasters 1992; Goldstein 1994)

Where E_f(k, ·) is +inf the factor does not speak for k; where only E_f(j, ·) is, j is no substitute.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .network import stride_of


class Pruning(NamedTuple):
    """Which states are left, and which factors wait for a second look.

    alive uint8 (Σ states,); left int64 (V,) how many; component int64 (V,); lost int64 (C,): a variable of the
    component to which no state is left, −1 while there is none; hard uint8 (F,): whether a table holds +inf.
    ring int64 (F + 1,), waiting uint8 (F,), ends int64 (2,): the queue of factors, from ends[0] to ends[1].
    support uint8 and digit int64: work space of one factor.
    """

    alive: np.ndarray
    left: np.ndarray
    component: np.ndarray
    lost: np.ndarray
    hard: np.ndarray
    ring: np.ndarray
    waiting: np.ndarray
    ends: np.ndarray
    support: np.ndarray
    digit: np.ndarray


@inner
def _kill(network, incidence, pruning, v, k):
    """Remove state k of v; factors that forbid something are looked at again."""
    pruning.alive[network.first[v] + k] = 0
    pruning.left[v] -= 1
    if pruning.left[v] == 0:
        pruning.lost[pruning.component[v]] = v
        return
    for i in range(incidence.ptr[v], incidence.ptr[v + 1]):
        f = incidence.owner[i]
        if pruning.hard[f] and not pruning.waiting[f]:
            pruning.waiting[f] = 1
            pruning.ring[pruning.ends[1]] = f
            pruning.ends[1] = (pruning.ends[1] + 1) % pruning.ring.size


@inner
def _first_alive(network, pruning, f):
    """Set the digits of factor f to the first states left, and return the index of that entry."""
    x = 0
    low = network.ptr[f]
    for e in range(low, network.ptr[f + 1]):
        v = network.var[e]
        k = 0
        while not pruning.alive[network.first[v] + k]:
            k += 1
        pruning.digit[e - low] = k
        x = x * network.states[v] + k
    return network.start[f] + x


@inner
def _next_alive(network, pruning, f, x, fixed):
    """The next entry whose states are left, position `fixed` of the scope held; −1 after the last."""
    step = 1
    low = network.ptr[f]
    e = network.ptr[f + 1] - 1
    while e >= low:
        v = network.var[e]
        if e - low != fixed:
            k = pruning.digit[e - low]
            j = k + 1
            while j < network.states[v] and not pruning.alive[network.first[v] + j]:
                j += 1
            if j < network.states[v]:
                pruning.digit[e - low] = j
                return x + (j - k) * step
            j = 0
            while not pruning.alive[network.first[v] + j]:
                j += 1
            pruning.digit[e - low] = j
            x += (j - k) * step
        step *= network.states[v]
        e -= 1
    return -1


@inner
def _support(network, incidence, pruning, f):
    """Remove the states of factor f's variables that no finite entry supports."""
    low = network.ptr[f]
    width = pruning.support.size // pruning.digit.size
    for i in range((network.ptr[f + 1] - low) * width):
        pruning.support[i] = 0
    x = _first_alive(network, pruning, f)
    while x >= 0:
        if network.tables[x] < np.inf:
            for p in range(network.ptr[f + 1] - low):
                pruning.support[p * width + pruning.digit[p]] = 1
        x = _next_alive(network, pruning, f, x, -1)
    for e in range(low, network.ptr[f + 1]):
        v = network.var[e]
        for k in range(network.states[v]):
            if pruning.alive[network.first[v] + k] and not pruning.support[(e - low) * width + k]:
                _kill(network, incidence, pruning, v, k)
                if pruning.left[v] == 0:
                    return


@kernel
def propagate(network, incidence, pruning, cells):
    """Look at waiting factors until none waits, or tables of `cells` entries were read; returns whether some wait."""
    while pruning.ends[0] != pruning.ends[1] and cells > 0:
        f = pruning.ring[pruning.ends[0]]
        pruning.ends[0] = (pruning.ends[0] + 1) % pruning.ring.size
        pruning.waiting[f] = 0
        if pruning.lost[pruning.component[network.var[network.ptr[f]]]] < 0:
            _support(network, incidence, pruning, f)
            cells -= network.start[f + 1] - network.start[f]
    return pruning.ends[0] != pruning.ends[1]


@inner
def _least_difference(network, pruning, f, p, k, j):
    """min over the other variables of E_f(k, ·) − E_f(j, ·), v at position p; −inf where only E_f(j, ·) is +inf."""
    step = stride_of(network, f, network.var[network.ptr[f] + p])
    x = _first_alive(network, pruning, f)
    x += (k - pruning.digit[p]) * step
    least = np.inf
    while x >= 0:
        mine = network.tables[x]
        if mine < np.inf:
            least = min(least, mine - network.tables[x + (j - k) * step])
        x = _next_alive(network, pruning, f, x, p)
    return least


@inner
def _dominates(network, incidence, pruning, v, k, j):
    """Whether state j of v is never worse than k."""
    gain = network.unary[network.first[v] + k] - network.unary[network.first[v] + j]
    for i in range(incidence.ptr[v], incidence.ptr[v + 1]):
        f = incidence.owner[i]
        gain += _least_difference(network, pruning, f, incidence.entry[i] - network.ptr[f], k, j)
        if gain == -np.inf:
            return False
    return gain >= 0.0


@inner
def _optimism(network, incidence, pruning, v, k):
    """Lower bound of what state k of v costs v's own unary and factors."""
    total = network.unary[network.first[v] + k]
    for i in range(incidence.ptr[v], incidence.ptr[v + 1]):
        f = incidence.owner[i]
        p = incidence.entry[i] - network.ptr[f]
        step = stride_of(network, f, v)
        x = _first_alive(network, pruning, f)
        x += (k - pruning.digit[p]) * step
        least = np.inf
        while x >= 0:
            least = min(least, network.tables[x])
            x = _next_alive(network, pruning, f, x, p)
        total += least
    return total


@kernel
def dominate(network, incidence, pruning, start, cells, pairs):
    """Remove dominated states of variables `start`, …, until tables of about `cells` entries were read.

    pairs: compare all pairs of states; otherwise all with the most promising one only. Returns the variable to go on
    with. Equal states: the first one stays.
    """
    v = start
    while v < network.states.size and cells > 0:
        if pruning.left[v] > 1 and pruning.lost[pruning.component[v]] < 0:
            size = 0
            for i in range(incidence.ptr[v], incidence.ptr[v + 1]):
                f = incidence.owner[i]
                size += network.start[f + 1] - network.start[f]
            best = -1
            least = np.inf
            for k in range(network.states[v]):
                if pruning.alive[network.first[v] + k]:
                    value = _optimism(network, incidence, pruning, v, k)
                    if best < 0 or value < least:
                        best, least = k, value
            cells -= size * (1 + (pruning.left[v] if pairs else 1))
            for k in range(network.states[v] - 1, -1, -1):
                for j in range(network.states[v]):
                    if not pruning.alive[network.first[v] + k]:
                        break
                    if j == k or not pruning.alive[network.first[v] + j] or not (pairs or j == best):
                        continue
                    if _dominates(network, incidence, pruning, v, k, j):
                        _kill(network, incidence, pruning, v, k)
        v += 1
    return v


@kernel
def cut_tables(network, pruning, factors, at, out):
    """out[at[i] : at[i + 1]] = the entries of table factors[i] whose states are left, in order."""
    for i in range(factors.size):
        y = at[i]
        x = _first_alive(network, pruning, factors[i])
        while x >= 0:
            out[y] = network.tables[x]
            y += 1
            x = _next_alive(network, pruning, factors[i], x, -1)
