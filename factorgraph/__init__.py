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
    MinSum,
    Solution,
    Solver,
    Status,
    energy,
    k_best,
    marginals,
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
    "MinSum",
    "Model",
    "Plan",
    "Potts",
    "Question",
    "Restriction",
    "Run",
    "Solution",
    "Solver",
    "Status",
    "Table",
    "Variables",
    "energy",
    "k_best",
    "losses",
    "marginals",
    "optim",
    "restrict",
    "solve",
    "train",
]
