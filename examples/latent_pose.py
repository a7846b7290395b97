"""Where is it, and what is it? A template with a latent position, learned from pictures that only say what.

    python examples/latent_pose.py [--quick] [--picture out.png]

A picture of 9 × 9 pixels shows one of three shapes, 3 × 3, anywhere in noise. Its class Y is known, its place Z is not:

    E(Y, Z) = −⟨template of Y, patch at Z⟩,     E(Y) = min_Z E(Y, Z)

The hinge completes the correct answer by its best place, and contrasts it with the best place of the best wrong answer.
At the end the places are those where the shapes were planted, though nobody ever showed one.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

SIZE, SHAPE = 9, 3
PLACES = (SIZE - SHAPE + 1) ** 2
SHAPES = np.array([
    [[1, -1, 1], [-1, 1, -1], [1, -1, 1]],  # a diagonal cross
    [[-1, 1, -1], [1, 1, 1], [-1, 1, -1]],  # an upright one
    [[1, 1, 1], [1, -1, 1], [1, 1, 1]],  # a ring
], float)  # fmt: skip


def pictures(rng, count, noise=0.3):
    """(pictures, classes, places): the place is row · 7 + column of the upper left corner."""
    kinds, places = rng.integers(len(SHAPES), size=count), rng.integers(PLACES, size=count)
    images = rng.normal(0, noise, (count, SIZE, SIZE))
    for image, kind, place in zip(images, kinds, places):
        row, column = divmod(place, SIZE - SHAPE + 1)
        image[row : row + SHAPE, column : column + SHAPE] += SHAPES[kind]
    return images, kinds, places


def patches(images):
    """(pictures, places, 9)."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (SHAPE, SHAPE), axis=(1, 2))
    return windows.reshape(len(images), PLACES, SHAPE**2)


def graph(count):
    """A class and a latent place for each picture, joined by one table of energies, which come from outside."""
    g = fg.FactorGraph()
    y = g.variables("y", shape=(count,), states=len(SHAPES))
    z = g.variables("z", shape=(count,), states=PLACES, latent=True)
    g.add(fg.External("match"), y, z)
    return g


def energies(windows, templates):
    """(pictures, classes, places)."""
    return -np.einsum("npk,ck->ncp", windows, templates)


def learn(loss, images, kinds, epochs, seed, rate=0.05, shrink=0.02):
    """Templates (3, 9), by gradient descent on the mean loss and ½ · shrink · ‖templates‖².

    Latents need somewhere to start: each template does from the patch of most ink in one picture of its class.
    """
    rng, windows = np.random.default_rng(seed), patches(images)
    some = [rng.choice(np.flatnonzero(kinds == kind)) for kind in range(len(SHAPES))]
    templates = 0.5 * np.stack([windows[i, (windows[i] ** 2).sum(1).argmax()] for i in some])
    plan = graph(len(images)).compile()
    answers = fg.plan.read_answers(plan, {"y": kinds})
    for _ in range(epochs):
        for batch in np.array_split(rng.permutation(len(images)), len(images) // 20):
            table = np.zeros((len(images), len(SHAPES), PLACES))
            table[batch] = energies(windows[batch], templates)
            _, gradient = loss(plan, table.ravel(), answers, components=batch)
            slope = -np.einsum("ncp,npk->ck", gradient.reshape(table.shape)[batch], windows[batch]) / batch.size
            templates -= rate * (slope + shrink * templates)
    return templates


def read(images, templates):
    """(classes, places) of least energy."""
    solution = fg.solve(graph(len(images)), inputs={"match": energies(patches(images), templates)})
    return solution.labels["y"], solution.labels["z"]


def main():
    parser = argparse.ArgumentParser(description="Learn shapes whose places are latent.")
    parser.add_argument("--quick", action="store_true", help="few pictures")
    parser.add_argument("--picture", metavar="PATH", help="draw templates and some pictures into this PNG")
    arguments = parser.parse_args()
    count, epochs = (200, 15) if arguments.quick else (600, 40)
    images, kinds, _ = pictures(np.random.default_rng(0), count)
    test, truth, planted = pictures(np.random.default_rng(1), 300)
    for loss in (losses.Perceptron(), losses.NLL(), losses.LatentHinge()):
        templates = learn(loss, images, kinds, epochs, seed=0)
        found, places = read(test, templates)
        print(f"{type(loss).__name__:12} class right {np.mean(found == truth):6.1%}, ", end="")
        print(f"class and place right {np.mean((found == truth) & (places == planted)):6.1%}")

    if arguments.picture:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 6), layout="constrained")
        axes = figure.subplots(2, 3)
        for k, template in enumerate(templates):
            axes[0, k].imshow(template.reshape(SHAPE, SHAPE), cmap="gray")
            axes[0, k].set_title(f"template {k}, as learned")
        for k in range(3):
            row, column = divmod(int(places[k]), SIZE - SHAPE + 1)
            axes[1, k].imshow(test[k], cmap="gray")
            corners = [column - 0.5, column + SHAPE - 0.5], [row - 0.5, row + SHAPE - 0.5]
            axes[1, k].plot(np.take(corners[0], [0, 1, 1, 0, 0]), np.take(corners[1], [0, 0, 1, 1, 0]), lw=2)
            axes[1, k].set_title(f"read as {found[k]}, is {truth[k]}")
        for each in axes.ravel():
            each.set_axis_off()
        figure.savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
