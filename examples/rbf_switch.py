"""A switch among radial basis functions: E(k) = ‖X W − c_k‖², the class whose centre is nearest. And how it collapses.

    python examples/rbf_switch.py [--quick] [--picture out.png]

W maps pictures (here: points of ten numbers) to the plane, c_k is where class k shall be. Both are learned, so there
is a way to make every energy 0: W = 0 and equal centres. A loss that only pulls correct energies down ends there.

LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998), section VI.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

CLASSES, FEATURES = 4, 10


def points(rng, count):
    """Four clouds; two directions tell them apart, eight say nothing."""
    labels = rng.integers(CLASSES, size=count)
    angle = 2 * np.pi * labels / CLASSES
    x = rng.normal(0, 0.5, (count, FEATURES))
    x[:, :2] += 2 * np.stack([np.cos(angle), np.sin(angle)], 1)
    return x, labels


def graph(count):
    """One variable for each point; its energies come from outside."""
    g = fg.FactorGraph()
    g.add(fg.External("distance"), g.variables("y", shape=(count,), states=CLASSES))
    return g.compile()


def distances(x, weights, centres):
    """(points, classes, 2): from each centre to each point, as the map sees it."""
    return (x @ weights)[:, None] - centres


def learn(loss, x, labels, epochs, seed, rate=0.02):
    """All points in one graph, mini-batches of 20 are some of its components."""
    rng = np.random.default_rng(seed)
    weights, centres = rng.normal(0, 0.3, (FEATURES, 2)), rng.normal(0, 1, (CLASSES, 2))
    plan = graph(len(x))
    answers = fg.plan.read_answers(plan, {"y": labels})
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(x)), len(x) // 20):
            apart = distances(x, weights, centres)
            energies = (apart**2).sum(-1)
            _, gradient = loss(plan, energies.ravel(), answers, components=batch)
            slope = 2 * gradient.reshape(-1, CLASSES, 1)[batch] * apart[batch] / batch.size  # by X W − c
            weights -= rate * x[batch].T @ slope.sum(1)
            centres += rate * slope.sum(0)
    return weights, centres


def main():
    parser = argparse.ArgumentParser(description="Radial basis functions behind a switch.")
    parser.add_argument("--quick", action="store_true", help="few points, few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw correct against incorrect energies into this PNG")
    arguments = parser.parse_args()
    count, epochs = (200, 20) if arguments.quick else (1000, 100)
    x, labels = points(np.random.default_rng(0), count)
    test, truth = points(np.random.default_rng(1), 1000)

    plan = graph(count)
    answers = fg.plan.read_answers(plan, {"y": labels})
    print("loss                 if W = 0 and all centres are equal    errors   energies up to")
    for loss in (
        losses.Energy(),
        losses.Perceptron(),
        losses.Hinge(margin=2.0),
        losses.Log(),
        losses.SquareSquare(margin=2.0),
        losses.NLL(),
    ):
        collapsed, _ = loss(plan, np.zeros(plan.size), answers)
        weights, centres = learn(loss, x, labels, epochs, seed=0)
        energies = (distances(test, weights, centres) ** 2).sum(-1)
        errors = np.mean(energies.argmin(1) != truth)
        print(f"{type(loss).__name__:20} {collapsed / count:10.4f} {errors:33.1%} {energies.max():12.4g}")
        if arguments.picture and isinstance(loss, losses.SquareSquare):
            from factorgraph.plots import draw_plane

            correct = energies[np.arange(len(test)), truth]
            energies[np.arange(len(test)), truth] = np.inf
            draw_plane(arguments.picture, correct, energies.min(1), loss.margin, "RBFs, square-square loss")


if __name__ == "__main__":
    main()
