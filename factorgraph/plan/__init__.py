"""Frozen plans: index arrays, questions, restrictions. Nothing here ever holds an energy."""

from .acceptor import Acceptor
from .answers import Answers, read_answers
from .block import Block, Group, Lattices, digest
from .plan import Plan
from .question import Asked, Evidence, Question, find_group, read_evidence, read_start
from .restrict import Restriction, consecutive_arcs, restrict

__all__ = [
    "Acceptor",
    "Answers",
    "Asked",
    "Block",
    "Evidence",
    "Group",
    "Lattices",
    "Plan",
    "Question",
    "Restriction",
    "consecutive_arcs",
    "digest",
    "find_group",
    "read_answers",
    "read_evidence",
    "read_start",
    "restrict",
]
