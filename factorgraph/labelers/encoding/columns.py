"""Token columns: what a table with one token a line holds, every distinct string stored once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed
from .vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Columns:
    """Sequences of tokens with named columns.

    names:        the columns.
    ids:          int32 (columns, N), ids[c, t] is the number of token t's string in vocabularies[c].
    indptr:       int64 (sequences + 1,), sequence s has tokens indptr[s] … indptr[s + 1] − 1.
    vocabularies: one for each column.

    `len` is the number of sequences. A number selects one of them, as a list of tuples; a slice, a mask or numbers
    select some, as Columns.

    >>> columns = Columns.from_tokens([[("the", "DT"), ("cat", "NN")], [("sat", "VBD")]], ["w", "pos"])
    >>> len(columns), columns[0], columns[1:].column("w")
    (2, [('the', 'DT'), ('cat', 'NN')], [['sat']])
    """

    names: tuple[str, ...]
    ids: np.ndarray
    indptr: np.ndarray
    vocabularies: tuple[Vocabulary, ...]

    def __post_init__(self) -> None:
        rising = self.indptr[:1].tolist() == [0] and not (np.diff(self.indptr) < 0).any()
        if not rising or self.ids.shape != (len(self.names), self.indptr[-1]):
            raise FactorGraphError(
                f"Columns: expected ids of shape ({len(self.names)}, tokens) and indptr rising from 0 to tokens; "
                f"got {self.ids.shape} and {self.indptr.tolist()[:8]}"
            )
        for name, row, vocabulary in zip(self.names, self.ids, self.vocabularies, strict=True):
            if row.size and not 0 <= row.min() <= row.max() < len(vocabulary):
                raise FactorGraphError(
                    f"Columns: expected ids 0 … {len(vocabulary) - 1} in column {name!r}; got {row.min()} … {row.max()}"
                )

    @classmethod
    def from_tokens(cls, sequences: Sequence[Sequence[Any]], names: Sequence[str]) -> Columns:
        """Of lists of tuples of strings, one tuple a token. Errors: FactorGraphError, with the place of the token that
        has more or fewer strings, or something that is none."""
        where, names = "Columns.from_tokens", check_names(names, "Columns.from_tokens")
        indptr = indptr_of(np.fromiter(map(len, sequences), np.int64, len(sequences)))
        tokens = list(chain.from_iterable(sequences))
        for t, token in enumerate(tokens):
            if isinstance(token, str) or len(token) != len(names):
                raise FactorGraphError(
                    f"{where}: expected tokens that are tuples of {len(names)} strings ({listed(names)}); "
                    f"got {token!r} {_place(indptr, t)}"
                )
        flat = list(chain.from_iterable(tokens))
        return cls._of(names, [flat[c :: len(names)] for c in range(len(names))], indptr, where)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Sequence[Any]], lengths: Sequence[int] | None = None) -> Columns:
        """Of lists of lists of strings by name, one list a sequence; or, with `lengths` of the sequences, of flat lists
        (a data frame has them). Errors: FactorGraphError where columns differ in length, or hold what is no string."""
        where, names = "Columns.from_columns", check_names(list(columns), "Columns.from_columns")
        if lengths is None:
            sizes = [np.fromiter(map(len, columns[name]), np.int64, len(columns[name])) for name in names]
            flat = [list(chain.from_iterable(columns[name])) for name in names]
        else:
            flat = [list(columns[name]) for name in names]
            sizes = [np.asarray(lengths, np.int64)] * len(names)
        for name, size, column in zip(names, sizes, flat):
            if not np.array_equal(size, sizes[0]) or size.sum() != len(column) or size.min(initial=0) < 0:
                raise FactorGraphError(
                    f"{where}: expected as many strings in column {name!r} as in {names[0]!r} and as the lengths say; "
                    f"got {len(column)} in {size.size} sequences against {sizes[0].sum()} in {sizes[0].size}"
                )
        return cls._of(names, flat, indptr_of(sizes[0]), where)

    @classmethod
    def _of(cls, names: tuple[str, ...], columns: list[list[Any]], indptr: np.ndarray, where: str) -> Columns:
        ids = np.empty((len(names), int(indptr[-1])), np.int32)
        vocabularies = []
        for row, column in zip(ids, columns):
            ids_of: defaultdict[str, int] = defaultdict()
            ids_of.default_factory = ids_of.__len__
            row[:] = np.fromiter(map(ids_of.__getitem__, column), np.int32, len(column))
            if not all(isinstance(each, str) for each in ids_of):
                t = next(t for t, each in enumerate(column) if not isinstance(each, str))
                raise FactorGraphError(
                    f"{where}: expected strings; got {column[t]!r} {_place(indptr, t)}. Convert it with str()"
                )
            vocabulary = Vocabulary()
            vocabulary.add(list(ids_of))
            vocabularies.append(vocabulary)
        return cls(names, ids, indptr, tuple(vocabularies))

    @property
    def tokens(self) -> int:
        """N."""
        return int(self.indptr[-1])

    @property
    def lengths(self) -> np.ndarray:
        """int64 (sequences,)."""
        return np.diff(self.indptr)

    @property
    def shape(self) -> tuple[int]:
        """(sequences,): what splits data for cross-validation asks for it."""
        return (len(self),)

    def __len__(self) -> int:
        return self.indptr.size - 1

    def __getitem__(self, which: Any) -> Any:
        if isinstance(which, int | np.integer):
            s = range(len(self))[which]
            tokens = self.ids[:, self.indptr[s] : self.indptr[s + 1]].T.tolist()
            return [tuple(words.string(i) for words, i in zip(self.vocabularies, token)) for token in tokens]
        chosen = np.arange(len(self))[which]
        lengths = self.lengths[chosen]
        tokens = np.repeat(self.indptr[chosen] - indptr_of(lengths)[:-1], lengths) + np.arange(lengths.sum())
        return Columns(self.names, self.ids[:, tokens], indptr_of(lengths), self.vocabularies)

    def index(self, name: str) -> int:
        """The number of a column. Errors: FactorGraphError for unknown names."""
        if name not in self.names:
            raise FactorGraphError(f"Columns: expected one of the columns {listed(self.names)}; got {name!r}")
        return self.names.index(name)

    def column(self, name: str) -> list[list[str]]:
        """The strings of a column, one list a sequence."""
        c, ends = self.index(name), self.indptr.tolist()
        strings = self.vocabularies[c].strings()
        flat = [strings[i] for i in self.ids[c].tolist()]
        return [flat[a:b] for a, b in zip(ends[:-1], ends[1:])]

    def select(self, *names: str) -> Columns:
        """Some of the columns."""
        kept = [self.index(name) for name in names]
        return Columns(names, self.ids[kept], self.indptr, tuple(self.vocabularies[c] for c in kept))


def check_names(names: Sequence[str], where: str) -> tuple[str, ...]:
    """Names of columns as a tuple. Errors: FactorGraphError unless they are distinct strings."""
    found = tuple(names)
    if not found or len(set(found)) < len(found) or not all(isinstance(name, str) and name for name in found):
        raise FactorGraphError(f"{where}: expected distinct names of columns; got {found!r}")
    return found


def indptr_of(lengths: np.ndarray) -> np.ndarray:
    """int64 (n + 1,): where each of n parts begins, and the last one ends."""
    indptr = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=indptr[1:])
    return indptr


def _place(indptr: np.ndarray, token: int) -> str:
    s = int(np.searchsorted(indptr, token, "right")) - 1
    return f"at token {token - indptr[s]} of sequence {s}"
