"""Update rules with a rate of its own for every weight.

    Adam     m_t = β₁ m_{t−1} + (1 − β₁) h_t,  v_t = β₂ v_{t−1} + (1 − β₂) h_t²,  h_t = g_t + l2 w_{t−1}
             w_t = w_{t−1} − η_t m̂_t / (√v̂_t + ε),  m̂_t = m_t / (1 − β₁ᵗ),  v̂_t = v_t / (1 − β₂ᵗ)
    AdaGrad  G_t = G_{t−1} + g_t²,  H_t = √G_t + ε
             w_t = shrink(w_{t−1} − η_t g_t / H_t, η_t l1 / H_t) / (1 + η_t l2 / H_t)

AdaGrad touches only the rows of a sparse gradient; what its penalties take is then taken from all weights after every
128th step, by the sum of the rates since (a weight that no gradient has touched is left alone).

D. Kingma, J. Ba, "Adam: a method for stochastic optimization" (2015); J. Duchi, E. Hazan, Y. Singer, "Adaptive
subgradient methods for online learning and stochastic optimization" (2011), composite mirror descent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import numpy as np

from ..errors import FactorGraphError
from .rows import Gradient, Gradients, Parameters, Rows, State
from .rule import Rule, Schedule, check_numbers, check_schedule, factor_of, mean, move, offsets
from .sgd import PERIOD


@dataclass(frozen=True)
class AdaGrad(Rule):
    """AdaGrad: weights that are seldom touched take larger steps. Lazy on sparse rows, as SGD.

    rate: of all steps, before it is divided by H. epsilon: keeps first steps finite. l1, l2: strengths of l1 Σ |w| and
    (l2 / 2) ‖w‖². average, schedule: as of SGD.

    Errors: FactorGraphError for settings that are not finite or negative.
    """

    rate: float = 0.1
    epsilon: float = 1e-8
    l2: float = 0.0
    average: bool = False
    schedule: Schedule = "constant"
    l1: float = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, positive=("rate", "epsilon"), non_negative=("l2", "l1"))
        check_schedule(self)

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """`squares:name` is G_t, of the parameter's dtype; due, the sum of rates whose penalties are still to come."""
        state: State = {"step": 0, "progress": 0.0, "due": 0.0}
        state |= {f"squares:{name}": np.zeros_like(array) for name, array in parameters.items()}
        return state | (offsets(parameters) if self.average else {})

    def update(self, parameters: Parameters, gradients: Gradients, state: State, loss: float = 0.0) -> None:
        """See Rule.update; rows that no sparse gradient names stay untouched."""
        rate, total = float(self.rate) * factor_of(self.schedule, state["progress"]), float(state["step"])
        scaled: dict[str, Gradient] = {}
        for name, gradient in gradients.items():
            squares = state[f"squares:{name}"]
            if isinstance(gradient, Rows):
                values = gradient.values.astype(squares.dtype, copy=False)
                touched = squares[gradient.rows] + values * values
                squares[gradient.rows] = touched
                scaled[name] = Rows(gradient.rows, values / (np.sqrt(touched) + self.epsilon), gradient.shape)
            else:
                values = np.asarray(gradient, squares.dtype)
                squares += values * values
                scaled[name] = values / (np.sqrt(squares) + self.epsilon)
        move(parameters, scaled, state, -rate, total)
        state["step"] += 1
        state["due"] += rate
        sparse = any(isinstance(gradient, Rows) for gradient in gradients.values())
        if not sparse or state["step"] % PERIOD == 0:
            if self.l1 or self.l2:
                move(parameters, self._taken(parameters, state), state, -1.0, total)
            state["due"] = 0.0

    def _taken(self, parameters: Mapping[str, np.ndarray], state: State) -> Gradients:
        """What the penalties take from all weights."""
        taken: dict[str, Gradient] = {}
        for name, array in parameters.items():
            squares = state[f"squares:{name}"]
            pace = np.where(squares > 0, state["due"] / (np.sqrt(squares) + self.epsilon), 0.0)
            shrunk = array - np.clip(array, -pace * self.l1, pace * self.l1)
            taken[name] = array - shrunk / (1.0 + pace * self.l2)
        return taken

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """See Rule.final."""
        if self.average and state["step"]:
            return mean(parameters, state, float(state["step"]))
        last = {name: array.copy() for name, array in parameters.items()}
        if (self.l1 or self.l2) and state["due"]:
            move(last, self._taken(last, state), {}, -1.0, 0.0)
        return last


@dataclass(frozen=True)
class Adam(Rule):
    """Adam: steps scaled by running moments of the gradient. Sparse gradients are made dense: every step touches all.

    rate, beta1, beta2, epsilon: as in the paper. l2: strength of (l2 / 2) ‖w‖², part of the gradient. average: answer
    with the mean of the parameters after every step. schedule: as of SGD.

    Errors: FactorGraphError for settings that are not finite or out of range.
    """

    rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    l2: float = 0.0
    average: bool = False
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        check_numbers(self, positive=("rate", "epsilon"), non_negative=("beta1", "beta2", "l2"))
        check_schedule(self)
        for name, beta in (("beta1", self.beta1), ("beta2", self.beta2)):
            if beta >= 1:
                raise FactorGraphError(f"Adam: expected {name} below 1; got {beta}")

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """`first:name` is m_t, `second:name` v_t, of the parameter's dtype; `sum:name` float64 for the average."""
        state: State = {"step": 0, "progress": 0.0}
        for name, array in parameters.items():
            state[f"first:{name}"], state[f"second:{name}"] = np.zeros_like(array), np.zeros_like(array)
            if self.average:
                state[f"sum:{name}"] = np.zeros(array.shape)
        return state

    def update(self, parameters: Parameters, gradients: Gradients, state: State, loss: float = 0.0) -> None:
        """See Rule.update."""
        state["step"] += 1
        # rate · m̂ / (√v̂ + ε) with the corrections of both moments in the numbers: √v̂ = √v / c
        c = sqrt(1.0 - self.beta2 ** state["step"])
        rate = float(self.rate) * factor_of(self.schedule, state["progress"]) / (1.0 - self.beta1 ** state["step"]) * c
        epsilon = self.epsilon * c
        for name, array in parameters.items():
            gradient = gradients.get(name, 0.0)
            whole = np.asarray(gradient.dense() if isinstance(gradient, Rows) else gradient, array.dtype)
            if self.l2:
                whole = whole + self.l2 * array
            first, second = state[f"first:{name}"], state[f"second:{name}"]
            part = np.multiply(whole, 1.0 - self.beta1, out=np.empty_like(array))
            first *= self.beta1
            first += part
            second *= self.beta2
            np.multiply(whole, whole, out=part)
            part *= 1.0 - self.beta2
            second += part
            np.sqrt(second, out=part)
            part += epsilon
            np.divide(first, part, out=part)
            part *= rate
            array -= part
            if self.average:
                state[f"sum:{name}"] += array

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """See Rule.final."""
        if not self.average or not state["step"]:
            return {name: array.copy() for name, array in parameters.items()}
        return {name: (state[f"sum:{name}"] / state["step"]).astype(a.dtype) for name, a in parameters.items()}
