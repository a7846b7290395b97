"""Spans of labelled tokens, and how many of them are found: precision, recall and F1, by type.

    precision = right / predicted,    recall = right / true,    F1 = 2 · precision · recall / (precision + recall)

A predicted span is right when its type, first and last token are those of a true one. Labels are read as in the shared
tasks of CoNLL (E. Tjong Kim Sang, S. Buchholz, "Introduction to the CoNLL-2000 shared task: chunking", 2000), even if
they break the rules: a span begins at B- and S-, behind E- and S-, and where the type changes. So IOB1, IOB2 and IOBES
(also called BILOU: L- is E-, U- is S-) need not be told apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from factorgraph.errors import FactorGraphError

_PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}


def spans(labels: Iterable[Any]) -> list[tuple[str, int, int]]:
    """(type, first token, token behind the last) of every span, in order. Other labels than these are outside of all.

    >>> spans(["B-NP", "I-NP", "O", "I-VP", "B-NP", "S-PP"])
    [('NP', 0, 2), ('VP', 3, 4), ('NP', 4, 5), ('PP', 5, 6)]
    """
    found = []
    open_, begin, closed = "", 0, True  # the type of the span that has begun, and whether it is at its end
    at = -1
    for at, label in enumerate(labels):
        prefix, _, kind = str(label).partition("-")
        tag = _PREFIXES.get(prefix, "") if kind else ""
        if tag and (tag in "BS" or closed or kind != open_):
            if open_:
                found.append((open_, begin, at))
            open_, begin = kind, at
        elif not tag:
            if open_:
                found.append((open_, begin, at))
            open_ = ""
        closed = not tag or tag in "ES"
    if open_:
        found.append((open_, begin, at + 1))
    return found


@dataclass(frozen=True)
class Score:
    """right: spans that are in both; predicted, true: spans in all. Ratios of nothing are 0."""

    right: int
    predicted: int
    true: int

    @property
    def precision(self) -> float:
        """right / predicted."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """right / true."""
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        return 2 * self.right / (self.predicted + self.true) if self.predicted + self.true else 0.0


@dataclass(frozen=True)
class SpanReport:
    """tokens, and how many of them have the right label; the score of all spans, and of each type."""

    tokens: int
    right: int
    total: Score
    types: dict[str, Score]

    @property
    def accuracy(self) -> float:
        """The share of tokens that have the right label."""
        return self.right / self.tokens if self.tokens else 0.0

    @property
    def precision(self) -> float:
        """Of all spans."""
        return self.total.precision

    @property
    def recall(self) -> float:
        """Of all spans."""
        return self.total.recall

    @property
    def f1(self) -> float:
        """Of all spans."""
        return self.total.f1

    def __str__(self) -> str:
        width = max(map(len, (*self.types, "all")))
        lines = [
            f"{self.tokens} tokens, accuracy {100 * self.accuracy:.2f} %; {self.total.true} spans, "
            f"{self.total.predicted} predicted, {self.total.right} right"
        ]
        for name, score in (("all", self.total), *sorted(self.types.items())):
            ratios = f"precision {100 * score.precision:6.2f} %  recall {100 * score.recall:6.2f} %"
            lines.append(f"{name:{width}}  {ratios}  F1 {100 * score.f1:6.2f}  of {score.true}")
        return "\n".join(lines)


class Counting:
    """A report that grows sequence by sequence."""

    def __init__(self) -> None:
        self.tokens = self.correct = 0
        self.right, self.predicted, self.true = Counter[str](), Counter[str](), Counter[str]()

    def add(self, truth: Sequence[Any], predicted: Sequence[Any]) -> None:
        """One sequence more."""
        self.tokens += len(truth)
        self.correct += sum(a == b for a, b in zip(truth, predicted))
        real, found = spans(truth), spans(predicted)
        self.true.update(kind for kind, _, _ in real)
        self.predicted.update(kind for kind, _, _ in found)
        self.right.update(kind for kind, _, _ in set(real) & set(found))

    def report(self) -> SpanReport:
        """Of what was added so far."""
        kinds = sorted({*self.true, *self.predicted})
        types = {kind: Score(self.right[kind], self.predicted[kind], self.true[kind]) for kind in kinds}
        total = Score(self.right.total(), self.predicted.total(), self.true.total())
        return SpanReport(self.tokens, self.correct, total, types)


def span_report(truth: Sequence[Sequence[Any]], predicted: Sequence[Sequence[Any]]) -> SpanReport:
    """How well the spans of the true labels are found. Errors: FactorGraphError where lengths differ, with the place.

    >>> span_report([["B-NP", "I-NP", "O"]], [["B-NP", "O", "O"]]).f1
    0.0
    """
    if len(truth) != len(predicted):
        raise FactorGraphError(
            f"span_report: expected predictions for {len(truth)} sequences; got {len(predicted)}. Pass all"
        )
    counting = Counting()
    for i, (t, p) in enumerate(zip(truth, predicted)):
        if len(t) != len(p):
            raise FactorGraphError(f"span_report: expected {len(t)} labels of sequence {i}; got {len(p)}")
        counting.add(t, p)
    return counting.report()
