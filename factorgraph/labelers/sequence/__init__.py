"""A labeler for sequences: chains of labels over any features of tokens."""

from .constraints import Constraints
from .labeler import SequenceLabeler

__all__ = ["Constraints", "SequenceLabeler"]
