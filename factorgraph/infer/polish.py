"""Single labels moved where factors count: counters hold their variables fast, so what was found without a proof by way
of them is repaired and improved on the plan without counters."""

from __future__ import annotations

import numpy as np

from ..kernels.minsum import unary_costs
from ..kernels.structure import LOOPY
from ..plan import Asked
from .moves import Improver, loops_of
from .solution import Status
from .solver import Answer, evaluate

#: Sweeps of weighted min-conflicts over an infeasible labelling.
REPAIRS = 30


def polish(asked: Asked, answer: Answer, deadline: float) -> None:
    """Better labels of the loopy components without a proof, if some are found; energies, where known, are dropped."""
    plan, components = asked.plan, asked.components
    status = answer.status[components]
    open_ = (status == Status.BOUNDED) | (status == Status.APPROXIMATE)
    part = asked.part(open_ & (plan.kinds[components] == LOOPY))
    if not part.components.size:
        return
    unary = np.zeros(plan.variable_states)
    unary_costs(plan.factors, part.components, plan.states, plan.offsets, part.energies, part.bias, unary)
    improver = Improver(part, unary, loops_of(part))
    inside = plan.inside(part.components)
    labels = np.where(inside, np.maximum(answer.labels, 0), answer.labels).astype(np.int32)
    before = evaluate(part, labels)[1]
    if (before == np.inf).any():
        improver.repair(labels, loops_of(part.part(before == np.inf)), REPAIRS, deadline)
    improver.single(labels)
    better = part.components[evaluate(part, labels)[1] < before]
    inside = plan.inside(better)
    answer.labels[inside] = labels[inside]
    answer.energy[better] = np.nan
