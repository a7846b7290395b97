"""Stochastic gradient descent, touching only the rows of a sparse gradient.

    w_t = shrink(w_{t−1} − η_t (g_t + l2 w_{t−1}), η_t l1)        η_t = rate · schedule(progress) / (1 + decay (t − 1))
    shrink(w, a) = sign(w) max(|w| − a, 0)

What concerns all weights at once stays outside of them: with w_t = s_t x_t the decay is in the scalar s_t, a step adds
Δ_t = −(η_t / s_t) g_t to x, and with S_t = s_1 + … + s_t

    w̄_T = (1/T) Σ_t w_t = (S_T x_T − u_T) / T,    u_T = Σ_t S_{t−1} Δ_t

is the exact average (without l2: s = 1, S_t = t and w̄ = w − u / T). Losses see x where they should see w, so s is
multiplied into x as soon as it is below 0.999, and at once where no gradient is sparse; then u ← u − S x, and S begins
again at 0: it would grow like 1 / s, and the average lose its digits. Likewise weights are shrunk after every step, but
where gradients are sparse after every 128th, by the sum of what is due: the truncated gradient.

W. Xu, "Towards optimal one pass large scale learning with averaged stochastic gradient descent" (2011), section 5;
J. Duchi, Y. Singer, "Efficient online and batch learning using forward backward splitting" (2009); J. Langford, L. Li,
T. Zhang, "Sparse online learning via truncated gradient" (2009); S. Shalev-Shwartz, Y. Singer, N. Srebro, "Pegasos:
primal estimated sub-gradient solver for SVM" (2007).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from .rows import Gradients, Parameters, Rows, State
from .rule import Rule, Schedule, check_numbers, check_schedule, factor_of, mean, move, offsets

#: SGD multiplies its pending decay into the weights when it is below this.
PENDING = 0.999
#: Steps of sparse gradients after which weights are shrunk.
PERIOD = 128


@dataclass(frozen=True)
class SGD(Rule):
    """Stochastic gradient descent; with rate 1 and a perceptron loss, the perceptron (averaged: `average=True`).

    rate: of the first step. decay: step t has rate / (1 + decay · (t − 1)). l2: strength of (l2 / 2) ‖w‖².
    average: answer with the mean of the parameters after every step. schedule: "constant", "linear" (down to 0 at the
    end of the run) or a function from the progress in [0, 1] to a factor of the rate. l1: strength of l1 Σ |w|, which
    leaves weights that are exactly 0 (averages seldom are).

    Errors: FactorGraphError for settings that are not finite or negative, and for rate · l2 ≥ 1.
    """

    rate: float = 0.1
    decay: float = 0.0
    l2: float = 0.0
    average: bool = False
    schedule: Schedule = "constant"
    l1: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, positive=("rate",), non_negative=("decay", "l2", "l1"))
        check_schedule(self)
        if self.rate * self.l2 >= 1:
            raise FactorGraphError(
                f"SGD: expected rate · l2 < 1; got {self.rate} · {self.l2}: one step would turn all signs. Lower either"
            )

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """scale is s_t, total S_t, due what weights are still to be shrunk by, `offset:name` u_t."""
        state: State = {"step": 0, "progress": 0.0, "scale": 1.0, "total": 0.0}
        if self.l1:
            state["due"] = 0.0
        return state | (offsets(parameters) if self.average else {})

    def update(self, parameters: Parameters, gradients: Gradients, state: State, loss: float = 0.0) -> None:
        """See Rule.update; rows that no sparse gradient names stay untouched."""
        rate = float(self.rates(np.array(state["step"]), state["progress"]))
        scale, total = state["scale"] * (1.0 - rate * self.l2), state["total"]
        move(parameters, gradients, state, -rate / scale, total)
        sparse = any(isinstance(gradient, Rows) for gradient in gradients.values())
        state["step"] += 1
        if self.l1:
            state["due"] += rate * self.l1
            if not sparse or state["step"] % PERIOD == 0:
                most = state["due"] / scale
                taken = {name: np.clip(array, -most, most) for name, array in parameters.items()}
                move(parameters, taken, state, -1.0, total)
                state["due"] = 0.0
        state["scale"], state["total"] = scale, total + scale
        if scale < PENDING or (scale != 1.0 and not sparse):
            for name, array in parameters.items():
                if self.average:
                    state[f"offset:{name}"] -= array.astype(np.float64) * (total + scale)
                array *= scale
            state["scale"], state["total"] = 1.0, 0.0

    def rates(self, steps: np.ndarray, progress: Any) -> np.ndarray:
        """η of several steps, float64: so many steps were made before each, at that progress."""
        if callable(self.schedule):
            factor: Any = np.array([factor_of(self.schedule, p) for p in np.ravel(progress).tolist()])
            factor = factor.reshape(np.shape(progress))
        else:
            factor = factor_of(self.schedule, progress)
        return np.asarray(float(self.rate) * factor / (1.0 + self.decay * steps))

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """See Rule.final."""
        if self.average and state["step"]:
            return mean(parameters, state, state["total"])
        last = {name: array * array.dtype.type(state["scale"]) for name, array in parameters.items()}
        if self.l1:
            most = state["due"]
            last = {name: array - np.clip(array, -most, most) for name, array in last.items()}
        return last


def Pegasos(l2: float, average: bool = False) -> SGD:
    """SGD with the rate of Pegasos, η_t = 1 / (l2 · (t + 1)): for Margin, and any loss made strongly convex by l2.

    (The paper's first step, t = 1, forgets where it started; it is left out.)

    >>> Pegasos(0.01)
    SGD(rate=50.0, decay=0.5, l2=0.01, average=False, schedule='constant', l1=0.0)
    """
    if not (isinstance(l2, int | float | np.number) and not isinstance(l2, bool) and 0 < l2 < np.inf):
        raise FactorGraphError(f"Pegasos: expected l2 to be a finite number above 0; got {l2!r}")
    return SGD(0.5 / float(l2), 0.5, float(l2), average)
