"""Sums over graphs with cycles by messages: loopy belief propagation and the tree-reweighted upper bound of log Z.

Pearl 1988; Yedidia, Freeman, Weiss 2005; Wainwright, Jaakkola, Willsky 2005; Liu, Ihler 2011: see
kernels/reweighted.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..plan import Asked, Plan
from .loopy import Summing
from .reweighting import Reweighted, arrange

#: What a free energy may fall by, relative, without being worse.
ROUNDING = 1e-10


@dataclass(frozen=True)
class _Passes(Summing):
    """What both are told about their passes."""

    iterations: int = 200
    tolerance: float = 1e-6
    damping: float = 0.0

    def __post_init__(self) -> None:
        if not (self.iterations >= 1 and self.tolerance >= 0 and 0 <= self.damping < 1):
            raise FactorGraphError(
                f"{type(self).__name__}: expected iterations ≥ 1, tolerance ≥ 0 and 0 ≤ damping < 1; got "
                f"{self.iterations}, {self.tolerance}, {self.damping}"
            )


@dataclass(frozen=True)
class SumProduct(_Passes):
    """Loopy belief propagation: beliefs of variables and factors, and the Bethe free energy as an estimate of −T log Z.

    iterations: most passes there and back; it ends when no probability changes by more than `tolerance`. damping: share
    of the old message that messages back keep, in [0, 1).
    """

    damping: float = 0.1
    name: ClassVar[str] = "sum-product"
    sums: ClassVar[str] = "estimate"

    def _integrate(
        self,
        asked: Asked,
        temperature: float,
        marginals: np.ndarray | None,
        gradient: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        arrangement = arrange(asked.plan)
        rho = np.zeros(arrangement.last.size)
        rho[arrangement.order] = 1.0
        messages = Reweighted(asked, temperature, rho)
        free = messages.run(self.iterations, self.tolerance, self.damping)
        _write(messages, marginals, gradient, weight)
        return free


@dataclass(frozen=True)
class TreeReweighted(_Passes):
    """An upper bound of log Z (up to rounding: of float32 where the energies are), and beliefs; scopes of any size.

    Whatever the messages are, each pass proves a bound; the least one is kept (beliefs are of the last); where a pass
    makes it worse, damping goes half the way to 1. iterations, tolerance, damping: as for SumProduct.
    """

    name: ClassVar[str] = "tree-reweighted"
    sums: ClassVar[str] = "upper"

    def _integrate(
        self,
        asked: Asked,
        temperature: float,
        marginals: np.ndarray | None,
        gradient: np.ndarray | None,
        weight: float,
    ) -> np.ndarray:
        best = np.full(asked.plan.n_components, -np.inf)
        messages = Reweighted(asked, temperature, tree_weights(asked.plan))

        def keep(free: np.ndarray) -> np.ndarray:
            worse = (best < np.inf) & (free + ROUNDING * np.abs(free) < best)
            np.maximum(best, free, out=best)
            return worse

        messages.run(self.iterations, self.tolerance, self.damping, keep)
        _write(messages, marginals, gradient, weight)
        return best[asked.components]


def tree_weights(plan: Plan) -> np.ndarray:
    """float64 (F,): a variable deals out 1 to the factors in which it is not last, of which each takes the least part
    that its variables offer. Of pairs these are the appearance probabilities of edges in random spanning trees."""
    factor, variable = arrange(plan).ahead
    part = 1.0 / np.bincount(variable, minlength=plan.states.size)[variable]
    rho = np.full(arrange(plan).last.size, np.inf)
    np.minimum.at(rho, factor, part)
    return np.where(rho < np.inf, rho, 0.0)


def _write(messages: Reweighted, marginals: np.ndarray | None, gradient: np.ndarray | None, weight: float) -> None:
    if marginals is not None:
        messages.write_marginals(marginals)
    if gradient is not None:
        messages.add_gradient(gradient, weight)
