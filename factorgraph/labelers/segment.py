"""Learn to read sequences whose segmentation nobody was told: from inputs and the strings they spell.

    x ──cutter──► segmentation graph: nodes are candidate boundaries, arc a may be one symbol
      ──recogniser──► E(a, k): what it costs that arc a is symbol k            (+ bigram: E(k, k') of neighbours)
    E(string) over the paths that spell it: the latent segmentation is minimised, or summed by the loss

Nothing here is about images: a cutter and features make the same reader one of handwriting, of speech, of anything with
candidate boundaries. The graph transformer network of LeCun, Bottou, Bengio and Haffner, "Gradient-based learning
applied to document recognition" (1998).
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from .. import losses
from ..errors import FactorGraphError, listed
from ..factors import MLP, Factor, Linear
from ..graph import FactorGraph
from ..infer import k_best, marginals, solve
from ..learn import Model, train
from ..learn.checkpoint import load_model, save
from ..learn.model import Declared
from ..optim import Adam, Rule
from ..plan import Acceptor
from .handwriting import segment
from .metrics import character_error, string_error
from .segmentation import Segmentation, cut

#: What the names of losses stand for.
LOSSES = {
    "nll": losses.NLL,
    "perceptron": losses.Perceptron,
    "hinge": losses.Hinge,
    "margin": losses.Margin,
    "energy": losses.Energy,
}
_KIND = "segment labeler"


class SegmentLabeler(BaseEstimator):
    """A reader of unsegmented sequences, in the manners of scikit-learn: X a list of inputs, y the strings they spell.

    cutter: x → Segmentation, the candidate segments of one input; None for lines of handwriting of 8 rows.
    features: (x, spans) → (arcs, D), what the recogniser sees of every arc; None for those that the cutter gives.
    recogniser: "mlp" with `hidden` units, "linear", or features → Factor, e.g. lambda f: fg.MLP(f, "a", hidden=8).
    bigram: also learn an energy for every pair of neighbouring symbols.
    loss: "nll", "perceptron", "hinge" (one margin per string), "margin", "energy", or an object of `losses`.
    latent: "min" or "sum", what happens to segmentations; None for what is natural to the loss.
    grammar: an Acceptor of the strings that are possible, over symbols of y; not used in training.
    optimizer: of optim; None for Adam. epochs, batch_size, random_state, progress: as of `train`.

    After `fit`: classes_, the symbols; parameters_; history_, see Run; reachable_, bool per example, see `reachable`.
    """

    def __init__(
        self,
        cutter: Callable[[Any], Segmentation] | None = None,
        features: Callable[[Any, np.ndarray], Any] | None = None,
        recogniser: str | Callable[[np.ndarray], Factor] = "mlp",
        hidden: int = 96,
        bigram: bool = False,
        loss: str | losses.Loss = "nll",
        latent: str | None = None,
        grammar: Acceptor | None = None,
        optimizer: Rule | None = None,
        epochs: int = 20,
        batch_size: int = 32,
        random_state: int = 0,
        progress: bool = False,
    ) -> None:
        self.cutter = cutter
        self.features = features
        self.recogniser = recogniser
        self.hidden = hidden
        self.bigram = bigram
        self.loss = loss
        self.latent = latent
        self.grammar = grammar
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Iterable[Any], y: Sequence[Any], initial: Any = None) -> SegmentLabeler:
        """Learn from inputs and their strings. initial: parameters to start from, e.g. those of another labeler.

        A warning says how many strings no path can spell, before training; they are left out.
        Raises FactorGraphError for wrong parameters, unequal numbers of inputs and strings, and as `train` does.
        """
        loss = self._loss()
        lines, strings = self.cut(X), _strings(y)
        _check_counts("fit", lines, strings)
        self.classes_ = np.array(sorted({k for string in strings for k in string}))
        self.joined_ = all(isinstance(string, str) for string in y)
        self.reachable_ = self.reachable(lines, y)
        kept, lost = np.flatnonzero(self.reachable_), np.flatnonzero(~self.reachable_)
        if lost.size:
            warnings.warn(
                f"SegmentLabeler.fit: {lost.size} of {len(lines)} strings are spelled by no path and are left out "
                f"(the first is y[{lost[0]}]). A cutter with more candidate boundaries would reach them",
                stacklevel=2,
            )
        run = train(
            self.model,
            [lines[i] for i in kept],
            [self._encode(strings[i]) for i in kept],
            loss=loss,
            optimizer=self.optimizer or Adam(8e-3, schedule="linear"),
            epochs=self.epochs,
            batch=self.batch_size,
            seed=self.random_state,
            progress=self.progress,
            initial=initial,
        )
        self.parameters_, self.history_ = run.parameters, run.history
        return self

    def reachable(self, X: Iterable[Any], y: Sequence[Any]) -> np.ndarray:
        """bool (N,): whether some path of each input has as many arcs as its string has symbols (known ones, after
        `fit`). What is not reachable can neither be learned nor read."""
        lines = self.cut(X)
        _check_counts("reachable", lines, y)
        known = set(self.classes_.tolist()) if hasattr(self, "classes_") else None
        out = np.zeros(len(lines), bool)
        for i, (line, string) in enumerate(zip(lines, _strings(y))):
            lengths = line.lengths
            fits = len(string) < lengths.size and bool(lengths[len(string)])
            out[i] = fits and (known is None or known.issuperset(string))
        return out

    def predict(self, X: Iterable[Any]) -> list[Any]:
        """The string of least energy of every input, within the grammar if there is one: a str where `fit` was given
        such, else a tuple of symbols; empty where nothing can be read."""
        declared, evidence = self._declare(X, "predict")
        if not declared.count:
            return []
        found = solve(declared.graph, evidence, self.parameters_)
        return [self._decode(labels) for labels in declared.predictions(found)]

    def predict_k_best(self, X: Iterable[Any], k: int) -> list[list[tuple[Any, float]]]:
        """Per input its k best strings, or all if there are fewer, each with its energy, segmentation minimised."""
        declared, evidence = self._declare(X, "predict_k_best")
        if not declared.count:
            return []
        ranked = k_best(declared.graph, k, evidence, self.parameters_, each=True)
        out: list[list[tuple[Any, float]]] = [[] for _ in range(declared.count)]
        component = declared.compile().lattices.component
        for solution in ranked:
            for i, labels in enumerate(declared.predictions(solution)):
                if labels:
                    out[i].append((self._decode(labels), float(solution.components.energy[component[i]])))
        return out

    def predict_marginals(self, X: Iterable[Any]) -> list[np.ndarray]:
        """Per input (arcs, symbols): the probability that each arc is on the path and is this symbol, under exp(−E)."""
        declared, evidence = self._declare(X, "predict_marginals")
        if not declared.count:
            return []
        found = marginals(declared.graph, evidence=evidence, parameters=self.parameters_)
        return [found.of(group) for group in declared.groups]

    def align(self, X: Iterable[Any], y: Sequence[Any]) -> list[np.ndarray]:
        """The best segmentation of every input that spells its string: (symbols, 2), where each symbol begins and ends,
        as the cutter counts; of no rows where no path spells it.

        Raises FactorGraphError for symbols that were not learned."""
        lines = self.cut(X)
        _check_counts("align", lines, y)
        declared, _ = self._declare(lines, "align")
        evidence = {(i, "line"): self._encode(string) for i, string in enumerate(_strings(y))}
        found = solve(declared.graph, evidence, self.parameters_)
        return [line.spans[found.path(group)] for line, group in zip(lines, declared.groups)]

    def score(self, X: Iterable[Any], y: Sequence[Any]) -> float:
        """The share of strings that are read without an error."""
        return 1.0 - string_error(*self._compared(X, y))

    def character_error(self, X: Iterable[Any], y: Sequence[Any]) -> float:
        """Edit distance between what is read and the truth, over the length of the truth."""
        return character_error(*self._compared(X, y))

    def cut(self, X: Iterable[Any]) -> list[Segmentation]:
        """What the cutter makes of every input; what is a Segmentation already stays so.

        Raises FactorGraphError for features that do not fit the arcs; the input is named."""
        return cut(X, self.cutter or segment, self.features)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what was learned to an npz file, in one step. Functions and objects among the parameters are not in it
        (a grammar is); `load` is given them again."""
        self._check_fitted("save")
        plain = {k: v for k, v in self.get_params(deep=False).items() if isinstance(v, str | int | float | None)}
        arrays = {f"parameter:{name}": array for name, array in self.parameters_.items()}
        arrays |= {"classes": self.classes_, "history": self.history_, "reachable": self.reachable_}
        if self.grammar is not None:
            grammar = self.grammar.over(self.classes_.tolist())
            arrays |= {"grammar.delta": grammar.delta, "grammar.accepting": np.asarray(grammar.accepting)}
        given = sorted(k for k in ("cutter", "features", "recogniser") if callable(getattr(self, k)))
        save(path, _KIND, {"given": json.dumps(given)}, {"plain": plain, "joined": self.joined_}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], **objects: Any) -> SegmentLabeler:
        """A labeler as it was saved. objects: the functions it was made with: cutter, features, recogniser.

        Raises FactorGraphError where one of them is missing, FormatError for a file that cannot be read."""
        contents = load_model(path, _KIND)
        missing = sorted(set(json.loads(contents.settings["given"])) - objects.keys())
        if missing:
            raise FactorGraphError(
                f"SegmentLabeler.load: expected {listed(missing)}, as the labeler that was saved had them; got "
                f"{listed(objects)}. Functions are not in the file: load(path, {missing[0]}=…)"
            )
        out, arrays = cls(**(contents.values["plain"] | objects)), contents.arrays
        out.classes_, out.history_, out.reachable_ = (arrays[k] for k in ("classes", "history", "reachable"))
        out.joined_ = contents.values["joined"]
        out.parameters_ = {k.partition(":")[2]: v for k, v in arrays.items() if k.startswith("parameter:")}
        if "grammar.delta" in arrays and out.grammar is None:
            symbols = tuple(out.classes_.tolist())
            out.grammar = Acceptor(arrays["grammar.delta"], arrays["grammar.accepting"], symbols)
        return out

    @property
    def model(self) -> Model:
        """The architecture, of what `cut` gives and strings of states; `fit` must have seen the symbols."""
        return Model(self._build)

    def _build(self, g: FactorGraph, line: Segmentation) -> None:
        """One input as a lattice."""
        arcs = g.lattice("line", arcs=(line.start, line.end), states=len(self.classes_))
        x = np.asarray(line.features)
        if callable(self.recogniser):
            g.add(self.recogniser(x), arcs)
        elif self.recogniser == "mlp":
            g.add(MLP(x, "recogniser", hidden=self.hidden), arcs)
        elif self.recogniser == "linear":
            g.add(Linear(np.column_stack([x, np.ones(len(x), x.dtype)]), "recogniser"), arcs)
        else:
            raise FactorGraphError(
                f"SegmentLabeler: expected recogniser 'mlp', 'linear' or features → Factor; got {self.recogniser!r}"
            )
        if self.bigram:
            g.add(Linear(None, "bigram", dtype=np.float32 if x.dtype == np.float32 else np.float64), arcs, arcs)

    def _loss(self) -> losses.Loss:
        if isinstance(self.loss, losses.Loss):
            return self.loss
        if self.loss not in LOSSES:
            raise FactorGraphError(
                f"SegmentLabeler: expected loss {listed(LOSSES)}, or an object of losses; got {self.loss!r}"
            )
        made: losses.Loss = LOSSES[self.loss](**({} if self.latent is None else {"latent": self.latent}))
        return made

    def _declare(self, X: Iterable[Any], where: str) -> tuple[Declared, dict[Any, Any]]:
        """All inputs as one graph, and the grammar as evidence."""
        self._check_fitted(where)
        if not isinstance(self.grammar, Acceptor | None):
            raise FactorGraphError(f"SegmentLabeler: expected grammar to be an Acceptor or None; got {self.grammar!r}")
        declared = self.model.declare(self.cut(X))
        if self.grammar is None:
            return declared, {}
        grammar = self.grammar.over(self.classes_.tolist())
        return declared, {(i, "line"): grammar for i in range(declared.count)}

    def _encode(self, string: Sequence[Any]) -> np.ndarray:
        """States of symbols."""
        place = {k: i for i, k in enumerate(self.classes_.tolist())}
        if unknown := [k for k in string if k not in place]:
            raise FactorGraphError(
                f"SegmentLabeler: unknown symbol {unknown[0]!r}; expected those learned from, {listed(place)}"
            )
        return np.array([place[k] for k in string], np.int64)

    def _decode(self, labels: Sequence[int]) -> Any:
        symbols = self.classes_[list(labels)].tolist() if labels else []
        return "".join(symbols) if self.joined_ else tuple(symbols)

    def _compared(self, X: Iterable[Any], y: Sequence[Any]) -> tuple[list[list[Any]], list[list[Any]]]:
        return _strings(y), [list(string) for string in self.predict(X)]

    def _check_fitted(self, where: str) -> None:
        if not hasattr(self, "parameters_"):
            raise FactorGraphError(f"SegmentLabeler.{where}: expected a fitted labeler. Call fit(X, y) first")


def _strings(y: Any) -> list[list[Any]]:
    """Strings as lists of Python objects. Errors: FactorGraphError for anything else, with its place."""
    if isinstance(y, str) or not hasattr(y, "__len__"):
        raise FactorGraphError(f"SegmentLabeler: expected y to be a list of strings; got {y!r}")
    out = []
    for i, string in enumerate(y):
        if not hasattr(string, "__len__"):
            raise FactorGraphError(f"SegmentLabeler: y[{i}]: expected a string, or a list of symbols; got {string!r}")
        out.append(list(string) if isinstance(string, str) else np.asarray(string).tolist())
    return out


def _check_counts(where: str, X: Sequence[Any], y: Sequence[Any]) -> None:
    if len(X) != len(y) or not len(X):
        raise FactorGraphError(
            f"SegmentLabeler.{where}: expected one string for each of at least one input; got {len(X)} inputs and "
            f"{len(y)} strings"
        )
