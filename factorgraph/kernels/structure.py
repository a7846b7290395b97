"""From scopes to components: union-find, the factor table, folding of parallel factors, classes.

A component is a *forest* component exactly when its distinct scopes satisfy Σ (arity − 1) = variables − 1
(the bipartite graph of variables and factors is then a tree). Factors over one set of variables count once:
they are folded into one edge.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel

#: Classes of components.
ISOLATED, CHAIN, TREE, LATTICE, LOOPY = range(5)

#: Columns of Factors.row.
OFFSET, KIND, SCOPE = range(3)


class Factors(NamedTuple):
    """All factors of arity ≥ 1, sorted by component: component c owns rows `first[c] : first[c + 1]`.

    row int64 (F + 1, 3): OFFSET where the factor's table starts in the energies, KIND (see tables.py), SCOPE where its
    variables start in `var` (they end where the next row's start). first int64 (C + 1,), var int32.
    """

    first: np.ndarray
    row: np.ndarray
    var: np.ndarray


@inner
def find(parent, v):
    """Root of v, halving the path on the way."""
    while parent[v] != v:
        parent[v] = parent[parent[v]]
        v = parent[v]
    return v


@kernel
def unite(scopes, parent):
    """Unite the variables of each scope; roots are the smallest variables."""
    for f in range(scopes.shape[0]):
        a = find(parent, scopes[f, 0])
        for k in range(1, scopes.shape[1]):
            b = find(parent, scopes[f, k])
            if a < b:
                parent[b] = a
            elif b < a:
                parent[a] = b
                a = b


@kernel
def place_factors(scopes, table, block, component, cursor, entry, row, var):
    """Write a block's factors behind their components' cursors.

    `table` is empty where factor f reads table f; block = (start, size of a table, kind).
    """
    start, size, kind = block
    for f in range(scopes.shape[0]):
        c = component[scopes[f, 0]]
        i = cursor[c]
        e = entry[c]
        row[i, OFFSET] = start + size * (f if table.size == 0 else table[f])
        row[i, KIND] = kind
        row[i, SCOPE] = e
        for k in range(scopes.shape[1]):
            var[e + k] = scopes[f, k]
        cursor[c] = i + 1
        entry[c] = e + scopes.shape[1]


@inner
def _same_scope(row, var, f, g):
    a = row[f, SCOPE]
    b = row[g, SCOPE]
    arity = row[f + 1, SCOPE] - a
    if row[g + 1, SCOPE] - b != arity:
        return False
    for i in range(arity):
        found = False
        for j in range(arity):
            if var[a + i] == var[b + j]:
                found = True
        if not found:
            return False
    return True


@kernel
def fold_parallel(factors, suspect, degree, head, following, out):
    """out[f] = the first factor over the same set of variables, in components where `suspect` is set.

    Every factor is kept in a list of its variable of least degree (head (V,) and following (F,) start as −1), so that
    lists are short: Σ min(degree) over pairs is O(F^1.5), whatever the graph.
    """
    row = factors.row
    for c in range(suspect.size):
        for f in range(factors.first[c], factors.first[c + 1]):
            out[f] = f
            if not suspect[c] or row[f + 1, SCOPE] - row[f, SCOPE] < 2:
                continue
            v = factors.var[row[f, SCOPE]]
            for e in range(row[f, SCOPE] + 1, row[f + 1, SCOPE]):
                u = factors.var[e]
                if degree[u] < degree[v] or (degree[u] == degree[v] and u < v):
                    v = u
            g = head[v]
            while g >= 0 and not _same_scope(row, factors.var, g, f):
                g = following[g]
            if g >= 0:
                out[f] = g
            else:
                following[f] = head[v]
                head[v] = f


@kernel
def measure_grid(factors, c, out):
    """out = (lowest variable, highest, largest distance of a pair, number of pairs, their KIND) of component c.

    False where a scope is larger than a pair or the pairs are of several kinds.
    """
    row, var = factors.row, factors.var
    out[0], out[1], out[2], out[3] = np.int64(2) ** 62, -1, 0, 0
    for f in range(factors.first[c], factors.first[c + 1]):
        arity = row[f + 1, SCOPE] - row[f, SCOPE]
        if arity > 2:
            return False
        if arity == 2:
            a = np.int64(var[row[f, SCOPE]])
            b = np.int64(var[row[f, SCOPE] + 1])
            if out[3] == 0:
                out[4] = row[f, KIND]
            if row[f, KIND] != out[4]:
                return False
            out[0] = min(out[0], a, b)
            out[1] = max(out[1], a, b)
            out[2] = max(out[2], abs(a - b))
            out[3] += 1
    return True


@kernel
def place_grid(factors, c, first, right, down):
    """OFFSET of the pairs to the right and down of each pixel of a raster from variable `first` on; both −1 before.

    False where a pair joins no such neighbours, or the same ones as another.
    """
    row, var = factors.row, factors.var
    width = down.shape[1]
    for f in range(factors.first[c], factors.first[c + 1]):
        if row[f + 1, SCOPE] - row[f, SCOPE] != 2:
            continue
        a = np.int64(var[row[f, SCOPE]]) - first
        b = np.int64(var[row[f, SCOPE] + 1]) - first
        low = min(a, b)
        x = low % width
        if abs(a - b) == width:
            into = down
        elif abs(a - b) == 1 and x < width - 1:
            into = right
        else:
            return False
        if into[low // width, x] >= 0:
            return False
        into[low // width, x] = row[f, OFFSET]
    return True


@kernel
def place_unaries(factors, c, first, start):
    """OFFSET of the table of each variable of component c, counted from `first`; −1 before. False where one has two."""
    row, var = factors.row, factors.var
    for f in range(factors.first[c], factors.first[c + 1]):
        if row[f + 1, SCOPE] - row[f, SCOPE] == 1:
            v = var[row[f, SCOPE]] - first
            if start[v] >= 0:
                return False
            start[v] = row[f, OFFSET]
    return True
