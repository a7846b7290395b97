"""L-BFGS, and with l1 OWL-QN: quasi-Newton steps on all examples at once.

    P(w) = F(w) + l1 Σ |w|,   F(w) = (1/N) Σ loss_i(w) + (l2 / 2) ‖w‖²,   g = ∇F(w)

    d = −H g,  H by the two-loop recursion from the last pairs s = w' − w, y = g' − g       (Nocedal 1980)
    w' = w + t d,   P(w') ≤ P(w) + 10⁻⁴ t ⟨g, d⟩,   ⟨g', d⟩ ≥ 0.9 ⟨g, d⟩                      (weak Wolfe)

With l1, g becomes the subgradient of P of least norm, d keeps the signs of −g, and w' stays in the orthant of w (where
w is 0, in that of −g); then only the first condition is asked for.

With l2, P is strongly convex if the loss is convex, so P(w) − min P ≤ ‖g‖² / (2 l2): a certificate (in exact
arithmetic).

J. Nocedal, "Updating quasi-Newton matrices with limited storage" (1980); G. Andrew, J. Gao, "Scalable training of
L1-regularized log-linear models" (2007); A. Lewis, M. Overton, "Nonsmooth optimization via quasi-Newton methods"
(2013).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

import numpy as np

from ..errors import FactorGraphError
from ..optim import LBFGS, Parameters, Rows, State
from .step import Learner

#: Parts of the slope: of decrease that is asked for, and of the slope that may be left.
DECREASE, CURVATURE = 1e-4, 0.9
#: Evaluations of one line search.
TRIES = 40


class Point(NamedTuple):
    """Where F was evaluated: the weights and ∇F, float64 (n,); P, and the summed loss."""

    weights: np.ndarray
    slope: np.ndarray
    objective: float
    loss: float


class QuasiNewton:
    """The loop of LBFGS; one epoch is one iteration.

    state: "slope" float64 (n,), ∇F at the parameters, with "objective" and "loss"; "done", whether the last step gained
    nothing. pairs: the last s and y, (n,) of the parameters' dtype, in the order of time; a checkpoint stores them as
    "steps" and "changes" (m, n).
    """

    def __init__(self, learner: Learner, settings: LBFGS, examples: np.ndarray):
        if not learner.loss.smooth():
            raise FactorGraphError(
                f"LBFGS: expected a loss that has a gradient everywhere, e.g. NLL() or SoftmaxMargin(); got "
                f"{type(learner.loss).__name__}, which has corners. Train it by SGD() or another rule"
            )
        self.learner, self.settings, self.examples = learner, settings, examples
        self.names, self.parameters = list(learner.parameters), learner.parameters
        sizes = [self.parameters[name].size for name in self.names]
        self.ends = np.cumsum([0, *sizes])
        self.dtype = learner.energies.dtype
        self.convex = settings.l2 > 0 and learner.convex()
        self.finished, self.measured = False, dict[str, float]()
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []
        if "slope" in learner.state:
            self.pairs = list(zip(learner.state.pop("steps"), learner.state.pop("changes")))
            self._judge(self._point())
            self.finished |= learner.state["done"]

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """See Loop.epoch: one iteration."""
        if "slope" not in self.learner.state:
            self._arrive(self._evaluate(self._weights()))
        begin = self._point()
        found = None if self.finished else self._search(begin)
        if found is None:  # at the minimum, or as near as this precision comes
            self._evaluate(begin.weights)
            self.learner.state["done"] = self.finished = True
            yield progress.size, begin.loss
            return
        step, change = found.weights - begin.weights, found.slope - begin.slope
        if step @ change > 1e-10 * (change @ change):
            self.pairs = [*self.pairs, (step.astype(self.dtype), change.astype(self.dtype))][-self.settings.memory :]
        self._arrive(found)
        if begin.objective - found.objective <= np.finfo(self.dtype).eps * abs(begin.objective):
            self.learner.state["done"] = self.finished = True
        yield progress.size, found.loss

    def pack(self) -> State:
        """See Loop.pack."""
        if "slope" not in self.learner.state:
            return self.learner.state
        empty = np.zeros((2, 0, self.ends[-1]), self.dtype)
        steps, changes = np.array(self.pairs).swapaxes(0, 1) if self.pairs else empty
        return self.learner.state | {"steps": steps, "changes": changes}

    def final(self) -> Parameters:
        """See Loop.final."""
        return {name: array.copy() for name, array in self.parameters.items()}

    # ---------------------------------------------------------------- the objective

    def _evaluate(self, weights: np.ndarray) -> Point:
        """Moves the parameters there, as far as their dtype goes."""
        for name, a, b in zip(self.names, self.ends, self.ends[1:]):
            self.parameters[name][...] = weights[a:b].reshape(self.parameters[name].shape)
        weights = self._weights()
        loss, gradients = self.learner.slope(self.examples) or (0.0, {})
        slope = self.settings.l2 * weights
        for name, a, b in zip(self.names, self.ends, self.ends[1:]):
            gradient = gradients.get(name)
            part = slope[a:b].reshape(self.parameters[name].shape)
            if isinstance(gradient, Rows):
                part[gradient.rows] += gradient.values / self.examples.size
            elif gradient is not None:
                part += gradient / self.examples.size
        objective = loss / self.examples.size + 0.5 * self.settings.l2 * float(weights @ weights)
        return Point(weights, slope, objective + self.settings.l1 * float(np.abs(weights).sum()), loss)

    def _weights(self) -> np.ndarray:
        arrays = [np.ravel(self.parameters[name]).astype(np.float64) for name in self.names]
        return np.concatenate([np.zeros(0), *arrays])

    def _point(self) -> Point:
        """Where the state says that we are."""
        state = self.learner.state
        return Point(self._weights(), state["slope"], state["objective"], state["loss"])

    def _arrive(self, point: Point) -> None:
        known: State = {"done": False, "slope": point.slope, "objective": point.objective, "loss": point.loss}
        self.learner.state.update(known)
        self._judge(point)

    def _judge(self, point: Point) -> None:
        """What is known of this point, and whether it will do."""
        tolerance, norm = self.settings.tolerance, float(np.linalg.norm(self._steepest(point)))
        self.measured = {"objective": point.objective, "gradient": norm}
        if self.convex:
            self.measured["gap"] = norm**2 / (2 * self.settings.l2)
            self.finished = self.measured["gap"] <= tolerance * abs(point.objective)
        else:
            self.finished = norm <= tolerance * max(1.0, float(np.linalg.norm(point.weights)))

    def _steepest(self, point: Point) -> np.ndarray:
        """The subgradient of P of least norm."""
        if not self.settings.l1:
            return point.slope
        pulled = point.slope - np.clip(point.slope, -self.settings.l1, self.settings.l1)
        return np.where(point.weights == 0, pulled, point.slope + self.settings.l1 * np.sign(point.weights))

    # ---------------------------------------------------------------- steps

    def _direction(self, slope: np.ndarray) -> np.ndarray:
        """−H slope by the two-loop recursion."""
        d, shares = -slope, []
        for s, y in self.pairs[::-1]:
            weight = 1.0 / float(s @ y)
            shares.append((weight, weight * float(s @ d)))
            d -= shares[-1][1] * y
        if self.pairs:
            s, y = self.pairs[-1]
            d *= float(s @ y) / float(y @ y)
        for (weight, share), (s, y) in zip(shares[::-1], self.pairs):
            d += (share - weight * float(y @ d)) * s
        return d

    def _search(self, begin: Point) -> Point | None:
        """A point that is better enough; None where none is found."""
        slope, l1 = self._steepest(begin), self.settings.l1
        d = self._direction(slope)
        if l1:
            d[d * slope >= 0] = 0.0
        descent = float(d @ slope)
        if not descent < 0:
            d, descent = -slope, -float(slope @ slope)
        if descent == 0.0:
            return None
        orthant = np.where(begin.weights == 0, -np.sign(slope), np.sign(begin.weights))
        low, high, found = 0.0, np.inf, None
        t = 1.0 if self.pairs else min(1.0, 1.0 / float(np.abs(slope).sum()))
        for _ in range(TRIES):
            to = begin.weights + t * d
            if l1:
                to[to * orthant <= 0] = 0.0
            point = self._evaluate(to)
            gain = float(slope @ (point.weights - begin.weights)) if l1 else t * descent
            if not (isfinite(point.objective) and point.objective <= begin.objective + DECREASE * gain):
                high = t
            elif not l1 and float(point.slope @ d) < CURVATURE * descent:
                low, found = t, point
            else:
                return point
            t = 0.5 * (low + high) if isfinite(high) else 2 * t
        return self._evaluate(found.weights) if found is not None else None
