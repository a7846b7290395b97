"""Cut a flower out of a photograph: two labels per pixel, solved exactly, and how sure every pixel is.

    python examples/image_segmentation.py                    # some seconds
    python examples/image_segmentation.py --quick            # a smaller picture
    python examples/image_segmentation.py --picture out.png  # also draw it

Boykov, Jolly, "Interactive graph cuts for optimal boundary and region segmentation of objects in N-D images" (2001).
"""

import argparse

import numpy as np
from sklearn.datasets import load_sample_image

import factorgraph as fg


def colour_energies(image, inside, outside):
    """E(x_i): minus the log density of a pixel's colour under a Gaussian of each region's colours."""
    energies = []
    for region in (outside, inside):
        colours = image[region]
        mean, covariance = colours.mean(0), np.cov(colours.T) + 1e-3 * np.eye(3)
        off = image - mean
        distance = np.einsum("hwi,ij,hwj->hw", off, np.linalg.inv(covariance), off)
        energies.append((distance + np.linalg.slogdet(covariance)[1]) / 2)
    return np.stack(energies, -1)


def contrast(here, there, strength):
    """E(x_i ≠ x_j): cutting between two pixels is cheap where their colours differ."""
    squared = ((here - there) ** 2).sum(-1)
    return strength * np.exp(-squared / (2 * squared.mean()))


def build(image, inside, outside, strength=6.0):
    """A grid of binary variables: every pixel is background (0) or flower (1)."""
    g = fg.FactorGraph()
    x = g.variables("pixel", shape=image.shape[:2], states=["background", "flower"])
    g.add(fg.Table(colour_energies(image, inside, outside)), x)
    g.add(fg.Potts(contrast(image[:, :-1], image[:, 1:], strength)), x[:, :-1], x[:, 1:])
    g.add(fg.Potts(contrast(image[:-1], image[1:], strength)), x[:-1], x[1:])
    return g


def main():
    parser = argparse.ArgumentParser(description="Cut a flower out of a photograph.")
    parser.add_argument("--quick", action="store_true", help="every fourth pixel only")
    parser.add_argument("--picture", metavar="PATH", help="draw the result into this PNG")
    arguments = parser.parse_args()

    step = 4 if arguments.quick else 1
    image = load_sample_image("flower.jpg")[::step, ::step] / 255.0
    height, width, _ = image.shape

    # What a user would scribble: a patch that is flower, and the frame of the picture, which is not.
    inside, outside = np.zeros((2, height, width), bool)
    inside[int(0.40 * height) : int(0.55 * height), int(0.40 * width) : int(0.55 * width)] = True
    outside[: height // 12], outside[:, : width // 12] = True, True
    labels = np.where(inside, 1, np.where(outside, 0, -1))

    # Equal labels of neighbours cost less than different ones (submodular): so a minimum cut is the best labelling.
    g = build(image, inside, outside)
    solution = fg.solve(g, evidence={"pixel": labels}, method="min-cut")
    print(solution.status)
    print(f"{(solution.labels['pixel'] == 1).mean():.1%} of {height * width} pixels are flower")

    # A min-marginal is the least energy of a picture in which a pixel has a label. The difference of a pixel's two is
    # what it costs to change its label, whatever happens around it: near 0, either will do.
    energies = fg.min_marginals(g, evidence={"pixel": labels}, method="min-cut").variables["pixel"]
    margin = np.minimum(abs(energies[..., 0] - energies[..., 1]), 20)  # pixels of the scribble have +inf
    print(f"{(margin < 2).mean():.1%} of the pixels would change their label for less than 2")

    if arguments.picture:
        draw(arguments.picture, image, solution.labels["pixel"], margin)


def draw(path, image, labels, margin):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(15, 4), layout="constrained")
    axes[0].imshow(image)
    axes[0].set_title("photograph")
    axes[1].imshow(np.where(labels[..., None] == 1, image, 1.0))
    axes[1].set_title("best labelling")
    shown = axes[2].imshow(margin, cmap="magma")
    axes[2].set_title("what it costs to change a pixel's label")
    figure.colorbar(shown, ax=axes[2])
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
