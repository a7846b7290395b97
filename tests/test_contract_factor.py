"""The contract of factor families (factors/base.py), held for every family that the package has.

A family is found by itself; `example(rng)` makes the cases. A naive twin, where this file has one, says what the
energies are: twin(factor, shape, states, parameters, inputs) -> (scopes, *states), one scope after the other.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import sparse

from factorgraph import factors
from factorgraph.errors import FactorGraphError
from factorgraph.factors import (
    MLP,
    AtMostOne,
    Cardinality,
    External,
    Factor,
    Linear,
    Or,
    Potts,
    Table,
    TruncatedLinear,
    TruncatedQuadratic,
    check_energies,
    features,
)
from factorgraph.kernels.tables import COUNT, DENSE, POTTS
from factorgraph.optim import Rows

for module in pkgutil.iter_modules(factors.__path__, "factorgraph.factors."):
    importlib.import_module(module.name)
FAMILIES = sorted(Factor.__subclasses__(), key=lambda family: family.__name__)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
SEEDS = range(30)


class Case(NamedTuple):
    factor: Factor
    shape: tuple[int, ...]
    states: tuple[int, ...]
    inputs: dict[str, np.ndarray]
    count: int
    layout: factors.Layout
    parameters: dict[str, np.ndarray]

    def energies(self, rows: np.ndarray | None = None) -> np.ndarray:
        out = np.full((self.layout.tables, *self.layout.shape), 77.0, self.layout.dtype)
        self.factor.energies(self.parameters, self.inputs, out, rows)
        return out

    def scopes(self, tables: np.ndarray) -> np.ndarray:
        """(scopes, *states): the energies of each scope, written out."""
        each = np.broadcast_to(tables, (self.count, *tables.shape[1:])) if self.layout.shared else tables
        if self.layout.kind == POTTS:
            return each[:, None, None] * (1 - np.eye(self.states[0]))
        if self.layout.kind >= COUNT:
            code = self.layout.kind - COUNT
            most, gate, one = code // 4, code // 2 % 2, code % 2
            return spread(each, most, len(self.states) - gate, one)
        return each


def spread(each: np.ndarray, most: int, inputs: int, one: int) -> np.ndarray:
    """(scopes, *states) of energies (scopes, most + 1) or (scopes, most + 1, 2) of counts."""
    out = np.empty((len(each), *(2,) * inputs, *each.shape[2:]))
    for labels in itertools.product(range(2), repeat=inputs):
        out[(slice(None), *labels)] = each[:, min(labels.count(one), most)]
    return out


def make_case(family: type[Factor], seed: int) -> Case:
    rng = np.random.default_rng(seed)
    factor, shape, states, inputs = family.example(rng)
    count = int(np.prod(shape))
    layout = factor.bind(count, shape, states)
    parameters = {name: rng.normal(size=n) for name, n in factor.parameters(states).items()}
    return Case(factor, shape, states, inputs, count, layout, parameters)


def cases(family: type[Factor]) -> Iterator[Case]:
    return (make_case(family, seed) for seed in SEEDS)


def dense(gradient: np.ndarray | Rows) -> np.ndarray:
    return gradient.dense() if isinstance(gradient, Rows) else gradient


# Naive twins


def table_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    (array,) = factor._given.arrays
    return np.broadcast_to(array, shape + states).reshape(-1, *states)


def potts_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    weights = np.broadcast_to(factor._given.arrays[0], shape).ravel()
    return np.array([[[w if a != b else 0 for b in range(states[1])] for a in range(states[0])] for w in weights])


def truncated_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    slopes, caps = (np.broadcast_to(given.arrays[0], shape).ravel() for given in factor._given)
    power = {"TruncatedLinear": 1, "TruncatedQuadratic": 2}[factor._name]
    rows = [[[min(c, s * abs(a - b) ** power) for b in range(states[1])] for a in range(states[0])] for s, c in
            zip(slopes, caps, strict=True)]  # fmt: skip
    return np.array(rows)


def external_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    return inputs[factor.name].reshape(-1, *states)


def rows_of(x: Any, count: int) -> np.ndarray:
    """The matrix of features, by loops."""
    if x.kind == "constant":
        return np.ones((count, 1))
    if x.kind == "dense":
        return x.matrix
    out = np.zeros((x.rows, x.count))
    for t in range(x.rows):
        for e in range(x.indptr[t], x.indptr[t + 1]):
            out[t, x.indices[e]] += x.data[e] if x.data.size else 1
    return out


def linear_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    x, weights = rows_of(factor._features, int(np.prod(shape))), parameters[factor.param]
    return np.array([sum((x[t, f] * weights[f] for f in range(len(weights))), np.zeros(states)) for t in range(len(x))])


def sparse_linear_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    pointers, columns = factor._pairs
    weights = np.zeros((len(pointers) - 1, factor.columns))
    for f in range(len(weights)):
        for p in range(pointers[f], pointers[f + 1]):
            weights[f, columns[p]] = parameters[factor.param][p]
    return (rows_of(factor._features, int(np.prod(shape))) @ weights).reshape(-1, *states)


def mlp_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    a, c, b, d = (parameters[f"{factor.param}.{name}.{kind}"] for name in ("hidden", "output") for kind in KINDS)
    out = []
    for x in factor._features.matrix:
        h = [np.tanh(c[u] + sum(x[f] * a[f, u] for f in range(x.size))) for u in range(factor.hidden)]
        out.append(d + sum(h[u] * b[u] for u in range(factor.hidden)))
    return np.array(out)


ALLOWED: dict[str, Callable[..., bool]] = {
    "AtMostOne": lambda *x: sum(x) <= 1,
    "ExactlyOne": lambda *x: sum(x) == 1,
    "AtLeastOne": lambda *x: any(x),
    "Or": lambda *x: any(x[:-1]) == x[-1],
    "And": lambda *x: all(x[:-1]) == x[-1],
}


def count_twin(factor: Any, shape: Any, states: Any, parameters: Any, inputs: Any) -> np.ndarray:
    name, n = type(factor).__name__, len(states)
    if name in ALLOWED:
        one = [0.0 if ALLOWED[name](*labels) else np.inf for labels in itertools.product(range(2), repeat=n)]
        return np.broadcast_to(np.reshape(one, states), (int(np.prod(shape)), *states))
    energies, most = factor._energies, n if factor._most is None else factor._most
    each = TWINS[type(energies).__name__](energies, shape, (most + 1,), parameters, inputs)
    return spread(np.broadcast_to(each, (int(np.prod(shape)), most + 1)), most, n, 1)


KINDS = ("weight", "bias")
TWINS: dict[str, Callable[..., np.ndarray]] = {
    "Table": table_twin,
    "Potts": potts_twin,
    "Truncated": truncated_twin,
    "External": external_twin,
    "Linear": linear_twin,
    "MLP": mlp_twin,
    "Count": count_twin,
    "SparseLinear": sparse_linear_twin,
}


# The contract


def test_all_families_are_exported() -> None:
    assert {"Table", "Potts", "Linear", "External", "MLP"} <= {family.__name__ for family in FAMILIES}
    assert {family.__name__ for family in FAMILIES} <= set(factors.__all__)


@every_family
@pytest.mark.jitoff
def test_layout(family: type[Factor]) -> None:
    for case in cases(family):
        layout = case.layout
        assert layout.tables == (1 if layout.shared else case.count)
        assert layout.kind in (DENSE, POTTS) or layout.kind >= COUNT
        assert layout.kind != DENSE or layout.shape == case.states
        assert layout.kind != POTTS or layout.shape == ()
        if layout.kind >= COUNT:
            assert layout.shape in [((layout.kind - COUNT) // 4 + 1,), (2, 2)] and set(case.states) == {2}
        assert layout.dtype in (np.float32, np.float64) and layout.dtype == case.factor.dtype
        assert layout.shared or not layout.tied
        assert layout.identity is None or layout.shared
        assert case.factor.bind(case.count, case.shape, case.states) == layout
        hash((case.factor.key(), layout.identity))


@every_family
@pytest.mark.jitoff
def test_energies_are_those_of_the_naive_twin(family: type[Factor]) -> None:
    if family.__name__ not in TWINS:
        pytest.skip("no twin")
    for case in cases(family):
        expected = TWINS[family.__name__](case.factor, case.shape, case.states, case.parameters, case.inputs)
        np.testing.assert_allclose(case.scopes(case.energies()), expected, rtol=1e-12, atol=1e-12)


@every_family
@pytest.mark.jitoff
def test_nothing_but_the_rows_is_written(family: type[Factor]) -> None:
    for seed, case in enumerate(cases(family)):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(case.layout.tables)[: rng.integers(0, case.layout.tables + 1)]
        whole, part = case.energies(), case.energies(rows)
        others = np.setdiff1d(np.arange(case.layout.tables), rows)
        np.testing.assert_allclose(part[rows], whole[rows], rtol=1e-12)
        assert (part[others] == 77).all()


@every_family
@pytest.mark.jitoff
def test_a_factor_has_no_memory(family: type[Factor]) -> None:
    """Energies depend on the arguments alone, and these stay as they are."""
    for case in cases(family):
        kept = {name: array.copy() for name, array in (case.parameters | case.inputs).items()}
        first = case.energies()
        gradient = np.ones_like(first)
        before = {name: dense(d).copy() for name, d in case.factor.backward(gradient, case.parameters).items()}
        moved = case._replace(parameters={name: array + 1 for name, array in case.parameters.items()})
        moved.energies()
        np.testing.assert_array_equal(case.energies(), first)
        for name, d in case.factor.backward(gradient, case.parameters).items():
            np.testing.assert_array_equal(dense(d), before[name])
        for name, array in (case.parameters | case.inputs).items():
            np.testing.assert_array_equal(array, kept[name])
        assert (gradient == 1).all()


@every_family
@pytest.mark.jitoff
def test_initial_parameters(family: type[Factor]) -> None:
    for seed, case in enumerate(cases(family)):
        first, again = (case.factor.initial(case.states, np.random.default_rng(seed)) for _ in range(2))
        assert {name: array.shape for name, array in first.items()} == case.factor.parameters(case.states)
        assert all(array.dtype == case.factor.dtype and (array == again[name]).all() for name, array in first.items())


def numerical(case: Case, arrays: dict[str, np.ndarray], name: str, gradient: np.ndarray) -> np.ndarray:
    """Central differences of Σ energies · gradient along every entry of arrays[name]; energies are added in one go so
    that the rounding of the sum does not count."""
    array = arrays[name]
    out = np.zeros(array.shape)
    for index in itertools.product(*map(range, array.shape)):
        value, sides = array[index], []
        for step in (1e-5, -1e-5):
            array[index] = value + step
            sides.append(case.energies())
        array[index] = value
        out[index] = ((sides[0] - sides[1]) * gradient).sum() / 2e-5
    return out


@every_family
def test_backward_against_central_differences(family: type[Factor]) -> None:
    for seed, case in enumerate(cases(family)):
        gradient = np.random.default_rng(seed).normal(size=(case.layout.tables, *case.layout.shape))
        found = case.factor.backward(gradient, case.parameters)
        assert {name: d.shape for name, d in found.items()} == case.factor.parameters(case.states)
        for name, d in found.items():
            assert (d.values if isinstance(d, Rows) else d).dtype == gradient.dtype
            expected = numerical(case, case.parameters, name, gradient)
            np.testing.assert_allclose(dense(d), expected, atol=1e-6 * max(1, abs(expected).max()), rtol=1e-6)
        for name in case.factor.inputs:
            given = case.factor.input_gradient(gradient)[name]
            expected = numerical(case, case.inputs, name, gradient)
            np.testing.assert_allclose(given.reshape(expected.shape), expected, atol=1e-6, rtol=1e-6)


@every_family
@pytest.mark.jitoff
def test_backward_of_some_rows(family: type[Factor]) -> None:
    """What stands in other rows has no meaning: it may be NaN. Rows of zeros change nothing."""
    for seed, case in enumerate(cases(family)):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(case.layout.tables)[: rng.integers(0, case.layout.tables + 1)]
        whole = np.zeros((case.layout.tables, *case.layout.shape))
        whole[rows] = rng.normal(size=whole[rows].shape)
        part = np.full_like(whole, np.nan)
        part[rows] = whole[rows]
        expected = case.factor.backward(whole, case.parameters)
        for name, d in case.factor.backward(part, case.parameters, rows).items():
            np.testing.assert_allclose(dense(d), dense(expected[name]), rtol=1e-12, atol=1e-14)


def groups(family: type[Factor]) -> Iterator[list[Case]]:
    """Cases of equal key and states."""
    found: dict[Any, list[Case]] = {}
    for seed in range(200):
        case = make_case(family, seed)
        if case.factor.key() is not None:
            found.setdefault((case.factor.key(), case.states), []).append(case)
    return (parts[:5] for parts in found.values())


@every_family
def test_merged_parts_are_the_parts_in_order(family: type[Factor]) -> None:
    sizes = []
    for parts in groups(family):
        sizes.append(len(parts))
        parameters = parts[0].parameters
        parts = [part._replace(parameters=parameters) for part in parts]
        layouts = [part.layout for part in parts]
        merged = family.merge([part.factor for part in parts], [layout.tables for layout in layouts])
        tied = layouts[0].tied
        assert all(layout.tied == tied for layout in layouts) and merged.dtype == parts[0].factor.dtype
        expected = np.concatenate([part.energies() for part in parts[: 1 if tied else None]])
        inputs = {
            name: np.concatenate([part.inputs[name].reshape(-1, *part.layout.shape) for part in parts])
            for name in parts[0].factor.inputs
        }
        layout = layouts[0]._replace(tables=len(expected))
        whole = parts[0]._replace(factor=merged, layout=layout, inputs=inputs)
        np.testing.assert_allclose(whole.energies(), expected, rtol=1e-12, atol=1e-14)
        rows = np.random.default_rng(len(expected)).permutation(len(expected))[: len(expected) // 2]
        some = whole.energies(rows)
        np.testing.assert_allclose(some[rows], expected[rows], rtol=1e-12, atol=1e-14)
        assert (some[np.setdiff1d(np.arange(len(expected)), rows)] == 77).all()

        assert merged.parameters(parts[0].states) == parts[0].factor.parameters(parts[0].states)
        gradient = np.random.default_rng(0).normal(size=expected.shape)
        total: dict[str, Any] = {}
        at = 0
        for part in parts:
            own = gradient if tied else gradient[at : at + part.layout.tables]
            at += part.layout.tables
            for name, d in part.factor.backward(own, parameters).items():
                total[name] = dense(d) if tied else dense(d) + total.get(name, 0)
        for name, d in merged.backward(gradient, parameters).items():
            np.testing.assert_allclose(dense(d), total[name], rtol=1e-12, atol=1e-12)

        again = family.merge([merged, parts[0].factor], [len(expected), layouts[0].tables])
        inputs = {name: np.concatenate([inputs[name], inputs[name][: layouts[0].tables]]) for name in inputs}
        tables = len(expected) + (0 if tied else layouts[0].tables)
        twice = whole._replace(factor=again, layout=layout._replace(tables=tables), inputs=inputs).energies()
        np.testing.assert_allclose(twice[: len(expected)], expected, rtol=1e-12, atol=1e-14)
    assert max(sizes, default=2) > 1, "no two examples of equal key and states: the merge was not tested"


# Given arrays


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "given, dtype",
    [
        ([0, 1], "f8"),
        (np.array([0, 1], np.int8), "f8"),
        (np.array([True, False]), "f8"),
        (np.array([0, 1], np.float16), "f4"),
        (np.array([0, 1], np.float32), "f4"),
        (np.array([0, 1], np.float64), "f8"),
        (np.array([0, 1], np.longdouble), "f8"),
    ],
)
def test_dtypes(given: Any, dtype: str) -> None:
    assert Table(given).dtype == Potts(given).dtype == dtype
    assert check_energies(given, "here").dtype == dtype
    x = np.asarray(given)[:, None]
    column = sparse.csr_array(np.asarray(given, float)[:, None])
    for factor in (Linear(x, "w"), MLP(x, "w"), Linear(column, "w", dtype)):
        assert factor.dtype == dtype
        assert all(array.dtype == dtype for array in factor.initial((2,), np.random.default_rng(0)).values())
    assert Linear(None, "w").dtype == External("u").dtype == "f8"
    assert Linear(None, "w", dtype=dtype).dtype == External("u", dtype).dtype == dtype
    out = np.zeros((2, 2), dtype)
    Table([[0, 1], [2, 3]]).energies(None, None, out)
    assert out.tolist() == [[0, 1], [2, 3]]


@pytest.mark.jitoff
def test_arrays_are_read_again_at_every_fill_also_when_merged() -> None:
    table, weight = np.zeros((3, 2)).T, np.zeros(2)  # not contiguous: a reshape would be a copy
    factors_ = (Table(table), Table.merge([Table(table), Table(table)], [2, 2]), Potts(weight))
    outs = (np.zeros((2, 3)), np.zeros((4, 3)), np.zeros(2))
    table[1, 2] = weight[1] = 5
    for factor, out in zip(factors_, outs, strict=True):
        factor.energies(None, None, out)
        assert out[1].max() == 5
    table[1, 0] = np.nan
    for factor, out in zip(factors_[:2], outs, strict=False):
        for rows in (None, np.array([1])):
            with pytest.raises(FactorGraphError, match=re.escape("energies[1, 0] = nan")):
                factor.energies(None, None, out, rows)


@pytest.mark.jitoff
def test_tables_that_a_graph_may_store_once() -> None:
    table = np.zeros((2, 2))
    one, two, other = (Table(t).bind(3, (3,), (2, 2)).identity for t in (table, table, table.copy()))
    assert one == two != other
    numbers = [Potts(w).bind(3, (3,), (2, 2)).identity for w in (0.5, 0.5, 0.25)]
    assert numbers[0] == numbers[1] != numbers[2]
    assert Linear(None, "w").bind(3, (3,), (2, 2)).tied


@pytest.mark.jitoff
def test_parts_over_scopes_of_unequal_states() -> None:
    energies, chosen, out = np.arange(24.0).reshape(2, 2, 3, 2), np.array([1, 2]), np.zeros((2, 2, 2))
    part = Table(energies).take((2, 2), (3, 2), chosen, (2, 2))
    assert part.bind(2, (2,), (2, 2)).tables == 2
    part.energies(None, None, out)
    np.testing.assert_array_equal(out, energies.reshape(4, 3, 2)[chosen, :2])
    part = Table(energies[0, 0]).take((2, 2), (3, 2), chosen, (2, 2))
    assert part.bind(2, (2,), (2, 2)).shared
    part.energies(None, None, out[:1])
    np.testing.assert_array_equal(out[0], energies[0, 0, :2])
    weights = np.zeros(2)
    Potts([[1, 2], [3, 4]]).take((2, 2), (3, 3), chosen, (2, 2)).energies(None, None, weights)
    assert weights.tolist() == [2, 3]
    assert Potts(1).take((2, 2), (3, 3), chosen, (2, 2)).bind(2, (2,), (2, 2)).shared
    TruncatedLinear([[1, 2], [3, 4]], 3).take((2, 2), (3, 3), chosen, (2, 2)).energies(None, None, out)
    assert out.tolist() == [[[0, 2], [2, 0]], [[0, 3], [3, 0]]]


@pytest.mark.jitoff
def test_slopes_and_caps_are_read_again_and_numbers_take_the_dtype_of_the_other() -> None:
    slope = np.ones(2, np.float32)
    factor = TruncatedQuadratic(slope, 3)
    slope[1] = 2
    assert factor.dtype == TruncatedLinear(np.float32(1)).dtype == np.float32 and TruncatedLinear(1, 2).dtype == "f8"
    out = np.zeros((2, 3, 3), np.float32)
    factor.energies(None, None, out)
    assert out[:, 0].tolist() == [[0, 1, 3], [0, 2, 3]]
    one, two, other = (TruncatedLinear(1, c).bind(3, (3,), (2, 2)).identity for c in (2, 2, 3))
    assert one == two != other
    slope[0] = -1
    with pytest.raises(FactorGraphError, match="TruncatedQuadratic: expected finite slopes"):
        factor.energies(None, None, out)


def test_a_broadcast_table_is_checked_without_reading_its_repeats() -> None:
    Table(np.broadcast_to(np.float64(0), (3000,) * 4))  # 6e14 bytes


@pytest.mark.jitoff
def test_plus_infinity_forbids() -> None:
    out = np.zeros((2, 2))
    Table([[0, np.inf], [np.inf, 0]]).energies(None, None, out)
    assert out.max() == np.inf
    Linear(np.eye(2) + 1, "w").energies({"w": np.array([[0, np.inf], [0, 0]])}, None, out)
    assert out.tolist() == [[0, np.inf], [0, np.inf]]


# Linear: the kernels


def random_csr(rng: np.random.Generator, rows: int, columns: int, ones: bool, dtype: Any) -> Any:
    """Some rows are empty, columns repeat, and the last one is there."""
    indptr = np.r_[0, np.cumsum(rng.integers(0, 6, rows))]
    indices = rng.integers(0, columns, indptr[-1])
    indices[-2:] = columns - 1
    data = np.ones(indices.size) if ones else rng.normal(size=indices.size)
    return sparse.csr_array((data.astype(dtype), indices, indptr), (rows, columns))


@pytest.mark.jitoff
@pytest.mark.parametrize("width", [1, 2, 7, 8, 9, 15, 16, 17, 24, 33, 70])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ones", [True, False])
def test_sparse_features_are_dense_features(width: int, dtype: Any, ones: bool, monkeypatch: Any) -> None:
    rng = np.random.default_rng(width)
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for columns in (1, 5, 4000):  # few: distinct features by counting, many: by sorting
        matrix = random_csr(rng, 40, columns, ones, dtype)
        one, two = Linear(matrix, "w"), Linear(matrix.toarray(), "w")
        weights = {"w": rng.normal(size=(columns, width)).astype(dtype)}
        left, right = np.empty((2, 40, width), dtype)
        one.energies(weights, None, left)
        two.energies(weights, None, right)
        np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)

        gradient = rng.normal(size=(40, width)).astype(dtype)
        gradient[rng.random(40) < 0.5] = 0
        rows = one.backward(gradient, weights)["w"]
        assert isinstance(rows, Rows) and rows.values.flags.c_contiguous and rows.values.dtype == dtype
        assert rows.rows.dtype == np.int64 and (np.diff(rows.rows) > 0).all()
        touched = np.unique(matrix[np.flatnonzero(gradient.any(axis=1))].indices)
        assert rows.rows.tolist() == touched.tolist()
        expected = dense(two.backward(gradient, weights)["w"])
        np.testing.assert_allclose(rows.dense(), expected, rtol=0, atol=10 * tolerance)

        monkeypatch.setattr(features, "SLICE", 1)  # many short calls: the same bytes
        again = np.empty_like(left)
        one.energies(weights, None, again)
        assert again.tobytes() == left.tobytes()
        assert one.backward(gradient, weights)["w"].values.tobytes() == rows.values.tobytes()
        monkeypatch.undo()


@pytest.mark.jitoff
def test_both_ways_to_find_distinct_features_give_the_same_bytes() -> None:
    rng = np.random.default_rng(0)
    small = random_csr(rng, 30, 20, False, np.float64)
    large = sparse.csr_array((small.data, small.indices, small.indptr), (30, 100_000))
    gradient = rng.normal(size=(30, 3))
    one, two = (Linear(matrix, "w").backward(gradient, None)["w"] for matrix in (small, large))
    assert isinstance(one, Rows) and isinstance(two, Rows)
    assert one.rows.tobytes() == two.rows.tobytes() and one.values.tobytes() == two.values.tobytes()


@pytest.mark.parametrize("convert", [sparse.coo_matrix, sparse.csc_array, sparse.csr_matrix, sparse.lil_array])
def test_any_sparse_format(convert: Any) -> None:
    x = np.array([[0, 2.0, 0], [1, 0, 0]])
    out = np.zeros((2, 2))
    Linear(convert(x), "w").energies({"w": np.arange(6.0).reshape(3, 2)}, None, out)
    assert out.tolist() == [[4, 6], [0, 1]]


# Errors


def csr(indices: list[int], indptr: list[int], data: list[float]) -> Any:
    matrix = sparse.csr_array((len(indptr) - 1, 4))
    matrix.indices, matrix.indptr, matrix.data = np.array(indices), np.array(indptr), np.array(data)
    return matrix


NAN, INF = float("nan"), float("inf")
REFUSED: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: Table(np.zeros((3, 4))).bind(4, (4,), (3, 3)),
        "add(Table): expected energies of shape (3, 3) (shared) or (4, 3, 3) (one each); got (3, 4). An axis for each",
    ),
    (
        lambda: Table(np.zeros((3, 3, 4))).bind(4, (4,), (3, 3)),
        "or (4, 3, 3) (one each); got (3, 3, 4). The axes of the states come last",
    ),
    (lambda: Table(np.zeros((2, 3))).bind(1, (), (3, 2)), "of shape (3, 2); got (2, 3). Axes come in the order"),
    (
        lambda: Table([0, 0]).take((3,), (3,), np.array([0, 2]), (2,)),
        "add(Table): expected energies of shape (3,) (shared) or (3, 3) (one each); got (2,)",
    ),
    (
        lambda: Linear(None, "w").take((3,), (3,), np.array([0, 2]), (2,)),
        "add(Linear): expected scopes that all have the same states; got states (2,) and others up to (3,). Add",
    ),
    (lambda: Table([[1, 2], [NAN, 0]]), "Table: expected energies to be finite or +inf; got energies[1, 0] = nan. Low"),
    (lambda: Table(np.array([1, -INF], np.float32)), "got energies[1] = -inf"),
    (lambda: Table(NAN), "got energies = nan"),
    (lambda: Table([[1, 2], [3]]), "Table: expected energies to be an array of numbers; got nested sequences of uneq"),
    (lambda: Table([1j, 0]), "Table: expected energies to be real numbers; got an array of complex128"),
    (lambda: Table([None, 0]), "got an array of object"),
    (lambda: check_energies(["a"], "here"), "here: expected energies to be real numbers; got an array of <U1"),
    (lambda: Potts([0, -INF]), "Potts: expected weight to be finite or +inf; got weight[1] = -inf"),
    (lambda: Potts(1).bind(1, (), (3,)), "add(Potts): expected scopes of two variables; got 1"),
    (lambda: Potts(1).bind(1, (), (3, 2)), "expected two variables of equally many states; got 3 and 2 states"),
    (lambda: Potts([1, 2]).bind(3, (3,), (2, 2)), "of shape () (shared) or (3,) (one each); got (2,). An array of"),
    (lambda: Potts([[1, 2]]).bind(2, (2,), (2, 2)), "of shape () (shared) or (2,) (one each); got (1, 2)"),
    (lambda: TruncatedLinear(-1), "TruncatedLinear: expected finite slopes ≥ 0 and caps ≥ 0; got slopes from -1 to -1"),
    (lambda: TruncatedQuadratic(1, NAN), "TruncatedQuadratic: expected finite slopes ≥ 0 and caps ≥ 0; got slopes"),
    (lambda: TruncatedLinear([1, 2], [1, 2, 3]), "expected slope and cap of one shape, or a number for either; got (2"),
    (lambda: TruncatedLinear(1).bind(1, (), (3,)), "add(TruncatedLinear): expected scopes of two variables; got 1."),
    (lambda: TruncatedLinear([1, 2]).bind(3, (3,), (2, 2)), "of shape () (shared) or (3,) (one each); got (2,)."),
    (lambda: Linear(None, ""), "Linear: expected param to be a name, a non-empty str; got ''"),
    (lambda: Linear(np.zeros((2, 2)), 3), "got 3"),  # type: ignore[arg-type]
    (lambda: Linear(5.0, "w"), "Linear('w'): expected features of shape (scopes, features) or shape + (features,)"),
    (lambda: Linear([[1], [NAN]], "w"), "Linear('w'): expected finite features; got features[1, 0] = nan"),
    (lambda: Linear([[1], [INF]], "w"), "got features[1, 0] = inf"),
    (lambda: Linear([[1], [1, 2]], "w"), "expected features to be an array of numbers; got nested"),
    (lambda: Linear(sparse.csr_array([[0, 1.0], [0, NAN]]), "w"), "got features[1, 1] = nan"),
    (lambda: Linear(sparse.csr_array([[0, 1j]]), "w"), "real numbers; got complex128"),
    (lambda: Linear(csr([0, 4], [0, 1, 2], [1, 1]), "w"), "column indices in 0..3 and indptr rising from 0; got ind"),
    (lambda: Linear(csr([0, -1], [0, 1, 2], [1, 1]), "w"), "got indices[1] = -1"),
    (lambda: Linear(csr([0, 1], [0, 2, 1], [1, 1]), "w"), "got indptr[2] = 1"),
    (lambda: Linear(csr([0, 1], [0, 1, 3], [1, 1]), "w"), "got indptr[2] = 3"),
    (lambda: Linear(np.zeros((2, 2)), "w", dtype=complex), "expected a dtype of real numbers; got complex128"),
    (
        lambda: Linear(np.zeros((3, 2)), "w").bind(4, (2, 2), (3,)),
        "add(Linear 'w'): expected features of shape (2, 2, 2) or (4, 2); got (3, 2). One row for each scope",
    ),
    (lambda: Linear(sparse.csr_array((3, 2)), "w").bind(4, (4,), (3,)), "of shape (4, 2); got (3, 2)"),
    (
        lambda: Linear(np.eye(2), "w").energies({"v": 1}, None, np.zeros((2, 3))),
        "Linear('w'): expected parameters['w'] of shape (2, 3); it is missing, got 'v'. Pass parameters",
    ),
    (lambda: Linear(np.eye(2), "w").energies(None, None, np.zeros((2, 3))), "it is missing, got none"),
    (
        lambda: Linear(np.eye(2), "w").energies({"w": np.zeros((3, 2))}, None, np.zeros((2, 3))),
        "expected parameters['w'] of shape (2, 3) (features, *states); got (3, 2)",
    ),
    (
        lambda: Linear(np.eye(2), "w").energies({"w": np.array([[0, 1], [NAN, 0]])}, None, np.zeros((2, 2))),
        "expected parameters['w'] to be finite or +inf; got parameters['w'][1, 0] = nan",
    ),
    (
        lambda: Linear(sparse.eye_array(9).tocsr(), "w").energies({"w": np.full((9, 9), -INF)}, None, np.zeros((9, 9))),
        "got parameters['w'][0, 0] = -inf",
    ),
    (
        lambda: Linear(-sparse.eye_array(2).tocsr(), "w").energies({"w": np.full((2, 2), INF)}, None, np.zeros((2, 2))),
        "Linear('w'): expected energies to be finite or +inf; got energies[0, 0] = -inf",
    ),
    (lambda: Linear(None, "w").energies({"w": [[NAN, 0]]}, None, np.zeros((1, 2))), "parameters['w'][0, 0] = nan"),
    (lambda: MLP(None, "n"), "MLP('n'): expected dense features; got NoneType"),
    (lambda: MLP(sparse.csr_array((3, 2)), "n"), "MLP('n'): expected dense features; got csr_array"),
    (lambda: MLP(np.zeros((3, 2)), "n", hidden=0), "expected hidden to be a positive int; got 0"),
    (lambda: MLP(np.zeros((3, 2)), "n").bind(4, (4,), (3,)), "add(MLP 'n'): expected features of shape (4, 2); got (3"),
    (
        lambda: MLP(np.zeros((3, 2)), "n").energies({}, None, np.zeros((3, 5))),
        "MLP('n'): expected parameters['n.hidden.weight'] of shape (2, 96); it is missing",
    ),
    (
        lambda: MLP(np.ones((1, 1)), "n", 1).energies(
            {"n.hidden.weight": [[1]], "n.hidden.bias": [NAN], "n.output.weight": [[1, 1]], "n.output.bias": [0, 0]},
            None,
            np.zeros((1, 2)),
        ),
        "got parameters['n.hidden.bias'][0] = nan",
    ),
    (lambda: AtMostOne().bind(1, (), (2, 3)), "add(AtMostOne): expected binary variables; got one of 3 states."),
    (lambda: AtMostOne().bind(1, (), ()), "add(AtMostOne): expected scopes of at least one variable; got 0."),
    (lambda: Or().bind(1, (), (2,)), "add(Or): expected scopes of inputs and, last, the output; got 1."),
    (
        lambda: Cardinality([0, 1, 2]).bind(1, (), (2, 2, 2)),
        "of shape (4,); got (3,). An axis for each variable of a scope, in the order given to add, as long as that "
        "variable has states. In Cardinality the states (4,) are the counts 0 … 3 of ones among 3 variables.",
    ),
    (lambda: Cardinality([0, 1], most=-1), "Cardinality: expected most to be None or an int ≥ 0; got -1."),
    (lambda: Cardinality([0, NAN]), "Table: expected energies to be finite or +inf; got energies[1] = nan"),
    (lambda: External(""), "External: expected a name, a non-empty str; got ''"),
    (
        lambda: External("u").energies(None, {"v": 0}, np.zeros((2, 3))),
        "External('u'): expected inputs['u'] of shape (2, 3); it is missing, got 'v'. Pass inputs",
    ),
    (
        lambda: External("u").energies(None, {"u": np.zeros(6)}, np.zeros((2, 3))),
        "External('u'): expected inputs['u'] of shape (2, 3) (scopes, *states); got (6,)",
    ),
    (
        lambda: External("u").energies(None, {"u": np.zeros((2, 4))}, np.zeros((2, 3))),
        "External('u'): expected inputs['u'] of shape (2, 3) (scopes, *states); got (2, 4)",
    ),
    (lambda: External("u").energies(None, {"u": [[0, NAN]]}, np.zeros((1, 2))), "got inputs['u'][0, 1] = nan"),
]


@pytest.mark.jitoff
@pytest.mark.parametrize("call, text", REFUSED, ids=range(len(REFUSED)))
def test_refused(call: Callable[[], Any], text: str) -> None:
    with pytest.raises(FactorGraphError, match=re.escape(text)) as info:
        call()
    assert "got" in str(info.value) and str(info.value).endswith((".", "?"))
