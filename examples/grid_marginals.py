"""How sure is each pixel? Marginals of a noisy picture, exactly and by four methods that take any graph.

    python examples/grid_marginals.py                    # a few seconds
    python examples/grid_marginals.py --quick            # a smaller picture
    python examples/grid_marginals.py --picture out.png  # also draw them

A picture of two colours in noise is a grid of binary variables. One so narrow can be summed exactly, by elimination;
wider ones can not. Then mean field and tree-reweighted messages bracket log Z, belief propagation estimates it, and a
Gibbs sampler tells marginals alone. Wainwright, Jordan, "Graphical models, exponential families, and variational
inference" (2008).
"""

import argparse

import numpy as np

import factorgraph as fg

METHODS = {
    "mean-field": "mean field",
    "sum-product": "belief propagation",
    "tree-reweighted": "tree-reweighted",
    "gibbs": "Gibbs sampling",
}


def scene(size, rng, noise=0.8):
    """(truth, measured): a disc and a bar, 1 on 0, in noise."""
    row, column = np.mgrid[:size, :size] / (size - 1)
    disc = (row - 0.38) ** 2 + (column - 0.4) ** 2 < 0.08
    truth = disc | (abs(row + column - 1.45) < 0.1)
    return truth.astype(int), truth + rng.normal(scale=noise, size=truth.shape)


def build(measured, noise=0.8, weight=0.9):
    """E(x_i) is the measurement's negative log-likelihood; neighbours that differ cost `weight`."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=measured.shape, states=2)
    g.add(fg.Table((measured[..., None] - [0.0, 1.0]) ** 2 / (2 * noise**2)), x)
    g.add(fg.Potts(weight), x[:, :-1], x[:, 1:])
    g.add(fg.Potts(weight), x[:-1], x[1:])
    return g


def main():
    parser = argparse.ArgumentParser(description="Marginals of a noisy picture by five methods.")
    parser.add_argument("--quick", action="store_true", help="10 × 10 pixels instead of 18 × 18")
    parser.add_argument("--picture", metavar="PATH", help="draw the marginals into this PNG")
    arguments = parser.parse_args()

    truth, measured = scene(10 if arguments.quick else 18, np.random.default_rng(3))
    g = build(measured)
    exact = fg.marginals(g)
    found = {name: fg.marginals(g, method=name) for name in METHODS}
    print(f"exact log Z  {exact.log_partition:.3f}")
    for name, result in found.items():
        off = abs(result.variables["x"] - exact.variables["x"])[..., 1]
        said = "does not tell log Z" if np.isnan(result.log_partition) else f"log Z {result.log_partition:.3f}"
        error = f"marginals off by {off.mean():.4f}, at most {off.max():.4f}"
        print(f"{METHODS[name]:<20} {result.kind:<9} {said:<20} {error}")
    lower, upper = (found[name].log_partition for name in ("mean-field", "tree-reweighted"))
    print(f"bracket      {lower:.3f} ≤ {exact.log_partition:.3f} ≤ {upper:.3f}")
    guess = exact.variables["x"].argmax(-1)
    alone = (measured > 0.5).astype(int)
    print(f"wrong pixels {np.mean(guess != truth):.1%} by exact marginals, {np.mean(alone != truth):.1%} one by one")

    if arguments.picture:
        images = {"measured": measured, "exact": exact.variables["x"][..., 1]}
        draw(arguments.picture, images | {METHODS[name]: m.variables["x"][..., 1] for name, m in found.items()})


def draw(path, images):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(images), figsize=(2.6 * len(images), 3), layout="constrained")
    for axis, (title, image) in zip(axes, images.items()):
        shown = axis.imshow(image, cmap="gray" if title == "measured" else "viridis", vmin=0, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    figure.colorbar(shown, ax=axes, shrink=0.8, label="probability of 1")
    figure.savefig(path, dpi=100)


if __name__ == "__main__":
    main()
