"""Answers as pictures: a chain with its marginals, a labelled grid and how sure it is, paths of a lattice, training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..errors import FactorGraphError
from ..infer import Marginals, MinMarginals, Solution
from ..plan import find_group
from .canvas import CUT, RIGHT, WRONG, Where, drawing, ink, whole_numbers

#: Eight colours that differ for every kind of colour vision (Okabe, Ito 2008), for labels.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#999999")
#: How high an arc is drawn over the nodes it spans, as a share of its length.
HEIGHT = 0.42


def draw_chain(
    on: Where,
    marginals: Marginals,
    name: str,
    solution: Solution | None = None,
    truth: ArrayLike | None = None,
    title: str | None = None,
) -> None:
    """Draw the marginals of a row of variables, dark where a state is likely, with the best labelling on top.

    name: of variables declared with shape (n,). solution: its labels are rings. truth: labels (n,), crosses.
    """
    probability = marginals.variables[name]
    if probability.ndim != 2:
        raise FactorGraphError(
            f"draw_chain: expected variables in a row, shape (n,); got {name!r} of shape {probability.shape[:-1]}"
        )
    count, states = probability.shape
    names = _names(solution, name, states)
    with drawing(on, "draw_chain", min(14.0, 2.0 + 0.45 * count), 1.4 + 0.45 * states, title) as axes:
        image = axes.imshow(probability.T, cmap="Blues", vmin=0, vmax=1, aspect="auto", origin="upper")
        axes.figure.colorbar(image, ax=axes, label="probability", ticks=[0, 0.5, 1])
        at = np.arange(count)
        if solution is not None:
            labels = np.where(solution.labels[name] < 0, np.nan, solution.labels[name])
            style: dict[str, Any] = {"color": WRONG, "linewidth": 1.2, "marker": "o", "markerfacecolor": "none"}
            axes.plot(at, labels, label="best labelling", **style)
        if truth is not None:
            axes.plot(at, np.asarray(truth), color=RIGHT, linestyle="none", marker="x", label="truth")
        axes.set(xlabel=name, yticks=range(states), yticklabels=names)
        whole_numbers(axes)
        if solution is not None or truth is not None:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=2, frameon=False)


def draw_labelling(
    on: Where,
    solution: Solution,
    name: str,
    sure: Marginals | MinMarginals | None = None,
    title: str | None = None,
) -> None:
    """Draw the labels of a grid of variables, a colour for each, fainter where another label is nearly as good.

    name: of variables declared with shape (rows, columns). sure: marginals, full colour at probability 1; or
    min-marginals, full colour where any other label costs much: 1 − exp(−its price). Cells without a label are blank.
    """
    labels = solution.labels[name]
    if labels.ndim != 2:
        raise FactorGraphError(
            f"draw_labelling: expected a grid of variables, shape (rows, columns); got {name!r} of shape {labels.shape}"
        )
    states = int(solution.plan.states[_start(solution, name)]) if labels.size else 1
    names, strength = _names(solution, name, states), _strength(labels, sure, name)
    rows, columns = labels.shape
    zoom = min(0.5, 7.0 / max(rows, columns))
    with drawing(on, "draw_labelling", 2.4 + zoom * columns, 1.0 + zoom * rows, title) as axes:
        from matplotlib.colors import to_rgb

        ground = np.array(to_rgb(ink(axes)[1]))
        colours = np.array([to_rgb(colour) for colour in _palette(states)])
        picture = ground + strength[..., None] * (colours[np.maximum(labels, 0)] - ground)
        axes.imshow(np.where((labels < 0)[..., None], ground, picture), interpolation="nearest")
        for k in np.unique(labels[labels >= 0])[:20]:
            axes.scatter([], [], marker="s", color=[colours[k]], label=names[k])
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
        axes.set(xticks=[], yticks=[], xlabel="" if sure is None else "fainter: less sure")


def draw_paths(
    on: Where,
    solution: Solution,
    name: str,
    marginals: Marginals | None = None,
    names: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Draw a lattice, its nodes in a row and its arcs above, with the best path and what it spells.

    marginals: arcs are darker the likelier they lie on the path. names: of the states, their numbers by default.
    """
    group = find_group(solution.plan, name, "draw_paths")
    if group.lattice < 0:
        raise FactorGraphError(f"draw_paths: expected the name of a lattice; got {name!r}, which is none")
    lattices, own = solution.plan.lattices, slice(*solution.plan.lattices.ptr[group.lattice : group.lattice + 2])
    start, end = lattices.start[own], lattices.end[own]
    shown = np.full(start.size, 0.35) if marginals is None else marginals.of(group).sum(1)
    longest = int((end - start).max())
    width = min(14.0, 1.5 + 0.8 * int(lattices.nodes[group.lattice]))
    with drawing(on, "draw_paths", width, 1.2 + 0.42 * longest, title) as axes:
        text, ground = ink(axes)
        turn = np.linspace(np.pi, 0, 33)
        best = set(solution.path(group).tolist())
        for a in sorted(range(start.size), key=lambda a: (a in best, a)):
            middle, half = (start[a] + end[a]) / 2, (end[a] - start[a]) / 2
            colour, width = (WRONG, 2.4) if a in best else (text, 1.0)
            alpha = 1.0 if a in best else 0.08 + 0.92 * float(min(shown[a], 1.0))
            x, y = middle + half * np.cos(turn), 2 * HEIGHT * half * np.sin(turn)
            axes.plot(x, y, color=colour, linewidth=width, alpha=alpha, zorder=2)
            if a in best:
                k = int(solution.of(group)[a])
                label = str(k) if names is None else names[k]
                box = {"facecolor": ground, "edgecolor": "none", "pad": 1.5}
                axes.text(middle, 2 * HEIGHT * half, label, ha="center", va="center", bbox=box, zorder=5, weight="bold")
        nodes = np.unique([start, end])
        axes.scatter(nodes, np.zeros(nodes.size), s=36, color=ground, edgecolors=text, zorder=4)
        axes.set(yticks=[], xlabel=f"nodes of {name}", ylim=(-0.15, HEIGHT * longest + 0.3))
        whole_numbers(axes)
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)


def draw_history(on: Where, run: Any, title: str | None = None) -> None:
    """Draw what training did, epoch by epoch: the mean loss; where they are known, objective, bound and validation.

    run: what `train` gives, or its history. Between the objective and the bound (objective − gap) lies the minimum.
    """
    history: np.ndarray = getattr(run, "history", run)
    known = [n for n in history.dtype.names or () if np.isfinite(history[n]).any()] if len(history) else []
    if "loss" not in known:
        raise FactorGraphError("draw_history: expected at least one epoch with a finite loss; got none")
    epoch = history["epoch"]
    with drawing(on, "draw_history", 7.0, 4.2, title) as axes:
        axes.plot(epoch, history["loss"], color=CUT, marker="o", markersize=3, label="mean loss")
        if "objective" in known:
            axes.plot(epoch, history["objective"], color=WRONG, label="objective")
        if "objective" in known and "gap" in known:
            bound = history["objective"] - history["gap"]
            axes.plot(epoch, bound, color=WRONG, linestyle="--", label="bound")
            axes.fill_between(epoch, bound, history["objective"], color=WRONG, alpha=0.12, linewidth=0)
        if "validation" in known:
            other = axes.twinx()
            other.plot(epoch, history["validation"], color=COLOURS[2], marker="x", markersize=4)
            other.set_ylabel("validation (×)", color=COLOURS[2])
        axes.set(xlabel="epoch", ylabel="per example")
        whole_numbers(axes)
        axes.legend(loc="center right", frameon=False)


def _start(solution: Solution, name: Any) -> int:
    return find_group(solution.plan, name, "draw_labelling").start


def _names(solution: Solution | None, name: Any, states: int) -> tuple[str, ...]:
    """The names of states where some were declared, else their numbers."""
    if solution is not None:
        group = find_group(solution.plan, name, "solution")
        if found := solution.alphabets.get((group.example, group.name)):
            return found
    return tuple(map(str, range(states)))


def _palette(states: int) -> list[Any]:
    if states <= len(COLOURS):
        return list(COLOURS[:states])
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0, 1, states)))


def _strength(labels: np.ndarray, sure: Marginals | MinMarginals | None, name: Any) -> np.ndarray:
    """float64, as labels: 1 where the label is certain."""
    if sure is None:
        return np.ones(labels.shape)
    values = sure.variables[name]
    chosen = np.maximum(labels, 0)[..., None]
    own = np.take_along_axis(values, chosen, -1)[..., 0]
    if isinstance(sure, Marginals):
        return np.asarray(own)
    others = values.copy()
    np.put_along_axis(others, chosen, np.inf, -1)
    return np.asarray(1 - np.exp(-np.maximum(others.min(-1) - own, 0)))
