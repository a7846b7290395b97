"""TRW-S on grids whose pairs are Potts, truncated linear or truncated quadratic: the wavefront of kernels/wave.py."""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

import numpy as np

from ..kernels.minsum import unary_costs
from ..kernels.simd import VECTOR_BYTES, buffer
from ..kernels.structure import OFFSET, SCOPE
from ..kernels.wave import Heights, Law, Wave, wave_backward, wave_bound, wave_caps, wave_fill, wave_forward
from ..kernels.wave_moves import Metric, Strip, wave_move, wave_round
from ..plan import Asked, Plan
from ..plan.grids import Grid

#: Edges' messages that one kernel call computes at most, times labels: far below 100 ms.
SLICE = 2e7

#: Potts and linear distances of any reach (see wave.Law).
POTTS, CHAIN = 0, -1


class Pairs(NamedTuple):
    """Pair energies of a grid: caps of edges, float64; rate and power as in Metric; steps float64 (2, reach + 1)."""

    right: np.ndarray
    down: np.ndarray
    rate: np.ndarray
    power: int
    steps: np.ndarray


def read_pairs(grid: Grid, energies: np.ndarray) -> Pairs | None:
    """What kind of pairs a grid has, by the numbers; None if the wavefront does not know it."""
    if grid.potts:
        right, down = (energies[at].astype(np.float64) for at in (grid.right, grid.down))
        most = max(right.max(), down.max())
        if not (min(right.min(), down.min()) >= 0 and most < np.inf):
            return None
        return Pairs(right, down, np.array([most, most]), 1, np.zeros((2, 1)))
    size = grid.states * grid.states
    tables = [energies[at[0, 0] : at[0, 0] + size].reshape(grid.states, -1) for at in (grid.right, grid.down)]
    rows = [row for table in tables if (row := _distances(np.asarray(table, np.float64))) is not None]
    if len(rows) < 2:
        return None
    caps = [float(row.max()) for row in rows]
    right, down = (np.broadcast_to(cap, at.shape) for cap, at in zip(caps, (grid.right, grid.down), strict=True))
    for power in (1, 2):
        rate = np.array([row[1] for row in rows])
        apart = np.arange(float(grid.states)) ** power
        if all(np.allclose(row, np.minimum(c, r * apart), 1e-6, 0) for row, r, c in zip(rows, rate, caps, strict=True)):
            reach = max(int(np.count_nonzero(row < cap)) - 1 for row, cap in zip(rows, caps, strict=True))
            return Pairs(right, down, rate, power, np.stack(rows)[:, : max(0, reach) + 1])
    return None


def _distances(table: np.ndarray) -> np.ndarray | None:
    """steps[d] with table[a, b] = steps[|a − b|], ascending from 0; None where there are none."""
    row = table[0]
    apart = np.abs(np.subtract.outer(np.arange(row.size), np.arange(row.size)))
    fine = row.size > 1 and row[0] == 0 and row[-1] < np.inf and (np.diff(row) >= 0).all()
    return row if fine and (table == row[apart]).all() else None


class GridMessages:
    """The state of one grid: messages, labels of the last rounding."""

    def __init__(self, grid: Grid, pairs: Pairs, asked: Asked):
        self.grid, self.asked = grid, asked
        dtype = asked.energies.dtype
        lanes = VECTOR_BYTES // dtype.itemsize
        blocks, steps = -(-grid.height // lanes), grid.width + lanes - 1
        size, entries = grid.states * lanes, blocks * steps * grid.states * lanes
        shape = np.array([blocks, steps, grid.width, grid.states, grid.height])
        edges = (blocks * steps + 1) * lanes
        right, down = buffer(entries + size, dtype), buffer(entries + size, dtype)
        self.wave = Wave(buffer(entries, dtype), right, down, buffer(edges, dtype), buffer(edges, dtype), shape)
        wave_caps(pairs.right, False, self.wave)
        wave_caps(pairs.down, True, self.wave)
        self.excess = self._fill()
        reach = pairs.steps.shape[1] - 1
        steps_of = pairs.steps.astype(dtype).ravel()
        linear = pairs.power == 1 and reach > 2
        self.law = Law(pairs.rate[:, None] * np.arange(2.0), CHAIN) if linear else Law(steps_of, reach)
        self.law = self.law._replace(steps=self.law.steps.astype(dtype).ravel())
        self.exact = Law(pairs.steps.ravel().copy(), reach)
        self.metric = Metric(pairs.rate.astype(dtype), pairs.power)
        self.space, self.wide = _heights(dtype, lanes, grid.states, reach), _heights(np.float64, 8, grid.states, reach)
        self.row = np.zeros(grid.width * grid.states)
        longest = max(grid.height, grid.width)
        self.strip = Strip(*(buffer(n * lanes, dtype) for n in (longest * grid.states, longest, grid.states, 4, 1)))
        self.lanes = buffer(edges, dtype)
        self.step = max(1, int(SLICE / (steps * size)))
        unary = float(np.abs(self.wave.unary).max())
        # each of `pixels` terms is a sum of a dozen numbers no larger than this
        self.rounding = 2.0**-52 * (16 + steps + blocks) * entries / grid.states * (unary + 4 * _most(pairs))

    def _fill(self) -> float:
        plan, energies, bias, components = self.asked
        grid, factors = self.grid, plan.factors
        pixels = grid.height * grid.width
        rows = factors.row[factors.first[components[0]] : factors.first[components[0] + 1] + 1]
        unaries = np.flatnonzero(np.diff(rows[:, SCOPE]) == 1)
        pixel = factors.var[rows[unaries, SCOPE]] - grid.first
        start = np.full(pixels, -1, np.int64)
        if bias.size == 0 and np.bincount(pixel, minlength=pixels).max(initial=0) <= 1:
            start[pixel] = rows[unaries, OFFSET]
            return float(wave_fill(energies, start, self.wave))
        unary = np.zeros(plan.variable_states)
        unary_costs(factors, components, plan.states, plan.offsets, energies, bias, unary)
        start[:] = plan.offsets[grid.first] + grid.states * np.arange(pixels)
        return float(wave_fill(unary, start, self.wave))

    def iterate(self, active: np.ndarray, deadline: float, look: bool) -> np.ndarray | None:
        """See trws.Engine; the bound is that of the messages between the two passes."""
        proven = -np.inf
        for b in self._ranges():
            wave_forward(*b, self.wave, self.law, self.space)
            if perf_counter() > deadline:
                return None
        if look:
            self.row[:] = 0
            total = sum(wave_bound(*b, self.wave, self.exact, self.wide, self.row) for b in self._ranges()[::-1])
            proven = total - self.excess - self.rounding
        for b in self._ranges()[::-1]:
            wave_backward(*b, self.wave, self.law, self.space)
            if perf_counter() > deadline:
                return None
        return np.array([proven])

    def _ranges(self) -> list[tuple[int, int]]:
        blocks = int(self.wave.shape[0])
        return [(b, min(b + self.step, blocks)) for b in range(0, blocks, self.step)]

    def round(self, labels: np.ndarray) -> None:
        """See trws.Engine; in raster order, energies towards the labelled and messages from the others."""
        for b in self._ranges():
            wave_round(*b, self.wave, self.metric, self.space.consts, self.lanes, self._raster(labels))

    def improve(self, labels: np.ndarray, deadline: float) -> None:
        """See trws.Engine: every other row, the other rows, every other column, the other columns."""
        for way in range(2):
            for parity in range(2):
                self.move(way, parity, labels)

    def search(self, labels: np.ndarray, random: np.random.Generator) -> None:
        """See trws.Engine: the same moves in any order."""
        for i in random.permutation(4):
            self.move(int(i) % 2, int(i) // 2, labels)

    def move(self, way: int, parity: int, labels: np.ndarray) -> None:
        """The best labels of rows (way 0) or columns parity, parity + 2, …, all others as they are; in place."""
        chains = (self.grid.height, self.grid.width)[way]
        strips = -(-(chains - parity) // (2 * VECTOR_BYTES // self.wave.unary.itemsize))
        step = max(1, int(SLICE / self.strip.belief.size))
        for s in range(0, strips, step):
            index = (s, min(s + step, strips), way, parity, self.wave, self.law, self.metric)
            wave_move(*index, self.space, self.strip, self._raster(labels))

    def _raster(self, labels: np.ndarray) -> np.ndarray:
        return labels[self.grid.first : self.grid.first + self.grid.height * self.grid.width]


def _most(pairs: Pairs) -> float:
    return float(max(pairs.right.max(initial=0), pairs.down.max(initial=0)))


def _heights(dtype: np.dtype | type, lanes: int, labels: int, reach: int) -> Heights:
    """Scratch of one thread."""
    room, guard = labels * lanes, max(1, reach) * lanes
    side, below = (buffer(room + 2 * guard, dtype, np.inf) for _ in range(2))
    consts = np.array([0.5, np.inf, 0, 1], dtype)
    return Heights(buffer(room, dtype), side, below, buffer(2 * room, dtype), consts)


def grid_messages(plan: Plan, asked: Asked) -> GridMessages | None:
    """The wavefront of the one component asked, if it is a grid that it knows with finite unary energies."""
    grid = plan.grids.get(int(asked.components[0]))
    pairs = None if grid is None else read_pairs(grid, asked.energies)
    if grid is None or pairs is None:
        return None
    messages = GridMessages(grid, pairs, asked)
    return messages if messages.excess < np.inf else None
