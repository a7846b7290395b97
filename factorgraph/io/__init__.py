"""Models in files."""

from .read import read

__all__ = ["read"]
