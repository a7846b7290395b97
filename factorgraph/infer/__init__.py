"""Inference: one file per algorithm, one contract (solver.py)."""

from .brute import BruteForce
from .dynamic import DynamicProgramming
from .energy import energy
from .expansion import Expansion, Swap
from .kbest import k_best
from .marginals import Marginals, entropy, marginals
from .min_marginals import MinMarginals, min_marginals
from .mincut import MinCut
from .minsum import MinSum
from .qpbo import fuse, persistent
from .ranking import Ranking
from .sample import Samples, sample
from .solution import Components, Solution, Status
from .solve import Auto, solve
from .solver import Answer, Sampler, Solver

__all__ = [
    "Answer",
    "Auto",
    "BruteForce",
    "Components",
    "DynamicProgramming",
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
