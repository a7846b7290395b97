"""Energy-based structured prediction on factor graphs.

Declare variables and energy factors, solve for the labelling of lowest energy with a statement of how good it is,
and train the factors with losses of the energy-based family. Energies: lower is better, +inf forbids.
"""

from . import losses, optim
from .errors import FactorGraphError, FormatError
from .factors import MLP, External, Factor, Linear, Potts, Table
from .graph import FactorGraph, Lattice, Variables
from .infer import (
    Auto,
    BruteForce,
    DynamicProgramming,
    Marginals,
    MinMarginals,
    MinSum,
    Samples,
    Solution,
    Solver,
    Status,
    energy,
    entropy,
    k_best,
    marginals,
    min_marginals,
    sample,
    solve,
)
from .learn import Model, Run, train
from .plan import Acceptor, Answers, Plan, Question, Restriction, restrict

__version__ = "0.1.0"

__all__ = [
    "Acceptor",
    "Answers",
    "Auto",
    "BruteForce",
    "DynamicProgramming",
    "External",
    "Factor",
    "FactorGraph",
    "FactorGraphError",
    "FormatError",
    "Lattice",
    "Linear",
    "MLP",
    "Marginals",
    "MinMarginals",
    "MinSum",
    "Model",
    "Plan",
    "Potts",
    "Question",
    "Restriction",
    "Run",
    "Samples",
    "Solution",
    "Solver",
    "Status",
    "Table",
    "Variables",
    "energy",
    "entropy",
    "k_best",
    "losses",
    "marginals",
    "min_marginals",
    "optim",
    "restrict",
    "sample",
    "solve",
    "train",
]
