"""How a sequence labeler learns: what names of losses and optimizers stand for, weights, early stopping.

Everything is a call of `train`; what is here chooses its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import optim
from ...errors import FactorGraphError, listed
from ...learn import train
from ...learn.check import unreachable_examples
from ...learn.loops import loop_of
from ...learn.step import Learner
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
    if not 0 < labeler.validation_fraction < 1:
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
    weights, held = sample_weight, None
    if labeler.early_stopping:
        order = np.random.default_rng([labeler.random_state, 2]).permutation(len(tokens))
        count = min(max(1, round(labeler.validation_fraction * len(tokens))), len(tokens) - 1)
        if count < 1:
            raise FactorGraphError(f"early_stopping: expected at least 2 sequences; got {len(tokens)}")
        held, kept = np.sort(order[:count]), np.sort(order[count:])
        judged = tokens[held], [answers[i] for i in held]
        tokens, answers = tokens[kept], [answers[i] for i in kept]
        weights = None if sample_weight is None else np.asarray(sample_weight)[kept]
    chains = ruled(labeler)
    loss = weigh_labels(choose_loss(labeler.loss), labeler.class_weight, labeler.classes_, answers)
    loss = weigh_sequences(loss, weights, len(tokens))
    rule = choose_optimizer(labeler.optimizer, loss, labeler.l1, labeler.l2, len(tokens))
    run = partial(
        train,
        chains.model(),
        tokens,
        answers,
        loss=loss,
        optimizer=rule,
        batch=labeler.batch,
        seed=labeler.random_state,
        threads=labeler.threads,
        initial=_known(initial, chains, tokens),
    )
    if held is None:
        found = run(epochs=labeler.epochs, progress=labeler.verbose)
        labeler.parameters_ = chains.filled(found.parameters)
        labeler.history_ = found.history
        return
    best = -1.0
    with TemporaryDirectory() as folder:
        for epoch in range(1, labeler.epochs + 1):
            found = run(epochs=epoch, checkpoint=f"{folder}/run.npz")
            parameters, labeler.history_ = chains.filled(found.parameters), found.history
            score = _accuracy(labeler, parameters, *judged)
            if score > best:
                best, labeler.best_epoch_, labeler.parameters_ = score, epoch, parameters
            elif epoch - labeler.best_epoch_ >= labeler.patience:
                break
    labeler.validation_score_ = best


def _known(initial: Parameters | None, chains: Chains, tokens: Tokens) -> Parameters | None:
    """Those of the parameters that the graph of these sequences has."""
    return initial and {name: initial[name] for name in chains.graph(tokens).parameters()}


def _accuracy(
    labeler: SequenceLabeler, parameters: Parameters, tokens: Tokens, answers: list[np.ndarray]
) -> float:
    """The share of known labels that these parameters get right."""
    labeler.parameters_ = parameters
    found = asking.best(labeler, tokens, read(labeler.constrain))
    plain = (each if each.ndim == 1 else np.where(each.sum(1) == 1, each.argmax(1), -1) for each in answers)
    truth = np.concatenate(list(plain))
    return float((found == truth)[truth >= 0].mean()) if (truth >= 0).any() else 0.0


def go_on(labeler: SequenceLabeler, tokens: Tokens, answers: list[np.ndarray]) -> None:
    """One pass of updates more, from the weights and averages of the passes before."""
    loss = weigh_labels(choose_loss(labeler.loss), labeler.class_weight, labeler.classes_, answers)
    rule = choose_optimizer(labeler.optimizer or "sgd", loss, labeler.l1, labeler.l2, len(tokens))
    if not isinstance(rule, optim.Rule):
        raise FactorGraphError(f"partial_fit: expected an optimizer that makes updates, such as 'sgd'; got {rule!r}")
    chains = ruled(labeler)
    declared = chains.model().declare(tokens)
    known, solver = declared.read_answers(answers), labeler._solver()
    start = chains.filled(getattr(labeler, "parameters_", None) or declared.graph.initial(np.random.default_rng(0)))
    parameters, state = getattr(labeler, "progress_", None) or (dict(start), rule.init(start))
    energies = declared.graph.energies(parameters)
    unreachable_examples(declared, known, energies, solver, "raise")
    learner = Learner(declared, known, loss, rule, solver, parameters, state, energies, labeler.batch)
    every = np.arange(len(tokens))
    loop = loop_of(learner, every)
    order = np.random.default_rng([labeler.random_state, int(state["step"])]).permutation(every)
    for _ in loop.epoch(order, np.zeros(-(-every.size // labeler.batch))):
        pass
    kept = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in loop.pack().items()}
    labeler.progress_ = {name: array.copy() for name, array in learner.parameters.items()}, kept
    labeler.parameters_ = labeler.chains_.filled(loop.final())


def ruled(labeler: SequenceLabeler) -> Chains:
    """The architecture under the rules of the constructor: transitions and ends that these forbid are not learned."""
    rules = read(labeler.constrain)
    if rules is None:
        return labeler.chains_
    if rules.allowed is not None:
        raise FactorGraphError("constrain: expected rules for all sequences in training; got `allowed`, give sets in y")
    return replace(labeler.chains_, rules=rules.tables(labeler.classes_))
