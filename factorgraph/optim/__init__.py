"""Optimisers: update rules on named parameter arrays, drivers that own the loop, when to stop.

The objective is the mean loss per example plus (l2 / 2) ‖w‖² plus l1 Σ |w|.
"""

from .adaptive import AdaGrad, Adam
from .drivers import BCFW, CCCP, LBFGS, Driver
from .passive import PassiveAggressive
from .rows import Gradient, Gradients, Parameters, Rows, State
from .rule import Optimizer, Rule, Schedule
from .sgd import SGD, Pegasos
from .stop import Stop

__all__ = [
    "BCFW",
    "CCCP",
    "LBFGS",
    "SGD",
    "AdaGrad",
    "Adam",
    "Driver",
    "Gradient",
    "Gradients",
    "Optimizer",
    "Parameters",
    "PassiveAggressive",
    "Pegasos",
    "Rows",
    "Rule",
    "Schedule",
    "State",
    "Stop",
]
