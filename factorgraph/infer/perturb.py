"""Perturb-and-MAP: draws that are minima of randomly perturbed energies (Papandreou, Yuille 2011).

    x* = argmin E(x) − T Σ_v G_v(x_v),     G_v(k) independent, Gumbel of mean 0

Perturbing every labelling on its own would draw from exp(−E / T) / Z exactly; perturbing variables is what can be done.
The mean of the perturbed minima is at most −T log Z (Hazan, Jaakkola 2012), and its derivative by the energies is the
mean of the draws' configurations.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.configurations import add_configurations
from ..kernels.simd import with_slack
from ..kernels.structure import LOOPY
from ..plan import Asked
from .auto import Auto
from .dynamic import DynamicProgramming
from .loopy import Summing, write_marginals
from .solution import Status
from .solver import Answer, Sampler, Solver, check_distribution, evaluate


@dataclass(frozen=True)
class PerturbAndMAP(Summing):
    """Samples of loopy components by any solver of minima under Gumbel noise; those of forests and lattices are exact.

    Draws are independent, yet not of the Gibbs distribution itself. Sums are means over `draws` draws begun with
    `seed`. solver: finds the minima, one call per draw.
    """

    solver: Solver = field(default_factory=Auto)
    draws: int = 100
    seed: int = 0
    name: ClassVar[str] = "perturb-and-map"
    sums: ClassVar[str] = "estimate"

    def __post_init__(self) -> None:
        if not (self.draws >= 1 and self.seed >= 0):
            raise FactorGraphError(f"PerturbAndMAP: expected draws ≥ 1 and seed ≥ 0; got {self.draws}, {self.seed}")

    def _integrate(
        self,
        asked: Asked,
        temperature: float,
        marginals: np.ndarray | None,
        gradient: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        plan, components = asked.plan, asked.components
        random, each = np.random.default_rng(self.seed), np.full(components.size, weight / self.draws)
        free, counts = np.zeros(components.size), np.zeros(plan.variable_states)
        variables = np.flatnonzero(plan.inside(components))
        for _ in range(self.draws):
            labels, minimum = self._draw(asked, temperature, random)
            free += minimum / self.draws
            chosen = variables[labels[variables] >= 0]
            counts[plan.offsets[chosen] + labels[chosen]] += 1.0 / self.draws
            if gradient is not None:
                add_configurations(components, plan.factors, plan.states, labels, each, gradient)
        if marginals is not None:
            write_marginals(plan, components, counts, marginals)
        return free

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """See Solver.sampler; on loopy components independent draws, but not of the Gibbs distribution."""
        kinds = asked.plan.kinds[asked.components]
        exact = DynamicProgramming(self.threads).sampler(asked.part(kinds != LOOPY), temperature)
        loopy = asked.part(kinds == LOOPY)
        variables = np.flatnonzero(asked.plan.inside(loopy.components))

        def draw(uniforms: np.ndarray, drawn: np.ndarray) -> None:
            exact(uniforms, drawn)
            for row, into in zip(uniforms[:, variables], drawn, strict=True):
                if row.size:
                    labels, minimum = self._draw(loopy, temperature, np.random.default_rng(int(row[0] * 2**53)))
                    check_distribution("sample", minimum, loopy.components)
                    into[variables] = labels[variables]

        return draw

    def _draw(self, asked: Asked, temperature: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Labels int32 (V,) and perturbed minima of the components asked, +inf where there is no labelling."""
        plan, energies, bias, components = asked
        noise = -temperature * (random.gumbel(size=plan.variable_states) - np.euler_gamma)
        if bias.size:
            noise += bias
        noisy = asked._replace(bias=with_slack(noise.astype(energies.dtype)))
        answer = Answer.empty(plan)
        self.solver.minimise(noisy, answer)
        _, minimum = evaluate(noisy, answer.labels)
        impossible = answer.status[components] == Status.INFEASIBLE
        if (~(minimum < np.inf) & ~impossible).any():
            raise FactorGraphError(
                f"{self.name}: {type(self.solver).__name__} found no labelling of finite energy of component "
                f"{components[np.argmax(~(minimum < np.inf) & ~impossible)]}; expected one. Give a solver that does"
            )
        minimum[impossible] = np.inf
        answer.labels[plan.inside(components[impossible])] = -1
        return answer.labels, minimum
