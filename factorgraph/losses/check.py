"""What a loss asks for against what a solver can prove, before the first step.

Sums (marginals) and the best incorrect answer are exact or refused. Minima may be approximate, on graphs with cycles:
the loss is then bounded from below only, and its gradient is that of a rival which may not be the worst.
"""

from __future__ import annotations

import warnings

import numpy as np

from ..errors import FactorGraphError
from ..infer import Solver
from ..kernels.structure import LOOPY
from ..plan import Answers, Plan
from .loss import Loss, Needs


def check(
    loss: Loss, plan: Plan, answers: Answers, solver: Solver, components: np.ndarray, approximate: bool | None = None
) -> np.ndarray:
    """bool (C,): where the answers that `loss` asks for are exact by method; True outside of `components`.

    approximate: whether answers without a proof are welcome. None: those of minima are, with a warning.
    Errors: FactorGraphError for what the solver does not offer, or offers without a proof that was asked for; for
    latents that the loss cannot eliminate by the other operation than answers.
    """
    where, needs = type(loss).__name__, loss.asks()
    exact = np.ones(plan.n_components, bool)
    offers = {
        Needs.MARGINALS: ("integrate", "sums over all answers"),
        Needs.INCORRECT: ("min_marginals", "the best incorrect answer, which it finds by min-marginals"),
    }
    for need, (method, words) in offers.items():
        if need in needs and getattr(type(solver), method) is getattr(Solver, method):
            raise FactorGraphError(
                f"{where}: asks for {words}; {type(solver).__name__} does not offer that. Expected a solver that does, "
                "e.g. Auto(), or a loss of minima, e.g. Margin()"
            )
    rest = loss.over_answers(plan, answers, components, solver)
    if rest is not None:
        derived = rest.components(components)
        wrong = rest.parts.owner[derived[~proves(solver, rest.plan, derived)]]
    else:
        wrong = components[~proves(solver, plan, components) | loss.bounded(plan, components)]
    if needs == Needs.COMPLETION:
        wrong = wrong[~answers.complete[wrong]]
    exact[wrong] = False
    if not wrong.size or approximate:
        return exact
    about = f"{wrong.size} components (the first is {wrong[0]}) have cycles that {type(solver).__name__} does not solve"
    if needs & (Needs.MARGINALS | Needs.INCORRECT):
        words = [words for need, (_, words) in offers.items() if need in needs][0]
        raise FactorGraphError(
            f"{where}: asks for {words}; {about} exactly. Expected forests, lattices or small components; use a loss "
            "of minima, e.g. Margin(), or another solver"
        )
    about = (
        f"{where}: {about} with a proof: its values and gradients are those of answers that may not be the best ones"
    )
    if approximate is None:
        warnings.warn(
            f"{about}. run.history['exact'] tells how many were; approximate=True says that this is known",
            stacklevel=3,
        )
        return exact
    raise FactorGraphError(f"{about}; expected exact ones, as approximate=False demands")


def proves(solver: Solver, plan: Plan, components: np.ndarray) -> np.ndarray:
    """bool per component: whether the solver is exact there. Of forests and lattices one of a kind stands for all."""
    kinds, out = plan.kinds[components], np.empty(components.size, bool)
    for kind in np.unique(kinds):
        of = np.flatnonzero(kinds == kind)
        alike = kind != LOOPY and solver.exact_on(plan, int(components[of[0]]))
        out[of] = alike or [solver.exact_on(plan, int(c)) for c in components[of]]
    return out
