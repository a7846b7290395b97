"""The model of a sequence labeler: a chain of variables over the labels for every sequence, all in one graph.

    E(y) = Σ_t ⟨x_t, W[:, y_t]⟩ + Σ_t T[y_{t−1}, y_t]  ( + Σ_t S[y_{t−2}, y_{t−1}, y_t]  of order 2 )

W is `emit`, T `edge`, S `third`; of observed features W and T have a weight only for the pairs that training data show.
Conditional random fields, structured perceptrons and max-margin Markov networks are this model under different losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import FactorGraphError
from ...factors import Linear, SparseLinear, Table
from ...graph import FactorGraph
from ...learn import Model
from ...optim import Parameters
from ..encoding import Encoded

#: Tokens that are predicted in one go.
PIECE = 1 << 17


class Tokens(Sequence[Any]):
    """Encoded sequences as the examples of a model: a row of `matrix` (CSR) for every token, sequence i has those from
    indptr[i] to indptr[i + 1]."""

    def __init__(self, matrix: Any, indptr: np.ndarray):
        self.matrix, self.indptr = matrix, indptr

    @classmethod
    def of(cls, encoded: Encoded, features: int, dtype: Any) -> Tokens:
        """The whole of what an encoder made."""
        return cls(encoded.matrix(features, dtype), np.concatenate([[0], np.cumsum(encoded.lengths)]))

    def __len__(self) -> int:
        return self.indptr.size - 1

    def __getitem__(self, i: Any) -> Tokens:
        """Some sequences: a slice, numbers, or one."""
        chosen = np.atleast_1d(np.arange(len(self))[i])
        lengths = np.diff(self.indptr)[chosen]
        ends = np.cumsum(lengths)
        rows = np.repeat(self.indptr[chosen] - ends + lengths, lengths) + np.arange(lengths.sum())
        whole = chosen.size and (np.diff(chosen) == 1).all()
        matrix = self.matrix[rows[0] : rows[-1] + 1] if whole and rows.size else self.matrix[rows]
        return Tokens(matrix, np.concatenate([[0], ends]))

    def pieces(self, tokens: int = PIECE) -> Iterator[tuple[slice, Tokens]]:
        """Ranges of whole sequences with about so many tokens, and those sequences."""
        cuts = np.unique(np.searchsorted(self.indptr, np.arange(0, max(1, self.indptr[-1]), tokens), "left"))
        for a, b in zip(cuts, [*cuts[1:], len(self)]):
            span = slice(int(a), int(b))
            yield span, self if len(cuts) == 1 else self[span]


@dataclass(frozen=True, eq=False)
class Chains:
    """The architecture: `states` labels, order 1 or 2, parameters of `dtype`.

    pairs: CSR (features, states), transitions: CSR (1, states²), whose entries are the weights that there are; None for
    all. rules: bool (states, states), label j may follow label i; (states,) it may come first, last; None: all may.
    """

    states: int
    order: int
    dtype: Any
    pairs: Any = None
    transitions: Any = None
    rules: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    def model(self) -> Model:
        """For `train`; its examples are Tokens."""
        return Model(self._one, self._many)

    def graph(self, tokens: Tokens) -> FactorGraph:
        """The chains of these sequences."""
        graph = FactorGraph()
        self._many(graph, tokens)
        return graph

    def _one(self, graph: FactorGraph, tokens: Tokens) -> None:
        self._many(graph, tokens)

    def _many(self, graph: FactorGraph, tokens: Any) -> Mapping[str, np.ndarray]:
        indptr, count = tokens.indptr, int(tokens.indptr[-1])
        y = graph.variables("y", shape=(count,), states=self.states)
        graph.add(self._linear(tokens.matrix, self.pairs, "emit"), y)
        some = np.diff(indptr) > 0
        first, last = indptr[:-1][some], indptr[1:][some] - 1
        left = np.ones(count, bool)  # has a right neighbour
        left[last] = False
        at = np.flatnonzero(left)
        pair = y[at], y[at + 1]
        graph.add(self._linear(None, self.transitions, "edge"), *pair)
        for rule, scope in zip(self.rules or (), (pair, (y[first],), (y[last],))):
            if not rule.all():
                graph.add(Table(np.where(rule, 0.0, np.inf).astype(self.dtype)), *scope)
        if self.order == 2:
            at = at[left[at + 1]]
            graph.add(Linear(None, "third", self.dtype), y[at], y[at + 1], y[at + 2])
        return {"y": indptr}

    def _linear(self, matrix: Any, pairs: Any, param: str) -> Linear | SparseLinear:
        if pairs is None:
            return Linear(matrix, param, self.dtype)
        return SparseLinear(matrix, pairs, param, self.dtype)

    def filled(self, parameters: Mapping[str, np.ndarray]) -> Parameters:
        """Zeros for those that training met no factor of: all its sequences were too short."""
        pair = (1, self.states, self.states) if self.transitions is None else (self.transitions.nnz,)
        out = {"edge": np.zeros(pair, self.dtype)}
        if self.order == 2:
            out["third"] = np.zeros((1, *(self.states,) * 3), self.dtype)
        return {"emit": parameters["emit"], **out, **parameters}

    def dense(self, parameters: Mapping[str, np.ndarray], name: str) -> Any:
        """A parameter as CSR (rows, columns), rows being features, whatever its storage."""
        from scipy.sparse import csr_array

        pairs = {"emit": self.pairs, "edge": self.transitions}.get(name)
        array = parameters[name]
        if pairs is None:
            return csr_array(array.reshape(len(array), -1))
        return csr_array((array, pairs.indices, pairs.indptr), shape=pairs.shape)


def observed(tokens: Tokens, answers: list[np.ndarray], states: int) -> tuple[Any, Any]:
    """The pairs of feature and label, and of neighbouring labels, that occur: CSR (features, states), (1, states²).

    Of sets of possible labels all count.
    """
    from scipy.sparse import csr_array

    rows, columns = [], []
    edges = np.zeros((states, states), bool)
    start = tokens.indptr[:-1]
    for begin, labels in zip(start.tolist(), answers):
        if labels.ndim == 1 and (labels >= 0).all():
            rows.append(np.arange(begin, begin + labels.size))
            columns.append(labels)
            edges[labels[:-1], labels[1:]] = True
        else:
            mask = labels if labels.ndim == 2 else (labels[:, None] == np.arange(states)) | (labels[:, None] < 0)
            token, label = np.nonzero(mask)
            rows.append(begin + token)
            columns.append(label)
            for a, b in zip(mask[:-1], mask[1:]):
                edges |= a[:, None] & b
    row, column = np.concatenate(rows), np.concatenate(columns)
    ones = np.ones(row.size, np.float32)
    shown = csr_array((ones, (row, column)), shape=(int(tokens.indptr[-1]), states))
    there = tokens.matrix.copy()
    there.data = np.ones_like(there.data, np.float32)
    pairs = (there.T.tocsr() @ shown).tocsr()
    pairs.sort_indices()
    at = np.flatnonzero(edges)
    transitions = csr_array((np.ones(at.size, np.float32), at, np.array([0, at.size])), shape=(1, states * states))
    return pairs, transitions


def refuse_empty(indptr: np.ndarray) -> None:
    """A sequence without tokens teaches nothing."""
    empty = np.flatnonzero(np.diff(indptr) == 0)
    if empty.size:
        raise FactorGraphError(
            f"X[{empty[0]}]: expected at least one token; got an empty sequence. Leave it out, with its labels"
        )
