"""Spans on hand-made cases, models of CRFsuite, and the commands train, tag and evaluate."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factorgraph import FactorGraphError, FormatError, SequenceLabeler
from factorgraph.cli import main
from factorgraph.labelers.spans import Score, span_report, spans

# ---- spans

CASES = [
    ("", []),
    ("O O", []),
    ("B-X I-X O B-X", [("X", 0, 2), ("X", 3, 4)]),
    ("B-X B-X I-X", [("X", 0, 1), ("X", 1, 3)]),
    ("I-X I-X B-X I-X I-Y", [("X", 0, 2), ("X", 2, 4), ("Y", 4, 5)]),  # IOB1
    ("O I-X I-Y B-Y", [("X", 1, 2), ("Y", 2, 3), ("Y", 3, 4)]),
    ("B-X E-X S-X B-X I-X E-X", [("X", 0, 2), ("X", 2, 3), ("X", 3, 6)]),  # IOBES
    ("S-X I-X E-X E-X", [("X", 0, 1), ("X", 1, 3), ("X", 3, 4)]),  # broken
    ("B-X L-X U-Y", [("X", 0, 2), ("Y", 2, 3)]),  # BILOU
    ("B-A-B I-A-B B-A", [("A-B", 0, 2), ("A", 2, 3)]),
    ("NN B- VB-x", []),
]


@pytest.mark.parametrize(("labels", "expected"), CASES)
def test_spans(labels: str, expected: list) -> None:
    assert spans(labels.split()) == expected


def test_report_by_hand() -> None:
    truth = [["B-X", "I-X", "O", "B-Y"], ["O", "B-X"]]
    found = [["B-X", "O", "O", "B-Y"], ["B-Z", "B-X"]]
    report = span_report(truth, found)
    assert report.tokens == 6 and report.right == 4 and report.accuracy == 4 / 6
    assert report.total == Score(right=2, predicted=4, true=3)
    assert report.types == {"X": Score(1, 2, 2), "Y": Score(1, 1, 1), "Z": Score(0, 1, 0)}
    assert report.precision == 0.5 and report.recall == 2 / 3 and report.f1 == pytest.approx(4 / 7)
    assert report.types["Z"].recall == report.types["Z"].f1 == 0.0
    lines = str(report).splitlines()
    assert lines[0] == "6 tokens, accuracy 66.67 %; 3 spans, 4 predicted, 2 right" and len(lines) == 5
    assert lines[1] == "all  precision  50.00 %  recall  66.67 %  F1  57.14  of 3"
    with pytest.raises(FactorGraphError, match="expected predictions for 2 sequences; got 1"):
        span_report(truth, found[:1])
    with pytest.raises(FactorGraphError, match="expected 2 labels of sequence 1; got 1"):
        span_report(truth, [found[0], ["O"]])


# ---- models of CRFsuite

DUMP = """FILEHEADER = {
  magic: lCRF
}

LABELS = {
      0: A
      1: B --> C
}

ATTRIBUTES = {
      0: w=a: b
      1: x
}

TRANSITIONS = {
  (1) A --> B --> C: -1.500000
  (1) A --> A: 0.25
}

STATE_FEATURES = {
  (0) w=a: b --> A: 2.000000
  (0) x --> A: -1e-3
}
"""


def test_a_dump_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.txt"
    path.write_text(DUMP.replace("B --> C", "B"))
    labeler = SequenceLabeler.from_crfsuite(path)
    assert labeler.classes_.tolist() == ["A", "B"] and labeler.n_features_ == 2
    assert labeler.energy([[{"w=a: b": 1.0}, {"x": 2.0}]], [["A", "A"]])[0] == pytest.approx(-2.0 + 2e-3 - 0.25)
    assert labeler.energy([[{"w=a: b": 1.0}, {"x": 2.0}]], [["A", "B"]])[0] == pytest.approx(-2.0 + 1.5)
    labeler.save(tmp_path / "ours.npz")
    assert SequenceLabeler.load(tmp_path / "ours.npz").predict([[["x"]]]) == labeler.predict([[["x"]]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there are no labels in it"),
        (DUMP.replace("0.25", "much"), r"line 17: expected an entry of TRANSITIONS"),
        (
            DUMP.replace("x --> A", "y --> A").replace("B --> C", "B"),
            "a weight names 'y', which the model does not list",
        ),
        (DUMP.replace("0.25", "nan").replace("B --> C", "B"), "expected finite weights"),
    ],
)
def test_what_is_no_dump_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "model.txt"
    path.write_text(text)
    with pytest.raises(FactorGraphError, match=message):
        SequenceLabeler.from_crfsuite(path)
    with pytest.raises(FactorGraphError, match="expected a path, or what info"):
        SequenceLabeler.from_crfsuite(3)


def crfsuite_model(path: Path, seed: int) -> None:
    """Trained on random sequences over thirty attributes, some with values."""
    pycrfsuite = pytest.importorskip("pycrfsuite")
    rng = random.Random(seed)
    trainer = pycrfsuite.Trainer("lbfgs", verbose=False)
    for _ in range(60):
        x = random_items(rng)
        trainer.append(x, [rng.choice("ABCDE") + ("1" if "f1" in each else "") for each in x])
    trainer.set_params({"c2": 0.1, "max_iterations": 20})
    trainer.train(str(path))


def random_items(rng: random.Random) -> list[dict[str, Any]]:
    tokens = []
    for _ in range(rng.randint(1, 9)):
        token: dict[str, Any] = {f"f{rng.randrange(30)}": True for _ in range(rng.randint(0, 4))}
        token |= {"w": rng.choice("xyz:")} if rng.random() < 0.5 else {"n": rng.choice([0.5, 2.0, -1.25])}
        tokens.append(token)
    return tokens


@pytest.mark.parametrize("count", [3_000, pytest.param(120_000, marks=pytest.mark.check)])
def test_tags_are_those_of_crfsuite(tmp_path: Path, count: int) -> None:
    """Where they differ, CRFsuite's tags are as good: weights are dumped with six digits, and sums are rounded."""
    path = tmp_path / "model"
    crfsuite_model(path, 0)
    pycrfsuite = pytest.importorskip("pycrfsuite")
    tagger, rng = pycrfsuite.Tagger(), random.Random(1)
    tagger.open(str(path))
    X = [random_items(rng) for _ in range(count)]
    theirs = [tagger.tag(x) for x in X]
    labeler = SequenceLabeler.from_crfsuite(path)
    ours = labeler.predict(X)
    differ = [i for i in range(count) if ours[i] != theirs[i]]
    assert len(differ) <= count // 1000
    if differ:
        some = [X[i] for i in differ]
        gap = labeler.energy(some, [theirs[i] for i in differ]) - labeler.energy(some, [ours[i] for i in differ])
        assert gap.max() < 1e-4
    assert SequenceLabeler.from_crfsuite(tagger.info()).predict(X[:100]) == ours[:100]
    for x, p in zip(X[:20], labeler.predict_marginals(X[:20])):
        tagger.set(x)
        for t, row in enumerate(p):
            for label, mine in zip(labeler.classes_.tolist(), row):
                assert mine == pytest.approx(tagger.marginal(label, t), abs=1e-4)


# ---- the command line

LINES = "the DT B-X\ncat NN I-X\nsat VB O\n\na DT B-X\ndog NN I-X\n\n"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "train.txt").write_text(LINES * 5)
    assert main(["train", str(folder / "train.txt"), "--model", str(folder / "m.npz"), "--epochs", "5"]) == 0
    return folder / "m.npz"


def test_train_says_what_it_does_on_standard_error(model: Path, tmp_path: Path, capsys) -> None:
    arguments = ["train", str(model.parent / "train.txt"), "--model", str(tmp_path / "b.npz"), "--epochs", "2"]
    assert main([*arguments, "--templates", "crfsuite", "--loss", "perceptron", "--constrain", "iob2"]) == 0
    out, err = capsys.readouterr()
    assert out == "" and "10 sequences, 25 tokens" in err and "2 epochs in" in err and "3 labels" in err
    (tmp_path / "t.txt").write_text("# mine\nw[0]\npos[0]|pos[-1]\n")
    assert main([*arguments, "--templates", str(tmp_path / "t.txt"), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert SequenceLabeler.load(tmp_path / "b.npz").encoder_.templates == ("w[0]", "pos[0]|pos[-1]")


def test_tag_and_evaluate(model: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "test.txt"
    path.write_text(LINES)
    assert main(["tag", str(model), str(path)]) == 0
    out = capsys.readouterr().out
    lines = LINES.split("\n")[:-1]
    assert out == "\n".join(line and f"{line} {line.split()[2]}" for line in lines) + "\n"
    assert main(["evaluate", str(model), str(path)]) == 0
    assert "5 tokens, accuracy 100.00 %; 2 spans" in capsys.readouterr().out
    path.write_text(LINES.replace("cat NN I-X", "cat NN B-Y"))
    assert main(["evaluate", str(model), str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["tokens"] == 5 and found["accuracy"] == 0.8 and found["spans"]["Y"]["recall"] == 0.0
    path.write_text("DT the\nNN cat\n")
    assert main(["tag", str(model), str(path), "--columns", "pos,w"]) == 0
    assert capsys.readouterr().out == "DT the B-X\nNN cat I-X\n\n"


def test_a_pipe(model: Path) -> None:
    command = [sys.executable, "-m", "factorgraph", "tag", str(model)]
    found = subprocess.run(command, input=LINES.replace(" B-X", ""), capture_output=True, text=True, timeout=120)
    assert found.returncode == 0 and found.stdout.startswith("the DT B-X\n") and found.stderr == ""


def test_wrong_usage_is_2_and_wrong_files_are_1(model: Path, tmp_path: Path, capsys) -> None:
    for wrong in (
        ["train", "x"],
        ["train", "x", "--model", "m.npz", "--columns", "w"],
        ["tag"],
        ["train", "--order", "7"],
    ):
        with pytest.raises(SystemExit) as status:
            main(wrong)
        assert status.value.code == 2
    capsys.readouterr()
    path = tmp_path / "test.txt"
    path.write_text("the\n")
    broken = tmp_path / "broken.npz"
    broken.write_bytes(model.read_bytes()[:1000])
    for arguments, message in (
        (["tag", str(model), str(path)], "expected columns w, pos; got 'the'"),
        (["tag", str(model), str(tmp_path / "none")], "cannot be read: No such file"),
        (["tag", str(broken), str(path)], "unreadable, truncated or changed"),
        (["tag", str(model), str(path), "--columns", "w"], "--columns: expected w, pos among them; 'pos' is missing"),
        (["train", str(path), "--model", str(tmp_path / "m.npz")], "line 1: expected 3 columns"),
        (
            ["train", str(model.parent / "train.txt"), "--model", str(tmp_path / "m.npz"), "--loss", "no"],
            "loss: expected",
        ),
    ):
        assert main(arguments) == 1, arguments
        err = capsys.readouterr().err
        assert "factorgraph: " in err.splitlines()[-1] and message in err, err
    assert not (tmp_path / "m.npz").exists()
    path.write_text("")
    assert main(["evaluate", str(model), str(path)]) == 1 and "the file is empty" in capsys.readouterr().err
    assert main(["tag", str(model), str(path)]) == 0 and capsys.readouterr().out == ""


@pytest.mark.data
@pytest.mark.check
@pytest.mark.parametrize(("templates", "loss", "least"), [("crfsuite", "perceptron", 93.4), ("own", "margin", 93.7)])
def test_chunks_of_conll_2000(data_dir: Path, tmp_path: Path, templates: str, loss: str, least: float) -> None:
    from factorgraph.labelers.encoding import CHUNKING, CRFSUITE_CHUNKING, Templates, read_columns

    train, test = (read_columns(data_dir / "conll2000" / f"{name}.txt") for name in ("train", "test"))
    encoder = Templates(*CRFSUITE_CHUNKING, pad=False) if templates == "crfsuite" else Templates(*CHUNKING)
    labeler = SequenceLabeler(loss, encoder=encoder).fit(train.select("w", "pos"), train.column("label"))
    assert 100 * labeler.report(test.select("w", "pos"), test.column("label")).f1 >= least
    labeler.save(tmp_path / "m.npz")
    assert (tmp_path / "m.npz").stat().st_size < 10e6
    loaded = SequenceLabeler.load(tmp_path / "m.npz")
    assert loaded.predict(test.select("w", "pos")) == labeler.predict(test.select("w", "pos"))
    assert np.isfinite(loaded.energy(test.select("w", "pos")[:5], test.column("label")[:5])).all()


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(FormatError, match="it is neither"):
        SequenceLabeler.from_crfsuite(path)
    with pytest.raises(FormatError, match="model .*unreadable"):
        SequenceLabeler.load(path)
