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
from ..infer.dynamic import copied_tables
from ..kernels.forest_min import padding_mask
from ..kernels.online import DATA, INDEX, POINTER, ROWS, Task, Values, Work, learn_online
from ..kernels.simd import buffer
from ..kernels.structure import LATTICE
from ..losses import Margin, Perceptron, augmented
from ..optim import SGD
from ..plan import Block

if TYPE_CHECKING:
    from .train import Step

#: Seconds that a slice should take: ctrl-C waits as long.
SLICE = 0.05
#: Examples of the first slice; the following ones are sized by the clock.
FIRST_SLICE = 16
ROW_BYTES = 32
NONE, NO_JOB = np.zeros(0, np.int64), np.zeros((0, 3), np.int64)


def applies(step: Step) -> bool:
    """Whether one kernel can make these steps: one example at a time, SGD without l2, a perceptron or margin loss with
    complete answers, and nothing but forests of Linear factors whose features are sparse or None."""
    return (
        step.batch == 1
        and type(step.loss) in (Perceptron, Margin)
        and type(step.solver) in (Auto, DynamicProgramming)
        and type(step.rule) is SGD
        and step.rule.l2 == 0
        and bool((step.plan.kinds < LATTICE).all() and step.answers.complete.all())
        and all(
            type(factor) is Linear and isinstance(factor.features, Constant | Sparse)
            for _, factor in step.declared.graph.bound()
        )
    )


class Online:
    """The steps of `step`, for which `applies`, many at a time."""

    def __init__(self, step: Step):
        assert isinstance(step.rule, SGD)
        self.step, self.rule, self.plan, self.energies = step, step.rule, step.plan, step.energies
        dtype = self.energies.dtype
        linear = [(block, factor) for block, factor in step.declared.graph.bound() if isinstance(factor, Linear)]
        tied = {factor.param: None for _, factor in linear if factor.features.tied}
        names = [*tied, *(name for name in step.parameters if name not in tied)]
        strides = {name: _stride(step.parameters[name]) for name in names}
        ends = np.cumsum([0, *(len(step.parameters[name]) * strides[name] for name in names)]).tolist()
        base = dict(zip(names, ends))
        self.weights, self.offsets = buffer(ends[-1], dtype), np.zeros(ends[-1] if self.rule.average else 0)
        for name in names:
            step.parameters[name] = _moved(step.parameters[name], self.weights, base[name], strides[name])
            if self.rule.average:
                key = f"offset:{name}"
                step.state[key] = _moved(step.state[key], self.offsets, base[name], strides[name])
        self.linear = linear
        self.task, most = _task(step, linear, base, strides, ends[len(tied)])
        bias = None
        if isinstance(step.loss, Margin):
            bias = augmented(self.plan, step.answers, step.loss.scale, dtype).bias
        correct = step.answers.labels
        self.answers = correct, np.zeros_like(correct), np.zeros(0, dtype) if bias is None else bias
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
        """See Step.epoch."""
        state, step, at, count = self.step.state, self.step, 0, FIRST_SLICE
        ptr, components = step.declared.listed(order)
        made = np.concatenate([[0], np.cumsum(np.diff(ptr) > 0)])  # steps: examples without components make none
        rates = self.rule.rates(state["step"] + made[:-1], progress)
        values = self._values()
        while at < order.size:
            began = perf_counter()
            part = slice(at, min(at + count, order.size))
            done, loss = 0, 0.0
            if self.weights[: self.task.tied].min(initial=0.0) > -np.inf:
                done, loss = learn_online(
                    (ptr[part.start : part.stop + 1], components),
                    self.task,
                    self.plan.schedule,
                    self.plan.factors,
                    self.plan.states,
                    values,
                    self.answers,
                    (rates[part], state["total"]),
                    self.work,
                )
            if done:
                state["step"] += int(made[at + done] - made[at])
                state["total"] += float(made[at + done] - made[at])
                state["progress"] = float(progress[at + done - 1])
                count = max(1, min(4 * done, int(done * SLICE / (perf_counter() - began))))
                yield done, loss
            at += done
            if at < part.stop:  # an example that is not finite
                yield from step.epoch(order[at : at + 1], progress[at : at + 1])
                values = self._values()
                at += 1

    def _values(self) -> Values:
        """Parameters and energies, the tied tables filled."""
        for block, factor in self.linear:
            if factor.features.tied:
                block.view(self.energies)[:] = self.step.parameters[factor.param]
        return Values(self.weights, self.offsets, self.energies, copied_tables(self.plan, self.energies, NONE))


def _stride(parameter: np.ndarray) -> int:
    """Entries from one row of a parameter to the next: vectors of wide rows start at half cache lines."""
    width, half = prod(parameter.shape[1:]), ROW_BYTES // parameter.itemsize
    return width if width < 2 * half else -(-width // half) * half


def _moved(array: np.ndarray, to: np.ndarray, base: int, stride: int) -> np.ndarray:
    """The array as a view of `to`, where its numbers are now; its rows start every `stride` entries from `base` on."""
    rows = to[base : base + len(array) * stride].reshape(len(array), stride)
    view = rows[:, : prod(array.shape[1:])].reshape(array.shape)
    assert np.may_share_memory(view, to) or not view.size
    if array.any():  # pages that stay zero cost nothing
        view[:] = array
    return view


def _task(step: Step, bound: list[tuple[Block, Linear]], base: dict[str, int], strides: dict[str, int], tied: int) -> tuple[Task, int]:
    """What the kernel reads of the factors, and the most gradient entries that an example collects."""
    plan, count = step.plan, step.plan.n_components
    copies = dict(plan.extent.copies)
    blocks, jobs, owners, linear, orders = [], [NO_JOB], [NONE], [], [NONE]
    entries = np.zeros(count, np.int64)  # active features of all factors, by component
    pointers, features, values, ordered = 0, 0, 0, 0  # what of the concatenated arrays is taken
    for index, (block, factor) in enumerate(bound):
        x = factor.features
        columns = block.states[-1] if block.states else 1
        stride = strides[factor.param]
        line = [base[factor.param], x.count * stride, stride, block.size, block.start]
        line += [-1, -1, -1, -1, copies.get(index, -1), columns]
        blocks.append(line)
        if not block.states:  # a constant: nothing depends on it
            continue
        owner = plan.component[block.scopes[:, 0]]
        ends = np.cumsum(np.bincount(owner, minlength=count))
        begin = np.concatenate([[0], ends[:-1]])
        some = np.flatnonzero(ends > begin)
        jobs.append(np.stack([np.full(some.size, index), begin[some], ends[some]], 1))
        owners.append(some)
        if isinstance(x, Sparse):
            line[POINTER], line[INDEX] = pointers, features
            pointers, features = pointers + x.indptr.size, features + x.indices.size
            linear.append(x)
            if x.data.size:
                line[DATA], values = values, values + x.data.size
            if (owner[1:] < owner[:-1]).any():
                orders.append(np.argsort(owner, kind="stable"))
                line[ROWS], ordered = ordered, ordered + owner.size
            entries += np.bincount(owner, np.diff(x.indptr), count).astype(np.int64)
        else:
            entries += ends - begin
    owner = np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    ptr, components = step.declared.listed(np.arange(step.declared.count))
    total = np.concatenate([[0], np.cumsum(entries[components])])
    task = Task(
        np.searchsorted(owner[order], np.arange(count + 1)),
        np.concatenate(jobs)[order],
        np.array(blocks, np.int64),
        _joined([x.indptr for x in linear], np.int64),
        _joined([x.indices for x in linear], np.int32),
        _joined([x.data for x in linear if x.data.size], step.energies.dtype).astype(step.energies.dtype, copy=False),
        np.concatenate(orders),
        tied,
    )
    return task, 2 * int((total[ptr[1:]] - total[ptr[:-1]]).max(initial=0))


def _joined(arrays: list[np.ndarray], empty: Any) -> np.ndarray:
    """One after the other; a single one as it is."""
    return arrays[0] if len(arrays) == 1 else np.concatenate([np.zeros(0, empty), *arrays])
