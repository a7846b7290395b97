"""Which encoder fits some data, and which one was saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...errors import FactorGraphError
from .bags import Bags
from .columns import Columns
from .encoded import Arrays, Encoder
from .entries import LISTS
from .features import Features
from .numbers import Numbers
from .templates import Templates
from .vocabulary import from_text

_KINDS: dict[str, type[Any]] = {each.kind: each for each in (Templates, Features, Numbers)}


def encoder_for(
    X: Any,
    lengths: Any = None,
    templates: Sequence[str] | None = None,
    pad: bool = True,
    cutoff: int = 1,
    hash_bits: int | None = None,
) -> Encoder:
    """An encoder that takes X: Templates for Columns, Features for dicts and lists of strings, Numbers for arrays.

    Errors: FactorGraphError for columns without templates, and for what no encoder takes.
    """
    if isinstance(X, Columns):
        if templates is None:
            raise FactorGraphError("encoder_for: expected templates for Columns, such as CHUNKING; got none")
        return Templates(*templates, pad=pad, cutoff=cutoff)
    if templates is not None:
        raise FactorGraphError(
            f"encoder_for: expected Columns for templates; got {type(X).__name__}. See Columns.from_tokens"
        )
    if isinstance(X, Bags):
        return Features(cutoff, hash_bits)
    if lengths is not None or not hasattr(X, "__len__"):
        return Numbers()
    first: Any = next((sequence for sequence in X if not hasattr(sequence, "__len__") or len(sequence)), [])
    token = first[0] if isinstance(first, list | tuple) and first else None
    if token is None and not isinstance(first, list | tuple):
        return Numbers()
    inside = next(iter(token), "") if isinstance(token, LISTS) else ""
    return Features(cutoff, hash_bits) if token is None or isinstance(inside, str) else Numbers()


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
