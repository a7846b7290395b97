"""Models of CRFsuite: its weights are scores of observed pairs, so the energies are their negatives.

Read from what `tagger.info()` of python-crfsuite gives, from a model file (which needs python-crfsuite), or from the
text that CRFsuite dumps of one:

    STATE_FEATURES = {
      (0) w[0]=the --> B-NP: 1.234567
    }
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import FactorGraphError, FormatError
from ..encoding import Features
from .chains import Chains

if TYPE_CHECKING:
    from .labeler import SequenceLabeler

_NAMED = re.compile(r"\s*(\d+): (.*)")
_WEIGHT = re.compile(r"\s*\((\d)\) (.*) --> (.*): (-?[\d.]+(?:[eE][+-]?\d+)?|-?nan|-?inf)")


def from_crfsuite(labeler: SequenceLabeler, source: Any) -> SequenceLabeler:
    """Fill a new labeler. Errors: FactorGraphError for what is no model, FormatError for a file that is none."""
    labels, attributes, states, transitions = _read(source)
    if not labels:
        raise FactorGraphError("from_crfsuite: expected a model with labels; got one without")
    label = {name: k for k, name in enumerate(labels)}
    attribute = {name: f for f, name in enumerate(attributes)}
    try:
        emit = [(attribute[a], label[b], w) for (a, b), w in states.items()]
        edge = [(0, label[a] * len(labels) + label[b], w) for (a, b), w in transitions.items()]
    except KeyError as error:
        raise FactorGraphError(f"from_crfsuite: a weight names {error}, which the model does not list") from None
    pairs, emissions = _pairs(emit, (len(attributes), len(labels)))
    edges, moves = _pairs(edge, (1, len(labels) ** 2))
    encoder = Features()
    encoder.fit([[[name] for name in attributes]] if attributes else [])
    labeler.set_params(loss="nll", features="observed")
    labeler.encoder_, labeler.n_features_, labeler.columns_ = encoder, encoder.n_features, ("w",)
    labeler.classes_ = np.array(labels)
    labeler.chains_ = Chains(len(labels), 1, np.float64, pairs, edges)
    labeler.parameters_ = {"emit": -emissions, "edge": -moves}
    return labeler


def _pairs(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> tuple[Any, np.ndarray]:
    """Which weights there are, and the weights in that order."""
    from scipy.sparse import csr_array

    rows, columns, weights = (np.array(each) for each in zip(*entries)) if entries else (np.zeros(0, int),) * 3
    order = np.lexsort((columns, rows))
    weights = weights[order].astype(np.float64)
    if not np.isfinite(weights).all():
        raise FactorGraphError("from_crfsuite: expected finite weights; got NaN or infinite ones")
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=shape[0]))])
    return csr_array((np.ones(weights.size, np.float32), columns[order], indptr), shape=shape), weights


def _read(source: Any) -> tuple[list[str], list[str], Mapping[Any, float], Mapping[Any, float]]:
    """Labels, attributes, {(attribute, label): weight}, {(label, label): weight}."""
    if hasattr(source, "state_features") and hasattr(source, "transitions"):
        by_number = (sorted(names, key=lambda name: int(names[name])) for names in (source.labels, source.attributes))
        labels, attributes = by_number
        return labels, attributes, source.state_features, source.transitions
    if not isinstance(source, str | os.PathLike):
        raise FactorGraphError(
            f"from_crfsuite: expected a path, or what info() of a python-crfsuite tagger gives; got {source!r}"
        )
    path = os.fsdecode(source)
    with open(path, "rb") as file:
        start = file.read(4)
    if start == b"lCRF":
        return _open(path)
    try:
        with open(path, encoding="utf-8") as file:
            return _parse(file.read(), path)
    except UnicodeDecodeError:
        raise FormatError(f"{path}: expected a model of CRFsuite, or a dump of one; it is neither", path) from None


def _open(path: str) -> Any:
    try:
        import pycrfsuite
    except ImportError:
        raise FactorGraphError(
            "from_crfsuite: expected python-crfsuite to be installed, which reads its model files; without it, give "
            "the text that `crfsuite dump` prints"
        ) from None
    tagger = pycrfsuite.Tagger()
    try:
        tagger.open(path)
    except ValueError as error:
        raise FormatError(f"{path}: python-crfsuite cannot read this model ({error})", path) from None
    return _read(tagger.info())


def _parse(text: str, path: str) -> Any:
    """A dump."""
    names: dict[str, list[str]] = {"LABELS": [], "ATTRIBUTES": []}
    weights: dict[str, dict[tuple[str, str], float]] = {"TRANSITIONS": {}, "STATE_FEATURES": {}}
    section = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.endswith(" = {"):
            section = line[:-4]
        elif line == "}":
            section = ""
        elif section in names or section in weights:
            found = (_NAMED if section in names else _WEIGHT).fullmatch(line)
            if found is None:
                raise FormatError(
                    f"{path}, line {number}: expected an entry of {section}; got {line[:60]!r}", path, number
                )
            if section in names:
                names[section].append(found[2])
            else:
                weights[section][found[2], found[3]] = float(found[4])
    if not names["LABELS"]:
        raise FormatError(f"{path}: expected a model of CRFsuite, or a dump of one; there are no labels in it", path)
    return names["LABELS"], names["ATTRIBUTES"], weights["STATE_FEATURES"], weights["TRANSITIONS"]
