"""Online epochs without a Python step per example: the same steps, to the bit, in slices of one kernel call each.

What one kernel can do (kernels/online.py) is decided by `applies`; everything else is trained step by step. The
parameters and the averaging state become views of two flat arrays, so that the kernel, the step-by-step path (which
takes over wherever energies are not finite) and checkpoints all see the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from ..factors import Linear
from ..factors.features import Constant, Sparse
from ..infer import Auto, DynamicProgramming
from ..infer.tables import copied_tables
from ..kernels.forest_min import padding_mask
from ..kernels.messages import GENERAL
from ..kernels.online import learn_online
from ..kernels.online_update import COPY, DATA, INDEX, POINTER, START, Pace, Task, Values, Work
from ..kernels.schedule import FIRST, FORM, RUN_STEP, RUN_UNARY, TABLE, UNARY, Schedule
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE, OFFSET
from ..losses import Margin, Perceptron
from ..optim import SGD, PassiveAggressive
from ..optim.sgd import PENDING
from ..plan import Block
from ..plan.plan import frozen
from .model import ranges
from .step import Steps

if TYPE_CHECKING:
    from .step import Learner

#: Seconds that a slice should take: ctrl-C waits as long.
SLICE = 0.05
#: Examples of the first slice; the following ones are sized by the clock.
FIRST_SLICE = 16
#: Bytes to which wide rows of parameters are padded: a vector never touches three cache lines.
HALF_LINE = 32
NONE, NO_JOB = np.zeros(0, np.int64), np.zeros((0, 4), np.int64)


def applies(learner: Learner) -> bool:
    """Whether one kernel can make these steps: one example at a time, SGD without l1 or passive-aggressive steps, a
    perceptron or margin loss with complete answers, and nothing but forests of Linear factors whose features are
    sparse or None."""
    optimizer = learner.optimizer
    return (
        learner.batch == 1
        and type(learner.loss) in (Perceptron, Margin)
        and type(learner.solver) in (Auto, DynamicProgramming)
        and (type(optimizer) is PassiveAggressive or (type(optimizer) is SGD and optimizer.l1 == 0))
        and bool((learner.plan.kinds < LATTICE).all() and learner.answers.complete.all())
        and all(
            type(factor) is Linear and isinstance(factor.features, Constant | Sparse)
            for _, factor in learner.graph.bound()
        )
    )


class Online(Steps):
    """The steps of a learner for which `applies`, many at a time."""

    def __init__(self, learner: Learner, rule: SGD | PassiveAggressive):
        super().__init__(learner, rule)
        self.plan, self.limit, self.squared, self.l2 = learner.plan, 0.0, False, 0.0
        if isinstance(rule, SGD):
            self.l2 = float(rule.l2)
        else:
            self.limit, self.squared = float(rule.limit), bool(rule.squared)
        dtype = learner.energies.dtype
        self.linear = [(block, factor) for block, factor in learner.graph.bound() if isinstance(factor, Linear)]
        lazy = any(not factor.features.tied for _, factor in self.linear)
        self.pending = PENDING if lazy else 1.0
        tied = {factor.param: None for _, factor in self.linear if factor.features.tied}
        names = [*tied, *(name for name in learner.parameters if name not in tied)]
        strides = {name: _stride(learner.parameters[name]) for name in names}
        ends = np.cumsum([0, *(len(learner.parameters[name]) * strides[name] for name in names)], dtype=int).tolist()
        base = dict(zip(names, ends))
        self.weights, self.offsets = buffer(ends[-1], dtype), np.zeros(ends[-1] if rule.average else 0)
        for name in names:
            learner.parameters[name] = _view(learner.parameters[name], self.weights, base[name], strides[name])
            if rule.average:
                key = f"offset:{name}"
                learner.state[key] = _view(learner.state[key], self.offsets, base[name], strides[name])
        self.layout = _Layout(learner, self.linear, base, strides, ends[len(tied)])
        bias = None
        if isinstance(learner.loss, Margin):
            bias = learner.loss.question(self.plan, learner.answers, dtype).bias
        correct = learner.answers.labels
        self.answers = correct, np.zeros_like(correct), np.zeros(0, dtype) if bias is None else bias
        most = self.layout.most
        slots = 1 << (max(1, min(2 * most, ends[-1])) - 1).bit_length()
        self.work = Work(
            buffer(self.plan.extent.belief, dtype),
            np.empty(self.plan.extent.table, dtype),
            padding_mask(dtype),
            np.full(slots, -1, np.int64),
            np.zeros(slots, dtype),
            np.zeros(min(most, slots), np.int64),
            np.zeros(min(most, slots)),
        )

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """See Loop.epoch."""
        learner, state, layout, at, count = self.learner, self.learner.state, self.layout, 0, FIRST_SLICE
        ptr, components = learner.declared.listed(order)
        made = np.concatenate([[0], np.cumsum(np.diff(ptr) > 0)])  # steps: examples without components make none
        rates = np.zeros(order.size)
        if isinstance(self.rule, SGD):
            rates[:] = self.rule.rates(state["step"] + made[:-1], progress)
        values = self._values()
        while at < order.size:
            began = perf_counter()
            part = slice(at, min(at + count, order.size))
            done, loss = 0, 0.0
            running = np.array([state.get("scale", 1.0), state["total"]])
            if self.weights[: layout.task.tied].min(initial=0.0) > -np.inf:
                done, loss = learn_online(
                    (ptr[part.start : part.stop + 1], components),
                    layout.task,
                    layout.schedule,
                    layout.factors,
                    self.plan.states,
                    values,
                    self.answers,
                    Pace(rates[part], 1.0 - rates[part] * self.l2, running, self.pending, self.limit, self.squared),
                    self.work,
                )
            if done:
                state["step"] += int(made[at + done] - made[at])
                state |= {"total": float(running[1])} | ({"scale": float(running[0])} if "scale" in state else {})
                state["progress"] = float(progress[at + done - 1])
                count = max(1, min(4 * done, int(done * SLICE / (perf_counter() - began))))
                yield done, loss
            at += done
            if at < part.stop:  # an example that is not finite
                yield from super().epoch(order[at : at + 1], progress[at : at + 1])
                values = self._values()
                at += 1

    def _values(self) -> Values:
        """Parameters, and energies in which the tied tables are filled."""
        energies = buffer(self.layout.size, self.learner.energies.dtype)
        for index, (block, factor) in enumerate(self.linear):
            if factor.features.tied:
                table = block.view(self.learner.energies)
                table[:] = self.learner.parameters[factor.param]
                start = self.layout.task.block[index, START]
                energies[start : start + block.size] = table.ravel()
        return Values(self.weights, self.offsets, energies, copied_tables(self.plan, self.learner.energies, NONE))


def _stride(parameter: np.ndarray) -> int:
    """Entries from one row of a parameter to the next: wide rows are padded to whole halves of a cache line."""
    width, half = prod(parameter.shape[1:]), HALF_LINE // parameter.itemsize
    return width if width < 2 * half else -(-width // half) * half


def _view(array: np.ndarray, to: np.ndarray, base: int, stride: int) -> np.ndarray:
    """The array as a view of `to`, where its numbers are now; its rows start every `stride` entries from `base` on."""
    rows = to[base : base + len(array) * stride].reshape(len(array), stride)
    view = rows[:, : prod(array.shape[1:])].reshape(array.shape)
    assert np.may_share_memory(view, to) or not view.size
    if array.any():  # pages that stay zero cost nothing
        view[:] = array
    return view


class _Layout:
    """Where the kernel finds what: `task`, and the plan's `schedule` and `factors` with energies laid out anew.

    Tied tables come first. Behind them all components have their own tables in one place, of `size` entries in all;
    the tables of a block lie there in the order of its factors, padded as the rows of its parameter are. most: the
    largest number of gradient entries of an example.
    """

    def __init__(
        self,
        learner: Learner,
        linear: list[tuple[Block, Linear]],
        base: dict[str, int],
        strides: dict[str, int],
        tied: int,
    ):
        self.plan = plan = learner.plan
        count, copies = plan.n_components, dict(plan.extent.copies)
        self.starts = np.array([block.start for block, _ in linear], np.int64)
        self.sizes = np.array([block.size for block, _ in linear], np.int64)
        self.first = np.concatenate([[0], np.cumsum([block.tables for block, _ in linear], dtype=np.int64)])
        self.new = np.zeros(self.first[-1], np.int64)  # where table t of block b starts: at [first[b] + t]
        common = 0
        for index, (block, factor) in enumerate(linear):
            if factor.features.tied:
                self.new[self.first[index]] = common
                common += -(-block.size // 16) * 16
        room = np.full(count, common)  # where each component's next table goes
        active = np.zeros(count, np.int64)  # features of all factors, by component
        blocks, jobs, owners, sparse = [], [NO_JOB], [NONE], []
        pointers = indices = data = 0  # what of the joined arrays is taken
        for index, (block, factor) in enumerate(linear):
            x, stride, start = factor.features, strides[factor.param], self.new[self.first[index]]
            columns = block.states[-1] if block.states else 1
            line = [base[factor.param], x.count * stride, stride, block.size, columns, -1, -1, -1, start]
            blocks.append([*line, copies.get(index, -1)])
            if not block.states:  # a constant, which no answer changes
                continue
            owner = plan.component[block.scopes[:, 0]]
            each = np.bincount(owner, minlength=count)
            ends = np.cumsum(each)
            some = np.flatnonzero(each)
            jobs.append(np.stack([np.full(some.size, index), (ends - each)[some], ends[some], room[some]], 1))
            owners.append(some)
            if not isinstance(x, Sparse):
                active += each
                continue
            order = np.argsort(owner, kind="stable")
            rank = np.arange(order.size) - (ends - each)[owner[order]]
            self.new[self.first[index] + order] = room[owner[order]] + rank * stride
            room += each * stride
            active += np.bincount(owner, np.diff(x.indptr), count).astype(np.int64)
            sparse.append(_sorted(x, order))
            blocks[-1][POINTER], blocks[-1][INDEX] = pointers, indices
            pointers, indices = pointers + x.indptr.size, indices + x.indices.size
            if x.data.size:
                blocks[-1][DATA], data = data, data + x.data.size
        owner = np.concatenate(owners)
        by_component = np.argsort(owner, kind="stable")
        dtype = learner.energies.dtype
        self.task = Task(
            np.searchsorted(owner[by_component], np.arange(count + 1)),
            np.concatenate(jobs)[by_component],
            np.array(blocks, np.int64).reshape(-1, COPY + 1),
            _joined([x[0] for x in sparse], np.int64),
            _joined([x[1] for x in sparse], np.int32),
            _joined([x[2] for x in sparse if x[2].size], dtype).astype(dtype, copy=False),
            tied,
        )
        self.size = int(room.max(initial=common))
        ptr, components = learner.declared.listed(np.arange(learner.declared.count))
        total = np.concatenate([[0], np.cumsum(active[components])])
        self.most = 2 * int((total[ptr[1:]] - total[ptr[:-1]]).max(initial=0))
        row = plan.factors.row.copy()
        row[:-1, OFFSET] = self._moved(row[:-1, OFFSET])
        self.factors = plan.factors._replace(row=frozen(row))
        self.schedule = self._schedule()

    def _moved(self, offsets: np.ndarray) -> np.ndarray:
        """Entries of the energies as the plan has them, laid out anew."""
        block = np.searchsorted(self.starts, offsets, side="right") - 1
        table, entry = np.divmod(offsets - self.starts[block], self.sizes[block])
        moved: np.ndarray = self.new[self.first[block] + table] + entry
        return moved

    def _schedule(self) -> Schedule:
        """The plan's, with the new offsets. A run whose tables are no longer evenly spaced is swept as a forest."""
        plan = self.plan
        edge, entries, run = plan.schedule.edge.copy(), plan.schedule.entries.copy(), plan.schedule.run.copy()
        unary = self._moved(plan.schedule.unary)
        general = edge[:, FORM] == GENERAL
        edge[~general, TABLE] = self._moved(edge[~general, TABLE])
        points = entries >= 0
        points[edge[general, TABLE] - 2] = points[edge[general, TABLE] - 1] = False
        entries[points] = self._moved(entries[points])
        position, first = plan.schedule.position, plan.schedule.component[:, FIRST]
        runs = np.flatnonzero(run[:, RUN_STEP])
        begin, length = position[first[runs], UNARY], first[runs + 1] - first[runs]
        run[runs, RUN_UNARY], run[runs, RUN_STEP] = unary[begin], unary[begin + 1] - unary[begin]
        own = np.repeat(np.arange(runs.size), length)
        step = np.arange(own.size) - np.repeat(np.cumsum(length) - length, length)
        uneven = unary[begin[own] + step] != unary[begin][own] + step * run[runs, RUN_STEP][own]
        run[runs[own[uneven]], RUN_STEP] = 0
        return plan.schedule._replace(edge=frozen(edge), entries=frozen(entries), run=frozen(run), unary=frozen(unary))


def _sorted(x: Sparse, order: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """indptr, indices and data of the rows in this order."""
    if (order[1:] > order[:-1]).all():
        return x.indptr, x.indices, x.data
    length = np.diff(x.indptr)[order]
    places = ranges(x.indptr[order], length)
    return np.concatenate([[0], np.cumsum(length)]), x.indices[places], x.data[places] if x.data.size else x.data


def _joined(arrays: list[np.ndarray], empty: Any) -> np.ndarray:
    """One after the other; a single one as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, empty), *arrays])
