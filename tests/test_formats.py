"""Model files: what is read is what the file says, and what is written is read back."""

from __future__ import annotations

import bz2
import csv
import gzip
import lzma
import random
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from strategies import Case, RandomChoices, cases, random_case

import factorgraph as fg
from factorgraph.io import labels_text, read_labels, write_labels
from factorgraph.kernels.jit import kernel
from factorgraph.kernels.text import DONE, HARD, WORD, real

INF = np.inf

PREAMBLE = "MARKOV\n3\n2 2 3\n2\n2 0 1\n2 1 2\n\n"
UAI = PREAMBLE + "4\n 4.000 2.400\n 1.000 0.000\n\n6\n 2.2500 3.2500 3.7500\n 0.0000 0.0000 10.0000\n"
WCSP = "small 3 3 4 10\n2 2 3\n2 0 1 7 2\n0 0 1\n1 1 12\n2 2 1 0 1\n2 0 9\n1 2 3 0\n0 5 0\n"
SHARED = "same 3 2 4 100\n2 2 2\n-2 0 1 0 2\n0 1 4\n1 0 100\n2 1 2 0 -1\n2 2 0 0 -1\n-2 2 1 3 0\n"


def make(folder, text: str | bytes, name: str = "a.uai"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def tables(graph) -> list[tuple[tuple[int, ...], np.ndarray]]:
    """Scope and table of each factor, dense; those of one group keep their order."""
    plan, energies = graph.compile(), graph.energies()
    found = []
    for block in plan.blocks:
        which = np.arange(len(block.scopes)) if block.table is None else block.table
        for scope, table in zip(block.scopes.tolist(), block.view(energies)[which], strict=True):
            dense = table if block.shape == block.states else np.where(np.eye(block.states[0]), 0.0, table)
            found.append((tuple(scope), np.asarray(dense, np.float64)))
    return found


def joint(graph) -> np.ndarray:
    """The energy of every labelling."""
    states = graph.compile().states
    total = np.zeros(states)
    for scope, table in tables(graph):
        shape = [1] * states.size
        for v in scope:
            shape[v] = states[v]
        total = total + np.transpose(table, np.argsort(scope, kind="stable")).reshape(shape)
    return total


# ---------------------------------------------------------------- numbers


@kernel
def convert(text):
    return real(text, 0)


def check_number(token: str, hard: list[str]) -> None:
    code, value, end = convert(np.frombuffer(token.encode(), np.uint8))
    if code == HARD:
        hard.append(token)
        return
    assert code == DONE and end == len(token)
    assert struct.pack("d", value) == struct.pack("d", float(token)), token


@pytest.mark.jitoff
def test_numbers_are_correctly_rounded():
    rng = random.Random(0)
    count = 300 if "numba" not in str(type(convert)) else 10_000
    hard: list[str] = []
    for _ in range(count):
        x = struct.unpack("d", rng.randbytes(8))[0]
        check_number(repr(x) if np.isfinite(x) else "inf", hard)
    assert len(hard) < 0.02 * count
    hard.clear()
    for _ in range(count):
        check_number(repr(rng.gauss(0, 1)), hard)
        check_number(f"{rng.random():.6f}", hard)
    assert len(hard) < 0.01 * count
    for _ in range(count):
        digits = rng.randrange(10 ** rng.randrange(1, 25))
        check_number(f"{digits}.{rng.randrange(10**9):0{rng.randrange(1, 20)}}e{rng.randrange(-345, 330)}", hard)
        # halfway between two floats, and a hair beside it
        x = rng.random() * 10.0 ** rng.randrange(-5, 5)
        middle = (Fraction(x) + Fraction(float(np.nextafter(x, INF)))) / 2
        exact = f"{int(middle * 10**60)}e-60"
        check_number(exact, hard)
        check_number(f"{int(middle * 10**60) + 1}e-60", hard)
        check_number(f"{int(middle * 10**17)}e-17", hard)


@pytest.mark.jitoff
def test_what_is_a_number():
    plain = "1. .5 0 -0 +7 0.0 inf -INF Infinity 1e5 1E+05 00001 0e99999999999999999 9007199254740995e1 1e22 123e-22"
    hard: list[str] = []
    for token in plain.split():
        check_number(token, hard)
    assert hard == []
    for token in ["9007199254740993", "5e-324", "1.7976931348623157e308", "1e-400", "1e400", "1" * 400]:
        check_number(token, hard)
    for token in ". - e5 1e 1e+ 1.2.3 nan infi inf1 0x10 1_0 --1 1- + 1,5 ١".split():
        assert convert(np.frombuffer(token.encode(), np.uint8))[0] == WORD, token


# ---------------------------------------------------------------- reading


@pytest.mark.jitoff
def test_the_example_of_the_competition(tmp_path):
    graph = fg.read(make(tmp_path, UAI))
    assert graph.compile().states.tolist() == [2, 2, 3]
    (first, a), (second, b) = tables(graph)
    assert (first, second) == ((0, 1), (1, 2))
    with np.errstate(divide="ignore"):
        assert np.array_equal(a, 0.0 - np.log([[4, 2.4], [1, 0]]))
        assert np.array_equal(b, 0.0 - np.log([[2.25, 3.25, 3.75], [0, 0, 10]]))
    assert not np.signbit(a[1, 0])
    assert fg.solve(graph).labels["x"].tolist() == [0, 1, 2]
    assert joint(fg.read(make(tmp_path, UAI.replace("MARKOV", "bayes")))).tolist() == joint(graph).tolist()


@pytest.mark.jitoff
def test_logarithms_are_energies_with_the_other_sign(tmp_path):
    text = PREAMBLE + "4 -1 -inf 0 2.5\n6 1 2 3 -4 -5 -1e3\n"
    (_, a), (_, b) = tables(fg.read(make(tmp_path, text, "a.LG")))
    assert a.tolist() == [[1, INF], [0, -2.5]] and b.tolist() == [[-1, -2, -3], [4, 5, 1000]]


@pytest.mark.jitoff
def test_costs_defaults_and_the_upper_bound(tmp_path):
    graph = fg.read(make(tmp_path, WCSP, "a.wcsp"))
    found = dict(tables(graph))
    assert found[0, 1].tolist() == [[1, 7], [7, INF]]
    assert found[2, 1].tolist() == [[0, 0], [0, 0], [9, 0]]
    assert found[2,].tolist() == [3, 3, 3] and float(found[()]) == 5
    assert fg.solve(graph).energy == 9


@pytest.mark.jitoff
def test_shared_costs_are_stored_once(tmp_path):
    graph = fg.read(make(tmp_path, SHARED, "a.wcsp"))
    found = tables(graph)
    same = [table for scope, table in found if scope in {(0, 1), (1, 2), (2, 0)}]
    assert len(same) == 3 and all(table.tolist() == [[0, 4], [INF, 0]] for table in same)
    assert dict(found)[2, 1].tolist() == [[3, 3], [3, 3]]
    assert graph.compile().size == 8


@pytest.mark.jitoff
@pytest.mark.parametrize("scope, picked", [((0, 0), "aa"), ((1, 0, 1), "aba"), ((0, 1, 1), "abb"), ((2, 2, 2), "aaa")])
def test_a_variable_twice_in_a_scope_is_its_diagonal(tmp_path, scope, picked):
    states = [2, 3, 4]
    shape = [states[v] for v in scope]
    values = np.random.default_rng(0).integers(0, 9, shape)
    expected = np.einsum(f"{picked}->{''.join(sorted(set(picked)))}", values).astype(float)
    head = f"MARKOV\n3\n2 3 4\n1\n{len(scope)} {' '.join(map(str, scope))}\n{values.size}\n"
    (read,) = tables(fg.read(make(tmp_path, head + " ".join(map(str, -values.ravel())), "a.LG")))
    assert read[0] == tuple(dict.fromkeys(scope)) and read[1].tolist() == expected.tolist()
    rows = "\n".join(" ".join(map(str, [*index, values[index]])) for index in np.ndindex(*shape))
    text = f"p 3 4 1 9\n2 3 4\n{len(scope)} {' '.join(map(str, scope))} 5 {values.size}\n{rows}\n"
    (read,) = tables(fg.read(make(tmp_path, text, "a.wcsp")))
    assert read[1].tolist() == np.where(expected < 9, expected, INF).tolist()


def test_factors_of_one_shape_are_one_block(tmp_path):
    rng = np.random.default_rng(1)
    states = rng.integers(1, 4, 300)
    scopes = [rng.choice(300, rng.integers(0, 4), replace=False) for _ in range(2000)]
    logs = [rng.integers(-9, 1, states[scope]) for scope in scopes]
    lines = ["MARKOV", "300", " ".join(map(str, states)), "2000"]
    lines += [" ".join(map(str, [len(scope), *scope])) for scope in scopes]
    lines += [f"{log.size} {' '.join(map(str, np.ravel(log)))}" for log in logs]
    graph = fg.read(make(tmp_path, "\n".join(lines), "a.LG"))
    found = sorted((scope, table.tolist()) for scope, table in tables(graph) if scope)
    given = sorted((tuple(map(int, s)), (0.0 - log).tolist()) for s, log in zip(scopes, logs, strict=True) if s.size)
    assert found == given
    assert [float(t) for scope, t in tables(graph) if not scope] == [-sum(float(t) for t in logs if not t.ndim)]
    assert len(graph.compile().blocks) == len({tuple(states[scope]) for scope in scopes})


@pytest.mark.jitoff
def test_empty_models(tmp_path):
    assert fg.solve(fg.read(make(tmp_path, "MARKOV 0 0"))).energy == 0
    assert fg.solve(fg.read(make(tmp_path, "MARKOV\n0\n\n1\n0\n1 1.0\n"))).energy == 0
    assert fg.solve(fg.read(make(tmp_path, "p 2 3 0 1 3 3", "a.wcsp"))).energy == 0
    assert fg.solve(fg.read(make(tmp_path, "p 0 0 1 1 0 1 0", "a.wcsp"))).status == fg.Status.INFEASIBLE


@pytest.mark.parametrize("suffix, pack", [(".gz", gzip.compress), (".xz", lzma.compress), (".bz2", bz2.compress)])
def test_compressed_in_one_stream_or_several(tmp_path, suffix, pack):
    expected = joint(fg.read(make(tmp_path, UAI))).tolist()
    half = len(UAI) // 2
    for data in (pack(UAI.encode()), pack(UAI[:half].encode()) + pack(UAI[half:].encode())):
        assert joint(fg.read(make(tmp_path, data, f"a.uai{suffix}"))).tolist() == expected


# ---------------------------------------------------------------- evidence


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "text", ["2 0 1 2 2", "1\n2 0 1 2 2\n", "1\n2\n0 1\n2 2", "3 0 1 2 2 0 1", {0: 1, np.int64(2): np.int32(2)}]
)
def test_evidence_of_both_layouts(tmp_path, text):
    given = text if isinstance(text, dict) else make(tmp_path, text, "a.evid")
    path = make(tmp_path, UAI)
    found = joint(fg.read(path, given))
    expected = np.full((2, 2, 3), INF)
    expected[1, :, 2] = joint(fg.read(path))[1, :, 2]
    assert np.array_equal(found, expected)


@pytest.mark.jitoff
@pytest.mark.parametrize("text", ["0", "1 0", "1\n0\n", {}])
def test_no_evidence(tmp_path, text):
    path = make(tmp_path, UAI)
    make(tmp_path, "1 0 1", "a.uai.evid")  # beside it, but not asked for
    given = text if isinstance(text, dict) else make(tmp_path, text, "b.evid")
    assert np.array_equal(joint(fg.read(path, given)), joint(fg.read(path)))


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "text, sentence",
    [
        ("", "line 1: expected the number of observations, or of samples, 0 or more; got the end of the file"),
        ("2 0 1 0 0", "variable 0 to be observed once, or twice alike; got '0'"),
        ("1 3 0", "expected one of the 3 variables, from 0 on; got '3'"),
        ("1 2 3", "expected a label of variable 2, 0 to 2; got '3'"),
        ("2 1 0 1 1 0 1", "expected one sample of evidence, or as many pairs as announced; got '2'"),
        ("1 1 0 1 5", "got '5'"),
    ],
)
def test_wrong_evidence(tmp_path, text, sentence):
    with pytest.raises(fg.FormatError, match="b.evid, line ") as error:
        fg.read(make(tmp_path, UAI), make(tmp_path, text, "b.evid"))
    assert sentence in str(error.value)


@pytest.mark.jitoff
@pytest.mark.parametrize("given", [{3: 0}, {0: 2}, {-1: 0}, {"x": 1}, {0: 0.5}, {0: -1}])
def test_wrong_evidence_of_a_mapping(tmp_path, given):
    with pytest.raises(fg.FactorGraphError, match=r"evidence: expected \{variable: label\} by numbers"):
        fg.read(make(tmp_path, UAI), given)


# ---------------------------------------------------------------- writing and reading back


def flattened(case: Case) -> list[tuple[tuple[int, ...], list]]:
    """Factors of the Spec, constants summed, in a canonical order."""
    rest = [(scope, np.asarray(table, float).tolist()) for scope, table in case.spec.factors if scope]
    return sorted(rest, key=repr) + [((), case.spec.constant())]


def read_back(case: Case, path) -> list[tuple[tuple[int, ...], list]]:
    fg.write(case.graph, path)
    graph = fg.read(path)
    assert graph.compile().states.tolist() == case.spec.states
    found = tables(graph)
    constant = sum(float(table) for scope, table in found if not scope)
    return sorted(((s, t.tolist()) for s, t in found if s), key=repr) + [((), constant)]


@given(cases(forest=False, lattices=False))
@settings(max_examples=settings.default.max_examples // 4)
def test_what_is_written_is_read_back(tmp_path_factory, case):
    """Bit by bit from .LG and .wcsp, where negative energies are refused by name; to 1e-12 from .uai."""
    path = tmp_path_factory.getbasetemp() / "back"
    expected = flattened(case)
    assert read_back(case, path.with_suffix(".LG")) == expected
    if any((np.asarray(table) < 0).any() for _, table in case.spec.factors):
        with pytest.raises(fg.FormatError, match=r"factor \d+ over .*the energy -\d.* is no cost, an integer ≥ 0"):
            fg.write(case.graph, path.with_suffix(".wcsp"))
    else:
        assert read_back(case, path.with_suffix(".wcsp")) == expected
    for (scope, found), (same, energies) in zip(read_back(case, path.with_suffix(".uai")), expected, strict=True):
        assert scope == same and np.allclose(found, energies, rtol=0, atol=1e-12)


def shifted(seed: int) -> Case:
    """A random graph of non-negative integers and +inf, with tables shared and not, Potts, constants."""
    case = random_case(RandomChoices(seed), forest=False, lattices=False)
    if any((np.asarray(table) < 0).any() for _, table in case.spec.factors):
        least = {scope: np.asarray(table).min() for scope, table in case.spec.factors}
        moved = Case()
        x = moved.variables("x", (len(case.spec.states),), case.spec.states)
        for scope, table in case.spec.factors:
            moved.add_table(np.asarray(table, float) - min(0, least[scope], np.min(table)), *(x[v] for v in scope))
        return moved
    return case


def test_costs_of_shifted_graphs_are_read_back(tmp_path):
    for seed in range(40):
        case = shifted(seed)
        assert read_back(case, tmp_path / "a.wcsp") == flattened(case), case.source()


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".bz2"])
def test_any_float_survives_as_a_logarithm(tmp_path, suffix):
    bits = np.random.default_rng(2).integers(0, 2**64, 3000, dtype=np.uint64).view(np.float64)
    energies = np.concatenate([bits[np.isfinite(bits)], [0.0, INF, 5e-324, -5e-324, 1.7976931348623157e308]])
    graph = fg.FactorGraph()
    graph.add(fg.Table(energies), graph.variables("x", states=energies.size))
    path = tmp_path / f"a.LG{suffix}"
    fg.write(graph, path)
    ((_, found),) = tables(fg.read(path))
    assert found.tobytes() == (energies + 0.0).tobytes()
    first = path.read_bytes()
    fg.write(graph, path)
    assert path.read_bytes() == first and [each.name for each in tmp_path.iterdir()] == [path.name]


def test_probabilities_of_large_energies_keep_twelve_digits(tmp_path):
    energies = np.concatenate([np.random.default_rng(3).uniform(-700, 700, 2000), [0, 1e-9, -1e-15, 708, -709]])
    graph = fg.FactorGraph()
    graph.add(fg.Table(energies), graph.variables("x", states=energies.size))
    fg.write(graph, tmp_path / "a.uai")
    ((_, found),) = tables(fg.read(tmp_path / "a.uai"))
    assert np.allclose(found, energies, rtol=1e-12, atol=1e-12)


@pytest.mark.jitoff
@pytest.mark.parametrize("energy", [709.0, 800.0, -710.0, 1e300])
def test_what_over_or_underflows_is_named(tmp_path, energy):
    graph = fg.FactorGraph()
    x, y = graph.variables("x", shape=(2, 2), states=2), graph.variables("y", states=2)
    graph.add(fg.Table([0.0, 1.0]), x)
    graph.add(fg.Table([[0.0, 1.0], [energy, INF]]), x[1, 0], y)
    path = make(tmp_path, "old", "a.uai")
    where = r"a.uai: factor 4 over x\[1, 0\], y"
    sentence = rf"{where}: the energy {float(energy)!r} of labels \[1, 0\] over- or underflows"
    with pytest.raises(fg.FormatError, match=sentence.replace("+", r"\+")):
        fg.write(graph, path)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
    fg.write(graph, tmp_path / "a.LG")


@pytest.mark.jitoff
def test_what_is_refused_when_writing(tmp_path):
    graph = fg.FactorGraph()
    x = graph.variables("x", states=2)
    graph.add(fg.Table([0.0, 0.5]), x)
    with pytest.raises(fg.FormatError, match=r"factor 0 over x: the energy 0.5 of labels \[1\] is no cost"):
        fg.write(graph, tmp_path / "a.wcsp")
    with pytest.raises(fg.FormatError, match="a.txt: expected a name that ends in .uai, .LG, .wcsp"):
        fg.write(graph, tmp_path / "a.txt")
    with pytest.raises(fg.FormatError, match="cannot be written: No such file or directory"):
        fg.write(graph, tmp_path / "none" / "a.uai")
    graph.add(fg.Table([0.0, 1e18]), x)
    huge = fg.FactorGraph()
    huge.add(fg.Table([0.0, 1e18]), huge.variables("x", states=2))
    with pytest.raises(fg.FormatError, match="brings the upper bound to 1000000000000000000 or more"):
        fg.write(huge, tmp_path / "a.wcsp")
    graph.lattice("line", arcs=(np.array([0]), np.array([1])), states=2)
    with pytest.raises(fg.FormatError, match="expected no lattices, which such files cannot hold; got 'line'"):
        fg.write(graph, tmp_path / "a.LG")


@pytest.mark.jitoff
def test_parameters_are_written_as_tables(tmp_path):
    graph = fg.FactorGraph()
    x = graph.variables("x", shape=(3,), states=2)
    graph.add(fg.Linear(None, param="w"), x[:-1], x[1:])
    w = np.array([[[0.25, -1.0], [3.0, 0.5]]])
    w = w.reshape(graph.parameters()["w"])
    fg.write(graph, tmp_path / "a.LG", parameters={"w": w})
    assert [table.tolist() for _, table in tables(fg.read(tmp_path / "a.LG"))] == [[[0.25, -1.0], [3.0, 0.5]]] * 2


# ---------------------------------------------------------------- labellings


@pytest.mark.jitoff
def test_labellings(tmp_path):
    states = np.array([2, 2, 3], np.int32)
    assert labels_text(np.array([1, 0, 2], np.int32)) == "MPE\n3 1 0 2"
    write_labels(tmp_path / "a.MPE", [1, 0, 2])
    assert (tmp_path / "a.MPE").read_bytes() == b"MPE\n3 1 0 2\n"
    assert read_labels(tmp_path / "a.MPE", states).tolist() == [1, 0, 2]
    for text in ("1 0 2\n", "MPE\n3 0 0 0\n-BEGIN-\n3 1 0 2", "MAP 3 1 0 2"):
        assert read_labels(make(tmp_path, text, "a.sol"), states).tolist() == [1, 0, 2]
    for text in ("1 0", "1 0 3", "MPE 2 1 0", "1 0 2 0", "a"):
        with pytest.raises(fg.FormatError, match="a.sol, line 1: expected "):
            read_labels(make(tmp_path, text, "a.sol"), states)


# ---------------------------------------------------------------- real files


@pytest.mark.data
def test_every_instance_has_the_energy_it_is_known_for(data_dir):
    folder = data_dir / "instances"
    with open(folder / "index.tsv") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) >= 31
    for row in rows:
        graph = fg.read(folder / row["file"], folder / row["evidence"] if row["evidence"] else None)
        plan = graph.compile()
        assert (plan.states.size, plan.states.max()) == (int(row["nvars"]), int(row["max_labels"])), row["name"]
        factors = sum(len(block.scopes) for block in plan.blocks if block.states)
        assert factors >= int(row["nfactors"]) - 1, row["name"]
        labels = read_labels(folder / f"{row['name']}.sol", plan.states)
        best = float(row["best_energy"])
        assert abs(fg.energy(graph, {"x": labels}) - best) <= 1e-9 * max(1, abs(best)), row["name"]


@pytest.mark.data
def test_instances_are_written_and_read_back(data_dir, tmp_path):
    for name in ("zebra.wcsp", "pedigree1.wcsp", "linkage_13.uai", "GeomSurf-7-gm256.uai.xz"):
        graph = fg.read(data_dir / "instances" / name)
        for suffix in [".LG"] + [".wcsp"] * name.endswith(".wcsp"):
            fg.write(graph, tmp_path / f"a{suffix}")
            back = fg.read(tmp_path / f"a{suffix}")
            assert back.compile() == graph.compile() and back.energies().tobytes() == graph.energies().tobytes()
