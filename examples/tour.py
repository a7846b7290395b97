"""The six questions of energy-based learning, and a hidden Markov model: one call each.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), section 1.
"""

import numpy as np

import factorgraph as fg


def six_questions():
    """E(X, Y): how badly animal Y goes with picture X."""
    animals = ["cat", "dog", "eel"]
    g = fg.FactorGraph()
    x = g.variables("x", states=["meadow", "sea"])
    y = g.variables("y", states=animals)
    g.add(fg.Table([[1.0, 0.5, 4.0], [3.0, 2.5, 0.0]]), x, y)

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


if __name__ == "__main__":
    six_questions()
    hidden_markov_model()
