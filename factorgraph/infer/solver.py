"""The contract of all solvers.

A solver answers the components it is given; `solver(plan, energies, question, components) → Solution` packs the
answer: restrictions are lifted back, energies re-summed in float64 from the labels, statuses made honest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..errors import FactorGraphError
from ..kernels.configurations import component_biases, component_energies
from ..kernels.simd import with_slack
from ..kernels.structure import LATTICE, LOOPY
from ..kernels.tables import POTTS
from ..plan import Asked, Plan, Question
from .counted import THROUGH_COUNTERS
from .ranking import Ranking
from .solution import TOLERANCE, Components, Solution, Status

#: Writes labels int32 (n, V), one draw per row, from uniforms in [0, 1) float64 (n, V).
Sampler = Callable[[np.ndarray, np.ndarray], None]


@dataclass
class Answer:
    """What a solver writes, for the components asked: labels int32 (V,) shared by all, the rest (C,).

    `energy` float64 of the labels, factors only, where a solver has summed it on its way (NaN elsewhere); `method`
    int8 are indices into `methods`; `conflict` int64 is a variable to which no state is left, where that is the proof
    that a component is infeasible, −1 elsewhere.
    """

    labels: np.ndarray
    energy: np.ndarray
    bound: np.ndarray
    status: np.ndarray
    method: np.ndarray
    conflict: np.ndarray
    methods: list[str] = field(default_factory=list)

    @staticmethod
    def empty(plan: Plan) -> Answer:
        """Nothing known yet."""
        count = plan.n_components
        return Answer(
            np.full(plan.states.size, -1, np.int32),
            np.full(count, np.nan),
            np.full(count, -np.inf),
            np.full(count, Status.APPROXIMATE, np.int8),
            np.zeros(count, np.int8),
            np.full(count, -1, np.int64),
        )

    def sign(self, components: np.ndarray, method: str, status: Status | np.ndarray) -> None:
        """Say which method answered `components`, and how well."""
        if method not in self.methods:
            self.methods.append(method)
        self.method[components] = self.methods.index(method)
        self.status[components] = status


@dataclass(frozen=True)
class Solver:
    """Base of all solvers. `threads` None picks by the size of the work.

    counts: whether a class reads factors that count (kernels/tables.py); the methods of all others are asked about
    plans without them.
    """

    threads: int | None = None
    name: ClassVar[str] = "solver"
    #: What the sums of a loopy component are where it answers: exact, an upper or lower bound of log Z, or an estimate.
    sums: ClassVar[str] = "exact"
    #: Whether it answers plans with factors that count itself; else it is asked of the plan with counters.
    counts: ClassVar[bool] = False

    def __init_subclass__(cls, **settings: Any):
        super().__init_subclass__(**settings)
        for name, through in THROUGH_COUNTERS.items():
            if name in vars(cls):
                setattr(cls, name, through(vars(cls)[name]))

    def exact_on(self, plan: Plan, component: int) -> bool:
        """Whether the answer on this component is proven."""
        raise NotImplementedError

    def kind_of(self, asked: Asked) -> str:
        """What the sums over the components asked are: `sums` where one has cycles, else "exact"."""
        return self.sums if (asked.plan.kinds[asked.components] == LOOPY).any() else "exact"

    def minimise(self, asked: Asked, answer: Answer) -> None:
        """Write labels, bound and status of the components. Exact methods set status OPTIMAL and leave the bound."""
        raise FactorGraphError(
            f"{type(self).__name__}: sums or draws only; expected a solver that minimises, e.g. Auto()"
        )

    def integrate(
        self,
        asked: Asked,
        temperature: float = 1.0,
        marginals: np.ndarray | None = None,
        gradient: np.ndarray | None = None,
        weight: float = 1.0,
    ) -> np.ndarray:
        """Free energies −T log Σ exp(−E / T), float64, of the components.

        Fills marginals (variable states) and adds weight · P(configuration) to `gradient` (the energies' layout).
        """
        raise FactorGraphError(f"{type(self).__name__}: computes minima only; expected a solver that sums, e.g. Auto()")

    def min_marginals(self, asked: Asked, out: np.ndarray) -> np.ndarray:
        """Minimum of each component, float64; fills `out` (variable states, float64) with min-marginals.

        Entry (v, k) is the least energy of a labelling of v's component that labels v with k; +inf where there is none.
        """
        raise FactorGraphError(
            f"{type(self).__name__}: computes no min-marginals; expected a solver that does, e.g. Auto()"
        )

    def sampler(self, asked: Asked, temperature: float = 1.0) -> Sampler:
        """A function that draws labellings of the components from exp(−E / T) / Z, independently and exactly.

        A draw depends on its own row of uniforms only, so that neither threads nor chunks of draws matter. Where
        factors count, a row has one for every variable of the plan with counters. Where `sums` is not exact, draws are
        not either. Errors: FactorGraphError where a component has no labelling.
        """
        raise FactorGraphError(f"{type(self).__name__}: draws no samples; expected a solver that does, e.g. Auto()")

    def rank(self, asked: Asked, k: int) -> Ranking:
        """The k best labellings of every component, latents ranked like all others; of a lattice the k best strings,
        each with its best path (so that a plan derived by a restriction of lattices is not to be asked)."""
        raise FactorGraphError(
            f"{type(self).__name__}: finds one labelling only; expected a solver that ranks, e.g. Auto()"
        )

    def __call__(
        self,
        plan: Plan,
        energies: np.ndarray,
        question: Question | None = None,
        components: np.ndarray | None = None,
        alphabets: Mapping[Any, Any] | None = None,
    ) -> Solution:
        """Lowest-energy labelling of `components` (all by default) under `question`."""
        question = question or Question()
        energies = check_flat(plan, energies)
        asked = question.of(plan, energies, None if components is None else plan.components_or_all(components))
        answer = Answer.empty(asked.plan)
        solver, start = self, getattr(self, "initial", None)
        if start is not None and question.restriction is not None:  # a start of the base plan's variables, without arcs
            solver = replace(self, initial=start[question.restriction.variables])  # type: ignore[call-arg]
        solver.minimise(asked, answer)
        return pack(plan, energies, question, asked, answer, alphabets or {})


def check_flat(plan: Plan, energies: np.ndarray) -> np.ndarray:
    """Energies of the plan's size, float32 or float64, with slack behind them."""
    if energies.shape != (plan.size,) or energies.dtype not in (np.float32, np.float64):
        raise FactorGraphError(
            f"energies: expected a flat float32 or float64 array of {plan.size} entries; "
            f"got {energies.dtype} of shape {energies.shape}. Make it with graph.energies(…)"
        )
    return with_slack(energies)


def check_constant(where: str, constant: float) -> None:
    """Refuse factors without variables that forbid everything."""
    if constant == np.inf:
        raise FactorGraphError(
            f"{where}: a factor without variables is +inf, which forbids every labelling; expected a finite one"
        )


def check_distribution(where: str, free: np.ndarray, components: np.ndarray) -> None:
    """Refuse components all of whose labellings are forbidden: there is no distribution over none."""
    if (free == np.inf).any():
        c = int(components[np.argmax(free == np.inf)])
        raise FactorGraphError(
            f"{where}: every labelling of component {c} is forbidden; expected at least one of finite energy. Allow "
            "more in the evidence, or replace +inf by large energies"
        )


def evaluate(asked: Asked, labels: np.ndarray, known: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """(energy, minimum) float64 per listed component: of the factors alone, and with the bias.

    known: energies (C,) that need not be summed again, NaN elsewhere.
    """
    plan, energies, bias, components = asked
    energy = np.full(components.size, np.nan) if known is None else known[components]
    rest = np.flatnonzero(np.isnan(energy))
    if rest.size:
        summed = np.zeros(rest.size)
        component_energies(components[rest], plan.factors, plan.states, energies, labels, summed)
        energy[rest] = summed
    minimum = energy.copy()
    if bias.size:
        component_biases(components, *plan.members, plan.offsets, bias, labels, minimum)
    return energy, minimum


def sums_of_minima(asked: Asked) -> np.ndarray:
    """Float64 bound per component asked: the least energy of every factor and bias on its own, less what rounding of
    their sum may be; −inf where a factor forbids everything, which others prove."""
    plan, energies, bias, components = asked
    total, size = np.zeros((2, plan.n_components))
    for block in plan.blocks:
        if block.states and block.tables and not block.lattice:
            least = block.view(energies).reshape(block.tables, -1).min(1).astype(np.float64)
            if block.kind == POTTS:
                least = np.minimum(least, 0.0)
            each = least if block.table is None else least[block.table]
            of = plan.component[block.scopes[:, 0]]
            total += np.bincount(of, each, plan.n_components)
            size += np.bincount(of, np.abs(each), plan.n_components)
    if bias.size:
        least = np.minimum.reduceat(bias, plan.offsets[:-1]).astype(np.float64)
        total += np.bincount(plan.component, least, plan.n_components)
        size += np.bincount(plan.component, np.abs(least), plan.n_components)
    out = total[components] - 1e-12 * np.where(size < np.inf, size, 0.0)[components]
    return np.where(out < np.inf, out, -np.inf)


def pack(
    plan: Plan, energies: np.ndarray, question: Question, asked: Asked, answer: Answer, alphabets: Mapping[Any, Any]
) -> Solution:
    """A Solution from a raw answer: float64 energies, forbidden labellings withdrawn, statuses by bound."""
    components = asked.components
    energy, minimum = evaluate(asked, answer.labels, answer.energy)
    status, bound = answer.status, answer.bound
    exact = status[components] == Status.OPTIMAL
    bound[components] = np.where(exact, minimum, bound[components])
    impossible = status[components] == Status.INFEASIBLE
    bound[components[impossible]] = np.inf
    if not exact.all():  # a variable without a label outside a lattice: there is no labelling to speak of
        bare = (answer.labels < 0) & (asked.plan.kinds[asked.plan.component] != LATTICE)
        minimum[(np.bincount(asked.plan.component[bare], minlength=plan.n_components) > 0)[components]] = np.inf
    overflown = exact & (minimum == np.inf)
    status[components[overflown]], bound[components[overflown]] = Status.APPROXIMATE, -np.inf
    lost = impossible | (minimum == np.inf)
    energy[lost] = minimum[lost] = np.inf
    if lost.any():
        answer.labels[asked.plan.inside(components[lost])] = -1
    known = minimum < np.inf  # bounds may be above it by the rounding of sums
    bound[components[known]] = np.minimum(bound[components], minimum)[known]
    with np.errstate(invalid="ignore"):
        closed = known & (minimum - bound[components] <= TOLERANCE * np.maximum(1.0, np.abs(minimum)))
    open_ = status[components] > Status.OPTIMAL
    status[components[closed & open_]] = Status.OPTIMAL
    bounded = open_ & ~closed & ~impossible & np.isfinite(bound[components])
    status[components[bounded]] = Status.BOUNDED
    labels = answer.labels if question.restriction is None else question.restriction.labels(answer.labels)
    whole = [np.zeros(plan.n_components), np.zeros(plan.n_components)]
    whole[0][components], whole[1][components] = energy, minimum
    constant = plan.constant(energies)
    worst = Status(int(status[components].max(initial=Status.OPTIMAL)))
    if constant == np.inf:
        worst, labels = Status.INFEASIBLE, np.full_like(labels, -1)
    total = below = spent = np.inf
    if worst != Status.INFEASIBLE:
        total, spent = float(minimum.sum()) + constant, float(energy.sum()) + constant
        below = float(bound[components].sum()) + constant
    conflict = answer.conflict
    if question.restriction is not None:
        named = conflict >= 0
        conflict[named] = question.restriction.variables[conflict[named]]
    results = Components(whole[0], whole[1], bound, status, answer.method, tuple(answer.methods), conflict)
    return Solution(plan, labels, spent, total, below, worst, results, alphabets)
