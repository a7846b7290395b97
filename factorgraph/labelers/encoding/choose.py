"""Which encoder fits some data, how the data go into it, and which one was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed
from .bags import Bags
from .columns import Columns
from .encoded import Arrays, Encoder
from .features import Features
from .numbers import Numbers
from .parse import CHUNKING
from .templates import Templates
from .vocabulary import from_text

#: Templates for tokens that are plain words.
WORDS = tuple(t for t in CHUNKING if "pos[" not in t) + ("prefix2(w[0])", "prefix3(w[0])", "BOS", "EOS")


_KINDS: dict[str, type[Any]] = {each.kind: each for each in (Templates, Features, Numbers)}


def first_token(X: Any) -> Any:
    """The first token there is, None where there is none."""
    return next((token for sequence in X for token in sequence), None)


def encoder_for(
    X: Any, templates: Sequence[str] | None = None, columns: Sequence[str] | None = None, cutoff: int = 1
) -> Encoder:
    """An encoder for tokens like these, X as `prepare` takes it.

    Templates for Columns, and for tokens that are words or tuples of strings, which `columns` names; Features for dicts
    and lists of strings; Numbers for arrays.

    Errors: FactorGraphError for X that is no sequence of sequences of tokens, and for columns without templates for
    which there are no defaults.
    """
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


def load_encoder(arrays: Arrays) -> Encoder:
    """The encoder whose `arrays` these are. Errors: FactorGraphError for arrays of none."""
    try:
        return _KINDS[from_text(arrays["kind"], "kind")].from_arrays(arrays)
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, FactorGraphError):
            raise
        raise FactorGraphError(
            f"load_encoder: expected the arrays of an encoder; got {error!r}. Was the file changed?"
        ) from None


def _defaults(names: Sequence[str]) -> tuple[str, ...]:
    if {"w", "pos"} <= set(names):
        return CHUNKING
    if "w" in names:
        return WORDS
    raise FactorGraphError(f"templates: expected some for columns {listed(names)}; there are defaults for w and pos")


def _numbers(X: Any) -> bool:
    """Whether sequences are matrices."""
    return hasattr(X, "__len__") and len(X) > 0 and (hasattr(X[0], "tocsr") or getattr(X[0], "ndim", 0) == 2)


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
