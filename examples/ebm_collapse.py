"""Why some losses collapse: learn Y = X² by an energy, with two architectures and seven losses.

    python examples/ebm_collapse.py                    # some minutes
    python examples/ebm_collapse.py --quick            # some seconds: two losses, few epochs
    python examples/ebm_collapse.py --picture out.png  # also draw the energy surfaces

Two architectures for an energy E(X, Y):

    (a) a regressor, E = |G(X) − Y|                 one value of Y is near G(X), all others are not: never flat
    (b) two encoders, E = Σ |G1(X) − G2(Y)|         flat where both networks are constant, and equal

The energy loss pulls E(X_i, Y_i) down and pushes nothing up. On (a) that is regression. On (b) it collapses: all
energies become 0. Losses that push wrong answers up do not.

LeCun, Chopra, Hadsell, Ranzato, Huang, "A tutorial on energy-based learning" (2006), section 2.3.
"""

import argparse

import numpy as np

import factorgraph as fg
from factorgraph import losses

GRID = np.linspace(0, 1, 41)  # the answers among which inference chooses
NEAR = 0.2  # answers this near to the correct one are not pushed up
CLIP = 5.0  # of the gradient by the energies


class Encoder:
    """A network from numbers to points: tanh(x a + b) C + c, or (two layers) one number."""

    def __init__(self, rng, outputs):
        self.a, self.b = rng.normal(0, 2, (1, 20)), rng.normal(0, 1, 20)
        self.c, self.d = rng.normal(0, 1 / np.sqrt(20), (20, outputs)), np.zeros(outputs)

    def __call__(self, x):
        hidden = np.tanh(x[:, None] * self.a + self.b)
        return hidden @ self.c + self.d, hidden

    def step(self, x, hidden, slope, rate):
        """One step down, for `slope` = ∂loss/∂output."""
        inside = (slope @ self.c.T) * (1 - hidden**2)
        self.c -= rate * hidden.T @ slope
        self.d -= rate * slope.sum(0)
        self.a -= rate * x[None] @ inside
        self.b -= rate * inside.sum(0)


class Encoders:
    """Architecture (b): E = Σ |G1(X) − G2(Y)|."""

    def __init__(self, rng):
        self.left, self.right = Encoder(rng, 10), Encoder(rng, 10)

    def energies(self, x, y):
        """(len(x), len(y))."""
        return np.abs(self.left(x)[0][:, None] - self.right(y)[0]).sum(-1)

    def forward(self, x, y):
        """Energies of every y beside one x, and how to learn from their gradient."""
        (one, hidden), (many, below) = self.left(x), self.right(y)
        signs = np.sign(one - many)

        def learn(gradient, rate):
            slope = gradient[:, None] * signs
            self.left.step(x, hidden, slope.sum(0, keepdims=True), rate)
            self.right.step(y, below, -slope, rate)

        return np.abs(one - many).sum(-1), learn


class Regressor:
    """Architecture (a): E = |G(X) − Y|."""

    def __init__(self, rng):
        self.network = Encoder(rng, 1)

    def energies(self, x, y):
        return np.abs(self.network(x)[0] - y)

    def forward(self, x, y):
        one, hidden = self.network(x)

        def learn(gradient, rate):
            self.network.step(x, hidden, (gradient * np.sign(one[0] - y)).sum()[None, None], rate)

        return np.abs(one[0] - y), learn


# The question to every sample: one variable, whose states are the grid and, first, the correct answer itself. Its
# energies come from outside. A loss gives back the gradient by them, which any network can learn from.
QUESTION = fg.FactorGraph()
QUESTION.add(fg.External("energies"), QUESTION.variables("y", states=1 + GRID.size))
PLAN = QUESTION.compile()
CORRECT = fg.plan.read_answers(PLAN, {"y": 0})


def train(model, loss, x, y, epochs, rate, seed):
    """One sample after the other, with a rate that falls to 0."""
    rng, steps, solver = np.random.default_rng(seed), epochs * x.size, fg.DynamicProgramming(threads=1)
    for step in range(steps):
        if step % x.size == 0:
            order = rng.permutation(x.size)
        i = order[step % x.size]
        energies, learn = model.forward(x[i : i + 1], np.append(y[i], GRID))
        asked = energies.copy()
        if loss.needs & losses.Needs.INCORRECT:  # the best answer that is really wrong
            asked[1:][np.abs(GRID - y[i]) <= NEAR] = np.inf
        _, gradient = loss(PLAN, asked, CORRECT, solver)
        learn(np.clip(gradient, -CLIP, CLIP), rate * (1 - step / steps))


def experiment(architecture, loss, epochs, rate, seed, samples=200):
    """(surface (41, 101) over (y, x), error of the best answers, range of the energies against that of the start,
    energies far from the curve minus those near it)."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, samples)
    model, across = architecture(rng), np.linspace(-1, 1, 101)
    before = model.energies(across, GRID)
    train(model, loss, x, x**2, epochs, rate, seed)
    surface = model.energies(across, GRID)
    error = np.sqrt(np.mean((GRID[surface.argmin(1)] - across**2) ** 2))
    far = np.abs(GRID - across[:, None] ** 2) > NEAR
    contrast = surface[far].mean() - surface[~far].mean()
    return surface.T, error, np.ptp(surface) / np.ptp(before), contrast


#: architecture, loss, epochs, rate
RUNS = [
    (Regressor, losses.Energy(), 60, 0.02),
    (Encoders, losses.Energy(), 300, 0.05),
    (Encoders, losses.Perceptron(), 60, 0.01),
    (Encoders, losses.Hinge(margin=2.0), 60, 0.01),
    (Encoders, losses.Log(), 60, 0.01),
    (Encoders, losses.SquareSquare(margin=2.0), 60, 0.005),
    (Encoders, losses.SquareExponential(), 60, 0.005),
    (Encoders, losses.NLL(), 60, 0.01),
]


def main():
    parser = argparse.ArgumentParser(description="Energy losses that collapse, and losses that do not.")
    parser.add_argument("--quick", action="store_true", help="two losses, few epochs")
    parser.add_argument("--picture", metavar="PATH", help="draw the surfaces into this PNG")
    arguments = parser.parse_args()

    # What can be said without any training: the value of a loss where all energies are equal.
    print("where all energies are 0, of 42 answers:")
    for _, loss, _, _ in RUNS[1:]:
        value, _ = loss(PLAN, np.zeros(PLAN.size), CORRECT)
        print(f"  {type(loss).__name__:18}{value:8.4f}", "nothing is lower: may collapse" * loss.flat_is_optimal)

    runs = RUNS
    if arguments.quick:
        runs = [(Encoders, losses.Energy(), 15, 0.05), (Encoders, losses.NLL(), 5, 0.01)]
    print("architecture  loss              error  range of energies  far − near")
    surfaces, titles = [], []
    for architecture, loss, epochs, rate in runs:
        surface, error, ratio, contrast = experiment(architecture, loss, epochs, rate, seed=0)
        name = f"{architecture.__name__:14}{type(loss).__name__:18}"
        print(f"{name}{error:5.3f}  {ratio:9.4f} × start  {contrast:10.3f}")
        surfaces.append(surface)
        titles.append(f"{architecture.__name__}, {type(loss).__name__}: error {error:.3f}")

    if arguments.picture:
        from factorgraph.plots import draw_surfaces

        across = np.linspace(-1, 1, 101)
        draw_surfaces(arguments.picture, surfaces, across, GRID, titles)


if __name__ == "__main__":
    main()
