"""Trees over sentences: the user's own solver, plugged into losses that know nothing of trees.

    python examples/parse_tree.py [--quick] [--picture out.png]

There is one variable for every span of words, present or not. Spans that are present must form a binary tree; no small
table says that, so no general solver helps. CKY does it: the best tree over i … j splits somewhere,

    C(i, j) = cost(i, j) + min_k C(i, k) + C(k, j)

All that a loss of minima needs is this one method: evidence and margins come to it as part of the energies.

Cocke; Kasami 1965; Younger 1967. Taskar, Klein, Collins, Koller, Manning, "Max-margin parsing" (2004).
"""

import argparse
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import factorgraph as fg
from factorgraph import losses

TOKENS = 6  # kinds of words


@dataclass(frozen=True)
class CKY(fg.Solver):
    """Binary trees: variables are the spans of a sentence in the order of `spans`, with states absent and present."""

    name: ClassVar[str] = "CKY"

    def exact_on(self, plan, component):
        return True

    def minimise(self, asked, answer):
        """Write the labels of every component asked."""
        for c in asked.components:
            variables = asked.plan.variables_of(int(c))
            cost = unary(asked, int(c), variables)
            cost = np.clip(cost[:, 1] - cost[:, 0], -1e9, 1e9)  # evidence is infinite, with either sign
            answer.labels[variables] = best_tree(cost)
        answer.sign(asked.components, self.name, fg.Status.OPTIMAL)


def unary(asked, component, variables):
    """(spans, 2): energies of a component's factors of one variable, with the bias."""
    plan, rows = asked.plan, asked.plan.factors.row
    first = plan.offsets[variables]
    total = np.zeros((variables.size, 2))
    if asked.bias.size:
        total += asked.bias[first[:, None] + [0, 1]]
    for f in range(plan.factors.first[component], plan.factors.first[component + 1]):
        start, _, scope = rows[f]
        if rows[f + 1, 2] - scope == 1:
            total[plan.factors.var[scope] - variables[0]] += asked.energies[start : start + 2]
    return total


def spans(n):
    """All (i, j), i < j, of more than one word but not the whole sentence, which is always present."""
    return [(i, j) for i in range(n) for j in range(i + 2, n + 1) if j - i < n]


def best_tree(cost):
    """bool (spans,): which spans the best binary tree has."""
    n = int((1 + np.sqrt(9 + 8 * cost.size)) / 2)
    places = spans(n)
    own = {span: cost[s] for s, span in enumerate(places)}
    best, split = {(i, i + 1): 0.0 for i in range(n)}, {}
    for width in range(2, n + 1):
        for i in range(n - width + 1):
            j = i + width
            ways = [best[i, k] + best[k, j] for k in range(i + 1, j)]
            split[i, j] = i + 1 + int(np.argmin(ways))
            best[i, j] = own.get((i, j), 0.0) + min(ways)
    present, stack = set(), [(0, n)]
    while stack:
        i, j = stack.pop()
        if j - i > 1:
            present.add((i, j))
            stack += [(i, split[i, j]), (split[i, j], j)]
    return np.array([span in present for span in places], dtype=np.int32)


def features(words):
    """(spans, features): words at the ends and just outside of each span."""
    places, padded = spans(len(words)), [TOKENS, *words, TOKENS]
    out = np.zeros((len(places), 4 * (TOKENS + 1)))
    for row, (i, j) in zip(out, places):
        for k, at in enumerate((i + 1, j, i, j + 1)):
            row[k * (TOKENS + 1) + padded[at]] = 1
    return out


def build(g, words):
    """Spans are joined by factors of energy 0, so that they are one component, which is solved as a whole."""
    x = features(words)
    y = g.variables("span", shape=(len(x),), states=["absent", "present"])
    g.add(fg.Linear(x, "w"), y)
    g.add(fg.Potts(0.0), y[:-1], y[1:])


def treebank(rng, count, weights):
    """Sentences, and the trees that hidden weights give them."""
    found = [rng.integers(TOKENS, size=rng.integers(4, 9)) for _ in range(count)]
    return found, [best_tree(features(words) @ weights) for words in found]


def brackets(words, present):
    """The sentence with brackets around its spans."""
    some = [span for span, label in zip(spans(len(words)), present) if label]
    text = ""
    for k, word in enumerate(words):
        text += "(" * sum(i == k for i, _ in some) + "abcdefgh"[word] + ")" * sum(j == k + 1 for _, j in some) + " "
    return text


def main():
    parser = argparse.ArgumentParser(description="Parsing with a solver of one's own.")
    parser.add_argument("--quick", action="store_true", help="few sentences")
    parser.add_argument("--picture", metavar="PATH", help="draw a tree as read, and how it was learned, into this PNG")
    arguments = parser.parse_args()
    count, epochs = (60, 5) if arguments.quick else (300, 20)
    hidden = np.random.default_rng(7).normal(size=4 * (TOKENS + 1))
    X, Y = treebank(np.random.default_rng(0), count, hidden)
    test, truth = treebank(np.random.default_rng(1), 200, hidden)
    model, curves = fg.Model(build), {}
    for loss in (losses.Perceptron(), losses.Margin(), losses.Ramp(), losses.PerturbAndMAP(samples=4)):
        rule = fg.optim.SGD(0.1, average=True)
        run = fg.train(model, X, Y, loss, rule, epochs=epochs, batch=5, solver=CKY())
        found = model.predict(run.parameters, test, method=CKY())
        spans_right = np.mean(np.concatenate(found) == np.concatenate(truth))
        trees = np.mean([np.array_equal(a, b) for a, b in zip(found, truth)])
        print(f"{type(loss).__name__:14} spans right {spans_right:6.1%}, whole trees {trees:6.1%}, ", end="")
        print(f"updates from exact answers {run.history['exact'].mean():.0%}")
        curves[type(loss).__name__] = run.history["loss"] / run.history["loss"][0]
    for words, labels in list(zip(test, found))[:3]:
        print("  ", brackets(words, labels))
    try:
        fg.train(model, X, Y, losses.NLL(), solver=CKY())
    except fg.FactorGraphError as error:
        print("and a likelihood, which would need sums over trees, is refused:", error)

    if arguments.picture:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(10, 4.5), layout="constrained")
        left, right = figure.subplots(1, 2)
        words, labels = max(zip(test, found), key=lambda pair: len(pair[0]))
        for (i, j), label in [*zip(spans(len(words)), labels), ((0, len(words)), 1)]:
            if label:
                left.plot(
                    [i + 0.1, i + 0.1, j - 0.1, j - 0.1],
                    [j - i - 0.7, j - i - 0.3, j - i - 0.3, j - i - 0.7],
                    color="#0072b2",
                )
        for k, word in enumerate(words):
            left.text(k + 0.5, 0.6, "abcdefgh"[word], ha="center")
        left.set(title="the spans of a tree, as read", ylim=(0, len(words)))
        left.set_axis_off()
        for name, curve in curves.items():
            right.plot(np.arange(1, curve.size + 1), curve, label=name)
        right.set(title="loss, of its first epoch", xlabel="epoch", ylim=(0, 1.05))
        right.legend()
        figure.savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
