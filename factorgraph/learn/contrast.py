"""Whether an energy surface is flat: by how much energies of different answers to one input differ.

    contrast = mean |E(Y, Z) − E(Y', Z)| over labellings drawn once, Y and Y' different answers beside the same Z

A surface that collapses (all answers equally good) has contrast 0; losses that pull the correct answer down and push
nothing up are best off there. LeCun, Chopra, Hadsell, Ranzato, Huang (2006), section 2.2.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from ..kernels.configurations import component_energies
from ..kernels.structure import LATTICE
from ..losses import Loss
from .model import Declared

#: Examples that are looked at, and pairs of answers for each.
EXAMPLES, PAIRS = 64, 8
#: A surface is flat below this part of the most contrast that it has had.
FLAT = 0.01


class Probe:
    """Labellings in pairs that differ in answers only, of some examples; lattices are left out."""

    def __init__(self, declared: Declared, examples: np.ndarray, seed: int = 0):
        rng, plan = np.random.default_rng([seed, 1]), declared.compile()
        self.graph, self.plan = declared.graph, plan
        some = examples if examples.size <= EXAMPLES else np.sort(rng.choice(examples, EXAMPLES, replace=False))
        owned = declared.components(some)
        self.components = owned[plan.kinds[owned] != LATTICE]
        answers = np.ones(plan.states.size, bool)
        for group in plan.groups:
            answers[group.start : group.start + group.count] = not group.latent
        ptr, order = plan.members
        variables = [order[ptr[c] : ptr[c + 1]] for c in self.components.tolist()]
        inside = np.concatenate([np.zeros(0, np.int64), *variables])
        self.pairs = []
        for _ in range(PAIRS):
            one = np.zeros(plan.states.size, np.int32)
            one[inside] = rng.integers(plan.states[inside])
            other = one.copy()
            redrawn = rng.integers(plan.states[inside])
            other[inside] = np.where(answers[inside], redrawn, one[inside])
            self.pairs.append((one, other))

    def contrast(self, parameters: Mapping[str, np.ndarray], energies: np.ndarray) -> float:
        """NaN where there is nothing to compare; the tables of the examples are written into `energies`."""
        if not self.components.size:
            return float("nan")
        self.graph.energies(parameters, components=self.components, out=energies)
        found = []
        for pair in self.pairs:
            each = np.empty((2, self.components.size))
            for labels, out in zip(pair, each):
                component_energies(self.components, self.plan.factors, self.plan.states, energies, labels, out)
            finite = np.isfinite(each).all(0)
            found.append(np.abs(each[0, finite] - each[1, finite]))
        differences = np.concatenate(found)
        return float(differences.mean()) if differences.size else float("nan")


class Monitor:
    """Warns, once, when the surface that is learned becomes flat. highest: the most contrast so far."""

    def __init__(self, declared: Declared, examples: np.ndarray, loss: Loss, highest: float):
        self.probe, self.loss, self.highest, self.warned = Probe(declared, examples), loss, highest, False

    def __call__(self, parameters: Mapping[str, np.ndarray], energies: np.ndarray, epoch: int) -> float:
        """The contrast after `epoch`."""
        contrast = self.probe.contrast(parameters, energies)
        self.highest = float(np.fmax(self.highest, contrast))
        if contrast < FLAT * self.highest and not self.warned:
            self.warned = True
            name = type(self.loss).__name__
            why = f"{name} is at its best where all energies are equal: take a loss that pushes wrong answers up, e.g. "
            why += "Margin(), Hinge() or NLL()"
            if not self.loss.flat_is_optimal:
                why = f"{name} does not reward that: lower the optimizer's rate or its l2"
            warnings.warn(
                f"train: the energy surface is flat after epoch {epoch}: energies of different answers differ by "
                f"{contrast:.3g} on average, {contrast / self.highest:.2%} of what they did. {why}",
                stacklevel=3,
            )
        return contrast
