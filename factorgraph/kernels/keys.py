"""Templates over columns of numbers: tuples of neighbouring entries to keys, keys to features.

    key = (… (v_1 r_2 + v_2) r_3 + …) r_n + v_n,    v_q = entry at p + offset_q of column c_q, 0 ≤ v_q < r_q

Columns are laid out with a margin before and after every sequence, as wide as the farthest offset, so that keys of all
positions are one loop without a branch. In it stand 0 before and 1 after a sequence, or SKIPPED; numbers of strings are
raised by 2. A key with an entry below 0 is no key: SKIPPED where any entry is, else UNKNOWN.

A feature is the number of a key in order of first appearance, found in `direct` (int32, by key) or `table` (int64,
open: entry k is table[2 k] = key or −1, table[2 k + 1] = feature), whichever is not empty.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .simd import get, prefetch
from .strings import mix, settle

#: What stands for no key, and for no feature.
UNKNOWN, SKIPPED = -1, -2
#: Columns of `parts`, one row for each q: column, offset, r_q.
COLUMN, OFFSET, RADIX = range(3)
#: Columns of `state` of `number`: the position to go on with, the last one + 1, entries of a row of `columns`,
#: features, base of the hash, whether features are added.
AT, LAST, ROW, COUNT, BASE, ADD = range(6)
#: And of `compact`: the first token, the last one + 1, a sequence not behind it, entries written, unknown ones.
TOKEN, END, SEQUENCE, ENTRIES, DROPPED = range(5)
STATE = 6
DONE, FULL = range(2)
#: Positions of which keys are made before they are looked up: their lines of the table are fetched ahead.
BLOCK = 128
#: Positions of one call, some 20 ms.
BUDGET = 1 << 20

_HALF = (1 << 31) - 1


@kernel
def lay_out(numbers, rename, indptr, margin, before, after, out):
    """out[p] = rename[numbers[t]] + 2 for token t, or UNKNOWN where that is negative, with margins around sequences."""
    p = 0
    for s in range(indptr.size - 1):
        for _ in range(margin):
            out[p] = before
            p += 1
        for t in range(indptr[s], indptr[s + 1]):
            number = rename[numbers[t]]
            out[p] = number + 2 if number >= 0 else UNKNOWN
            p += 1
        for _ in range(margin):
            out[p] = after
            p += 1


@inner
def _make_keys(columns, row, parts, first, count, scratch):
    """scratch[i] = key of position first + i, scratch[BLOCK + i] = the least of its entries; and of column 0."""
    for i in range(count):
        scratch[i] = 0
        scratch[BLOCK + i] = get(columns, first + i)
    for q in range(len(parts)):
        start, radix = parts[q, COLUMN] * row + parts[q, OFFSET] + first, parts[q, RADIX]
        for i in range(count):
            v = get(columns, start + i)
            scratch[i] = scratch[i] * radix + v
            scratch[BLOCK + i] = min(scratch[BLOCK + i], v)


@inner
def _slot(key, base, mask):
    """Where a key 0 … 2⁶² − 1 belongs in a table of mask + 1 entries."""
    return settle(mix(mix(key >> 31, base) + (key & _HALF), base)) & mask


@kernel
def number(columns, parts, direct, table, keys, state, scratch, out):
    """out[p], int32, is the feature at position p, or UNKNOWN or SKIPPED; with ADD, new keys get the next numbers.

    columns: int32, flat, rows of ROW positions, margins included; row 0 is below 0 in margins only.
    parts: int64 (n, 3). keys: int64, those of all features. scratch: int64 (3 BLOCK,).
    """
    at, last, row = state[AT], state[LAST], state[ROW]
    count, base, add = state[COUNT], state[BASE], state[ADD] != 0
    mask = table.size // 2 - 1
    code = DONE
    while at < last and code == DONE:
        block = min(BLOCK, last - at)
        _make_keys(columns, row, parts, at, block, scratch)
        for i in range(block):
            if direct.size:
                scratch[2 * BLOCK + i] = scratch[i]
                prefetch(direct, scratch[i])
            else:
                k = _slot(scratch[i], base, mask)
                scratch[2 * BLOCK + i] = k
                prefetch(table, 2 * k)
        for i in range(block):
            feature = scratch[BLOCK + i]
            if feature >= 0:
                key, k = scratch[i], scratch[2 * BLOCK + i]
                if direct.size:
                    feature = np.int64(get(direct, k))
                else:
                    while get(table, 2 * k) >= 0 and get(table, 2 * k) != key:
                        k = (k + 1) & mask
                    feature = get(table, 2 * k + 1) if get(table, 2 * k) >= 0 else UNKNOWN
                if feature < 0 and add:
                    if count == keys.size or (direct.size == 0 and 4 * count >= table.size):
                        block, code = i, FULL
                        break
                    if direct.size:
                        direct[k] = count
                    else:
                        table[2 * k] = key
                        table[2 * k + 1] = count
                    keys[count] = key
                    feature = count
                    count += 1
            out[at + i] = feature
        at += block
    state[AT], state[COUNT] = at, count
    return code


@kernel
def fill(keys, base, table):
    """Put all keys into an open table with room for them, −1 throughout."""
    mask = table.size // 2 - 1
    for feature in range(keys.size):
        key = keys[feature]
        k = _slot(key, base, mask)
        while table[2 * k] >= 0:
            k = (k + 1) & mask
        table[2 * k] = key
        table[2 * k + 1] = feature


@kernel
def compact(rows, firsts, indptr, margin, state, out_indptr, out):
    """Features of tokens state[TOKEN] … state[END] − 1, one token after the other: template j's feature f is
    firsts[j] + f.

    rows: int32 (templates, positions). indptr: int64, of the sequences in `rows`. out_indptr: int64, its entry t + 1 is
    where the entries of token t end.
    """
    s, e, dropped = state[SEQUENCE], state[ENTRIES], state[DROPPED]
    for t in range(state[TOKEN], state[END]):
        while indptr[s + 1] <= t:
            s += 1
        p = t + margin * (2 * s + 1)
        for j in range(len(rows)):
            feature = rows[j, p]
            if feature >= 0:
                out[e] = firsts[j] + feature
                e += 1
            elif feature == UNKNOWN:
                dropped += 1
        out_indptr[t + 1] = e
    state[SEQUENCE], state[ENTRIES], state[DROPPED] = s, e, dropped
