"""Chunks of sentences: templates over words and parts of speech, a chain of labels, a margin.

    FACTORGRAPH_DATA=folder python examples/chunking.py [--quick] [--picture PATH]

The folder holds conll2000/train.txt and test.txt; without it sentences are drawn from a small grammar. Shown are the
scores by type, why one sentence is labelled as it is, and that no answer under the rules of IOB2 breaks them. The
picture is the probability of every label at every token of that sentence.

Ramshaw, Marcus, "Text chunking using transformation-based learning" (1995).
"""

import argparse
import os
from pathlib import Path

import numpy as np

from factorgraph import SequenceLabeler
from factorgraph.labelers.encoding import Columns, read_columns

WORDS = {
    "DT": ["the", "a", "every", "this"],
    "JJ": ["old", "green", "small", "quick"],
    "NN": ["cat", "train", "house", "letter", "market"],
    "VBD": ["saw", "wrote", "built", "sold"],
    "IN": ["in", "near", "with", "behind"],
    ".": ["."],
}


def sentence(rng):
    """(word, part of speech, label) of every token: noun phrases joined by verbs and prepositions."""
    tokens = []

    def phrase(kind, *parts):
        for i, pos in enumerate(parts):
            tokens.append((str(rng.choice(WORDS[pos])), pos, f"{'I' if i else 'B'}-{kind}"))

    def noun():
        phrase("NP", *["DT"] * int(rng.random() < 0.7), *["JJ"] * int(rng.integers(0, 3)), "NN")

    noun()
    phrase("VP", "VBD")
    noun()
    for _ in range(rng.integers(0, 3)):
        phrase("PP", "IN")
        noun()
    tokens.append((".", ".", "O"))
    return tokens


def corpora(quick, seed=0):
    """Training and test sentences, as columns w, pos and label."""
    folder = os.environ.get("FACTORGRAPH_DATA")
    if folder:
        train, test = (read_columns(Path(folder) / "conll2000" / f"{name}.txt") for name in ("train", "test"))
        return (train[:500], test[:200]) if quick else (train, test)
    rng = np.random.default_rng(seed)
    names = ("w", "pos", "label")
    return tuple(Columns.from_tokens([sentence(rng) for _ in range(n)], names) for n in (200, 100))


def learn(train, loss="margin", seed=0):
    """A labeler of the columns w and pos."""
    return SequenceLabeler(loss, random_state=seed).fit(train.select("w", "pos"), train.column("label"))


def broken(labels):
    """How many of these begin inside a chunk."""
    return sum(b[0] == "I" and a[1:] != b[1:] for a, b in zip(["O", *labels], labels))


def draw(labeler, tokens, path):
    """Probabilities of the labels of one sentence."""
    from matplotlib.figure import Figure

    found = labeler.predict_marginals([tokens])[0]
    shown = np.flatnonzero(found.max(0) > 0.01)
    figure = Figure(figsize=(1 + 0.45 * len(tokens), 1.5 + 0.25 * shown.size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(found[:, shown].T, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(tokens)), [token[0] for token in tokens], rotation=60, ha="right")
    axes.set_yticks(range(shown.size), labeler.classes_[shown])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a few hundred sentences")
    parser.add_argument("--picture", type=Path, default=Path("out/chunking.png"), metavar="PATH")
    arguments = parser.parse_args()
    train, test = corpora(arguments.quick)
    labeler = learn(train)
    X, y = test.select("w", "pos"), test.column("label")
    print(labeler.report(X, y))
    free, ruled = labeler.predict(X), labeler.predict(X, constrain="iob2")
    print(f"\nlabels that begin inside a chunk: {sum(map(broken, free))}, under rules {sum(map(broken, ruled))}\n")
    print(" ".join(f"{token[0]}/{label}" for token, label in zip(X[0], free[0])))
    print(f"{labeler.explain(X[0])}\n")
    print("strongest weights:", *labeler.top_features(5), sep="\n")
    draw(learn(train[:300], "nll"), X[0], arguments.picture)
    print(f"\npicture: {arguments.picture}")


if __name__ == "__main__":
    main()
