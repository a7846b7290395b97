"""What a labeler has learned, and why it answers what it answers.

The energies of two answers a and b to one sequence differ by what their factors pay, term by term:

    E(b) − E(a) = Σ_t Σ_f x_t[f] (W[f, b_t] − W[f, a_t]) + Σ_t (T[b_{t−1}, b_t] − T[a_{t−1}, a_t]) + …
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FactorGraphError, listed
from . import asking, data
from .chains import Tokens
from .constraints import Constraints

if TYPE_CHECKING:
    from .labeler import SequenceLabeler


@dataclass(frozen=True)
class Weight:
    """An energy that was learned: of a feature beside a label, or of labels that follow each other (feature None)."""

    energy: float
    feature: str | None
    labels: tuple[Any, ...]

    def __str__(self) -> str:
        beside = f"  {self.feature}" if self.feature else ""
        return f"{self.energy:+9.4f}  {' → '.join(map(str, self.labels))}{beside}"


@dataclass(frozen=True)
class Term:
    """What one factor pays: `amount` is its energy of the other answer minus that of the best one, at a token. feature:
    None for labels that follow each other; labels and against: those of the two answers that it looks at."""

    amount: float
    token: int
    feature: str | None
    labels: tuple[Any, ...]
    against: tuple[Any, ...]

    def __str__(self) -> str:
        pair = f"{' → '.join(map(str, self.labels))} against {' → '.join(map(str, self.against))}"
        return f"{self.amount:+9.4f}  token {self.token}: {pair}" + (f"  {self.feature}" if self.feature else "")


@dataclass(frozen=True)
class Explanation:
    """The best labels, those they are held against, the difference of their energies, and the terms that it is made of,
    the largest first."""

    labels: list[Any]
    against: list[Any]
    gap: float
    terms: list[Term]

    def __str__(self) -> str:
        head = f"{self.gap:.4f} better than {self.against}:"
        more = [f"  … and {len(self.terms) - 20} smaller terms"] if len(self.terms) > 20 else []
        return "\n".join([head, *map(str, self.terms[:20]), *more])


def top(labeler: SequenceLabeler, n: int, label: Any) -> list[Weight]:
    """See SequenceLabeler.top_features."""
    names, found = labeler.classes_.tolist(), []
    if not isinstance(n, int | np.integer) or isinstance(n, bool) or n < 0:
        raise FactorGraphError(f"top_features: expected n to be an int ≥ 0; got {n!r}")
    if label is not None and label not in names:
        raise FactorGraphError(f"top_features: expected one of the labels {listed(names)}; got {label!r}")
    size = len(names)
    for name in labeler.parameters_:
        weights = labeler.chains_.dense(labeler.parameters_, name).tocoo()
        ours = weights.data != 0 if label is None else (weights.data != 0) & (weights.col % size == names.index(label))
        chosen = np.flatnonzero(ours)
        chosen = chosen[np.argsort(-np.abs(weights.data[chosen]), kind="stable")[:n]]
        order = {"emit": 1, "edge": 2, "third": 3}[name]
        for row, column, energy in zip(*(x[chosen].tolist() for x in (weights.row, weights.col, weights.data))):
            labels = tuple(names[k] for k in np.unravel_index(column, (size,) * order))
            found.append(Weight(float(energy), labeler.encoder_.name(row) if order == 1 else None, labels))
    return sorted(found, key=lambda weight: -abs(weight.energy))[:n]


def explain(
    labeler: SequenceLabeler, tokens: Tokens, rules: Constraints | None, against: Sequence[Any] | None
) -> Explanation:
    """See SequenceLabeler.explain."""
    names = labeler.classes_.tolist()
    ranked = asking.ranked(labeler, tokens, rules, 2)[0]
    best = ranked[0][0]
    if against is None:
        if len(ranked) < 2:
            raise FactorGraphError("explain: expected at least two possible answers; got one. Pass `against`")
        other = ranked[1][0]
    else:
        other = data.read_labels([against], np.array([len(best)]), False)[0]
        if None in other:
            raise FactorGraphError("explain: expected known labels in `against`; got None")
    a, b = (data.as_answers([each], labeler.classes_, "against")[0] for each in (best, other))
    terms = _unary(labeler, tokens, a, b)
    for name, order in (("edge", 2), ("third", 3)):
        if name in labeler.parameters_:
            table = labeler.chains_.dense(labeler.parameters_, name).toarray().reshape((a.size and len(names),) * order)
            for t in range(order - 1, a.size):
                one, two = (tuple(each[t - order + 1 : t + 1].tolist()) for each in (a, b))
                if one != two:
                    labels, others = (tuple(names[k] for k in each) for each in (one, two))
                    terms.append(Term(float(table[two]) - float(table[one]), t, None, labels, others))
    terms = sorted((term for term in terms if term.amount), key=lambda term: -abs(term.amount))
    return Explanation(best, other, sum(term.amount for term in terms), terms)


def _unary(labeler: SequenceLabeler, tokens: Tokens, a: np.ndarray, b: np.ndarray) -> list[Term]:
    """What features of tokens pay where two answers differ."""
    weights, names, terms = labeler.chains_.dense(labeler.parameters_, "emit"), labeler.classes_.tolist(), []
    x = tokens.matrix
    for t in np.flatnonzero(a != b).tolist():
        for e in range(x.indptr[t], x.indptr[t + 1]):
            row = weights[[int(x.indices[e])]].toarray()[0]
            amount = float(x.data[e]) * (float(row[b[t]]) - float(row[a[t]]))
            feature = labeler.encoder_.name(int(x.indices[e]))
            terms.append(Term(amount, t, feature, (names[a[t]],), (names[b[t]],)))
    return terms
