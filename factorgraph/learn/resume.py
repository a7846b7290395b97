"""What a training run keeps after every epoch, and how it goes on from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from ..errors import FactorGraphError
from ..optim import Parameters, State
from ..plan import Answers
from .checkpoint import compare, load, save
from .model import Declared


class Record(NamedTuple):
    """An epoch, from 1; see Run.history. NaN is unknown."""

    epoch: int
    loss: float
    seconds: float
    exact: float = nan
    contrast: float = nan
    objective: float = nan
    gradient: float = nan
    gap: float = nan


_PARAMETER, _STATE = "parameter:", "state:"


def settings_of(
    declared: Declared, answers: Answers, parameters: Parameters, initial: Mapping[str, np.ndarray] | None
) -> dict[str, str]:
    """The data and the start of a run as text by name: what must be the same for it to go on."""
    known = hashlib.sha256(answers.labels.data)
    for lattice, string in sorted(answers.strings.items()):
        known.update(f"{lattice}:{string.tolist()}".encode())
    if answers.allowed is not None:
        known.update(answers.allowed.data)
    start = hashlib.sha256()
    for name in sorted(initial or {}):
        start.update(name.encode() + parameters[name].tobytes())
    return {
        "examples": str(declared.count),
        "structure": declared.compile().digest.hex(),
        "answers": known.hexdigest(),
        "parameters": ", ".join(f"{name} {a.dtype}{a.shape}" for name, a in sorted(parameters.items())),
        "initial": start.hexdigest() if initial else "by the factors",
    }


def keep(
    path: str | os.PathLike[str],
    settings: Mapping[str, str],
    parameters: Parameters,
    state: State,
    history: Sequence[Record],
) -> None:
    """Write all that the rest of the run depends on."""
    arrays = {_PARAMETER + name: array for name, array in parameters.items()}
    arrays |= {_STATE + name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    scalars = {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}
    save(path, "training", settings, {"state": scalars, "history": list(history)}, arrays)


def restore(
    path: str | os.PathLike[str], settings: Mapping[str, str], epochs: int
) -> tuple[Parameters, State, list[Record]]:
    """What `keep` wrote, if it is of the same run and at most `epochs` long.

    Errors: FactorGraphError that names the setting that differs; FormatError where the file cannot be read.
    """
    contents = load(path, "training")
    compare(path, contents.settings, settings)
    history = [Record(*row) for row in contents.values["history"]]  # older files know only the first three
    if len(history) > epochs:
        raise FactorGraphError(
            f"checkpoint {os.fspath(path)}: expected at most epochs = {epochs} as in this run; the file has "
            f"{len(history)}. Ask for as many, give another path, or pass resume=False"
        )
    state: State = dict(contents.values["state"])
    parameters: Parameters = {}
    for name, array in contents.arrays.items():
        if name.startswith(_STATE):
            state[name[len(_STATE) :]] = array
        else:
            parameters[name[len(_PARAMETER) :]] = array
    return parameters, state, history
