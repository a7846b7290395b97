"""Templates over token columns (interface; slow)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .columns import Columns
from .encoded import Arrays, Encoded
from .parse import BIAS, BOS, EOS, Term, function, parse


class Templates:
    """templates: see parse.py. pad: what lies before and after a sequence counts as a string of its own; without,
    a template that reaches beyond the sequence makes no feature there, as in CRFsuite. cutoff: rarer features are
    dropped."""

    kind: ClassVar[str] = "templates"

    def __init__(self, *templates: str, pad: bool = True, cutoff: int = 1):
        self.templates, self.pad, self.cutoff = templates, pad, cutoff
        self._parsed = [parse(t) for t in templates]
        self._names: list[str] = []

    @property
    def n_features(self) -> int:
        return len(self._names)

    def name(self, feature: int) -> str:
        return self._names[feature]

    def names(self) -> list[str]:
        return list(self._names)

    def _strings(self, X: Columns) -> list[list[str]]:
        columns: dict[Any, list[list[str]]] = {}
        for terms in self._parsed:
            for term in terms if not isinstance(terms, str) else ():
                if term.source not in columns:
                    f = function(term.function) if term.function else str
                    columns[term.source] = [[f(w) for w in seq] for seq in X.column(term.column)]
        rows = []
        for s, length in enumerate(X.lengths.tolist()):
            for t in range(length):
                row = []
                for text, terms in zip(self.templates, self._parsed):
                    if isinstance(terms, str):
                        if terms == BIAS or (terms == BOS and t == 0) or (terms == EOS and t == length - 1):
                            row.append(terms)
                        continue
                    values = [self._value(columns[term.source][s], t, term) for term in terms]
                    if None not in values:
                        row.append(text + "=" + "|".join(map(str, values)))
                rows.append(row)
        return rows

    def _value(self, column: list[str], t: int, term: Term) -> str | None:
        j = t + term.offset
        if 0 <= j < len(column):
            return column[j]
        return ("<B>" if j < 0 else "<E>") if self.pad else None

    def fit(self, X: Columns, lengths: Any = None) -> Encoded:
        counts: dict[str, int] = {}
        for row in self._strings(X):
            for each in row:
                counts[each] = counts.get(each, 0) + 1
        self._names = [name for name, count in counts.items() if count >= self.cutoff]
        return self.transform(X)

    def transform(self, X: Columns, lengths: Any = None) -> Encoded:
        ids = {name: i for i, name in enumerate(self._names)}
        indptr, indices, unknown = [0], [], 0
        for row in self._strings(X):
            found = [ids[each] for each in row if each in ids]
            indices += found
            unknown += len(row) - len(found)
            indptr.append(len(indices))
        return Encoded(np.array(indptr, np.int64), np.array(indices, np.int32), None, X.lengths, unknown)

    def arrays(self) -> dict[str, np.ndarray]:
        raise NotImplementedError

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Templates:
        raise NotImplementedError
