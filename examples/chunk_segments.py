"""Chunks of a sentence with latent boundaries: a semi-Markov model that was only told the sequence of chunk types.

    python examples/chunk_segments.py [--quick] [--picture out.png]

A sentence is a lattice: nodes lie between words, an arc is a stretch of up to four words, its label the type of chunk.
A path is a segmentation (Z), what it spells is the sequence of types (Y). "the old dog / quickly runs / to the house"
is known as NP VP PP; that NP has three words is not.

Sarawagi, Cohen, "Semi-Markov conditional random fields" (2004).
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

TYPES = ["NP", "VP", "PP"]
WORDS = ["the", "a", "old", "red", "dog", "house", "tree", "runs", "sees", "quickly", "often", "to", "under"]
NOUNS, VERBS, LONGEST = ["dog", "house", "tree"], ["runs", "sees"], 4


def chunk(rng, kind):
    """The words of one chunk."""
    noun = [rng.choice(["the", "a"])] * (rng.random() < 0.8) + [rng.choice(["old", "red"])] * (rng.random() < 0.5)
    noun += [rng.choice(NOUNS)]
    verb = [rng.choice(["quickly", "often"])] * (rng.random() < 0.5) + [rng.choice(VERBS)]
    return {"NP": noun, "VP": verb, "PP": [rng.choice(["to", "under"]), *noun]}[kind]


def sentences(rng, count):
    """(words, types, ends) of each: ends are the nodes behind the chunks."""
    out = []
    for _ in range(count):
        kinds = [rng.choice(TYPES) for _ in range(rng.integers(1, 5))]
        parts = [chunk(rng, kind) for kind in kinds]
        out.append(
            ([w for part in parts for w in part], [TYPES.index(k) for k in kinds], np.cumsum(list(map(len, parts))))
        )
    return out


def arcs(words):
    """(start, end) of all stretches of up to four words, and what is known of each: its first, last and other words."""
    n, number = len(words), [WORDS.index(w) for w in words]
    start, end = np.array([(i, j) for i in range(n) for j in range(i + 1, min(n, i + LONGEST) + 1)]).T
    features = np.zeros((start.size, 3 * len(WORDS) + 1))
    for row, i, j in zip(features, start, end):
        row[number[i]] = row[len(WORDS) + number[j - 1]] = row[-1] = 1
        for k in number[i + 1 : j - 1]:
            row[2 * len(WORDS) + k] += 1
    return start, end, features


def build(g, words):
    start, end, features = arcs(words)
    line = g.lattice("chunks", arcs=(start, end), states=len(TYPES))
    g.add(fg.Linear(features, "chunk"), line)
    g.add(fg.Linear(None, "follows"), line, line)


def read(words, parameters):
    """(types, ends) of the best path."""
    g = fg.FactorGraph()
    build(g, words)
    best = fg.solve(g, parameters={name: parameters[name] for name in g.parameters()})  # one word has no second chunk
    return list(best.strings["chunks"]), arcs(words)[1][best.paths["chunks"]]


def main():
    parser = argparse.ArgumentParser(description="Chunks with latent boundaries.")
    parser.add_argument("--quick", action="store_true", help="few sentences")
    parser.add_argument("--picture", metavar="PATH", help="draw some sentences and their chunks into this PNG")
    arguments = parser.parse_args()
    count, epochs = (100, 8) if arguments.quick else (500, 15)
    train, test = sentences(np.random.default_rng(0), count), sentences(np.random.default_rng(1), 200)
    model = fg.Model(build)
    print("loss         all types right   all boundaries right, which were never shown")
    for loss in (losses.Perceptron(), losses.Margin(), losses.Hinge(), losses.NLL()):
        rule = fg.optim.Adam(0.1, schedule="linear")
        run = fg.train(model, [s[0] for s in train], [s[1] for s in train], loss, rule, epochs=epochs, batch=10)
        found = [read(words, run.parameters) for words, _, _ in test]
        types = np.mean([a == list(b) for (a, _), (_, b, _) in zip(found, test)])
        ends = np.mean([np.array_equal(a, b) for (_, a), (_, _, b) in zip(found, test)])
        print(f"{type(loss).__name__:12} {types:8.1%} {ends:16.1%}")
    for (words, _, _), (kinds, ends) in list(zip(test, found))[:4]:
        parts = np.split(words, ends[:-1])
        print("  " + "  ".join(f"[{TYPES[k]} {' '.join(part)}]" for k, part in zip(kinds, parts)))

    if arguments.picture:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 5))
        axes = figure.add_axes((0.02, 0.02, 0.96, 0.9), title="chunks as read; below them where the truth has its ends")
        for row, ((words, _, truth), (kinds, ends)) in enumerate(list(zip(test, found))[:7]):
            begin = 0
            for kind, end in zip(kinds, ends):
                axes.barh(
                    -row,
                    end - begin - 0.08,
                    left=begin,
                    height=0.6,
                    color=["#0072b2", "#c44e00", "#00795a"][kind],
                    alpha=0.35,
                )
                axes.text(begin + 0.06, -row + 0.12, TYPES[kind], fontsize=8, weight="bold", va="center")
                begin = end
            for k, word in enumerate(words):
                axes.text(k + 0.46, -row - 0.12, word, ha="center", va="center", fontsize=9)
            axes.scatter(np.array(truth) - 0.04, np.full(len(truth), -row - 0.42), marker="^", color="black", s=14)
        axes.set(ylim=(-6.8, 0.6))
        axes.set_axis_off()
        figure.savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
