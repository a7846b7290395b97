"""Minima of loopy components of many labellings: exact methods where one fits, else bounds and labellings.

One after the other, each on the components whose gap is still open:

    minimum cut     binary and submodular
    elimination     whatever fits, in memory and in time, after a few passes of TRW-S where it is large
    roof duality    binary, of arity at most 3: what all best labellings have, and a bound
    reductions      where they pay: what is left falls apart, and each part is asked again
    TRW-S           bounds, labellings rounded from them, moves
    expansions      of pairs, from the best labelling, fused with it
    exact search    with a time limit only, and within a share of it
    holding some    of the variables where they are binary: roof duality improves the others
    TRW-S           kicks: labels are disturbed and improved again, for half of the rest of the time
    neighbourhoods  all but a few variables get their best labels together, again and again

The best labelling and the best bound are kept, whoever found them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ..kernels.simd import with_slack
from ..plan import Asked
from ..plan.memory import bytes_of
from .elimination import Elimination
from .expansion import Expansion, alike
from .flows import fitting
from .mincut import MinCut
from .neighbourhoods import Neighbourhoods
from .probing import improve
from .qpbo import fuse, persistent
from .reduce import reduce
from .search import ExactSearch
from .solution import TOLERANCE, Status
from .solver import Answer, Solver, evaluate, sums_of_minima
from .trws import GRID, TRWS

if TYPE_CHECKING:
    from .auto import Auto

#: Table entries of what is reduced or searched, once no table is shared, and how many times those that are stored.
LARGE, SHARED, SMALL = 1 << 25, 4, 1 << 16
#: Bytes that reductions take per table entry, at most.
BYTES = 64
#: Reductions that leave more than this share of a component's table entries are not used; the second is for grids that
#: sweeps know as such, which what is left of them is not.
WORTH, LITTLE = 0.9, 0.5
#: Shares of the time left: bounds, expansions, search, holding, kicks. The first rest when they stagnate.
BOUNDS, MOVES, SEARCH, HOLD, KICKS = 0.7, 0.3, 0.7, 0.3, 0.5
#: How often some variables are held, without a time limit.
TRIES = 20
#: What search is for: few variables, or not too many and a gap of at most this share of the energy.
FEW, MANY, NARROW = 1000, 5000, 0.02
#: Cells that an elimination does in a second at least.
RATE = 1e8
#: Cells of an elimination before which PASSES of TRW-S are tried.
DEAR, PASSES = 1 << 25, 16
#: Passes and kicks: as many as there is time for.
ENDLESS = 10**6


class Portfolio:
    """What is known of the components asked, in their order: minimum float64 of the best labels, bound, who is signed.

    labels int32 (V,). `method` names who found the labels, or who proved them best.
    """

    def __init__(self, asked: Asked, auto: Auto, deadline: float, elimination: Elimination, reduced: bool = False):
        count = asked.components.size
        self.asked, self.auto, self.deadline = asked, auto, deadline
        self.elimination, self.reduced = elimination, reduced
        self.labels = np.full(asked.plan.states.size, -1, np.int32)
        self.minimum, self.bound = np.full(count, np.inf), sums_of_minima(asked)
        self.status = np.full(count, Status.APPROXIMATE, np.int8)
        self.method = np.full(count, auto.name, object)
        self.place = np.full(asked.plan.n_components, -1, np.int64)
        self.place[asked.components] = np.arange(count)

    def run(self, answer: Answer) -> None:
        """Ask one after the other; write what is known in the end."""
        threads = self.auto.threads
        self._start()
        cut = MinCut(threads, self._share(1.0))
        self._ask(cut, self._open(cut.submodular))
        self._eliminate()
        if not self.reduced:
            self._reduce(self._open(self._expands))
        patient = self.deadline < np.inf
        bounds = TRWS(threads, time_limit=self._share(BOUNDS), initial=self.auto.initial)
        self._ask(replace(bounds, kicks=0) if patient else bounds, self._open())
        self._expand(self._open(alike))
        if patient:
            self._search()
        self._improve()
        if patient:
            for solver in (TRWS(threads, ENDLESS, kicks=ENDLESS), Neighbourhoods(threads, ENDLESS)):
                share = self._share(KICKS if isinstance(solver, TRWS) else 1.0)
                if not self._late():
                    self._ask(replace(solver, time_limit=share, initial=self.labels), self._open())
        self._write(answer)

    def _late(self) -> bool:
        return perf_counter() > self.deadline

    def _share(self, share: float) -> float | None:
        left = self.deadline - perf_counter()
        return None if left == np.inf else max(0.0, share * left)

    def _closed(self) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            small = self.minimum - self.bound <= TOLERANCE * np.maximum(1.0, np.abs(self.minimum))
        return np.isin(self.status, (Status.OPTIMAL, Status.INFEASIBLE)) | (small & (self.minimum < np.inf))

    def _open(self, fits: Callable[[Asked], np.ndarray] | None = None) -> np.ndarray:
        """Indices of the components that are not settled and, of these, that `fits` (a mask of a question) takes."""
        chosen = np.flatnonzero(~self._closed())
        if fits is None or not chosen.size:
            return chosen
        return np.asarray(chosen[fits(self.asked.part(chosen))])

    def _ask(self, solver: Solver, chosen: np.ndarray) -> None:
        """Take what a solver says of some components."""
        if not chosen.size:
            return
        part = self.asked.part(chosen)
        answer = Answer.empty(self.asked.plan)
        solver.minimise(part, answer)
        code = answer.method[part.components]
        names = np.array(answer.methods, object)[code]
        self._take(chosen, answer.labels, answer.bound[part.components], answer.status[part.components], names)

    def _take(
        self, chosen: np.ndarray, labels: np.ndarray, bound: np.ndarray, status: np.ndarray, names: np.ndarray
    ) -> None:
        """Keep labels that are better, bounds that are better, and proofs."""
        part = self.asked.part(chosen)
        plan = part.plan
        minimum = evaluate(part, labels)[1]
        bare = np.bincount(plan.component[labels < 0], minlength=plan.n_components)[part.components] > 0
        minimum[bare] = np.inf
        bound = np.where(status == Status.OPTIMAL, minimum, bound)
        bound[status == Status.INFEASIBLE] = np.inf
        better = (minimum < self.minimum[chosen]) | ((minimum == np.inf) & ~bare & (self.minimum[chosen] == np.inf))
        proof = np.isin(status, (Status.OPTIMAL, Status.INFEASIBLE)) & (status != self.status[chosen])
        closer = self._gap(minimum, bound, chosen)
        for mask in (better, proof | closer):
            self.method[chosen[mask]] = names[mask]
        variables = plan.inside(part.components[better])
        self.labels[variables] = labels[variables]
        self.minimum[chosen] = np.minimum(self.minimum[chosen], minimum)
        self.bound[chosen] = np.maximum(self.bound[chosen], bound)
        self.status[chosen[proof]] = status[proof]

    def _gap(self, minimum: np.ndarray, bound: np.ndarray, chosen: np.ndarray) -> np.ndarray:
        """Whether a bound closes the gap that was open before."""
        best = np.minimum(minimum, self.minimum[chosen])
        with np.errstate(invalid="ignore"):
            return (best < np.inf) & (best - bound <= TOLERANCE * np.maximum(1.0, np.abs(best)))

    def _expands(self, part: Asked) -> np.ndarray:
        """Whether tables that are not shared any more are few enough."""
        plan = part.plan
        stored = sum(b.tables * b.size for b in plan.blocks)
        work = plan.work[part.components]
        most = max(SMALL, min(LARGE, SHARED * stored, bytes_of(self.auto.memory_limit) // BYTES))
        order = np.argsort(work, kind="stable")
        out = np.empty(work.size, bool)
        out[order] = np.cumsum(work[order]) <= most
        return out

    def _reduce(self, chosen: np.ndarray) -> None:
        """Ask what reductions leave of the components, where they leave little enough."""
        if not chosen.size or self._late():
            return
        part = self.asked.part(chosen)
        smaller = reduce(self._persist(chosen, part), self.deadline)
        lost = smaller.lost >= 0
        broken = chosen[lost]
        self.bound[broken], self.status[broken], self.method[broken] = np.inf, Status.INFEASIBLE, "reduction"
        left = np.bincount(smaller.owner, smaller.asked.plan.work, chosen.size)
        grid = np.diff(part.plan.members[0])[part.components] >= GRID
        grid[grid] = [c in part.plan.grids for c in part.components[grid].tolist()]
        worth = np.where(grid, LITTLE, WORTH)
        pays = ~lost & (left <= worth * part.plan.work[part.components])
        if not pays.any():
            return
        asked = smaller.asked.part(pays[smaller.owner])
        answer = Answer.empty(asked.plan)
        limit = None if self.deadline == np.inf else max(0.0, self.deadline - perf_counter())
        replace(self.auto, time_limit=limit, initial=None).answer(asked, answer, reduced=True)
        minimum = evaluate(asked, answer.labels)[1]
        owner, status = smaller.owner[asked.components], answer.status[asked.components]
        bound = np.where(status == Status.OPTIMAL, minimum, answer.bound[asked.components])
        bound[status == Status.INFEASIBLE] = np.inf
        bounds = smaller.constant.copy()
        with np.errstate(invalid="ignore"):  # one part infeasible, another late: the status tells
            np.add.at(bounds, owner, bound)
        worst = np.full(chosen.size, Status.OPTIMAL, np.int8)
        np.maximum.at(worst, owner, status)
        names = np.full(chosen.size, "reduction", object)
        order = np.lexsort((asked.plan.work[asked.components], status))
        names[owner[order]] = np.array([*answer.methods, ""], object)[answer.method[asked.components[order]]]
        labels = smaller.lift(answer.labels)
        self._take(chosen[pays], labels, bounds[pays], worst[pays], names[pays])

    def _persist(self, chosen: np.ndarray, part: Asked) -> Asked:
        """The same question, in which binary components keep what all of their best labellings have."""
        plan = part.plan
        fit = fitting(plan, part.components, arity=3, states=2)
        if not fit.any():
            return part
        labels, bound = persistent(part.part(fit), self.auto.threads)
        self.bound[chosen[fit]] = np.maximum(self.bound[chosen[fit]], np.where(bound < np.inf, bound, -np.inf))
        sure = np.flatnonzero((labels >= 0) & (plan.states == 2))
        bias = np.zeros(plan.variable_states, part.energies.dtype)
        if part.bias.size:
            bias[:] = part.bias
        bias[plan.offsets[sure] + 1 - labels[sure]] = np.inf
        return part._replace(bias=with_slack(bias))

    def _eliminate(self) -> None:
        """Whatever there is time for; of what takes many cells, a few passes of TRW-S prove some in less."""
        left = self._share(1.0)
        cells = self.elimination.cells if left is None else min(self.elimination.cells, int(left * RATE) + 1)
        solver = replace(self.elimination, cells=cells, time_limit=left)
        fit = self._open(solver.fits)
        dear = fit[~replace(solver, cells=min(cells, DEAR)).fits(self.asked.part(fit))]
        self._ask(TRWS(self.auto.threads, PASSES, kicks=0, time_limit=left, initial=self.auto.initial), dear)
        self._ask(solver, fit[~self._closed()[fit]])

    def _search(self) -> None:
        """Exact search, one component after the other."""
        chosen = self._open(self._searchable)
        for number, i in enumerate(chosen):
            if not self._late():
                limit = self._share(SEARCH / (chosen.size - number))
                self._ask(ExactSearch(self.auto.threads, limit, initial=self.labels), np.array([i]))

    def _searchable(self, part: Asked) -> np.ndarray:
        sizes = np.diff(part.plan.members[0])[part.components]
        at = self.place[part.components]
        with np.errstate(invalid="ignore"):
            narrow = self.minimum[at] - self.bound[at] <= NARROW * np.abs(self.minimum[at])
        narrow &= self.minimum[at] < np.inf
        return (part.plan.work[part.components] <= LARGE) & ((sizes <= FEW) | (narrow & (sizes <= MANY)))

    def _expand(self, chosen: np.ndarray) -> None:
        """Expansions from the best labels, and what both have of the best."""
        chosen = chosen[self.minimum[chosen] < np.inf]
        if not chosen.size or self._late():
            return
        part = self.asked.part(chosen)
        answer = Answer.empty(part.plan)
        solver = Expansion(self.auto.threads, time_limit=self._share(MOVES), initial=self.labels)
        solver.minimise(part, answer)
        fused = fuse(part, self.labels, answer.labels, self.auto.threads)
        none, names = np.full(chosen.size, -np.inf), np.full(chosen.size, solver.name, object)
        self._take(chosen, fused, none, np.full(chosen.size, Status.APPROXIMATE, np.int8), names)

    def _improve(self) -> None:
        """Hold some variables of binary components at the best labels, and ask for the others."""
        chosen = self._open(lambda part: fitting(part.plan, part.components, arity=3, states=2))
        chosen = chosen[self.minimum[chosen] < np.inf]
        if not chosen.size or self._late():
            return
        patient = self.deadline < np.inf
        deadline = perf_counter() + (self._share(HOLD) or 0.0) if patient else np.inf
        labels = improve(self.asked.part(chosen), self.labels, ENDLESS if patient else TRIES, deadline=deadline)
        none, names = np.full(chosen.size, -np.inf), np.full(chosen.size, "roof duality", object)
        self._take(chosen, labels, none, np.full(chosen.size, Status.APPROXIMATE, np.int8), names)

    def _start(self) -> None:
        """The user's own labelling, where it is complete."""
        if self.auto.initial is None:
            return
        count = self.asked.components.size
        status, names = np.full(count, Status.APPROXIMATE, np.int8), np.full(count, "initial", object)
        self._take(np.arange(count), self.auto.initial, np.full(count, -np.inf), status, names)

    def _write(self, answer: Answer) -> None:
        components = self.asked.components
        variables = self.asked.plan.inside(components)
        answer.labels[variables] = self.labels[variables]
        answer.bound[components] = np.minimum(self.bound, np.where(self.minimum < np.inf, self.minimum, self.bound))
        for name in dict.fromkeys(self.method):
            chosen = self.method == name
            answer.sign(components[chosen], name, self.status[chosen])
