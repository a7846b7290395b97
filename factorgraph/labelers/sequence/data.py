"""Labels as a sequence labeler is given them: one for each token, or what is known of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import chain
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed
from ..encoding import Columns

Labels = list[Any]


def read_labels(y: Any, lengths: np.ndarray, sized: bool) -> list[Labels]:
    """One list of labels for each sequence. sized: whether one flat list for all sequences may stand for them.

    Errors: FactorGraphError, which says at which sequence the labels do not fit.
    """
    if isinstance(y, Columns):
        y = y.column(y.names[-1])
    if not hasattr(y, "__len__") or isinstance(y, str):
        raise FactorGraphError(f"y: expected a list of labels for each sequence; got {y!r}")
    if sized and len(y) == lengths.sum() and (len(y) != lengths.size or not _nested(y)):
        ends = np.cumsum(lengths).tolist()
        return [list(y[a:b]) for a, b in zip([0, *ends], ends)]
    if len(y) != lengths.size:
        raise FactorGraphError(f"y: expected labels of {lengths.size} sequences, as many as in X; got {len(y)}")
    out = []
    for i, (given, length) in enumerate(zip(y, lengths.tolist())):
        if isinstance(given, str) or not hasattr(given, "__len__"):
            raise FactorGraphError(f"y[{i}]: expected a list of labels, one for each token; got {given!r}")
        if len(given) != length:
            raise FactorGraphError(f"y[{i}]: expected {length} labels, as many as X[{i}] has tokens; got {len(given)}")
        out.append(given.tolist() if isinstance(given, np.ndarray) else list(given))
    return out


def alphabet(y: Iterable[Labels], given: Any = None) -> np.ndarray:
    """All labels, sorted: an array as scikit-learn's classes_."""
    found: set[Any] = set(given if given is not None else ())
    for i, sequence in enumerate(y):
        try:
            found.update(sequence)
        except TypeError:  # a set among them cannot be hashed
            for t, label in enumerate(sequence):
                try:
                    found.update(label if isinstance(label, set | frozenset) else (label,))
                except TypeError:
                    raise FactorGraphError(
                        f"y[{i}][{t}]: expected a label such as a string or a number; got {label!r}"
                    ) from None
        if given is not None and (new := known(found) - set(given)):
            raise FactorGraphError(f"y[{i}]: expected labels among {listed(set(given))}; got {listed(new)}")
    every = known(found)
    if any(label != label for label in every):
        raise FactorGraphError("y: expected labels; got NaN. None stands for a label that is not known")
    if not every:
        raise FactorGraphError("y: expected some known labels; got none. A model needs at least one to learn from")
    try:
        ordered = sorted(every)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in every})
        raise FactorGraphError(f"y: expected labels of one kind, which can be sorted; got {', '.join(kinds)}") from None
    out = np.array(ordered)
    if out.ndim != 1 or out.tolist() != ordered:
        out = np.empty(len(ordered), object)
        out[:] = ordered
    return out


def known(labels: set[Any]) -> set[Any]:
    """The labels in a set of labels, sets of labels and None."""
    sets = [label for label in labels if isinstance(label, frozenset)]
    return set(chain(labels - set(sets), *sets)) - {None}


def as_answers(y: list[Labels], classes: np.ndarray, where: str = "y") -> list[np.ndarray]:
    """What `train` takes: int32 labels, −1 unknown; a bool mask (tokens, K) for sequences in which sets occur.

    Errors: FactorGraphError that names the place of a label that is not among the classes, or of an empty set.
    """
    index = {label: k for k, label in enumerate(classes.tolist())} | {None: -1}
    out = []
    for i, labels in enumerate(y):
        try:
            out.append(np.fromiter(map(index.__getitem__, labels), np.int32, len(labels)))
        except (KeyError, TypeError):
            out.append(_mask(labels, index, f"{where}[{i}]"))
    return out


def _mask(labels: Labels, index: dict[Any, int], where: str) -> np.ndarray:
    mask = np.zeros((len(labels), len(index) - 1), bool)
    for t, label in enumerate(labels):
        if label is None:
            mask[t] = True
            continue
        some = label if isinstance(label, set | frozenset) else (label,)
        if wrong := [each for each in some if not isinstance(each, Hashable) or each not in index]:
            raise FactorGraphError(
                f"{where}[{t}]: expected one of the labels {listed(list(index)[:-1])}; got {wrong[0]!r}, which the "
                "labeler has not seen"
            )
        if not some:
            raise FactorGraphError(f"{where}[{t}]: expected at least one label in the set; None stands for any")
        mask[t, [index[each] for each in some]] = True
    return mask


def _nested(y: Any) -> bool:
    return any(hasattr(each, "__len__") and not isinstance(each, str | set | frozenset) for each in y)
