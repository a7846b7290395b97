"""Solutions and marginals as HTML."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..markup import table

if TYPE_CHECKING:
    from .marginals import Marginals
    from .solution import Solution


def solution_summary(solution: Solution) -> str:
    """What is known of it, and the labels by name: names of states where there are some, strings of lattices."""
    method, count = np.unique(solution.components.method, return_counts=True)
    rows = [
        ("energy", solution.energy),
        ("bound", solution.bound),
        ("gap", solution.gap),
        *((f"by {m}", f"{n:,} of {count.sum():,} components") for m, n in zip(method, count, strict=True)),
    ]
    named, spelt = set(solution.states), set(solution.strings)
    labels = (
        (key, solution.strings[key] if key in spelt else solution.states[key] if key in named else value)
        for key, value in solution.labels.items()
    )
    known = table(str(solution.status), ("", ""), rows, len(rows))
    return known + table("labels", ("name", ""), labels, len(solution.labels))


def marginals_summary(marginals: Marginals) -> str:
    """log Z, and the probabilities by name."""
    count = len(marginals.variables)
    about = f"{marginals.kind} marginals, log Z = {marginals.log_partition:.6g}"
    return table(about, ("name", "probability of each state"), marginals.variables.items(), count)
