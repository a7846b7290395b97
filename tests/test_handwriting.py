"""Candidate cuts, segmentation graphs, their features, the fixed-segmentation baseline and the error measures."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factorgraph.datasets import DigitLines, digit_lines
from factorgraph.errors import FactorGraphError
from factorgraph.labelers.fixed import STIFFNESS, FixedSegmentation, _even_cuts
from factorgraph.labelers.handwriting import (
    FEATURES,
    candidate_arcs,
    candidate_cuts,
    segment,
    segment_features,
)
from factorgraph.labelers.metrics import character_error, edit_distance, string_error
from factorgraph.labelers.segmentation import Segmentation


@pytest.fixture(scope="module")
def lines() -> DigitLines:
    return digit_lines(train=1500, test=300)


def path_lengths(graph: Segmentation) -> set[int]:
    """How many arcs a path from the left to the right edge can have."""
    lengths: list[set[int]] = [{0}] + [set() for _ in graph.cuts[1:]]
    for start, end in zip(graph.start, graph.end, strict=True):
        lengths[end] |= {n + 1 for n in lengths[start]}
    return lengths[-1]


def random_image(rng: np.random.Generator) -> np.ndarray:
    """Random ink with random blank gaps, some of them wide."""
    image = rng.integers(0, 17, (8, int(rng.integers(2, 60)))) / 16
    for _ in range(int(rng.integers(0, 4))):
        start = int(rng.integers(image.shape[1]))
        image[:, start : start + int(rng.integers(1, 25))] = 0
    return image * (rng.random(image.shape[1]) < rng.choice([0.3, 1.0]))


# Segmentation graphs -----------------------------------------------------------------------------------------------


def test_true_boundaries_are_cut_and_every_string_can_be_read(lines: DigitLines) -> None:
    found = boundaries = arcs = unreadable = 0
    for line in lines.test:
        graph = segment(line.image)
        gaps = np.sort(np.stack([line.spans[:-1, 1], line.spans[1:, 0]], axis=1), axis=1)
        found += sum(bool(((graph.cuts >= low) & (graph.cuts <= high)).any()) for low, high in gaps)
        boundaries += len(gaps)
        arcs += len(graph.start)
        unreadable += len(line.digits) not in path_lengths(graph)
    assert found / boundaries > 0.985
    assert unreadable == 0
    assert arcs / len(lines.test) < 60


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_any_inked_image_becomes_a_connected_sorted_graph(seed: int) -> None:
    image = random_image(np.random.default_rng(seed))
    if image.max() <= 0.12:
        return
    graph = segment(image)
    assert graph.cuts[0] == 0 and graph.cuts[-1] == image.shape[1] and (np.diff(graph.cuts) > 0).all()
    assert path_lengths(graph)
    arcs = list(zip(graph.start.tolist(), graph.end.tolist(), strict=True))
    assert arcs == sorted(set(arcs)) == naive_arcs(image, graph.cuts)
    assert graph.features.shape == (len(arcs), FEATURES) and graph.features.dtype == np.float32
    assert np.array_equal(graph.features, naive_features(image, graph.spans))


def naive_arcs(image: np.ndarray, cuts: np.ndarray) -> list[tuple[int, int]]:
    arcs = []
    for i, j in combinations(range(len(cuts)), 2):
        inked = np.flatnonzero(image[:, cuts[i] : cuts[j]].max(axis=0) > 0.12)
        if cuts[j] - cuts[i] >= 2 and len(inked) and inked[-1] - inked[0] < 10:
            arcs.append((i, j))
    return arcs


def naive_features(image: np.ndarray, spans: np.ndarray) -> np.ndarray:
    rows = []
    for start, end in spans:
        piece = image[:, start:end].astype(np.float32)
        inked = np.flatnonzero(piece.max(axis=0) > 0.12)
        ink = piece[:, inked[0] : inked[-1] + 1]
        width = ink.shape[1]
        picture = np.zeros((8, 8), np.float32)
        if width <= 8:
            picture[:, (8 - width) // 2 : (8 - width) // 2 + width] = ink
        else:
            for k in range(8):
                whole, part = divmod(k * (width - 1) / 7, 1)
                part = np.float32(part)
                after = ink[:, min(int(whole) + 1, width - 1)]
                picture[:, k] = ink[:, int(whole)] * (1 - part) + after * part
        rows.append([*picture.ravel(), width / 8, min(end - start, 11) / 8, (width / 8) ** 2])
    return np.array(rows, np.float32)


def test_the_parts_agree_with_the_whole(lines: DigitLines) -> None:
    image = lines.test[0].image
    graph = segment(image)
    assert np.array_equal(candidate_cuts(image), graph.cuts)
    for ours, theirs in zip(candidate_arcs(graph.cuts, image), (graph.start, graph.end), strict=True):
        assert np.array_equal(ours, theirs)
    assert np.array_equal(segment_features(image, graph.spans), graph.features)
    assert segment_features(image, np.empty((0, 2), int)).shape == (0, FEATURES)


def test_blank_margins_and_gaps_do_not_multiply_cuts(lines: DigitLines) -> None:
    image = lines.test[0].image
    blank = np.zeros((8, 40), np.float32)
    spaced = np.concatenate([blank, image, blank, image, blank], axis=1)
    assert len(candidate_cuts(spaced)) == 2 * len(candidate_cuts(image)) - 1
    assert np.array_equal(segment(spaced).features[:, :65], np.tile(segment(image).features[:, :65], (2, 1)))


# Unusable input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.ones(8), r"expected one image of 8 rows and W columns, of numbers; got shape \(8,\), float64. Scale"),
        (np.ones((8, 20, 3)), r"got shape \(8, 20, 3\), float64. Scale the line to 8 rows and drop colour channels"),
        (np.ones((28, 60)), r"got shape \(28, 60\)"),
        (np.full((8, 20), "x"), "of numbers; got shape"),
        (np.ones((8, 0)), "expected an image at least 2 columns wide; got 0"),
        (np.ones((8, 1)), "expected an image at least 2 columns wide; got 1. Pass the whole line"),
        (np.full((8, 20), np.nan), r"expected ink from 0 \(paper\) to 1; got values from nan to nan. Replace missing"),
        (np.full((8, 20), 16), r"got values from 16.0 to 16.0.*divide by the largest possible value"),
        (np.full((8, 20), -0.5), "got values from -0.5"),
        (np.zeros((8, 20)), r"expected some pixel darker than 0.12; the darkest is 0.0. The line is blank"),
    ],
)
def test_unusable_images_are_refused(image: np.ndarray, text: str) -> None:
    with pytest.raises(FactorGraphError, match=f"^segment: .*{text}"):
        segment(image)
    with pytest.raises(FactorGraphError, match="^candidate_cuts: "):
        candidate_cuts(image)
    with pytest.raises(FactorGraphError, match="^candidate_arcs: "):
        candidate_arcs([0, 2], image)
    with pytest.raises(FactorGraphError, match="^segment_features: "):
        segment_features(image, [[0, 2]])


def test_cuts_and_spans_outside_the_image_are_refused() -> None:
    image = np.ones((8, 20))
    for cuts in ([0, 5, 5, 20], [0, 21], [-1, 20], [0.0, 20.0], [[0, 20]]):
        with pytest.raises(FactorGraphError, match=r"candidate_arcs: expected cuts to be increasing .* 0\.\.20; got"):
            candidate_arcs(cuts, image)
    for spans in ([0, 5], [[0, 5, 9]], [[5, 5]], [[0, 21]], [[-1, 3]], [[0.0, 3.0]]):
        with pytest.raises(FactorGraphError, match=r"segment_features: expected spans of shape \(arcs, 2\)"):
            segment_features(image, spans)


# The baseline ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own_cuts", [False, True])
def test_the_baseline_reads_most_digits(lines: DigitLines, own_cuts: bool) -> None:
    reader = FixedSegmentation(epochs=12, own_cuts=own_cuts).fit(lines.train)
    images, truth = [line.image for line in lines.test], [line.digits for line in lines.test]
    read = reader.predict(images)
    assert string_error(truth, read) < 0.55
    assert character_error(truth, read) < 0.2
    for image, digits in zip(images, read, strict=True):
        assert len(reader.cuts(image)) == len(digits) + 1
    assert reader.predict([]) == []


def test_even_cuts_are_the_cheapest_of_all(lines: DigitLines) -> None:
    width = 22

    def cost(cuts: tuple[int, ...]) -> float:
        pieces = np.diff(cuts)
        if pieces.min() < 2:
            return np.inf
        even = ((pieces - width / len(pieces)) ** 2).sum()
        return float(sum(column[j - 1] + column[j] for j in cuts[1:-1]) + STIFFNESS * even)

    for line in lines.test[:3]:
        column = line.image[:, :width].sum(axis=0)
        for length in (1, 2, 3, 4):
            cuts = tuple(_even_cuts(line.image[:, :width], length).tolist())
            every = ((0, *inner, width) for inner in combinations(range(1, width), length - 1))
            assert cuts[0] == 0 and cuts[-1] == width and len(cuts) == length + 1
            assert cost(cuts) == pytest.approx(min(map(cost, every)))
    assert _even_cuts(np.ones((8, 5), np.float32), 4).tolist() in ([0, 2, 5], [0, 3, 5])


def test_the_baseline_says_what_is_wrong(lines: DigitLines) -> None:
    with pytest.raises(FactorGraphError, match="FixedSegmentation.fit: expected at least one line; got none"):
        FixedSegmentation().fit([])
    with pytest.raises(FactorGraphError, match=r"FixedSegmentation.predict: expected a fitted reader.*Call fit"):
        FixedSegmentation().predict([lines.test[0].image])
    with pytest.raises(FactorGraphError, match="FixedSegmentation.predict: image 1: expected some pixel darker"):
        FixedSegmentation(epochs=1).fit(lines.train[:20]).predict([lines.test[0].image, np.zeros((8, 9))])


# Error measures ----------------------------------------------------------------------------------------------------


def naive_distance(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    substitution = naive_distance(a[1:], b[1:]) + (a[0] != b[0])
    return min(substitution, naive_distance(a[1:], b) + 1, naive_distance(a, b[1:]) + 1)


strings = st.lists(st.integers(0, 2), max_size=5)


@settings(max_examples=200, deadline=None)
@given(strings, strings, strings)
def test_edit_distance_equals_its_definition_and_is_a_metric(a: list[int], b: list[int], c: list[int]) -> None:
    distance = edit_distance(a, b)
    assert distance == naive_distance(a, b) == edit_distance(b, a) == edit_distance(np.array(a), tuple(b))
    assert (distance == 0) == (a == b)
    assert edit_distance(a, c) <= distance + edit_distance(b, c)


def test_errors_count_strings_and_characters() -> None:
    truth = [np.array([3, 1, 7]), np.array([4, 2]), np.array([5])]
    read = [np.array([3, 1, 7]), np.array([4]), np.array([9, 9, 9])]
    assert string_error(truth, read) == pytest.approx(2 / 3)
    assert character_error(truth, read) == pytest.approx((0 + 1 + 3) / 6)
    assert string_error(["a", ""], ["a", ""]) == 0


def test_errors_of_unequal_or_empty_lists_are_refused() -> None:
    for measure in (string_error, character_error):
        with pytest.raises(FactorGraphError, match=r"_error: expected one predicted string .* got 2 true and 1 pred"):
            measure(["a", "b"], ["a"])
        with pytest.raises(FactorGraphError, match="got 0 true and 0 predicted"):
            measure([], [])
    with pytest.raises(FactorGraphError, match="character_error: expected at least one symbol in the true strings"):
        character_error(["", ""], ["a", ""])
