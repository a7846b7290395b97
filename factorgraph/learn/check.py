"""What `train` refuses before the first epoch: wrong arguments, and answers that no labelling gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..infer import Solver
from ..losses import Loss
from ..optim import Optimizer, Stop
from ..plan import Answers
from .model import Declared, Model


def check_arguments(epochs: Any, batch: Any, seed: Any, unreachable: Any, checkpoint: Any) -> None:
    for name, value, least in (("epochs", epochs, 0), ("batch", batch, 1), ("seed", seed, 0)):
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise FactorGraphError(f"train: expected {name} to be an int, at least {least}; got {value!r}")
    if unreachable not in ("raise", "skip"):
        raise FactorGraphError(f"train: expected unreachable to be 'raise' or 'skip'; got {unreachable!r}")
    if checkpoint is not None and not Path(checkpoint).parent.is_dir():
        raise FactorGraphError(
            f"train: expected checkpoint to be a file in a folder that exists; got {os.fspath(checkpoint)!r}"
        )


def check_parts(model: Any, loss: Any, optimizer: Any, solver: Any, stop: Any) -> None:
    for name, part, kind, example in (
        ("model", model, Model, "Model(build)"),
        ("loss", loss, Loss, "losses.Margin()"),
        ("optimizer", optimizer, Optimizer, "optim.SGD(0.1)"),
        ("solver", solver, Solver, "Auto()"),
        ("stop", stop, Stop, "optim.Stop(validation=(X, Y))"),
    ):
        if not isinstance(part, kind):
            raise FactorGraphError(f"train: expected {name} to be an object such as {example}; got {part!r}")


def unreachable_examples(
    declared: Declared, answers: Answers, energies: np.ndarray, solver: Solver, policy: str
) -> np.ndarray:
    """int64: examples of which no labelling has finite energy when the correct answer is given."""
    solution = solver(declared.compile(), energies, answers.clamped(energies.dtype))
    examples = declared.owners(np.flatnonzero(solution.components.minimum == np.inf))
    if examples.size and policy == "raise":
        shown = ", ".join(map(str, examples[:10])) + (", …" if examples.size > 10 else "")
        raise FactorGraphError(
            f"train: the correct answers of {examples.size} of {declared.count} examples are unreachable: {shown}. "
            "Expected a labelling (or lattice path) of finite energy for each; correct the data or the model, or leave "
            "these examples out by unreachable='skip'"
        )
    return examples
