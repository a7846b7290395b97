"""Inputs of the benchmarks: the same bytes for the same arguments, whatever the machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from factorgraph.datasets import ocr_words

#: CRFsuite's chunking templates: offsets into column 0 (word) or column 1 (part of speech).
TEMPLATES: tuple[tuple[int, tuple[int, ...]], ...] = (
    *((0, (o,)) for o in (-2, -1, 0, 1, 2)),
    *((0, o) for o in ((-1, 0), (0, 1))),
    *((1, (o,)) for o in (-2, -1, 0, 1, 2)),
    *((1, o) for o in ((-2, -1), (-1, 0), (0, 1), (1, 2))),
    *((1, o) for o in ((-2, -1, 0), (-1, 0, 1), (0, 1, 2))),
)

INFORMATIVE = 500  #: features that planted scores depend on; the tail is noise, as in text


class Grid(NamedTuple):
    """`unary` float32 (H, W, K), `pairwise` float32 (K, K): one table of all 2HW - H - W edges."""

    unary: np.ndarray
    pairwise: np.ndarray


class Tree(NamedTuple):
    """Edges parent[i] -> child[i], int64 (V - 1,); `unary` float32 (V, K).

    `pairwise` float32 (K, K), shared, or (V - 1, K, K): of each edge, [parent state, child state].
    """

    parent: np.ndarray
    child: np.ndarray
    unary: np.ndarray
    pairwise: np.ndarray


class Ragged(NamedTuple):
    """Chains of 20 to 180 tokens: chain n owns tokens offsets[n] to offsets[n + 1]; `unary` (T, K), `table` (K, K)."""

    offsets: np.ndarray
    unary: np.ndarray
    table: np.ndarray

    def head(self, count: int) -> Ragged:
        """At most the first `count` chains."""
        count = min(count, len(self.offsets) - 1)
        return Ragged(self.offsets[: count + 1], self.unary[: self.offsets[count]], self.table)

    @property
    def transitions(self) -> int:
        """Entries of all pairwise tables: what a sweep has to add and minimise."""
        return (len(self.unary) - len(self.offsets) + 1) * self.table.size


class Lines(NamedTuple):
    """Written lines: arcs ptr[n] to ptr[n + 1] of line n join nodes start -> end of 0 .. nodes[n] - 1, sorted.

    `energies` float32 (arcs, K); line n reads letters[spelled[n] : spelled[n + 1]].
    """

    ptr: np.ndarray
    nodes: np.ndarray
    start: np.ndarray
    end: np.ndarray
    energies: np.ndarray
    spelled: np.ndarray
    letters: np.ndarray


class Tagging(NamedTuple):
    """Ragged chains: chain n owns tokens offsets[n] to offsets[n + 1].

    `features` float32 CSR (T, F) of ones, `labels` int64 (T,) in range(`states`), `source` says where it is from.
    """

    offsets: np.ndarray
    features: sparse.csr_matrix
    labels: np.ndarray
    states: int
    source: str

    def left(self) -> np.ndarray:
        """Tokens that have a successor in their chain."""
        return followed(self.offsets)

    def examples(self) -> tuple[list[sparse.csr_matrix], list[np.ndarray]]:
        """Features and labels chain by chain."""
        spans = list(zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist()))
        return [self.features[a:b] for a, b in spans], [self.labels[a:b] for a, b in spans]


def followed(offsets: np.ndarray) -> np.ndarray:
    """Tokens that have a successor in their chain."""
    inner = np.ones(offsets[-1], bool)
    inner[offsets[1:] - 1] = False
    return np.flatnonzero(inner)


def grid(height: int, width: int, states: int, seed: int = 1) -> Grid:
    """Uniform unaries and a Potts table of weight 0.7."""
    rng = np.random.default_rng(seed)
    unary = 2 * rng.random((height, width, states), np.float32)
    return Grid(unary, np.float32(0.7) * (1 - np.eye(states, dtype=np.float32)))


def stereo(height: int = 288, width: int = 384, states: int = 16, seed: int = 2) -> np.ndarray:
    """Matching costs float32 (height, width, states) of a textured scene of rectangles, seen twice; at most 20."""
    rng = np.random.default_rng(seed)
    depth = np.full((height, width), 2)
    for _ in range(12):
        y, x = rng.integers(0, height - 40), rng.integers(0, width - 40)
        h, w = rng.integers(30, 120), rng.integers(30, 150)
        depth[y : y + h, x : x + w] = rng.integers(2, states)
    texture = np.pad(rng.uniform(0, 255, size=(height, width + states)), 1, mode="edge")
    texture = np.lib.stride_tricks.sliding_window_view(texture, (3, 3)).mean((2, 3))
    right = np.rint((texture - texture.min()) / (texture.max() - texture.min()) * 255)
    left = np.take_along_axis(right, np.arange(width) + states - 1 - depth, 1) + rng.normal(0, 12, (height, width))
    shifted = [right[:, states - 1 - k : states - 1 - k + width] for k in range(states)]
    return np.rint(np.minimum(np.abs(left[..., None] - np.stack(shifted, -1)), 20)).astype(np.float32)


def tree(variables: int, states: int, renamed: bool, seed: int = 3) -> Tree:
    """Random recursive tree: variable i hangs on a uniform earlier one; `renamed` permutes the names."""
    rng = np.random.default_rng(seed)
    child = np.arange(1, variables)
    parent = (rng.random(variables - 1) * child).astype(np.int64)
    if renamed:
        names = rng.permutation(variables)
        parent, child = names[parent], names[child]
    unary = rng.standard_normal((variables, states), np.float32)
    return Tree(parent, child, unary, rng.standard_normal((states, states), np.float32))


def edge_tables(edges: int, states: int, seed: int = 6) -> np.ndarray:
    """A table of its own for every edge, float32 (edges, K, K)."""
    return np.random.default_rng(seed).standard_normal((edges, states, states), np.float32)


def chains(count: int, length: int, states: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Equal chains: unaries float32 (count, length, K) and one table (K, K), all standard normal."""
    rng = np.random.default_rng(seed)
    unary = rng.standard_normal((count, length, states), np.float32)
    return unary, rng.standard_normal((states, states), np.float32)


def ragged(count: int, states: int, dtype: Any, seed: int = 0) -> Ragged:
    """`count` chains of 20 to 180 tokens, standard normal energies."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(20, 181, count))])
    unary = rng.standard_normal((offsets[-1], states), dtype)
    return Ragged(offsets, unary, rng.standard_normal((states, states), dtype))


def lines(count: int, arcs: int = 60, nodes: int = 18, states: int = 10, seed: int = 5) -> Lines:
    """Lines of `arcs` arcs over 1 to 4 cuts as handwriting has them: all of one cut, the longer ones at random; each
    is known to read the labels of one of its paths."""
    rng = np.random.default_rng(seed)
    start, length = (x.ravel() for x in np.meshgrid(np.arange(nodes - 1), np.arange(1, 5), indexing="ij"))
    inside = start + length < nodes
    start, end = start[inside], (start + length)[inside]
    rank = rng.random((count, len(start)))
    rank[:, end - start == 1] = 0
    kept = np.sort(np.argsort(rank, axis=1)[:, :arcs], axis=1)
    begins, ends = start[kept], end[kept]
    steps = []
    for line in range(count):
        at, steps_of_line = 0, 0
        while at < nodes - 1:
            at = rng.choice(ends[line, begins[line] == at])
            steps_of_line += 1
        steps.append(steps_of_line)
    spelled = np.concatenate([[0], np.cumsum(steps)])
    energies = rng.standard_normal((count * arcs, states), np.float32)
    letters = rng.integers(0, states, spelled[-1])
    ptr = np.arange(count + 1) * arcs
    return Lines(ptr, np.full(count, nodes), begins.ravel(), ends.ravel(), energies, spelled, letters)


def tagging(count: int | None = None) -> Tagging:
    """CoNLL-2000 chunking, or a synthetic set of its size without FACTORGRAPH_DATA; the first `count` chains."""
    folder = os.environ.get("FACTORGRAPH_DATA")
    data = _conll(Path(folder) / "conll2000" / "train.txt") if folder else synthetic_tagging()
    if count is None:
        return data
    end = data.offsets[count]
    return data._replace(offsets=data.offsets[: count + 1], features=data.features[:end], labels=data.labels[:end])


def synthetic_tagging(
    count: int = 8936, tokens: int = 211_727, features: int = 335_000, states: int = 22, active: int = 20, seed: int = 4
) -> Tagging:
    """Chains of CoNLL-2000's size: Zipf features, labels planted by a random linear chain.

    The feature of rank r is drawn with probability proportional to 1 / (r + 1); the frequent ones carry planted
    scores, and each token's label is the best of them given its left neighbour's label.
    """
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.multinomial(tokens - count, rng.dirichlet(np.full(count, 4.0)))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ranks = np.sort((features + 1) ** rng.random((tokens, active)) - 1, axis=1).astype(np.int64)
    fresh = np.ones(ranks.shape, bool)  # binary features: a repeated one counts once
    fresh[:, 1:] = ranks[:, 1:] != ranks[:, :-1]
    indptr = np.concatenate([[0], np.cumsum(fresh.sum(1))])
    matrix = _ones(ranks[fresh], indptr, features)
    planted = rng.standard_normal((features, states), np.float32)
    planted[INFORMATIVE:] = 0
    scores = matrix @ planted
    table = 3 * rng.standard_normal((states, states), np.float32)
    labels = np.empty(tokens, np.int64)
    for position in range(lengths.max()):  # all chains that are long enough, one step at a time
        at = offsets[:-1][lengths > position] + position
        labels[at] = (scores[at] if position == 0 else scores[at] + table[labels[at - 1]]).argmax(1)
    return Tagging(offsets, matrix, labels, states, "synthetic")


def _conll(path: Path) -> Tagging:
    lines = path.read_text(encoding="utf-8").splitlines()
    blank = np.array([not line.strip() for line in lines])
    ends = np.flatnonzero(np.append(blank, True))
    lengths = np.diff(ends, prepend=-1) - 1
    offsets = np.concatenate([[0], np.cumsum(lengths[lengths > 0])])
    words, tags, chunks = zip(*(line.split() for line in lines if line.strip()))
    columns = [np.unique(np.array(column), return_inverse=True)[1] for column in (words, tags)]
    names, labels = np.unique(np.array(chunks), return_inverse=True)
    ids = np.full((len(labels), len(TEMPLATES) + 2), -1, np.int64)
    base = 0
    for k, (rows, keys) in enumerate(_templates(columns, offsets)):
        distinct, inverse = np.unique(keys, return_inverse=True)
        ids[rows, k] = base + inverse
        base += len(distinct)
    ids[offsets[:-1], -2] = base  # first and last token of a sentence
    ids[offsets[1:] - 1, -1] = base + 1
    indptr = np.concatenate([[0], np.cumsum((ids >= 0).sum(1))])
    return Tagging(offsets, _ones(ids[ids >= 0], indptr, base + 2), labels, len(names), "CoNLL-2000")


def _templates(columns: list[np.ndarray], offsets: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each template the tokens whose window lies in their sentence, and a key of what the window holds."""
    token = np.arange(offsets[-1])
    chain = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    begin, end = offsets[chain], offsets[chain + 1]
    for column, window in TEMPLATES:
        values = columns[column]
        radix = int(values.max()) + 1
        rows = token[(token + min(window) >= begin) & (token + max(window) < end)]
        keys = np.zeros(len(rows), np.int64)
        for offset in window:
            keys = keys * radix + values[rows + offset]
        yield rows, keys


def _ones(indices: np.ndarray, indptr: np.ndarray, features: int) -> sparse.csr_matrix:
    data = np.ones(len(indices), np.float32)
    return sparse.csr_matrix((data, indices.astype(np.int32), indptr.astype(np.int32)), (len(indptr) - 1, features))


class Letters(NamedTuple):
    """Words written letter by letter: `pixels` float32 (L, 129) each, the last of them 1; `labels` int64 (L,) each in
    range(26); `folds` int64 (words,) from 0 to 9."""

    pixels: list[np.ndarray]
    labels: list[np.ndarray]
    folds: np.ndarray
    source: str

    def of_folds(self, folds: set[int], most: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Pixels and labels of the words in some folds, at most so many of them."""
        chosen = np.flatnonzero(np.isin(self.folds, list(folds)))[:most].tolist()
        return [self.pixels[i] for i in chosen], [self.labels[i] for i in chosen]


def letters() -> Letters:
    """The OCR letters of FACTORGRAPH_DATA, or as many synthetic words without it: noisy letters of random shapes."""
    folder = os.environ.get("FACTORGRAPH_DATA")
    if not folder:
        rng = np.random.default_rng(5)
        lengths, shapes = rng.integers(3, 13, 6877), rng.random((26, 128)) < 0.3
        labels = [rng.integers(0, 26, n) for n in lengths]
        pixels = [np.hstack([shapes[y] ^ (rng.random((len(y), 128)) < 0.2), np.ones((len(y), 1))]) for y in labels]
        return Letters([x.astype(np.float32) for x in pixels], labels, rng.integers(0, 10, 6877), "synthetic")
    words = ocr_words()
    pixels = [np.hstack([x, np.ones((len(x), 1), np.float32)]) for x in words.pixels]
    return Letters(pixels, words.labels, words.folds, "OCR letters")
