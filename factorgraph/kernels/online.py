"""Online learning by contrast over forests of linear factors: a slice of examples in one call.

For one example after the other, with its components c, features X and the correct labelling Y:

    E  = X w                                  own tables of c; tied ones are kept up to date
    Y* = argmin E + bias                      run_min.py for runs, forest_min.py for other forests
    ℓ  = Σ_c E_c(Y) − E_c(Y*) − bias(Y*)
    g  = Xᵀ (configurations(Y) − configurations(Y*))
    x ← x − (η / s) g, …                                   the step, online_update.py; scores are those of x

g has two entries for every active feature of a factor that differs, and nothing else is touched. It is summed before
it is applied, in the order and the arithmetic of the mini-batch path, so both give the same bits: a tie is broken the
same way, whatever the rate. An example whose energies are not finite where it matters is left to that path.
"""

from __future__ import annotations

import numpy as np

from .configurations import entry
from .forest_min import minimise_forest
from .jit import inner, kernel
from .linear import score_rows
from .messages import copy_general
from .online_update import BASE, BEGIN, BLOCK, DATA, END, INDEX, INTO, POINTER, SPAN, STRIDE, passive, update
from .run_min import minimise_run
from .schedule import FIRST, RUN_STEP, RUN_TURN, STATE, STATES, VAR
from .simd import get
from .structure import OFFSET

#: Spreads neighbouring keys; odd, so that in a table as large as the weights no two keys share a slot.
SPREAD = 0x9E3779B1


@inner
def _score(c, task, values):
    """Energies of the component's own tables; False where one may be NaN or −inf."""
    block = task.block
    zero = np.int64(0)  # a literal would compile score_rows anew
    fine = True
    for j in range(task.first[c], task.first[c + 1]):
        b = task.job[j, BLOCK]
        if block[b, POINTER] >= 0:
            fine &= score_rows(
                task.indptr[block[b, POINTER] + task.job[j, BEGIN] :],
                task.indices[block[b, INDEX] :],
                task.data[block[b, DATA] :] if block[b, DATA] >= 0 else task.data[:0],
                values.weights[block[b, BASE] : block[b, BASE] + block[b, SPAN]],
                block[b, STRIDE],
                task.indptr[:0],
                zero,
                task.job[j, END] - task.job[j, BEGIN],
                values.energies[task.job[j, INTO] :],
            )
    return fine


@inner
def _decode(components, task, schedule, values, bias, work, labels):
    """Best labels of one component, by the weights as they are; False where its minimum is not finite."""
    c = components[0]
    if not _score(c, task, values):
        return False
    _, _, energies, copies = values
    if schedule.run[c, RUN_STEP] != 0:
        least, _ = minimise_run(c, schedule, energies, copies, bias, work.mask, work.belief, labels)
    else:
        if schedule.entries.size > 0:
            copy_general(components, schedule, energies, copies)
        space = (work.belief, work.scratch)
        least = minimise_forest(c, schedule, energies, copies, bias, work.mask, space, labels)
    return abs(least) < np.inf


@inner
def _compare(c, schedule, bias, correct, labels):
    """Whether the labels are right, and their bias (that of the correct ones is 0)."""
    position = schedule.position
    first = schedule.component[c, FIRST]
    var = position[first, VAR]
    state = position[first, STATE]
    turn = schedule.run[c, RUN_TURN]
    run = turn != 0
    step = turn // position[first, STATES]
    right = True
    total = 0.0
    for i in range(schedule.component[c + 1, FIRST] - first):
        v = var + i * step if run else position[first + i, VAR]
        label = get(labels, v)
        if label != get(correct, v):
            right = False
            if bias.size > 0:
                total += np.float64(bias[(state + i * turn if run else position[first + i, STATE]) + label])
    return right, total


@inner
def _collect(key, amount, work, count):
    """Add to one entry of the gradient; `count` slots are taken."""
    last = work.keys.size - 1
    at = (key * SPREAD) & last
    while work.keys[at] != key:
        if work.keys[at] < 0:
            work.keys[at] = key
            work.amounts[at] = amount
            work.slots[count] = at
            return count + 1
        at = (at + 1) & last
    work.amounts[at] += amount
    return count


@inner
def _contrast(c, task, factors, states, energies, correct, labels, work, count):
    """Collect the gradient of one component; returns E(correct) − E(labels), float64, and the slots taken."""
    block = task.block
    total = 0.0
    f = factors.first[c]
    for j in range(task.first[c], task.first[c + 1]):
        b = task.job[j, BLOCK]
        for k in range(task.job[j, BEGIN], task.job[j, END]):
            x = entry(factors, states, f, correct)
            y = entry(factors, states, f, labels)
            at = factors.row[f, OFFSET]
            f += 1
            if x == y:
                continue
            total += np.float64(energies[at + x])
            total -= np.float64(energies[at + y])
            amount = energies.dtype.type(1)
            if block[b, POINTER] < 0:
                count = _collect(block[b, BASE] + x, amount, work, count)
                count = _collect(block[b, BASE] + y, -amount, work, count)
                continue
            t = block[b, POINTER] + k
            for e in range(task.indptr[t], task.indptr[t + 1]):
                row = block[b, BASE] + np.int64(task.indices[block[b, INDEX] + e]) * block[b, STRIDE]
                if block[b, DATA] >= 0:
                    amount = task.data[block[b, DATA] + e]
                count = _collect(row + x, amount, work, count)
                count = _collect(row + y, -amount, work, count)
    return total, count


@kernel
def learn_online(examples, task, schedule, factors, states, values, answers, pace, work):
    """One step per example, until the first that is not finite; returns how many were done, and their summed loss.

    examples = (ptr, components): example i has components[ptr[i] : ptr[i + 1]], int64; one without any is no step.
    answers = (correct, labels, bias): int32 (V,) the complete answers, int32 (V,) work space, bias empty for none.
    """
    ptr, components = examples
    correct, labels, bias = answers
    loss = 0.0
    for i in range(pace.rates.size):
        value = 0.0
        count = np.int64(0)
        fine = True
        for k in range(ptr[i], ptr[i + 1]):
            c = components[k]
            fine &= _decode(components[k : k + 1], task, schedule, values, bias, work, labels)
            right, offset = _compare(c, schedule, bias, correct, labels)
            if fine and not right:
                part, count = _contrast(c, task, factors, states, values.energies, correct, labels, work, count)
                value += part - offset
        fine &= abs(value) < np.inf
        if fine and ptr[i] < ptr[i + 1]:
            rate = pace.rates[i]
            if pace.limit > 0:
                rate = passive(value, pace, work, count)
            update(task, values, rate, pace.decays[i], pace, work, count)
        for k in range(count):
            work.keys[work.slots[k]] = -1
        if not fine:
            return i, loss
        loss += value
    return pace.rates.size, loss
