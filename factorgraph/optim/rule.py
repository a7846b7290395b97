"""What every optimiser is, and the contract of update rules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from .rows import Gradients, Parameters, State, add_to

#: A name, or any function from the progress of the run in [0, 1] to a factor of the rate.
Schedule = str | Callable[[float], float]

#: Where schedules are checked and compared.
PROBES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Optimizer:
    """What `train` learns by: an update rule, or a driver that owns the loop. Configuration only."""

    #: Epochs, at most, where `train` is not told how many. One of L-BFGS is an iteration, else a pass over the data.
    iterations: int = 10

    @property
    def anytime(self) -> bool:
        """Whether a longer run starts like a shorter one."""
        return True

    def fingerprint(self) -> str:
        """The configuration as text, equal for optimisers that make equal steps."""
        given = ", ".join(f"{name}={value!r}" for name, value in self._settings().items())
        return f"{type(self).__name__}({given})"

    def _settings(self) -> dict[str, Any]:
        """Without `iterations`: how long a run is says nothing of its steps."""
        plain = {k: value.item() if isinstance(value, np.generic) else value for k, value in vars(self).items()}
        return {name: value for name, value in plain.items() if name != "iterations"}


class Rule(Optimizer):
    """An update rule: `state = init(parameters)`, `update(parameters, gradients, state)` per step, `final(…)`.

    All that changes is in `parameters` and `state`; the rule itself is configuration.
    """

    schedule: Schedule = "constant"

    def init(self, parameters: Mapping[str, np.ndarray]) -> State:
        """The state before the first step. Who runs the loop sets `state["progress"]`, the part done, from 0 to 1."""
        raise NotImplementedError

    def update(self, parameters: Parameters, gradients: Gradients, state: State, loss: float = 0.0) -> None:
        """One step, in place on parameters and state. loss, gradients: mean loss, and its; a name left out is zero."""
        raise NotImplementedError

    def final(self, parameters: Mapping[str, np.ndarray], state: State) -> Parameters:
        """The learned parameters: new arrays, averaged over all steps where that was asked for."""
        raise NotImplementedError

    @property
    def anytime(self) -> bool:
        """Whether a longer run starts like a shorter one, because the rate does not depend on the progress."""
        return self.schedule == "constant"

    def _settings(self) -> dict[str, Any]:
        """Schedules are sampled."""
        return super()._settings() | {"schedule": [factor_of(self.schedule, p) for p in PROBES]}


def factor_of(schedule: Schedule, progress: Any) -> Any:
    """The factor of the rate at some progress, for names of several."""
    if callable(schedule):
        return float(schedule(progress))
    return 1.0 if schedule == "constant" else 1.0 - progress


def offsets(parameters: Mapping[str, np.ndarray]) -> State:
    """`offset:name`, float64 of the parameter's shape: u of the average, see `move`."""
    return {f"offset:{name}": np.zeros(array.shape) for name, array in parameters.items()}


def move(parameters: Parameters, gradients: Gradients, state: State, factor: float, total: float) -> None:
    """x += factor · g, and u += total · factor · g where averages are kept."""
    for name, gradient in gradients.items():
        add_to(parameters[name], gradient, factor)
        if f"offset:{name}" in state:
            add_to(state[f"offset:{name}"], gradient, factor * total)


def mean(parameters: Mapping[str, np.ndarray], state: State, total: float) -> Parameters:
    """(S x − u) / steps, new arrays."""
    out = {}
    for name, array in parameters.items():
        average = (total * array.astype(np.float64) - state[f"offset:{name}"]) / state["step"]
        out[name] = average.astype(array.dtype)
    return out


def check_numbers(optimizer: Optimizer, positive: tuple[str, ...], non_negative: tuple[str, ...]) -> None:
    """Errors: FactorGraphError for settings that are no finite numbers, negative, or 0 where that is meaningless."""
    where = type(optimizer).__name__
    for name in positive + non_negative:
        value = getattr(optimizer, name)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not number or not isfinite(value) or value < 0 or (value == 0 and name in positive):
            least = "above 0" if name in positive else "at least 0"
            raise FactorGraphError(f"{where}: expected {name} to be a finite number {least}; got {value!r}")


def check_counts(optimizer: Optimizer, *names: str) -> None:
    """Errors: FactorGraphError for settings that are no ints above 0."""
    for name in names:
        value = getattr(optimizer, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
            raise FactorGraphError(
                f"{type(optimizer).__name__}: expected {name} to be an int, at least 1; got {value!r}"
            )


def check_schedule(rule: Rule) -> None:
    """Errors: FactorGraphError for schedules that are not known, or give no finite factors ≥ 0."""
    where = type(rule).__name__
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
