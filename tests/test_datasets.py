"""The generator of digit lines is pinned: what is measured on them stays comparable."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from factorgraph.datasets import DigitLines, digit_lines, ocr_words
from factorgraph.errors import FactorGraphError

CHECKSUM = "06d318d6afff3575ae0bd50cebad7eaa0b5c303bf6304024a59ef5e8d50c5562"


@pytest.fixture(scope="module")
def lines() -> DigitLines:
    return digit_lines()


def test_lines_of_seed_0_are_pinned(lines: DigitLines) -> None:
    digest = hashlib.sha256()
    for line in lines.train + lines.test:
        digest.update(line.image.astype("<f4").tobytes())
        digest.update(line.digits.astype("<i8").tobytes())
    assert (len(lines.train), len(lines.test)) == (5000, 1000)
    assert digest.hexdigest() == CHECKSUM


def test_no_digit_image_is_in_both_halves(lines: DigitLines) -> None:
    train, test = lines.train_digits, lines.test_digits
    assert (len(train.labels), len(test.labels)) == (1200, 597)
    assert set(train.source.tolist()).isdisjoint(test.source.tolist())
    assert sorted([*train.source, *test.source]) == list(range(1797))
    assert not np.array_equal(train.source, np.sort(train.source))


def test_every_line_is_the_maximum_of_its_digits(lines: DigitLines) -> None:
    for half, digits in ((lines.train[:300], lines.train_digits), (lines.test[:300], lines.test_digits)):
        crops: dict[int, list[np.ndarray]] = {digit: [] for digit in range(10)}
        for picture, label in zip(digits.images, digits.labels, strict=True):
            inked = np.flatnonzero(picture.max(axis=0) > 0.12)
            crops[int(label)].append(picture[:, inked[0] : inked[-1] + 1])
        for line in half:
            assert line.image.dtype == np.float32 and line.digits.dtype == line.spans.dtype == np.int64
            assert 3 <= len(line.digits) <= 6 and line.spans.shape == (len(line.digits), 2)
            assert set(line.spans[1:, 0] - line.spans[:-1, 1]) <= {-1, 0, 1}
            assert line.spans[0, 0] == 1 and line.spans[-1, 1] == line.image.shape[1] - 1
            assert not line.image[:, [0, -1]].any() and 0 <= line.image.min() <= line.image.max() <= 1
            for digit, (start, end) in zip(line.digits, line.spans, strict=True):
                # A neighbour may have darkened one column at each side, never lightened it.
                inner = slice(1, end - start - 1)
                here = line.image[:, start:end]
                assert any(
                    c.shape == here.shape and (c <= here).all() and np.array_equal(c[:, inner], here[:, inner])
                    for c in crops[int(digit)]
                )


def test_ordered_lines_are_tested_on_the_last_images() -> None:
    lines = digit_lines(train=20, test=20, ordered=True)
    np.testing.assert_array_equal(lines.train_digits.source, np.arange(1200))
    np.testing.assert_array_equal(lines.test_digits.source, np.arange(1200, 1797))


def test_varied_digits_are_like_those_they_vary() -> None:
    same, varied = digit_lines(train=50, test=50), digit_lines(train=50, test=50, vary=0.1)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(same.test, varied.test))
    for line in varied.train:
        assert line.image.dtype == np.float32 and 0 <= line.image.min() and line.image.max() <= 1
        assert line.spans[0, 0] == 1 and line.spans[-1, 1] == line.image.shape[1] - 1
    ink = [np.mean([line.image.mean() for line in each.train]) for each in (same, varied)]
    assert 0.75 < ink[1] / ink[0] < 1  # interpolated: a little lighter
    again = digit_lines(train=10, test=0, vary=0.1)
    assert all(np.array_equal(a.image, b.image) for a, b in zip(again.train, varied.train))


def test_one_seed_drives_everything_and_more_lines_begin_with_fewer(lines: DigitLines) -> None:
    few, other = digit_lines(train=20, test=10), digit_lines(train=20, test=10, seed=1)
    for half in ("train", "test"):
        for a, b in zip(getattr(few, half), getattr(lines, half), strict=False):
            assert np.array_equal(a.image, b.image) and np.array_equal(a.digits, b.digits)
    assert not np.array_equal(other.train_digits.source, few.train_digits.source)
    assert [a.digits.tolist() for a in other.train] != [a.digits.tolist() for a in few.train]
    assert digit_lines(train=0, test=0).train == []


@pytest.mark.parametrize("arguments", [{"train": -1}, {"test": 2.5}, {"seed": -3}, {"seed": None}])
def test_bad_numbers_are_refused(arguments: dict[str, object]) -> None:
    (name,) = arguments
    with pytest.raises(FactorGraphError, match=f"digit_lines: expected {name} to be a non-negative integer; got"):
        digit_lines(**arguments)  # type: ignore[arg-type]
    with pytest.raises(FactorGraphError, match="digit_lines: expected vary to be a number from 0 to 1; got -0.1"):
        digit_lines(vary=-0.1)


@pytest.mark.data
def test_ocr_words(data_dir: Path) -> None:
    words = ocr_words(data_dir / "ocr" / "letter.data.gz")
    assert len(words.pixels) == len(words.labels) == len(words.folds) == 6877
    assert sum(map(len, words.labels)) == 52152 and np.bincount(words.folds).size == 10
    assert all(x.shape == (len(y), 128) and set(np.unique(x)) <= {0, 1} for x, y in zip(words.pixels, words.labels))
    X, Y = words.of([1])
    assert len(X) == len(Y) == (words.folds == 1).sum()
    assert "".join(chr(ord("a") + k) for k in words.labels[0]) == "ommanding"


def test_ocr_words_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACTORGRAPH_DATA", raising=False)
    with pytest.raises(FactorGraphError, match="ocr_words: expected a path, or the environment variable"):
        ocr_words()
    (tmp_path / "letter.data").write_text("1 o 2 1 1 0 0 1")
    with pytest.raises(FactorGraphError, match="ocr_words: expected .*letter.data to have rows of a number"):
        ocr_words(tmp_path / "letter.data")
