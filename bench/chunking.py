"""Chunking by SequenceLabeler: from a file to a model, and from a file to labels, against python-crfsuite."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.encoding import corpus, split, strings
from bench.harness import Measure, Options, Row, alternate, compare
from factorgraph import SequenceLabeler
from factorgraph.labelers.encoding import CHUNKING, CRFSUITE_CHUNKING, Columns, Encoder, Templates, read_columns
from factorgraph.labelers.sequence import asking
from factorgraph.labelers.spans import span_report

EPOCHS, SEEDS = 10, 5
NO_PEER = "python-crfsuite is not installed"


def training(options: Options) -> Iterator[Row]:
    """Averaged perceptron, ten epochs, CRFsuite's templates: file to model, and on encoded data."""
    with tempfile.TemporaryDirectory() as folder:
        path, source = corpus(Path(folder), options)
        calls: dict[str, Callable[[], Any]] = {"ours": lambda: _fit(path)}
        encoded = _Encoded(path)
        inner: dict[str, Callable[[], Any]] = {"ours": encoded.fit}
        if find_spec("pycrfsuite"):
            peer = _Peer(path)
            calls["python-crfsuite"], inner["python-crfsuite"] = peer.from_file, peer.train
        rounds = min(options.repeat, 3)
        for what, some, bar in (("file to model", calls, 1 / 7), ("perceptron on encoded data", inner, 1 / 9)):
            note = source or ("" if len(some) > 1 else NO_PEER)
            yield compare(alternate(some, rounds), f"{what}, {EPOCHS} epochs", "python-crfsuite", note=note, bar=bar)


def tagging(options: Options) -> Iterator[Row]:
    """File to labels, and encoded tokens to labels; ns per token, one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path, source = corpus(Path(folder), options)
        test = path.with_name("test.txt") if not source else path
        labeler = _fit(path)
        data = read_columns(test)
        tokens = labeler._tokens(data.select("w", "pos"), None, False)
        calls: dict[str, Callable[[], Any]] = {
            "ours": lambda: labeler.predict(read_columns(test).select("w", "pos")),
            "ids": lambda: asking.best(labeler, tokens, None),
        }
        if find_spec("pycrfsuite"):
            peer = _Peer(path)
            peer.train()
            calls["python-crfsuite"] = lambda: peer.tag(test)
        times = alternate(calls, min(options.repeat, 5))
        scale, note = 1e9 / data.tokens, source or ("" if len(calls) > 2 else NO_PEER)
        yield compare(times, "file to labels", "python-crfsuite", "ours", "ns", scale, note=note, bar=1 / 5)
        seconds = [1e9 / data.tokens * t for t in times["ids"]]
        yield Row("encoded tokens to labels", "ns", Measure.of(seconds), bar=1e9 / 3e6)


def quality(options: Options) -> Iterator[Row]:
    """F1 of chunks on the test set, mean of five seeds (CoNLL-2000 only), and the size of the model."""
    with tempfile.TemporaryDirectory() as folder:
        path, source = corpus(Path(folder), options)
        if source:
            return
        test = read_columns(path.with_name("test.txt"))
        crfsuite = partial(Templates, *CRFSUITE_CHUNKING, pad=False)
        for what, loss, encoder, least in (
            ("perceptron, CRFsuite's templates", "perceptron", crfsuite, 93.5),
            ("margin, CRFsuite's templates", "margin", crfsuite, 93.5),
            ("margin, own templates", "margin", partial(Templates, *CHUNKING), 93.9),
        ):
            scores = []
            for seed in range(SEEDS):
                labeler = _fit(path, loss, encoder(), seed)
                found = labeler.predict(test.select("w", "pos"))
                scores.append(100 * span_report(test.column("label"), found).f1)
            saved = Path(folder) / "model.npz"
            labeler.save(saved)
            spread = (
                f"mean {np.mean(scores):.2f} of {min(scores):.2f} to {max(scores):.2f}, at least {least} is asked for"
            )
            yield Row(
                f"100 − F1, {what}", "%", Measure.of([100 - float(np.mean(scores))]), bar=100 - least, note=spread
            )
            yield Row(f"model, {what}", "MB", Measure.of([saved.stat().st_size / 1e6]), bar=10.0)


def _fit(path: Path, loss: str = "perceptron", encoder: Encoder | None = None, seed: int = 0) -> SequenceLabeler:
    data: Columns = read_columns(path)
    encoder = encoder or Templates(*CRFSUITE_CHUNKING, pad=False)
    labeler = SequenceLabeler(loss, epochs=EPOCHS, encoder=encoder, random_state=seed, threads=1)
    return labeler.fit(data.select("w", "pos"), data.column("label"))


class _Encoded:
    """Training alone: `fit` learns from what the encoder made beforehand."""

    def __init__(self, path: Path):
        from factorgraph.labelers.sequence import learning

        data = read_columns(path)
        self.labeler = SequenceLabeler("perceptron", epochs=EPOCHS, encoder=Templates(*CRFSUITE_CHUNKING, pad=False))
        self.labeler._begin(None)
        self.tokens = self.labeler._tokens(data.select("w", "pos"), None, True)
        self.answers = self.labeler._answers(data.column("label"), self.tokens, None, None)
        self.labeler._shape(self.tokens, self.answers)
        self.fit = partial(learning.fit, self.labeler, self.tokens, self.answers, None, None)


class _Peer:
    """python-crfsuite, averaged perceptron; `train` on data that it was given beforehand."""

    def __init__(self, path: Path):
        self.path = path
        self.trainer = self._filled()
        self.model = ""

    def _filled(self) -> Any:
        import pycrfsuite

        trainer = pycrfsuite.Trainer("ap", verbose=False)
        trainer.set_params({"max_iterations": EPOCHS})
        for sequence in split(self.path):
            trainer.append(strings(sequence), [token[2] for token in sequence])
        return trainer

    def from_file(self) -> None:
        """All of it."""
        self.trainer = self._filled()
        self.train()

    def train(self) -> float:
        """Seconds."""
        begin = time.perf_counter()
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self.trainer.train(file.name)
        if self.model:
            Path(self.model).unlink()
        self.model = file.name
        return time.perf_counter() - begin

    def tag(self, path: Path) -> list[list[str]]:
        """File to labels."""
        import pycrfsuite

        tagger = pycrfsuite.Tagger()
        tagger.open(self.model)
        return [tagger.tag(strings(sequence)) for sequence in split(path)]


SECTIONS = (training, tagging, quality)
