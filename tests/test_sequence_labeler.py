"""SequenceLabeler: answers against enumeration, manners of an estimator, what it refuses, files."""

from __future__ import annotations

import itertools
import re
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

import factorgraph as fg
from factorgraph import Constraints, FactorGraphError, FormatError, SequenceLabeler
from factorgraph.labelers.encoding import Columns, Features

FEATURES = 3
LABELS = ["A", "B", "C"]
long = settings(max_examples=max(15, settings.default.max_examples // 10))


def toy(count: int = 40, seed: int = 0) -> tuple[list, list]:
    """Words whose labels depend on the word and on the label before it."""
    rng = np.random.default_rng(seed)
    X, y = [], []
    for _ in range(count):
        words = [f"w{i}" for i in rng.integers(0, 8, rng.integers(1, 9))]
        labels, before = [], "O"
        for word in words:
            kind = "X" if int(word[1:]) < 3 else "Y" if int(word[1:]) < 5 else None
            before = "O" if kind is None else f"I-{kind}" if before[2:] == kind else f"B-{kind}"
            labels.append(before)
        X.append(words)
        y.append(labels)
    return X, y


@cache
def fitted(loss: str = "margin", order: int = 1) -> SequenceLabeler:
    return SequenceLabeler(loss, order=order, epochs=5).fit(*toy())


@cache
def template(order: int, features: str) -> SequenceLabeler:
    X = [np.eye(FEATURES), np.ones((3, FEATURES))]
    return SequenceLabeler("perceptron", order=order, features=features, epochs=1).fit(X, [["A", "B", "C"], ["C"] * 3])


def random_labeler(seed: int, order: int, features: str = "all") -> SequenceLabeler:
    """Weights that are integers, so that sums are exact and ties occur."""
    rng = np.random.default_rng(seed)
    labeler = clone(template(order, features))
    labeler.__dict__.update(template(order, features).__dict__)
    labeler.parameters_ = {
        name: rng.integers(-6, 7, array.shape).astype(np.float32) for name, array in labeler.parameters_.items()
    }
    return labeler


def random_sequences(seed: int, longest: int = 4) -> list[np.ndarray]:
    rng = np.random.default_rng([seed, 1])
    return [rng.integers(0, 3, (n, FEATURES)).astype(float) for n in rng.integers(1, longest + 1, 3)]


def energies_of(labeler: SequenceLabeler, x: np.ndarray) -> dict[tuple[int, ...], float]:
    """Every labelling with its energy, by loops."""
    W, T = (labeler.chains_.dense(labeler.parameters_, name).toarray() for name in ("emit", "edge"))
    T, S = T.reshape(3, 3), np.zeros((3, 3, 3))
    if labeler.order == 2:
        S = labeler.parameters_["third"][0]
    out = {}
    for y in itertools.product(range(3), repeat=len(x)):
        energy = sum(x[t] @ W[:, y[t]] for t in range(len(x))) + sum(T[y[t - 1], y[t]] for t in range(1, len(x)))
        out[y] = float(energy + sum(S[y[t - 2], y[t - 1], y[t]] for t in range(2, len(x))))
    return out


def to_numbers(labels: list) -> tuple[int, ...]:
    return tuple(LABELS.index(label) for label in labels)


@long
@given(st.integers(0, 10**6), st.sampled_from([1, 2]), st.sampled_from(["all", "observed"]))
def test_answers_are_those_of_enumeration(seed: int, order: int, features: str) -> None:
    labeler, X = random_labeler(seed, order, features), random_sequences(seed)
    ranked, marginals, predicted = labeler.predict_k_best(X, 7), labeler.predict_marginals(X), labeler.predict(X)
    for x, best, five, p in zip(X, predicted, ranked, marginals):
        every = energies_of(labeler, x)
        expected = sorted(every.values())
        assert every[to_numbers(best)] == pytest.approx(expected[0], abs=1e-4)
        assert [e for _, e in five] == pytest.approx(expected[:7], abs=1e-4)
        assert [every[to_numbers(y)] for y, _ in five] == pytest.approx(expected[:7], abs=1e-4)
        assert len({tuple(y) for y, _ in five}) == len(five) == min(7, len(every))
        weight = {y: np.exp(expected[0] - e) for y, e in every.items()}
        total = sum(weight.values())
        twin = np.zeros_like(p)
        for y, w in weight.items():
            twin[np.arange(len(y)), y] += w / total
        np.testing.assert_allclose(p, twin, atol=2e-5)


@long
@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_constrained_answers_are_the_best_that_the_rules_permit(seed: int, order: int) -> None:
    labeler, X, rng = random_labeler(seed, order), random_sequences(seed), np.random.default_rng([seed, 2])
    forbidden = [(LABELS[a], LABELS[b]) for a, b in rng.integers(0, 3, (2, 2))]
    allowed = [[set(rng.choice(LABELS, rng.integers(1, 4), replace=False).tolist()) for _ in x] for x in X]
    rules = Constraints(forbidden=forbidden, first=["A", "B"], last=["C", "A"], allowed=allowed)
    for x, some in zip(X, allowed):
        one = Constraints(forbidden=forbidden, first=["A", "B"], last=["C", "A"], allowed=[some])
        permitted = {
            y: e
            for y, e in energies_of(labeler, x).items()
            if LABELS[y[0]] in "AB" and LABELS[y[-1]] in "CA" and all(LABELS[k] in s for k, s in zip(y, some))
            and not any((LABELS[a], LABELS[b]) in forbidden for a, b in zip(y, y[1:]))
        }  # fmt: skip
        if not permitted:
            with pytest.raises(FactorGraphError, match="no labels are left to sequence 0"):
                labeler.predict([x], constrain=one)
            with pytest.raises(FactorGraphError, match="no labels are left to sequence"):
                labeler.predict(X, constrain=rules)
            return
        found = labeler.predict([x], constrain=one)[0]
        assert permitted[to_numbers(found)] == pytest.approx(min(permitted.values()), abs=1e-4)
        ranked = labeler.predict_k_best([x], 100, constrain=one)[0]
        assert [e for _, e in ranked] == pytest.approx(sorted(permitted.values())[:100], abs=1e-4)
        weights = np.exp(-np.array(list(permitted.values())) + min(permitted.values()))
        twin = np.zeros((len(x), 3))
        for y, w in zip(permitted, weights / weights.sum()):
            twin[np.arange(len(y)), y] += w
        np.testing.assert_allclose(labeler.predict_marginals([x], constrain=one)[0], twin, atol=2e-5)


@long
@given(st.integers(0, 10**6), st.sampled_from([1, 2]))
def test_energies_of_known_and_partly_known_answers(seed: int, order: int) -> None:
    labeler, X, rng = random_labeler(seed, order), random_sequences(seed), np.random.default_rng([seed, 3])
    y = [[[None, "A", "B", {"A", "C"}, {"B"}][i] for i in rng.integers(0, 5, len(x))] for x in X]
    sets = [[set(LABELS) if k is None else k if isinstance(k, set) else {k} for k in each] for each in y]
    for x, some, found in zip(X, sets, labeler.energy(X, y)):
        fits = [e for z, e in energies_of(labeler, x).items() if all(LABELS[k] in s for k, s in zip(z, some))]
        assert found == pytest.approx(min(fits), abs=1e-4)


@pytest.mark.parametrize("loss", [fg.losses.Margin(), fg.losses.Perceptron(), fg.losses.NLL()])
def test_losses_of_partly_known_answers_go_over_what_is_possible(loss: fg.losses.Loss) -> None:
    labeler, X = random_labeler(4, 1), random_sequences(4)
    tokens = labeler._tokens(X, None, False)
    y = [[{"A", "C"}] * len(X[0]), [None] + ["B"] * (len(X[1]) - 1), ["C"] * len(X[2])]
    from factorgraph.labelers.sequence.data import as_answers

    declared = labeler.chains_.model().declare(tokens)
    known = declared.read_answers(as_answers(y, labeler.classes_))
    energies = declared.graph.energies({name: a.astype(np.float64) for name, a in labeler.parameters_.items()})
    value, _ = loss(declared.compile(), energies, known)
    total = 0.0
    for x, labels in zip(X, y):
        every = energies_of(labeler, x)
        sets = [set(LABELS) if k is None else k if isinstance(k, set) else {k} for k in labels]
        fits = {z: e for z, e in every.items() if all(LABELS[k] in s for k, s in zip(z, sets))}
        cost = {z: sum(len(s) == 1 and LABELS[k] not in s for k, s in zip(z, sets)) for z in every}
        if isinstance(loss, fg.losses.NLL):
            total += np.log(sum(np.exp(-e) for e in every.values())) - np.log(sum(np.exp(-e) for e in fits.values()))
        else:
            margin = isinstance(loss, fg.losses.Margin)
            total += min(fits.values()) - min(e - margin * cost[z] for z, e in every.items())
    assert value == pytest.approx(total, abs=1e-3)


def test_it_learns_from_partly_known_labels() -> None:
    X, y = toy(200)
    rng = np.random.default_rng(0)
    hidden = [[None if r < 0.3 else {k, "O"} if r < 0.4 else k for k, r in zip(z, rng.random(len(z)))] for z in y]
    for loss in ("margin", "nll"):
        labeler = SequenceLabeler(loss, epochs=10, batch=8).fit(X[:150], hidden[:150])
        assert labeler.score(X[150:], y[150:]) > 0.9
        assert set(labeler.classes_) == {k for z in y for k in z}


@pytest.mark.parametrize("loss", ["margin", "perceptron", "nll", fg.losses.SoftmaxMargin()])
@pytest.mark.parametrize("order", [1, 2])
def test_it_learns(loss: object, order: int) -> None:
    X, y = toy(60)
    labeler = SequenceLabeler(loss, order=order, epochs=8, batch=1 if order == 1 else 16).fit(X, y)
    assert labeler.score(*toy(20, 1)) > 0.97
    assert labeler.history_["loss"][-1] < labeler.history_["loss"][0]


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad", "adam", "pa", "pegasos", fg.optim.SGD(0.5)])
def test_optimizers(optimizer: object) -> None:
    labeler = SequenceLabeler("margin", optimizer, epochs=6, batch=4).fit(*toy())
    assert labeler.score(*toy(20, 1)) > 0.9


def test_every_kind_of_tokens_gives_the_same_model() -> None:
    """Words as lists of features, dicts, arrays, sparse matrices, one matrix with lengths."""
    words, y = toy(30)
    names = sorted({word for each in words for word in each})
    lists = [[[word] for word in each] for each in words]
    dicts = [[{word: True} for word in each] for each in words]
    arrays = [np.array([[float(word == name) for name in names] for word in each]) for each in words]
    sparse = [csr_array(each) for each in arrays]
    whole, lengths = np.concatenate(arrays), [len(each) for each in words]
    flat = [label for each in y for label in each]
    expected = SequenceLabeler(epochs=3).fit(lists, y).predict(lists)
    assert SequenceLabeler(epochs=3).fit(dicts, y).predict(dicts) == expected
    assert SequenceLabeler(epochs=3).fit(sparse, y).predict(arrays) == SequenceLabeler(epochs=3).fit(arrays, y).predict(
        sparse
    )
    one = SequenceLabeler(epochs=3).fit(whole, flat, lengths=lengths)
    assert one.predict(csr_array(whole), lengths=lengths) == SequenceLabeler(epochs=3).fit(arrays, y).predict(arrays)
    columns = Columns.from_columns({"w": words})
    settings_ = {"templates": ["w[0]", "w[-1]"], "epochs": 3}
    tuples = [[(word,) for word in each] for each in words]
    assert (
        SequenceLabeler(**settings_).fit(columns, y).predict(columns)
        == SequenceLabeler(columns=["w"], **settings_).fit(tuples, y).predict(tuples)
        == SequenceLabeler(**settings_).fit(words, y).predict(words)
    )


def test_labels_of_any_kind() -> None:
    X, y = toy(20)
    index = {k: i for i, k in enumerate(sorted({k for z in y for k in z}))}
    numbers = [[index[k] for k in z] for z in y]
    labeler = SequenceLabeler(epochs=3).fit(X, numbers)
    assert labeler.predict(X[:2]) == [[index[k] for k in z] for z in SequenceLabeler(epochs=3).fit(X, y).predict(X[:2])]
    assert labeler.classes_.dtype.kind == "i" and isinstance(labeler.predict(X)[0][0], int)
    assert SequenceLabeler(epochs=3).fit(X, [np.array(z) for z in y]).predict(X) == SequenceLabeler(epochs=3).fit(
        X, y
    ).predict(X)


def test_weights_of_sequences_count_as_repeats_do() -> None:
    X, y = toy(12)
    weights = np.array([0, 1, 2, 3] * 3, float)
    rows = np.repeat(np.arange(12), weights.astype(int))
    settings_ = {"loss": "nll", "l2": 0.01 / weights.sum() * 12, "epochs": 60}
    once = SequenceLabeler(**settings_ | {"l2": 0.01}, features="all").fit(X, y, sample_weight=weights / weights.mean())
    often = SequenceLabeler(**settings_ | {"l2": 0.01}, features="all").fit([X[i] for i in rows], [y[i] for i in rows])
    one, two = (
        dict(zip(map(labeler.encoder_.name, range(labeler.n_features_)), labeler.parameters_["emit"]))
        for labeler in (once, often)
    )
    for name in two:
        np.testing.assert_allclose(one[name], two[name], atol=0.02)


def test_weights_of_labels_are_costs() -> None:
    X, y = toy(80)
    noisy = [["O" if k == "B-X" and i % 2 else k for k in z] for i, z in enumerate(y)]
    found = {}
    for weight in (0.05, 20.0):
        labeler = SequenceLabeler(epochs=5, class_weight={"B-X": weight}).fit(X, noisy)
        found[weight] = sum(k == "B-X" for z in labeler.predict(X) for k in z)
    assert found[0.05] < found[20.0]
    SequenceLabeler(epochs=1, class_weight="balanced").fit(X, y)
    with pytest.raises(FactorGraphError, match="class_weight: expected a loss with costs"):
        SequenceLabeler("perceptron", class_weight={"B-X": 2.0}).fit(X, y)
    with pytest.raises(FactorGraphError, match="class_weight: expected labels among"):
        SequenceLabeler(class_weight={"Q": 2.0}).fit(X, y)


def test_partial_fit_of_everything_is_an_epoch_and_averages_go_on() -> None:
    X, y = toy(30)
    labeler = SequenceLabeler()
    scores = [labeler.partial_fit(X, y).score(X, y) for _ in range(4)]
    assert scores[-1] > 0.95 and scores[-1] >= scores[0]
    assert labeler.run_.state["step"] == 4 * 30
    whole = SequenceLabeler(epochs=4).fit(X, y)  # the same steps in the same order
    assert all(np.array_equal(labeler.parameters_[name], whole.parameters_[name]) for name in whole.parameters_)
    parts = SequenceLabeler(encoder=Features(hash_bits=10))
    lists = [[[word] for word in each] for each in X]
    for i in range(0, 30, 5):
        parts.partial_fit(lists[i : i + 5], y[i : i + 5], classes=sorted({k for z in y for k in z}))
    assert parts.score(lists, y) > 0.6
    edges = parts.parameters_["edge"].copy()
    parts.partial_fit([[["w1"]], [["w2"]]], [["B-X"], ["B-X"]])  # no transitions in these
    assert parts.predict([[["w1"]]]) == [["B-X"]] and parts.parameters_["edge"].shape == edges.shape
    parts.partial_fit(lists, y)
    with pytest.raises(FactorGraphError, match=r"y\[0\].*'new'"):
        parts.partial_fit(lists[:1], [["new"] * len(lists[0])])
    with pytest.raises(FactorGraphError, match="partial_fit: expected an optimizer that makes updates"):
        SequenceLabeler("nll", "lbfgs").partial_fit(X, y)


def test_warm_start_goes_on_from_the_weights() -> None:
    X, y = toy(30)
    labeler = SequenceLabeler("nll", epochs=2, warm_start=True)
    first = labeler.fit(X, y).history_["loss"]
    again = labeler.fit(X, y).history_["loss"]
    assert again[-1] < first[-1]
    labeler.warm_start = False
    np.testing.assert_allclose(labeler.fit(X, y).history_["loss"], first)


def test_early_stopping_keeps_the_best_epoch() -> None:
    X, y = toy(60)
    labeler = SequenceLabeler(early_stopping=True, epochs=30, patience=2, validation_fraction=0.3).fit(X, y)
    assert len(labeler.history_) == labeler.best_epoch_ + 2 < 30
    assert labeler.validation_score_ > 0.9


def test_scikit_learn_manners() -> None:
    X, y = toy(60)
    labeler = SequenceLabeler(epochs=3, loss=fg.losses.Margin(scale=3.0))
    copy = clone(labeler)
    assert copy.get_params() == labeler.get_params() and copy is not labeler
    assert repr(SequenceLabeler(epochs=3)) == "SequenceLabeler(epochs=3)"
    assert "SequenceLabeler" in labeler._repr_html_()
    before = labeler.get_params()
    assert labeler.fit(X, y) is labeler and labeler.get_params() == before
    with pytest.raises(NotFittedError):
        check_is_fitted(copy)
    check_is_fitted(labeler)
    assert cross_val_score(SequenceLabeler(epochs=3), X, y, cv=3).min() > 0.8
    pipe = make_pipeline(FunctionTransformer(lambda X: [[word.upper() for word in each] for each in X]), labeler)
    assert pipe.fit(X, y).score(X, y) > 0.9


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.check)])
def test_grid_search(jobs: int) -> None:
    X, y = toy(40)
    grid = {"epochs": [1, 4], "loss": ["margin", "perceptron"]}
    search = GridSearchCV(SequenceLabeler(), grid, cv=2, n_jobs=jobs, scoring=lambda e, X, y: e.report(X, y).f1)
    search.fit(X, y)
    assert search.best_score_ > 0.8 and search.predict(X[:1])[0] == y[0]


def test_same_seed_same_model_whatever_the_threads() -> None:
    X, y = toy(40)
    one, two = (SequenceLabeler(loss, epochs=3, threads=t).fit(X, y) for loss, t in (("nll", 1), ("nll", 2)))
    assert all(np.array_equal(one.parameters_[name], two.parameters_[name]) for name in one.parameters_)
    other = SequenceLabeler(epochs=3, random_state=1).fit(X, y)
    assert not np.array_equal(other.parameters_["emit"], SequenceLabeler(epochs=3).fit(X, y).parameters_["emit"])


@pytest.mark.parametrize("scheme", ["iob2", "iob1", "iobes"])
def test_a_constrained_answer_never_breaks_its_scheme(scheme: str) -> None:
    labels = ["O", *(f"{p}-{k}" for p in ("BIES" if scheme == "iobes" else "BI") for k in ("X", "Y-Z"))]
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(n, 4)) for n in rng.integers(1, 30, 60)]
    y = [[labels[i] for i in rng.integers(0, len(labels), len(x))] for x in X]
    labeler = SequenceLabeler(epochs=1).fit(X, y)
    valid = {"iob1": valid_iob1, "iob2": valid_iob2, "iobes": valid_iobes}[scheme]
    assert not all(valid(each) for each in labeler.predict(X))
    assert all(valid(each) for each in labeler.predict(X, constrain=scheme))
    for ranked in labeler.predict_k_best(X[:5], 5, constrain=scheme):
        assert all(valid(each) for each, _ in ranked)


def valid_iob2(labels: list[str]) -> bool:
    return all(k[0] != "I" or before in (f"B{k[1:]}", k) for before, k in zip(["O", *labels], labels))


def valid_iob1(labels: list[str]) -> bool:
    return all(k[0] != "B" or before in (f"I{k[1:]}", k) for before, k in zip(["O", *labels], labels))


def valid_iobes(labels: list[str]) -> bool:
    text = " ".join(labels) + " "
    return re.fullmatch(r"(O |S-\S+ |B-(\S+) (I-\2 )*E-\2 )*", text) is not None


def test_training_under_rules_refuses_answers_that_break_them() -> None:
    X, y = toy(20)
    labeler = SequenceLabeler(constrain="iob2", epochs=3, batch=4).fit(X, y)
    assert all(valid_iob2(each) for each in labeler.predict(X))
    broken = [["I-X"] * len(z) if i == 7 else z for i, z in enumerate(y)]
    with pytest.raises(FactorGraphError, match=r"y\[7\]\[0\]: .* got 'I-X' at the beginning"):
        SequenceLabeler(constrain="iob2", epochs=1).fit(X, broken)


@pytest.mark.parametrize("order", [1, 2])
def test_explanations_add_up(order: int) -> None:
    labeler, X = random_labeler(5, order), random_sequences(9, 6)
    for x in X:
        found = labeler.explain(x)
        (best, low), (second, high) = labeler.predict_k_best([x], 2)[0]
        assert found.labels == best and found.against == second
        assert found.gap == pytest.approx(high - low, abs=1e-4) == pytest.approx(sum(t.amount for t in found.terms))
        other = ["C"] * len(x)
        gap = labeler.energy([x], [other])[0] - labeler.energy([x], [best])[0]
        assert labeler.explain(x, other).gap == pytest.approx(gap, abs=1e-4)
        assert str(found).startswith(f"{found.gap:.4f} better than")


def test_top_features_are_the_strongest() -> None:
    labeler = random_labeler(6, 1)
    weights = labeler.top_features(5)
    largest = sorted((abs(w) for a in labeler.parameters_.values() for w in a.ravel()), reverse=True)
    assert [abs(each.energy) for each in weights] == largest[:5]
    for each in labeler.top_features(100, "B"):
        assert each.labels[-1] == "B"
        if each.feature is not None:
            f = int(each.feature.split()[-1])
            assert labeler.parameters_["emit"][f, 1] == each.energy
    with pytest.raises(FactorGraphError, match="top_features: expected one of the labels"):
        labeler.top_features(3, "Q")


@pytest.mark.parametrize(("loss", "order"), [("margin", 1), ("nll", 1), ("margin", 2)])
def test_saved_and_loaded(tmp_path, loss: str, order: int) -> None:
    X, _ = toy(20, 3)
    labeler = fitted(loss, order)
    labeler.save(tmp_path / "model.npz")
    loaded = SequenceLabeler.load(tmp_path / "model.npz")
    assert loaded.predict(X) == labeler.predict(X) and loaded.order == order
    for one, two in zip(loaded.predict_marginals(X), labeler.predict_marginals(X)):
        np.testing.assert_array_equal(one, two)
    assert loaded.columns_ == ("w",) and loaded.classes_.tolist() == labeler.classes_.tolist()
    assert loaded.partial_fit(*toy(5)).score(*toy()) > 0.5


def test_a_file_that_was_changed_is_refused(tmp_path) -> None:
    path = tmp_path / "model.npz"
    fitted().save(path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for n in (0, 10, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:n])
        with pytest.raises(FormatError, match=re.escape(str(path))):
            SequenceLabeler.load(path)
    for at in rng.integers(0, len(good), 40).tolist():
        path.write_bytes(good[:at] + bytes([good[at] ^ int(rng.integers(1, 256))]) + good[at + 1 :])
        try:
            assert SequenceLabeler.load(path).predict([["w1"]]) == fitted().predict([["w1"]])  # bytes that say nothing
        except FormatError:
            pass
    fg.learn.checkpoint.save(path, "training", {}, {}, {})
    with pytest.raises(FormatError, match="expected a file of kind 'sequence labeler'; got 'training'"):
        SequenceLabeler.load(path)
    fg.learn.checkpoint.save(path, "sequence labeler", {}, {"order": 1}, {})
    with pytest.raises(FormatError, match="is no sequence labeler"):
        SequenceLabeler.load(path)
    with pytest.raises(NotFittedError):
        SequenceLabeler().save(path)


def test_unknown_features_are_counted_and_unseen_labels_are_wrong() -> None:
    labeler = fitted()
    assert labeler.encode([["w1"]]).unknown == 0 < labeler.encode([["never"]]).unknown
    assert labeler.score([["w7"]], [["Q"]]) == 0.0 and labeler.score([["w7", "w7"]], [["O", None]]) == 1.0
    with pytest.raises(FactorGraphError, match=r"y\[0\]\[0\]: expected one of the labels.*got 'Q'"):
        labeler.energy([["w7"]], [["Q"]])


def test_empty_sequences_have_empty_answers() -> None:
    labeler = fitted()
    assert labeler.predict([]) == [] and labeler.predict([[], ["w1"], []])[::2] == [[], []]
    assert [a.shape for a in labeler.predict_marginals([[], ["w1"], []])] == [(0, 5), (1, 5), (0, 5)]
    assert labeler.predict_k_best([[]], 3) == [[([], 0.0)]] and labeler.energy([[]], [[]]).tolist() == [0.0]
    assert labeler.predict([[]], constrain="iob2") == [[]]


def test_long_data_in_pieces(monkeypatch) -> None:
    from factorgraph.labelers.sequence import chains

    X, _ = toy(30, 5)
    X[3], X[17] = [], []
    labeler = fitted()
    rules = Constraints(allowed=[[{"O", "B-X"}] * len(x) for x in X])
    asked = [labeler.predict, lambda X: labeler.predict(X, constrain=rules), lambda X: labeler.predict_k_best(X, 2)]
    whole = [ask(X) for ask in asked]
    energies = labeler.energy(X, whole[0])
    monkeypatch.setattr(chains.Tokens.pieces, "__defaults__", (7,))
    assert [ask(X) for ask in asked] == whole
    np.testing.assert_allclose(labeler.energy(X, whole[0]), energies)


WRONG = [
    (dict(X=[["a"], ["b"]], y=[["x"]]), "y: expected labels of 2 sequences, as many as in X; got 1"),
    (dict(X=[["a"], ["b"]], y=[["x"], ["x", "y"]]), r"y\[1\]: expected 1 labels, as many as X\[1\] has tokens; got 2"),
    (dict(X=[["a"], []], y=[["x"], []]), r"X\[1\]: expected at least one token; got an empty sequence"),
    (dict(X=[["a"]], y=["x"]), r"y\[0\]: expected a list of labels, one for each token; got 'x'"),
    (dict(X=["abc"], y=[["x", "y", "z"]]), r"X\[0\]: expected a sequence of tokens; got str"),
    (dict(X="abc", y=[["x"]]), "X: expected a list of sequences of tokens; got str"),
    (dict(X=[[{"a": 1}, ["b"]]], y=[["x", "y"]]), r"X\[0\]\[1\]: expected a dict of features as of the first token"),
    (dict(X=[[["b"]], [{"a": 1}]], y=[["x"], ["y"]]), r"X\[1\]\[0\]: expected a list of features as of the first"),
    (dict(X=[[{"a": np.nan}]], y=[["x"]]), "nan"),
    (dict(X=[np.array([[1.0, np.nan]])], y=[["x"]]), "nan"),
    (dict(X=[["a"]], y=[[None]]), "y: expected some known labels; got none"),
    (dict(X=[["a", "b"]], y=[["x", set()]]), r"y\[0\]\[1\]: expected at least one label in the set"),
    (dict(X=[["a", "b"]], y=[["x", 1]]), "y: expected labels of one kind, which can be sorted; got int, str"),
]


@pytest.mark.parametrize(("given_", "message"), WRONG)
def test_wrong_data_is_named(given_: dict, message: str) -> None:
    with pytest.raises(FactorGraphError, match=message):
        SequenceLabeler().fit(given_["X"], given_["y"])


SETTINGS = [
    (dict(loss="hinge"), "loss: expected one of 'margin', 'nll', 'perceptron' or an object"),
    (dict(optimizer="newton"), "optimizer: expected one of 'adagrad'"),
    (dict(order=3), "expected order to be one of '1', '2'; got 3"),
    (dict(features="some"), "expected features to be one of"),
    (dict(epochs=0), "expected epochs to be None or an int ≥ 1; got 0"),
    (dict(batch=0), "expected batch to be an int, at least 1; got 0"),
    (dict(l2=-1), "expected l2 to be a finite number ≥ 0; got -1"),
    (dict(optimizer="pa", l2=0.1), "l2: expected 0 beside optimizer 'pa', which takes none"),
    (dict(constrain="bio"), "constrain: expected a scheme among 'iob1', 'iob2', 'iobes'; got 'bio'"),
    (dict(constrain=[("x", "q")]), "constrain: expected labels among 'x', 'y'; got 'q'"),
    (dict(templates=["v[0]"]), "columns 'w'; got 'v'"),
    (dict(early_stopping=True, validation_fraction=1.5), "expected validation_fraction between 0 and 1"),
]


@pytest.mark.parametrize(("given_", "message"), SETTINGS)
def test_wrong_settings_are_named(given_: dict, message: str) -> None:
    with pytest.raises(FactorGraphError, match=message):
        SequenceLabeler(**given_).fit([["a", "b"]], [["x", "y"]])


def test_what_is_not_fitted_says_so() -> None:
    for ask in (SequenceLabeler().predict, SequenceLabeler().predict_marginals, SequenceLabeler().encode):
        with pytest.raises(NotFittedError, match=r"Call fit\(X, y\) first"):
            ask([["a"]])
    with pytest.raises(FactorGraphError, match=r"sample_weight: expected 1 finite weights"):
        SequenceLabeler().fit([["a"]], [["x"]], sample_weight=[1.0, 2.0])


def test_labels_that_are_ids_are_refused_before_anything_is_allocated() -> None:
    X = [[f"w{i}" for i in range(40_000)]]
    with pytest.raises(FactorGraphError, match="are .* weights, .* GiB with their averages; expected at most 4"):
        SequenceLabeler(templates=["w[0]"]).fit(X, [list(range(40_000))])


def test_cross_val_predict_of_ragged_answers() -> None:
    """scikit-learn's own stacks predictions into one array, which sequences of unequal lengths do not fit into."""
    X, y = toy(20)
    with pytest.raises(ValueError):
        cross_val_predict(SequenceLabeler(epochs=1), X, y, cv=2)


def test_weighted_sequences_keep_the_certificate() -> None:
    X, y = toy(12)
    labeler = SequenceLabeler(loss="nll", l2=0.1).fit(X, y, sample_weight=[1.0, 2.0] * 6)
    assert 0 <= labeler.history_["gap"][-1] <= 1e-5 * labeler.history_["objective"][-1]


def test_marginals_under_rules_that_leave_nothing_are_refused() -> None:
    labeler = SequenceLabeler(loss="nll").fit([["a", "b"]], [["A", "B"]])
    rules = Constraints(forbidden=[(a, b) for a in "AB" for b in "AB"])
    with pytest.raises(FactorGraphError, match="constrain: no labels are left to sequence 1"):
        labeler.predict_marginals([["a"], ["a", "b"]], constrain=rules)
