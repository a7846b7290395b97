"""Features from templates over token columns, without a string for any of them.

A template names entries near a token: `w[-1]|w[0]` is the previous and the present word. Its value is a tuple of
numbers of strings, that is one integer (kernels/keys.py), and a feature is a distinct value. Functions of strings are
computed once for every distinct string. Where the product of the alphabets exceeds 2⁶², a template goes in stages: the
value of the first entries is numbered, and that number is the first entry of the next stage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from ...errors import FactorGraphError
from ...kernels import keys as kernels
from .columns import Columns
from .encoded import Arrays, Encoded
from .parse import BIAS, BOS, Term, function, parse
from .stages import Stage
from .vocabulary import Vocabulary, from_text, to_text

#: The largest product of alphabets that makes one key.
KEYS = 1 << 62
#: Tokens that `transform` works on at a time, and features written in one call of a kernel.
PIECE, BUDGET = 1 << 16, 1 << 22
#: What stands for entries before and after a sequence in names of features.
OUTSIDE = ("<before>", "<after>")


class Templates:
    """Features of token columns.

    templates: `w[0]`, `pos[-1]|pos[0]`, `suffix3(w[0])|pos[0]`, `bias`, `BOS`, `EOS`; functions are lower, shape, brief
    (the shape, runs shortened), class, prefix1 …, suffix1 …. CRFSUITE_CHUNKING and CHUNKING are sets of them.
    pad: what lies before and after a sequence counts as a string of its own; without, a template that reaches out of
    the sequence makes no feature there, as in CRFsuite.
    cutoff: features that occur less often are dropped.

    >>> columns = Columns.from_tokens([[("the", "DT"), ("cat", "NN")]], ["w", "pos"])
    >>> templates = Templates("w[0]", "pos[-1]|pos[0]")
    >>> encoded = templates.fit(columns)
    >>> [templates.name(feature) for feature in encoded.indices[encoded.indptr[1] :]]
    ['w[0]=cat', 'pos[-1]|pos[0]=DT|NN']
    """

    kind: ClassVar[str] = "templates"

    def __init__(self, *templates: str, pad: bool = True, cutoff: int = 1):
        if not templates:
            raise FactorGraphError("Templates: expected at least one template, such as 'w[0]'; got none")
        self.templates, self.pad, self.cutoff = templates, pad, int(cutoff)
        self._terms = [parse(template) for template in templates]
        terms = [term for each in self._terms if not isinstance(each, str) for term in each]
        self._sources = list(dict.fromkeys(term.source for term in terms))
        self._margin = max((abs(term.offset) for term in terms), default=0)
        self._vocabularies: list[Vocabulary] = []
        self._stages: list[list[Stage]] = []
        self._firsts = np.zeros(len(templates) + 1, np.int64)

    @property
    def n_features(self) -> int:
        """Features of all templates, one template after the other."""
        return int(self._firsts[-1])

    def fit(self, X: Columns, lengths: Any = None) -> Encoded:
        """Learn strings and features. Errors: FactorGraphError for what is no Columns, or lacks one of the columns."""
        renames = self._rename(_checked(X), True)
        columns = self._lay_out(X, renames, 0, len(X))
        rows = np.empty((len(self.templates), columns.shape[1]), np.int32)
        self._stages = [self._learn(terms, columns, X.indptr, row) for terms, row in zip(self._terms, rows)]
        self._number_templates()
        return self._gather(X, [(0, len(X), rows)])

    def transform(self, X: Columns, lengths: Any = None) -> Encoded:
        """Find features. Errors: as fit, and before fit."""
        if not self._stages:
            raise FactorGraphError("Templates: expected fit before transform; nothing has been learned")
        renames = self._rename(_checked(X), False)
        return self._gather(X, self._pieces(X, renames))

    def name(self, feature: int) -> str:
        """Such as `w[-1]|w[0]=the|cat`."""
        if not 0 <= feature < self.n_features:
            raise FactorGraphError(f"Templates: expected a feature 0 … {self.n_features - 1}; got {feature}")
        j = int(np.searchsorted(self._firsts, feature, "right")) - 1
        terms = self._terms[j]
        if isinstance(terms, str):
            return terms
        values: list[str] = []
        number, left = feature - int(self._firsts[j]), list(terms)
        for stage in reversed(self._stages[j]):
            key = int(stage.keys[number])
            for column, _, radix in stage.parts[::-1].tolist():
                key, entry = divmod(key, radix)
                if column == self._carry:
                    number = entry - 2
                else:
                    words = self._vocabularies[self._sources.index(left.pop().source)]
                    values.append(OUTSIDE[entry] if entry < 2 else words.string(entry - 2))
        return "|".join(map(str, terms)) + "=" + "|".join(reversed(values))

    def arrays(self) -> dict[str, np.ndarray]:
        """Templates and strings as text, and the keys of all features."""
        arrays = {"kind": to_text(self.kind), "templates": to_text("\n".join(self.templates))}
        arrays["options"] = np.array([self.pad, self.cutoff], np.int64)
        for i, vocabulary in enumerate(self._vocabularies):
            arrays.update(vocabulary.arrays(f"strings.{i}"))
        for j, stages in enumerate(self._stages):
            arrays.update({f"keys.{j}.{i}": stage.keys for i, stage in enumerate(stages)})
        return arrays

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Templates:
        """The encoder that was saved. Errors: FactorGraphError for arrays that are none."""
        pad, cutoff = arrays["options"].tolist()
        made = cls(*from_text(arrays["templates"], "Templates").split("\n"), pad=bool(pad), cutoff=cutoff)
        made._vocabularies = [Vocabulary.from_arrays(arrays, f"strings.{i}") for i in range(len(made._sources))]
        for j, terms in enumerate(made._terms):
            stages: list[Stage] = []
            for stage in made._split(terms):
                stage.keys = _keys(arrays, f"keys.{j}.{len(stages)}", stage.product)
                stages.append(stage)
            made._stages.append(stages)
        made._number_templates()
        return made

    @property
    def _carry(self) -> int:
        """The column of the stage before; column 0 is a mask, then come the sources."""
        return len(self._sources) + 1

    def _rename(self, X: Columns, learn: bool) -> list[np.ndarray]:
        """int32 arrays, one for each source: from numbers of strings in X to numbers in the vocabulary, −1 for unknown
        ones. The vocabularies are made first where they are to be learned."""
        if learn:
            self._vocabularies = [
                Vocabulary() if name else X.vocabularies[X.index(column)] for name, column in self._sources
            ]
        decoded: dict[str, list[str]] = {}
        renames = []
        for (name, column), vocabulary in zip(self._sources, self._vocabularies, strict=True):
            theirs = X.vocabularies[X.index(column)]
            if name:
                if column not in decoded:
                    decoded[column] = theirs.strings()
                strings = list(map(function(name), decoded[column]))
                renames.append(vocabulary.add(strings) if learn else vocabulary.find(strings))
            elif theirs is vocabulary:
                renames.append(np.arange(len(vocabulary), dtype=np.int32))
            else:
                renames.append(vocabulary.find_all(theirs))
        return renames

    def _lay_out(self, X: Columns, renames: Sequence[np.ndarray], first: int, last: int) -> np.ndarray:
        """int32 (sources + 2, positions) of some sequences: the mask, the sources, room for what stages carry."""
        indptr = X.indptr[first : last + 1]
        a, b = int(indptr[0]), int(indptr[-1])
        indptr = indptr - a
        columns = np.empty((self._carry + 1, b - a + 2 * self._margin * (last - first)), np.int32)
        outside = (kernels.SKIPPED, kernels.SKIPPED)
        zeros = np.zeros(b - a, np.int32)
        kernels.lay_out(zeros, zeros[:1], indptr, self._margin, *outside, columns[0])
        before, after = (0, 1) if self.pad else outside
        for i, (_, column) in enumerate(self._sources):
            numbers = X.ids[X.index(column), a:b]
            kernels.lay_out(numbers, renames[i], indptr, self._margin, before, after, columns[i + 1])
        return columns

    def _split(self, terms: tuple[Term, ...] | str) -> Iterator[Stage]:
        """The stages of a template, each once the one before has its keys."""
        if isinstance(terms, str):
            yield Stage(np.zeros((0, 3), np.int64))
            return
        parts: list[tuple[int, int, int]] = []
        product = 1
        for term in terms:
            source = self._sources.index(term.source)
            radix = len(self._vocabularies[source]) + 2
            if parts and product * radix > KEYS:
                stage = Stage(np.array(parts, np.int64))
                yield stage
                product = stage.keys.size + 2
                parts = [(self._carry, 0, product)]
            parts.append((source + 1, term.offset, radix))
            product *= radix
        yield Stage(np.array(parts, np.int64))

    def _learn(
        self, terms: tuple[Term, ...] | str, columns: np.ndarray, indptr: np.ndarray, row: np.ndarray
    ) -> list[Stage]:
        """The stages of a template; its features go into `row`, by position."""
        stages: list[Stage] = []
        for stage in self._split(terms):
            if stages:
                _carry(row, columns[self._carry])
            if isinstance(terms, str):
                self._mark(terms, columns, indptr, row)
                stage.keys = np.zeros(int((row >= 0).any()), np.int64)
            else:
                stage.learn(columns, self._margin, row)
            stages.append(stage)
        if self.cutoff > 1:
            known = row[row >= 0]
            kept = np.bincount(known, minlength=stages[-1].keys.size) >= self.cutoff
            renamed = np.full(kept.size + 2, kernels.SKIPPED, np.int32)  # the last two are reached from −1 and −2
            renamed[:-2][kept] = np.arange(kept.sum(), dtype=np.int32)
            renamed[:-2][~kept] = renamed[-1] = kernels.UNKNOWN
            row[:] = renamed[row]
            stages[-1].keep(kept)
        return stages

    def _find(self, j: int, columns: np.ndarray, indptr: np.ndarray, row: np.ndarray) -> None:
        """Features of template j, by position."""
        terms = self._terms[j]
        if isinstance(terms, str):
            self._mark(terms, columns, indptr, row)
            if not self._stages[j][0].keys.size:
                row[row >= 0] = kernels.UNKNOWN
            return
        for i, stage in enumerate(self._stages[j]):
            if i:
                _carry(row, columns[self._carry])
            stage.find(columns, self._margin, row)

    def _mark(self, special: str, columns: np.ndarray, indptr: np.ndarray, row: np.ndarray) -> None:
        """0 where bias, BOS or EOS applies, SKIPPED elsewhere."""
        if special == BIAS:
            row[:] = np.where(columns[0] >= 0, 0, kernels.SKIPPED)
            return
        row[:] = kernels.SKIPPED
        sequence = np.flatnonzero(np.diff(indptr))
        token = indptr[:-1][sequence] if special == BOS else indptr[1:][sequence] - 1
        row[token - indptr[0] + self._margin * (2 * sequence + 1)] = 0

    def _pieces(self, X: Columns, renames: Sequence[np.ndarray]) -> Iterator[tuple[int, int, np.ndarray]]:
        """(first, last, features by template and position) of some sequences after the other."""
        first = 0
        while first < len(X):
            last = max(first + 1, int(np.searchsorted(X.indptr, X.indptr[first] + PIECE, "right")) - 1)
            columns = self._lay_out(X, renames, first, last)
            rows = np.empty((len(self.templates), columns.shape[1]), np.int32)
            for j, row in enumerate(rows):
                self._find(j, columns, X.indptr[first : last + 1], row)
            yield first, last, rows
            first = last

    def _gather(self, X: Columns, pieces: Iterable[tuple[int, int, np.ndarray]]) -> Encoded:
        """Features of all pieces, token by token."""
        indptr = np.zeros(X.tokens + 1, np.int64)
        indices = np.empty(X.tokens * len(self.templates), np.int32)
        state = np.zeros(kernels.STATE, np.int64)
        step = max(1, BUDGET // len(self.templates))
        for first, last, rows in pieces:
            a, b = int(X.indptr[first]), int(X.indptr[last])
            state[kernels.SEQUENCE] = 0
            for token in range(a, b, step):
                state[kernels.TOKEN], state[kernels.END] = token - a, min(token + step, b) - a
                kernels.compact(
                    rows,
                    self._firsts,
                    X.indptr[first : last + 1] - a,
                    self._margin,
                    state,
                    indptr[a : b + 1],
                    indices,
                )
        count, unknown = state[[kernels.ENTRIES, kernels.DROPPED]].tolist()
        return Encoded(indptr, indices[:count], None, X.lengths, unknown)

    def _number_templates(self) -> None:
        np.cumsum([stages[-1].keys.size for stages in self._stages], out=self._firsts[1:])
        if self.n_features >= 2**31:
            raise FactorGraphError(f"Templates: expected fewer than 2^31 features; got {self.n_features}. Set a cutoff")


def _carry(row: np.ndarray, column: np.ndarray) -> None:
    """Features as entries of a column for the next stage."""
    column[:] = np.where(row >= 0, row + 2, row)


def _checked(X: Any) -> Columns:
    if not isinstance(X, Columns):
        raise FactorGraphError(
            f"Templates: expected Columns; got {type(X).__name__}. Make them with read_columns, Columns.from_tokens or "
            "Columns.from_columns"
        )
    return X


def _keys(arrays: Arrays, name: str, product: int) -> np.ndarray:
    keys = np.asarray(arrays[name])
    if keys.dtype != np.int64 or keys.ndim != 1 or (keys.size and not 0 <= keys.min() <= keys.max() < product):
        raise FactorGraphError(
            f"Templates: expected int64 numbers 0 … {product - 1} in {name!r}; got {keys.dtype} {keys.shape}. "
            "Was the file changed?"
        )
    return keys
