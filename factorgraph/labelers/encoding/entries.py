"""Entries of dicts to small integers, without building their names.

A code stands for an entry, a key with a value: 0 for none, from 1 on the place of its name among
all names asked for so far, −1 − j for entry j of `valued`, a number other than 0 and 1. Codes of entries seen before
come from two look-ups in C.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain
from operator import getitem
from reprlib import repr as shown
from typing import Any

import numpy as np

from ...errors import FactorGraphError

#: What a token is, and what nests in a dict.
LISTS = (list, tuple, set, frozenset)
_DEEPEST = 64
_LARGEST = float(np.finfo(np.float32).max)


class BadEntry(Exception):
    """An entry that is no feature: what was expected, what came."""


class _Nested(TypeError):
    """Raised, as for what cannot be hashed, for a value that holds entries."""


class Entries(dict[str, "_Values"]):
    """Key -> value -> code; grows as it is asked."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.valued: list[tuple[int, float]] = []
        self.numbered = 0

    def __missing__(self, key: Any) -> _Values:
        self[key] = found = _Values(_string(key), self)
        return found

    def new(self, name: str) -> int:
        """The code of an entry of that name."""
        self.names.append(name)
        return self.numbered + len(self.names)

    def take_names(self) -> list[str]:
        """Names of the codes that came up since the last time."""
        names, self.names = self.names, []
        self.numbered += len(names)
        return names

    def codes(self, tokens: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        """(int32 codes of all entries, int64 their number for each token). Errors: BadEntry."""
        try:
            if set(map(type, tokens)) <= {dict}:
                values = chain.from_iterable(map(dict.values, tokens))
                return self._codes(map(getitem, map(self.__getitem__, chain.from_iterable(tokens)), values), tokens)
        except TypeError as error:
            if not isinstance(error, _Nested) and "unhashable" not in str(error):
                raise
        flat = [list(flatten(token)) for token in tokens]
        pairs = list(chain.from_iterable(flat))
        try:
            found = map(getitem, map(self.__getitem__, (key for key, _ in pairs)), (value for _, value in pairs))
            return self._codes(found, flat)
        except TypeError:
            for key, value in pairs:
                if not isinstance(value, str | float | int | np.number | np.bool_):
                    raise BadEntry(_VALUES, f"{shown(key)}: {shown(value)}") from None
            raise

    def _codes(self, found: Iterable[int], tokens: list[Any]) -> tuple[np.ndarray, np.ndarray]:
        self.valued = []
        sizes = np.fromiter(map(len, tokens), np.int64, len(tokens))
        return np.fromiter(found, np.int32, int(sizes.sum())), sizes


_VALUES = "a string, a finite number of float32, a bool, or a dict, list, tuple or set of these"


class _Values(dict[Any, int]):
    """Value -> code, of one key."""

    def __init__(self, key: str, entries: Entries):
        self._key, self._entries = key, entries

    def __missing__(self, value: Any) -> int:
        if isinstance(value, str):
            self[value] = code = self._entries.new(f"{self._key}:{value}")
            return code
        if isinstance(value, LISTS):
            raise _Nested
        try:
            number = math.nan if isinstance(value, bytes) else float(value)  # which would read bytes as text
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not abs(number) <= _LARGEST:
            raise BadEntry(_VALUES, f"{shown(self._key)}: {shown(value)}")
        if number == 0 or number == 1:
            self[value] = code = self._entries.new(self._key) if number else 0
            return code
        self._entries.valued.append((self[1], number))
        return -len(self._entries.valued)


def _string(name: Any) -> str:
    if not isinstance(name, str):
        raise BadEntry("strings as names of features", shown(name))
    return name


def strings_of(tokens: list[Any]) -> list[str]:
    """All strings of tokens that are lists of them. Errors: BadEntry."""
    names = list(chain.from_iterable(tokens))
    if not set(map(type, names)) <= {str}:
        for name in names:
            _string(name)
    return names


def flatten(token: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    """(name, value) of the entries of a token, those of nested ones with the key in front. Errors: BadEntry."""
    if isinstance(token, LISTS):
        yield from ((name, 1) for name in token)
    elif not isinstance(token, dict):
        raise BadEntry("tokens that are dicts, or lists of strings", shown(token))
    elif depth == _DEEPEST:
        raise BadEntry(f"at most {_DEEPEST} nested dicts", shown(token))
    else:
        for key, value in token.items():
            _string(key)
            if isinstance(value, (dict, *LISTS)):
                yield from ((f"{key}:{_string(name)}", v) for name, v in flatten(value, depth + 1))
            else:
                yield key, value


def refuse(error: BadEntry, sequences: list[Any], first: int) -> FactorGraphError:
    """The error for people: with the place of the token, the first of these sequences being number `first`."""
    for s, sequence in enumerate(sequences, first):
        for t, token in enumerate(sequence):
            try:
                if isinstance(token, LISTS):
                    strings_of([token])
                else:
                    Entries().codes([token])
            except BadEntry as same:
                expected, got = same.args
                return FactorGraphError(f"Features: expected {expected}; got {got} at token {t} of sequence {s}")
    raise error
