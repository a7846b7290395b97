"""Min-marginals, draws and entropy: figures worked by hand, frequencies of draws, extremes, messages.

What enumeration can say of random graphs is in test_laws.py.
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import oracle
import pytest
from oracle import INF
from scipy.stats import chi2
from strategies import Case, RandomChoices, explained, random_case, random_evidence
from test_bad_input import chain, refused
from test_exact_values import hidden_markov, segmentation

import factorgraph as fg
from factorgraph.infer.solver import Solver

pytestmark = pytest.mark.filterwarnings("error:invalid value:RuntimeWarning")  # inf − inf nowhere


# Figures


@pytest.mark.jitoff
def test_the_hidden_markov_model_by_its_eight_paths() -> None:
    """Healthy or fever, observed normal, cold, dizzy: −log of the eight joint probabilities."""
    start, change = np.array([0.6, 0.4]), np.array([[0.7, 0.3], [0.4, 0.6]])
    symptom = np.array([[0.5, 0.4, 0.1], [0.1, 0.3, 0.6]])
    joint = {}
    for a, b, c in itertools.product(range(2), repeat=3):
        joint[a, b, c] = start[a] * symptom[a, 0] * change[a, b] * symptom[b, 1] * change[b, c] * symptom[c, 2]
    p = np.array(list(joint.values()))
    found = fg.min_marginals(hidden_markov())
    assert found.energy == pytest.approx(4.1917369, abs=5e-8)
    for day, state in itertools.product(range(3), range(2)):
        best = -np.log(max(value for path, value in joint.items() if path[day] == state))
        assert found.variables["health"][day, state] == pytest.approx(best, abs=1e-12)
    assert found.variables["health"].argmin(1).tolist() == [0, 0, 1]  # HHF
    assert -np.log(p.sum()) == pytest.approx(3.3164887, abs=5e-8)
    p = p / p.sum()
    assert fg.entropy(hidden_markov()) == pytest.approx(-(p * np.log(p)).sum(), abs=1e-12)


@pytest.mark.jitoff
@pytest.mark.parametrize("temperature", [0.25, 1.0, 3.0])
def test_the_entropy_of_an_ising_pair(temperature: float) -> None:
    """Agreeing with probability q = e^{1/T} / (e^{1/T} + e^{−1/T}): H = log 2 − q log q − (1 − q) log(1 − q)."""
    q = 1 / (1 + np.exp(-2 / temperature))
    expected = np.log(2) - q * np.log(q) - (1 - q) * np.log(1 - q)
    for factor in (fg.Potts(2.0), fg.Table([[-1.0, 1.0], [1.0, -1.0]]), fg.Table(np.float32([[-1, 1], [1, -1]]))):
        g = fg.FactorGraph()
        s = g.variables("s", shape=(2,), states=2)
        g.add(factor, s[0], s[1])
        assert fg.entropy(g, temperature) == pytest.approx(expected, abs=1e-12)
        assert fg.entropy(g, temperature, evidence={"s": [0, 0]}) == 0
        assert fg.marginals(g, temperature, factors=True).factors[0].sum() == pytest.approx(
            1 - q if isinstance(factor, fg.Potts) else 1, abs=1e-12
        )


@pytest.mark.jitoff
def test_the_lattice_worked_by_hand() -> None:
    """Paths 0·1·3 and 2·3 of two letters each: the least of every arc and letter; 2³ + 2² readings."""
    found = fg.min_marginals(segmentation())
    np.testing.assert_array_equal(found.variables["line"], [[1, 2], [1, 4], [2.5, 0.5], [1.5, 0.5]])
    forced = fg.min_marginals(segmentation(), evidence={"line": [0, 0, 1]})
    np.testing.assert_array_equal(forced.variables["line"], [[1, INF], [1, INF], [INF, INF], [INF, 1]])
    g = fg.FactorGraph()
    line = g.lattice("line", arcs=([0, 1, 0, 2], [1, 2, 2, 3]), states=2)
    assert fg.entropy(g) == pytest.approx(np.log(12), abs=1e-12)
    draws = fg.sample(g, 5)
    assert all(draws.strings["line"][d] == tuple(draws.labels["line"][d][draws.paths["line"][d]]) for d in range(5))
    g.add(fg.Potts(INF), line, line)
    assert fg.entropy(g) == pytest.approx(np.log(4), abs=1e-12)
    posterior = fg.marginals(g, factors=True)
    assert posterior.factors[0].tolist() == [0.0]


def test_gradients_of_the_log_partition_are_expected_configurations() -> None:
    """⟨∂E/∂θ⟩ by `backward`: the derivative of F, here by the weights of Linear and Potts factors."""
    rng = np.random.default_rng(0)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=3)
    g.add(fg.Linear(rng.normal(size=(4, 2)), "look"), x)
    g.add(fg.Linear(None, "change"), x[:-1], x[1:])
    w = {name: rng.normal(size=shape) for name, shape in g.parameters().items()}
    found = g.backward(fg.marginals(g, parameters=w, factors=True).configurations, w)
    for name, value in w.items():
        numeric = np.zeros_like(value)
        for i in np.ndindex(value.shape):
            for sign in (1, -1):
                moved = {**w, name: value.copy()}
                moved[name][i] += sign * 1e-5
                numeric[i] -= sign * fg.marginals(g, parameters=moved).log_partition / 2e-5
        np.testing.assert_allclose(np.asarray(found[name]), numeric, atol=1e-8)


# Draws


def frequencies(case: Case, n: int, seed: int, evidence: Any, allowed: Any, strings: Any) -> int:
    """Frequencies of every state within 4 standard errors of the marginals; returns how many were compared."""
    draws = fg.sample(case.graph, n, seed, evidence=evidence)
    exact = fg.marginals(case.graph, evidence=evidence)
    compared = 0
    for name in [*case.arrays, *case.lattices]:
        p = exact.variables[name]
        share = (draws.labels[name][..., None] == np.arange(p.shape[-1])).mean(0)
        assert (share[p == 0] == 0).all()
        off = np.abs(share - p)
        assert (off <= 4 * np.sqrt(p * (1 - np.minimum(p, 1)) / n) + 4 / n).all(), (name, share, p)
        compared += int(((p > 0.01) & (p < 0.99)).sum())
    return compared


@pytest.mark.parametrize("forest", [True, False])
def test_frequencies_of_draws_are_marginals(forest: bool) -> None:
    compared = 0
    for seed in range(120):
        choices = RandomChoices(seed)
        case = random_case(choices, forest)
        evidence, allowed, strings = random_evidence(case, choices)
        with explained(case, evidence=evidence):
            if oracle.free_energy(case.spec) < INF:
                compared += frequencies(case, 2000, seed, None, None, ())
            if oracle.free_energy(case.spec, allowed, strings) < INF:
                compared += frequencies(case, 500, seed, evidence, allowed, strings)
    assert compared > 500


def check_counts(drawn: dict[Any, int], probabilities: dict[Any, float], n: int) -> None:
    """Pearson's test: counts of whole labellings against their probabilities, rare ones together.

    One right sampler in a million fails: of 200 seeds, the least p-value is expected to be about 0.005.
    """
    assert sum(drawn.values()) == n and set(drawn) <= {key for key, p in probabilities.items() if p > 0}
    rare = [key for key, p in probabilities.items() if p * n < 8]
    groups = [[key] for key in probabilities if key not in set(rare)] + ([rare] if rare else [])
    expected = np.array([n * sum(probabilities[key] for key in group) for group in groups])
    counts = np.array([sum(drawn.get(key, 0) for key in group) for group in groups])
    used = expected > 0
    statistic = ((counts - expected)[used] ** 2 / expected[used]).sum()
    assert len(groups) > 3 and chi2.sf(statistic, used.sum() - 1) > 1e-6, (counts, expected)


@pytest.mark.parametrize("loop", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_whole_labellings_are_drawn_as_often_as_they_should_be(loop: bool, temperature: float) -> None:
    """Dependencies between variables, which marginals do not show: a star with a factor of three, or a cycle."""
    rng = np.random.default_rng(1)
    case = Case()
    x = case.variables("x", (4,), 2)
    case.add_table(rng.normal(size=(4, 2)), x)
    table = 2 * rng.normal(size=(2, 2, 2))
    table[0, 1, 1] = INF
    case.add_table(table, x[0], x[2], x[1])
    case.add_potts(1.5, x[2], x[3])
    case.add_table(rng.normal(size=(2, 2)), x[3], x[2])  # folded
    if loop:
        case.add_table(rng.normal(size=(2, 2)), x[3], x[0])
    joint, n = oracle.gibbs(case.spec.joint(), temperature), 50_000
    draws = fg.sample(case.graph, n, seed=3, temperature=temperature).labels["x"]
    rows, counts = np.unique(draws, axis=0, return_counts=True)
    drawn = {tuple(row): int(count) for row, count in zip(rows.tolist(), counts, strict=True)}
    check_counts(drawn, dict(np.ndenumerate(joint)), n)


@pytest.mark.parametrize("transitions", [0, 1, 2])
def test_whole_paths_are_drawn_as_often_as_they_should_be(transitions: int) -> None:
    rng = np.random.default_rng(2)
    case = Case()
    case.lattice("line", [1, 0, 2, 0, 1, 0, 0], [2, 1, 3, 2, 3, 1, 3], 2)
    case.add_arcs("line", rng.normal(size=(7, 2)))
    for k in range(transitions):
        table = rng.normal(size=(2, 2))
        table[0, 1] = INF if k else table[0, 1]
        case.add_transitions("line", table)
    readings, n = case.spec.lattices[0].readings(), 50_000
    p = oracle.gibbs(np.array([energy for *_, energy in readings]))
    draws = fg.sample(case.graph, n, seed=4)
    drawn: dict[Any, int] = {}
    for path, string in zip(draws.paths["line"], draws.strings["line"], strict=True):
        key = (tuple(path.tolist()), string)
        drawn[key] = drawn.get(key, 0) + 1
    check_counts(drawn, {(path, string): q for (path, string, _), q in zip(readings, p, strict=True)}, n)


def test_chunks_of_draws_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor do threads; another seed does."""
    for seed in range(8):
        case = random_case(RandomChoices(seed + 100), forest=seed % 2 > 0)
        if oracle.free_energy(case.spec) == INF:
            continue
        whole = fg.sample(case.graph, 50, seed).flat
        with monkeypatch.context() as patch:
            patch.setattr(sys.modules["factorgraph.infer.sample"], "AT_ONCE", 3 * max(1, whole.shape[1]))
            assert fg.sample(case.graph, 50, seed, threads=2).flat.tobytes() == whole.tobytes()
    g = fg.FactorGraph()
    g.variables("x", shape=(100,), states=5)
    assert (fg.sample(g, 2, seed=0).flat != fg.sample(g, 2, seed=1).flat).any()
    a, b = fg.sample(g, 2).flat
    assert (a != b).any() and np.unique(a).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.jitoff
def test_names_and_shapes_of_draws() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(2, 3), states=["lo", "hi"])
    y = g.variables("y", states=2, latent=True)
    g.add(fg.Table([[0.0, INF], [INF, 0.0]]), x, y)
    draws = fg.sample(g, 4, evidence={"x": [[None] * 3, [None, "hi", None]]})
    assert len(draws) == 4 and "4 of" in repr(draws)
    assert draws.labels["x"].shape == (4, 2, 3) and draws.labels["x"].dtype == np.int32
    assert draws.labels["y"].shape == (4,) and draws.labels["y"].tolist() == [1] * 4
    assert draws.states["x"].shape == (4, 2, 3) and (draws.states["x"] == "hi").all()
    with refused("'y'", "named states"):
        draws.states["y"]
    with refused("'x'", "string"):
        draws.strings["x"]


# Extremes


@pytest.mark.jitoff
def test_energies_beyond_float32_and_forbidden_rows() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(3,), states=2)
    g.add(fg.Table([[0.0, 1e30], [2.0, 1.0], [-1e30, 0.0]]), x)
    g.add(fg.Table([[0.0, 5.0], [INF, INF]]), x[:-1], x[1:])  # from state 1 there is no way on
    found = fg.min_marginals(g)
    np.testing.assert_array_equal(found.variables["x"], [[-1e30, INF], [-1e30, INF], [-1e30, 0.0]])
    assert found.energy == fg.solve(g).energy == -1e30
    assert fg.entropy(g) == 0
    assert (fg.sample(g, 10).labels["x"] == 0).all()


@pytest.mark.jitoff
def test_float32_energies_whose_sum_is_no_float32() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4,), states=2)
    g.add(fg.Table(np.float32([3e38, 2e38])), x)
    g.add(fg.Table(np.zeros((2, 2), np.float32)), x[:-1], x[1:])
    found = fg.min_marginals(g).variables["x"]
    np.testing.assert_allclose(found, [[9e38, 8e38]] * 4, rtol=1e-6)
    assert fg.entropy(g) == 0 and (fg.sample(g, 3).labels["x"] == 1).all()


def test_a_constant_or_a_shift_changes_no_entropy() -> None:
    g, x = chain()
    g.add(fg.Table(np.arange(12.0).reshape(4, 3) / 4), x)
    expected = fg.entropy(g)
    g.add(fg.Table(1e9), *())
    g.add(fg.Table([1e12] * 3), x[0])
    assert fg.entropy(g) == pytest.approx(expected, rel=1e-9)


@pytest.mark.jitoff
def test_one_state_isolated_and_no_variables() -> None:
    g = fg.FactorGraph()
    g.variables("none", shape=(0, 2), states=3)
    g.variables("one", states=1)
    free = g.variables("free", shape=(2,), states=np.array([2, 19]))
    g.add(fg.Table(2.5), *())
    found = fg.min_marginals(g)
    assert found.variables["none"].shape[:2] == (0, 2) and found.variables["one"].tolist() == [2.5]
    np.testing.assert_array_equal(found.variables["free"][0], [2.5] * 2 + [INF] * 17)
    assert (found.variables["free"][1] == 2.5).all() and found.energy == 2.5
    draws = fg.sample(g, 40)
    assert draws.labels["none"].shape == (40, 0, 2) and (draws.labels["one"] == 0).all()
    assert draws.labels["free"].max(0)[0] == 1 and len(np.unique(draws.labels["free"][:, 1])) > 5
    assert fg.entropy(g) == pytest.approx(np.log(38), abs=1e-12)
    assert free.shape == (2,)
    empty = fg.FactorGraph()
    assert fg.entropy(empty) == 0 and fg.sample(empty, 3).flat.shape == (3, 0) and fg.min_marginals(empty).energy == 0


@pytest.mark.jitoff
def test_what_is_infeasible() -> None:
    """Min-marginals are +inf; of a distribution over nothing there is no entropy and no draw."""
    for method in ("auto", "brute"):
        g, x = chain()
        g.add(fg.Table([INF] * 3), x[2])
        g.variables("apart", states=2)
        found = fg.min_marginals(g, method=method)
        assert found.energy == INF and (found.flat == INF).all()
        with refused("sample", "component 0", "forbidden", "expected", "evidence"):
            fg.sample(g, 1, method=method)
        with refused("entropy", "component 0", "forbidden", "expected", "evidence"):
            fg.entropy(g, method=method)
    g = segmentation()
    assert fg.min_marginals(g, evidence={"line": [0] * 9}).energy == INF
    with refused("sample", "component 0", "forbidden"):
        fg.sample(g, 1, evidence={"line": [0] * 9})
    g = fg.FactorGraph()
    g.variables("x", states=2)
    g.add(fg.Table(np.array(INF)), *())
    assert fg.min_marginals(g).flat.tolist() == [INF, INF]
    for ask in (fg.entropy, lambda g: fg.sample(g, 1)):
        with refused("without variables", "expected", "forbids"):
            ask(g)


def test_many_ragged_components_of_every_kind_at_once() -> None:
    """Chains, stars, cycles and lattices in one graph: each component as if it were alone."""
    rng = np.random.default_rng(5)

    def declare(g: Any, i: int, values: np.ndarray) -> None:
        if i % 4 == 3:
            line = g.lattice(f"x{i}", arcs=([0, 1, 0, 2][: 4 - i % 3], [1, 2, 2, 3][: 4 - i % 3]), states=3)
            g.add(fg.Table(values[0, :3]), line)
            g.add(fg.Table(values[1:4, :3]), line, line)
            return
        k = 2 + i % (3 if i % 4 == 2 else 7)
        x = g.variables(f"x{i}", shape=(2 + i % 5,), states=k)
        g.add(fg.Table(values[: 2 + i % 5, :k]), x)
        left, right = (x[:-1], x[1:]) if i % 4 else (x[[0] * (1 + i % 5)], x[1:])
        g.add(fg.Table(values[:k, 10 : 10 + k]), left, right)
        if i % 4 == 2 and i % 5:
            g.add(fg.Potts(0.5), x[0], x[-1])

    values = rng.normal(size=(60, 10, 20))
    together = fg.FactorGraph()
    for i in range(60):
        declare(together, i, values[i])
    whole, spread = fg.min_marginals(together), 0.0
    draws = fg.sample(together, 3, threads=2)
    for i in range(60):
        alone = fg.FactorGraph()
        declare(alone, i, values[i])
        one = fg.min_marginals(alone)
        np.testing.assert_allclose(
            whole.variables[f"x{i}"] - whole.energy, one.variables[f"x{i}"] - one.energy, atol=1e-9
        )
        spread += fg.entropy(alone)
        assert all(np.isfinite(fg.energy(alone, {f"x{i}": draws.labels[f"x{i}"][d]})) for d in range(3))
    assert fg.entropy(together) == pytest.approx(spread, rel=1e-9)
    assert whole.energy == pytest.approx(fg.solve(together).energy, abs=1e-9)


def test_a_large_tree_takes_linear_time_and_memory() -> None:
    """300,000 variables in one tree: every best label has the least min-marginal, and the price of another is right."""
    rng = np.random.default_rng(0)
    count = 300_000
    parent = (rng.random(count - 1) * np.arange(1, count)).astype(int)
    unary = rng.integers(-9, 9, size=(count, 2)).astype(np.float32)
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=2)
    g.add(fg.Table(unary), x)
    g.add(fg.Potts(2.0), x[parent], x[1:])
    found, best = fg.min_marginals(g), fg.solve(g)
    assert found.energy == best.energy and (found.variables["x"].min(1) == best.energy).all()
    assert (found.variables["x"][np.arange(count), best.labels["x"]] == best.energy).all()
    for v in rng.integers(count, size=3):
        for k in range(2):
            forced = np.full(count, -1)
            forced[v] = k
            assert fg.solve(g, evidence={"x": forced}).energy == found.variables["x"][v, k]
    share = fg.sample(g, 20).labels["x"].mean(0) - fg.marginals(g).variables["x"][:, 1]
    assert abs(share.mean()) < 1e-3 and (share**2).mean() < 0.02


# Messages


@pytest.mark.parametrize("n", [0, -1, 2.5, True, None, "3"])
def test_the_number_of_draws_is_positive(n: Any) -> None:
    with refused("sample", "draws n ≥ 1", re_escape(n)):
        fg.sample(chain()[0], n)


def re_escape(value: Any) -> str:
    return repr(value).replace(".", r"\.")


@pytest.mark.parametrize("seed", [-1, None, 0.5, np.random.default_rng(0)])
def test_the_seed_is_an_int(seed: Any) -> None:
    with refused("sample", "seed", "int ≥ 0", "got"):
        fg.sample(chain()[0], 1, seed)


def test_draws_beyond_the_memory_limit() -> None:
    with refused("sample", "4 variables need .* KiB", "memory_limit is 10 KiB", "fewer"):
        fg.sample(chain()[0], 1000, memory_limit="10 KiB")


@pytest.mark.parametrize("temperature", [0.0, -1.0, INF, np.nan, "1"])
def test_temperatures_are_positive(temperature: Any) -> None:
    for ask in (fg.entropy, lambda g, temperature: fg.sample(g, 1, temperature=temperature)):
        with refused("temperature", "positive", "got"):
            ask(chain()[0], temperature=temperature)


def test_evidence_is_checked() -> None:
    for ask in (fg.min_marginals, fg.entropy, lambda g, evidence: fg.sample(g, 1, evidence=evidence)):
        with refused(r"evidence\['x'\]", "shape", r"\(4,\)"):
            ask(chain()[0], evidence={"x": [0]})
        with refused("unknown name 'z'"):
            ask(chain()[0], evidence={"z": 0})


def test_cycles_too_wide_to_eliminate_are_refused() -> None:
    g = fg.FactorGraph()
    x = g.variables("x", shape=(4, 4), states=3)
    g.add(fg.Potts(1.0), x[1:], x[:-1])
    g.add(fg.Potts(1.0), x[:, 1:], x[:, :-1])
    asks = {"min_marginals": fg.min_marginals, "sample": lambda g, **k: fg.sample(g, 1, **k), "marginals": fg.entropy}
    for where, ask in asks.items():
        ask(g)
        with refused(where, "component 0 has cycles", "too wide to eliminate", "expected", "method"):
            ask(g, method=fg.Auto(cells=1))
        with refused("DynamicProgramming", "cycles"):
            ask(g, method="dynamic")
        with refused("BruteForce", "labellings"):
            ask(g, method="brute")
        with refused("MinSum", "expected a solver", "Auto"):
            ask(g, method="min-sum")
    with refused("Solver", "draws no samples"):
        Solver().sampler(None)  # type: ignore[arg-type]


def test_configurations_that_were_not_asked_for() -> None:
    with refused("marginals", "factors=True"):
        fg.marginals(chain()[0]).factors  # noqa: B018
