"""Which loop an optimiser has."""

from __future__ import annotations

import numpy as np

from ..errors import FactorGraphError
from ..optim import BCFW, CCCP, LBFGS, SGD, PassiveAggressive, Rule
from .step import Learner, Loop, Steps


def loop_of(learner: Learner, kept: np.ndarray) -> Loop:
    """The loop of the learner's optimiser over the examples `kept`; what is compiled only for some is imported there.

    Errors: FactorGraphError for a loss that it cannot train.
    """
    match learner.optimizer:
        case LBFGS() as settings:
            from .lbfgs import QuasiNewton

            return QuasiNewton(learner, settings, kept)
        case BCFW() as settings:
            from .frank_wolfe import FrankWolfe

            return FrankWolfe(learner, settings, kept)
        case CCCP() as settings:
            from .concave import ConcaveConvex

            return ConcaveConvex(learner, settings, kept)
        case SGD() | PassiveAggressive() as rule if learner.batch == 1:
            from .online import Online, applies

            return Online(learner, rule) if applies(learner) else Steps(learner, rule)
        case Rule() as rule:
            return Steps(learner, rule)
    raise FactorGraphError(f"train: no loop is known for {learner.optimizer!r}; expected a rule, e.g. optim.SGD()")
