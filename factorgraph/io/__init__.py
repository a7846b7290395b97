"""Models in files."""

from .labels import labels_text, read_labels, write_labels
from .read import read
from .write import check_target, write

__all__ = ["check_target", "labels_text", "read", "read_labels", "write", "write_labels"]
