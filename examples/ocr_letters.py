"""Handwritten words, letter by letter: a chain of raw pixels and pairs of letters, trained by margin or likelihood.

    FACTORGRAPH_DATA=folder python examples/ocr_letters.py [--quick] [--folds] [--picture PATH]

The folder holds ocr/letter.data.gz, 6,877 words in ten folds; without it noisy letters of random shapes are read.
Trained on fold 1 and tested on the other nine, with --folds also on folds 1 to 9 and tested on fold 0. What is not
learned (rate, margin, epochs; l2) is chosen by the words of the training folds alone, a third of them held out in turn.
The picture shows which pixels speak for a letter (red) and which against it (grey).

Taskar, Guestrin, Koller, "Max-margin Markov networks" (2003).
"""

import argparse
import os
import time

import numpy as np
from scipy import sparse

import factorgraph as fg
from factorgraph import losses, optim
from factorgraph.datasets import Words, ocr_words


def build(g, x):
    y = g.variables("y", shape=(x.shape[0],), states=26)
    g.add(fg.Linear(x, "pixels"), y)
    g.add(fg.Linear(None, "pairs", dtype=np.float32), y[:-1], y[1:])


MODEL = fg.Model(build)


def with_bias(pixels):
    """Sparse pixels, and one feature that is always 1."""
    return [sparse.csr_matrix(np.hstack([x, np.ones((len(x), 1), np.float32)])) for x in pixels]


def drawn(rng, count):
    """Words of random letters, each a random shape of which a fifth of the pixels is flipped."""
    shapes = rng.random((26, 128)) < 0.3
    labels = [rng.integers(0, 26, n) for n in rng.integers(3, 10, count)]
    pixels = [(shapes[y] ^ (rng.random((len(y), 128)) < 0.3)).astype(np.float32) for y in labels]
    return Words(pixels, labels, np.arange(count) % 10)


def margin(rate, scale, epochs):
    """A structural SVM by averaged subgradients, one word at a time."""
    rule = optim.SGD(rate, average=True)
    return lambda X, Y, seed: fg.train(MODEL, X, Y, losses.Margin(scale=scale), rule, epochs, batch=1, seed=seed)


def likelihood(c2):
    """A conditional random field by L-BFGS; c2 is CRFsuite's: Σ losses + c2 ‖w‖²."""
    return lambda X, Y, seed: fg.train(MODEL, X, Y, losses.NLL(), optim.LBFGS(2 * c2 / len(X), tolerance=1e-3))


def error(parameters, X, Y):
    """The share of wrong letters."""
    found = MODEL.predict(parameters, X)
    return float(np.mean(np.concatenate(found) != np.concatenate(Y)))


def choose(candidates, X, Y):
    """The candidate of least error on held-out thirds."""
    third = np.random.default_rng(0).permutation(len(X)) % 3

    def held_out(train):
        errors = []
        for k in range(3):
            inside, outside = np.flatnonzero(third != k), np.flatnonzero(third == k)
            run = train([X[i] for i in inside], [Y[i] for i in inside], 0)
            errors.append(error(run.parameters, [X[i] for i in outside], [Y[i] for i in outside]))
        return np.mean(errors)

    return min(candidates, key=lambda name: held_out(candidates[name]))


def main():
    parser = argparse.ArgumentParser(description="OCR letters.")
    parser.add_argument("--quick", action="store_true", help="few words, one candidate each")
    parser.add_argument("--folds", action="store_true", help="also train on folds 1 to 9")
    parser.add_argument("--picture", metavar="PATH", help="draw the learned weights into this PNG")
    arguments = parser.parse_args()
    real = bool(os.environ.get("FACTORGRAPH_DATA"))
    words = ocr_words() if real and not arguments.quick else drawn(np.random.default_rng(0), 300)
    settings = [(0.1, 1.0, 10)] if arguments.quick else [(0.1, s, e) for s in (1.0, 3.0, 10.0, 30.0) for e in (10, 30)]
    strengths = [1.0] if arguments.quick else [0.1, 0.3, 1.0, 3.0]
    families = {
        "margin": {f"rate {r}, scale {s}, {e} epochs": margin(r, s, e) for r, s, e in settings},
        "likelihood": {f"c2 {c}": likelihood(c) for c in strengths},
    }
    splits = [([1], [0, *range(2, 10)]), *([(list(range(1, 10)), [0])] if arguments.folds else [])]
    for inside, outside in splits:
        (X, Y), (test, truth) = words.of(inside), words.of(outside)
        X, test = with_bias(X), with_bias(test)
        print(f"{len(X)} words of folds {inside}, tested on {len(test)} others")
        for family, candidates in families.items():
            best = choose(candidates, X, Y) if len(candidates) > 1 else next(iter(candidates))
            errors, seconds = [], []
            for seed in range(1 if arguments.quick or family == "likelihood" else 5):
                begin = time.perf_counter()
                run = candidates[best](X, Y, seed)
                seconds.append(time.perf_counter() - begin)
                errors.append(error(run.parameters, test, truth))
            print(f"  {family:11} {np.mean(errors):.2%} of letters wrong, {min(seconds):.2f} s ({best})")
    if arguments.picture:
        draw(arguments.picture, run.parameters["pixels"])


def draw(path, weights):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 13, figsize=(13, 4.4), layout="constrained")
    most = np.abs(weights[:-1]).max()
    for k, axis in enumerate(axes.flat):
        axis.imshow(weights[:-1, k].reshape(16, 8), cmap="RdGy", vmin=-most, vmax=most)
        axis.set_title(chr(ord("a") + k))
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
