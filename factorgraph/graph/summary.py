"""A graph as HTML: its variables by name, its factors by family."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..markup import table
from ..plan.summary import variables_table

if TYPE_CHECKING:
    from .graph import FactorGraph


def summary(graph: FactorGraph) -> str:
    """What was declared: variables, then factors, those of a family over equal numbers of states together."""
    bound = graph.bound()
    rows = ((type(f).__name__, len(b.scopes), b.tables, " × ".join(map(str, b.states)) or "–") for b, f in bound)
    count = sum(len(block.scopes) for block, _ in bound)
    head = ("family", "factors", "tables", "states")
    return variables_table(graph.compile()) + table(f"{count:,} factors", head, rows, len(bound))
