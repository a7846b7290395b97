"""The baseline: cut first, recognise afterwards.

A line of W columns is taken to hold L = round(W / pitch) characters, pitch being the mean of the training lines, and
is cut where the ink is light and the pieces are even. With v_j the ink of the two columns beside a cut before column j,

    cuts = argmin over 0 = c_0 < ... < c_L = W  of  sum_k v_{c_k} + stiffness (c_k - c_{k-1} - W/L)^2,

found exactly by dynamic programming. A classifier then names each piece. It sees the same features as the recogniser
of a segmentation graph, and in training even the true spans of the characters, which that one is never shown; what it
lacks is a way to let recognition change the segmentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from factorgraph.datasets import Line
from factorgraph.errors import FactorGraphError
from factorgraph.labelers.handwriting import MIN_WIDTH, Image, check_image, segment_features
from factorgraph.labelers.segmentation import Ints

#: Ink that one column (squared) of uneven width is worth. Chosen by the true boundaries hit on training lines.
STIFFNESS = 0.5


class FixedSegmentation:
    """Reads a line by cutting it once, then naming each piece with a neural network (one hidden layer).

    hidden:   units of the hidden layer.
    epochs:   passes over the training characters.
    own_cuts: train the classifier on the pieces that its own cutter makes of the training lines when told their
              lengths, instead of the true spans. Those are the pieces it will meet, so it errs less.
    seed:     of the classifier's starting weights and order of examples.

    After `fit`: pitch_, mean columns per character; classifier_, the fitted scikit-learn MLPClassifier.
    """

    def __init__(self, hidden: int = 96, epochs: int = 15, own_cuts: bool = False, seed: int = 0) -> None:
        self.hidden = hidden
        self.epochs = epochs
        self.own_cuts = own_cuts
        self.seed = seed

    def fit(self, lines: Sequence[Line]) -> FixedSegmentation:
        """Learn the pitch and the classifier. Raises FactorGraphError when there are no lines or one is unusable."""
        from sklearn.neural_network import MLPClassifier
        from threadpoolctl import threadpool_limits

        if len(lines) == 0:
            raise FactorGraphError(
                "FixedSegmentation.fit: expected at least one line; got none. digit_lines().train has 5,000."
            )
        images = [check_image(line.image, f"FixedSegmentation.fit: line {i}") for i, line in enumerate(lines)]
        spans = [line.spans for line in lines]
        if self.own_cuts:
            spans = [_pieces(_even_cuts(image, len(line.digits))) for image, line in zip(images, lines, strict=True)]
        features = np.concatenate([segment_features(image, s) for image, s in zip(images, spans, strict=True)])
        digits = np.concatenate([line.digits for line in lines])
        self.pitch_ = sum(image.shape[1] for image in images) / len(digits)
        self.classifier_: Any = MLPClassifier(
            (self.hidden,), batch_size=min(128, len(digits)), learning_rate_init=3e-3, random_state=self.seed
        )
        with threadpool_limits(1):  # such small products are slower on several threads
            for _ in range(self.epochs):
                self.classifier_.partial_fit(features, digits, classes=np.arange(10))
        return self

    def cuts(self, image: ArrayLike) -> Ints:
        """The cuts chosen for a line image (8, W): (L+1,) columns from 0 to W. Raises as `predict` does."""
        self._check_fitted("cuts")
        return self._cuts(check_image(image, "FixedSegmentation.cuts"))

    def predict(self, images: Sequence[ArrayLike]) -> list[Ints]:
        """The digits read from each line image (8, W): one (L,) int64 array each.

        Raises FactorGraphError before `fit`, and for an image that cannot be read (see `handwriting.segment`).
        """
        self._check_fitted("predict")
        inks = [check_image(image, f"FixedSegmentation.predict: image {i}") for i, image in enumerate(images)]
        if len(inks) == 0:
            return []
        spans = [_pieces(self._cuts(ink)) for ink in inks]
        features = [segment_features(ink, s) for ink, s in zip(inks, spans, strict=True)]
        digits: Ints = self.classifier_.predict(np.concatenate(features))
        return np.split(digits, np.cumsum([len(s) for s in spans])[:-1])

    def _cuts(self, ink: Image) -> Ints:
        return _even_cuts(ink, max(1, round(ink.shape[1] / self.pitch_)))

    def _check_fitted(self, method: str) -> None:
        if not hasattr(self, "classifier_"):
            raise FactorGraphError(
                f"FixedSegmentation.{method}: expected a fitted reader; got one that has seen no line. "
                "Call fit(lines) first."
            )


def _pieces(cuts: Ints) -> Ints:
    return np.stack([cuts[:-1], cuts[1:]], axis=1)


def _even_cuts(ink: Image, length: int) -> Ints:
    """The `length` + 1 cuts of least cost (module equation); fewer where the pieces would be under MIN_WIDTH."""
    width = ink.shape[1]
    length = min(length, width // MIN_WIDTH)
    column = ink.sum(axis=0)
    light = np.zeros(width + 1)  # [j] is v_j; the ends of the line cost nothing
    light[1:-1] = column[:-1] + column[1:]
    j = np.arange(width + 1)
    piece = j - j[:, None]  # [i, j]: width of the piece from i to j
    step = light + np.where(piece >= MIN_WIDTH, STIFFNESS * (piece - width / length) ** 2, np.inf)
    cost = np.where(j == 0, 0, np.inf)  # of the best way to have the latest cut at j
    origins = []
    for _ in range(length):
        total = cost[:, None] + step
        origins.append(total.argmin(axis=0))
        cost = total.min(axis=0)
    cuts = [width]
    for origin in reversed(origins):
        cuts.append(int(origin[cuts[-1]]))
    return np.array(cuts[::-1])
