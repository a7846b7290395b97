"""Exclusive or, with one bump for each sample: a kernel machine is a linear energy behind fixed features.

    python examples/xor_with_bumps.py [--quick] [--picture out.png]

    E(Y) = −½ Y (Σ_j a_j exp(−g ‖X − X_j‖²) + b),  Y = ±1,  penalty ½ λ aᵀ K a

A linear energy gets three of the four clouds right at most. One bump on every sample is enough for all. The penalty is
the norm of the function, not of its weights: with K = L Lᵀ and a = L⁻ᵀ v it is ½ λ ‖v‖², so the features are rows of L.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

WIDTH = 1.0  # g
FREE = 3.0  # a constant feature: the bias b, whose penalty is a ninth


def points(rng, count):
    """Four clouds; opposite ones have the same label."""
    corner = rng.integers(2, size=(count, 2))
    return 2.0 * corner - 1 + rng.normal(0, 0.35, (count, 2)), corner[:, 0] ^ corner[:, 1]


def bumps(x, centres):
    """(len(x), len(centres)): one bump on every centre."""
    return np.exp(-WIDTH * ((x[:, None] - centres) ** 2).sum(-1))


def build(g, features):
    g.add(fg.Linear(features, "w"), g.variables("y", states=2))


def fit(features, labels, l2, epochs):
    model = fg.Model(build)
    rule = fg.optim.SGD(0.2, decay=0.2 * l2, l2=l2, average=True)
    run = fg.train(model, features, labels, losses.Margin(), rule, epochs=epochs, batch=len(features))
    return lambda rows: np.array(model.predict(run.parameters, rows)), run.parameters["w"]


def main():
    parser = argparse.ArgumentParser(description="Exclusive or by a kernel.")
    parser.add_argument("--quick", action="store_true", help="few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw the energy over the plane into this PNG")
    arguments = parser.parse_args()
    x, labels = points(np.random.default_rng(0), 120)
    test, truth = points(np.random.default_rng(1), 400)
    l2, epochs = 0.02, 300 if arguments.quick else 3000

    predict, _ = fit(np.column_stack([x, np.ones(len(x))]), labels, l2, epochs)
    print(f"linear: {np.mean(predict(np.column_stack([test, np.ones(len(test))])) == truth):6.1%} right")

    factor = np.linalg.cholesky(bumps(x, x) + 1e-8 * np.eye(len(x)))
    features = np.column_stack([factor, np.full(len(x), FREE)])
    predict, weights = fit(features, labels, l2, epochs)

    def rows(points):
        return np.column_stack([np.linalg.solve(factor, bumps(points, x).T).T, np.full(len(points), FREE)])

    found = predict(rows(test))
    print(f"bumps:  {np.mean(found == truth):6.1%} right")

    from sklearn.svm import SVC

    # w_0 = −w_1 = v / 2, so the penalty ½ l2 ‖w‖² is ¼ l2 ‖v‖² in scikit-learn's ½ ‖v‖² + C Σ hinge.
    machine = SVC(kernel="rbf", gamma=WIDTH, C=2 / (l2 * len(x))).fit(x, labels)
    ours = rows(test) @ (weights[:, 0] - weights[:, 1])
    theirs = machine.decision_function(test)
    print(f"support vector machine: {np.mean(machine.predict(test) == found):6.1%} the same answers, ", end="")
    print(f"decisions differ by {np.abs(ours - theirs).mean():.3f} on average, of {np.abs(theirs).mean():.3f}")

    if arguments.picture:
        from matplotlib.figure import Figure

        axis = np.linspace(-2.2, 2.2, 90)
        grid = np.stack(np.meshgrid(axis, axis), -1)
        level = (rows(grid.reshape(-1, 2)) @ (weights[:, 0] - weights[:, 1])).reshape(90, 90)
        figure = Figure(figsize=(6, 6))
        axes = figure.add_subplot(title="E(Y = 0) − E(Y = 1), and where it is 0")
        shown = axes.contourf(axis, axis, level, 21, cmap="PuOr", vmin=-abs(level).max(), vmax=abs(level).max())
        axes.contour(axis, axis, level, [0.0], colors="black")
        for label, mark in ((0, "o"), (1, "^")):
            axes.scatter(*x[labels == label].T, marker=mark, color="black", s=18, label=f"Y = {label}")
        axes.legend()
        figure.colorbar(shown, shrink=0.8)
        figure.savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
