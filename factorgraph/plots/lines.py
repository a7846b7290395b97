"""Lines of writing as they were read, planes and surfaces of energies."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import FactorGraphError
from .canvas import CUT, DPI, FRAME, RIGHT, TEXT, WRONG, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Ink that would be drawn black: full ink is dark grey, so that cuts stand out.
DARKEST = 1.15
# All lengths are in pixels of the picture.
WIDTH = 1200
MARGIN, GUTTER, TITLE = 24, 40, 48
#: Left of each image: the truth, a word and its symbols. Below it: the reading. Then a gap.
WORD, SYMBOL, READING, GAP = 62, 11, 28, 18
#: Arcs that are less probable are not drawn.
LEAST = 0.01
#: Symbols of a truth that are printed at most.
LONGEST = 24
#: At most this many pixels of the picture per pixel of an image, each way; a whole number unless the image is huge.
ZOOM = 12


def draw_lines(
    path: str | os.PathLike[str],
    images: Sequence[ArrayLike],
    cuts: Sequence[ArrayLike],
    readings: Sequence[Sequence[Any]],
    truths: Sequence[Sequence[Any]],
    title: str | None = None,
) -> None:
    """Draw lines of writing with the chosen cuts, the reading and the truth: a PNG 1200 pixels wide.

    images:   each (rows, W), ink from 0 (paper) to 1.
    cuts:     for each line the L+1 columns that bound its L segments, increasing within 0..W; empty where L = 0.
    readings: for each line the L symbols read, printed under their segments; empty where nothing could be read.
    truths:   for each line the symbols written. A line is right when its reading equals its truth.
    The file is replaced in one step, so nobody ever sees half a picture.
    Raises FactorGraphError when the arguments do not fit together or matplotlib is not installed.
    """
    pictures = [np.asarray(image, np.float32) for image in images]
    bounds = [np.asarray(c) for c in cuts]
    _check(pictures, bounds, readings, truths)
    columns = min(2, len(pictures))
    room = (WIDTH - 2 * MARGIN - (columns - 1) * GUTTER) // columns
    aside = WORD + SYMBOL * max(len(_text(truth)) for truth in truths)
    zoom = min(ZOOM, (room - aside) / max(picture.shape[1] for picture in pictures))
    zoom = zoom if zoom < 1 else int(zoom)
    cell = int(zoom * max(picture.shape[0] for picture in pictures)) + READING + GAP
    top = MARGIN if title is None else MARGIN + TITLE
    figure, axes = _canvas(top + cell * -(-len(pictures) // columns) - GAP + MARGIN)
    if title is not None:
        _write(axes, MARGIN, MARGIN, title, fontsize=17, weight="bold", va="top")
    for k, line in enumerate(zip(pictures, bounds, readings, truths, strict=True)):
        x, y = MARGIN + k % columns * (room + GUTTER), top + k // columns * cell
        _draw_line(axes, (x, y, x + aside), zoom, *line)
    axes.set(xlim=(0, WIDTH), ylim=(figure.get_figheight() * DPI, 0))
    save(figure, Path(path))


def draw_lattice(
    path: str | os.PathLike[str],
    image: ArrayLike,
    cuts: ArrayLike,
    spans: ArrayLike,
    chances: ArrayLike,
    readings: Sequence[Sequence[Any]],
    segments: Sequence[ArrayLike],
    energies: Sequence[float],
) -> None:
    """Draw a line of writing, its candidate cuts, its likely arcs, and what it may say, the best reading first: a PNG.

    spans: (arcs, 2) columns; chances: (arcs, symbols), of lying on the path. Of reading r, symbol i is written between
    the columns segments[r][i]; energies[r] stands beside it. Raises FactorGraphError as draw_lines does.
    """
    ink, arcs, likely = np.asarray(image, np.float32), np.asarray(spans), np.asarray(chances).sum(1)
    figure = new_figure("draw_lattice", WIDTH / DPI, 6.0)
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    top.imshow(ink, cmap="gray_r", vmin=0, vmax=DARKEST, extent=(0, ink.shape[1], ink.shape[0], 0), aspect="auto")
    top.vlines(np.asarray(cuts), 0, ink.shape[0], color=CUT, linewidth=1.0)
    shown = [a for a in np.argsort(-likely, kind="stable") if likely[a] > LEAST]
    for row, (reading, parts, energy) in enumerate(zip(readings, segments, energies, strict=True)):
        colour = RIGHT if row == 0 else WRONG
        for symbol, (left, right) in zip(reading, np.asarray(parts), strict=True):
            below.plot([left + 0.1, right - 0.1], [-row, -row], color=colour, linewidth=2)
            below.text((left + right) / 2, -row + 0.1, str(symbol), color=colour, ha="center", weight="bold")
        below.text(ink.shape[1] + 0.3, -row, f"{energy:.2f}", color=colour, va="center")
    for row, a in enumerate(shown, start=1):
        below.plot(arcs[a] + [0.1, -0.1], [row, row], color=TEXT, linewidth=4, alpha=float(min(1.0, likely[a])))
        below.text(arcs[a, 1], row, f" {likely[a]:.2f}", color=TEXT, va="center", fontsize=8)
    below.set(yticks=[0, 1], yticklabels=["readings", "likely arcs"], xlim=(0, ink.shape[1] + 3))
    top.set(yticks=[], title="candidate cuts, likely arcs and their probabilities, readings and their energies")
    save(figure, Path(path))


def draw_plane(
    path: str | os.PathLike[str],
    correct: ArrayLike,
    incorrect: ArrayLike,
    margin: float = 0.0,
    title: str | None = None,
) -> None:
    """Draw the plane of energies of correct answers (across) and of the best incorrect ones (up): a square PNG.

    correct, incorrect: (n,) energies, as `collapse_report` has them; pairs that are not finite are left out. Below the
    diagonal answers are wrong, above the line E_c + margin = E_i they are right by the margin.
    Raises FactorGraphError as draw_lines does.
    """
    pairs = np.stack([np.ravel(np.asarray(side, np.float64)) for side in np.broadcast_arrays(correct, incorrect)])
    pairs = pairs[:, np.isfinite(pairs).all(0)]
    if not pairs.size:
        raise FactorGraphError("draw_plane: expected at least one pair of finite energies; got none.")
    figure, axes = _chart(title)
    low, high = float(pairs.min()), float(max(pairs.max(), pairs[0].max() + margin))
    room = 0.06 * (high - low or 1.0)
    ends = np.array([low - room, high + room])
    axes.fill_between(ends, ends, ends[0], color=WRONG, alpha=0.07, linewidth=0)
    axes.fill_between(ends, ends + margin, ends[1], color=RIGHT, alpha=0.07, linewidth=0)
    axes.plot(ends, ends, color=TEXT, linewidth=1.2, label="E correct = E incorrect")
    if margin:
        axes.plot(ends, ends + margin, color=CUT, linewidth=1.2, linestyle="--", label=f"… by a margin of {margin:g}")
    right = pairs[0] < pairs[1]
    for chosen, colour, mark, word in ((right, RIGHT, "o", "right"), (~right, WRONG, "x", "wrong")):
        if chosen.any():
            label = f"{word}: {np.count_nonzero(chosen)}"
            across, up = pairs[:, chosen]
            axes.scatter(across, up, s=26, color=colour, marker=mark, alpha=0.75, label=label)
    axes.set(xlim=ends, ylim=ends, xlabel="energy of the correct answer", ylabel="energy of the best incorrect answer")
    axes.set_aspect("equal")
    axes.legend(loc="lower right", frameon=True)
    save(figure, Path(path))


def draw_surfaces(
    path: str | os.PathLike[str],
    surfaces: Sequence[ArrayLike],
    x: ArrayLike,
    y: ArrayLike,
    titles: Sequence[str] = (),
    points: tuple[ArrayLike, ArrayLike] | None = None,
) -> None:
    """Draw energy surfaces E(x, y) side by side, dark where energies are low, with the best y for every x: a PNG.

    surfaces: each (len(y), len(x)). points: (x, y) of examples. Each surface has its own scale, printed below it.
    Raises FactorGraphError where the shapes do not fit, and as draw_lines does.
    """
    across, up = np.asarray(x, np.float64), np.asarray(y, np.float64)
    grids = [np.asarray(surface, np.float64) for surface in surfaces]
    if not grids or any(grid.shape != (up.size, across.size) for grid in grids):
        raise FactorGraphError(
            f"draw_surfaces: expected surfaces of shape {(up.size, across.size)}, (len(y), len(x)); got "
            f"{[grid.shape for grid in grids]}."
        )
    columns = min(3, len(grids))
    rows = -(-len(grids) // columns)
    figure = new_figure("draw_surfaces", 4.0 * columns, 3.7 * rows)
    for i, grid in enumerate(grids):
        axes = figure.add_subplot(rows, columns, i + 1)
        axes.pcolormesh(across, up, grid, cmap="bone", shading="nearest", rasterized=True)
        if points is not None:
            axes.scatter(*points, s=5, color=CUT, alpha=0.6)
        axes.plot(across, up[grid.argmin(0)], color=WRONG, linewidth=1.4)
        axes.set_title(titles[i] if i < len(titles) else "", fontsize=12)
        axes.set_xlabel(f"energies {grid.min():.3g} … {grid.max():.3g}")
    figure.tight_layout()
    save(figure, Path(path))


def _chart(title: str | None) -> tuple[Figure, Axes]:
    figure = new_figure("draw_plane", 7.0, 7.0)
    axes = figure.add_subplot()
    if title is not None:
        axes.set_title(title, fontsize=14)
    return figure, axes


def _draw_line(
    axes: Axes,
    corner: tuple[float, float, float],
    zoom: float,
    image: NDArray[np.float32],
    cuts: NDArray[Any],
    reading: Sequence[Any],
    truth: Sequence[Any],
) -> None:
    """One line: verdict and truth from x, the image from `left`, both from y downwards."""
    x, y, left = corner
    right, bottom = left + zoom * image.shape[1], y + zoom * image.shape[0]
    correct = list(reading) == list(truth)
    colour = RIGHT if correct else WRONG
    middle = (y + bottom) / 2
    _write(axes, x, middle - 2, "✓ right" if correct else "✗ wrong", color=colour, fontsize=14, weight="bold")
    _write(axes, x, middle + 6, "truth " + _text(truth), fontsize=12, va="top")
    extent = (left, right, bottom, y)
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=DARKEST, interpolation="nearest", extent=extent, aspect="auto")
    axes.plot([left, right, right, left, left], [y, y, bottom, bottom, y], color=FRAME, linewidth=0.8)
    at = left + zoom * cuts
    if len(at):
        axes.vlines(at, y - 4, bottom + 4, color=CUT, linewidth=1.6)
    under: dict[str, Any] = {"color": colour, "fontsize": 15, "weight": "bold", "ha": "center", "va": "top"}
    for symbol, centre in zip(reading, (at[:-1] + at[1:]) / 2, strict=True):
        _write(axes, centre, bottom + 5, str(symbol), **under)


def _check(
    images: list[NDArray[np.float32]],
    cuts: list[NDArray[Any]],
    readings: Sequence[Sequence[Any]],
    truths: Sequence[Sequence[Any]],
) -> None:
    counts = (len(images), len(cuts), len(readings), len(truths))
    if counts[0] == 0 or len(set(counts)) > 1:
        raise FactorGraphError(
            "draw_lines: expected as many cuts, readings and truths as images, and at least one; got "
            f"{counts[0]} images, {counts[1]} cuts, {counts[2]} readings, {counts[3]} truths. "
            "Pass one of each per line."
        )
    for i, (image, columns, reading) in enumerate(zip(images, cuts, readings, strict=True)):
        if image.ndim != 2 or image.size == 0:
            raise FactorGraphError(
                f"draw_lines: expected image {i} of shape (rows, W); got {image.shape}. Drop colour channels."
            )
        count = len(reading) + 1 if len(reading) else 0
        valid = columns.shape == (count,) and (np.diff(columns) > 0).all()
        if not valid or (count and not (columns[0] >= 0 and columns[-1] <= image.shape[1])):
            raise FactorGraphError(
                f"draw_lines: expected for line {i} the {count} increasing columns within 0..{image.shape[1]} that "
                f"bound its {len(reading)} segments; got {columns.tolist()}. Include both ends."
            )


def _canvas(height: int) -> tuple[Figure, Axes]:
    """A white figure with one invisible pair of axes over all of it."""
    figure = new_figure("draw_lines", WIDTH / DPI, height / DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    return figure, axes


def _write(axes: Axes, x: float, y: float, text: str, **style: Any) -> None:
    defaults: dict[str, Any] = {"family": "DejaVu Sans", "color": TEXT, "va": "bottom", "parse_math": False}
    axes.text(x, y, text, **defaults | style)


def _text(symbols: Sequence[Any]) -> str:
    text = "".join(map(str, symbols))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
