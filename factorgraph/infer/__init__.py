"""Inference: one file per algorithm, one contract (solver.py). Those for cycles are imported where they are used."""

from .auto import Auto
from .brute import BruteForce
from .dynamic import DynamicProgramming
from .energy import energy
from .kbest import k_best
from .marginals import Marginals, entropy, marginals
from .min_marginals import MinMarginals, min_marginals
from .minsum import MinSum
from .ranking import Ranking
from .sample import Samples, sample
from .solution import Components, Solution, Status
from .solve import solve
from .solver import Answer, Sampler, Solver

__all__ = [
    "Answer",
    "Auto",
    "BruteForce",
    "Components",
    "DynamicProgramming",
    "Marginals",
    "MinMarginals",
    "MinSum",
    "Sampler",
    "Samples",
    "Ranking",
    "Solution",
    "Solver",
    "Status",
    "energy",
    "entropy",
    "k_best",
    "marginals",
    "min_marginals",
    "sample",
    "solve",
]
