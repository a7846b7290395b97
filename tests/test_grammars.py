"""Grammars of lattices: acceptors are what they say, and products with them answer like enumeration."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy.special import logsumexp

import factorgraph as fg
from factorgraph import Acceptor

STATES = 3


def strings(states: Any = range(STATES), longest: int = 4) -> list[tuple[Any, ...]]:
    """All strings of up to `longest` symbols."""
    return [s for n in range(longest + 1) for s in itertools.product(states, repeat=n)]


def accepted(acceptor: Acceptor, states: Any = range(STATES)) -> set[tuple[Any, ...]]:
    return {s for s in strings(states) if acceptor.accepts(s)}


def random_acceptor(rng: np.random.Generator, states: int = STATES) -> Acceptor:
    count = int(rng.integers(1, 5))
    delta = rng.integers(-1, count, size=(count, states)).astype(np.int32)
    return Acceptor(delta, rng.random(count) < 0.6)


# What acceptors accept ----------------------------------------------------------------------------------------------


def test_a_lexicon_accepts_its_words_only() -> None:
    rng = np.random.default_rng(0)
    every = strings()
    for _ in range(20):
        words = {every[i] for i in rng.integers(len(every), size=6)}
        assert accepted(Acceptor.lexicon(words)) == words
    letters = Acceptor.lexicon(["ab", "abc", "ca"])
    assert letters.symbols == ("a", "b", "c")
    assert {"".join(s) for s in accepted(letters, "abc")} == {"ab", "abc", "ca"}
    assert not letters.accepts("ax")


@pytest.mark.parametrize(
    "modulus, weights, remainder", [(10, (1,), 0), (10, (1, 3), 7), (11, (2, 3, 4), 0), (2, (1,), 1)]
)
def test_check_digits_are_sums(modulus: int, weights: tuple[int, ...], remainder: int) -> None:
    values = (0, 4, 9)
    grammar = Acceptor.check_digit(modulus, weights, remainder, values)
    for string in strings(longest=5):
        total = sum(values[k] * weights[i % len(weights)] for i, k in enumerate(string))
        assert grammar.accepts(string) == (total % modulus == remainder)


def test_a_check_digit_over_named_symbols_notices_any_wrong_symbol() -> None:
    values = {str(d): d for d in range(10)} | {"X": 10}
    grammar = Acceptor.check_digit(11, (10, 9, 8, 7, 6, 5, 4, 3, 2, 1), values=values)
    assert grammar.accepts("0306406152") and grammar.accepts("097522980X")
    for place, symbol in itertools.product(range(10), values):
        assert grammar.accepts("0306406152"[:place] + symbol + "0306406152"[place + 1 :]) == (
            symbol == "0306406152"[place]
        )


def test_a_table_is_followed() -> None:
    table = {("month", "0"): "0", ("month", "1"): "1"}
    table |= {("0", str(d)): "end" for d in range(1, 10)} | {("1", str(d)): "end" for d in range(3)}
    months = Acceptor.from_table(table, "month", {"end"})
    assert sorted("".join(s) for s in accepted(months, "0123456789")) == [f"{m:02}" for m in range(1, 13)]


@pytest.mark.parametrize("seed", range(20))
def test_a_product_accepts_what_both_accept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = random_acceptor(rng), random_acceptor(rng)
    assert accepted(a & b) == accepted(a) & accepted(b)
    assert len((a & b).delta) <= len(a.delta) * len(b.delta)


def test_products_go_by_symbols() -> None:
    words, other = Acceptor.lexicon(["ab", "ba", "cc"]), Acceptor.lexicon(["ba", "xb", "cc"], symbols="xcba")
    assert {"".join(s) for s in accepted(words & other, "abcx")} == {"ba", "cc"}
    renamed = words.over("cbx")
    assert renamed.symbols is None and accepted(renamed) == {(0, 0)}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Acceptor.lexicon([]), "lexicon: expected at least one word; got none"),
        (lambda: Acceptor.lexicon(["ab"], symbols="a"), "lexicon: unknown symbol 'b'; expected 'a'"),
        (lambda: Acceptor.lexicon(["ab"], symbols="abb"), "lexicon: expected different symbols"),
        (lambda: Acceptor.check_digit(1), "check_digit: expected a modulus ≥ 2"),
        (lambda: Acceptor.from_table({(0, "a"): 1}, 0, {2}), "from_table: unknown accepting state 2"),
    ],
)
def test_wrong_grammars_are_refused(make: Any, message: str) -> None:
    with pytest.raises(fg.FactorGraphError, match=message):
        make()


# Products with lattices -------------------------------------------------------------------------------------------


def lattice(rng: np.random.Generator, bigram: bool) -> tuple[fg.FactorGraph, list[tuple[tuple[int, ...], float]]]:
    """A random lattice, and (string, energy) of all its labelled paths."""
    nodes = int(rng.integers(2, 6))
    pairs = [(i, j) for i in range(nodes) for j in range(i + 1, nodes) if j == i + 1 or rng.random() < 0.4]
    start, end = np.array(pairs).T
    arcs, links = rng.normal(size=(len(pairs), STATES)), rng.normal(size=(STATES, STATES))
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=(start, end), states=STATES)
    g.add(fg.Table(arcs), line)
    if bigram:
        g.add(fg.Table(links), line, line)
    found: list[tuple[tuple[int, ...], float]] = []

    def walk(node: int, string: tuple[int, ...], energy: float) -> None:
        if node == nodes - 1:
            found.append((string, energy))
            return
        for a in np.flatnonzero(start == node):
            for k in range(STATES):
                link = links[string[-1], k] if bigram and string else 0.0
                walk(int(end[a]), (*string, k), energy + arcs[a, k] + link)

    walk(0, (), 0.0)
    return g, found


@pytest.mark.parametrize("bigram", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_answers_under_a_grammar_are_those_of_enumeration(seed: int, bigram: bool) -> None:
    rng = np.random.default_rng(seed)
    g, paths = lattice(rng, bigram)
    grammar = random_acceptor(rng)
    best: dict[tuple[int, ...], float] = {}
    for string, energy in paths:
        if grammar.accepts(string):
            best[string] = min(energy, best.get(string, np.inf))
    evidence = {"line": grammar}
    solution = fg.solve(g, evidence)
    if not best:
        assert solution.status == fg.Status.INFEASIBLE
        assert fg.k_best(g, 3, evidence) == []
        return
    ranked = sorted(best.items(), key=lambda each: each[1])
    assert solution.strings["line"] == ranked[0][0] and solution.status == fg.Status.OPTIMAL
    listed = fg.k_best(g, 7, evidence)
    assert [s.strings["line"] for s in listed] == [string for string, _ in ranked[:7]]
    np.testing.assert_allclose([s.energy for s in listed], [energy for _, energy in ranked[:7]])
    sums = fg.marginals(g, evidence=evidence)
    assert sums.log_partition == pytest.approx(logsumexp([-e for s, e in paths if grammar.accepts(s)]))
    assert fg.min_marginals(g, evidence).energy == pytest.approx(ranked[0][1])


def test_lattices_side_by_side_have_grammars_of_their_own() -> None:
    g = fg.FactorGraph()
    rng = np.random.default_rng(3)
    for name in "abc":
        line = g.lattice(name, arcs=([0, 0, 1], [1, 2, 2]), states=STATES)
        g.add(fg.Table(rng.normal(size=(3, STATES))), line)
    words = {"a": [(0,), (1, 2)], "b": [(2, 2)]}
    evidence = {name: Acceptor.lexicon(each) for name, each in words.items()}
    listed = fg.k_best(g, 3, evidence, each=True)
    for name, each in words.items():
        assert {s.strings[name] for s in listed} - {()} == set(each)
    assert [s.strings["c"] for s in listed] == [s.strings["c"] for s in fg.k_best(g, 3, each=True)]


def test_grammars_that_do_not_fit_are_refused() -> None:
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0], [1]), states=2)
    g.add(fg.Table(np.zeros(2)), line)
    g.variables("x")
    with pytest.raises(fg.FactorGraphError, match=r"evidence\['x'\]: expected labels, an Acceptor is for lattices"):
        fg.solve(g, {"x": Acceptor.everything(2)})
    with pytest.raises(
        fg.FactorGraphError, match="expected an acceptor over states, 0 …; got one over symbols, 'a', 'b'"
    ):
        fg.solve(g, {"line": Acceptor.lexicon(["ab"])})
    assert fg.solve(g, {"line": Acceptor.lexicon([[0], [5]])}).strings["line"] == (0,)
