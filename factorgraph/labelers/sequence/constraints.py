"""What sequences of labels are allowed: transitions, first and last labels, and the labels of single tokens.

    IOB2    I-X only after B-X or I-X
    IOB1    B-X only after B-X or I-X
    IOBES   I-X and E-X only after B-X or I-X, which only I-X and E-X may follow; S-X, O and B-X elsewhere

L. Ramshaw, M. Marcus, "Text chunking using transformation-based learning" (1995); E. Tjong Kim Sang, J. Veenstra,
"Representing text chunks" (1999).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import FactorGraphError, listed

SCHEMES = ("iob1", "iob2", "iobes")


@dataclass(frozen=True)
class Constraints:
    """Rules for labels, all of which hold.

    scheme: "iob1", "iob2" or "iobes". forbidden: pairs of labels that may not follow each other. first, last: labels
    that a sequence may begin or end with, None: any. allowed: for each sequence None or a list with a set of labels (or
    a label, or None: any) for each token; it belongs to certain sequences, so to predictions.
    """

    scheme: str | None = None
    forbidden: Iterable[tuple[Any, Any]] = ()
    first: Iterable[Any] | None = None
    last: Iterable[Any] | None = None
    allowed: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.scheme is not None and self.scheme not in SCHEMES:
            raise FactorGraphError(f"constrain: expected a scheme among {listed(SCHEMES)}; got {self.scheme!r}")
        for name in ("forbidden", "first", "last", "allowed"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, str) or not hasattr(value, "__iter__")):
                raise FactorGraphError(f"Constraints: expected {name} to be a list; got {value!r}")
        object.__setattr__(self, "forbidden", read_pairs(list(self.forbidden)))

    def tables(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """bool: (K, K) whether label j may follow label i, (K,) whether one may come first, (K,) last.

        Errors: FactorGraphError for labels that are not among the classes.
        """
        size = len(classes)
        follows, first, last = np.ones((size, size), bool), np.ones(size, bool), np.ones(size, bool)
        if self.scheme is not None:
            inside, begins, ends, kind = np.array([_tag(label, self.scheme) for label in classes.tolist()], object).T
            inside, begins, ends = inside.astype(bool), begins.astype(bool), ends.astype(bool)
            same = kind[:, None] == kind
            follows &= ~inside | (same & ~ends[:, None])  # inside needs an open span of its kind
            first &= ~inside
            if self.scheme == "iobes":
                follows &= ends[:, None] | (same & inside)  # an open span goes on
                last &= ends
            if self.scheme == "iob1":
                follows &= ~begins | same
                first &= ~begins
        index = {label: k for k, label in enumerate(classes.tolist())}
        for pair in self.forbidden:
            a, b = (_find(index, label) for label in pair)
            follows[a, b] = False
        for some, mask in ((self.first, first), (self.last, last)):
            if some is not None:
                kept = [_find(index, label) for label in some]
                mask &= np.isin(np.arange(size), kept)
        return follows, first, last


def read(constrain: Any) -> Constraints | None:
    """None, a scheme, pairs that are forbidden, or Constraints."""
    if constrain is None or isinstance(constrain, Constraints):
        return constrain
    if isinstance(constrain, str):
        return Constraints(constrain)
    return Constraints(forbidden=read_pairs(constrain))


def read_pairs(given: Any) -> list[tuple[Any, Any]]:
    """Pairs of labels. Errors: FactorGraphError for anything else, strings of two letters too."""
    try:
        pairs = [tuple(pair) for pair in given if not isinstance(pair, str)]
        found = [(a, b) for a, b in pairs]
        if len(found) == len(given):
            return found
    except (TypeError, ValueError):
        pass
    raise FactorGraphError(
        f"constrain: expected a scheme ({listed(SCHEMES)}), pairs of labels that may not follow each other, or "
        f"Constraints(…); got {given!r}"
    )


def _find(index: dict[Any, int], label: Any) -> int:
    if not isinstance(label, Hashable) or label not in index:
        raise FactorGraphError(f"constrain: expected labels among {listed(index)}; got {label!r}")
    return index[label]


def _tag(label: Any, scheme: str) -> tuple[bool, bool, bool, str]:
    """(needs an open span of its kind, [iob1] begins one behind another, closes what is open, kind) of a label."""
    prefix, _, kind = str(label).partition("-")
    if label == "O" or not kind or prefix not in ("BIES" if scheme == "iobes" else "BI"):
        return False, False, True, ""
    if scheme == "iobes":
        return prefix in "IE", False, prefix in "ES", kind
    if scheme == "iob1":
        return False, prefix == "B", False, kind
    return prefix == "I", False, False, kind
