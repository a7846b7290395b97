"""Wrong input ends in a FactorGraphError that says where, what was expected and what came, or in a status.

Patterns are searched in the text, upper and lower case alike: each names the place, the expectation, the offender.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import factorgraph as fg


@contextmanager
def refused(*patterns: str) -> Iterator[None]:
    """A FactorGraphError (and nothing else) whose text matches every pattern."""
    with pytest.raises(fg.FactorGraphError) as info:
        yield
    text = str(info.value)
    for pattern in patterns:
        assert re.search(pattern, text, re.IGNORECASE | re.DOTALL), f"{pattern!r} not found in: {text}"


def status(solution: Any) -> str:
    return fg.Status(solution.status).name


def chain(n: int = 4, states: Any = 3) -> tuple[Any, Any]:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(n,), states=states)
    g.add(fg.Table(np.zeros((3, 3))), x[:-1], x[1:])
    return g, x


def test_the_exception_is_a_value_error() -> None:
    assert issubclass(fg.FactorGraphError, ValueError)


# Declaration


def test_a_name_declared_twice() -> None:
    g, _ = chain()
    with refused("variables", "'x'", "taken|already|twice|duplicate|unique"):
        g.variables("x", states=2)
    with refused("lattice", "'x'", "taken|already|twice|duplicate|unique"):
        g.lattice("x", arcs=([0], [1]), states=2)
    g.lattice("line", arcs=([0], [1]), states=2)
    with refused("variables", "'line'", "taken|already|twice|duplicate|unique"):
        g.variables("line", states=2)


def test_a_refused_declaration_leaves_the_graph_as_it_was() -> None:
    g, _ = chain()
    for wrong in (["a", "a"], 0, -3):
        with refused("variables"):
            g.variables("y", states=wrong)
    y = g.variables("y", states=2)
    with refused("add"):
        g.add(fg.Table(np.zeros(5)), y)
    g.add(fg.Table(np.array([2.0, 1.0])), y)
    solution = fg.solve(g)
    assert solution.energy == 1 and solution.labels["y"] == 1 and np.asarray(solution.labels["x"]).shape == (4,)


def test_state_names_that_repeat() -> None:
    with refused("variables", "'y'", "cat", "twice|duplicate|distinct|repeat|unique|differ"):
        fg.FactorGraph().variables("y", states=["cat", "dog", "cat"])


@pytest.mark.parametrize("states", [0, -1, [], np.array([2, 0]), 2.5, None, np.array([2.0, 3.0]), 2**40])
def test_states_that_are_no_number_of_states(states: Any) -> None:
    shape = {"shape": (2,)} if isinstance(states, np.ndarray) else {}
    with refused("variables", "'y'", "expected .*state"):
        fg.FactorGraph().variables("y", states=states, **shape)


def test_ragged_states_of_another_shape() -> None:
    with refused("variables", "'v'", "expected", r"\(3,\)", r"\(2,\)"):
        fg.FactorGraph().variables("v", shape=(3,), states=np.array([2, 3]))


@pytest.mark.parametrize("shape", [(-1,), (2.5,), "ab"])
def test_shapes_that_are_no_shape(shape: Any) -> None:
    with refused("variables", "'x'", "shape"):
        fg.FactorGraph().variables("x", shape=shape, states=2)


def test_an_index_out_of_range() -> None:
    _, x = chain()
    with pytest.raises((fg.FactorGraphError, IndexError), match="9"):
        x[9]


@pytest.mark.parametrize(
    "arcs, words",
    [
        (([0, 2], [1, 1]), "start"),  # backwards
        (([0, 1], [1, 1]), "start"),  # a loop
        (([0, -1], [1, 2]), "-1|negative"),
        (([0, 1], [1]), r"length|shape|\(2,\)"),
        (([0.5, 1.0], [1.0, 2.0]), "int"),
    ],
)
def test_arcs_that_make_no_lattice(arcs: Any, words: str) -> None:
    with refused("lattice", "'line'", "expected", words):
        fg.FactorGraph().lattice("line", arcs=arcs, states=2)


# Factors


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (3,), (3, 3, 3), (2, 3, 3), (3, 3, 3, 3), ()])
def test_a_table_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,), states=3)
    with refused("add", "Table", "expected", r"\(3, 3\)", r"\(4, 3, 3\)", "got", re.escape(str(shape))):
        g.add(fg.Table(np.zeros(shape)), x[:-1], x[1:])


def test_the_message_of_design_md() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(6, 8), states=3)
    with refused(r"add\(Table\)", "expected", r"\(3, 3\)", r"\(6, 7, 3, 3\)", r"x\[", r"got \(3, 4\)"):
        g.add(fg.Table(np.zeros((3, 4))), x[:, :-1], x[:, 1:])


def test_scopes_that_do_not_broadcast() -> None:
    g = fg.FactorGraph()
    x, y = g.variables("x", shape=(4,), states=2), g.variables("y", shape=(3,), states=2)
    with refused("add", "broadcast", r"\(4,\)", r"\(3,\)"):
        g.add(fg.Table(np.zeros((2, 2))), x, y)


def test_scopes_of_unequal_states() -> None:
    g = fg.FactorGraph()
    v = g.variables("v", shape=(3,), states=np.array([2, 3, 2]))
    with refused("add", "states", "2", "3"):
        g.add(fg.Table(np.zeros(2)), v)
    g.add(fg.Table(np.zeros(2)), v[[0, 2]])
    with refused("add", "Potts", "states", "2", "3"):
        g.add(fg.Potts(1.0), v[0], v[1])


@pytest.mark.parametrize("weight", [np.zeros(3), np.zeros((3, 3)), np.zeros((4, 1))])
def test_potts_weights_of_the_wrong_shape(weight: np.ndarray) -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(5,), states=3)
    with refused("add", "Potts", "expected", r"\(4,\)", "got", re.escape(str(weight.shape))):
        g.add(fg.Potts(weight), x[:-1], x[1:])


def test_potts_needs_two_variables() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    for scopes in [(x,), (x[0], x[1], x[2]), ()]:
        with refused("add", "Potts", "two|2", "got|scopes"):
            g.add(fg.Potts(1.0), *scopes)


def test_the_same_variable_twice_in_one_scope() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=2)
    y = g.variables("y", states=2)
    table = fg.Table(np.zeros((2, 2)))
    twice = "twice|same variable|distinct|repeat"
    with refused("add", twice, "y"):
        g.add(table, y, y)
    with refused("add", twice, "x", r"\(0,\)"):  # by a slice; the message says in which scope
        g.add(table, x[1:], x[1:])
    with refused("add", twice, "x", r"\(1,\)"):  # by a fancy index, in the second scope only
        g.add(table, x[[0, 2]], x[[1, 2]])
    with refused("add", twice, "x"):  # by a negative index
        g.add(table, x[3], x[-1])
    with refused("add", twice, "x", r"\(1,\)"):  # by broadcasting
        g.add(table, x, x[1])
    with refused("add", twice, "x"):  # in the first and third position
        g.add(fg.Table(np.zeros((2, 2, 2))), x[0], y, x[0])
    g.add(table, x[[0, 0]], x[[1, 1]])  # one scope twice is no such case
    assert status(fg.solve(g)) == "OPTIMAL"


def test_variables_of_another_graph() -> None:
    g, _ = chain()
    _, stranger = chain()
    with refused("add", "graph"):
        g.add(fg.Table(np.zeros(3)), stranger)


def test_what_is_no_factor_or_no_variable() -> None:
    g, x = chain()
    with pytest.raises((fg.FactorGraphError, TypeError)):
        g.add(np.zeros(3), x)
    with pytest.raises((fg.FactorGraphError, TypeError)):
        g.add(fg.Table(np.zeros(3)), "x")


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_energies_that_are_nan_or_minus_infinity(value: float, dtype: Any) -> None:
    g, x = chain()
    table = np.zeros((4, 3), dtype=dtype)
    table[2, 1] = value
    words = "nan" if np.isnan(value) else "-inf|−inf"
    with refused("Table", words, r"\(?2, 1\)?"):
        g.add(fg.Table(table), x)
    with refused("Potts", words):
        g.add(fg.Potts(value), x[:-1], x[1:])
    assert fg.solve(g).energy == 0


def test_tables_that_become_nan_after_they_were_added() -> None:
    """Tables may be changed in place; they are checked again when energies are computed."""
    table = np.zeros(3)
    g = fg.FactorGraph()
    g.add(fg.Table(table), g.variables("y", states=3))
    assert fg.solve(g).energy == 0
    for value in (np.nan, -np.inf):
        table[1] = value
        with refused("Table", "nan|-inf"):
            fg.solve(g)


def test_energies_that_are_no_real_numbers() -> None:
    g, x = chain()
    for table in (np.array(["a", "b", "c"]), np.zeros(3, dtype=complex), np.array([None, 1, 2])):
        with refused("Table", "expected", "got"):
            g.add(fg.Table(table), x)


# Evidence

KNOWN = "'x'"


def named() -> Any:
    g = fg.FactorGraph()
    g.variables("x", shape=(2, 3), states=4)
    g.variables("y", states=["cat", "dog"])
    g.variables("z", shape=(2,), states=2, latent=True)
    g.lattice("line", arcs=([0, 1], [1, 2]), states=3)
    return g


def test_evidence_of_an_unknown_name() -> None:
    with refused("evidence", "'w'", "expected|known|declared", KNOWN):
        fg.solve(named(), evidence={"w": 1})


@pytest.mark.parametrize("label", [2, 7, -2])
def test_evidence_out_of_range(label: int) -> None:
    with refused("evidence", "'y'", "expected", "2|1", f"got.*{label}"):
        fg.solve(named(), evidence={"y": label})


def test_evidence_out_of_range_inside_an_array() -> None:
    labels = np.zeros((2, 3), dtype=int)
    labels[1, 2] = 4
    with refused("evidence", "'x'", r"1, 2", "expected", "got.*4"):
        fg.solve(named(), evidence={"x": labels})


def test_evidence_beyond_a_ragged_alphabet() -> None:
    g = fg.FactorGraph()
    g.variables("v", shape=(3,), states=np.array([4, 2, 4]))
    assert status(fg.solve(g, evidence={"v": [3, 1, 3]})) == "OPTIMAL"
    with refused("evidence", "'v'", "1", "expected", "got.*3"):
        fg.solve(g, evidence={"v": [3, 3, 3]})


def test_evidence_with_an_unknown_state_name() -> None:
    with refused("evidence", "'y'", "'cow'", "cat", "dog"):
        fg.solve(named(), evidence={"y": "cow"})
    with refused("evidence", "'x'", "'cat'", "names|int"):
        fg.solve(named(), evidence={"x": [["cat"] * 3] * 2})


@pytest.mark.parametrize(
    "name, value",
    [
        ("x", np.zeros((3, 2), dtype=int)),
        ("x", np.zeros(6, dtype=int)),
        ("x", np.ones((2, 3, 5), dtype=bool)),
        ("y", [0, 1]),
        ("y", np.ones(3, dtype=bool)),
    ],
)
def test_evidence_of_the_wrong_shape(name: str, value: Any) -> None:
    shape = {"x": r"\(2, 3", "y": r"\(\)|\(2,\)"}[name]
    with refused("evidence", f"'{name}'", "expected", shape, "got", re.escape(str(np.shape(value)))):
        fg.solve(named(), evidence={name: value})


def test_evidence_that_is_no_label() -> None:
    for value in (0.5, np.nan, {"a": 1}, [[0], [0, 1]], np.uint64(2**64 - 1)):
        with refused("evidence", "'y'", "expected", "got"):
            fg.solve(named(), evidence={"y": value})


def test_evidence_that_contradicts_itself() -> None:
    """A mask that allows no state."""
    with refused("evidence", "'y'", "no state|empty|contradict|at least one"):
        fg.solve(named(), evidence={"y": np.zeros(2, dtype=bool)})
    mask = np.ones((2, 3, 4), dtype=bool)
    mask[1, 0] = False
    with refused("evidence", "'x'", "1, 0", "no state|empty|contradict|at least one"):
        fg.solve(named(), evidence={"x": mask})


def test_evidence_on_latent_variables() -> None:
    for value in ([0, 1], [-1, 0], np.array([[True, False], [True, True]])):
        with refused("evidence", "'z'", "latent"):
            fg.solve(named(), evidence={"z": value})


def test_evidence_for_a_lattice() -> None:
    with refused("evidence", "'line'", "expected", "3|2", "got.*3"):
        fg.solve(named(), evidence={"line": [0, 3]})
    with refused("evidence", "'line'", "expected", "got"):
        fg.solve(named(), evidence={"line": [0, -2]})
    with refused("evidence", "'line'", "expected", "got"):
        fg.solve(named(), evidence={"line": [[0, 1], [1, 0]]})
    with refused("evidence", "'line'", "expected", "got"):
        fg.solve(named(), evidence={"line": [0.5, 1.5]})


def test_evidence_is_checked_by_every_question() -> None:
    for ask in (fg.solve, fg.marginals, lambda g, evidence: fg.k_best(g, 2, evidence=evidence)):
        with refused("evidence", "'w'"):
            ask(named(), evidence={"w": 1})
        with refused("evidence", "'y'"):
            ask(named(), evidence={"y": 5})
        with refused("evidence", "latent"):
            ask(named(), evidence={"z": [0, 0]})


def test_evidence_must_be_a_dictionary() -> None:
    with refused("evidence", "dict|mapping", "got"):
        fg.solve(named(), evidence=[1, 2])


# Labels given to fg.energy


def test_labels_that_do_not_fit() -> None:
    g, _ = chain()
    with refused("energy", "'x'", "missing|expected"):
        fg.energy(g, {})
    with refused("energy", "'w'"):
        fg.energy(g, {"x": [0, 0, 0, 0], "w": 1})
    with refused("energy", "'x'", "expected", "got.*3"):
        fg.energy(g, {"x": [0, 0, 3, 0]})
    with refused("energy", "'x'", "expected", r"\(4,\)", "got", r"\(3,\)"):
        fg.energy(g, {"x": [0, 0, 0]})


def test_labels_of_a_lattice_must_be_a_path() -> None:
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1, 0], [1, 2, 2]), states=2)
    g.add(fg.Table(np.ones((3, 2))), line)
    assert fg.energy(g, {"line": [0, 1, -1]}) == 2 and fg.energy(g, {"line": [-1, -1, 1]}) == 1
    for wrong in ([0, -1, -1], [-1, 0, -1], [0, 1, 0], [-1, -1, -1]):
        with refused("energy", "'line'", "path"):
            fg.energy(g, {"line": wrong})


# Parameters and inputs


def linear() -> Any:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(2,), states=3)
    g.add(fg.Linear(np.array([[1.0, 2.0], [0.5, -1.0]]), param="glyph"), y)
    return g


def external() -> Any:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(2,), states=3)
    g.add(fg.External("scores"), y)
    return g


def test_parameters_and_inputs_that_fit() -> None:
    weights = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])  # (features, states)
    energies = np.array([[1.0, 2.0], [0.5, -1.0]]) @ weights
    assert fg.solve(linear(), parameters={"glyph": weights}).energy == pytest.approx(energies.min(axis=1).sum())
    assert fg.solve(external(), inputs={"scores": energies}).energy == pytest.approx(energies.min(axis=1).sum())


def test_unknown_and_missing_parameters() -> None:
    good = np.zeros((2, 3))
    with refused("parameters", "'glyp'", "'glyph'"):
        fg.solve(linear(), parameters={"glyph": good, "glyp": good})
    for given in ({}, None):
        with refused("parameters", "'glyph'", "missing|expected"):
            fg.solve(linear(), parameters=given)
    with refused("parameters", "'glyph'"):
        fg.solve(chain()[0], parameters={"glyph": good})


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1), ()])
def test_parameters_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with refused("parameters", "'glyph'", "expected", r"\(2, 3\)", "got", re.escape(str(shape))):
        fg.solve(linear(), parameters={"glyph": np.zeros(shape)})


def test_unknown_and_missing_inputs() -> None:
    good = np.zeros((2, 3))
    with refused("inputs", "'score'", "'scores'"):
        fg.solve(external(), inputs={"scores": good, "score": good})
    for given in ({}, None):
        with refused("inputs", "'scores'", "missing|expected"):
            fg.solve(external(), inputs=given)
    with refused("inputs", "'scores'"):
        fg.solve(chain()[0], inputs={"scores": good})


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 4), (1, 3), (3,)])
def test_inputs_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with refused("inputs|External", "'scores'", "expected", r"\(2, 3\)", "got", re.escape(str(shape))):
        fg.solve(external(), inputs={"scores": np.zeros(shape)})


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_parameters_and_inputs_that_are_nan_or_minus_infinity(value: float) -> None:
    words = "nan" if np.isnan(value) else "-inf|−inf"
    table = np.zeros((2, 3))
    table[1, 2] = value
    with refused("scores", words):
        fg.solve(external(), inputs={"scores": table})
    with refused("glyph", words):
        fg.solve(linear(), parameters={"glyph": table})
    table[1, 2] = np.inf
    assert fg.solve(external(), inputs={"scores": table}).energy == 0  # +inf is no error: it forbids


def test_features_of_the_wrong_shape() -> None:
    g = fg.FactorGraph()
    y = g.variables("y", shape=(4,), states=3)
    with refused("add", "Linear", "expected", "4", "got", r"\(3, 2\)"):
        g.add(fg.Linear(np.zeros((3, 2)), param="w"), y)
    with refused("Linear", "nan"):
        g.add(fg.Linear(np.full((4, 2), np.nan), param="w"), y)


def test_one_parameter_for_scopes_of_different_states() -> None:
    g = fg.FactorGraph()
    y, z = g.variables("y", shape=(4,), states=3), g.variables("z", shape=(4,), states=2)
    g.add(fg.Linear(np.zeros((4, 2)), param="w"), y)
    with refused("'w'", r"\(3,\)|3", r"\(2,\)|2"):
        g.add(fg.Linear(np.zeros((4, 2)), param="w"), z)
        g.compile()
    g = fg.FactorGraph()
    y = g.variables("y", shape=(4,), states=3)
    g.add(fg.Linear(np.zeros((4, 2)), param="w"), y)
    with refused("'w'", "2", "5"):
        g.add(fg.Linear(np.zeros((4, 5)), param="w"), y)
        g.compile()


# Memory: refused before anything is allocated


def test_a_table_larger_than_the_memory_limit() -> None:
    """The table is a view of one number: only its size is large (8 · 20000² bytes, then 8 · 3000⁴)."""
    for states, arity in [(20_000, 2), (3000, 4)]:
        g = fg.FactorGraph()
        x = g.variables("x", shape=(arity,), states=states)
        table = np.broadcast_to(np.float64(0), (states,) * arity)
        with refused("memory", r"[GTPE]i?B", "memory_limit"):
            g.add(fg.Table(table), *(x[i] for i in range(arity)))
            fg.solve(g)


def test_one_table_for_each_scope_larger_than_the_memory_limit() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(10_001,), states=200)
    table = np.broadcast_to(np.float64(0), (10_000, 200, 200))  # 3 GiB
    with refused("memory", r"GiB", "memory_limit"):
        g.add(fg.Table(table), x[:-1], x[1:])
        fg.solve(g)


@pytest.mark.parametrize("limit", ["1 KiB", "0.001 MiB", 1024])
def test_a_small_memory_limit(limit: Any) -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2,), states=100)
    g.add(fg.Table(np.zeros((100, 100))), x[0], x[1])  # 80 kB
    with refused("memory", r"[kKM]i?B", "memory_limit"):
        fg.solve(g, memory_limit=limit)
    assert fg.solve(g, memory_limit="1 MiB").energy == 0


@pytest.mark.parametrize("limit", ["lots", "-1 GiB", -5, "GiB"])
def test_a_memory_limit_that_is_none(limit: Any) -> None:
    with refused("memory_limit", "expected", "got"):
        fg.solve(chain()[0], memory_limit=limit)


def test_nodes_numbered_far_apart() -> None:
    """Work space grows with the largest node: refused, not a MemoryError."""
    g = fg.FactorGraph()
    with refused("lattice|memory", r"nodes|memory_limit"):
        g.lattice("line", arcs=([0, 1], [1, 10**12]), states=2)
        fg.solve(g)


# Other arguments


@pytest.mark.parametrize(
    "name, value",
    [("threads", 0), ("threads", -1), ("latent", "max"), ("method", "magic"), ("time_limit", -1.0)],
)
def test_arguments_out_of_their_range(name: str, value: Any) -> None:
    with refused(name, "expected|known|one of", re.escape(str(value))):
        fg.solve(chain()[0], **{name: value})


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan])
def test_temperatures_must_be_positive(temperature: float) -> None:
    with refused("temperature", "positive|> 0|above 0", re.escape(str(temperature))):
        fg.marginals(chain()[0], temperature=temperature)


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan])
def test_temperatures_of_summed_latent_variables_must_be_positive(temperature: float) -> None:
    g = fg.FactorGraph()
    g.variables("z", states=2, latent=True)
    with refused("temperature", "positive|> 0|above 0", re.escape(str(temperature))):
        fg.solve(g, latent="sum", temperature=temperature)


@pytest.mark.parametrize("k", [0, -3, 1.5])
def test_k_must_be_a_positive_number(k: Any) -> None:
    with refused("k_best", "expected", re.escape(str(k))):
        fg.k_best(chain()[0], k)


def test_summed_latent_variables_with_free_answers_are_exact_or_refused() -> None:
    """min over Y of the free energy is hard in general: the right answer or the named error, nothing between."""
    table = np.array([[0.0, 9.0, 9.0], [0.5, 0.5, 0.5]])
    g = fg.FactorGraph()
    y, z = g.variables("y", states=2), g.variables("z", states=3, latent=True)
    g.add(fg.Table(table), y, z)
    try:
        solution = fg.solve(g, latent="sum")
    except fg.FactorGraphError as error:
        assert re.search("latent", str(error))
    else:
        assert solution.labels["y"] == 1
        assert solution.energy == pytest.approx(0.5 - np.log(3))


# Statuses: what is no error


def test_an_empty_graph() -> None:
    solution = fg.solve(fg.FactorGraph())
    assert status(solution) == "OPTIMAL"
    assert solution.energy == solution.minimum == solution.bound == solution.gap == 0
    assert dict(solution.labels) == {} and len(solution.components.energy) == 0
    assert fg.energy(fg.FactorGraph(), {}) == 0
    assert fg.marginals(fg.FactorGraph()).log_partition == 0


def test_no_factors() -> None:
    g = fg.FactorGraph()
    g.variables("x", shape=(2, 3), states=4)
    g.variables("y", states=["a", "b"])
    solution = fg.solve(g)
    assert status(solution) == "OPTIMAL" and solution.energy == solution.bound == 0
    labels = np.asarray(solution.labels["x"])
    assert labels.shape == (2, 3) and ((labels >= 0) & (labels < 4)).all()
    assert fg.marginals(g).log_partition == pytest.approx(6 * np.log(4) + np.log(2))


def test_only_a_constant() -> None:
    g = fg.FactorGraph()
    g.add(fg.Table(2.5))
    solution = fg.solve(g)
    assert status(solution) == "OPTIMAL" and solution.energy == solution.bound == 2.5
    g.add(fg.Table(np.inf))
    assert status(fg.solve(g)) == "INFEASIBLE"


def test_arrays_of_no_variables() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(0,), states=3)
    y = g.variables("y", shape=(1,), states=3)
    g.add(fg.Table(np.ones(3)), x)
    g.add(fg.Table(np.ones((3, 3))), y[:-1], y[1:])  # no neighbours
    solution = fg.solve(g)
    assert status(solution) == "OPTIMAL" and solution.energy == 0
    assert np.asarray(solution.labels["x"]).shape == (0,)


def check_infeasible(g: Any, **options: Any) -> Any:
    solution = fg.solve(g, **options)
    assert status(solution) == "INFEASIBLE"
    assert solution.energy == solution.minimum == solution.bound == np.inf and solution.gap == 0
    assert len(str(solution.status).split()) > 3  # a sentence
    return solution


def test_all_states_forbidden() -> None:
    g = fg.FactorGraph()
    y = g.variables("y", states=["a", "b"])
    g.add(fg.Table(np.full(2, np.inf)), y)
    solution = check_infeasible(g)
    assert solution.labels["y"] == -1
    assert fg.marginals(g).log_partition == -np.inf
    assert fg.k_best(g, 3) == []


def test_forbidden_by_factors_together_or_with_evidence() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    equal = np.array([[0, np.inf], [np.inf, 0]])
    g.add(fg.Table(equal), x[:-1], x[1:])
    assert status(fg.solve(g)) == "OPTIMAL"
    solution = check_infeasible(g, evidence={"x": [0, -1, 1]})
    assert np.asarray(solution.labels["x"]).tolist() == [-1, -1, -1]
    g.add(fg.Table(np.array([0, np.inf])), x[0])
    g.add(fg.Table(np.array([np.inf, 0])), x[2])
    check_infeasible(g)


def test_one_infeasible_component_leaves_the_others_alone() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3, 2), states=2)
    table = np.array([[0.0, 1.0], [1.0, -1.0]])
    g.add(fg.Table(np.stack([table, np.full((2, 2), np.inf), table + 1])), x[:, 0], x[:, 1])
    solution = check_infeasible(g)
    assert np.asarray(solution.labels["x"]).tolist() == [[1, 1], [-1, -1], [1, 1]]
    assert np.asarray(solution.components.energy).tolist() == [-1, np.inf, 0]
    statuses = [fg.Status(value).name for value in solution.components.status]
    assert statuses == ["OPTIMAL", "INFEASIBLE", "OPTIMAL"]


def test_lattices_without_a_path() -> None:
    g = fg.FactorGraph()
    g.lattice("line", arcs=([0, 2], [1, 3]), states=2)
    solution = check_infeasible(g)
    assert len(solution.paths["line"]) == len(solution.strings["line"]) == 0
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1], [1, 2]), states=2)
    g.add(fg.Table(np.full((2, 2), np.inf)), line, line)
    check_infeasible(g)


@pytest.mark.parametrize("method", ["auto", "min-sum"])
def test_a_loopy_graph_without_a_labelling_is_never_called_optimal(method: str) -> None:
    """Three variables that must all differ, two states."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    differ = np.array([[np.inf, 0], [0, np.inf]])
    g.add(fg.Table(differ), x[[0, 1, 2]], x[[1, 2, 0]])
    solution = fg.solve(g, method=method)
    assert status(solution) != "OPTIMAL" and solution.energy == np.inf
    assert np.asarray(solution.labels["x"]).tolist() == [-1, -1, -1]
