"""Gradients to and from other libraries: a loss as a function of what `External` factors are given."""

from .function import LossFunction

__all__ = ["LossFunction"]
