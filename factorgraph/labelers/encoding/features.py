"""Features that tokens bring along (interface; slow): dicts and lists of strings."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .encoded import Arrays, Encoded


class Features:
    """Sequences of tokens, each a dict or a list of strings, with the meaning they have in python-crfsuite.
    hash_bits: features are numbered by 2^bits hashes instead of a dictionary. cutoff: rarer ones are dropped."""

    kind: ClassVar[str] = "features"

    def __init__(self, cutoff: int = 1, hash_bits: int | None = None):
        self.cutoff, self.hash_bits = cutoff, hash_bits
        self._names: list[str] = []

    @property
    def n_features(self) -> int:
        return len(self._names)

    def name(self, feature: int) -> str:
        return self._names[feature]

    def fit(self, X: Any, lengths: Any = None) -> Encoded:
        counts: dict[str, int] = {}
        for sequence in X:
            for token in sequence:
                for name, _ in items(token):
                    counts[name] = counts.get(name, 0) + 1
        self._names = [name for name, count in counts.items() if count >= self.cutoff]
        return self.transform(X)

    def transform(self, X: Any, lengths: Any = None) -> Encoded:
        ids = {name: i for i, name in enumerate(self._names)}
        indptr, indices, values, unknown = [0], [], [], 0
        for sequence in X:
            for token in sequence:
                for name, value in items(token):
                    if name in ids:
                        indices.append(ids[name])
                        values.append(value)
                    else:
                        unknown += 1
                indptr.append(len(indices))
        sizes = np.array([len(sequence) for sequence in X], np.int64)
        return Encoded(
            np.array(indptr, np.int64), np.array(indices, np.int32), np.array(values, np.float32), sizes, unknown
        )

    def arrays(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Features:
        raise NotImplementedError


def items(token: Any) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    if not isinstance(token, dict):
        return [(each, 1.0) for each in token]
    for key, value in token.items():
        if isinstance(value, str):
            found.append((f"{key}:{value}", 1.0))
        elif isinstance(value, dict | list | tuple | set | frozenset):
            found += [(f"{key}:{name}", v) for name, v in items(value)]
        else:
            found.append((key, float(value)))
    return found
