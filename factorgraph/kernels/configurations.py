"""What a labelling costs and which table entries it uses.

A factor any of whose variables is labelled −1 (an arc off the path, an undecided variable) contributes nothing.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .structure import KIND, OFFSET, SCOPE
from .tables import COUNT, POTTS


@inner
def _counted(factors, f, labels):
    code = factors.row[f, KIND] - COUNT
    last = factors.row[f + 1, SCOPE] - (code >> 1 & 1)
    count = 0
    for e in range(factors.row[f, SCOPE], last):
        label = labels[factors.var[e]]
        if label < 0:
            return -1
        if label == code & 1:
            count += 1
    count = min(count, code >> 2)
    if code & 2 == 0:
        return count
    label = labels[factors.var[last]]
    return 2 * count + label if label >= 0 else -1


@inner
def entry(factors, states, f, labels):
    """Distance of factor f's entry from its table's start under `labels`; −1 where it contributes nothing."""
    if factors.row[f, KIND] == POTTS:
        a = labels[factors.var[factors.row[f, SCOPE]]]
        b = labels[factors.var[factors.row[f, SCOPE] + 1]]
        return 0 if a >= 0 and b >= 0 and a != b else -1
    if factors.row[f, KIND] >= COUNT:
        return _counted(factors, f, labels)
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
    """out[i] += Σ of the bias at `labels` of components[i]'s variables, variables[first[c] : first[c + 1]]."""
    for i in range(components.size):
        total = 0.0
        for k in range(first[components[i]], first[components[i] + 1]):
            v = variables[k]
            if labels[v] >= 0:
                total += np.float64(bias[offsets[v] + labels[v]])
        out[i] += total


@kernel
def add_configurations(components, factors, states, labels, weights, gradient):
    """gradient[entry of each factor of components[i] at `labels`] += weights[i] (float64)."""
    for i in range(components.size):
        c = components[i]
        weight = weights[i]
        for f in range(factors.first[c], factors.first[c + 1]):
            x = entry(factors, states, f, labels)
            if x >= 0:
                gradient[factors.row[f, OFFSET] + x] += weight


@kernel
def contrast_configurations(components, factors, states, energies, correct, other, gradient, value):
    """gradient += configurations(correct) − configurations(other); value[i] = E(correct) − E(other), float64.

    Only factors that differ are read and written. Where the correct labelling costs +inf, value[i] is +inf and the
    gradient stays as it was.
    """
    one = gradient.dtype.type(1)
    for i in range(components.size):
        first = factors.first[components[i]]
        last = factors.first[components[i] + 1]
        total = 0.0
        for f in range(first, last):
            x = entry(factors, states, f, correct)
            y = entry(factors, states, f, other)
            at = factors.row[f, OFFSET]
            if x >= 0:
                if energies[at + x] == np.inf:
                    total = np.inf
                    last = f
                    break
                if x != y:
                    gradient[at + x] += one
                    total += np.float64(energies[at + x])
            if y >= 0 and x != y:
                gradient[at + y] -= one
                total -= np.float64(energies[at + y])
        value[i] = total
        if total == np.inf:
            for f in range(first, last):
                x = entry(factors, states, f, correct)
                y = entry(factors, states, f, other)
                if x != y:
                    if x >= 0:
                        gradient[factors.row[f, OFFSET] + x] -= one
                    if y >= 0:
                        gradient[factors.row[f, OFFSET] + y] += one


@kernel
def clear_rows(flat, start, size, rows):
    """Zero the tables `rows` of a block."""
    for i in range(rows.size):
        for k in range(start + rows[i] * size, start + rows[i] * size + size):
            flat[k] = 0
