"""Inference: one file per algorithm, one contract (solver.py)."""

from .brute import BruteForce
from .dynamic import DynamicProgramming
from .energy import energy
from .kbest import k_best
from .marginals import Marginals, marginals
from .minsum import MinSum
from .ranking import Ranking
from .solution import Components, Solution, Status
from .solve import Auto, solve
from .solver import Answer, Solver

__all__ = [
    "Answer",
    "Auto",
    "BruteForce",
    "Components",
    "DynamicProgramming",
    "Marginals",
    "MinSum",
    "Ranking",
    "Solution",
    "Solver",
    "Status",
    "energy",
    "k_best",
    "marginals",
    "solve",
]
