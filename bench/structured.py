"""Factors that count: messages of AtMostOne against its table, assignments proven by messages, penalties of counts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np
from scipy.optimize import linear_sum_assignment

import factorgraph as fg
from bench.harness import Options, Row, alternate, compare
from factorgraph.infer.passes import General
from factorgraph.plan import Asked


def messages(options: Options) -> Iterator[Row]:
    """A pass there and back over one factor and a chain of pairs beside it: all messages renewed, twice.

    The table is extrapolated by the number of messages alone, as if it kept its 2^20 entries.
    """
    large, small = options.size(200, 40), options.size(20, 8)
    counts = (np.indices((2,) * small).sum(0) > 1) * 1.0
    counts[counts > 0] = np.inf
    every = np.ones(1, bool)
    calls = {
        "ours": partial(General(asked(large, fg.AtMostOne())).iterate, every, np.inf, False),
        "table": partial(General(asked(small, fg.Table(counts))).iterate, every, np.inf, False),
    }
    what = f"AtMostOne over {large}, against its table over {small}"
    yield compare(alternate(calls, options.repeat), what, "table", share=small / large, bar=1e-3)


def asked(n: int, factor: fg.Factor) -> Asked:
    """A ring of n variables with one factor over all of them; counters in the place of what counts."""
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(n,))
    g.add(fg.Table(rng.normal(size=(n, 2))), x)
    g.add(fg.Potts(0.1), x[:-1], x[1:])
    g.add(factor, *x)
    plan = g.compile()
    question = fg.Question().of(plan, g.energies())
    return question if plan.counters is None else plan.counters.ask(question)


def assignments(options: Options) -> Iterator[Row]:
    """Exactly one in each row and column of a matrix: proven optimal by TRW-S, beside the algorithm made for it."""
    n = options.size(60, 8)
    costs = np.random.default_rng(0).normal(size=(n, n))
    g = fg.FactorGraph()
    x = g.variables("x", shape=(n, n))
    g.add(fg.Table(np.stack([np.zeros((n, n)), costs], -1)), x)
    g.add(fg.ExactlyOne(), *x)
    g.add(fg.ExactlyOne(), *(x[:, j] for j in range(n)))
    plan, energies = g.compile(), g.energies()
    solution = fg.TRWS()(plan, energies)
    best = costs[linear_sum_assignment(costs)].sum()
    proven = solution.status == fg.Status.OPTIMAL and np.isclose(solution.energy, best)
    calls = {"ours": partial(fg.TRWS(), plan, energies), "scipy": partial(linear_sum_assignment, costs)}
    note = "proven, scipy's energy" if proven else "NOT proven"
    yield compare(alternate(calls, options.repeat), f"assignment {n} × {n}, against scipy", "scipy", note=note)


def penalties(options: Options) -> Iterator[Row]:
    """One question about unaries and a penalty of their count; nothing to compare with."""
    n = options.size(200, 20)
    rng = np.random.default_rng(0)
    for name, factor in (
        (f"Cardinality, {n + 1} energies", fg.Cardinality(rng.normal(size=n + 1))),
        ("AtMostOne", fg.AtMostOne()),
    ):
        g = fg.FactorGraph()
        x = g.variables("x", shape=(n,))
        g.add(fg.Table(rng.normal(size=(n, 2))), x)
        g.add(factor, *x)
        g.compile()
        for question in (fg.solve, fg.min_marginals, fg.marginals):
            calls = {"ours": partial(question, g)}
            yield compare(alternate(calls, options.repeat), f"{name} over {n}: {question.__name__}")


SECTIONS = (messages, assignments, penalties)
