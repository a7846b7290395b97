"""python-crfsuite: tagging by a model of as many labels; it only reads its own models, so the energies are not ours."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pycrfsuite

SHARE = None


def decode(unary: np.ndarray, table: np.ndarray) -> Callable[[], list[list[str]]]:
    """Viterbi by a trained model, one attribute a token (the least scoring there can be), items made beforehand."""
    count, length, states = unary.shape
    rng = np.random.default_rng(0)
    trainer = pycrfsuite.Trainer("lbfgs", verbose=False)
    trainer.set_params({"max_iterations": 5, "feature.possible_transitions": True, "feature.possible_states": True})
    for _ in range(20):
        gold = [str(k) for k in rng.permutation(states)]
        trainer.append([{"a" + label: 1.0} for label in gold], gold)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        trainer.train(path)
        tagger = pycrfsuite.Tagger()
        tagger.open(path)
    attributes = rng.integers(0, states, (count, length))
    items = [pycrfsuite.ItemSequence([{f"a{k}": 1.0} for k in row]) for row in attributes]
    return lambda: [tagger.tag(sequence) for sequence in items]


def train(X: list[np.ndarray], Y: list[np.ndarray], c2: float) -> tuple[float, float]:
    """Seconds of L-BFGS to its own end (data appended beforehand), and its objective Σ NLL + c2 ‖w‖²."""
    trainer = pycrfsuite.Trainer("lbfgs", verbose=False)
    for x, y in zip(X, Y):
        trainer.append([{str(f): float(row[f]) for f in np.flatnonzero(row)} for row in x], [str(k) for k in y])
    trainer.set_params({"c2": c2, "feature.possible_states": True, "feature.possible_transitions": True})
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        trainer.train(str(Path(folder) / "model"))
        return time.perf_counter() - begin, float(trainer.logparser.last_iteration["loss"])
