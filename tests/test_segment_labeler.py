"""SegmentLabeler: what it answers is what the lattice of each input says, and it learns where segments end."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp
from sklearn.base import clone

import factorgraph as fg
from factorgraph import Acceptor, Segmentation, SegmentLabeler, losses
from factorgraph.datasets import digit_lines

LETTERS = "abc"


def cutter(x: np.ndarray) -> Segmentation:
    """Any boundary of a sequence (T, D); segments of one to three steps, seen as their mean and length."""
    pairs = [(i, j) for i in range(len(x)) for j in range(i + 1, min(i + 3, len(x)) + 1)]
    start, end = np.array(pairs).T
    seen = [np.append(x[i:j].mean(0), j - i) for i, j in pairs]
    return Segmentation(10 * np.arange(len(x) + 1), start, end, np.array(seen))


def sequences(count: int, seed: int = 0, noise: float = 0.3) -> tuple[list[np.ndarray], list[str], list[np.ndarray]]:
    """Letters of two or three steps around a centre of their own, with noise; strings; and true ends of letters."""
    rng = np.random.default_rng(seed)
    X, y, ends = [], [], []
    for _ in range(count):
        letters = rng.integers(3, size=rng.integers(1, 5))
        steps = rng.integers(2, 4, size=letters.size)
        letters[1:][letters[1:] == letters[:-1]] = 0  # mostly different neighbours: equal ones hide their boundary
        X.append(np.repeat(2 * np.eye(3)[letters], steps, axis=0) + rng.normal(0, noise, (steps.sum(), 3)))
        y.append("".join(LETTERS[k] for k in letters))
        ends.append(10 * np.cumsum(steps))
    return X, y, ends


def labeler(**settings: Any) -> SegmentLabeler:
    plain: dict[str, Any] = {"cutter": cutter, "recogniser": "linear", "epochs": 8, "batch_size": 8}
    return SegmentLabeler(**(plain | {"optimizer": fg.optim.Adam(0.1, schedule="linear")} | settings))


@pytest.fixture(scope="module")
def fitted() -> SegmentLabeler:
    X, y, _ = sequences(60)
    return labeler(bigram=True).fit(X, y)


def enumerate_paths(m: SegmentLabeler, x: np.ndarray) -> list[tuple[str, list[int], float]]:
    """(string, arcs, energy) of all paths of one input, from the learned parameters by hand."""
    line = cutter(x)
    weights, links = m.parameters_["recogniser"], m.parameters_["bigram"][0]
    energies = np.column_stack([line.features, np.ones(len(line.start))]) @ weights
    found: list[tuple[str, list[int], float]] = []

    def walk(node: int, labels: list[int], arcs: list[int], energy: float) -> None:
        if node == len(x):
            found.append(("".join(LETTERS[k] for k in labels), arcs, energy))
            return
        for a in np.flatnonzero(line.start == node):
            for k in range(3):
                link = links[labels[-1], k] if labels else 0.0
                walk(int(line.end[a]), [*labels, k], [*arcs, int(a)], energy + energies[a, k] + link)

    walk(0, [], [], 0.0)
    return found


# What it answers -------------------------------------------------------------------------------------------------


def test_answers_are_those_of_enumeration(fitted: SegmentLabeler) -> None:
    X, _, _ = sequences(12, seed=5, noise=1.0)
    X = [x[:5] for x in X]
    grammar = Acceptor.lexicon(["ab", "abc", "ca", "c"], symbols="cab")  # an order of its own
    ruled = clone(fitted)
    ruled.__dict__ |= {k: v for k, v in vars(fitted).items() if k.endswith("_")}
    ruled.grammar = grammar
    for m, allowed in ((fitted, lambda s: True), (ruled, grammar.accepts)):
        answers = m.predict(X), m.predict_k_best(X, 4), m.predict_marginals(X)
        for x, string, ranked, chances in zip(X, *answers):
            paths = [p for p in enumerate_paths(m, x) if allowed(p[0])]
            best: dict[str, float] = {}
            for s, _, e in paths:
                best[s] = min(e, best.get(s, np.inf))
            order = sorted(best.items(), key=lambda each: each[1])[:4]
            assert string == order[0][0] and [s for s, _ in ranked] == [s for s, _ in order]
            np.testing.assert_allclose([e for _, e in ranked], [e for _, e in order])
            total, expected = logsumexp([-e for *_, e in paths]), np.zeros_like(chances)
            for s, arcs, e in paths:
                expected[arcs, [LETTERS.index(k) for k in s]] += np.exp(-e - total)
            np.testing.assert_allclose(chances, expected, atol=1e-9)
            (spans,) = m.align([x], [string])
            _, arcs, _ = min((p for p in paths if p[0] == string), key=lambda each: each[2])
            np.testing.assert_array_equal(spans, cutter(x).spans[arcs])


def test_it_finds_boundaries_that_it_was_never_shown(fitted: SegmentLabeler) -> None:
    X, y, ends = sequences(40, seed=1)
    assert fitted.score(X, y) > 0.85 and fitted.character_error(X, y) < 0.1
    found = fitted.align(X, y)
    assert np.mean([spans[:, 1].tolist() == true.tolist() for spans, true in zip(found, ends)]) > 0.6
    for spans, string in zip(found, y):
        assert spans.shape == (len(string), 2) and (spans[1:, 0] == spans[:-1, 1]).all()


@pytest.mark.parametrize("loss", ["nll", "perceptron", "hinge", "margin", losses.Log()])
def test_every_loss_of_strings_learns(loss: Any) -> None:
    X, y, _ = sequences(60)
    assert labeler(loss=loss).fit(X, y).score(*sequences(30, seed=2)[:2]) > 0.7


def test_a_grammar_halves_the_errors() -> None:
    X, y, _ = sequences(400, seed=3, noise=0.9)
    values = {"a": 0, "b": 1, "c": 2}
    grammar = Acceptor.check_digit(3, (1, 2), values=values)
    chosen = [i for i, string in enumerate(y) if grammar.accepts(string)]
    X, y = [X[i] for i in chosen], [y[i] for i in chosen]
    m = labeler().fit(*sequences(80, seed=4, noise=0.9)[:2])
    free = 1 - m.score(X, y)
    m.grammar = grammar
    assert 0.1 < free and 1 - m.score(X, y) <= 0.5 * free
    assert all(grammar.accepts(string) for string in m.predict(X))
    m.grammar = Acceptor.lexicon(set(y))
    assert 1 - m.score(X, y) < free


# Manners ---------------------------------------------------------------------------------------------------------


def test_symbols_may_be_anything_that_sorts(fitted: SegmentLabeler) -> None:
    X, y, _ = sequences(20)
    words = [["phone " + k for k in string] for string in y]
    m = labeler(epochs=4).fit(X, words)
    read = m.predict(X)
    assert m.classes_.tolist() == ["phone a", "phone b", "phone c"] and isinstance(read[0], tuple)
    numbers = labeler(epochs=4).fit(X, [[4 + LETTERS.index(k) for k in string] for string in y])
    assert [tuple("phone " + LETTERS[k - 4] for k in s) for s in numbers.predict(X)] == read
    assert isinstance(fitted.predict(X[:1])[0], str)


def test_a_seed_sets_everything_and_fit_changes_no_argument() -> None:
    X, y, _ = sequences(20)
    m = labeler(recogniser="mlp", hidden=4, epochs=2)
    before = m.get_params()
    first = m.fit(X, y).parameters_
    again = clone(m).fit(m.cut(X), y).parameters_
    assert m.get_params() == before and all((first[name] == again[name]).all() for name in first)
    own = clone(m).set_params(recogniser=lambda f: fg.MLP(f, "own", hidden=4)).fit(X, y)
    assert {name.partition(".")[0] for name in own.parameters_} == {"own"}


def test_features_replace_those_of_the_cutter() -> None:
    X, y, _ = sequences(20)
    seen = labeler(features=lambda x, spans: np.diff(spans, axis=1) / 10.0, epochs=0).fit(X, y)
    assert seen.parameters_["recogniser"].shape == (2, 3)
    np.testing.assert_array_equal(seen.cut(X)[0].features[:3, 0], [1, 2, 3])


def test_strings_that_no_path_spells_are_reported_and_left_out() -> None:
    X, y, _ = sequences(20)
    y[3], y[7] = "abcabcabcabcabcabc", "a" * 17
    with pytest.warns(
        UserWarning, match=r"2 of 20 strings are spelled by no path and are left out \(the first is y\[3\]"
    ):
        m = labeler(epochs=1).fit(X, y)
    assert np.flatnonzero(~m.reachable_).tolist() == [3, 7]
    assert np.flatnonzero(~m.reachable(X[:2], [y[0], "xyz"])).tolist() == [1]
    kept = [i for i in range(20) if i not in (3, 7)]
    without = labeler(epochs=1).fit([X[i] for i in kept], [y[i] for i in kept])
    assert (m.parameters_["recogniser"] == without.parameters_["recogniser"]).all()
    assert m.align(X[3:4], y[3:4])[0].shape == (0, 2)
    assert not labeler().reachable([X[3]], [""])[0]


def test_lengths_are_those_of_all_paths() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        pairs = [p for p in itertools.combinations(range(6), 2) if rng.random() < 0.6] + [(0, 5)]
        start, end = np.array(pairs).T
        found = {0: {0}}
        for node in range(6):
            for a in np.flatnonzero(end == node):
                found.setdefault(node, set()).update(n + 1 for n in found.get(int(start[a]), ()))
        lengths = Segmentation(np.arange(6), start, end).lengths
        assert set(np.flatnonzero(lengths).tolist()) == found[5]


def test_files_give_the_same_answers(fitted: SegmentLabeler, tmp_path: Path) -> None:
    X, _, _ = sequences(10, seed=6)
    path = tmp_path / "reader.npz"
    fitted.save(path)
    loaded = SegmentLabeler.load(path, cutter=cutter)
    assert loaded.predict_k_best(X, 2) == fitted.predict_k_best(X, 2)
    with pytest.raises(fg.FactorGraphError, match="load: expected 'cutter', as the labeler that was saved had them"):
        SegmentLabeler.load(path)
    ruled = SegmentLabeler.load(path, cutter=cutter, grammar=Acceptor.lexicon(["ab", "ba"], symbols="bca"))
    ruled.save(path)
    assert set(SegmentLabeler.load(path, cutter=cutter).predict(X)) <= {"ab", "ba", ""}
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(fg.FormatError):
        SegmentLabeler.load(path, cutter=cutter)
    assert [each.name for each in tmp_path.iterdir()] == ["reader.npz"]


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda m, X, y: m.predict(X), "predict: expected a fitted labeler"),
        (
            lambda m, X, y: m.fit(X, y[:2]),
            "fit: expected one string for each of at least one input; got 3 inputs and 2",
        ),
        (lambda m, X, y: m.fit([], []), "fit: expected one string for each of at least one input; got 0 inputs"),
        (lambda m, X, y: m.set_params(loss="mse").fit(X, y), "expected loss 'energy', 'hinge'.*; got 'mse'"),
        (lambda m, X, y: m.set_params(recogniser="cnn").fit(X, y), "expected recogniser 'mlp', 'linear'.*; got 'cnn'"),
        (
            lambda m, X, y: m.set_params(features=lambda x, s: np.zeros(3)).fit(X, y),
            r"X\[0\]: expected features of shape",
        ),
        (lambda m, X, y: m.fit(X, y).align(X, ["az", "b", "c"]), "unknown symbol 'z'"),
        (lambda m, X, y: SegmentLabeler().fit(X, y), r"X\[0\]: segment: expected"),
        (lambda m, X, y: m.set_params(latent="sum", loss="hinge").fit(X, y), "NP-hard"),
    ],
)
def test_mistakes_are_explained(run: Any, message: str) -> None:
    X, y, _ = sequences(3)
    with pytest.raises(fg.FactorGraphError, match=message):
        run(labeler(epochs=0), X, y)


# Handwriting -----------------------------------------------------------------------------------------------------


def test_a_check_digit_halves_the_errors_of_handwriting() -> None:
    lines = digit_lines(train=400, test=600)
    images, strings = ([line.image for line in lines.train], [line.digits for line in lines.train])
    grammar = Acceptor.check_digit(10, (1, 3))
    tests = [line for line in lines.test if grammar.accepts(line.digits.tolist())]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        m = SegmentLabeler(epochs=4, batch_size=4, optimizer=fg.optim.Adam(1e-2, schedule="linear")).fit(
            images, strings
        )
    X, y = [line.image for line in tests], [line.digits for line in tests]
    free = 1 - m.score(X, y)
    m.grammar = grammar
    assert len(tests) > 40 and 0.15 < free and 1 - m.score(X, y) <= 0.5 * free
