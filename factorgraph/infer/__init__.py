"""Inference: one file per algorithm, one contract (solver.py)."""

from .brute import BruteForce
from .dynamic import DynamicProgramming
from .elimination import Elimination
from .energy import energy
from .kbest import k_best
from .marginals import Marginals, entropy, marginals
from .min_marginals import MinMarginals, min_marginals
from .minsum import MinSum
from .moves import fuse
from .ranking import Ranking
from .sample import Samples, sample
from .search import ExactSearch
from .solution import Components, Solution, Status
from .solve import Auto, solve
from .solver import Answer, Sampler, Solver
from .toulbar2 import Toulbar2
from .trws import TRWS

__all__ = [
    "Answer",
    "Auto",
    "BruteForce",
    "Components",
    "DynamicProgramming",
    "ExactSearch",
    "Elimination",
    "Marginals",
    "MinMarginals",
    "MinSum",
    "Sampler",
    "Samples",
    "Ranking",
    "Solution",
    "Solver",
    "Status",
    "TRWS",
    "Toulbar2",
    "energy",
    "entropy",
    "fuse",
    "k_best",
    "marginals",
    "min_marginals",
    "sample",
    "solve",
]
