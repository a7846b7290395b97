"""Byte strings to numbers, in order of first appearance: an open table with linear probing at load ≤ 2/3.

    h(s) = Σ_i c_i B^(n − i) mod p,    p = 2³¹ − 1,    c_i = bytes 3 i … 3 i + 2 as a number

B is drawn at random by every process, so that no text can be written whose strings collide (J. L. Carter and M. N.
Wegman, "Universal classes of hash functions", 1979). Numbers do not depend on it. Nothing overflows 63 bits: with a sum
reduced once to below 2³³ and B < 2³⁰, one multiplication fits.

A string is `source[starts[i] : ends[i]]`. A vocabulary is `text` uint8, string r at `offsets[r] : offsets[r + 1]`, and
`table` int64: hash · 2³² + number, or −1; its size is a power of two.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .simd import get, prefetch

#: Columns of a vocabulary's `state`: strings, bytes used, B, whether strings are added, the string to go on with.
COUNT, USED, BASE, ADD, ITEM = range(5)
STATE = 5
#: What `intern` returns: all done, or something must grow before it is called again.
DONE, FULL = range(2)
#: Strings hashed before they are looked up.
BLOCK = 64
#: Strings of one call, some 20 ms.
BUDGET = 1 << 19

_PRIME = (1 << 31) - 1
_LOW = (1 << 32) - 1
_FIXED = 0x2545F491


@inner
def mix(x, base):
    """x · base for x < 2³³ and base < 2³⁰, reduced once: equal to it mod p, and below 3/2 · 2³²: 2³¹ more may be added
    before the next."""
    product = x * base
    return (product & _PRIME) + (product >> 31)


@inner
def settle(h):
    """A number below 2³³ mod p."""
    h = (h & _PRIME) + (h >> 31)
    return h - _PRIME if h >= _PRIME else h


@inner
def _byte(source, i):
    return np.int64(get(source, i))


@inner
def hash_bytes(source, first, last, base):
    """h of source[first:last], 0 … p − 1."""
    h = 1
    i = first
    while i + 3 <= last:
        h = mix(h + (_byte(source, i) << 16 | _byte(source, i + 1) << 8 | _byte(source, i + 2)), base)
        i += 3
    if i < last:
        chunk = _byte(source, i)
        if i + 1 < last:
            chunk = chunk << 8 | _byte(source, i + 1)
        h = mix(h + chunk, base)
    return settle(h)


@kernel
def intern(source, starts, ends, text, offsets, table, state, scratch, out):
    """out[i], int32, is the number of string i; with ADD a new one gets the next number, else −1.

    scratch: int64 (BLOCK,), hashes. Lines of the table and of offsets are fetched ahead, block by block.
    """
    mask, base, add = table.size - 1, state[BASE], state[ADD] != 0
    count, used = state[COUNT], state[USED]
    code = DONE
    at = state[ITEM]
    while at < starts.size and code == DONE:
        block = min(BLOCK, starts.size - at)
        for i in range(block):
            h = hash_bytes(source, starts[at + i], ends[at + i], base)
            scratch[i] = h
            prefetch(table, h & mask)
        for i in range(block):
            prefetch(offsets, get(table, scratch[i] & mask) & _LOW)
        for i in range(block):
            first, last, h = starts[at + i], ends[at + i], scratch[i]
            k = h & mask
            number = -1
            while get(table, k) >= 0:
                if get(table, k) >> 32 == h:
                    r = get(table, k) & _LOW
                    shift = get(offsets, r) - first
                    if get(offsets, r + 1) - shift == last:
                        j = first
                        while j < last and get(text, j + shift) == get(source, j):
                            j += 1
                        if j == last:
                            number = r
                            break
                k = (k + 1) & mask
            if number < 0 and add:
                if 3 * count >= 2 * table.size or count + 1 >= offsets.size or used + last - first > text.size:
                    block, code = i, FULL
                    break
                for j in range(first, last):
                    text[used] = source[j]
                    used += 1
                table[k] = h << 32 | count
                number = count
                count += 1
                offsets[count] = used
            out[at + i] = number
        at += block
    state[COUNT], state[USED], state[ITEM] = count, used, at
    return code


@kernel
def rehash(old, table):
    """Move the entries of one table to an empty, larger one."""
    mask = table.size - 1
    for e in range(old.size):
        if old[e] >= 0:
            k = (old[e] >> 32) & mask
            while table[k] >= 0:
                k = (k + 1) & mask
            table[k] = old[e]


@kernel
def hash_all(source, starts, ends, mask, out):
    """out[i] = hash & mask of string i, to the same base always."""
    for i in range(starts.size):
        out[i] = hash_bytes(source, starts[i], ends[i], _FIXED) & mask
