"""Training: the loop around energies → loss → gradient → update, over a data set that is one graph.

    for every mini-batch B of the shuffled examples, c = the components of B:
        E = energies(θ, c)                       the batch's tables
        ℓ, ∂ℓ/∂E = loss(E, answers, c)           summed over c
        θ = update(θ, (∂E/∂θ)ᵀ ∂ℓ/∂E / |B|)      the mean loss per example

Epoch e shuffles by the generator of (seed, e): a run is a function of its arguments, and what remains of it is a
function of what a checkpoint holds, so a run that was killed and resumed ends with the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from math import isfinite
from time import perf_counter
from typing import Any

import numpy as np

from ..errors import FactorGraphError
from ..infer import Auto, Solver
from ..losses import Loss, Margin, check
from ..markup import table
from ..optim import SGD, Driver, Optimizer, Parameters, Rule, State, Stop
from .check import check_arguments, check_parts, unreachable_examples
from .contrast import Monitor
from .loops import loop_of
from .model import Declared, Model
from .resume import Record, continued, keep, restore, settings_of, shapes_of
from .step import Learner
from .stop import Watch

#: Fields of a run's history, one record per epoch.
HISTORY = np.dtype([("epoch", np.int64), *((name, np.float64) for name in Record._fields[1:])])


@dataclass(frozen=True)
class Run:
    """What training gives.

    parameters: {name: array}, averaged where the optimiser says so. history: record array, per epoch its number from
    1, the mean loss per example while it ran, its seconds, the share of updates (component by component) all of whose
    answers were proven exact, its contrast: by how much energies of different answers differ, see contrast.py; and, of
    optimisers that know (NaN of others), the objective (mean loss and penalties), the norm of its gradient, and by how
    much at most it is above its minimum (gap; of CCCP, objective and gap of the bound); and the score on the examples
    of `Stop`. skipped: int64, examples left out as unreachable. last, state, settings: what `train(…, initial=run)`
    goes on from.
    """

    parameters: Parameters
    history: np.ndarray
    skipped: np.ndarray
    last: Parameters = field(default_factory=dict, repr=False)
    state: State = field(default_factory=dict, repr=False)
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    def _repr_html_(self) -> str:
        kept = [name for name in self.history.dtype.names or () if np.isfinite(self.history[name]).any()]
        last = self.history[kept][::-1].tolist()
        parameters = ((name, value.shape, value) for name, value in self.parameters.items())
        head = ("name", "shape", "values")
        return table(repr(self), kept, last, len(last)) + table("parameters", head, parameters, len(self.parameters))

    def __repr__(self) -> str:
        last = f", last loss {self.history['loss'][-1]:.6g}" if self.history.size else ""
        return f"Run({self.history.size} epochs{last}, {self.skipped.size} examples skipped)"


def train(
    model: Model,
    X: Iterable[Any],
    Y: Sequence[Any],
    loss: Loss | None = None,
    optimizer: Optimizer | None = None,
    epochs: int | None = None,
    batch: int = 32,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    solver: Solver | None = None,
    threads: int | None = None,
    unreachable: str = "raise",
    shuffle: bool = True,
    initial: Mapping[str, np.ndarray] | Run | None = None,
    approximate: bool | None = None,
    stop: Stop | None = None,
) -> Run:
    """Learn the parameters of a model from examples X and their correct answers Y (in the form `predict` gives).

    loss: Margin() by default. optimizer: an update rule, SGD() by default, or a driver (LBFGS). epochs: passes over the
    data (of LBFGS iterations), at most; by default what the optimizer says. progress: a bar on the terminal.
    checkpoint: a file written after every epoch; where it exists the run goes on from there (`resume=False` starts
    anew), exactly. solver: Auto() by default; threads: of the solver. unreachable: what to do with examples whose
    correct answer no labelling gives, "raise" or "skip". initial: parameters to start from, instead of the factors', or
    a run, which goes on for `epochs` more, exactly (drivers want the same examples, rules take others as well).
    approximate: whether the loss may be told answers without a proof, on graphs with cycles; False refuses them, by
    default minima may be such, with a warning. Another warning comes where the energy surface flattens. stop: early
    stopping on a validation set, callbacks.

    Errors: FactorGraphError for wrong arguments, labels that do not fit (Y[i] is named), unreachable answers, a
    checkpoint of another run, a loss that is no longer finite; FormatError for a checkpoint that cannot be read.
    """
    loss, optimizer, solver, stop = loss or Margin(), optimizer or SGD(), solver or Auto(), stop or Stop()
    epochs = optimizer.iterations if epochs is None and isinstance(optimizer, Optimizer) else epochs
    check_arguments(epochs, batch, seed, unreachable, checkpoint)
    check_parts(model, loss, optimizer, solver, stop)
    if threads is not None:
        solver = replace(solver, threads=threads)
    declared = model.declare(X)
    answers = declared.read_answers(Y)
    with _one_blas_thread():
        if not isinstance(initial, Mapping | Run | None):
            raise FactorGraphError(f"train: expected initial to be {{name: array}} or a Run; got {initial!r}")
        given = initial.last if isinstance(initial, Run) else initial or {}
        parameters = _start(declared, seed, given)
        energies = declared.graph.energies(parameters)
        parameters = {name: array.astype(energies.dtype) for name, array in parameters.items()}
        skipped = unreachable_examples(declared, answers, energies, solver, unreachable)
        kept = np.setdiff1d(np.arange(declared.count), skipped)
        if not kept.size:
            raise FactorGraphError(
                f"train: expected at least one example to learn from; got {declared.count}, {skipped.size} unreachable"
            )
        exact = check(loss, declared.compile(), answers, solver, declared.components(kept), approximate)
        if isinstance(initial, Run):  # in the dtype that they were learned in
            parameters |= {name: array.copy() for name, array in initial.last.items()}
        settings = {"optimizer": optimizer.fingerprint(), "parameters": shapes_of(parameters)}
        if checkpoint is not None or isinstance(optimizer, Driver):
            settings |= settings_of(declared, answers, parameters, given) | {
                "loss": loss.fingerprint(),
                "solver": repr(replace(solver, threads=None)),
                "batch": str(batch),
                "seed": str(seed),
                "shuffle": str(bool(shuffle)),
                "skipped": str(skipped.tolist()),
                "epochs": "any" if optimizer.anytime else str(epochs),
            }
        state = optimizer.init(parameters) if isinstance(optimizer, Rule) else {}
        history: list[Record] = []
        if isinstance(initial, Run):
            state, history = continued(
                initial.settings, initial.state, initial.history, settings, isinstance(optimizer, Driver)
            )
            epochs += len(history)
        if checkpoint is not None and resume and os.path.exists(checkpoint):
            parameters, state, history = restore(checkpoint, settings, epochs)
        watch = Watch(stop, model, loss, solver, state)
        learner = Learner(declared, answers, loss, optimizer, solver, parameters, state, energies, batch, exact)
        loop = loop_of(learner, kept)
        monitor = Monitor(declared, kept, loss, float(np.nanmax([0.0, *(record.contrast for record in history)])))
        monitor(parameters, energies, len(history))
        size = -(-kept.size // batch)
        with _bar(progress, epochs * size, len(history) * size) as bar:
            for epoch in range(len(history) + 1, epochs + 1):
                if loop.finished or watch.over(history):
                    break
                began, total = perf_counter(), 0.0
                order = np.random.default_rng([seed, epoch]).permutation(kept) if shuffle else kept
                for steps, value in loop.epoch(order, (epoch - 1 + np.arange(size) / size) / epochs):
                    total += value
                    bar.update(steps)
                mean = total / kept.size
                if not isfinite(mean):
                    raise FactorGraphError(
                        f"train: the loss of epoch {epoch} is {mean}; expected a finite number. Lower the steps of "
                        f"{optimizer!r}, or scale the features"
                    )
                seconds = perf_counter() - began
                contrast = monitor(parameters, energies, epoch)
                record = Record(epoch, mean, seconds, learner.share(), contrast, **loop.measured)
                history.append(record._replace(validation=watch.score(loop.final, history)))
                bar.set_postfix(loss=f"{mean:.4g}")
                if checkpoint is not None:
                    keep(checkpoint, settings, parameters, loop.pack() | watch.pack(), history)
                if stop.callback and stop.callback(
                    Run(watch.best or loop.final(), np.array(history, HISTORY), skipped)
                ):
                    break
    kept_state = loop.pack() | watch.pack()
    return Run(watch.best or loop.final(), np.array(history, HISTORY), skipped, parameters, kept_state, settings)


def _start(declared: Declared, seed: int, initial: Mapping[str, np.ndarray]) -> Parameters:
    """The factors' own starting values, and those given instead of some or all of them."""
    parameters = declared.graph.initial(np.random.default_rng([seed, 0]))
    for name, given in initial.items():
        if name not in parameters:
            raise FactorGraphError(f"initial: unknown name {name!r}; expected some of {sorted(parameters)}")
        try:
            array = np.array(given, parameters[name].dtype)
        except (TypeError, ValueError):
            raise FactorGraphError(
                f"initial[{name!r}]: expected numbers of shape {parameters[name].shape}; got {given!r}"
            ) from None
        if array.shape != parameters[name].shape or not np.isfinite(array).all():
            raise FactorGraphError(
                f"initial[{name!r}]: expected finite values of shape {parameters[name].shape}; got shape {array.shape}"
            )
        parameters[name] = array
    return parameters


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """Many small products are slower on several BLAS threads, and those compete with ours."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


class _NoBar:
    """Stands for a progress bar that is not shown."""

    def update(self, steps: int) -> None:
        """So many mini-batches are done."""

    def set_postfix(self, loss: str) -> None:
        """One epoch is done."""


@contextmanager
def _bar(shown: bool, total: int, done: int) -> Iterator[Any]:
    if not shown:
        yield _NoBar()
        return
    from tqdm.auto import tqdm

    with tqdm(total=total, initial=done, unit="batch") as bar:
        yield bar
