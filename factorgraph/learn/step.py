"""What is learned, and the loop of update rules: energies → loss → gradient → update."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np

from ..infer import Solver
from ..losses import Loss, Needs
from ..optim import Gradient, Optimizer, Parameters, Rule, State
from ..plan import Answers
from .model import Declared


class Loop(Protocol):
    """The loop of an optimiser, an epoch at a time.

    finished: whether there is nothing more to gain. measured: what it knows of itself after an epoch, by fields of the
    history: objective, gradient, gap.
    """

    finished: bool
    measured: dict[str, float]

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """Learn from the examples in this order. Yields how many steps were made, and their summed loss.

        progress: float64, the part of the run done before each step.
        """
        ...

    def pack(self) -> State:
        """All that the rest of the run depends on besides the parameters: plain arrays and numbers."""
        ...

    def final(self) -> Parameters:
        """The learned parameters: new arrays."""
        ...


class Learner:
    """Examples, a loss and parameters: what all loops work on. Buffers in the energies' layout are made once.

    parameters, state: what a checkpoint stores; changed in place.
    """

    def __init__(
        self,
        declared: Declared,
        answers: Answers,
        loss: Loss,
        optimizer: Optimizer,
        solver: Solver,
        parameters: Parameters,
        state: State,
        energies: np.ndarray,
        batch: int,
        exact: np.ndarray | None = None,
    ):
        self.declared, self.graph, self.plan = declared, declared.graph, declared.compile()
        self.answers, self.loss, self.optimizer, self.solver = answers, loss, optimizer, solver
        self.parameters, self.state, self.energies, self.batch = parameters, state, energies, batch
        self.gradient = self.plan.zeros(energies.dtype)
        self.provable = not loss.asks() & (
            Needs.MARGINALS | Needs.INCORRECT
        )  # minima may be proven after all, by a bound
        self.exact = np.ones(self.plan.n_components, bool) if exact is None else exact
        self.proven, self.count = self.exact.copy(), np.zeros(2, np.int64)

    def slope(self, examples: np.ndarray, loss: Loss | None = None) -> tuple[float, dict[str, Gradient]] | None:
        """Their summed loss and its gradient by the parameters; None where they have no variables.

        loss: another one than that of the run.
        """
        components = self.declared.components(examples)
        if not components.size:
            return None
        self.graph.energies(self.parameters, components=components, out=self.energies)
        self.proven[components] = self.exact[components] | self.provable
        value, gradient = (loss or self.loss)(
            self.plan, self.energies, self.answers, self.solver, components, self.gradient, self.proven
        )
        self.count += np.array([np.count_nonzero(self.proven[components]), components.size])
        return value, self.graph.backward(gradient, self.parameters, components)

    def share(self) -> float:
        """Of the updates since the last call those that came from answers proven exact, component by component."""
        proven, all_ = self.count.tolist()
        self.count[:] = 0
        return proven / all_ if all_ else 1.0

    def affine(self) -> bool:
        """Whether energies are affine in the parameters: a loss that is convex in energies is convex then, unless
        something is latent."""
        return all(factor.affine or not factor.parameters(block.states) for block, factor in self.graph.bound())

    def convex(self) -> bool:
        """Whether the loss is convex in the parameters."""
        return self.loss.convex and self.loss.settled(self.answers) and self.affine()


class Steps:
    """One mini-batch after the other, by an update rule."""

    finished = False

    def __init__(self, learner: Learner, rule: Rule):
        self.learner, self.rule, self.measured = learner, rule, dict[str, float]()

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """See Loop.epoch."""
        batch = self.learner.batch
        for i, done in enumerate(progress):
            self.learner.state["progress"] = float(done)
            yield 1, self.step(order[i * batch : (i + 1) * batch])

    def step(self, examples: np.ndarray) -> float:
        """Update the parameters by these examples; returns their summed loss."""
        found = self.learner.slope(examples)
        if found is None:
            return 0.0
        value, gradients = found
        mean = {name: each * (1.0 / examples.size) for name, each in gradients.items()}
        self.rule.update(self.learner.parameters, mean, self.learner.state, value / examples.size)
        return value

    def pack(self) -> State:
        """See Loop.pack."""
        return self.learner.state

    def final(self) -> Parameters:
        """See Loop.final."""
        return self.rule.final(self.learner.parameters, self.learner.state)
