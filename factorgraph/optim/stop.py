"""When to stop besides after so many epochs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FactorGraphError


@dataclass(frozen=True)
class Stop:
    """When `train` stops early.

    validation: (X, Y), examples that are not learned from; after every epoch their score goes to the history, and the
    run answers with the parameters of its best epoch. score: score(parameters, X, Y) → float, lower is better; the mean
    loss by default. patience: epochs without a better score after which it stops. callback: callback(run) → bool, with
    the run so far, after every epoch; True stops.

    Errors: FactorGraphError for what cannot be called, a patience below 1, or a validation that is no pair.
    """

    validation: tuple[Any, Any] | None = None
    patience: int = 5
    score: Callable[[Any, Any, Any], float] | None = None
    callback: Callable[[Any], Any] | None = None

    def __post_init__(self) -> None:
        for name in ("score", "callback"):
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise FactorGraphError(f"Stop: expected {name} to be a function; got {given!r}")
        if not isinstance(self.patience, int | np.integer) or isinstance(self.patience, bool) or self.patience < 1:
            raise FactorGraphError(f"Stop: expected patience to be an int, at least 1; got {self.patience!r}")
        pair = isinstance(self.validation, tuple | list) and len(self.validation) == 2
        if self.validation is not None and not pair:
            raise FactorGraphError(f"Stop: expected validation to be (X, Y); got {type(self.validation).__name__}")
        measured = self.validation if self.score is None and self.validation is not None else ()
        if not all(hasattr(each, "__len__") and len(each) for each in measured):
            raise FactorGraphError("Stop: expected validation to be (X, Y) with at least one example; got none")
