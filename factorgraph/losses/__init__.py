"""Losses of energy-based learning: how far the correct answer's energy is above what it should be below.

Value and gradient by the energies of every table, over a mini-batch in one pass:

    value, gradient = loss(plan, energies, answers, solver=None, components=None)

A gradient is a difference of answers, configurations(correct) − configurations(others), in the energies' own layout.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), table 1.
"""

from .check import check
from .contrast import LVQ2, MCE, Contrast, Hinge, Log, SquareExponential, SquareSquare
from .costs import augmented, deviating, deviations
from .incorrect import incorrect
from .loss import Loss, Needs
from .minima import Costly, Energy, LatentHinge, Margin, Perceptron, Ramp
from .problem import Problem, Side
from .regularised import Entropy, FenchelYoung, Gumbel, Nothing, PerturbAndMAP, SparseMAP, Squares
from .slack import SlackMargin
from .sums import MEE, NLL, SoftmaxMargin

__all__ = [
    "Contrast",
    "Costly",
    "Energy",
    "Entropy",
    "FenchelYoung",
    "Gumbel",
    "Hinge",
    "LVQ2",
    "LatentHinge",
    "Log",
    "Loss",
    "MCE",
    "MEE",
    "Margin",
    "NLL",
    "Needs",
    "Nothing",
    "Perceptron",
    "PerturbAndMAP",
    "Problem",
    "Ramp",
    "Side",
    "SlackMargin",
    "SoftmaxMargin",
    "SparseMAP",
    "SquareExponential",
    "SquareSquare",
    "Squares",
    "augmented",
    "check",
    "deviating",
    "deviations",
    "incorrect",
]
