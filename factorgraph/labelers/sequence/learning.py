"""How a sequence labeler learns: what names of losses and optimizers stand for, weights, early stopping.

Everything is a call of `train`; what is here chooses its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import optim
from ...errors import FactorGraphError, listed
from ...learn import Run, train
from ...learn.resume import shapes_of
from ...losses import NLL, Loss, Margin, Perceptron
from ...optim import Optimizer, Parameters
from . import asking
from .chains import Chains, Tokens
from .constraints import read
from .weights import weigh_labels, weigh_sequences

if TYPE_CHECKING:
    from .labeler import SequenceLabeler

#: Bytes that weights may take.
MEMORY = 4 << 30
#: What the names of losses stand for. A margin of 2 is worth two steps of the averaged updates below.
LOSSES: dict[str, Loss] = {"perceptron": Perceptron(), "margin": Margin(scale=2.0), "nll": NLL()}


def choose_loss(loss: Any) -> Loss:
    """A loss for its name; an object stands for itself."""
    if isinstance(loss, Loss):
        return loss
    if loss in LOSSES:
        return LOSSES[loss]
    raise FactorGraphError(f"loss: expected one of {listed(LOSSES)} or an object such as losses.Margin(); got {loss!r}")


def choose_optimizer(optimizer: Any, loss: Loss, l1: float, l2: float | None, count: int) -> Optimizer:
    """The update rule or driver for a name; None: what suits the loss; an object stands for itself."""
    if optimizer is None:
        optimizer = "lbfgs" if loss.smooth() else "sgd"
    penalties = {"l1": float(l1), "l2": float(l2 or 0.0)}
    if l2 is None and isinstance(optimizer, str) and (loss.smooth() or optimizer == "pegasos"):
        penalties["l2"] = (2.0 if loss.smooth() else 0.1) / count
    makers: dict[str, tuple[Callable[..., Optimizer], dict[str, Any]]] = {
        "adagrad": (optim.AdaGrad, {**penalties, "average": True}),
        "adam": (optim.Adam, {"l2": penalties["l2"], "average": True}),
        "lbfgs": (optim.LBFGS, penalties),
        "pa": (optim.PassiveAggressive, {"average": True}),
        "pegasos": (optim.Pegasos, {"l2": penalties["l2"]}),
        "sgd": (optim.SGD, {**penalties, "rate": 0.1 if loss.smooth() else 1.0, "average": True}),
    }
    if isinstance(optimizer, Optimizer) or optimizer in makers:
        make, settings = (lambda: optimizer, {}) if isinstance(optimizer, Optimizer) else makers[optimizer]
        for name, value in penalties.items():
            if value and name not in settings:
                raise FactorGraphError(
                    f"{name}: expected 0 beside optimizer {optimizer!r}, which takes none; got {value}"
                )
        return make(**settings)
    raise FactorGraphError(f"optimizer: expected one of {listed(makers)}, an object, or None; got {optimizer!r}")


def check(labeler: SequenceLabeler) -> None:
    """Refuse settings that fit nothing."""
    for name, least in (("batch", 1), ("cutoff", 1), ("patience", 1), ("random_state", 0)):
        value = getattr(labeler, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise FactorGraphError(f"SequenceLabeler: expected {name} to be an int, at least {least}; got {value!r}")
    if labeler.epochs is not None and (not isinstance(labeler.epochs, int | np.integer) or labeler.epochs < 1):
        raise FactorGraphError(f"SequenceLabeler: expected epochs to be None or an int ≥ 1; got {labeler.epochs!r}")
    for name in ("l1", "l2"):
        value = getattr(labeler, name)
        if name == "l2" and value is None:
            continue
        if not isinstance(value, int | float | np.number) or not 0 <= value < np.inf:
            raise FactorGraphError(f"SequenceLabeler: expected {name} to be a finite number ≥ 0; got {value!r}")
    for name, choices in (("order", (1, 2)), ("features", ("auto", "all", "observed"))):
        if getattr(labeler, name) not in choices:
            raise FactorGraphError(
                f"SequenceLabeler: expected {name} to be one of {listed(choices)}; got {getattr(labeler, name)!r}"
            )
    for name in ("columns", "templates"):
        value = getattr(labeler, name)
        if value is not None and (isinstance(value, str) or not hasattr(value, "__len__")):
            raise FactorGraphError(f"SequenceLabeler: expected {name} to be None or a list of strings; got {value!r}")
    if labeler.encoder is not None and not hasattr(labeler.encoder, "transform"):
        raise FactorGraphError(
            f"SequenceLabeler: expected encoder to be None or one such as Templates('w[0]'); got {labeler.encoder!r}"
        )
    part = labeler.validation_fraction
    if not isinstance(part, int | float | np.number) or not 0 < part < 1:
        raise FactorGraphError(
            f"SequenceLabeler: expected validation_fraction between 0 and 1; got {labeler.validation_fraction!r}"
        )


def check_size(chains: Chains, features: int) -> None:
    """Refuse what would not fit into memory, with its size: labels that are as many as tokens are ids by mistake."""
    states = chains.states
    weights = (features * states if chains.pairs is None else chains.pairs.nnz) + states ** (chains.order + 1)
    if 12 * weights > MEMORY:
        raise FactorGraphError(
            f"SequenceLabeler: {features} features of {states} labels are {weights} weights, {12 * weights / 2**30:.1f}"
            f" GiB with their averages; expected at most {MEMORY / 2**30:.0f}. Are the labels what they should "
            "be? Use features='observed', a larger cutoff, or an encoder with hash_bits"
        )


def fit(
    labeler: SequenceLabeler,
    tokens: Tokens,
    answers: list[np.ndarray],
    sample_weight: Any,
    initial: Parameters | None,
) -> None:
    """Train, and put the result into the labeler."""
    weights, stop, given = sample_weight, None, answers
    if labeler.early_stopping:
        held, kept = _split(labeler, len(tokens))
        stop = optim.Stop((tokens[held], [answers[i] for i in held]), labeler.patience, partial(_error, labeler))
        tokens, answers = tokens[kept], [answers[i] for i in kept]
        weights = None if sample_weight is None else np.asarray(sample_weight)[kept]
    chains = ruled(labeler)
    known = initial and {name: initial[name] for name in chains.graph(tokens).parameters()}
    try:
        run = _train(labeler, chains, tokens, answers, weights, epochs=labeler.epochs, initial=known, stop=stop)
    except FactorGraphError as error:
        _refuse_forbidden(labeler, chains, given, error)
        raise
    labeler.parameters_, labeler.history_ = chains.filled(run.parameters), run.history
    if stop is not None:
        best = int(np.argmin(run.history["validation"]))
        labeler.best_epoch_, labeler.validation_score_ = best + 1, 1.0 - float(run.history["validation"][best])


def go_on(labeler: SequenceLabeler, tokens: Tokens, answers: list[np.ndarray]) -> None:
    """One pass of updates more, from the weights and averages of the passes before."""
    chains, before = ruled(labeler), getattr(labeler, "run_", None)
    here = chains.graph(tokens).parameters()
    start = getattr(labeler, "parameters_", {})
    initial = {name: start[name] for name in here if name in start} if before is None else narrowed(before, here)
    try:
        run = _train(labeler, chains, tokens, answers, None, epochs=1, initial=initial, updates=True)
    except FactorGraphError as error:
        _refuse_forbidden(labeler, chains, answers, error)
        raise
    labeler.run_ = run if before is None else widened(run, before)
    labeler.parameters_, labeler.history_ = chains.filled(labeler.run_.parameters), run.history


def _train(
    labeler: SequenceLabeler,
    chains: Chains,
    tokens: Tokens,
    answers: list[np.ndarray],
    weights: Any,
    updates: bool = False,
    **arguments: Any,
) -> Run:
    """`train` by the labeler's settings. updates: whether only rules will do, the rule of the call before."""
    loss = weigh_labels(choose_loss(labeler.loss), labeler.class_weight, labeler.classes_, answers)
    loss = weigh_sequences(loss, weights, len(tokens))
    named = "sgd" if updates and labeler.optimizer is None else labeler.optimizer
    rule = choose_optimizer(named, loss, labeler.l1, labeler.l2, len(tokens))
    if updates:
        rule = labeler.rule_ = getattr(labeler, "rule_", rule)
        if not isinstance(rule, optim.Rule):
            raise FactorGraphError(f"partial_fit: expected an optimizer that makes updates, e.g. 'sgd'; got {rule!r}")
    return train(
        chains.model(),
        tokens,
        answers,
        loss=loss,
        optimizer=rule,
        batch=labeler.batch,
        seed=labeler.random_state,
        threads=labeler.threads,
        progress=labeler.verbose,
        **arguments,
    )


def _refuse_forbidden(labeler: SequenceLabeler, chains: Chains, answers: list[np.ndarray], cause: Exception) -> None:
    """Where training has failed: say which labels the rules forbid, if it is that."""
    if chains.rules is None:
        return
    (follows, first, last), names = chains.rules, labeler.classes_.tolist()
    for i, y in enumerate(answers):
        if y.ndim > 1 or not y.size:
            continue
        known = (y[:-1] >= 0) & (y[1:] >= 0)
        wrong = np.flatnonzero(known & ~follows[y[:-1], y[1:]]).tolist()
        if y[0] >= 0 and not first[y[0]]:
            t, place = 0, "at the beginning"
        elif wrong:
            t, place = wrong[0] + 1, f"after {names[y[wrong[0]]]!r}"
        elif y[-1] >= 0 and not last[y[-1]]:
            t, place = y.size - 1, "at the end"
        else:
            continue
        raise FactorGraphError(
            f"y[{i}][{t}]: expected labels that `constrain` permits; got {names[y[t]]!r} {place}. Correct the labels, "
            "or fit without rules and give them to predict"
        ) from cause


def _split(labeler: SequenceLabeler, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sequences that are held out, and the others."""
    if count < 2:
        raise FactorGraphError(f"early_stopping: expected at least 2 sequences; got {count}")
    order = np.random.default_rng([labeler.random_state, 2]).permutation(count)
    held = min(max(1, round(labeler.validation_fraction * count)), count - 1)
    return np.sort(order[:held]), np.sort(order[held:])


def _error(labeler: SequenceLabeler, parameters: Parameters, tokens: Tokens, answers: list[np.ndarray]) -> float:
    """The share of known labels that these parameters get wrong."""
    labeler.parameters_ = labeler.chains_.filled(parameters)
    found = asking.best(labeler, tokens, read(labeler.constrain))
    plain = [each if each.ndim == 1 else np.where(each.sum(1) == 1, each.argmax(1), -1) for each in answers]
    truth = np.concatenate(plain)
    return float((found != truth)[truth >= 0].mean()) if (truth >= 0).any() else 1.0


def narrowed(run: Run, names: Iterable[str]) -> Run:
    """The run of some parameters only: short sequences have no factors of the others."""
    last = {name: array for name, array in run.last.items() if name in names}
    state = {key: value for key, value in run.state.items() if _owner(key) in (None, *names)}
    return replace(run, last=last, state=state, settings={**run.settings, "parameters": shapes_of(last)})


def widened(run: Run, before: Run) -> Run:
    """A run that went on, with the parameters that it did not know as they were."""
    last, state = {**before.last, **run.last}, {**before.state, **run.state}
    missing = set(before.last) - set(run.last)
    parameters = {**run.parameters, **{name: before.parameters[name] for name in missing}}
    settings = {**run.settings, "parameters": shapes_of(last)}
    return replace(run, parameters=parameters, last=last, state=state, settings=settings)


def _owner(key: str) -> str | None:
    """The parameter that an entry of a rule's state belongs to."""
    return key.split(":", 1)[1] if ":" in key else None


def ruled(labeler: SequenceLabeler) -> Chains:
    """The architecture under the rules of the constructor: transitions and ends that these forbid are not learned."""
    rules = read(labeler.constrain)
    if rules is None:
        return labeler.chains_
    if rules.allowed is not None:
        raise FactorGraphError("constrain: expected rules for all sequences in training; got `allowed`, give sets in y")
    return replace(labeler.chains_, rules=rules.tables(labeler.classes_))
