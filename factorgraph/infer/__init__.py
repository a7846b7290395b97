"""Inference: one file per algorithm, one contract (solver.py)."""

from .auto import Auto
from .brute import BruteForce
from .dynamic import DynamicProgramming
from .elimination import Elimination
from .energy import energy
from .expansion import Expansion, Swap
from .kbest import k_best
from .marginals import Marginals, entropy, marginals
from .min_marginals import MinMarginals, min_marginals
from .mincut import MinCut
from .minsum import MinSum
from .moves import fuse
from .qpbo import persistent
from .ranking import Ranking
from .sample import Samples, sample
from .search import ExactSearch
from .solution import Components, Solution, Status
from .solve import solve
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
    "Expansion",
    "Marginals",
    "MinCut",
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
    "Swap",
    "energy",
    "entropy",
    "fuse",
    "k_best",
    "marginals",
    "min_marginals",
    "persistent",
    "sample",
    "solve",
]
