"""What a labelling costs and which table entries it uses.

A factor any of whose variables is labelled −1 (an arc off the path, an undecided variable) contributes nothing.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .structure import KIND, OFFSET, SCOPE
from .tables import POTTS


@inner
def entry(factors, states, f, labels):
    """Distance of factor f's entry from its table's start under `labels`; −1 where it contributes nothing."""
    if factors.row[f, KIND] == POTTS:
        a = labels[factors.var[factors.row[f, SCOPE]]]
        b = labels[factors.var[factors.row[f, SCOPE] + 1]]
        return 0 if a >= 0 and b >= 0 and a != b else -1
    x = 0
    for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
        v = factors.var[e]
        if labels[v] < 0:
            return -1
        x = x * states[v] + labels[v]
    return x


@kernel
def component_energies(components, factors, states, energies, labels, out):
    """out[i] (float64) = Σ of the energies of components[i]'s factors at `labels`."""
    for i in range(components.size):
        c = components[i]
        total = 0.0
        for f in range(factors.first[c], factors.first[c + 1]):
            x = entry(factors, states, f, labels)
            if x >= 0:
                total += np.float64(energies[factors.row[f, OFFSET] + x])
        out[i] = total


@kernel
def component_biases(components, first, variables, offsets, bias, labels, out):
    """out[i] += Σ of the bias of components[i]'s variables at `labels`; those are variables[first[c] : first[c + 1]]."""
    for i in range(components.size):
        total = 0.0
        for k in range(first[components[i]], first[components[i] + 1]):
            v = variables[k]
            if labels[v] >= 0:
                total += np.float64(bias[offsets[v] + labels[v]])
        out[i] += total


@kernel
def add_configurations(components, factors, states, labels, weight, gradient):
    """gradient[entry of each factor at `labels`] += weight."""
    for i in range(components.size):
        c = components[i]
        for f in range(factors.first[c], factors.first[c + 1]):
            x = entry(factors, states, f, labels)
            if x >= 0:
                gradient[factors.row[f, OFFSET] + x] += weight


@kernel
def subtract_configurations(components, factors, states, minuend, subtrahend, gradient):
    """gradient += configurations(minuend) − configurations(subtrahend), touching only factors that differ."""
    one = gradient.dtype.type(1)
    for i in range(components.size):
        c = components[i]
        for f in range(factors.first[c], factors.first[c + 1]):
            x = entry(factors, states, f, minuend)
            y = entry(factors, states, f, subtrahend)
            if x == y:
                continue
            if x >= 0:
                gradient[factors.row[f, OFFSET] + x] += one
            if y >= 0:
                gradient[factors.row[f, OFFSET] + y] -= one
