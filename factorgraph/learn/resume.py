"""What a training run keeps after every epoch, and how it goes on from there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
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
    validation: float = nan


_PARAMETER, _STATE = "parameter:", "state:"


def settings_of(declared: Declared, answers: Answers, parameters: Parameters, given: Collection[str]) -> dict[str, str]:
    """The data and the start of a run as text by name: what must be the same for it to go on.

    given: names of the parameters that were given to start from.
    """
    known = hashlib.sha256(answers.labels.data)
    for lattice, string in sorted(answers.strings.items()):
        known.update(f"{lattice}:{string.tolist()}".encode())
    if answers.allowed is not None:
        known.update(answers.allowed.data)
    start = hashlib.sha256()
    for name in sorted(given):
        start.update(name.encode() + parameters[name].tobytes())
    return {
        "examples": str(declared.count),
        "structure": declared.compile().digest.hex(),
        "answers": known.hexdigest(),
        "initial": start.hexdigest() if given else "by the factors",
    }


def shapes_of(parameters: Parameters) -> str:
    """Names, dtypes and shapes."""
    return ", ".join(f"{name} {array.dtype}{array.shape}" for name, array in sorted(parameters.items()))


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


def continued(
    before: Mapping[str, str], state: State, history: np.ndarray, settings: Mapping[str, str], bound: bool
) -> tuple[State, list[Record]]:
    """State and history of a run that goes on in memory, where its settings allow that.

    bound: whether the state is one of the examples, as drivers have it.
    Errors: FactorGraphError that names what differs: the optimiser, the parameters, or the examples, answers and loss.
    """
    for name in ("optimizer", "parameters", *(("structure", "answers", "loss", "skipped") if bound else ())):
        if before.get(name) != settings.get(name):
            raise FactorGraphError(
                f"initial: expected a run of the same {name}, {settings.get(name)}, as its state is kept; got "
                f"{before.get(name)}. Pass initial=run.parameters to start anew from what it learned"
            )
    copies = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in state.items()}
    return copies, [Record(*row) for row in history.tolist()]
