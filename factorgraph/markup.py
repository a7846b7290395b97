"""Summaries as HTML tables, which notebooks show for an object's `_repr_html_`. Everything is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from typing import Any

import numpy as np

#: Rows that are shown of a table.
ROWS = 12


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]], count: int) -> str:
    """A table of at most `ROWS` of `count` rows, and how many more there are."""
    lines = [f"<table><caption>{escape(caption)}</caption>"]
    lines += ["<thead>", _row("th", head), "</thead>"] if any(head) else []
    lines += ["<tbody>", *(_row("td", [written(cell) for cell in row]) for row in islice(rows, ROWS)), "</tbody>"]
    if count > ROWS:
        lines.append(f'<tfoot><tr><td colspan="{len(head)}">… and {count - ROWS:,} more</td></tr></tfoot>')
    return "\n".join([*lines, "</table>"])


def written(value: Any) -> str:
    """A cell: numbers to six digits, arrays shortened to a line or a few."""
    if isinstance(value, np.ndarray):
        return np.array2string(value, precision=3, threshold=24, edgeitems=3, suppress_small=True)
    return f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)


def _row(tag: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
