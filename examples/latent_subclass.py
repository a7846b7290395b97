"""A switch over a hidden subclass: faces of two people, seen from two sides, labelled with the person only.

    python examples/latent_subclass.py [--quick] [--picture out.png]

    E(Y, Z) = X · w_{Y,Z},     E(Y) = min_Z E(Y, Z)   or   −log Σ_Z exp(−E(Y, Z))

What a person looks like depends on the side more than on the person: the clouds of one person lie opposite to each
other, so no linear energy tells the people apart. With a latent side for each the switch learns one, up to its name.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

CENTRES = np.array([[[2.0, 0.0], [-2.0, 0.0]], [[0.0, 2.0], [0.0, -2.0]]])  # person, side


def faces(rng, count):
    """(features, people, sides)."""
    people, sides = rng.integers(2, size=count), rng.integers(2, size=count)
    x = CENTRES[people, sides] + rng.normal(0, 0.4, (count, 2))
    return np.column_stack([x, np.ones(count)]), people, sides


def plain(g, x):
    g.add(fg.Linear(x, "w"), g.variables("person", states=2))


def switch(g, x):
    person = g.variables("person", states=2)
    side = g.variables("side", states=2, latent=True)
    g.add(fg.Linear(x, "w"), person, side)


def learn(build, loss, x, people, epochs, seed=0):
    """Latents that start alike stay alike: the weights of the switch start at random."""
    model = fg.Model(build)
    shape = model.declare(x[:1]).graph.parameters()["w"]
    start = {"w": np.random.default_rng(seed).normal(0, 0.5, shape)}
    run = fg.train(model, x, people, loss, fg.optim.Adam(0.03), epochs=epochs, batch=20, seed=seed, initial=start)
    return model, run.parameters


def sides_of(model, parameters, x, people):
    """The best side of every face, given the person."""
    declared = model.declare(x)
    evidence = {(i, "person"): int(k) for i, k in enumerate(people)}
    solution = fg.solve(declared.graph, evidence, parameters)
    return np.array([int(solution.labels[i, "side"]) for i in range(len(x))])


def agreement(found, sides, people):
    """The share of faces whose latent is the side, with the names of the sides chosen for each person."""
    right = 0
    for person in range(2):
        same = np.count_nonzero(found[people == person] == sides[people == person])
        right += max(same, np.count_nonzero(people == person) - same)
    return right / len(people)


def main():
    parser = argparse.ArgumentParser(description="A switch over a hidden subclass.")
    parser.add_argument("--quick", action="store_true", help="few faces")
    parser.add_argument("--picture", metavar="PATH", help="draw faces and what the switch chose into this PNG")
    arguments = parser.parse_args()
    count, epochs = (200, 20) if arguments.quick else (1000, 40)
    x, people, _ = faces(np.random.default_rng(0), count)
    test, truth, sides = faces(np.random.default_rng(1), 400)

    model, parameters = learn(plain, losses.Margin(), x, people, epochs)
    print(f"no latent:                  person right {np.mean(model.predict(parameters, test) == truth):6.1%}")
    for loss in (losses.Margin(), losses.Hinge(), losses.NLL(), losses.Hinge(latent="sum"), losses.NLL(latent="min")):
        model, parameters = learn(switch, loss, x, people, epochs)
        right = np.mean(model.predict(parameters, test) == truth)
        found = sides_of(model, parameters, test, truth)
        name = f"{type(loss).__name__}, side {'summed' if loss.latent == 'sum' else 'minimised'}"
        print(f"{name:27} person right {right:6.1%}, side found {agreement(found, sides, truth):6.1%}")

    if arguments.picture:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 6))
        axes = figure.add_subplot(title="colour: the person; mark: the side that the switch chose")
        for person, colour in ((0, "#0072b2"), (1, "#c44e00")):
            for side, mark in ((0, "o"), (1, "^")):
                chosen = (truth == person) & (found == side)
                label = f"person {person}, side {side}"
                axes.scatter(*test[chosen, :2].T, color=colour, marker=mark, s=22, alpha=0.7, label=label)
        axes.legend()
        figure.savefig(arguments.picture, dpi=100)


if __name__ == "__main__":
    main()
