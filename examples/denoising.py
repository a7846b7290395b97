"""Take the noise out of a photograph: a grey level per pixel, neighbours alike, edges kept.

    python examples/denoising.py                    # about half a minute
    python examples/denoising.py --quick            # a smaller picture, fewer levels
    python examples/denoising.py --picture out.png  # also draw it

Boykov, Veksler, Zabih, "Fast approximate energy minimization via graph cuts" (2001).
"""

import argparse

import numpy as np
from sklearn.datasets import load_sample_image

import factorgraph as fg


def build(image, levels, weight=0.5, most=0.35):
    """A grid of variables that choose among grey levels.

    E(x_i) is the distance of the level from what was measured, bounded so that a wild pixel counts no more than a bad
    one. E(x_i, x_j) is the distance of two neighbours' levels, bounded as well: an edge costs the same however high.
    """
    values = np.linspace(0, 1, levels)
    g = fg.FactorGraph()
    x = g.variables("level", shape=image.shape, states=levels)
    g.add(fg.Table(np.minimum(abs(image[..., None] - values), 0.4)), x)
    apart = fg.Table(weight * np.minimum(abs(values[:, None] - values), most))
    g.add(apart, x[:, :-1], x[:, 1:])
    g.add(apart, x[:-1], x[1:])
    return g


def main():
    parser = argparse.ArgumentParser(description="Take the noise out of a photograph.")
    parser.add_argument("--quick", action="store_true", help="every eighth pixel, 8 grey levels")
    parser.add_argument("--picture", metavar="PATH", help="draw the result into this PNG")
    arguments = parser.parse_args()

    step, levels = (8, 8) if arguments.quick else (2, 32)
    clean = load_sample_image("china.jpg")[::step, ::step].mean(-1) / 255.0
    rng = np.random.default_rng(0)
    noisy = clean + rng.normal(scale=0.1, size=clean.shape)
    wild = rng.random(clean.shape) < 0.05
    noisy[wild] = rng.random(wild.sum())

    # An expansion asks every pixel at once whether it takes one certain level, and answers by a minimum cut. It starts
    # at what every pixel would choose by itself, and ends where no expansion lowers the energy.
    g = build(noisy, levels)
    solution = fg.solve(g, method="expansion")
    alone = np.rint(np.clip(noisy, 0, 1) * (levels - 1)).astype(int)
    print(f"energy of every pixel's own choice {fg.energy(g, {'level': alone}):.1f}")
    print(f"energy after expansions            {solution.energy:.1f}")
    restored = solution.labels["level"] / (levels - 1)
    for name, image in (("noisy", noisy), ("restored", restored)):
        print(f"root mean square error of the {name} picture {np.sqrt(((image - clean) ** 2).mean()):.3f}")

    if arguments.picture:
        draw(arguments.picture, {"photograph": clean, "with noise": noisy, f"restored, {levels} levels": restored})


def draw(path, images):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(images), figsize=(15, 4), layout="constrained")
    for axis, (title, image) in zip(axes, images.items()):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title)
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
