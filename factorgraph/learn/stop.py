"""Scores on examples that are not learned from, and whether to go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..errors import FactorGraphError
from ..infer import Solver
from ..losses import Loss, check
from ..optim import Parameters, State, Stop
from .model import Model
from .resume import Record


class Watch:
    """What a `Stop` asks for after every epoch. best: the parameters of the best epoch, once there is one."""

    def __init__(self, stop: Stop, model: Model, loss: Loss, solver: Solver, state: State):
        self.stop, self.loss, self.solver = stop, loss, solver
        kept = [name for name in state if name.startswith(_BEST)]
        self.best: Parameters = {name[len(_BEST) :]: state.pop(name) for name in kept}
        if stop.validation is not None and stop.score is None:
            self.declared = model.declare(stop.validation[0])
            self.answers = self.declared.read_answers(stop.validation[1])
            self.energies = self.declared.graph.energies(self.declared.graph.initial(np.random.default_rng(0)))
            every = np.arange(self.declared.compile().n_components)
            check(loss, self.declared.compile(), self.answers, solver, every, approximate=True)

    def score(self, final: Callable[[], Parameters], history: Sequence[Record]) -> float:
        """Of the parameters as they are; NaN without a validation."""
        if self.stop.validation is None:
            return float("nan")
        parameters = final()
        if self.stop.score is not None:
            score = float(self.stop.score(parameters, *self.stop.validation))
            if np.isnan(score):
                raise FactorGraphError(
                    f"Stop: expected a number of score; got NaN after epoch {len(history) + 1}. Return inf where it is "
                    "worse than any"
                )
        else:
            self.declared.graph.energies(parameters, out=self.energies)
            value, _ = self.loss(self.declared.compile(), self.energies, self.answers, self.solver)
            score = value / max(1, self.declared.count)
        if not any(record.validation <= score for record in history):
            self.best = parameters
        return score

    def over(self, history: Sequence[Record]) -> bool:
        """Whether there was no better score for as many epochs as patience lasts."""
        if self.stop.validation is None or not history:
            return False
        scores = [record.validation for record in history]
        return len(scores) - 1 - int(np.argmin(scores)) >= self.stop.patience

    def pack(self) -> State:
        """What a checkpoint stores of it."""
        return {_BEST + name: array for name, array in self.best.items()}


_BEST = "best:"
