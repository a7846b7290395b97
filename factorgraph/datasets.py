"""Real data sets: lines of touching handwritten digits, which come with the dependencies, and words of handwritten
letters, which a user has (`ocr_words`).

`digit_lines` puts the 1,797 scanned digits of scikit-learn's `load_digits` (UCI "Optical Recognition of Handwritten
Digits", 8x8 pixels, 17 grey levels) side by side so that neighbours touch or overlap:

    image[:, x_k : x_k + w_k] = max(image[:, x_k : x_k + w_k], digit_k),    x_{k+1} = x_k + w_k + gap_k

where digit_k is cropped to the columns that hold ink and gap_k is -1, 0 or 1 columns. Where a digit ends is known
here (`Line.spans`), but a reader of such lines is meant to learn it from the strings alone.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from factorgraph.errors import FactorGraphError

#: A column holds ink when its darkest pixel is above this.
INK = 0.12
#: Number of digit images that training lines are made of; test lines are made of the others.
TRAIN_DIGITS = 1200
#: Digits per line: at least, at most.
LENGTHS = (3, 6)
#: Columns between neighbouring digits: at least, at most. Negative means overlap.
GAPS = (-1, 1)
#: Blank columns left and right of a line.
MARGIN = 1


@dataclass(frozen=True)
class Line:
    """One line of touching digits.

    image:  (8, W) float32, ink from 0 (paper) to 1.
    digits: (L,) int64, the string written, 0..9.
    spans:  (L, 2) int64, columns: digit k was put at image[:, spans[k, 0]:spans[k, 1]].
    """

    image: NDArray[np.float32]
    digits: NDArray[np.int64]
    spans: NDArray[np.int64]


@dataclass(frozen=True)
class Digits:
    """Single digit images.

    images: (N, 8, 8) float32, ink from 0 to 1.
    labels: (N,) int64, the digit written, 0..9.
    source: (N,) int64, the image's number in scikit-learn's `load_digits`.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]
    source: NDArray[np.int64]


@dataclass(frozen=True)
class DigitLines:
    """Lines for training and testing, and the single digits that each of the two is made of (no image is in both)."""

    train: list[Line]
    test: list[Line]
    train_digits: Digits
    test_digits: Digits


def digit_lines(
    train: int = 5000, test: int = 1000, seed: int = 0, ordered: bool = False, vary: float = 0.0
) -> DigitLines:
    """Lines of 3 to 6 touching handwritten digits, for training and for testing.

    The digit images are split 1,200 / 597 by a permutation before any line is made. Everything random follows from
    `seed`; fewer lines of the same seed are the first of more lines.

    train, test: number of lines of each kind. ordered: test on the last 597 images as they lie in the file instead,
    which are probably by other hands. vary: by how much each digit of a training line is changed, as if written anew:
    sheared, turned, stretched, shifted and darkened by random amounts of this size; 0.1 is much.
    Raises FactorGraphError when a number is negative, or not an integer where it must be.

    >>> lines = digit_lines(train=2, test=1)
    >>> [line.digits.tolist() for line in lines.train]
    [[8, 7, 7, 2, 6], [8, 2, 9, 8, 7, 3]]
    >>> lines.train[0].image.shape, lines.train[0].spans.tolist()
    ((8, 32), [[1, 7], [6, 12], [12, 17], [17, 24], [25, 31]])
    """
    for name, value in (("train", train), ("test", test), ("seed", seed)):
        if not isinstance(value, (int, np.integer)) or value < 0:
            raise FactorGraphError(
                f"digit_lines: expected {name} to be a non-negative integer; got {value!r}. "
                "train and test are numbers of lines; seed chooses the split and the lines."
            )
    if not 0 <= vary <= 1:
        raise FactorGraphError(f"digit_lines: expected vary to be a number from 0 to 1; got {vary!r}. Try 0.1.")
    for_split, for_train, for_test = (np.random.default_rng(s) for s in np.random.SeedSequence(int(seed)).spawn(3))
    digits = _load()
    order = np.arange(len(digits.labels)) if ordered else for_split.permutation(len(digits.labels))
    train_digits, test_digits = _take(digits, order[:TRAIN_DIGITS]), _take(digits, order[TRAIN_DIGITS:])
    return DigitLines(
        train=_write(train_digits, train, for_train, vary),
        test=_write(test_digits, test, for_test, 0.0),
        train_digits=train_digits,
        test_digits=test_digits,
    )


def _load() -> Digits:
    from sklearn.datasets import load_digits

    data = load_digits()
    labels = np.asarray(data.target, np.int64)
    return Digits(np.asarray(data.images / 16, np.float32), labels, np.arange(len(labels)))


def _take(digits: Digits, chosen: NDArray[np.int64]) -> Digits:
    return Digits(digits.images[chosen], digits.labels[chosen], digits.source[chosen])


def _write(digits: Digits, count: int, rng: np.random.Generator, vary: float) -> list[Line]:
    """`count` lines of digits drawn with replacement."""
    cropped = [_crop(image) for image in digits.images]
    lines = []
    for _ in range(count):
        length = rng.integers(LENGTHS[0], LENGTHS[1] + 1)
        chosen = rng.integers(len(cropped), size=length)
        gaps = rng.integers(GAPS[0], GAPS[1] + 1, size=length - 1)
        pieces = [_varied(digits.images[k], vary, rng) if vary else cropped[k] for k in chosen]
        image, spans = _join(pieces, gaps)
        lines.append(Line(image, digits.labels[chosen], spans))
    return lines


def _varied(image: NDArray[np.float32], vary: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """The digit written anew, cropped: x ↦ A x + t about its middle, with A near 1 and t near 0, and other ink."""
    from scipy.ndimage import affine_transform

    shear, turn, *shift = vary * rng.normal(size=4)
    high, wide, dark = np.exp(0.5 * vary * rng.normal(size=3))
    wider = np.pad(image, ((0, 0), (2, 2)))
    middle = (np.array(wider.shape) - 1) / 2
    linear = np.array([[high, 0.5 * turn], [shear, wide]])
    offset = middle - linear @ middle + 1.5 * np.array(shift)
    changed = np.clip(dark * affine_transform(wider, linear, offset, order=1), 0, 1)
    return _crop(changed if changed.max() > INK else image)


def _crop(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The columns from the first to the last that holds ink."""
    inked = np.flatnonzero(image.max(axis=0) > INK)
    return image[:, inked[0] : inked[-1] + 1]


def _join(
    pieces: Sequence[NDArray[np.float32]], gaps: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The line image and the spans (L, 2) of its pieces."""
    widths = np.array([piece.shape[1] for piece in pieces])
    left = MARGIN + np.concatenate([[0], np.cumsum(widths[:-1] + gaps)])
    spans = np.stack([left, left + widths], axis=1)
    image = np.zeros((pieces[0].shape[0], spans[:, 1].max() + MARGIN), np.float32)
    for piece, (start, end) in zip(pieces, spans, strict=True):
        np.maximum(image[:, start:end], piece, out=image[:, start:end])
    return image, spans


@dataclass(frozen=True)
class Words:
    """Words of handwritten letters.

    pixels: one (L, 128) float32 array a word, 16 rows of 8 pixels a letter, 0 or 1. labels: (L,) int64 each, 0 for "a".
    folds: (words,) int64, from 0 to 9.
    """

    pixels: list[NDArray[np.float32]]
    labels: list[NDArray[np.int64]]
    folds: NDArray[np.int64]

    def of(self, folds: Sequence[int]) -> tuple[list[NDArray[np.float32]], list[NDArray[np.int64]]]:
        """Pixels and labels of the words in some folds."""
        chosen = np.flatnonzero(np.isin(self.folds, folds)).tolist()
        return [self.pixels[i] for i in chosen], [self.labels[i] for i in chosen]


def ocr_words(path: str | os.PathLike[str] | None = None) -> Words:
    """The OCR letters of Kassel (MIT Spoken Language Systems) as Taskar, Guestrin and Koller (2003) divided them: 6,877
    words of 52,152 letters.

    path: of `letter.data` or `letter.data.gz`; None looks for ocr/letter.data.gz in the folder FACTORGRAPH_DATA names.
    Raises FactorGraphError when no path is known, or the file is not of that form.
    """
    if path is None:
        if not os.environ.get("FACTORGRAPH_DATA"):
            raise FactorGraphError(
                "ocr_words: expected a path, or the environment variable FACTORGRAPH_DATA to name the folder of real "
                "data; got neither. The file is letter.data.gz of the OCR set"
            )
        path = os.path.join(os.environ["FACTORGRAPH_DATA"], "ocr", "letter.data.gz")
    opened = gzip.open(path, "rt") if os.fspath(path).endswith(".gz") else open(path, encoding="ascii")
    with opened as file:
        rows = [line.split() for line in file]
    try:
        if any(len(row) != 134 for row in rows):
            raise ValueError("a row of another length")
        kind = np.array([[ord(row[1]) - ord("a"), int(row[2]), int(row[5])] for row in rows], np.int64)
        values = np.array(["".join(row[6:134]) for row in rows], "S128").view(np.uint8).reshape(-1, 128) - ord("0")
    except (ValueError, IndexError, TypeError) as error:
        raise FactorGraphError(
            f"ocr_words: expected {os.fspath(path)} to have rows of a number, a letter, next, word, position, fold and "
            f"128 pixels; got something else ({error})"
        ) from error
    ends = np.flatnonzero(kind[:, 1] < 0) + 1  # the last letter of a word has no next one
    starts = [0, *ends[:-1].tolist()]
    pixels = np.asarray(values, np.float32)
    spans = list(zip(starts, ends.tolist()))
    return Words([pixels[a:b] for a, b in spans], [kind[a:b, 0] for a, b in spans], kind[starts, 2])
