"""One family of exceptions. A message says where it happened, what was expected, what came, and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class FactorGraphError(ValueError):
    """Wrong input to any public function of the package."""


class FormatError(FactorGraphError):
    """A file that cannot be read or written: the message names the file and what is wrong with it.

    `file`, `line` (from 1) and `token` say where, as far as that is known.
    """

    def __init__(self, message: str, file: str | None = None, line: int | None = None, token: str | None = None):
        super().__init__(message)
        self.file, self.line, self.token = file, line, token


def listed(names: Iterable[object]) -> str:
    """Names for a message: quoted, sorted, the first eight."""
    shown = sorted(map(str, names))
    return ", ".join(map(repr, shown[:8])) + (", …" if len(shown) > 8 else "") if shown else "none"
