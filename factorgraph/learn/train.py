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
from dataclasses import dataclass, replace
from math import isfinite
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FactorGraphError
from ..infer import Auto, Solver
from ..losses import Loss, Margin, Needs, check
from ..markup import table
from ..optim import SGD, Parameters, Rule, State
from ..plan import Answers
from .check import check_arguments, check_parts, unreachable_examples
from .contrast import Monitor
from .model import Declared, Model
from .resume import Record, keep, restore, settings_of

if TYPE_CHECKING:
    from .online import Online

#: Fields of a run's history, one record per epoch.
HISTORY = np.dtype([("epoch", np.int64), *((name, np.float64) for name in ("loss", "seconds", "exact", "contrast"))])


@dataclass(frozen=True)
class Run:
    """What training gives.

    parameters: {name: array}, averaged where the optimiser says so. history: record array, per epoch its number from
    1, the mean loss per example while it ran, its seconds, the share of updates (component by component) all of whose
    answers were proven exact, and its contrast: by how much energies of different answers differ, see contrast.py.
    skipped: int64, examples left out as unreachable.
    """

    parameters: Parameters
    history: np.ndarray
    skipped: np.ndarray

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
    optimizer: Rule | None = None,
    epochs: int = 10,
    batch: int = 32,
    seed: int = 0,
    progress: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    solver: Solver | None = None,
    threads: int | None = None,
    unreachable: str = "raise",
    shuffle: bool = True,
    initial: Mapping[str, np.ndarray] | None = None,
    approximate: bool | None = None,
) -> Run:
    """Learn the parameters of a model from examples X and their correct answers Y (in the form `predict` gives).

    loss: Margin() by default. optimizer: an update rule, SGD() by default. progress: a bar on the terminal.
    checkpoint: a file written after every epoch; where it exists the run goes on from there (`resume=False` starts
    anew), exactly. solver: Auto() by default; threads: of the solver. unreachable: what to do with examples whose
    correct answer no labelling gives, "raise" or "skip". initial: parameters to start from, instead of the factors'.
    approximate: whether the loss may be told answers without a proof, on graphs with cycles; False refuses them, by
    default minima may be such, with a warning. Another warning comes where the energy surface flattens.

    Errors: FactorGraphError for wrong arguments, labels that do not fit (Y[i] is named), unreachable answers, a
    checkpoint of another run, a loss that is no longer finite; FormatError for a checkpoint that cannot be read.
    """
    loss, rule, solver = loss or Margin(), optimizer or SGD(), solver or Auto()
    check_arguments(epochs, batch, seed, unreachable, checkpoint)
    check_parts(model, loss, rule, solver)
    if threads is not None:
        solver = replace(solver, threads=threads)
    declared = model.declare(X)
    answers = declared.read_answers(Y)
    with _one_blas_thread():
        parameters = _start(declared, seed, initial)
        energies = declared.graph.energies(parameters)
        parameters = {name: array.astype(energies.dtype) for name, array in parameters.items()}
        skipped = unreachable_examples(declared, answers, energies, solver, unreachable)
        kept = np.setdiff1d(np.arange(declared.count), skipped)
        if not kept.size:
            raise FactorGraphError(
                f"train: expected at least one example to learn from; got {declared.count}, {skipped.size} unreachable"
            )
        exact = check(loss, declared.compile(), answers, solver, declared.components(kept), approximate)
        state = rule.init(parameters)
        history: list[Record] = []
        settings: dict[str, str] = {}
        if checkpoint is not None:
            settings = settings_of(declared, answers, parameters, initial) | {
                "loss": loss.fingerprint(),
                "optimizer": rule.fingerprint(),
                "solver": repr(replace(solver, threads=None)),
                "batch": str(batch),
                "seed": str(seed),
                "shuffle": str(bool(shuffle)),
                "skipped": str(skipped.tolist()),
                "epochs": "any" if rule.anytime else str(epochs),
            }
            if resume and os.path.exists(checkpoint):
                parameters, state, history = restore(checkpoint, settings, epochs)
        step = Step(declared, answers, loss, rule, solver, parameters, state, energies, batch, exact)
        monitor = Monitor(declared, kept, loss, float(np.nanmax([0.0, *(record[4] for record in history)])))
        monitor(parameters, energies, len(history))
        passes = _fastest(step)
        size = -(-kept.size // batch)
        with _bar(progress, epochs * size, len(history) * size) as bar:
            for epoch in range(len(history) + 1, epochs + 1):
                began, total = perf_counter(), 0.0
                order = np.random.default_rng([seed, epoch]).permutation(kept) if shuffle else kept
                for steps, value in passes.epoch(order, (epoch - 1 + np.arange(size) / size) / epochs):
                    total += value
                    bar.update(steps)
                mean = total / kept.size
                if not isfinite(mean):
                    raise FactorGraphError(
                        f"train: the loss of epoch {epoch} is {mean}; expected a finite number. Lower the optimizer's "
                        f"rate ({rule.rate}), or scale the features"
                    )
                seconds = perf_counter() - began
                history.append((epoch, mean, seconds, step.share(), monitor(parameters, energies, epoch)))
                bar.set_postfix(loss=f"{mean:.4g}")
                if checkpoint is not None:
                    keep(checkpoint, settings, parameters, state, history)
    return Run(rule.final(parameters, state), np.array(history, HISTORY), skipped)


class Step:
    """One mini-batch after the other; the buffers in the energies' layout are made once."""

    def __init__(
        self,
        declared: Declared,
        answers: Answers,
        loss: Loss,
        rule: Rule,
        solver: Solver,
        parameters: Parameters,
        state: State,
        energies: np.ndarray,
        batch: int,
        exact: np.ndarray | None = None,
    ):
        self.declared, self.graph, self.plan = declared, declared.graph, declared.compile()
        self.answers, self.loss, self.rule, self.solver = answers, loss, rule, solver
        self.parameters, self.state, self.energies, self.batch = parameters, state, energies, batch
        self.gradient = self.plan.zeros(energies.dtype)
        self.provable = not loss.asks() & (
            Needs.MARGINALS | Needs.INCORRECT
        )  # minima may be proven after all, by a bound
        self.exact = np.ones(self.plan.n_components, bool) if exact is None else exact
        self.proven, self.count = self.exact.copy(), np.zeros(2, np.int64)

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """Learn from the examples in this order. Yields how many steps were made, and their summed loss.

        progress: float64, the part of the run done before each step.
        """
        for i, done in enumerate(progress):
            self.state["progress"] = float(done)
            yield 1, self(order[i * self.batch : (i + 1) * self.batch])

    def __call__(self, examples: np.ndarray) -> float:
        """Update the parameters by these examples; returns their summed loss."""
        components = self.declared.components(examples)
        if not components.size:
            return 0.0
        self.graph.energies(self.parameters, components=components, out=self.energies)
        self.proven[components] = self.exact[components] | self.provable
        value, gradient = self.loss(
            self.plan, self.energies, self.answers, self.solver, components, self.gradient, self.proven
        )
        self.count += np.array([np.count_nonzero(self.proven[components]), components.size])
        gradients = self.graph.backward(gradient, self.parameters, components)
        mean = {name: each * (1.0 / examples.size) for name, each in gradients.items()}
        self.rule.update(self.parameters, mean, self.state)
        return value

    def share(self) -> float:
        """Of the updates since the last call those that came from answers proven exact, component by component."""
        proven, all_ = self.count.tolist()
        self.count[:] = 0
        return proven / all_ if all_ else 1.0


def _fastest(step: Step) -> Step | Online:
    """The same steps in slices of one kernel call each, where that is possible."""
    if step.batch > 1:
        return step
    from .online import Online, applies  # compiled only where it is used

    return Online(step) if applies(step) else step


def _start(declared: Declared, seed: int, initial: Mapping[str, np.ndarray] | None) -> Parameters:
    """The factors' own starting values, and those given instead of some or all of them."""
    parameters = declared.graph.initial(np.random.default_rng([seed, 0]))
    for name, given in (initial or {}).items():
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
