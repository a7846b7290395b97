"""A support vector machine is an energy, a loss, and a penalty: E(X, Y) = −½ Y w·X, the hinge, ½ λ ‖w‖².

    python examples/svm_as_ebm.py [--quick] [--picture out.png]

Nothing here knows of support vectors: the same four choices as always. Minimising ‖w‖ while the margin in energy is
held at 1 makes the margin in the space of X as wide as possible. Beside it the machine of scikit-learn.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses


def build(g, x):
    """E(y) = x · w[:, y]: one weight for each class. For two classes only their difference counts."""
    g.add(fg.Linear(x, "w"), g.variables("y", states=3))


def points(rng, count):
    """Three clouds that overlap a little."""
    labels = rng.integers(3, size=count)
    centres = np.array([[0.0, 1.5], [1.3, -0.75], [-1.3, -0.75]])
    x = centres[labels] + rng.normal(0, 0.7, (count, 2))
    return np.column_stack([x, np.ones(count)]), labels


def main():
    parser = argparse.ArgumentParser(description="A support vector machine as an energy-based model.")
    parser.add_argument("--quick", action="store_true", help="few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw correct against incorrect energies into this PNG")
    arguments = parser.parse_args()
    x, y = points(np.random.default_rng(0), 300)
    l2, epochs = 0.05, 200 if arguments.quick else 3000

    # The architecture, the loss and the optimiser. SGD's rate falls as 1 / (l2 t), as in Pegasos; it averages.
    model, loss = fg.Model(build), losses.Margin()
    rule = fg.optim.SGD(0.5, decay=0.5 * l2, l2=l2, average=True)
    run = fg.train(model, x, y, loss, rule, epochs=epochs, batch=len(x))
    weights = -run.parameters["w"]  # energies are low where scores are high

    from sklearn.svm import LinearSVC

    machine = LinearSVC(multi_class="crammer_singer", fit_intercept=False, C=1 / (l2 * len(x)), max_iter=100000)
    machine.fit(x, y)
    print("weights, one row for each class      ours                     LinearSVC (Crammer and Singer)")
    for ours, theirs in zip(weights.T, machine.coef_):
        print(" " * 26, np.array2string(ours, precision=3), "    ", np.array2string(theirs, precision=3))
    print("largest difference:", f"{np.abs(weights.T - machine.coef_).max():.4f}")
    print("the same answers:  ", f"{np.mean(model.predict(run.parameters, x) == machine.predict(x)):.1%}")
    report = fg.collapse_report(model, loss, x, y, run.parameters)
    print(report)
    print("margin in the space of X, m / ‖w‖:", f"{1 / np.linalg.norm(weights):.4f}")

    if arguments.picture:
        from factorgraph.plots import draw_plane

        draw_plane(
            arguments.picture, report.correct, report.incorrect, report.margin, "support vectors lie at the line"
        )


if __name__ == "__main__":
    main()
