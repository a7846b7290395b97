"""Update rules on named parameter arrays, and the row-sparse gradients they understand.

The objective is the mean loss per example plus (l2 / 2) ‖w‖². With the rate η_t of step t = 1, 2, … and the gradient
g_t of the mean loss:

    SGD    w_t = (1 − η_t l2) w_{t−1} − η_t g_t                  η_t = rate · schedule(progress) / (1 + decay (t − 1))
    Adam   m_t = β₁ m_{t−1} + (1 − β₁) h_t,  v_t = β₂ v_{t−1} + (1 − β₂) h_t²,  h_t = g_t + l2 w_{t−1}
           w_t = w_{t−1} − η_t m̂_t / (√v̂_t + ε),  m̂_t = m_t / (1 − β₁ᵗ),  v̂_t = v_t / (1 − β₂ᵗ)

SGD touches only the rows of a sparse gradient. What concerns all weights at once stays outside of them: with
w_t = s_t x_t the decay is in the scalar s_t, a step adds Δ_t = −(η_t / s_t) g_t to x, and with S_t = s_1 + … + s_t

    w̄_T = (1/T) Σ_t w_t = (S_T x_T − u_T) / T,    u_T = Σ_t S_{t−1} Δ_t

is the exact average (without l2: s = 1, S_t = t and w̄ = w − u / T). Losses see x where they should see w, so s is
multiplied into x as soon as it is below 0.999, and at once where no gradient is sparse.

D. Kingma and J. Ba, "Adam: a method for stochastic optimization" (2015); W. Xu, "Towards optimal one pass large scale
learning with averaged stochastic gradient descent" (2011), section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Any

import numpy as np

from .errors import FactorGraphError

Parameters = dict[str, np.ndarray]
#: Plain arrays, floats and ints by name: what a checkpoint stores besides the parameters.
State = dict[str, Any]
#: A name, or any function from the progress of the run in [0, 1] to a factor of the rate.
Schedule = str | Callable[[float], float]

#: SGD multiplies its pending decay into the weights when it is below this.
PENDING = 0.999
#: Where schedules are checked and compared.
PROBES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Rows:
    """A gradient that is zero but for some rows.

    rows: int64 (R,), sorted, each once. values: (R, *shape[1:]), [i] is row rows[i]. shape: of the whole parameter.
    """

    rows: np.ndarray
    values: np.ndarray
    shape: tuple[int, ...]

    #: Arrays leave sums with rows to `__radd__`.
    __array_ufunc__ = None

    def dense(self) -> np.ndarray:
        """The whole gradient, an array of `shape`."""
        out = np.zeros(self.shape, self.values.dtype)
        out[self.rows] = self.values
        return out

    def __mul__(self, factor: float) -> Rows:
        """Every entry times a number."""
        return Rows(self.rows, self.values * factor, self.shape)

    __rmul__ = __mul__

    def __add__(self, other: Any) -> Any:
        """The sum of two gradients of one parameter: rows where both are sparse, else an array."""
        if not isinstance(other, Rows):
            total: np.ndarray = other + self.dense()
            return total
        rows, place = np.unique(np.concatenate([self.rows, other.rows]), return_inverse=True)
        values = np.zeros((rows.size, *self.shape[1:]), np.result_type(self.values, other.values))
        values[place[: self.rows.size]] = self.values
        values[place[self.rows.size :]] += other.values
        return Rows(rows, values, self.shape)

    __radd__ = __add__


Gradient = np.ndarray | Rows


class Rule:
    """An update rule: `state = init(parameters)`, `update(parameters, gradients, state)` per step, `final(…)`.

    All that changes is in `parameters` and `state`; the rule itself is configuration.
    """

    rate: float
    schedule: Schedule

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """The state before the first step. Who runs the loop sets `state["progress"]`, the part done, from 0 to 1."""
        raise NotImplementedError

    def update(self, parameters: Parameters, gradients: Mapping[str, Gradient], state: State) -> None:
        """One step, in place on parameters and state. gradients: of the mean loss; a name left out counts as zero."""
        raise NotImplementedError

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """The learned parameters: new arrays, averaged over all steps where that was asked for."""
        raise NotImplementedError

    @property
    def anytime(self) -> bool:
        """Whether a longer run starts like a shorter one, because the rate does not depend on the progress."""
        return self.schedule == "constant"

    def fingerprint(self) -> str:
        """The configuration as text, equal for rules that make equal steps; schedules are sampled."""
        given = {name: value.item() if isinstance(value, np.generic) else value for name, value in vars(self).items()}
        given["schedule"] = [_factor(self.schedule, p) for p in PROBES]
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in given.items())})"

    def _rate(self, state: State) -> float:
        return float(self.rate) * _factor(self.schedule, state["progress"])


@dataclass(frozen=True)
class SGD(Rule):
    """Stochastic gradient descent; with rate 1 and a perceptron loss, the perceptron (averaged: `average=True`).

    rate: of the first step. decay: step t has rate / (1 + decay · (t − 1)). l2: strength of (l2 / 2) ‖w‖².
    average: answer with the mean of the parameters after every step. schedule: "constant", "linear" (down to 0 at the
    end of the run) or a function from the progress in [0, 1] to a factor of the rate.

    Errors: FactorGraphError for settings that are not finite or negative, and for rate · l2 ≥ 1.
    """

    rate: float = 0.1
    decay: float = 0.0
    l2: float = 0.0
    average: bool = False
    schedule: Schedule = "constant"

    def __post_init__(self) -> None:
        _check(self, positive=("rate",), non_negative=("decay", "l2"))
        if self.rate * self.l2 >= 1:
            raise FactorGraphError(
                f"SGD: expected rate · l2 < 1; got {self.rate} · {self.l2}: one step would turn all signs. Lower either"
            )

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """scale is s_t, total S_t, and `offset:name` u_t, float64 of the parameter's shape, where averages are kept."""
        state: State = {"step": 0, "progress": 0.0, "scale": 1.0, "total": 0.0}
        if self.average:
            state.update({f"offset:{name}": np.zeros(array.shape) for name, array in parameters.items()})
        return state

    def update(self, parameters: Parameters, gradients: Mapping[str, Gradient], state: State) -> None:
        """See Rule.update; rows that no sparse gradient names stay untouched."""
        rate = self._rate(state) / (1.0 + self.decay * state["step"])
        scale, total = state["scale"] * (1.0 - rate * self.l2), state["total"]
        sparse = False
        for name, gradient in gradients.items():
            _add(parameters[name], gradient, -rate / scale)
            if self.average:
                _add(state[f"offset:{name}"], gradient, -rate / scale * total)
            sparse = sparse or isinstance(gradient, Rows)
        state["step"] += 1
        state["scale"], state["total"] = scale, total + scale
        if scale < PENDING or (scale != 1.0 and not sparse):
            for array in parameters.values():
                array *= scale
            state["scale"], state["total"] = 1.0, total / scale + 1.0

    def rates(self, steps: np.ndarray, progress: np.ndarray) -> np.ndarray:
        """η of several steps, float64: so many steps were made before each, at that progress."""
        if callable(self.schedule):
            factor: Any = np.array([_factor(self.schedule, p) for p in progress.tolist()])
        else:
            factor = _factor(self.schedule, progress)
        return float(self.rate) * factor / (1.0 + self.decay * steps)

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """See Rule.final."""
        if not self.average or not state["step"]:
            return {name: array * array.dtype.type(state["scale"]) for name, array in parameters.items()}
        out = {}
        for name, array in parameters.items():
            mean = (state["total"] * array.astype(np.float64) - state[f"offset:{name}"]) / state["step"]
            out[name] = mean.astype(array.dtype)
        return out


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
        _check(self, positive=("rate", "epsilon"), non_negative=("beta1", "beta2", "l2"))
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

    def update(self, parameters: Parameters, gradients: Mapping[str, Gradient], state: State) -> None:
        """See Rule.update."""
        state["step"] += 1
        # rate · m̂ / (√v̂ + ε) with the corrections of both moments in the numbers: √v̂ = √v / c
        c = sqrt(1.0 - self.beta2 ** state["step"])
        rate, epsilon = self._rate(state) / (1.0 - self.beta1 ** state["step"]) * c, self.epsilon * c
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


def _factor(schedule: Schedule, progress: Any) -> Any:
    if callable(schedule):
        return float(schedule(progress))
    return 1.0 if schedule == "constant" else 1.0 - progress


def _add(array: np.ndarray, gradient: Gradient, factor: float) -> None:
    """array += factor · gradient, in the array's dtype, on the gradient's rows only where it is sparse."""
    if isinstance(gradient, Rows):
        touched = array.take(gradient.rows, axis=0)
        touched += np.multiply(gradient.values, factor, dtype=array.dtype)
        array[gradient.rows] = touched
    else:
        array += np.multiply(gradient, factor, dtype=array.dtype)


def _check(rule: Rule, positive: tuple[str, ...], non_negative: tuple[str, ...]) -> None:
    where = type(rule).__name__
    for name in positive + non_negative:
        value = getattr(rule, name)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not isfinite(value) or value < 0 or (value == 0 and name in positive):
            least = "above 0" if name in positive else "at least 0"
            raise FactorGraphError(f"{where}: expected {name} to be a finite number {least}; got {value!r}")
    if isinstance(rule.schedule, str):
        if rule.schedule not in ("constant", "linear"):
            raise FactorGraphError(
                f"{where}: expected schedule 'constant', 'linear' or a function of the progress; got {rule.schedule!r}"
            )
        return
    for progress in PROBES:
        factor = rule.schedule(progress) if callable(rule.schedule) else None
        if not isinstance(factor, int | float | np.number) or not 0 <= factor < np.inf:
            raise FactorGraphError(
                f"{where}: expected schedule(progress) to be a finite number at least 0; got {factor!r} for {progress}"
            )
