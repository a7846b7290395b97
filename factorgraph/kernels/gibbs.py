"""Gibbs sampling: one variable after the other is drawn given all others (Geman and Geman 1984).

x_v ~ exp(−(E_v(k) + Σ_f E_f(k, the other labels)) / T)
"""

from __future__ import annotations

import numpy as np

from .draw import pick
from .jit import inner, kernel
from .minsum import conditional


@inner
def _conditionals(v, index, energies, unary, labels, cost):
    """cost = the energies of v's states, the labels of all others as they are."""
    loops, states = index.loops, index.states
    for k in range(states[v]):
        cost[k] = unary[index.offsets[v] + k]
    for j in range(loops.ptr[v], loops.ptr[v + 1]):
        conditional(v, loops.entry[j], loops.owner[j], index.factors, states, energies, labels, cost)


@kernel
def redraw(span, index, energies, unary, beta, uniforms, labels, cost, tally):
    """Draw the variables loops.var[span[0] : span[1]] anew; unary float64, with the bias.

    beta (C,): inverse temperatures. uniforms float64 of these variables. Where `tally` (variable states) has entries it
    receives the probabilities of which the labels were drawn.
    """
    states, offsets = index.states, index.offsets
    for i in range(span[0], span[1]):
        v = index.loops.var[i]
        _conditionals(v, index, energies, unary, labels, cost)
        slope = beta[index.component[v]]
        for k in range(states[v]):
            if cost[k] < np.inf:
                cost[k] *= slope
        labels[v] = pick(cost, states[v], uniforms[i])
        if tally.size > 0:
            total = 0.0
            for k in range(states[v]):
                total += cost[k]
            for k in range(states[v]):
                tally[offsets[v] + k] += cost[k] / total


@kernel
def spread_of(index, energies, unary, labels, cost, out):
    """out[c] = by how much the conditional energies of a variable differ in the mean; out[C + c]: of how many."""
    components = out.size // 2
    for i in range(index.loops.var.size):
        v = index.loops.var[i]
        _conditionals(v, index, energies, unary, labels, cost)
        least = np.inf
        most = -np.inf
        for k in range(index.states[v]):
            if cost[k] < np.inf:
                least = min(least, cost[k])
                most = max(most, cost[k])
        c = index.component[v]
        if most > least:
            out[c] += most - least
        out[components + c] += 1.0
    for c in range(components):
        if out[components + c] > 0.0:
            out[c] /= out[components + c]
