"""Deterministic acceptors: which strings a lattice may spell. Grammars are made here, and multiplied.

    δ(q, k) = r     from q the symbol k leads to r;  −1: nowhere
    A accepts s_1 … s_L  iff  δ(… δ(δ(0, s_1), s_2) …, s_L) is an accepting state
    A & B accepts what both do: states (q, r), δ((q, r), k) = (δ_A(q, k), δ_B(r, k)), both accepting

A string has one run at most, so sums over the paths of a product are sums over strings, each counted once (Mohri,
"Weighted automata algorithms", 2009).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import FactorGraphError, listed


@dataclass(frozen=True)
class Acceptor:
    """Deterministic automaton: from q the symbol k leads to `delta[q, k]` (−1: nowhere); it starts in 0.

    delta int32 (Q, K); accepting bool (Q,). symbols: what the K columns stand for; None for the states 0 … K − 1.
    """

    delta: np.ndarray
    accepting: np.ndarray
    symbols: tuple[Any, ...] | None = None

    @staticmethod
    def everything(states: int) -> Acceptor:
        """Accepts every string."""
        return Acceptor(np.zeros((1, states), np.int32), np.ones(1, bool))

    @staticmethod
    def spelling(string: Sequence[int] | np.ndarray, states: int) -> Acceptor:
        """Accepts exactly `string`."""
        steps = np.asarray(string, np.int64)
        delta = np.full((steps.size + 1, states), -1, np.int32)
        delta[np.arange(steps.size), steps] = np.arange(1, steps.size + 1)
        return Acceptor(delta, np.arange(steps.size + 1) == steps.size)

    @staticmethod
    def excluding(strings: Sequence[Sequence[int] | np.ndarray], states: int) -> Acceptor:
        """Accepts every string but these: their prefix tree, and one state for whatever has left it."""
        tree, ends = _tree(strings)
        delta = np.full((len(tree) + 1, states), len(tree), np.int32)
        for (before, k), q in tree.items():
            if q:
                delta[before, k] = q
        accepting = np.ones(len(tree) + 1, bool)
        accepting[ends] = False
        return Acceptor(delta, accepting)

    @staticmethod
    def lexicon(words: Iterable[Sequence[Any]], symbols: Sequence[Any] | None = None) -> Acceptor:
        """Accepts these words only: their prefix tree. Words are strings, or sequences of states (ints).

        symbols: the alphabet; by default the symbols that occur, or for ints all states up to the largest.
        Raises FactorGraphError for no words, and for symbols that are not in the alphabet.

        >>> names = Acceptor.lexicon(["one", "two", "ten"])
        >>> [names.accepts(word) for word in ("ten", "tone")]
        [True, False]
        """
        listed_words = [tuple(word) for word in words]
        occurring = {k for word in listed_words for k in word}
        if not listed_words:
            raise FactorGraphError("Acceptor.lexicon: expected at least one word; got none")
        numbers = symbols is None and all(isinstance(k, int | np.integer) for k in occurring)
        if numbers:
            symbols = range(max((int(k) for k in occurring), default=0) + 1)
        alphabet = _alphabet("lexicon", occurring if symbols is None else symbols, symbols is None)
        column = _columns("lexicon", alphabet, occurring)
        tree, ends = _tree([[column[k] for k in word] for word in listed_words])
        delta = np.full((len(tree), len(alphabet)), -1, np.int32)
        for (before, k), q in tree.items():
            if q:
                delta[before, k] = q
        accepting = np.zeros(len(tree), bool)
        accepting[ends] = True
        return Acceptor(delta, accepting, None if numbers else alphabet)

    @staticmethod
    def check_digit(
        modulus: int,
        weights: Sequence[int] = (1,),
        remainder: int = 0,
        values: Mapping[Any, int] | Sequence[int] = range(10),
    ) -> Acceptor:
        """Accepts strings of digits whose weighted sum w_1 s_1 + w_2 s_2 + … leaves `remainder` by `modulus`.

        weights: of the first symbols; then they begin anew, so that (1, 3) weighs by turns. values: what a symbol
        counts, by state, or {symbol: value}, e.g. {"0": 0, …, "9": 9, "X": 10}. A wrong symbol is noticed where weights
        and modulus have no common divisor and values differ by less than the modulus.
        Raises FactorGraphError for a modulus below 2 and for no weights.

        >>> Acceptor.check_digit(10, weights=(1, 3)).accepts([7, 1])  # 7 + 3 · 1
        True
        """
        if modulus != int(modulus) or modulus < 2 or not len(weights) or not len(values):
            raise FactorGraphError(
                f"Acceptor.check_digit: expected a modulus ≥ 2, and at least one weight and value; got {modulus!r}, "
                f"{weights!r}, {values!r}"
            )
        symbols = tuple(values) if isinstance(values, Mapping) else None
        counts = np.array(list(values.values() if isinstance(values, Mapping) else values), np.int64)
        turn, total = np.divmod(np.arange(len(weights) * modulus), modulus)  # state: (turn, sum so far)
        after = (total[:, None] + np.asarray(weights, np.int64)[turn][:, None] * counts) % modulus
        delta = (turn[:, None] + 1) % len(weights) * modulus + after
        return Acceptor(delta.astype(np.int32), total == remainder % modulus, symbols)

    @staticmethod
    def from_table(
        table: Mapping[tuple[Hashable, Any], Hashable],
        start: Hashable,
        accepting: Iterable[Hashable],
        symbols: Sequence[Any] | None = None,
    ) -> Acceptor:
        """From a table {(state, symbol): next state}; what is not in it is forbidden.

        States are any names. symbols: as of `lexicon`. Raises FactorGraphError for accepting states that are not in the
        table, and as `lexicon` does.

        >>> table = {("day", "0"): "0?", ("0?", "1"): "end", ("day", "2"): "2?", ("2?", "9"): "end"}
        >>> Acceptor.from_table(table, "day", {"end"}).accepts("29")
        True
        """
        number: dict[Hashable, int] = {start: 0}
        for (before, _), after in table.items():
            number.setdefault(before, len(number))
            number.setdefault(after, len(number))
        occurring, final = {k for _, k in table}, list(accepting)
        if unknown := [q for q in final if q not in number]:
            raise FactorGraphError(
                f"Acceptor.from_table: unknown accepting state {unknown[0]!r}; expected some of {listed(number)}"
            )
        numbers = symbols is None and all(isinstance(k, int | np.integer) for k in occurring)
        if numbers:
            symbols = range(max((int(k) for k in occurring), default=0) + 1)
        alphabet = _alphabet("from_table", occurring if symbols is None else symbols, symbols is None)
        column = _columns("from_table", alphabet, occurring)
        delta = np.full((len(number), len(alphabet)), -1, np.int32)
        for (before, k), after in table.items():
            delta[number[before], column[k]] = number[after]
        ends = np.zeros(len(number), bool)
        ends[[number[q] for q in final]] = True
        return Acceptor(delta, ends, None if numbers else alphabet)

    def over(self, symbols: Sequence[Any]) -> Acceptor:
        """The same strings, its columns in the order of these symbols and named as states 0 … K − 1; symbols that it
        does not know are forbidden, and none has its strings that are spelled by others."""
        own = range(self.delta.shape[1]) if self.symbols is None else self.symbols
        place = {k: i for i, k in enumerate(own)}
        columns = np.array([place.get(k, -1) for k in symbols], np.int64)
        found = np.where(columns >= 0, self.delta[:, columns], -1) if columns.size else self.delta[:, :0]
        return Acceptor(found.astype(np.int32), self.accepting)

    def accepts(self, string: Iterable[Any]) -> bool:
        """Whether it accepts a string of its symbols."""
        own = range(self.delta.shape[1]) if self.symbols is None else self.symbols
        place, state = {k: i for i, k in enumerate(own)}, 0
        for symbol in string:
            state = int(self.delta[state, place[symbol]]) if symbol in place else -1
            if state < 0:
                return False
        return bool(self.accepting[state])

    def __and__(self, other: Acceptor) -> Acceptor:
        """Accepts what both accept: the product of the two, its states that can be reached."""
        if self.symbols is not None:
            other = other.over(self.symbols)
        elif other.symbols is not None:
            return other & self
        most = min(self.delta.shape[1], other.delta.shape[1])
        a, b, count = self.delta[:, :most], other.delta[:, :most], len(other.delta)
        number, found = np.full(len(a) * count, -1, np.int64), np.zeros(1, np.int64)
        number[0], size, rows, reached = 0, 1, [], [found]
        while found.size:
            q, r = a[found // count].astype(np.int64), b[found % count]
            pair = np.where((q >= 0) & (r >= 0), q * count + r, -1)
            rows.append(pair)
            found = np.unique(pair[pair >= 0])
            found = found[number[found] < 0]
            number[found] = np.arange(size, size + found.size)
            size += found.size
            reached.append(found)
        pairs, states = np.concatenate(rows), np.concatenate(reached)
        delta = np.where(pairs >= 0, number[pairs], -1).astype(np.int32)
        both = np.asarray(self.accepting)[states // count] & np.asarray(other.accepting)[states % count]
        return Acceptor(delta, both, self.symbols)


def _tree(words: Sequence[Sequence[int] | np.ndarray]) -> tuple[dict[tuple[int, int], int], list[int]]:
    """The prefix tree of words, {(node, symbol): node} with the root 0 under (−1, −1), and the node where each ends."""
    tree: dict[tuple[int, int], int] = {(-1, -1): 0}
    ends = []
    for word in words:
        node = 0
        for k in word:
            node = tree.setdefault((node, int(k)), len(tree))
        ends.append(node)
    return tree, ends


def _alphabet(where: str, symbols: Iterable[Any], ordered: bool) -> tuple[Any, ...]:
    alphabet = tuple(sorted(symbols) if ordered else symbols)
    if not alphabet or len(set(alphabet)) < len(alphabet):
        raise FactorGraphError(f"Acceptor.{where}: expected different symbols, at least one; got {alphabet!r}")
    return alphabet


def _columns(where: str, alphabet: tuple[Any, ...], occurring: Iterable[Any]) -> dict[Any, int]:
    column = {k: i for i, k in enumerate(alphabet)}
    if unknown := [k for k in occurring if k not in column]:
        raise FactorGraphError(f"Acceptor.{where}: unknown symbol {unknown[0]!r}; expected {listed(alphabet)}")
    return column
