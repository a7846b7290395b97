"""From the image of a written line to a segmentation graph: candidate cuts, arcs between them, features of each arc.

Notation: ink p_j = sum of column j, v_j = p_{j-1} + p_j the ink on both sides of a cut before column j.

    cuts      j where v_j or p_{j-1} or p_j is a local minimum, or v_j < max p / 5; then the lightest of the next 2..4
              columns wherever two cuts are more than 4 apart; a blank gap has one cut, in its middle
    arcs      pairs of cuts at least 2 columns apart with 1..10 columns from the first to the last that holds ink
    features  that ink centred in 8x8 pixels (wider ink is resampled to 8 columns), and three of width

The cutter finds many more cuts than there are digits: which to use is left to the reader of the graph. Any inked image
has a path from the left edge to the right one. The structure is the segmentation graph of LeCun, Bottou, Bengio and
Haffner, "Gradient-based learning applied to document recognition" (1998), section VI.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from factorgraph.errors import FactorGraphError
from factorgraph.labelers.segmentation import Ints, Segmentation

#: Rows of a line image, and rows and columns of a segment's picture.
ROWS = 8
#: A column holds ink when its darkest pixel is above this.
INK = 0.12
#: Two cuts within ink are at most this many columns apart.
MAX_GAP = 4
#: An arc spans at least this many columns ...
MIN_WIDTH = 2
#: ... and at most this many from the first to the last that holds ink.
MAX_INK = 10
#: Entries of a segment's feature vector.
FEATURES = ROWS * ROWS + 3

Image = NDArray[np.float32]


def segment(image: ArrayLike) -> Segmentation:
    """The segmentation graph of a line image (8, W) with ink from 0 to 1; arcs are sorted by (start, end), cuts are
    columns, features those of `segment_features`.

    Raises FactorGraphError for an image that is not 8 rows high, not finite, not in 0..1, too narrow or blank.

    >>> graph = segment(np.tile([0, 1, 0, 0, 0, 1, 0], (8, 1)))
    >>> graph.cuts.tolist(), graph.start.tolist(), graph.end.tolist()
    ([0, 4, 7], [0, 0, 1], [1, 2, 2])
    """
    ink = check_image(image, "segment")
    extent = _extent(ink)
    cuts = _cuts(ink)
    start, end = _arcs(cuts, extent)
    return Segmentation(cuts, start, end, _features(ink, extent, cuts[start], cuts[end]))


def candidate_cuts(image: ArrayLike) -> Ints:
    """Columns before which the line may be cut, (n+1,) int64 increasing from 0 to W. Raises as `segment` does."""
    return _cuts(check_image(image, "candidate_cuts"))


def candidate_arcs(cuts: ArrayLike, image: ArrayLike) -> tuple[Ints, Ints]:
    """Pairs of cuts that may hold one character: (start, end), each (arcs,) int64 indices into `cuts`, sorted.

    Blank columns at the sides of a character do not count against its width.
    Raises FactorGraphError for cuts that are not increasing columns of the image, and as `segment` does.
    """
    ink = check_image(image, "candidate_arcs")
    columns = np.asarray(cuts)
    if columns.ndim != 1 or columns.dtype.kind not in "iu" or not _inside(columns, ink) or (np.diff(columns) < 1).any():
        raise FactorGraphError(
            f"candidate_arcs: expected cuts to be increasing columns within 0..{ink.shape[1]}; got {cuts!r}. "
            "candidate_cuts(image) makes them."
        )
    return _arcs(columns.astype(np.int64), _extent(ink))


def segment_features(image: ArrayLike, spans: ArrayLike) -> Image:
    """What a recogniser sees of each span: (arcs, 67) float32.

    spans: (arcs, 2) integers: span a is image[:, spans[a, 0]:spans[a, 1]].
    Entries 0..63 are the ink between the first and last inked columns, centred in 8x8 pixels (row-major; ink wider
    than 8 columns is resampled to 8); 64 and 66 are the width of that ink in units of 8 columns and its square, 65
    the width of the span (at most 11 columns). A blank span has zeros for all but its width.
    Raises FactorGraphError for spans that are not within the image, and as `segment` does.
    """
    ink = check_image(image, "segment_features")
    columns = np.asarray(spans)
    valid = columns.ndim == 2 and columns.shape[1] == 2 and columns.dtype.kind in "iu" and _inside(columns, ink)
    if not valid or (columns[:, 0] >= columns[:, 1]).any():
        raise FactorGraphError(
            f"segment_features: expected spans of shape (arcs, 2), integers with 0 <= start < end <= {ink.shape[1]}; "
            f"got shape {columns.shape}, {columns.dtype}. Segmentation.spans has this form."
        )
    return _features(ink, _extent(ink), columns[:, 0].astype(np.int64), columns[:, 1].astype(np.int64))


def check_image(image: ArrayLike, where: str) -> Image:
    """The image as float32 (8, W), or a FactorGraphError that says why it cannot be read."""
    raw: NDArray[Any] = np.asarray(image)
    if raw.ndim != 2 or raw.shape[0] != ROWS or raw.dtype.kind not in "fiub":
        raise FactorGraphError(
            f"{where}: expected one image of {ROWS} rows and W columns, of numbers; "
            f"got shape {raw.shape}, {raw.dtype}. Scale the line to {ROWS} rows and drop colour channels."
        )
    if raw.shape[1] < MIN_WIDTH:
        raise FactorGraphError(
            f"{where}: expected an image at least {MIN_WIDTH} columns wide; got {raw.shape[1]}. "
            "Pass the whole line, rows first."
        )
    ink = raw.astype(np.float32)
    low, high = ink.min(), ink.max()
    if not (low >= 0 and high <= 1):
        raise FactorGraphError(
            f"{where}: expected ink from 0 (paper) to 1; got values from {low} to {high}. "
            "Replace missing pixels and divide by the largest possible value."
        )
    if high <= INK:
        raise FactorGraphError(
            f"{where}: expected some pixel darker than {INK}; the darkest is {high}. "
            "The line is blank (or ink and paper are of one brightness): leave it out."
        )
    return ink


def _inside(columns: NDArray[Any], ink: Image) -> bool:
    return columns.size == 0 or bool(columns.min() >= 0 and columns.max() <= ink.shape[1])


def _inked(ink: Image) -> NDArray[np.bool_]:
    return np.asarray(ink.max(axis=0) > INK)


def _extent(ink: Image) -> tuple[Ints, Ints]:
    """first[j]: first inked column at or after j (W if none); last[j]: last inked one before j (-1 if none); (W+1,)."""
    width = ink.shape[1]
    inked = _inked(ink)
    first, last = np.full(width + 1, width), np.full(width + 1, -1)
    first[:-1][inked] = last[1:][inked] = np.flatnonzero(inked)
    return np.minimum.accumulate(first[::-1])[::-1], np.maximum.accumulate(last)


def _cuts(ink: Image) -> Ints:
    width = ink.shape[1]
    column = np.full(width + 2, np.inf, np.float32)  # [j + 1] is p_j
    column[1:-1] = ink.sum(axis=0)
    around = column[:-1] + column[1:]  # [j] is v_j, infinite at both edges
    valley = (around[1:-1] <= around[:-2]) & (around[1:-1] <= around[2:])
    lowest = (column[1:-1] <= column[:-2]) & (column[1:-1] <= column[2:])
    light = around[1:-1] < column[1:-1].max() / 5
    inked = _inked(ink)
    inside = inked[:-1] & inked[1:]  # [j - 1]: both neighbours of cut j hold ink
    inner = 1 + np.flatnonzero((valley | lowest[:-1] | lowest[1:] | light) & inside)
    runs = np.flatnonzero(np.diff(inked, prepend=False, append=False)).reshape(-1, 2)  # inked columns, [first, end)
    points = _filled(sorted({*inner.tolist(), *runs.ravel().tolist()}), around)
    middles = (runs[:-1, 1] + runs[1:, 0] + 1) // 2
    found = [*middles.tolist(), *(j for j in points if 0 < j < width and inside[j - 1])]
    # A cut one column from an edge would leave a piece too narrow for an arc.
    return np.array([0, *sorted(j for j in found if MIN_WIDTH <= j <= width - MIN_WIDTH), width])


def _filled(points: list[int], around: Image) -> list[int]:
    """The points, with more between any two that are over MAX_GAP apart: each the lightest within reach."""
    filled = points[:1]
    for point in points[1:]:
        while point - filled[-1] > MAX_GAP:
            reach = range(filled[-1] + 2, min(filled[-1] + MAX_GAP, point - 2) + 1)
            filled.append(min(reach, key=lambda j: float(around[j])))
        filled.append(point)
    return filled


def _arcs(cuts: Ints, extent: tuple[Ints, Ints]) -> tuple[Ints, Ints]:
    first, last = extent[0][cuts], extent[1][cuts]
    # From one start the ends are a range: far enough to hold ink, not so far as to hold more than MAX_INK columns.
    lower = np.maximum(np.searchsorted(cuts, cuts + MIN_WIDTH), np.searchsorted(last, first))
    count = np.maximum(np.searchsorted(last, first + MAX_INK) - lower, 0)
    start = np.repeat(np.arange(len(cuts)), count)
    end = np.arange(len(start)) + np.repeat(lower - (np.cumsum(count) - count), count)
    return start, end


def _features(ink: Image, extent: tuple[Ints, Ints], left: Ints, right: Ints) -> Image:
    first, last = extent
    begin, width = first[left], np.maximum(last[right] - first[left] + 1, 0)
    # Where in the ink each of the 8 picture columns lies: centred, or resampled where the ink is wider than 8.
    step, wide = np.arange(ROWS), width[:, None]
    position = np.where(wide <= ROWS, step - (ROWS - wide) // 2, step * (wide - 1) / (ROWS - 1))
    whole = np.floor(position).astype(np.int64)
    part = (position - whole).astype(np.float32)[:, :, None]
    columns = np.zeros((ink.shape[1] + 2, ROWS), np.float32)  # transposed, with blanks behind
    columns[:-2] = ink.T
    near = np.where((whole >= 0) & (whole < wide), begin[:, None] + whole, ink.shape[1])
    picture = columns[near] * (1 - part) + columns[near + 1] * part  # (arcs, 8 columns, 8 rows)
    out = np.empty((len(left), FEATURES), np.float32)
    out[:, :-3] = picture.transpose(0, 2, 1).reshape(len(left), ROWS * ROWS)
    out[:, -3] = width / ROWS
    out[:, -2] = np.minimum(right - left, MAX_INK + 1) / ROWS
    out[:, -1] = (width / ROWS) ** 2
    return out
