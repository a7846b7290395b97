"""Numbers from text: tokens between white space, floats correctly rounded.

A decimal number is w · 10^q with w of at most 18 digits. Where w < 2^53 and |q| ≤ 22 both w and 10^|q| are floats, so
that one multiplication or division rounds correctly (W. D. Clinger, "How to read floating point numbers accurately",
1990). Otherwise 10^q = t · 2^s (1 + δ) with a table of 64-bit t and 0 ≤ δ < 2^-63, and w · t is computed in 128 bits
(D. Lemire, "Number parsing at a gigabyte per second", 2021). If rounding that interval to 53 bits does not give one
float, if the result is subnormal or too large, or if w has more digits and the rest may matter, HARD is the answer and
Python converts the token: about one token in 300.

`state` int64: where a reader stands in the text and in its loops, so that it can be called again where it stopped.
"""

from __future__ import annotations

import math

import numpy as np

from .jit import inner, kernel

# What a reader returns: all read; call again; the file ends; Python must convert the token at state[AT]; it is no
# number; it is not from state[LEAST] to state[MOST].
DONE, MORE, END, HARD, WORD, RANGE = range(6)

# Columns of `state`: position in the text, items finished, entries written, what is left of the current item; which
# thing a refused token stands for, and what it may be.
AT, ITEM, ENTRY, LEFT, WHAT, LEAST, MOST = range(7)
#: Axes of a table that numpy can have beside the one for scopes; from column LABELS on is room for as many labels.
MOST_AXES = 31
LABELS = 7
STATE = LABELS + MOST_AXES

#: Tokens of one call, some 20 ms.
BUDGET = 1 << 20
#: Stands for integers of more than 18 digits.
LARGEST = 10**18

_MINUS, _PLUS, _DOT, _ZERO = ord("-"), ord("+"), ord("."), ord("0")
_LOWEST, _HIGHEST = -342, 308


def _powers() -> tuple[np.ndarray, np.ndarray]:
    """t uint64 and s int64 for q = −342 … 308: 10^q = t · 2^s, rounded down, 2^63 ≤ t < 2^64."""
    mantissas, exponents = [], []
    for q in range(_LOWEST, _HIGHEST + 1):
        if q >= 0:
            shift = (10**q).bit_length() - 64
            t = 10**q >> shift if shift >= 0 else 10**q << -shift
        else:
            shift = -63 - (10**-q).bit_length()
            t = (1 << -shift) // 10**-q
            if t >> 64:
                shift += 1
                t = (1 << -shift) // 10**-q
        mantissas.append(t)
        exponents.append(shift)
    return np.array(mantissas, np.uint64), np.array(exponents, np.int64)


_POWER, _SHIFT = _powers()
_EXACT = np.array([10.0**q for q in range(23)])


@inner
def blank(c):
    """Whether a byte is white space, as bytes.split() has it."""
    return c == 32 or 9 <= c <= 13


@inner
def skip(text, at):
    """Where the next token begins, or the end of the text."""
    while at < text.size and blank(text[at]):
        at += 1
    return at


@inner
def integer(text, at):
    """(code, value, end) of the token that begins at `at`: DONE or WORD; ±LARGEST for more than 18 digits."""
    i = at
    negative = text[i] == _MINUS
    if negative or text[i] == _PLUS:
        i += 1
    first = i
    value = 0
    while i < text.size and 0 <= np.int64(text[i]) - _ZERO <= 9:
        value = value * 10 + np.int64(text[i]) - _ZERO if value < 10**17 else LARGEST
        i += 1
    if i == first or (i < text.size and not blank(text[i])):
        return WORD, 0, i
    return DONE, -value if negative else value, i


@inner
def real(text, at):
    """(code, value, end) of the token that begins at `at`: DONE, WORD, or HARD for one that Python is to convert."""
    size = text.size
    i = at
    negative = text[i] == _MINUS
    if negative or text[i] == _PLUS:
        i += 1
    w, q, figures = 0, 0, 0
    cut, dot = False, False
    while i < size:
        digit = np.int64(text[i]) - _ZERO
        if 0 <= digit <= 9:
            figures += 1
            if w < 10**17:
                w = w * 10 + digit
                q -= dot
            else:
                cut = cut or digit > 0
                q += not dot
        elif text[i] == _DOT and not dot:
            dot = True
        else:
            break
        i += 1
    if figures == 0:
        return _infinity(text, i, negative)
    if i < size and text[i] | 32 == 101:  # e, E
        i += 1
        down = i < size and text[i] == _MINUS
        if i < size and (down or text[i] == _PLUS):
            i += 1
        first, power = i, 0
        while i < size and 0 <= np.int64(text[i]) - _ZERO <= 9:
            power = min(power * 10 + np.int64(text[i]) - _ZERO, 1 << 40)
            i += 1
        if i == first:
            return WORD, 0.0, i
        q += -power if down else power
    if i < size and not blank(text[i]):
        return WORD, 0.0, i
    if w == 0:
        value = 0.0
    elif w < 1 << 53 and -22 <= q <= 22 and not cut:
        value = w * _EXACT[q] if q >= 0 else w / _EXACT[-q]
    else:
        value = _scaled(w, q, cut)
        if value < 0:
            return HARD, 0.0, i
    return DONE, -value if negative else value, i


@inner
def _scaled(w, q, cut):
    """w · 10^q correctly rounded, or −1 where 128 bits do not say. With `cut`, more digits follow those of w."""
    if q < _LOWEST or q > _HIGHEST:
        return -1.0
    left = 0
    u = np.uint64(w)
    while u >> np.uint64(63) == 0:
        u = u << np.uint64(1)
        left += 1
    high = _high_product(u, _POWER[q - _LOWEST])  # the true product is in [high, high + slack) · 2^64
    slack = 2 + (1 + (1 << left) if cut else 0)
    drop = 11 if high >> np.uint64(63) else 10
    mantissa = np.int64(high >> np.uint64(drop))
    rest, half = np.int64(high & np.uint64((1 << drop) - 1)), 1 << (drop - 1)
    if rest > half and slack <= half:
        mantissa += 1
    elif rest + slack > half:
        return -1.0
    exponent = 64 + _SHIFT[q - _LOWEST] - left + drop
    if exponent < -1074 or exponent > 970:
        return -1.0
    return math.ldexp(float(mantissa), int(exponent))


@inner
def _high_product(a, b):
    """The upper 64 bits of a · b, uint64."""
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    a1, a0, b1, b0 = a >> half, a & low, b >> half, b & low
    middle = a1 * b0 + (a0 * b0 >> half)
    return a1 * b1 + (middle >> half) + ((a0 * b1 + (middle & low)) >> half)


@inner
def _infinity(text, i, negative):
    """`inf` and `infinity` in any case."""
    word = (105, 110, 102, 105, 110, 105, 116, 121)
    k = 0
    while i < text.size and k < 8 and text[i] | 32 == word[k]:
        i += 1
        k += 1
    if (k != 3 and k != 8) or (i < text.size and not blank(text[i])):
        return WORD, 0.0, i
    return DONE, -np.inf if negative else np.inf, i


@kernel
def read_integers(text, state, least, most, out):
    """Fill `out`, int64, with the next integers, each from `least` to `most`."""
    at, entry = state[AT], state[ENTRY]
    code = DONE
    while entry < out.size:
        at = skip(text, at)
        if at == text.size:
            code = END
            break
        code, value, end = integer(text, at)
        if code != DONE or not least <= value <= most:
            code = WORD if code != DONE else RANGE
            state[LEAST], state[MOST] = least, most
            break
        out[entry] = value
        entry += 1
        at = end
    state[AT], state[ENTRY] = at, entry
    return code
