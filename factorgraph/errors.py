"""One family of exceptions. A message says where it happened, what was expected, what came, and what to do."""

from __future__ import annotations


class FactorGraphError(ValueError):
    """Wrong input to any public function of the package."""


class FormatError(FactorGraphError):
    """A file that cannot be read: the message names the file and what is wrong with it."""
