"""What a sequence labeler is given: sequences of tokens, and a label for each, or what is known of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from copy import deepcopy
from itertools import chain
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed
from ..encoding import CHUNKING, Bags, Columns, Encoder, Features, Numbers, Templates

#: Templates for tokens that are plain words.
WORDS = tuple(t for t in CHUNKING if "pos[" not in t) + ("prefix2(w[0])", "prefix3(w[0])", "BOS", "EOS")

Labels = list[Any]


def first_token(X: Any) -> Any:
    """The first token there is, None where there is none."""
    return next((token for sequence in X for token in sequence), None)


def make_encoder(X: Any, templates: Any, columns: Sequence[str] | None, cutoff: int, encoder: Any) -> Encoder:
    """The encoder for tokens like these. Errors: FactorGraphError for X that is no sequence of sequences of tokens."""
    if encoder is not None:
        made: Encoder = deepcopy(encoder)
        return made
    if isinstance(X, Columns):
        return Templates(*(templates or _defaults(X.names)), cutoff=cutoff)
    if isinstance(X, Bags):
        return Features(cutoff=cutoff)
    if hasattr(X, "tocsr") or isinstance(X, np.ndarray) or _numbers(X):
        return Numbers()
    _check_nested(X)
    token = first_token(X)
    if isinstance(token, tuple) and columns is None:
        raise FactorGraphError(
            f"columns: expected names of the strings of a token, such as ['w', 'pos']; got none for {token!r}. "
            "Features are given as lists"
        )
    if isinstance(token, str | tuple) or templates is not None:
        names = tuple(columns or ("w",))
        return Templates(*(templates or _defaults(names)), cutoff=cutoff)
    return Features(cutoff=cutoff)


def prepare(X: Any, encoder: Encoder, columns: Sequence[str]) -> Any:
    """X as its encoder takes it: tokens that are strings or tuples of strings become Columns."""
    if not isinstance(encoder, Templates) or isinstance(X, Columns):
        if isinstance(encoder, Features) and not isinstance(X, Bags):
            _check_nested(X)
            _check_kinds(X)
        return X
    _check_nested(X)
    if isinstance(first_token(X), str):
        if len(columns) > 1:
            raise FactorGraphError(f"X: expected tokens that are tuples of {', '.join(columns)}; got strings")
        return Columns.from_columns({columns[0]: X})
    return Columns.from_tokens(X, columns)


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


def _defaults(names: Sequence[str]) -> tuple[str, ...]:
    if {"w", "pos"} <= set(names):
        return CHUNKING
    if "w" in names:
        return WORDS
    raise FactorGraphError(f"templates: expected some for columns {listed(names)}; there are defaults for w and pos")


def _numbers(X: Any) -> bool:
    """Whether sequences are matrices."""
    return hasattr(X, "__len__") and len(X) > 0 and (hasattr(X[0], "tocsr") or getattr(X[0], "ndim", 0) == 2)


def _nested(y: Any) -> bool:
    return any(hasattr(each, "__len__") and not isinstance(each, str | set | frozenset) for each in y)


def _check_nested(X: Any) -> None:
    if isinstance(X, str) or not hasattr(X, "__len__"):
        raise FactorGraphError(f"X: expected a list of sequences of tokens; got {type(X).__name__}")
    for i, sequence in enumerate(X):
        if isinstance(sequence, str | dict) or not hasattr(sequence, "__len__"):
            raise FactorGraphError(
                f"X[{i}]: expected a sequence of tokens; got {type(sequence).__name__}. One sequence alone is given as "
                "[sequence]"
            )


def _check_kinds(X: Any) -> None:
    """Tokens are all dicts, or all lists of strings."""
    mapping = isinstance(first_token(X), dict)
    for i, sequence in enumerate(X):
        for t, token in enumerate(sequence):
            if isinstance(token, dict) != mapping or isinstance(token, str) or not hasattr(token, "__len__"):
                expected = "a dict of features" if mapping else "a list of features"
                raise FactorGraphError(
                    f"X[{i}][{t}]: expected {expected} as of the first token; got {type(token).__name__}"
                )
