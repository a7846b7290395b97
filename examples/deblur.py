"""The best X for a given Y: a sharp picture that explains a blurred one, and how sure every pixel of it is.

    python examples/deblur.py                    # about half a minute
    python examples/deblur.py --quick            # a smaller picture, fewer draws
    python examples/deblur.py --picture out.png  # also draw it

Answers are real numbers here, so that descent takes the place of dynamic programming, and Hamiltonian Monte Carlo that
of marginals. Bounded slopes keep edges: Charbonnier, Blanc-Féraud, Aubert, Barlaud (1997).
"""

import argparse

import numpy as np
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_sample_image

import factorgraph as fg


class Blurred:
    """E(X, Y) = ‖blur(X) − Y‖² / 2σ² + λ Σ √((x_i − x_j)² + δ²) over neighbours i, j, with its gradient by X."""

    def __init__(self, seen, width, sigma, weight=20.0, delta=0.03):
        self.seen, self.width, self.sigma, self.weight, self.delta = seen, width, sigma, weight, delta

    def blur(self, image):
        return gaussian_filter(image, self.width, mode="wrap")  # symmetric: its own transpose

    def __call__(self, image):
        wrong = (self.blur(image) - self.seen) / self.sigma**2
        energy = 0.5 * self.sigma**2 * (wrong**2).sum()
        slope = self.blur(wrong)
        for axis in (0, 1):
            step = np.roll(image, -1, axis) - image
            size = np.sqrt(step**2 + self.delta**2)
            energy += self.weight * size.sum()
            slope += self.weight * (np.roll(step / size, 1, axis) - step / size)
        return energy, slope


def main():
    parser = argparse.ArgumentParser(description="Sharpen a blurred picture.")
    parser.add_argument("--quick", action="store_true", help="a quarter of the picture, 40 draws")
    parser.add_argument("--picture", metavar="PATH", help="draw the result into this PNG")
    arguments = parser.parse_args()

    size, draws = (64, 40) if arguments.quick else (128, 300)
    sharp = load_sample_image("china.jpg")[60 : 60 + size, 100 : 100 + size].mean(-1) / 255.0
    energy = Blurred(None, width=1.5, sigma=0.01)
    rng = np.random.default_rng(0)
    energy.seen = energy.blur(sharp) + rng.normal(0, energy.sigma, sharp.shape)

    found = fg.continuous.descend(energy, energy.seen, tolerance=1e-2, iterations=500)
    walk = fg.continuous.hamiltonian(energy, found.answer, draws, step=0.0012, leaps=40, burn=draws // 5)
    print(f"energy of the picture as seen {energy(energy.seen)[0]:.0f}, of the sharpest {found.energy:.0f}")
    for name, image in (("seen", energy.seen), ("sharpened", found.answer), ("mean of the draws", walk.draws.mean(0))):
        print(f"root mean square error, {name:17} {np.sqrt(((image - sharp) ** 2).mean()):.4f}")
    print(f"{walk.accepted:.0%} of the proposals accepted")

    if arguments.picture:
        unsure = walk.draws.std(0)
        draw(arguments.picture, {"sharp": sharp, "seen": energy.seen, "sharpened": found.answer}, unsure)


def draw(path, images, unsure):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(images) + 1, figsize=(16, 4), layout="constrained")
    for axis, (title, image) in zip(axes, images.items()):
        axis.imshow(image, cmap="gray", vmin=0, vmax=1)
        axis.set_title(title)
    shown = axes[-1].imshow(unsure, cmap="magma", vmin=0)
    axes[-1].set_title("standard deviation of the draws")
    figure.colorbar(shown, ax=axes[-1])
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(path, dpi=80)


if __name__ == "__main__":
    main()
