"""See depth with two eyes: find, for every pixel of the left picture, how far it has moved in the right one.

    python examples/stereo.py                    # some seconds
    python examples/stereo.py --quick            # a smaller scene
    python examples/stereo.py --picture out.png  # also draw it

Scharstein, Szeliski, "A taxonomy and evaluation of dense two-frame stereo correspondence algorithms" (2002).
"""

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter

import factorgraph as fg


def scene(height, width, disparities, rng):
    """A left and a right picture of boards and a disc before a wall, covered with random texture; true disparities."""
    truth = np.full((height, width), 2)
    rows, columns = np.indices(truth.shape)
    for depth, (top, left, bottom, right) in (
        (5, (0.1, 0.05, 0.6, 0.45)),
        (8, (0.35, 0.55, 0.9, 0.95)),
        (disparities - 3, (0.6, 0.1, 0.9, 0.3)),
    ):
        truth[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = depth
    truth[(rows - 0.4 * height) ** 2 + (columns - 0.5 * width) ** 2 < (0.2 * height) ** 2] = disparities - 5
    right = gaussian_filter(rng.random((height, width + disparities)), 0.7)
    right = (right - right.min()) / np.ptp(right)
    left = np.take_along_axis(right, columns + disparities - 1 - truth, 1)
    return left + rng.normal(scale=0.06, size=left.shape), right, truth


def build(left, right, disparities, weight=0.05, most=2):
    """A grid of variables that choose a disparity.

    E(x_i) compares the pixel with the one that it would be in the right picture, bounded, as some pixels are hidden
    there. E(x_i, x_j) grows with the difference of two neighbours' disparities, up to a bound: surfaces may end.
    """
    width = left.shape[1]
    shifted = np.stack([right[:, disparities - 1 - k :][:, :width] for k in range(disparities)], -1)
    steps = abs(np.subtract.outer(np.arange(disparities), np.arange(disparities)))
    g = fg.FactorGraph()
    x = g.variables("disparity", shape=left.shape, states=disparities)
    g.add(fg.Table(np.minimum(abs(left[..., None] - shifted), 0.2)), x)
    apart = fg.Table(weight * np.minimum(steps, most))
    g.add(apart, x[:, :-1], x[:, 1:])
    g.add(apart, x[:-1], x[1:])
    return g


def main():
    parser = argparse.ArgumentParser(description="See depth with two eyes.")
    parser.add_argument("--quick", action="store_true", help="a smaller scene")
    parser.add_argument("--picture", metavar="PATH", help="draw the result into this PNG")
    arguments = parser.parse_args()

    height, width, disparities = (60, 80, 12) if arguments.quick else (240, 320, 16)
    left, right, truth = scene(height, width, disparities, np.random.default_rng(0))
    g = build(left, right, disparities)
    alone = g.energies()[: truth.size * disparities].reshape(*truth.shape, disparities).argmin(-1)

    # An expansion asks every pixel at once whether it takes one certain disparity, and answers by a minimum cut.
    found = {"every pixel alone": alone}
    found["expansions"] = fg.solve(g, method="expansion").labels["disparity"]

    # Messages raise a bound with every pass, and labellings are rounded from them: the gap says how good these are at
    # least, and when it closes nothing can be better.
    gaps = []
    for passes in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        solution = fg.solve(g, method=fg.TRWS(iterations=passes, kicks=0))
        gaps.append((passes, solution.energy, solution.bound))
        if solution.status == fg.Status.OPTIMAL:
            break
    found["TRW-S"] = solution.labels["disparity"]
    for name, labels in found.items():
        wrong = (abs(labels - truth) > 1).mean()
        print(f"{name:<18} energy {fg.energy(g, {'disparity': labels}):8.2f}, wrong by more than one: {wrong:5.1%}")
    print(f"after {passes} passes the gap is {solution.gap:.3g} ({solution.status})")

    if arguments.picture:
        draw(arguments.picture, left, {"true disparity": truth, **found}, np.array(gaps))


def draw(path, left, maps, gaps):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (*axes, last) = pyplot.subplots(1, 2 + len(maps), figsize=(20, 3.4), layout="constrained")
    axes[0].imshow(left, cmap="gray")
    axes[0].set_title("left picture")
    for axis, (title, labels) in zip(axes[1:], maps.items()):
        axis.imshow(labels, cmap="viridis", vmin=0, vmax=maps["true disparity"].max())
        axis.set_title(title)
    for axis in axes:
        axis.set_axis_off()
    passes, energies, bounds = gaps.T
    last.fill_between(passes, bounds, energies, alpha=0.3, label="gap")
    last.plot(passes, energies, label="energy of the labels")
    last.plot(passes, bounds, label="bound of all")
    last.set(xscale="log", xlabel="passes there and back", title="TRW-S")
    last.legend()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
