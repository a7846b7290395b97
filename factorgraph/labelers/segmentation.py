"""Segmentation graphs: candidate boundaries of a sequence, and the candidate segments between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from factorgraph.errors import FactorGraphError

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Segmentation:
    """The segmentation graph of one sequence: nodes 0..n are cuts, arcs are candidate segments.

    cuts:     (n+1,) where the sequence may be cut, increasing: of a line of W columns int64 from cuts[0] = 0 to W.
    start:    (arcs,) int64, node where each arc begins; start < end.
    end:      (arcs,) int64, node where it ends.
    features: (arcs, D) floats, what a recogniser sees of each arc; None where it is computed elsewhere.
    """

    cuts: Ints
    start: Ints
    end: Ints
    features: NDArray[Any] | None = None

    @property
    def spans(self) -> Ints:
        """(arcs, 2): arc a covers the sequence from spans[a, 0] to spans[a, 1]."""
        return np.stack([self.cuts[self.start], self.cuts[self.end]], axis=1)

    @property
    def lengths(self) -> NDArray[np.bool_]:
        """bool: [L] says whether some path from the first node to the last one has L arcs."""
        last = int(np.max(self.end, initial=0))
        reached = [1] + [0] * last  # bit L of [n]: a path of L arcs leads to node n
        order = np.argsort(self.start, kind="stable")
        for start, end in zip(self.start[order].tolist(), self.end[order].tolist()):
            reached[end] |= reached[start] << 1
        return np.array([bit == "1" for bit in reversed(f"{reached[last]:b}")])


def cut(
    X: Iterable[Any], cutter: Callable[[Any], Segmentation], features: Callable[[Any, Ints], Any] | None = None
) -> list[Segmentation]:
    """What the cutter makes of every input, with features of its own or computed from (input, spans); what is a
    Segmentation already stays so. Raises FactorGraphError, which names the input, for features that do not fit."""
    if isinstance(X, str) or not hasattr(X, "__iter__"):
        raise FactorGraphError(f"SegmentLabeler: expected X to be a list of inputs; got {X!r}")
    for name, part in (("cutter", cutter), ("features", features)):
        if part is not None and not callable(part):
            raise FactorGraphError(f"SegmentLabeler: expected {name} to be a function or None; got {part!r}")
    out = []
    for i, x in enumerate(X):
        if isinstance(x, Segmentation):
            out.append(x)
            continue
        try:
            line = cutter(x)
        except FactorGraphError as error:
            raise FactorGraphError(f"SegmentLabeler: X[{i}]: {error}") from error
        seen = np.asarray(line.features if features is None else features(x, line.spans))
        if seen.ndim != 2 or len(seen) != len(line.start):
            raise FactorGraphError(
                f"SegmentLabeler: X[{i}]: expected features of shape ({len(line.start)}, D), one row per arc; got "
                f"{seen.shape}"
            )
        out.append(Segmentation(line.cuts, line.start, line.end, seen))
    return out
