"""What labelers, their commands and what lies beside them say to those who hold them wrongly."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import factorgraph as fg
from factorgraph import FactorGraphError, FormatError, SegmentLabeler, SequenceLabeler
from factorgraph.cli import main
from factorgraph.datasets import digit_lines
from factorgraph.interop import LossFunction

PAIRS = [[("the", "DT"), ("cat", "NN"), ("sat", "VBD")], [("a", "DT"), ("dog", "NN"), ("saw", "VBD"), ("it", "PRP")]]
WORDS = [[word for word, _ in sequence] for sequence in PAIRS]
Y = [["B-NP", "I-NP", "O"], ["B-NP", "I-NP", "O", "B-NP"]]


def test_tuples_of_strings_go_through_templates_of_their_columns() -> None:
    labeler = SequenceLabeler(columns=["w", "pos"]).fit(PAIRS, Y)
    assert any(weight.feature and "pos[-1]" in weight.feature for weight in labeler.top_features(1000))
    with pytest.raises(FactorGraphError, match="tuples of 2 strings"):
        labeler.predict([[("the", "DT", "x")]])
    with pytest.raises(FactorGraphError, match=r"X: expected tokens that are tuples of w, pos"):
        labeler.predict(WORDS)
    with pytest.raises(FactorGraphError, match=r"columns: expected names of the strings"):
        SequenceLabeler().fit(PAIRS, Y)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"templates": "w[0]"}, "templates to be None or a list"),
        ({"columns": 5}, "columns to be None or a list"),
        ({"encoder": 3}, "encoder to be None or one"),
        ({"validation_fraction": "a"}, "validation_fraction between 0 and 1"),
    ],
)
def test_settings_of_the_wrong_kind(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(FactorGraphError, match=words):
        SequenceLabeler(**settings).fit(WORDS, Y)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([["a"], ["b"], ["c"]], r"y\[0\]\[0\]: expected a label such as"),
        ([0.0, float("nan"), 1.0], "got NaN. None stands for"),
    ],
)
def test_labels_that_are_none(labels: list[Any], words: str) -> None:
    with pytest.raises(FactorGraphError, match=words):
        SequenceLabeler().fit(WORDS[:1], [labels])


def test_labels_beyond_classes_that_repeat() -> None:
    with pytest.raises(FactorGraphError, match=r"y\[0\]: expected labels among 'B-NP', 'O'"):
        SequenceLabeler().partial_fit(WORDS, Y, classes=["O", "O", "B-NP", "B-NP"])


@pytest.mark.parametrize(
    ("labels", "constrain", "words"),
    [
        (["O", "I-NP", "O"], "iob2", r"y\[0\]\[1\]: .*got 'I-NP' after 'O'"),
        (["I-NP", "O", "O"], "iob2", r"y\[0\]\[0\]: .*got 'I-NP' at the beginning"),
        (["O", "O", "B-NP"], fg.Constraints(last=["O"]), r"y\[0\]\[2\]: .*got 'B-NP' at the end"),
    ],
)
def test_labels_that_the_rules_forbid_are_named(labels: list[str], constrain: Any, words: str) -> None:
    with pytest.raises(FactorGraphError, match=words):
        SequenceLabeler(constrain=constrain).fit(WORDS[:1], [labels])
    with pytest.raises(FactorGraphError, match=words):
        SequenceLabeler(constrain=constrain).partial_fit(WORDS[:1], [labels])


@pytest.mark.parametrize(
    "rules", [{"forbidden": 3}, {"forbidden": ["ab"]}, {"first": 3}, {"last": "O"}, {"allowed": 3}]
)
def test_constraints_of_the_wrong_kind(rules: dict[str, Any]) -> None:
    with pytest.raises(FactorGraphError, match="expected"):
        fg.Constraints(**rules)


def test_questions_of_the_wrong_kind() -> None:
    labeler = SequenceLabeler().fit(WORDS, Y)
    for n in (-1, 1.5, "a"):
        with pytest.raises(FactorGraphError, match="top_features: expected n"):
            labeler.top_features(n)  # type: ignore[arg-type]
    conflict = fg.Constraints("iob2", allowed=[["O", "I-NP", "O"], None])
    with pytest.raises(FactorGraphError, match="no labels are left to sequence 0"):
        labeler.predict_marginals(WORDS, constrain=conflict)
    with pytest.raises(FactorGraphError, match=r"constrain\.allowed\[0\]\[0\]: expected one of the labels"):
        labeler.predict(WORDS, constrain=fg.Constraints(allowed=[[["O"], None, None], None]))


def test_models_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "junk.npz").write_bytes(b"junk")
    for kind in (SequenceLabeler, SegmentLabeler):
        for name, words in (("none.npz", "no such file"), ("", "a folder"), ("junk.npz", "unreadable")):
            with pytest.raises(FormatError, match=f"^model .*{words}") as caught:
                kind.load(tmp_path / name)
            assert "Delete" not in str(caught.value)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, train = tmp_path / "m.npz", tmp_path / "train.txt"
    train.write_text("\ufeffthe DT B-NP\ncat NN I-NP\n\nsat VBD O\n", "utf-8")
    assert main(["train", str(train), "--model", str(model), "--quiet"]) == 0
    bare, packed, broken = tmp_path / "bare.txt", tmp_path / "t.txt.gz", tmp_path / "b.txt.gz"
    bare.write_text("the DT\n")
    packed.write_bytes(gzip.compress(train.read_bytes()))
    broken.write_bytes(packed.read_bytes()[:-12])
    assert main(["tag", str(model), str(packed)]) == 0
    assert capsys.readouterr().out == "the DT B-NP B-NP\ncat NN I-NP I-NP\n\nsat VBD O O\n\n"
    assert main(["tag", str(model), str(broken)]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert main(["evaluate", str(model), str(bare)]) == 1
    assert "expected a label behind columns w, pos; got 'the DT', token 0" in capsys.readouterr().err
    bare.write_text("\n")
    assert main(["train", str(bare), "--model", str(model), "--quiet"]) == 1
    assert "the file is empty" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "-", "--model", str(model)])


def test_segment_labeler() -> None:
    lines = digit_lines(train=8, test=1).train
    images, strings = [line.image for line in lines], ["".join(map(str, line.digits)) for line in lines]
    labeler = SegmentLabeler(epochs=1).fit(images, strings)
    assert labeler.predict([]) == labeler.predict_k_best([], 2) == labeler.predict_marginals([]) == []
    for wrong in (None, "abc"):
        with pytest.raises(FactorGraphError, match="X to be a list"):
            labeler.predict(wrong)  # type: ignore[arg-type]
    for y, words in ((None, "y to be a list"), (list(range(8)), r"y\[0\]: expected a string")):
        with pytest.raises(FactorGraphError, match=words):
            SegmentLabeler().fit(images, y)  # type: ignore[arg-type]
    for settings in ({"cutter": 3}, {"features": 3}):
        with pytest.raises(FactorGraphError, match="to be a function"):
            SegmentLabeler(**settings).fit(images, strings)  # type: ignore[arg-type]
    labeler.grammar = "x"  # type: ignore[assignment]
    with pytest.raises(FactorGraphError, match="grammar to be an Acceptor"):
        labeler.predict(images)


def test_beside_labelers() -> None:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(3,), states=2)
    g.add(fg.External("looks", np.float64), y)
    answers, nll = {"y": np.array([0, 1, 0])}, fg.losses.NLL()
    wrong: tuple[Any, ...] = ((g, "nll"), (g, fg.losses.NLL), (None, nll), (g, nll, "auto"))
    for graph, loss, *solver in wrong:
        with pytest.raises(FactorGraphError, match="to be an object such as"):
            LossFunction(graph, loss, answers, *solver)
    with pytest.raises(FactorGraphError, match="expected a dict"):
        LossFunction(g, nll, np.array([0, 1, 0]))  # type: ignore[arg-type]
    with pytest.raises(FactorGraphError, match="expected inputs to be"):
        LossFunction(g, nll, answers)([np.zeros((3, 2))])  # type: ignore[arg-type]
    with pytest.raises(FactorGraphError, match="expected a pair"):
        fg.continuous.descend(lambda y: 1.0, np.zeros(2))  # type: ignore[arg-type, return-value]
    with pytest.raises(FactorGraphError, match="time_limit: expected"):
        fg.solve(g, time_limit="a", inputs={"looks": np.zeros((3, 2))})  # type: ignore[arg-type]
    for validation in (([], []), (1, 2)):
        with pytest.raises(FactorGraphError, match="Stop: expected validation"):
            fg.optim.Stop(validation)

    def build(g: fg.FactorGraph, x: np.ndarray) -> None:
        g.add(fg.Linear(np.eye(2)[x], "w"), g.variables("y", shape=x.shape, states=2))

    rows, start = [np.array([0, 1])], "a"
    with pytest.raises(FactorGraphError, match="expected initial to be"):
        fg.train(fg.Model(build), rows, rows, loss=nll, optimizer=fg.optim.SGD(0.1), initial=start)  # type: ignore[arg-type]
