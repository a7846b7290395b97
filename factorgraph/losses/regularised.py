"""Fenchel-Young losses: the best answer in expectation, less a regulariser Ω of the distribution over answers.

    L = E_c + Ω(e_c) + Ω*(−E),     Ω*(−E) = max_p −⟨E⟩_p − Ω(p),     ∂L/∂E = e_c − p*

    Nothing   Ω = 0: the perceptron                     Entropy   Ω = −T H(p): the likelihood
    Squares   Ω = ½ ‖μ‖², μ the marginals of answers: SparseMAP, whose p* is a few answers
    Gumbel    Ω* = mean max (−E + noise): perturb-and-MAP

Blondel, Martins, Niculae, "Learning with Fenchel-Young losses" (2020); Niculae, Martins, Blondel, Cardie, "SparseMAP"
(2018); Papandreou, Yuille, "Perturb-and-MAP random fields" (2011); Berthet et al., "Learning with differentiable
perturbed optimizers" (2020).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.simd import buffer, with_slack
from ..kernels.structure import LATTICE
from ..plan import Answers, Plan, Question
from .loss import Loss, Needs
from .problem import Found, Problem, Side
from .simplex import minimise_on_simplex

#: Relative gap at which a sparse distribution is optimal.
GAP = 1e-13


@dataclass(frozen=True)
class Nothing:
    """Ω = 0."""

    latent: ClassVar[str] = "min"
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP

    def correct(self, problem: Problem) -> np.ndarray:
        """E_c + Ω(e_c) per component; adds its configurations."""
        side = problem.correct()
        problem.add(side, np.isfinite(side.value))
        return side.value

    def conjugate(self, problem: Problem) -> np.ndarray:
        """Ω*(−E) per component; subtracts the expected configurations of p*."""
        side = problem.best(Question(), "free")
        problem.add(side, -np.ones(side.value.size))
        return -side.value


@dataclass(frozen=True)
class Entropy:
    """Ω = −T H(p), over answers and latents."""

    temperature: float = 1.0
    latent: ClassVar[str] = "sum"
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MARGINALS

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and np.isfinite(self.temperature)):
            raise FactorGraphError(f"Entropy: expected a finite temperature > 0; got {self.temperature!r}")

    def correct(self, problem: Problem) -> np.ndarray:
        """See Nothing.correct."""
        return problem.correct_sum(self.temperature)

    def conjugate(self, problem: Problem) -> np.ndarray:
        """See Nothing.conjugate."""
        return -problem.sum(Question(), self.temperature, -1.0)


@dataclass(frozen=True)
class Squares:
    """Ω = ½ ‖μ‖², μ the marginals of the answers (not of latents, which are minimised); not for lattices.

    Solved by an active set of labellings, one call of the solver for all components in each of at most `rounds` rounds.
    """

    rounds: int = 200
    latent: ClassVar[str] = "min"
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP

    def correct(self, problem: Problem) -> np.ndarray:
        """See Nothing.correct."""
        known = np.bincount(problem.plan.component[problem.known.labels >= 0], minlength=problem.plan.n_components)
        return Nothing().correct(problem) + 0.5 * known[problem.listed]

    def conjugate(self, problem: Problem) -> np.ndarray:
        """See Nothing.conjugate."""
        plan, listed = problem.plan, problem.listed
        if (plan.kinds[listed] == LATTICE).any():
            raise FactorGraphError(
                "SparseMAP: strings of lattices are no vectors over variables; expected a graph without lattices. "
                "Use NLL() or PerturbAndMAP()"
            )
        wide = problem.wide()
        sparse = [_Sparse(plan, problem.known.labels, c) for c in listed.tolist()]
        bias, seen, active = buffer(plan.variable_states, np.float64), [], np.arange(listed.size)
        for _ in range(self.rounds):
            side = wide.best(Question(bias), "sparse", active)
            seen.append(side.found[0].labels.copy())
            active = active[[sparse[i].grows(side.value[i], seen, bias) for i in active.tolist()]]
            if not active.size:
                break
        if problem.proven is not None:
            problem.proven[listed[active]] = False
        for number, labels in enumerate(seen):
            weights = -np.array([each.weight(number) for each in sparse])
            some = np.flatnonzero(weights)
            problem.add(Side(np.zeros(listed.size), (Found(Question(), some, labels),)), weights)
        return np.array([each.value for each in sparse])


class _Sparse:
    """The distribution over a few labellings of one component. `rounds`: in which of them each was found."""

    def __init__(self, plan: Plan, known: np.ndarray, component: int):
        variables = plan.variables_of(component)
        self.answers = variables[known[variables] >= 0]
        self.offsets = plan.offsets[self.answers]
        owned = np.zeros(plan.states.size, bool)
        owned[self.answers] = True
        self.states = np.flatnonzero(np.repeat(owned, plan.states))
        self.rounds: list[int] = []
        self.labels = np.zeros((0, self.answers.size), np.int32)
        self.energies, self.alpha = np.zeros(0), np.zeros(0)
        self.value = 0.0

    def grows(self, least: float, seen: list[np.ndarray], bias: np.ndarray) -> bool:
        """Take in the labelling found last, of energy + bias `least`, unless nothing is better; the new marginals go to
        `bias`."""
        new = seen[-1][self.answers]
        overlap = (self.labels == new).sum(1).astype(np.float64)
        energy = least - float(self.alpha @ overlap)
        if self.alpha.size:
            gram = self._gram()
            now = float(self.alpha @ (self.energies + gram @ self.alpha))
            if now - least <= GAP * max(1.0, abs(now)) or (self.labels == new).all(1).any():
                return False
        self.labels = np.vstack([self.labels, new])
        self.energies = np.append(self.energies, energy)
        self.rounds.append(len(seen) - 1)
        gram = self._gram()
        start = np.append(self.alpha, 0.0) if self.alpha.size else np.ones(1)
        alpha = minimise_on_simplex(gram, self.energies, start)
        kept = np.flatnonzero(alpha)
        self.alpha, self.labels, self.energies = alpha[kept], self.labels[kept], self.energies[kept]
        self.rounds = [self.rounds[i] for i in kept]
        self.value = -float(self.alpha @ (0.5 * gram[np.ix_(kept, kept)] @ self.alpha + self.energies))
        bias[self.states] = 0.0
        np.add.at(bias, self.offsets + self.labels, np.broadcast_to(self.alpha[:, None], self.labels.shape))
        return True

    def _gram(self) -> np.ndarray:
        return np.asarray((self.labels[:, None] == self.labels[None]).sum(-1), np.float64)

    def weight(self, number: int) -> float:
        """Of the labelling found in that round."""
        return float(self.alpha[self.rounds.index(number)]) if number in self.rounds else 0.0


@dataclass(frozen=True)
class Gumbel:
    """Ω* = mean over `samples` of max (−E + noise): Gumbel noise of mean 0 and scale T on every entry of the tables.

    A table that many factors share has one noise. The noise is that of `seed`, the same at every step.
    """

    samples: int = 16
    temperature: float = 1.0
    seed: int = 0
    latent: ClassVar[str] = "min"
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP

    def __post_init__(self) -> None:
        if not (self.samples >= 1 and 0 < self.temperature < np.inf):
            raise FactorGraphError(
                f"PerturbAndMAP: expected samples ≥ 1 and a finite temperature > 0; got {self.samples!r}, "
                f"{self.temperature!r}"
            )

    def correct(self, problem: Problem) -> np.ndarray:
        """See Nothing.correct."""
        return Nothing().correct(problem)

    def conjugate(self, problem: Problem) -> np.ndarray:
        """See Nothing.conjugate."""
        plan, total = problem.plan, np.zeros(problem.listed.size)
        energies, weights = problem.energies.copy(), np.full(total.size, -1.0 / self.samples)
        for t in range(self.samples):
            noise = problem.known.remember(("gumbel", self, t), partial(self._noise, plan.size, t))
            for index, block in enumerate(plan.blocks):
                rows = plan.rows(index, problem.listed)
                span = slice(None) if rows is None else rows
                block.view(energies)[span] = block.view(problem.energies)[span] - block.view(noise)[span]
            side = problem.of(with_slack(energies)).best(Question(), "free")
            problem.add(side, weights)
            total -= side.value / self.samples
        return total

    def _noise(self, size: int, number: int) -> np.ndarray:
        return np.random.default_rng([self.seed, number]).gumbel(-np.euler_gamma, 1.0, size) * self.temperature


Regularizer = Nothing | Entropy | Squares | Gumbel


def _evaluate(problem: Problem, regularizer: Regularizer) -> float:
    correct = regularizer.correct(problem)
    fine = np.isfinite(correct)
    problem.keep(fine)
    return float((correct[fine] + regularizer.conjugate(problem)).sum())


@dataclass(frozen=True)
class FenchelYoung(Loss):
    """E_c + Ω(e_c) + Ω*(−E), for a regulariser Ω: Nothing(), Entropy(), Squares(), Gumbel().

    What the class says of margins and flat surfaces holds for Entropy; Nothing() is the perceptron.
    By default latents are treated as the regulariser treats answers: summed by Entropy, else minimised.
    """

    latent: str = ""
    regularizer: Regularizer = Entropy()
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP | Needs.MARGINALS
    margin_kind: ClassVar[str] = ">0"
    convex: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "latent", self.latent or self.regularizer.latent)
        super().__post_init__()

    def _natural(self, known: Answers, listed: np.ndarray) -> bool:
        return self.latent == self.regularizer.latent or bool(known.complete[listed].all())

    def asks(self) -> Needs:
        """See Loss.asks."""
        return self.regularizer.needs

    def smooth(self) -> bool:
        """See Loss.smooth."""
        return isinstance(self.regularizer, Entropy | Squares)

    def _evaluate(self, problem: Problem) -> float:
        return _evaluate(problem, self.regularizer)


@dataclass(frozen=True)
class SparseMAP(Loss):
    """The Fenchel-Young loss of ½ ‖μ‖²: 0 once the correct answer is the best by a margin; a few MAPs."""

    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP
    margin_kind: ClassVar[str] = ">0"
    convex: ClassVar[bool] = True

    def smooth(self) -> bool:
        """See Loss.smooth."""
        return True

    def _evaluate(self, problem: Problem) -> float:
        return _evaluate(problem, Squares())


@dataclass(frozen=True)
class PerturbAndMAP(Loss):
    """E_c + mean max (−E + Gumbel noise on the tables): a likelihood by MAP calls alone; see Gumbel."""

    samples: int = 16
    temperature: float = 1.0
    seed: int = 0
    needs: ClassVar[Needs] = Needs.COMPLETION | Needs.MAP
    margin_kind: ClassVar[str] = ">0"
    convex: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._noise()

    def _noise(self) -> Gumbel:
        return Gumbel(self.samples, self.temperature, self.seed)

    def _evaluate(self, problem: Problem) -> float:
        return _evaluate(problem, self._noise())
