"""Linear energies of a sparse parameter, and their gradient.

    E[t, j] = Σ_e x[e] θ[p]       over entries e of row t and weights p with feature[p] = indices[e] and column[p] = j
    G[p] = Σ_t x[t, feature[p]] g[t, column[p]]

Feature f has the weights pointers[f] … pointers[f + 1] − 1. An empty `data` means that all entries are 1; an empty
`rows` stands for all rows in order.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel
from .simd import get


@kernel
def score_pairs(features, pointers, columns, weights, rows, first, last, out):
    """Energies of tables rows[first:last] into their rows of out (tables, width). features: (indptr, indices, data).
    False where one may be NaN or −inf."""
    indptr, indices, data = features
    least = np.inf
    for i in range(first, last):
        t = rows[i] if rows.size > 0 else i
        out[t] = 0
        for e in range(get(indptr, t), get(indptr, t + 1)):
            f = np.int64(get(indices, e))
            x = out.dtype.type(1) if data.size == 0 else out.dtype.type(get(data, e))
            for p in range(get(pointers, f), get(pointers, f + 1)):
                out[t, get(columns, p)] += x * get(weights, p)
        for j in range(out.shape[1]):
            least = out[t, j] if not out[t, j] >= least else least
    return least > -np.inf


@kernel
def add_pairs(features, pointers, columns, gradient, tables, first, last, out):
    """out[p] += gradient by weight p, of tables[first:last]; gradient (tables, width), out float64."""
    indptr, indices, data = features
    for i in range(first, last):
        t = tables[i]
        for e in range(get(indptr, t), get(indptr, t + 1)):
            f = np.int64(get(indices, e))
            x = 1.0 if data.size == 0 else np.float64(get(data, e))
            for p in range(get(pointers, f), get(pointers, f + 1)):
                out[p] += x * gradient[t, get(columns, p)]


@kernel
def list_pairs(features, pointers, columns, gradient, tables, pairs, values):
    """The same as a list: contribution k is values[k] to weight pairs[k], zeros left out. Returns how many; with no
    room in `pairs`, how many there are at most."""
    indptr, indices, data = features
    count = 0
    for i in range(tables.size):
        t = tables[i]
        for e in range(get(indptr, t), get(indptr, t + 1)):
            f = np.int64(get(indices, e))
            if pairs.size == 0:
                count += get(pointers, f + 1) - get(pointers, f)
                continue
            x = 1.0 if data.size == 0 else np.float64(get(data, e))
            for p in range(get(pointers, f), get(pointers, f + 1)):
                value = x * gradient[t, get(columns, p)]
                if value != 0:
                    pairs[count] = p
                    values[count] = value
                    count += 1
    return count
