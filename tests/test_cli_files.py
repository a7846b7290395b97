"""The command line on model files: what a user sees, and what he is told when he is in a hurry."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from test_formats import UAI, WCSP, make

import factorgraph as fg
from factorgraph.cli import main

KEYS = {"file", "energy", "bound", "gap", "status", "conflict", "methods", "seconds", "labels"}
INFEASIBLE = "MARKOV\n1\n2\n1\n1 0\n2 0 0\n"


def test_solve_prints_what_is_known_and_the_labelling(tmp_path, capsys):
    assert main(["solve", str(make(tmp_path, UAI))]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:13].strip() for line in lines[:6]] == ["energy", "bound", "gap", "status", "method", "seconds"]
    energy = fg.solve(fg.read(tmp_path / "a.uai")).energy
    assert float(lines[0][13:]) == pytest.approx(energy, abs=1e-12) and lines[2][13:] == "0"
    assert lines[3][13:] == "optimal: no labelling has lower energy" and lines[4].endswith(" on 1 component")
    assert lines[6:] == ["MPE", "3 0 1 2"]


def test_solve_with_everything(tmp_path, capsys):
    path, evidence = make(tmp_path, UAI), make(tmp_path, "1 1 2 0", "a.evid")
    output = tmp_path / "a.MPE"
    options = ["--time-limit", "5", "--method", "dynamic", "--threads", "1", "--memory-limit", "1 MB"]
    assert main(["solve", str(path), "--evidence", str(evidence), "--output", str(output), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == KEYS and found["labels"] is None and found["status"] == "OPTIMAL"
    assert found["energy"] == fg.solve(fg.read(path, evidence)).energy == found["bound"] and found["gap"] == 0
    assert sum(found["methods"].values()) == 1 and set(found["seconds"]) == {"read", "solve"}
    assert output.read_text() == "MPE\n3 0 0 0\n"


def test_json_has_the_labels(tmp_path, capsys):
    assert main(["solve", str(make(tmp_path, WCSP, "a.wcsp")), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    graph = fg.read(tmp_path / "a.wcsp")
    assert found["energy"] == fg.energy(graph, {"x": found["labels"]}) == 9


def test_infeasible_is_a_result(tmp_path, capsys):
    output = tmp_path / "a.MPE"
    path = str(make(tmp_path, INFEASIBLE))
    assert main(["solve", path, "--output", str(output)]) == 0
    out = capsys.readouterr().out
    assert "status       infeasible: proven that every labelling is forbidden\n" in out
    assert out.splitlines()[-1].startswith("no labelling was found") and not output.exists()
    assert main(["solve", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["energy"], found["bound"], found["labels"], found["status"]) == (None, None, None, "INFEASIBLE")


@pytest.mark.jitoff
def test_convert(tmp_path, capsys):
    path, target = make(tmp_path, WCSP, "a.wcsp"), tmp_path / "b.LG.xz"
    assert main(["convert", str(path), str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: FactorGraph(3 variables, 4 groups of factors), ")
    assert fg.solve(fg.read(target)).energy == 9
    assert main(["convert", str(target), str(path), "--evidence", str(make(tmp_path, "1 0 1", "a.evid"))]) == 0
    assert fg.solve(fg.read(path)).labels["x"][0] == 1


@pytest.mark.jitoff
def test_info_of_a_file(tmp_path, capsys):
    path = str(make(tmp_path, WCSP, "a.wcsp"))
    assert main(["info", path]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "variables    3, each of 2 to 3 states",
        "factors      4: 1 of arity 0, 1 of arity 1, 2 of arity 2",
        "tables       14 entries, 1 of them forbidden",
        "components   1: 1 chains; the largest has 3 variables",
        "width        at most 1, 12 table cells to eliminate all",
    ]
    assert main(["info", path, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["arities"] == {"0": 1, "1": 1, "2": 2} and found["kinds"] == {"chains": 1} and found["entries"] == 14
    assert found["width"] == 1 and found["elimination_cells"] == 12
    assert main(["info", str(make(tmp_path, "MARKOV 0 0"))]) == 0
    assert "components   0\n" in capsys.readouterr().out


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["solve", "none.uai"], "none.uai: cannot be read: No such file or directory"),
        (["solve", "a.txt"], "a.txt: expected a name that ends in .uai, .LG, .wcsp"),
        (["info", "wrong.uai"], "wrong.uai, line 1: expected MARKOV or BAYES; got 'hello'"),
        (["solve", "a.uai", "--evidence", "wrong.uai"], "wrong.uai, line 1: expected the number of observations"),
        (["solve", "a.uai", "--memory-limit", "10"], "expected at most 10 bytes of text"),
        (["convert", "a.uai", "b.pdf"], "b.pdf: expected a name that ends in .uai, .LG, .wcsp"),
        (["convert", "a.uai", "b.wcsp"], "b.wcsp: factor 0 over x[0]"),
    ],
)
def test_errors_are_one_line_and_status_one(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, UAI), make(tmp_path, "hello", "wrong.uai")
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("factorgraph: ") and captured.err.count("\n") == 1
    assert sentence in captured.err and not (tmp_path / "b.wcsp").exists()


@pytest.mark.jitoff
@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["solve"], "required: FILE"),
        (["convert", "a.uai"], "required: TARGET"),
        (["solve", "a.uai", "--method", "magic"], "method: expected "),
        (["solve", "a.uai", "--threads", "0"], "argument --threads: expected a number ≥ 1; got '0'"),
        (["solve", "a.uai", "--time-limit", "-1"], "argument --time-limit: expected seconds ≥ 0; got '-1'"),
        (["solve", "a.uai", "--time-limit", "soon"], "argument --time-limit: expected seconds ≥ 0; got 'soon'"),
        (["solve", "a.uai", "--memory-limit", "2GX"], "argument --memory-limit: expected bytes or a string such as"),
        (["solve", "a.uai", "--output", "none/a.MPE"], "argument --output: cannot write 'none/a.MPE'"),
        (["convert", "a.uai", "none/a.LG"], "argument TARGET: cannot write 'none/a.LG'"),
    ],
)
def test_wrong_usage_is_status_two(tmp_path, monkeypatch, capsys, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    make(tmp_path, UAI)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2 and sentence in capsys.readouterr().err


@pytest.mark.parametrize("buffered", ["", "1"])
def test_a_reader_that_has_enough(tmp_path, buffered):
    command = f"{sys.executable} -m factorgraph solve {make(tmp_path, UAI)} | true"
    env = {**os.environ, "PYTHONUNBUFFERED": buffered}
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True, env=env)
    assert done.stderr == ""


def test_interrupted_is_status_130(tmp_path):
    """A grid that takes all of the time it is given: ctrl-C comes while it is searched, or while kernels compile."""
    n, rng = 30, np.random.default_rng(0)
    pairs = [(i * n + j, i * n + j + 1) for i in range(n) for j in range(n - 1)]
    pairs += [(i * n + j, i * n + j + n) for i in range(n - 1) for j in range(n)]
    tables = ["16 " + " ".join(f"{value:.3f}" for value in row) for row in rng.normal(size=(len(pairs), 16))]
    head = [f"MARKOV {n * n} {'4 ' * (n * n)} {len(pairs)}", *(f"2 {a} {b}" for a, b in pairs)]
    path = make(tmp_path, "\n".join(head + tables), "a.LG")
    code = (
        "import signal, sys; from factorgraph.cli import main\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell has us in the background\n"
        "print('started', flush=True); sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "solve", str(path), "--method", "exact", "--time-limit", "60"]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)
    assert child.stdout is not None and child.stdout.readline() == "started\n"
    time.sleep(0.7)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 130 and err.endswith("factorgraph: interrupted\n"), err
