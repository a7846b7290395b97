"""`SequenceLabeler`: an estimator in scikit-learn's manner over chains of labels.

What it does with features, energies, losses and inference is in the files beside this one; here they become methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError

from ... import infer
from ...losses import Loss
from ..encoding import Columns, Encoded, Encoder, encoder_for, prepare
from ..spans import SpanReport, span_report
from . import asking, data, learning
from .chains import Chains, Tokens, observed, refuse_empty
from .constraints import read
from .explain import Explanation, Weight, explain, top
from .storage import load, save


class SequenceLabeler(BaseEstimator):
    """Labels for every token of sequences: chunks, entities, parts of speech, letters.

    loss: "margin", "perceptron", "nll" (a conditional random field), or any object of fg.losses.
    optimizer: None for what suits the loss, a name ("sgd", "adagrad", "adam", "pa", "pegasos", "lbfgs") or an object of
    fg.optim.
    epochs: passes over the data, iterations of L-BFGS; None: 10 and at most 100. batch: sequences to one step.
    order: 1, or 2 for energies of three labels in a row, solved exactly by elimination: K³ energies a token for K
    labels, with 22 of them some tenths of a millisecond, a hundred times the time of order 1.
    features: "all" pairs of feature and label have a weight; "observed", those that training data show; "auto",
    observed ones for losses that are sums, as a conditional random field of all pairs is large and learns no better.
    l1, l2: strength of l1 ‖w‖₁ and (l2 / 2) ‖w‖² beside the mean loss of N sequences: CRFsuite's c2 is N l2 / 2. l2
    None: c2 = 1 for losses with a gradient everywhere ("nll"), 0 for others.
    templates, columns: features of tokens that are words or tuples of strings, with the names of these; None for
    defaults. cutoff: features that are rarer are dropped. encoder: any encoder instead.
    constrain: rules for labels in training and prediction: "iob2", "iobes", "iob1", pairs that may not follow each
    other, or Constraints(…).
    class_weight: {label: weight} or "balanced": what it costs to miss a label, for losses with costs.
    warm_start: whether `fit` goes on from the features, labels and weights of the fit before.
    early_stopping: hold out `validation_fraction` of the sequences, stop when their score has not risen for `patience`
    epochs, and keep the best weights. random_state: of every random choice. threads: of inference.

    After `fit`: classes_, labels in order; columns_, names of the strings of a token; n_features_; parameters_,
    {name: array}; history_, a record per epoch.

    >>> X = [["the", "cat", "sat"], ["a", "dog", "barks"]]
    >>> y = [["D", "N", "V"], ["D", "N", "V"]]
    >>> SequenceLabeler().fit(X, y).predict([["the", "dog", "sat"]])
    [['D', 'N', 'V']]
    """

    def __init__(
        self,
        loss: str | Loss = "margin",
        optimizer: Any = None,
        epochs: int | None = None,
        batch: int = 1,
        order: int = 1,
        features: str = "auto",
        l1: float = 0.0,
        l2: float | None = None,
        templates: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        cutoff: int = 1,
        encoder: Encoder | None = None,
        constrain: Any = None,
        class_weight: Any = None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        patience: int = 3,
        random_state: int = 0,
        threads: int | None = None,
        verbose: bool = False,
    ):
        self.loss = loss
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch = batch
        self.order = order
        self.features = features
        self.l1 = l1
        self.l2 = l2
        self.templates = templates
        self.columns = columns
        self.cutoff = cutoff
        self.encoder = encoder
        self.constrain = constrain
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.threads = threads
        self.verbose = verbose

    # ---- learning

    def fit(self, X: Any, y: Any, lengths: Any = None, sample_weight: Any = None) -> SequenceLabeler:
        """Learn from sequences X and their labels y.

        X: lists of tokens that are dicts of features, lists of features, words, or tuples of strings; Columns; an array
        or sparse matrix for each sequence, or one for all with `lengths`. y: a list of labels for each sequence; None
        stands for an unknown label, a set for one of several. sample_weight: one weight for each sequence.

        Errors: FactorGraphError for anything that does not fit, with the sequence at fault.
        """
        learning.check(self)
        again = self.warm_start and hasattr(self, "parameters_")
        if not again:
            self._begin(X)
        tokens = self._tokens(X, lengths, learn=not again)
        answers = self._answers(y, tokens, lengths, self.classes_ if again else None)
        if not again:
            self._shape(tokens, answers)
        learning.fit(self, tokens, answers, sample_weight, self.parameters_ if again else None)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, lengths: Any = None) -> SequenceLabeler:
        """One more pass, over these sequences, by updates as they come. Averages go over all calls.

        The first call settles the features (an encoder with hash_bits knows them all) and the labels: those of y, or
        `classes`, which later calls may not exceed.
        """
        learning.check(self)
        first = not hasattr(self, "parameters_")
        if first:
            self._begin(X)
        tokens = self._tokens(X, lengths, learn=first)
        answers = self._answers(y, tokens, lengths, classes if first else self.classes_)
        if first:
            self._shape(tokens, answers, every=True)
        learning.go_on(self, tokens, answers)
        return self

    def _begin(self, X: Any) -> None:
        self.columns_ = X.names if isinstance(X, Columns) else tuple(self.columns or ("w",))
        given = deepcopy(self.encoder)
        self.encoder_ = encoder_for(X, self.templates, self.columns, self.cutoff) if given is None else given

    def _answers(self, y: Any, tokens: Tokens, lengths: Any, classes: Any) -> list[np.ndarray]:
        refuse_empty(tokens.indptr)
        labels = data.read_labels(y, np.diff(tokens.indptr), lengths is not None)
        self.classes_ = data.alphabet(labels, classes)
        return data.as_answers(labels, self.classes_)

    def _shape(self, tokens: Tokens, answers: list[np.ndarray], every: bool = False) -> None:
        """Settle the architecture."""
        self.n_features_ = self.encoder_.n_features
        few = self.features == "observed" or (
            self.features == "auto" and learning.choose_loss(self.loss).smooth() and not every
        )
        pairs, transitions = observed(tokens, answers, self.classes_.size) if few else (None, None)
        self.chains_ = Chains(self.classes_.size, self.order, np.float32, pairs, transitions)
        learning.check_size(self.chains_, self.n_features_)

    # ---- answers

    def encode(self, X: Any, lengths: Any = None) -> Encoded:
        """What the encoder makes of sequences; `unknown` counts features that training has not seen, and drops them."""
        self._check("encode")
        return self.encoder_.transform(prepare(X, self.encoder_, self.columns_), lengths)

    def predict(self, X: Any, lengths: Any = None, constrain: Any = None) -> list[list[Any]]:
        """The labels of lowest energy of every sequence. constrain: rules instead of those of the constructor.

        Errors: FactorGraphError where the rules leave no labels to a sequence.
        """
        tokens, rules = self._asked("predict", X, lengths, constrain)
        found = asking.best(self, tokens, rules)
        names = self.classes_.tolist()
        ends = tokens.indptr.tolist()
        flat = [names[k] for k in found.tolist()]
        return [flat[a:b] for a, b in zip(ends, ends[1:])]

    def predict_k_best(
        self, X: Any, k: int, lengths: Any = None, constrain: Any = None
    ) -> list[list[tuple[list[Any], float]]]:
        """For every sequence its k best answers, fewer where there are fewer, as (labels, energy), best first."""
        tokens, rules = self._asked("predict_k_best", X, lengths, constrain)
        return asking.ranked(self, tokens, rules, k)

    def predict_marginals(self, X: Any, lengths: Any = None, constrain: Any = None) -> list[np.ndarray]:
        """For every sequence the probability of each label at each token, (tokens, labels), under P ∝ exp(−E).

        They are calibrated as far as training makes them so: take loss "nll".
        """
        tokens, rules = self._asked("predict_marginals", X, lengths, constrain)
        return asking.marginals(self, tokens, rules)

    def energy(self, X: Any, y: Any, lengths: Any = None) -> np.ndarray:
        """float64: of every sequence the energy of its labels; where some are unknown, the least one."""
        tokens, _ = self._asked("energy", X, lengths, None)
        answers = data.as_answers(data.read_labels(y, np.diff(tokens.indptr), lengths is not None), self.classes_)
        return asking.energies(self, tokens, answers)

    def score(self, X: Any, y: Any, sample_weight: Any = None, lengths: Any = None) -> float:
        """The share of tokens whose label is right (labels that are None or sets are left out). Larger is better."""
        predicted = self.predict(X, lengths)
        truth = data.read_labels(y, np.array([len(each) for each in predicted]), lengths is not None)
        return asking.accuracy(truth, predicted, sample_weight)

    def report(self, X: Any, y: Any, lengths: Any = None) -> SpanReport:
        """Precision, recall and F1 of the labelled spans, by type; `.f1` is the one of all."""
        predicted = self.predict(X, lengths)
        truth = data.read_labels(y, np.array([len(each) for each in predicted]), lengths is not None)
        return span_report(truth, predicted)

    # ---- what it has learned

    def top_features(self, n: int = 10, label: Any = None) -> list[Weight]:
        """The n strongest weights, of one label or of all, features and transitions; negative ones speak for it."""
        self._check("top_features")
        return top(self, n, label)

    def explain(self, x: Any, against: Sequence[Any] | None = None) -> Explanation:
        """Why the best labels of one sequence x are better than others (by default the second best): which factors pay
        how much of the difference of energies."""
        tokens, rules = self._asked("explain", [x], None, None)
        return explain(self, tokens, rules, against)

    def save(self, path: Any) -> None:
        """Write the model to a file: arrays with a JSON header and a checksum, whole or not at all, no pickle."""
        self._check("save")
        save(self, path)

    @classmethod
    def load(cls, path: Any) -> SequenceLabeler:
        """Read what `save` wrote. Errors: FormatError for any other file, and one that is truncated or changed."""
        return load(cls(), path)

    @classmethod
    def from_crfsuite(cls, source: Any) -> SequenceLabeler:
        """The model of python-crfsuite: a model file, the text that CRFsuite dumps of one, or a tagger's info()."""
        from .crfsuite import from_crfsuite

        return from_crfsuite(cls(), source)

    def _tokens(self, X: Any, lengths: Any, learn: bool) -> Tokens:
        """Encoded sequences."""
        prepared = prepare(X, self.encoder_, self.columns_)
        encoded = (self.encoder_.fit if learn else self.encoder_.transform)(prepared, lengths)
        return Tokens.of(encoded, self.encoder_.n_features, np.float32)

    def _asked(self, method: str, X: Any, lengths: Any, constrain: Any) -> tuple[Tokens, Any]:
        self._check(method)
        return self._tokens(X, lengths, False), read(self.constrain if constrain is None else constrain)

    def _check(self, method: str) -> None:
        if not hasattr(self, "parameters_"):
            raise NotFittedError(f"SequenceLabeler.{method}: this labeler has not been fitted. Call fit(X, y) first")

    def _solver(self) -> infer.Solver:
        return infer.Auto(self.threads)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "parameters_")
