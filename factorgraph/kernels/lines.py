"""Lines of text to the places of their fields: token columns, and labels with attributes.

Both readers get whole lines (the last byte of `text` is a line feed), go on where `state` says, and answer DONE, FULL
(the caller takes what was found and calls again), or what is wrong with the line that begins at state[BEGIN]. Carriage
returns at the end of a line are no part of it; a line of blanks ends a sequence.
"""

from __future__ import annotations

import numpy as np

from .jit import inner, kernel
from .simd import get
from .text import DONE as READ
from .text import HARD as UNREAD
from .text import real

#: What a reader returns: all lines read; no room for another; too few or many fields, of which state[FIELDS] were
#: found; the value of the last entry, from state[BEGIN] to state[AT], which Python must convert, or which is no number;
#: a label with ":".
DONE, FULL, RAGGED, HARD, NUMBER, LABEL = range(6)
#: Columns of `state`: position; lines done; tokens and entries found so far; sequences that ended;
#: tokens since then; start of the line or value at hand, fields of the line that were found; size of the text.
AT, LINE, TOKENS, ENTRIES, SEQUENCES, OPEN, BEGIN, FIELDS, SIZE = range(9)
STATE = 9
#: How fields are separated: by blanks and tabs; by one tab; by one tab in CoNLL-U, where comments, ranges of tokens and
#: empty nodes are skipped.
BLANKS, TABS, CONLLU = range(3)

#: The largest float32.
LARGEST = float(np.finfo(np.float32).max)

_TAB, _FEED, _RETURN, _SPACE = 9, 10, 13, 32
_HASH, _DASH, _DOT, _COLON, _ESCAPE = 35, 45, 46, 58, 92


@inner
def _line_end(text, at):
    """Where a line ends."""
    end = at
    while get(text, end) != _FEED:
        end += 1
    while end > at and get(text, end - 1) == _RETURN:
        end -= 1
    return end


@inner
def _empty(text, at, end):
    while at < end and (get(text, at) == _SPACE or get(text, at) == _TAB):
        at += 1
    return at == end


@inner
def _skipped(text, at, end):
    """Whether a line of CoNLL-U is no word: a comment, or one whose first field has "-" or "."."""
    if get(text, at) == _HASH:
        return True
    while at < end and get(text, at) != _TAB:
        if get(text, at) == _DASH or get(text, at) == _DOT:
            return True
        at += 1
    return False


@inner
def _ends(text, at):
    """Whether nothing but the end of a line is there."""
    while get(text, at) == _RETURN:
        at += 1
    return get(text, at) == _FEED


@inner
def _by_blanks(text, at, wanted, t, first, last):
    """(fields of a line, where it ends): fields hold no blanks and tabs."""
    f = 0
    while True:
        while get(text, at) == _SPACE or get(text, at) == _TAB:
            at += 1
        if get(text, at) <= _RETURN and _ends(text, at):
            return f, at
        start = at
        while True:
            at += 1
            while get(text, at) > _SPACE:
                at += 1
            c = get(text, at)
            if c == _SPACE or c == _TAB or (c <= _RETURN and _ends(text, at)):
                break
        if f < wanted.size and wanted[f] >= 0:
            first[wanted[f], t] = start
            last[wanted[f], t] = at
        f += 1


@inner
def _by_tabs(text, at, wanted, t, first, last):
    """(fields of a line, where it ends): fields may be empty."""
    f = 0
    while True:
        start = at
        while get(text, at) > _RETURN or not (get(text, at) == _TAB or _ends(text, at)):
            at += 1
        if f < wanted.size and wanted[f] >= 0:
            first[wanted[f], t] = start
            last[wanted[f], t] = at
        f += 1
        if get(text, at) != _TAB:
            return f, at
        at += 1


@kernel
def split(text, layout, wanted, state, first, last, lengths):
    """Places of fields: field f of token t is text[first[wanted[f], t] : last[wanted[f], t]], where wanted[f] ≥ 0.

    first, last: int64 (columns, tokens), as many as there is room for. lengths: int64 (tokens + 1,), of the sequences
    that ended.
    """
    at, t, line, since = state[AT], 0, state[LINE], state[OPEN]
    found = 0
    code = DONE
    while at < text.size:
        if t == first.shape[1]:
            code = FULL
            break
        if layout == BLANKS:
            fields, end = _by_blanks(text, at, wanted, t, first, last)
        else:
            end, fields = _line_end(text, at), 0
            if not _empty(text, at, end):
                fields = -1
                if layout != CONLLU or not _skipped(text, at, end):
                    fields, end = _by_tabs(text, at, wanted, t, first, last)
        if fields == wanted.size:
            t += 1
            since += 1
        elif fields == 0:
            if since > 0:
                lengths[found] = since
                found += 1
            since = 0
        elif fields > 0:
            code = RAGGED
            state[BEGIN], state[FIELDS] = at, fields
            break
        while get(text, end) != _FEED:
            end += 1
        at = end + 1
        line += 1
    state[AT], state[LINE], state[OPEN] = at, line, since
    state[TOKENS], state[SEQUENCES], state[SIZE] = t, found, text.size
    return code


@inner
def _unescape(text, at, end):
    """(end of the name that begins at `at`, once it is moved together, where the field goes on): a name ends at ":" or
    a tab; a backslash before ":" or a backslash is dropped."""
    write = at
    while at < end and get(text, at) != _COLON and get(text, at) != _TAB:
        if get(text, at) == _ESCAPE and at + 1 < end and (text[at + 1] == _COLON or text[at + 1] == _ESCAPE):
            at += 1
        text[write] = text[at]
        write += 1
        at += 1
    return write, at


@kernel
def split_attributes(text, state, labels, sizes, first, last, values, lengths):
    """Labels and attributes: label TAB name[:value] TAB name[:value] …

    labels: int64 (2, tokens), places of labels. sizes: int64 (tokens,), entries of each. first, last: int64
    (entries,), places of names. values: float64 (entries,). lengths: int64 (tokens + 1,), of the sequences that ended.
    Overwrites `text`.
    """
    at = state[AT]
    code = DONE
    while at < text.size:
        end = _line_end(text, at)
        t, e = state[TOKENS], state[ENTRIES]
        if state[FIELDS] == 0 and _empty(text, at, end):
            if state[OPEN] > 0:
                lengths[state[SEQUENCES]] = state[OPEN]
                state[SEQUENCES] += 1
            state[OPEN] = 0
        else:
            if state[FIELDS] == 0:
                if t == sizes.size or e + (end - at) // 2 + 1 > first.size:
                    code = FULL
                    break
                state[BEGIN], state[FIELDS] = at, 1
                labels[0, t] = at
                sizes[t] = 0
                labels[1, t], at = _unescape(text, at, end)
                if get(text, at) == _COLON:
                    code = LABEL
            while at < end and code == DONE:
                first[e] = at + 1
                last[e], at = _unescape(text, at + 1, end)
                values[e] = 1.0
                begin = at + 1
                if at < end and get(text, at) == _COLON:
                    while at < end and get(text, at) != _TAB:
                        at += 1
                    if at > begin:
                        found, value, stop = real(text, begin)
                        values[e] = value
                        if found != READ or stop != at or not abs(value) <= LARGEST:
                            code = HARD if found == UNREAD else NUMBER
                            state[BEGIN] = begin
                if last[e] > first[e]:
                    e += 1
                    sizes[t] += 1
            state[ENTRIES] = e
            if code != DONE:
                break
            state[TOKENS], state[FIELDS] = t + 1, 0
            state[OPEN] += 1
        while get(text, end) != _FEED:
            end += 1
        at = end + 1
        state[LINE] += 1
    state[AT], state[SIZE] = at, text.size
    return code
