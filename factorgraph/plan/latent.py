"""Eliminating latent variables: what is left is a problem over the answers alone.

A *region* is a set of latent variables connected by factors, the answers Y taken away; its *boundary* are the
unobserved answers that share a factor with it. Given its boundary a region depends on nothing else, so with

    F_r(y) = −T log Σ_z exp(−E_r(y, z) / T)    or    min_z E_r(y, z)    for every joint state y of its boundary

    min over Z, or free energy of Z, given Y:    F(Y) = Σ E(factors among answers) + Σ_r F_r(boundary of r)

Both sides are derived plans whose tables point into the base plan's energies (restrict.py): `clamped` has one
component per region and joint state, with the answers dropped from its scopes; `answers` is the problem over Y, with
one table over the boundary of each region.

Eliminating Z by sums before Y by minima is marginal MAP, NP^PP-complete in general: Park, Darwiche, "Complexity results
and approximation strategies for MAP explanations" (2004). The order is forced, so the boundaries must be small.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import FactorGraphError
from ..kernels.structure import unite
from ..kernels.tables import DENSE
from .derive import Derived, choices_of, groups_of, name_of, spans
from .plan import Plan
from .restrict import Restriction

#: Joint states of a boundary that one table may have.
MOST = 1 << 12
#: Variables of one clamped plan, so that memory stays bounded.
CHUNK = 1 << 20


class Elimination:
    """Regions, boundaries and the two derived plans of a plan whose evidence leaves the states `allowed`.

    `values` numbers are to be computed: one per component of `clamped`, region after region, the last answer of a
    boundary turning fastest; one per lattice, whose string must be known; and +inf per `contradictory` variable, to
    which the evidence leaves no state. They belong into the energies of `answers.plan` at `computed` int64 (values,).

    `free` int64: the unobserved answers, first among the variables of `answers.plan`. What is constant given the
    evidence hangs on stand-ins, variables of one state behind them, at most one per base component. `owner` int64:
    the base component of each component of `answers.plan`. `observed` int32 (V,): labels that the evidence fixes.

    Errors: FactorGraphError, beginning with `where`, for boundaries of too many joint states.
    """

    def __init__(self, plan: Plan, allowed: np.ndarray | None = None, where: str = "latent"):
        self.contradictory = np.zeros(0, np.int64)
        if allowed is not None:
            left = np.bincount(np.repeat(np.arange(plan.states.size), plan.states), allowed, plan.states.size)
            self.contradictory = np.flatnonzero(left == 0)
            allowed = allowed.copy()
            allowed[plan.offsets[self.contradictory]] = True
        self.plan, self.choices = plan, choices_of(plan, allowed)
        self.latent = np.zeros(plan.states.size, bool)
        for group in plan.groups:
            self.latent[group.start : group.start + group.count] = group.latent
        self._blocks = [b for b in plan.blocks if b.states and not b.lattice]
        self._find_regions()
        self._find_boundaries(where)
        self._make_answers()

    def _find_regions(self) -> None:
        """`region` (V,) −1 for others, `members` region by region, `rank` (V,) among them, factors that touch them."""
        latent = self.latent
        parent = np.arange(latent.size, dtype=np.int32)
        leads = []
        self._touching: list[np.ndarray] = []
        for block in self._blocks:
            inside = latent[block.scopes]
            rows = np.flatnonzero(inside.any(1))
            lead = block.scopes[rows, np.argmax(inside[rows], 1)]
            if len(block.states) > 1:
                unite(np.where(inside[rows], block.scopes[rows], lead[:, None]), parent)
            self._touching.append(rows)
            leads.append(lead)
        while (parent[parent] != parent).any():
            parent = parent[parent]
        number = np.cumsum(latent & (parent == np.arange(parent.size))) - 1
        self.region = np.where(latent, number[parent], -1)
        self.members = np.flatnonzero(latent)[np.argsort(self.region[latent], kind="stable")]
        self.size = np.bincount(self.region[latent], minlength=int(number[-1]) + 1 if number.size else 0)
        self.rank = np.zeros(latent.size, np.int64)
        self.rank[self.members] = spans(np.zeros_like(self.size), self.size)
        self._regions_touched = [self.region[lead] for lead in leads]

    def _find_boundaries(self, where: str) -> None:
        """Slots: unobserved answers of boundaries, region by region; `joint` states and `first` values of regions."""
        plan, choices = self.plan, self.choices
        several = ~self.latent & (choices.length[choices.of] > 1)
        keys = [np.zeros(0, np.int64)]
        for block, rows, region in zip(self._blocks, self._touching, self._regions_touched, strict=True):
            scopes = block.scopes[rows]
            keys.append((region[:, None] * plan.states.size + scopes)[several[scopes]])
        self._slots = np.unique(np.concatenate(keys))
        owner, self.boundary = np.divmod(self._slots, max(1, plan.states.size))
        self.width = choices.length[choices.of[self.boundary]]
        self.ends = np.searchsorted(owner, np.arange(self.size.size + 1))
        joint = np.ones(self.size.size)
        with np.errstate(over="ignore"):
            np.multiply.at(joint, owner, self.width)
        if (joint > MOST).any():
            self._refuse(where, int(np.argmax(joint)), float(joint.max()))
        self.joint = joint.astype(np.int64)
        self.first = np.append(0, np.cumsum(self.joint))
        self.values = int(self.first[-1]) + plan.lattices.nodes.size + self.contradictory.size
        self.stride = np.ones_like(self.width)
        for k in range(1, int(np.diff(self.ends).max(initial=0))):
            inside = np.flatnonzero(np.arange(owner.size) + k < self.ends[owner + 1])
            self.stride[inside] *= self.width[inside + k]

    def _refuse(self, where: str, region: int, joint: float) -> None:
        first = int(self.members[np.cumsum(self.size)[region] - self.size[region]])
        slots = self.boundary[self.ends[region] : self.ends[region + 1]]
        names = ", ".join(dict.fromkeys(repr(name_of(self.plan, int(v))) for v in slots))
        raise FactorGraphError(
            f"{where}: eliminating the latents around {name_of(self.plan, first)!r} joins {slots.size} unobserved "
            f"answers of {names}, {joint:.3g} joint states; expected at most {MOST}. Latents go before answers, "
            "so all answers that share a factor with connected latents meet in one table. Observe more of them, or "
            "eliminate both by one operation: latent='min' in solve and k_best, latent='sum' in marginals"
        )

    # ---------------------------------------------------------------- the regions, answers clamped

    def chunks(self) -> Iterator[tuple[int, int]]:
        """Ranges of regions whose clamped plans have a bounded size."""
        work = np.cumsum(self.joint * self.size) // CHUNK
        cuts = np.flatnonzero(np.diff(work)) + 1
        bounds = [0, *cuts.tolist(), self.size.size]
        return ((low, high) for low, high in zip(bounds[:-1], bounds[1:]) if high > low)

    def clamped(self, low: int, high: int) -> Restriction:
        """Regions low … high − 1, each once per joint state of its boundary: values first[low] … first[high] − 1."""
        plan, choices = self.plan, self.choices
        joint, size = self.joint[low:high], self.size[low:high]
        begin = np.cumsum(joint * size) - joint * size  # variable of z in joint state j: begin + j · size + rank[z]
        made = Derived(plan, choices)
        for block, touching, regions in zip(self._blocks, self._touching, self._regions_touched, strict=True):
            chosen = np.flatnonzero((regions >= low) & (regions < high))
            copies = joint[regions[chosen] - low]
            rows, of = np.repeat(touching[chosen], copies), np.repeat(regions[chosen], copies)
            state = spans(np.zeros_like(copies), copies)
            base = block.scopes[rows].astype(np.int64)
            scopes = (begin[of - low] + state * size[of - low])[:, None] + self.rank[base]
            scopes[~self.latent[base]] = -1
            sets = choices.of[base]
            open_ = np.nonzero((scopes < 0) & (choices.length[sets] > 1))
            slot = np.searchsorted(self._slots, of[open_[0]] * plan.states.size + base[open_])
            digit = state[open_[0]] // self.stride[slot] % self.width[slot]
            sets[open_] = choices.states[choices.first[sets[open_]] + digit]
            made.condition(block, rows, sets, scopes)
        of = np.repeat(np.arange(low, high), joint)
        start = np.cumsum(self.size) - self.size
        variables = self.members[spans(start[of], self.size[of])]
        component = np.repeat(np.arange(of.size, dtype=np.int32), self.size[of])
        return made.restriction(variables, np.zeros(0, np.int64), component)

    # ---------------------------------------------------------------- the answers, latents eliminated

    def _make_answers(self) -> None:
        plan, choices = self.plan, self.choices
        lattices = plan.lattices
        answer = ~self.latent
        answer[lattices.var] = False
        fixed = choices.length[choices.of] == 1
        self.free = np.flatnonzero(answer & ~fixed)
        self.observed = np.where(answer & fixed, choices.states[choices.first[choices.of]], -1).astype(np.int32)
        renamed = np.full(plan.states.size, -1, np.int64)
        renamed[self.free] = np.arange(self.free.size)

        parts = []
        bare = np.flatnonzero(np.diff(self.ends) == 0)
        heads = self.members[(np.cumsum(self.size) - self.size)[bare]]
        lost = plan.component[self.contradictory]
        closed = np.concatenate([plan.component[heads], lattices.component, lost]).astype(np.int64)
        constant = [closed]
        for block, touching in zip(self._blocks, self._touching, strict=True):
            rows = np.delete(np.arange(len(block.scopes)), touching)
            scopes = renamed[block.scopes[rows]]
            lone = np.flatnonzero((scopes < 0).all(1))
            owner = plan.component[block.scopes[rows[lone], 0]].astype(np.int64)
            parts.append((block, rows, scopes, lone, owner))
            constant.append(owner)
        held = np.unique(np.concatenate(constant))  # base components that need a stand-in

        made = Derived(plan, choices)
        for block in plan.blocks:
            if not block.states:
                source = block.start + np.arange(block.tables)[:, None]
                made.append((), (), DENSE, block.scopes, block.table, source)
        for block, rows, scopes, lone, owner in parts:
            scopes[lone, 0] = self.free.size + np.searchsorted(held, owner)
            made.condition(block, rows, choices.of[block.scopes[rows]], scopes)

        self.computed = np.empty(self.values, np.int64)
        at = np.append(self.first[bare], np.arange(self.first[-1], self.values))
        stand_ins = (self.free.size + np.searchsorted(held, closed))[:, None]
        self.computed[at] = made.append((1,), (1,), DENSE, stand_ins, None, np.full((at.size, 1), -1)).ravel()
        arities = np.diff(self.ends)
        for arity in np.unique(arities[arities > 0]):
            regions = np.flatnonzero(arities == arity)
            slots = self.ends[regions][:, None] + np.arange(arity)
            for same in groups_of(self.width[slots]):
                shape = tuple(self.width[slots[same[0]]].tolist())
                source = np.full((same.size, int(np.prod(shape))), -1)
                entries = made.append(shape, shape, DENSE, renamed[self.boundary[slots[same]]], None, source)
                self.computed[self.first[regions[same]][:, None] + np.arange(source.shape[1])] = entries
        self.answers = made.restriction(self.free, np.zeros(held.size, np.int64))
        self.owner = np.zeros(self.answers.plan.n_components, np.int64)
        self.owner[self.answers.plan.component] = np.append(plan.component[self.free], held)
