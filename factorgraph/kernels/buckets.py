"""Bucket elimination laid out (Dechter 1999): which tables meet where, and how large everything is.

Free variables are numbered by their *position* in the order of elimination. The bucket of position i holds the factors
whose first free variable it is and the messages of earlier buckets whose separators begin with i. Its clique is i and
the separator S_i, all other variables of what it holds; its own message is a table over S_i.

A bucket is worked on in *rows*, some axes of its separator together, the last of `sep`. They are chosen among the axes
that most entries of its messages know, for what knows all of them is read in whole vectors; and every message is laid
out as its reader wants it: the variable that is eliminated there slowest, the axes of the reader's rows fastest.

Only states that are allowed count: those without infinite bias and without an infinite energy of their own.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .jit import inner, kernel
from .structure import OFFSET, SCOPE

#: Separator axes go into one row of cells until it has this many; they stay out where it would pass the second.
ROW, LONGEST_ROW = 64, 2048

#: Columns of Buckets.size.
MESSAGE, OUTSIDE, CELLS, ROWS, TABLES, ENTRIES, INDICES = range(7)


class Allowed(NamedTuple):
    """States that a question leaves to variables.

    left int32 (V,): how many; label int32 (variable states): the allowed ones of v, ascending, are
    label[offsets[v] : offsets[v] + left[v]]; slot int32 (variable states): where a state is in that list, or −1.
    """

    left: np.ndarray
    label: np.ndarray
    slot: np.ndarray


class Buckets(NamedTuple):
    """The buckets of some components, by position.

    var, states int32 (n,): the variable eliminated and its allowed states. position int32 (V,), −1 where not free.
    sep_ptr int64 (n + 1,) into sep int32: positions of the separators, axes of rows last, and into layout int32: the
    same as axes of the message, the last fastest. source_ptr int64 (n + 1,) into source int64: what a bucket holds,
    f ≥ 0 for the factor in row f, −1 − j for the message of bucket j. message int64 (n,): where each message starts.
    size int64 (n, 7): entries of the MESSAGE, axes OUTSIDE of rows, CELLS of a row, entries of a table over the
    variable and a row (ROWS), of copies of its factors' TABLES, of all it holds (ENTRIES), and of lists of a row's
    cells (INDICES).
    """

    var: np.ndarray
    states: np.ndarray
    position: np.ndarray
    sep_ptr: np.ndarray
    sep: np.ndarray
    layout: np.ndarray
    source_ptr: np.ndarray
    source: np.ndarray
    message: np.ndarray
    size: np.ndarray


@kernel
def allow(components, first, variables, factors, offsets, energies, bias, allowed):
    """Fill `allowed` for the variables of the listed components, variables[first[c] : first[c + 1]]."""
    for c in components:
        for x in range(first[c], first[c + 1]):
            v = variables[x]
            for k in range(offsets[v], offsets[v + 1]):
                allowed.slot[k] = 0 if bias.size == 0 or bias[k] < np.inf else -1
        for f in range(factors.first[c], factors.first[c + 1]):
            if factors.row[f + 1, SCOPE] - factors.row[f, SCOPE] == 1:
                v = factors.var[factors.row[f, SCOPE]]
                for k in range(offsets[v], offsets[v + 1]):
                    if energies[factors.row[f, OFFSET] + k - offsets[v]] == np.inf:
                        allowed.slot[k] = -1
        for x in range(first[c], first[c + 1]):
            v = variables[x]
            count = 0
            for k in range(offsets[v], offsets[v + 1]):
                if allowed.slot[k] == 0:
                    allowed.slot[k] = count
                    allowed.label[offsets[v] + count] = k - offsets[v]
                    count += 1
            allowed.left[v] = count


@inner
def choose_rows(b, i, end, score):
    """Put the axes of rows last in the separator of bucket i, those of the largest score; ascending otherwise."""
    start = b.sep_ptr[i]
    cells = np.int64(1)
    last = end
    while last > start and cells < ROW:
        best = -1
        for y in range(last - 1, start - 1, -1):
            states = np.int64(b.states[b.sep[y]])
            if (cells < 8 or cells * states <= LONGEST_ROW) and (best < 0 or score[b.sep[y]] > score[b.sep[best]]):
                best = y
        if best < 0:
            break
        axis = b.sep[best]
        for y in range(best, last - 1):
            b.sep[y] = b.sep[y + 1]
        last -= 1
        b.sep[last] = axis
        cells *= b.states[axis]
    b.size[i, OUTSIDE] = last - start
    b.size[i, CELLS] = cells


@inner
def scope_of(b, factors, i, source, scope):
    """Positions of what bucket i holds, as axes of its table: i, then as in the separator. Returns how many."""
    count = 1
    scope[0] = i
    if source < 0:
        j = -1 - source
        for x in range(b.sep_ptr[j] + 1, b.sep_ptr[j + 1]):
            scope[count] = b.layout[x]
            count += 1
        return count
    for x in range(b.sep_ptr[i], b.sep_ptr[i + 1]):
        for e in range(factors.row[source, SCOPE], factors.row[source + 1, SCOPE]):
            if b.position[factors.var[e]] == b.sep[x]:
                scope[count] = b.sep[x]
                count += 1
    return count


@kernel
def first_positions(components, factors, position, rows, bucket):
    """rows[x] = the x-th factor of the listed components, bucket[x] = its first position, n where nothing is free."""
    x = 0
    for c in components:
        for f in range(factors.first[c], factors.first[c + 1]):
            first = bucket[x]
            for e in range(factors.row[f, SCOPE], factors.row[f + 1, SCOPE]):
                p = position[factors.var[e]]
                if p >= 0 and p < first:
                    first = p
            rows[x] = f
            bucket[x] = first
            x += 1


@kernel
def find_separators(factors, b, ptr, rows, parent, following, score):
    """Fill sep, layout and size, and parent[i] = the bucket that reads message i, n for none.

    rows[ptr[i] : ptr[i + 1]] are the factors of bucket i; following int64 (2, n) and score float64 (n,) are scratch.
    """
    n = b.var.size
    following[:] = -1  # messages of one bucket: the last one that was sent, and the one sent before each
    score[:] = 0
    for i in range(n):
        start = b.sep_ptr[i]
        end = start
        tables = np.int64(0)
        wide = 1
        for x in range(ptr[i], ptr[i + 1]):
            entries = np.int64(1)
            for e in range(factors.row[rows[x], SCOPE], factors.row[rows[x] + 1, SCOPE]):
                p = b.position[factors.var[e]]
                if p >= 0:
                    entries *= b.states[p]
                    if p != i:
                        end = _insert(b.sep, start, end, p)
            tables += aligned(entries)
            wide += entries > b.states[i]
        held = tables
        j = following[0, i]
        while j >= 0:
            for y in range(b.sep_ptr[j], b.sep_ptr[j + 1]):
                if b.sep[y] != i:
                    end = _insert(b.sep, start, end, b.sep[y])
                score[b.sep[y]] += b.size[j, MESSAGE]
            held += aligned(b.size[j, MESSAGE])
            wide += b.sep_ptr[j + 1] - b.sep_ptr[j] > 1
            j = following[1, j]
        cells = np.int64(1)
        for y in range(start, end):
            cells *= b.states[b.sep[y]]
        parent[i] = n
        if end > start:
            parent[i] = b.sep[start]
            following[1, i] = following[0, parent[i]]
            following[0, parent[i]] = i
        choose_rows(b, i, end, score)
        j = following[0, i]
        while j >= 0:
            for y in range(b.sep_ptr[j], b.sep_ptr[j + 1]):
                score[b.sep[y]] = -1.0
            b.layout[b.sep_ptr[j]] = i
            x = b.sep_ptr[j] + 1
            for y in range(start, end):
                if score[b.sep[y]] < 0:
                    b.layout[x] = b.sep[y]
                    x += 1
            for y in range(b.sep_ptr[j], b.sep_ptr[j + 1]):
                score[b.sep[y]] = 0.0
            j = following[1, j]
        b.size[i, MESSAGE] = cells
        b.size[i, ROWS] = aligned(b.states[i] * b.size[i, CELLS])
        b.size[i, TABLES] = tables
        b.size[i, ENTRIES] = held
        b.size[i, INDICES] = (wide + 1) * b.size[i, CELLS]


@inner
def aligned(entries):
    """Entries of room for a table that is written in whole vectors."""
    return (entries + 15) // 8 * 8


@inner
def _insert(values, start, end, value):
    """Insert into an ascending list without repeats; returns its end."""
    x = end
    while x > start and values[x - 1] > value:
        x -= 1
    if x > start and values[x - 1] == value:
        return end
    for y in range(end, x, -1):
        values[y] = values[y - 1]
    values[x] = value
    return end + 1
