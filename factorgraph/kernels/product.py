"""The product of a lattice with a deterministic acceptor: only paths whose string is accepted remain.

A product node is a live pair (lattice node, acceptor state): reachable from the start and able to reach an accepting
end. A product arc (arc, q → r) keeps the states k of the arc with δ[q, k] = r.
"""

from __future__ import annotations

import numpy as np

from .jit import kernel


@kernel
def live_pairs(start, end, states, nodes, delta, accepting, live):
    """Mark live[node · Q + q] ∈ {0, 1}; arcs sorted by start; δ is (Q, K) int32 with −1 for "no". Returns how many
    product nodes there are, all accepting ends counted as one."""
    count = delta.shape[0]
    for x in range(nodes * count):
        live[x] = 0
    live[0] = 1
    for a in range(start.size):
        for q in range(count):
            if live[start[a] * count + q]:
                for k in range(states[a]):
                    if delta[q, k] >= 0:
                        live[end[a] * count + delta[q, k]] = 1
    sink = nodes - 1
    for q in range(count):
        live[sink * count + q] = 3 if live[sink * count + q] and accepting[q] else 0
    for a in range(start.size - 1, -1, -1):
        for q in range(count):
            if live[start[a] * count + q] == 1:
                for k in range(states[a]):
                    if delta[q, k] >= 0 and live[end[a] * count + delta[q, k]] == 3:
                        live[start[a] * count + q] = 3
    total = 0
    for x in range(sink * count):
        live[x] = 1 if live[x] == 3 else 0
        total += live[x]
    ends = 0
    for q in range(count):
        live[sink * count + q] = 1 if live[sink * count + q] == 3 else 0
        ends = max(ends, np.int64(live[sink * count + q]))
    return total + ends


@kernel
def product_arcs(start, end, states, nodes, delta, live, number, arcs, choices):
    """Arcs of the product, sorted by their first node.

    Writes arcs[i] = (arc, q, r, first node, last node, number of states) and the kept states to `choices`, as far
    as those have room (count with room 0 first). `number` (nodes · Q,) receives the product nodes' numbers; all
    accepting ends share the last one. Returns (arcs, choices).
    """
    count = delta.shape[0]
    sink = nodes - 1
    total = 0
    for x in range(sink * count):
        number[x] = total
        total += live[x]
    for q in range(count):
        number[sink * count + q] = total
    written = 0
    chosen = 0
    a = 0
    while a < start.size:
        b = a
        while b < start.size and start[b] == start[a]:
            b += 1
        for q in range(count):
            if not live[start[a] * count + q]:
                continue
            for i in range(a, b):
                for k in range(states[i]):
                    r = delta[q, k]
                    if r < 0 or not live[end[i] * count + r]:
                        continue
                    kept = 0
                    for j in range(states[i]):
                        if delta[q, j] == r:
                            if j < k:  # this arc came with its first state
                                break
                            if chosen + kept < choices.size:
                                choices[chosen + kept] = j
                            kept += 1
                    if kept:
                        if written < arcs.shape[0]:
                            arcs[written, 0] = i
                            arcs[written, 1] = q
                            arcs[written, 2] = r
                            arcs[written, 3] = number[start[i] * count + q]
                            arcs[written, 4] = number[end[i] * count + r]
                            arcs[written, 5] = kept
                        written += 1
                        chosen += kept
        a = b
    return written, chosen
