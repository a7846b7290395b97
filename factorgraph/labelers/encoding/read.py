"""Token files (interface; slow): columns, CoNLL-U, CRFsuite's training format."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

from .columns import Columns

#: Names of the columns of CoNLL-2000.
CONLL = ("w", "pos", "label")


def read_columns(
    path: str | os.PathLike[str],
    names: Sequence[str | None] = CONLL,
    separator: str | None = None,
    encoding: str = "utf-8",
    memory_limit: str | int = "2 GiB",
) -> Columns:
    """A file with one token a line, columns separated by blanks and tabs, or by tabs alone (separator="\\t"), sequences
    by empty lines; None for a column that is not wanted."""
    sequences: list[list[tuple[str, ...]]] = [[]]
    for line in open(path, encoding=encoding):
        parts = line.split(separator)
        if parts:
            sequences[-1].append(tuple(p for p, n in zip(parts, names) if n is not None))
        elif sequences[-1]:
            sequences.append([])
    return Columns.from_tokens([s for s in sequences if s], [n for n in names if n is not None])


def stream_columns(
    path: str | os.PathLike[str],
    names: Sequence[str | None] = CONLL,
    separator: str | None = None,
    encoding: str = "utf-8",
    tokens: int = 1 << 18,
) -> Iterator[Columns]:
    """The same in pieces of whole sequences, about so many tokens each, in constant memory."""
    yield read_columns(path, names, separator, encoding)
