"""Block-coordinate Frank–Wolfe for structural SVMs.

With losses that are maxima over answers y of a_y + ⟨g_y, w⟩ (a_y = Δ(y), g_y the gradient), N examples and λ = l2,

    P(w) = (1/N) Σ_i max_y (a_y + ⟨g_y, w⟩) + (λ / 2) ‖w‖²  ≥  D(α) = Σ_i ℓ_i − (λ / 2) ‖w‖²,   w = Σ_i w_i

for all w_i = −Σ_y α_i(y) g_y / (λN), ℓ_i = Σ_y α_i(y) a_y / N, where α_i are distributions. One step takes an example,
asks for its worst answer y at w, and goes from α_i towards it as far as D rises:

    w_s = −g_y / (λN),  ℓ_s = a_y / N,   γ = [(λ ⟨w_i − w_s, w⟩ − ℓ_i + ℓ_s) / (λ ‖w_i − w_s‖²)] clipped to [0, 1]
    w_i ← w_i + γ (w_s − w_i),   ℓ_i ← ℓ_i + γ (ℓ_s − ℓ_i)

P(v) − D(α) bounds how far P(v) is above its minimum, for any v. The mean of weights t, w̄_T = Σ t w_t / Σ t, is kept as
that of optim/sgd.py, with S_t = t (t + 1) / 2.

S. Lacoste-Julien, M. Jaggi, M. Schmidt, P. Pletscher, "Block-coordinate Frank-Wolfe optimization for structural SVMs"
(2013), algorithms 4 and 1, and section 3 of its supplement on weighted averages.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..errors import FactorGraphError
from ..optim import BCFW, Parameters, Rows, State
from ..optim.rows import add_to
from .step import Learner

Part = dict[str, Rows]


class FrankWolfe:
    """The loop of BCFW; one epoch is one pass.

    parts, shares: w_i and ℓ_i of the examples, in the order of `examples`. Their w is the parameters, which are summed
    anew after every pass, so that no rounding gathers in the certificate.
    """

    def __init__(self, learner: Learner, settings: BCFW, examples: np.ndarray):
        if not learner.convex() or learner.loss.smooth():
            raise FactorGraphError(
                "BCFW: expected a loss that is a maximum over answers, e.g. Margin(), energies linear in parameters, "
                f"and nothing latent; got {type(learner.loss).__name__} and {learner.graph!r}. LBFGS() is for smooth "
                "losses, CCCP(BCFW()) for latents, SGD() for anything"
            )
        self.learner, self.settings, self.examples = learner, settings, examples
        self.parameters, self.state = learner.parameters, learner.state
        self.parts: list[Part] = [{} for _ in examples]
        self.shares = np.zeros(examples.size)
        self.finished, self.measured = False, dict[str, float]()
        if "shares" in self.state:
            self._unpack()
            return
        if any(array.any() for array in self.parameters.values()):
            raise FactorGraphError(
                "BCFW: expected parameters that are 0 at the start, as those of its dual are; got others. Leave out "
                "initial"
            )
        self.state.update(step=0, finished=False)
        if settings.average:
            self.state |= {f"offset:{name}": np.zeros(array.shape) for name, array in self.parameters.items()}

    def epoch(self, order: np.ndarray, progress: np.ndarray) -> Iterator[tuple[int, float]]:
        """See Loop.epoch: one pass."""
        place, batch = np.searchsorted(self.examples, order), self.learner.batch
        for at in range(0, order.size, batch):
            yield 1, sum(self._step(i) for i in place[at : at + batch].tolist())
        dual = self._settle()
        objective, proven = self._primal()
        self.measured = {"objective": objective}
        if proven:
            self.measured["gap"] = objective - dual
            self.finished = self.measured["gap"] <= self.settings.gap * objective
        self.state["finished"] = self.finished

    def _step(self, i: int) -> float:
        """One example: the best step towards its worst answer. Returns its loss."""
        found = self.learner.slope(self.examples[i : i + 1])
        if found is None:
            return 0.0
        value, l2, scale = found[0], self.settings.l2, 1.0 / (self.settings.l2 * self.examples.size)
        gradients = {name: Rows.of(gradient) for name, gradient in found[1].items()}
        affine = value - sum(g.dot(self.parameters[name]) for name, g in gradients.items())
        share, part = affine / self.examples.size, self.parts[i]
        way = {name: g * -scale + part[name] * -1.0 if name in part else g * -scale for name, g in gradients.items()}
        rise = share - self.shares[i] - l2 * sum(d.dot(self.parameters[name]) for name, d in way.items())
        length = l2 * sum(d.square() for d in way.values())
        step = min(1.0, max(0.0, rise / length)) if length > 0 else 0.0
        self.state["step"] += 1
        if step > 0:
            self.shares[i] += step * (share - self.shares[i])
            before = self.state["step"] * (self.state["step"] - 1) / 2
            for name, d in way.items():
                move = d * step
                part[name] = part[name] + move if name in part else move
                add_to(self.parameters[name], move, 1.0)
                if self.settings.average:
                    add_to(self.state[f"offset:{name}"], move, before)
        return value

    def _settle(self) -> float:
        """Sum the parameters anew from their parts, in float64; returns D."""
        square = 0.0
        for name, array in self.parameters.items():
            total = np.zeros(array.shape)
            for part in self.parts:
                if name in part:
                    add_to(total, part[name], 1.0)
            array[...] = total
            square += float(np.vdot(total, total))
        return float(self.shares.sum()) - 0.5 * self.settings.l2 * square

    def _primal(self) -> tuple[float, bool]:
        """P at the parameters that would be the answer now, and whether all worst answers were proven."""
        now = {name: array.copy() for name, array in self.parameters.items()}
        square = 0.0
        for name, array in self.final().items():
            self.parameters[name][...] = array
            square += float(np.vdot(array.astype(np.float64), array))
        loss = (self.learner.slope(self.examples) or (0.0,))[0]
        for name, array in now.items():
            self.parameters[name][...] = array
        proven = bool(self.learner.proven[self.learner.declared.components(self.examples)].all())
        return loss / self.examples.size + 0.5 * self.settings.l2 * square, proven

    def final(self) -> Parameters:
        """See Loop.final."""
        total = self.state["step"] * (self.state["step"] + 1) / 2
        if not self.settings.average or not total:
            return {name: array.copy() for name, array in self.parameters.items()}
        return {
            name: (array - self.state[f"offset:{name}"] / total).astype(array.dtype)
            for name, array in self.parameters.items()
        }

    def pack(self) -> State:
        """See Loop.pack: parts one after the other, by parameter."""
        state: State = self.state | {"shares": self.shares}
        for name, array in self.parameters.items():
            empty = Rows(np.zeros(0, np.int64), np.zeros((0, *array.shape[1:]), array.dtype), array.shape)
            parts = [part.get(name, empty) for part in self.parts]
            state[f"ends:{name}"] = np.cumsum([part.rows.size for part in parts])
            state[f"rows:{name}"] = np.concatenate([part.rows for part in parts])
            state[f"values:{name}"] = np.concatenate([part.values for part in parts])
        return state

    def _unpack(self) -> None:
        self.shares, self.finished = self.state.pop("shares"), self.state["finished"]
        for name, array in self.parameters.items():
            ends, rows, values = (self.state.pop(f"{field}:{name}") for field in ("ends", "rows", "values"))
            for part, a, b in zip(self.parts, [0, *ends], ends):
                if b > a:
                    part[name] = Rows(rows[a:b], values[a:b], array.shape)
