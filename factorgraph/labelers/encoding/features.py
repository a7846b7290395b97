"""Features that tokens bring along: dicts and lists of strings, with the meaning they have in python-crfsuite.

    "a"              feature "a"        1          (in a list, tuple or set)
    {"a": "b"}       feature "a:b"      1
    {"a": 2.5}       feature "a"        2.5        True is 1; False and 0 are no entry
    {"a": ["b"]}     feature "a:b"      1          nested lists, sets and dicts: every name gets "a:" in front

Names are built, and looked up, once for every distinct entry (entries.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Any, ClassVar

import numpy as np

from ...errors import FactorGraphError
from .bags import Bags
from .encoded import Arrays, Encoded
from .entries import LISTS, BadEntry, Entries, refuse, strings_of
from .vocabulary import Vocabulary, buckets, longer, to_text

#: Tokens looked up at a time; entries that are remembered, more than once the features.
_BLOCK, _REMEMBERED = 1 << 12, 1 << 20
#: What stands for an entry that is none, and for a feature that is not known.
_NOTHING, _UNKNOWN = -2, -1


class Features:
    """Features of tokens that are dicts or lists of strings; also what `read_crfsuite` gives.

    cutoff: features that occur less often are dropped.
    hash_bits: 1 … 30: a feature is the hash of its name, one of 2^hash_bits, and nothing is kept; or None.

    >>> features = Features()
    >>> encoded = features.fit([[{"w": "the", "upper": False}, {"w": "cat", "size": 3}]])
    >>> [features.name(i) for i in encoded.indices], encoded.values.tolist()
    (['w:the', 'w:cat', 'size'], [1.0, 1.0, 3.0])
    """

    kind: ClassVar[str] = "features"

    def __init__(self, cutoff: int = 1, hash_bits: int | None = None):
        if hash_bits is not None and (not 1 <= hash_bits <= 30 or cutoff > 1):
            raise FactorGraphError(
                f"Features: expected hash_bits 1 … 30 without a cutoff, or None; got {hash_bits} and cutoff {cutoff}"
            )
        self.cutoff, self.hash_bits = int(cutoff), hash_bits
        self._names = Vocabulary()
        self._forget()
        self._lock = Lock()  # of what is remembered: threads may transform at the same time

    @property
    def n_features(self) -> int:
        """Distinct names, in order of first appearance; 2^hash_bits if they are hashed."""
        return len(self._names) if self.hash_bits is None else 1 << self.hash_bits

    def fit(self, X: Any, lengths: Any = None) -> Encoded:
        """Learn names. X: sequences of tokens. Errors: FactorGraphError for what is no feature, with its place."""
        self._names = Vocabulary()
        self._forget()
        encoded = self._encode(X, True)
        if self.cutoff > 1:
            kept = np.bincount(encoded.indices, minlength=len(self._names)) >= self.cutoff
            encoded = self._keep(kept, encoded)
        return encoded

    def transform(self, X: Any, lengths: Any = None) -> Encoded:
        """Find names. Errors: as fit."""
        return self._encode(X, False)

    def name(self, feature: int) -> str:
        """As python-crfsuite would name it; `hash 7` if names are hashed."""
        if not 0 <= feature < self.n_features:
            raise FactorGraphError(f"Features: expected a feature 0 … {self.n_features - 1}; got {feature}")
        return self._names.string(feature) if self.hash_bits is None else f"hash {feature}"

    def arrays(self) -> dict[str, np.ndarray]:
        """All names as text."""
        options = np.array([self.cutoff, self.hash_bits or 0], np.int64)
        return {"kind": to_text(self.kind), "options": options, **self._names.arrays("names")}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Features:
        """The encoder that was saved. Errors: FactorGraphError for arrays that are none."""
        cutoff, hash_bits = arrays["options"].tolist()
        made = cls(cutoff, hash_bits or None)
        made._names = Vocabulary.from_arrays(arrays, "names")
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {"cutoff": self.cutoff, "hash_bits": self.hash_bits, "_names": self._names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()
        self._lock = Lock()

    def _forget(self) -> None:
        self._entries = Entries()
        self._numbers = np.full(1, _NOTHING, np.int32)  # of codes, in the first `_known`
        self._known = 1

    def _number(self, names: list[str], add: bool) -> np.ndarray:
        if self.hash_bits is not None:
            return buckets(names, self.hash_bits)
        return self._names.add(names) if add else self._names.find(names)

    def _encode(self, X: Any, add: bool) -> Encoded:
        if isinstance(X, Bags):
            if self.hash_bits is not None:
                numbers = buckets(X.vocabulary.strings(), self.hash_bits)
            else:
                numbers = self._names.add_all(X.vocabulary) if add else self._names.find_all(X.vocabulary)
            return _packed([(numbers[X.ids], X.values, np.diff(X.indptr))], X.lengths)
        lengths: list[int] = []
        found = []
        for sequences in _blocks(X):
            with self._lock:
                found.append(self._look_up(sequences, len(lengths), add))
            lengths += map(len, sequences)
        return _packed(found, np.array(lengths, np.int64))

    def _look_up(self, sequences: list[Any], first: int, add: bool) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """(int32 features, float32 values or None, int64 entries of each token)."""
        tokens = [token for sequence in sequences for token in sequence]
        try:
            if set(map(type, tokens)) <= set(LISTS):
                names = strings_of(tokens)
                return self._number(names, add), None, np.fromiter(map(len, tokens), np.int64, len(tokens))
            codes, sizes = self._entries.codes(tokens)
        except BadEntry as error:
            raise refuse(error, sequences, first) from None
        if names := self._entries.take_names():
            end = self._known + len(names)
            if end > self._numbers.size:
                self._numbers = longer(self._numbers[: self._known], 2 * end)
            self._numbers[self._known : end] = self._number(names, add)
            self._known = end
        values = None
        if self._entries.valued:
            bases, numbers = map(np.array, zip(*self._entries.valued))
            values = np.ones(codes.size, np.float32)
            valued = codes < 0
            values[valued] = numbers[-1 - codes[valued]]
            codes[valued] = bases[-1 - codes[valued]]
        features = self._numbers[codes]
        if self._known > len(self._names) + _REMEMBERED:
            self._forget()
        return features, values, sizes

    def _keep(self, kept: np.ndarray, encoded: Encoded) -> Encoded:
        """Drop features."""
        names, self._names = self._names, Vocabulary()
        self._names.add_bytes(names.text, names.offsets[:-1][kept], names.offsets[1:][kept])
        self._forget()
        renamed = np.where(kept, np.cumsum(kept) - 1, _UNKNOWN).astype(np.int32)
        part = renamed[encoded.indices], encoded.values, np.diff(encoded.indptr)
        return _packed([part], encoded.lengths)


def _blocks(X: Iterable[Any]) -> Iterator[list[Any]]:
    """Sequences of X, some thousand tokens at a time."""
    block: list[Any] = []
    size = 0
    for s, sequence in enumerate(X):
        if isinstance(sequence, str | dict) or not hasattr(sequence, "__len__"):
            raise FactorGraphError(
                f"Features: expected sequences of tokens, each a dict or a list of strings; got "
                f"{type(sequence).__name__} as sequence {s}. One sequence alone is [sequence]"
            )
        block.append(sequence)
        size += len(sequence)
        if size >= _BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def _packed(parts: list[tuple[np.ndarray, np.ndarray | None, np.ndarray]], lengths: np.ndarray) -> Encoded:
    """(features, values or None, entries of each token) of all parts without what is no feature, counted."""
    indices, values, sizes, unknown = [], [], [], 0
    valued = any(part[1] is not None for part in parts)
    for features, numbers, entries in parts:
        if numbers is not None:
            features = np.where(numbers == 0, _NOTHING, features)
        kept = features >= 0
        unknown += int(np.count_nonzero(features == _UNKNOWN))
        before = np.zeros(kept.size + 1, np.int64)
        np.cumsum(kept, out=before[1:])
        ends = np.cumsum(entries)
        sizes.append(np.diff(before[ends], prepend=0))
        indices.append(features[kept])
        if valued:
            values.append(np.ones(indices[-1].size, np.float32) if numbers is None else numbers[kept])
    indptr = np.zeros(int(lengths.sum()) + 1, np.int64)
    if not parts:
        return Encoded(indptr, np.zeros(0, np.int32), None, lengths)
    np.cumsum(np.concatenate(sizes), out=indptr[1:])
    return Encoded(
        indptr, np.concatenate(indices, dtype=np.int32), np.concatenate(values) if valued else None, lengths, unknown
    )
