"""The six questions of energy-based learning, and a hidden Markov model: one call each.

    python examples/six_questions.py [--quick] [--picture out.png]

An energy E(X, Y) says how badly an answer goes with an input. The same calls ask about answers and about inputs: what
is known is evidence, what is not is asked for. Questions about inputs make sense where energies of different inputs
compare, which most losses do not see to.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), section 1.
"""

import argparse
import warnings

import numpy as np

import factorgraph as fg


def six_questions():
    """E(X, Y): how badly animal Y goes with picture X."""
    animals = ["cat", "dog", "eel"]
    g = fg.FactorGraph()
    x = g.variables("x", states=["meadow", "sea"])
    y = g.variables("y", states=animals)
    g.add(fg.Table([[1.0, 0.5, 4.0], [3.0, 2.5, 0.0]]), x, y)

    print("E(meadow, cat):          ", fg.energy(g, {"x": 0, "y": 0}))
    print("best Y for X = meadow:   ", fg.solve(g, {"x": "meadow"}).states["y"])
    print("Y for X = meadow, ranked:", [s.states["y"] for s in fg.k_best(g, 3, {"x": "meadow"})])
    print("P(Y | X = meadow):       ", fg.marginals(g, evidence={"x": "meadow"}).variables["y"].round(3))
    print("best X for Y = eel:      ", fg.solve(g, {"y": "eel"}).states["x"])
    print("X for Y = eel, ranked:   ", [s.states["x"] for s in fg.k_best(g, 2, {"y": "eel"})])
    print("P(X | Y = eel):          ", fg.marginals(g, evidence={"y": "eel"}).variables["x"].round(3))


def hidden_markov_model():
    """Healthy or feverish on three days on which somebody felt normal, cold, dizzy. Energies: −log probabilities."""
    start = -np.log([0.6, 0.4])
    change = -np.log([[0.7, 0.3], [0.4, 0.6]])
    symptom = -np.log([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
    felt = [0, 1, 2]

    g = fg.FactorGraph()
    health = g.variables("health", shape=(3,), states=["healthy", "fever"])
    g.add(fg.Table(start), health[0])
    g.add(fg.Table(symptom[:, felt].T), health)  # one table per day
    g.add(fg.Table(change), health[:-1], health[1:])  # one table for all changes

    best = fg.solve(g)
    print("best days:               ", *best.states["health"], f"(energy {best.energy:.4f}, {best.status.name})")
    print("second best:             ", *fg.k_best(g, 2)[1].states["health"])
    print("P(fever) each day:       ", fg.marginals(g).variables["health"][:, 1].round(3))
    print("P(observations):         ", round(float(np.exp(fg.marginals(g).log_partition)), 4))
    print("fever on the second day? ", *fg.solve(g, {"health": [None, "fever", None]}).states["health"])


def inputs_that_do_not_compare():
    """Two models that give the same answers: one has a constant c(X) more. Ask the model before ranking its inputs."""

    def build(g, x):
        y = g.variables("y", states=2)
        g.add(fg.Table(np.array([x, 1.0])), y)

    def shifted(g, x):
        build(g, x)
        g.add(fg.Table(10.0 * (x < 0.5)))

    X, Y = [0.0, 0.75], [0, 0]
    for name, model in (("as it is", fg.Model(build)), ("c(X) added", fg.Model(shifted))):
        declared = model.declare(X)
        loss, _ = fg.losses.NLL()(declared.compile(), declared.graph.energies(), declared.read_answers(Y))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            energies = model.energies({}, X, Y, loss=fg.losses.NLL())
        print(f"{name + ':':25} answers {model.predict({}, X)}, loss {loss:.4f}, energies {energies}")
    print("what the model says:     ", str(caught[0].message).removeprefix("Model.energies: "))


def picture(path):
    """Six questions to one table: what is known, what is asked, what comes back."""
    from matplotlib.figure import Figure

    table, animals, places = np.array([[1.0, 0.5, 4.0], [3.0, 2.5, 0.0]]), ["cat", "dog", "eel"], ["meadow", "sea"]
    figure = Figure(figsize=(10, 3), layout="constrained")
    weights = np.exp(-table)
    parts = [
        (table, "E(X, Y), low is good", "bone"),
        (weights / weights.sum(1, keepdims=True), "P(Y | X): rows add to 1", "bone_r"),
        (weights / weights.sum(0), "P(X | Y): columns add to 1", "bone_r"),
    ]
    for axes, (values, title, colours) in zip(figure.subplots(1, 3), parts):
        axes.imshow(values, cmap=colours, aspect="auto")
        for (i, j), value in np.ndenumerate(values):
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", color="#c44e00", fontsize=13, weight="bold")
        axes.set_xticks(range(3), animals)
        axes.set_yticks(range(2), places)
        axes.set_title(title)
    figure.savefig(path, dpi=100)


def main():
    parser = argparse.ArgumentParser(description="The six questions of energy-based learning.")
    parser.add_argument("--quick", action="store_true", help="nothing here takes long")
    parser.add_argument("--picture", metavar="PATH", help="draw the table and its two distributions into this PNG")
    arguments = parser.parse_args()
    six_questions()
    hidden_markov_model()
    inputs_that_do_not_compare()
    if arguments.picture:
        picture(arguments.picture)


if __name__ == "__main__":
    main()
