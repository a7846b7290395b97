"""What a fitted labeler is asked: best answers, ranked answers, marginals, energies of given answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import infer
from ...errors import FactorGraphError
from ...graph import FactorGraph
from ...optim import Parameters
from .chains import Tokens
from .constraints import Constraints
from .data import as_answers, read_labels

if TYPE_CHECKING:
    from .labeler import SequenceLabeler


def best(labeler: SequenceLabeler, tokens: Tokens, rules: Constraints | None) -> np.ndarray:
    """int32 (tokens,) the labels of lowest energy."""
    out = np.empty(int(tokens.indptr[-1]), np.int32)
    for sequences, part, (graph, parameters), evidence in _pieces(labeler, tokens, rules):
        found = infer.solve(graph, evidence, parameters, method=labeler._solver())
        labels = found.labels["y"]
        _refuse_infeasible(labels < 0, part.indptr, sequences)
        out[tokens.indptr[sequences.start] : tokens.indptr[sequences.stop]] = labels
    return out


def ranked(
    labeler: SequenceLabeler, tokens: Tokens, rules: Constraints | None, k: int
) -> list[list[tuple[list[Any], float]]]:
    """See SequenceLabeler.predict_k_best."""
    names = labeler.classes_.tolist()
    out: list[list[tuple[list[Any], float]]] = []
    for sequences, part, (graph, parameters), evidence in _pieces(labeler, tokens, rules):
        found = infer.k_best(graph, k, evidence, parameters, method=labeler._solver(), each=True)
        labels = np.stack([each.labels["y"] for each in found])
        _refuse_infeasible(labels[0] < 0, part.indptr, sequences)
        energies = np.stack([each.components.energy for each in found])
        component = 0
        for a, b in zip(part.indptr[:-1].tolist(), part.indptr[1:].tolist()):
            if a == b:
                out.append([([], 0.0)])
                continue
            some = np.flatnonzero(labels[:, a] >= 0)
            out.append([([names[i] for i in labels[r, a:b]], float(energies[r, component])) for r in some])
            component += 1
    return out


def marginals(labeler: SequenceLabeler, tokens: Tokens, rules: Constraints | None) -> list[np.ndarray]:
    """See SequenceLabeler.predict_marginals."""
    out: list[np.ndarray] = []
    for sequences, part, (graph, parameters), evidence in _pieces(labeler, tokens, rules):
        found = infer.marginals(graph, 1.0, evidence, parameters, method=labeler._solver())
        each = found.variables["y"]
        _refuse_infeasible(~(each.sum(1) > 0.5), part.indptr, sequences)
        out += [each[a:b] for a, b in zip(part.indptr[:-1], part.indptr[1:])]
    return out


def energies(labeler: SequenceLabeler, tokens: Tokens, answers: list[np.ndarray]) -> np.ndarray:
    """float64 (sequences,): the least energy that each answer permits; 0 of an empty sequence."""
    out = np.zeros(len(tokens))
    rows = [_as_mask(each, labeler.classes_.size) for each in answers]
    for sequences, part, (graph, parameters), _ in _pieces(labeler, tokens, None):
        mask = np.concatenate([np.ones((0, labeler.classes_.size), bool), *rows[sequences]])
        found = infer.solve(graph, {"y": mask} if mask.size else None, parameters, method=labeler._solver())
        filled = np.flatnonzero(np.diff(part.indptr))
        out[sequences][filled] = found.components.energy
    return out


def accuracy(truth: list[list[Any]], predicted: list[list[Any]], sample_weight: Any = None) -> float:
    """The share of tokens that are right, sequences weighted."""
    weights = np.ones(len(truth)) if sample_weight is None else np.asarray(sample_weight, np.float64)
    if weights.shape != (len(truth),):
        raise FactorGraphError(f"sample_weight: expected {len(truth)} weights; got an array of shape {weights.shape}")
    right = total = 0.0
    for t, p, weight in zip(truth, predicted, weights.tolist()):
        known = [a == b for a, b in zip(t, p) if a is not None and not isinstance(a, set | frozenset)]
        right += weight * sum(known)
        total += weight * len(known)
    if total == 0:
        raise FactorGraphError("score: expected some tokens with known labels; got none")
    return right / total


def _pieces(
    labeler: SequenceLabeler, tokens: Tokens, rules: Constraints | None
) -> Iterator[tuple[slice, Tokens, tuple[FactorGraph, Parameters], dict[str, np.ndarray] | None]]:
    """Whole sequences, their graph with its parameters, and what is asked of it as evidence."""
    chains, classes, allowed = labeler.chains_, labeler.classes_, None
    if rules is not None:
        chains = replace(chains, rules=rules.tables(classes))
        if rules.allowed is not None:
            lengths = np.diff(tokens.indptr)
            given = [[None] * n if a is None else a for a, n in zip(rules.allowed, lengths.tolist())]
            if len(rules.allowed) != len(tokens):
                raise FactorGraphError(
                    f"constrain.allowed: expected labels for {len(tokens)} sequences; got {len(rules.allowed)}"
                )
            allowed = as_answers(read_labels(given, lengths, False), classes, "constrain.allowed")
    for sequences, part in tokens.pieces():
        evidence = None
        if allowed is not None and part.indptr[-1]:
            evidence = {"y": np.concatenate([_as_mask(each, classes.size) for each in allowed[sequences]])}
        graph = chains.graph(part)
        # short sequences have no factors of three labels, and know no parameter of theirs
        parameters = {name: labeler.parameters_[name] for name in graph.parameters()}
        yield sequences, part, (graph, parameters), evidence


def _as_mask(answer: np.ndarray, states: int) -> np.ndarray:
    """bool (tokens, states): the labels that an answer permits."""
    if answer.ndim == 2:
        return answer
    return np.asarray((answer[:, None] == np.arange(states)) | (answer[:, None] < 0))


def _refuse_infeasible(where: np.ndarray, indptr: np.ndarray, sequences: slice) -> None:
    if where.any():
        i = sequences.start + int(np.searchsorted(indptr, int(np.argmax(where)), "right")) - 1
        raise FactorGraphError(
            f"constrain: no labels are left to sequence {i}; expected rules that permit some. Allow more, or predict "
            "this sequence without them"
        )
