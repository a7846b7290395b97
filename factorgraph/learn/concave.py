"""The concave-convex procedure: hold what the concave part answers, minimise the rest, repeat.

    P(w) = U(w) − V(w), U and V convex:   w ← argmin U(w) − V₀(w),  V₀ the tangent of V at the last w

Here V(w) is a mean of −min E(Y_c, Z), or −min E (losses/completed.py); its tangent holds the labelling that attains it.

A. Yuille, A. Rangarajan, "The concave-convex procedure" (2003); C.-N. Yu, T. Joachims, "Learning structural SVMs with
latent variables" (2009).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy

import numpy as np

from ..errors import FactorGraphError
from ..losses.completed import Completed, completed
from ..losses.problem import Found
from ..optim import BCFW, CCCP, Parameters, Rule, State
from ..plan import Question
from .frank_wolfe import FrankWolfe
from .step import Learner, Loop, Steps


class ConcaveConvex:
    """The loop of CCCP; an epoch is one of its inner optimiser's.

    state: what the inner loop keeps; "spent", epochs of this round; "held", how many labellings follow, each as
    "labels:i" int32 over the plan asked, "at:i" its components, "clamped:i" whether correct answers were given.
    """

    def __init__(self, learner: Learner, settings: CCCP, examples: np.ndarray):
        if not learner.affine():
            raise FactorGraphError(
                f"CCCP: expected energies linear in the parameters, so that its bound is convex; got "
                f"{learner.graph!r}. Use an update rule"
            )
        self.learner, self.settings, self.examples = copy(learner), settings, examples
        self.of, self.state = learner.loss, learner.state
        self.components = learner.declared.components(examples)
        self.finished, self.measured = False, dict[str, float]()
        self.inner: Loop | None = None
        if "held" in self.state:
            self.inner = self._resumed()
        else:
            self.state["spent"] = settings.every
            completed(self.of, learner.plan, learner.energies, learner.answers, learner.solver, self.components[:0])

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """See Loop.epoch."""
        if self.inner is None or self.inner.finished or self.state["spent"] >= self.settings.every:
            self.inner = self._round()
        yield from self.inner.epoch(order, progress)
        self.state["spent"] += 1
        self.measured = self.inner.measured  # of the bound

    def _round(self) -> Loop:
        """Take the tangent here; the inner loop begins anew."""
        it = self.learner
        it.graph.energies(it.parameters, components=self.components, out=it.energies)
        it.loss = completed(self.of, it.plan, it.energies, it.answers, it.solver, self.components)
        self.state.clear()
        if isinstance(self.settings.inner, Rule):
            self.state.update(self.settings.inner.init(it.parameters))
        else:
            for array in it.parameters.values():
                array[...] = 0.0
        inner = self._loop()
        self.state["spent"] = 0
        return inner

    def _loop(self) -> Loop:
        inner, it = self.settings.inner, self.learner
        it.optimizer = inner
        if isinstance(inner, BCFW):
            return FrankWolfe(it, inner, self.examples)
        assert isinstance(inner, Rule)
        return Steps(it, inner)

    def pack(self) -> State:
        """See Loop.pack."""
        if self.inner is None or not isinstance(self.learner.loss, Completed):
            return self.state
        state = dict(self.inner.pack())
        for i, found in enumerate(self.learner.loss.held):
            state |= {f"labels:{i}": found.labels, f"at:{i}": found.at}
            state[f"clamped:{i}"] = found.question.bias is not None or found.question.restriction is not None
        return state | {"held": len(self.learner.loss.held)}

    def _resumed(self) -> Loop:
        """The round that was interrupted."""
        it, held = self.learner, []
        for i in range(self.state.pop("held")):
            clamped, at, labels = (self.state.pop(f"{field}:{i}") for field in ("clamped", "at", "labels"))
            question = it.answers.clamped(it.energies.dtype) if clamped else Question()
            held.append(Found(question, at, labels))
        it.loss = Completed(of=self.of, held=tuple(held))
        return self._loop()

    def final(self) -> Parameters:
        """See Loop.final."""
        if self.inner is None:
            return {name: array.copy() for name, array in self.learner.parameters.items()}
        return self.inner.final()
