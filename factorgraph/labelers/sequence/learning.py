"""How a sequence labeler learns: what names of losses and optimizers stand for, weights, early stopping.

Everything is a call of `train`; what is here chooses its arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import optim
from ...errors import FactorGraphError, listed
from ...infer import Solver
from ...learn import train
from ...learn.check import unreachable_examples
from ...learn.train import Step, fastest
from ...losses import NLL, Costly, Loss, Margin, Needs, Perceptron
from ...optim import Parameters
from ...plan import Answers, Plan
from . import asking
from .chains import Chains, Tokens
from .constraints import read

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


def sums(loss: Loss) -> bool:
    """Whether a loss goes over all answers by their sum: smooth, for which batch methods are made."""
    return bool(loss.asks() & Needs.MARGINALS)


@dataclass(frozen=True)
class Weighted(Loss):
    """Another loss, the components' values and gradients times their weights.

    weights: float64 (C,), not negative. Components of one weight are asked together.
    """

    inner: Loss = field(default_factory=Margin)
    weights: np.ndarray = field(default_factory=lambda: np.ones(0))

    def asks(self) -> Needs:
        """As the inner loss."""
        return self.inner.asks()

    def over_answers(self, plan: Plan, known: Answers, listed: np.ndarray, solver: Solver) -> Any:
        """As the inner loss."""
        return self.inner.over_answers(plan, known, listed, solver)

    def bounded(self, plan: Plan, components: np.ndarray) -> np.ndarray:
        """As the inner loss."""
        return self.inner.bounded(plan, components)

    def __call__(
        self,
        plan: Plan,
        energies: np.ndarray,
        answers: Answers | Mapping[Any, Any],
        solver: Solver | None = None,
        components: np.ndarray | None = None,
        out: np.ndarray | None = None,
        proven: np.ndarray | None = None,
    ) -> tuple[float, np.ndarray]:
        """See Loss."""
        chosen = plan.components_or_all(components)
        total, gradient = 0.0, plan.zeros(energies.dtype) if out is None else out
        part = plan.zeros(energies.dtype)
        plan.clear(gradient, None if components is None else chosen)
        weights = self.weights[chosen]
        for weight in np.unique(weights[weights > 0]).tolist():
            some = chosen[weights == weight]
            value, _ = self.inner(plan, energies, answers, solver, some, part, proven)
            total += weight * value
            for index, block in enumerate(plan.blocks):
                rows = plan.rows(index, some)
                span = slice(None) if rows is None else rows
                block.view(gradient)[span] += weight * block.view(part)[span]
        return total, gradient


def weigh_labels(loss: Loss, class_weight: Any, classes: np.ndarray, answers: list[np.ndarray]) -> Loss:
    """The loss with costs Δ(y, y') = weight of the correct label y, for wrong y'.

    class_weight: {label: weight}, 1 for the others, or "balanced": N / (K · number of tokens of the label).
    """
    if class_weight is None:
        return loss
    if not isinstance(loss, Costly):
        raise FactorGraphError(
            f"class_weight: expected a loss with costs, such as 'margin' or losses.SoftmaxMargin(); got {loss!r}. The "
            "weight of a label is the cost of missing it"
        )
    if isinstance(class_weight, str) and class_weight == "balanced":
        known = np.concatenate([each[each >= 0] for each in answers if each.ndim == 1] or [np.zeros(0, int)])
        count = np.maximum(np.bincount(known, minlength=classes.size), 1)
        weights = known.size / (classes.size * count)
    elif isinstance(class_weight, Mapping):
        if unknown := set(class_weight) - set(classes.tolist()):
            raise FactorGraphError(f"class_weight: expected labels among {listed(classes)}; got {listed(unknown)}")
        weights = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], np.float64)
    else:
        raise FactorGraphError(f"class_weight: expected None, 'balanced' or a dict of labels; got {class_weight!r}")
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise FactorGraphError(f"class_weight: expected finite weights ≥ 0; got {weights.tolist()}")
    cost = weights[:, None] * (1.0 - np.eye(classes.size))
    return replace(loss, cost={"y": cost})


def weigh_sequences(loss: Loss, sample_weight: Any, count: int) -> Loss:
    """The loss of sequences with weights. Components are sequences, in their order."""
    if sample_weight is None:
        return loss
    weights = np.asarray(sample_weight, np.float64)
    if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
        raise FactorGraphError(
            f"sample_weight: expected {count} finite weights ≥ 0, one for each sequence; got an array of shape "
            f"{weights.shape}"
        )
    if (weights == 1).all():
        return loss
    return Weighted(latent=loss.latent, inner=loss, weights=weights)


def choose_optimizer(optimizer: Any, loss: Loss, l1: float, l2: float, count: int) -> Any:
    """The update rule or driver for a name; None: what suits the loss; an object stands for itself."""
    if optimizer is None:
        optimizer = "lbfgs" if sums(loss) and hasattr(optim, "LBFGS") else "sgd"
    if not isinstance(optimizer, str):
        if l1 or l2:
            raise FactorGraphError("l1, l2: expected 0 beside an optimizer object, which has its own; got other values")
        return optimizer
    makers: dict[str, Callable[[], Any]] = {
        "sgd": lambda: optim.SGD(0.1 if sums(loss) else 1.0, l2=l2, average=True),
        "adam": lambda: optim.Adam(l2=l2),
    }
    if optimizer not in makers:
        raise FactorGraphError(f"optimizer: expected one of {listed(makers)}, an object, or None; got {optimizer!r}")
    if l1:
        raise FactorGraphError(f"l1: expected 0 for optimizer {optimizer!r}, which has no L1; got {l1!r}")
    return makers[optimizer]()


def check(labeler: SequenceLabeler) -> None:
    """Refuse settings that fit nothing."""
    for name, least in (("epochs", 1), ("batch", 1), ("cutoff", 1), ("patience", 1), ("random_state", 0)):
        value = getattr(labeler, name)
        if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
            raise FactorGraphError(f"SequenceLabeler: expected {name} to be an int, at least {least}; got {value!r}")
    for name in ("l1", "l2"):
        value = getattr(labeler, name)
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
            f"SequenceLabeler: {features} features of {states} labels are {weights} weights, {12 * weights / 2**30:.1f} "
            f"GiB of them with their averages; expected at most {MEMORY / 2**30:.0f}. Are the labels what they should "
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
        initial=initial,
    )
    if held is None:
        found = run(epochs=labeler.epochs, progress=labeler.verbose)
        labeler.parameters_, labeler.history_ = found.parameters, found.history
        return
    best = -1.0
    with TemporaryDirectory() as folder:
        for epoch in range(1, labeler.epochs + 1):
            found = run(epochs=epoch, checkpoint=f"{folder}/run.npz")
            parameters, labeler.history_ = found.parameters, found.history
            score = _accuracy(labeler, parameters, *judged)
            if score > best:
                best, labeler.best_epoch_, labeler.parameters_ = score, epoch, parameters
            elif epoch - labeler.best_epoch_ >= labeler.patience:
                break
    labeler.validation_score_ = best


def _accuracy(
    labeler: SequenceLabeler, parameters: Parameters, tokens: Tokens, answers: list[np.ndarray]
) -> float:
    """The share of known labels that these parameters get right."""
    labeler.parameters_ = parameters
    found = asking.best(labeler, tokens, read(labeler.constrain))
    truth = np.concatenate([each if each.ndim == 1 else np.where(each.sum(1) == 1, each.argmax(1), -1) for each in answers])
    return float((found == truth)[truth >= 0].mean()) if (truth >= 0).any() else 0.0


def go_on(labeler: SequenceLabeler, tokens: Tokens, answers: list[np.ndarray]) -> None:
    """One pass of updates more, from the weights and averages of the passes before."""
    loss = weigh_labels(choose_loss(labeler.loss), labeler.class_weight, labeler.classes_, answers)
    rule = choose_optimizer(labeler.optimizer or "sgd", loss, labeler.l1, labeler.l2, len(tokens))
    if not isinstance(rule, optim.Rule):
        raise FactorGraphError(f"partial_fit: expected an optimizer that makes updates, such as 'sgd'; got {rule!r}")
    declared = ruled(labeler).model().declare(tokens)
    known, solver = declared.read_answers(answers), labeler._solver()
    start = getattr(labeler, "parameters_", None) or declared.graph.initial(np.random.default_rng(0))
    parameters, state = getattr(labeler, "progress_", None) or (dict(start), rule.init(start))
    energies = declared.graph.energies(parameters)
    unreachable_examples(declared, known, energies, solver, "raise")
    step = Step(declared, known, loss, rule, solver, parameters, state, energies, labeler.batch)
    passes, count = fastest(step), len(tokens)
    order = np.random.default_rng([labeler.random_state, int(state["step"])]).permutation(count)
    steps = -(-count // labeler.batch)
    for _ in passes.epoch(order, np.zeros(steps)):
        pass
    kept = {name: np.array(value) if isinstance(value, np.ndarray) else value for name, value in state.items()}
    labeler.progress_ = {name: array.copy() for name, array in parameters.items()}, kept
    labeler.parameters_ = rule.final(parameters, state)


def ruled(labeler: SequenceLabeler) -> Chains:
    """The architecture under the rules of the constructor: transitions and ends that these forbid are not learned."""
    rules = read(labeler.constrain)
    if rules is None:
        return labeler.chains_
    follows, _, _ = rules.tables(labeler.classes_)
    return labeler.chains_ if follows.all() else replace(labeler.chains_, follows=follows)
