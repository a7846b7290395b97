"""Models and training: what is predicted, what is learned, what is refused, and that nothing depends on luck."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import factorgraph as fg
from factorgraph.learn import checkpoint
from factorgraph.learn.resume import Record

FEATURES, STATES = 5, 3


def chain(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=STATES)
    g.add(fg.Linear(x, "emit"), y)
    g.add(fg.Linear(None, "trans"), y[:-1], y[1:])


def sparse_chain(g: Any, x: np.ndarray) -> None:
    y = g.variables("y", shape=(len(x),), states=STATES)
    g.add(fg.Linear(sparse.csr_matrix(x), "emit"), y)
    g.add(fg.Linear(None, "trans"), y[:-1], y[1:])


def all_chains(g: Any, X: Any) -> dict[str, np.ndarray]:
    indptr = np.concatenate([[0], np.cumsum([len(x) for x in X])])
    y = g.variables("y", shape=(indptr[-1],), states=STATES)
    left = np.setdiff1d(np.arange(indptr[-1]), indptr[1:] - 1)
    g.add(fg.Linear(np.concatenate(X), "emit"), y)
    g.add(fg.Linear(None, "trans"), y[left], y[left + 1])
    return {"y": indptr}


def chains(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Sparse-ish features and labels that a chain can learn."""
    rng = np.random.default_rng(seed)
    weights = np.random.default_rng(99).normal(size=(FEATURES, STATES))
    X = [rng.normal(size=(n, FEATURES)) * (rng.random((n, FEATURES)) < 0.6) for n in rng.integers(1, 6, count)]
    return X, [np.argmin(x @ weights, axis=1) for x in X]


def bits(run: Any) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in run.parameters.items()}


def accuracy(model: Any, run: Any, X: Any, Y: Any) -> float:
    return float(np.mean(np.concatenate(model.predict(run.parameters, X)) == np.concatenate(Y)))


# What is learned

LOSSES = [fg.losses.Perceptron(), fg.losses.Margin(), fg.losses.NLL()]
RULES = [
    fg.optim.SGD(0.2),
    fg.optim.SGD(0.5, decay=0.01, l2=1e-4, average=True),
    fg.optim.Adam(0.05, schedule="linear"),
    fg.optim.Adam(0.05, l2=1e-4, average=True),
]


@pytest.mark.parametrize("rule", RULES, ids=range(len(RULES)))
@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_every_loss_learns_by_every_rule(loss: Any, rule: Any) -> None:
    X, Y = chains(60)
    model = fg.Model(sparse_chain)
    run = fg.train(model, X, Y, loss, rule, epochs=12, batch=8)
    assert run.history["loss"][-1] < 0.6 * run.history["loss"][0]
    assert accuracy(model, run, *chains(60, seed=1)) > 0.8
    assert run.history.dtype.names == Record._fields and run.skipped.size == 0
    np.testing.assert_array_equal(run.history["epoch"], np.arange(1, 13))
    assert {name: array.shape for name, array in run.parameters.items()} == {
        "emit": (FEATURES, STATES),
        "trans": (1, STATES, STATES),
    }


def naive_perceptron(X: Any, Y: Any, initial: Any, epochs: int, batch: int, seed: int, rate: float) -> Any:
    """The averaged structured perceptron by enumeration of all labellings."""
    weights = {name: array.copy() for name, array in initial.items()}
    total = {name: np.zeros_like(array) for name, array in initial.items()}
    losses, steps = [], 0

    def count(x: np.ndarray, y: Any) -> dict[str, np.ndarray]:
        emit, trans = np.zeros((FEATURES, STATES)), np.zeros((1, STATES, STATES))
        np.add.at(emit.T, np.asarray(y), x)
        np.add.at(trans[0], (np.asarray(y)[:-1], np.asarray(y)[1:]), 1)
        return {"emit": emit, "trans": trans}

    def energy(x: np.ndarray, y: Any) -> float:
        return sum(float((c * weights[name]).sum()) for name, c in count(x, y).items())

    for epoch in range(1, epochs + 1):
        order, loss = np.random.default_rng([seed, epoch]).permutation(len(X)), 0.0
        for first in range(0, len(X), batch):
            chosen = order[first : first + batch]
            gradient = {name: np.zeros_like(array) for name, array in weights.items()}
            for i in chosen:
                best = min(itertools.product(range(STATES), repeat=len(X[i])), key=lambda y: energy(X[i], y))
                loss += energy(X[i], Y[i]) - energy(X[i], best)
                for name in gradient:
                    gradient[name] += (count(X[i], Y[i])[name] - count(X[i], best)[name]) / len(chosen)
            steps += 1
            for name, array in weights.items():
                array -= rate * gradient[name]
                total[name] += array
        losses.append(loss / len(X))
    return {name: array / steps for name, array in total.items()}, losses


@pytest.mark.jitoff
@pytest.mark.parametrize("build", [chain, sparse_chain])
@pytest.mark.parametrize("batch", [1, 4])
def test_training_is_the_averaged_perceptron_written_out(build: Any, batch: int) -> None:
    X, Y = chains(14)
    rng = np.random.default_rng(5)
    initial = {"emit": rng.normal(size=(FEATURES, STATES)), "trans": rng.normal(size=(1, STATES, STATES))}
    expected, losses = naive_perceptron(X, Y, initial, epochs=3, batch=batch, seed=7, rate=0.3)
    rule = fg.optim.SGD(0.3, average=True)
    run = fg.train(fg.Model(build), X, Y, fg.losses.Perceptron(), rule, 3, batch, seed=7, initial=initial)
    for name in expected:
        np.testing.assert_allclose(run.parameters[name], expected[name], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(run.history["loss"], losses, rtol=1e-9, atol=1e-12)


def test_l2_is_half_the_squared_norm_per_mean_loss() -> None:
    """At the optimum of mean NLL + (l2 / 2) ‖w‖² its gradient is 0."""
    X, Y = chains(20)
    rule = fg.optim.SGD(0.5, l2=0.1)
    run = fg.train(fg.Model(chain), X, Y, fg.losses.NLL(), rule, epochs=300, batch=20)
    declared = fg.Model(chain).declare(X)
    energies = declared.graph.energies(run.parameters)
    _, gradient = fg.losses.NLL()(declared.compile(), energies, declared.read_answers(Y))
    for name, found in declared.graph.backward(gradient, run.parameters).items():
        np.testing.assert_allclose(found / 20, -0.1 * run.parameters[name], atol=1e-6)


def line(g: Any, x: Any) -> None:
    """A lattice over len(x) columns with arcs of one or two columns, which emit 0, 1 or 2."""
    n = len(x)
    start = np.concatenate([np.arange(n), np.arange(n - 1)])
    end = start + np.repeat([1, 2], [n, n - 1])
    width = (end - start)[:, None]
    features = np.hstack([x[start], np.where(width == 2, x[end - 1], 0.0), width == 1, width == 2])
    g.add(fg.Linear(features, "glyph"), g.lattice("line", arcs=(start, end), states=3))


def lines(count: int) -> tuple[list[np.ndarray], list[tuple[int, ...]]]:
    """Glyph 0 is one column, 1 and 2 are two; columns are one-hot with noise."""
    rng = np.random.default_rng(2)
    X, Y = [], []
    for _ in range(count):
        string = tuple(int(k) for k in rng.integers(0, 3, rng.integers(1, 4)))
        columns = [c for k in string for c in ((0,), (1, 2), (2, 3))[k]]
        X.append(np.eye(4)[columns] + 0.1 * rng.normal(size=(len(columns), 4)))
        Y.append(string)
    return X, Y


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_strings_are_learned_without_a_segmentation(loss: Any) -> None:
    X, Y = lines(60)
    model = fg.Model(line)
    run = fg.train(model, X, Y, loss, fg.optim.Adam(0.1, schedule="linear"), epochs=15, batch=8)
    assert run.history["loss"][-1] < 0.3 * run.history["loss"][0]
    assert np.mean([a == b for a, b in zip(model.predict(run.parameters, X), Y)]) > 0.9


# What is predicted


def test_one_name_gives_its_labels() -> None:
    def build(g: Any, x: Any) -> None:
        g.add(fg.Table(x), g.variables("y", shape=x.shape[:-1], states=x.shape[-1]))

    X = [np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([5.0, 4.0, 3.0]), np.zeros((0, 2)), np.array([[[0.0], [1.0]]])]
    found = fg.Model(build).predict({}, X)
    assert found[0].tolist() == [0, 1] and found[0].dtype == np.int32
    assert found[1] == 2 and isinstance(found[1], int)
    assert found[2].shape == (0,) and found[3].tolist() == [[0, 0]]
    assert fg.Model(build).predict({}, []) == []


def test_several_names_give_a_dict_and_latents_are_left_out() -> None:
    def build(g: Any, x: int) -> None:
        y, z = g.variables("y", states=["cat", "dog"]), g.variables("z", shape=(2,), states=2, latent=True)
        g.add(fg.Table(np.eye(2)), y, z[0])
        g.add(fg.Table(np.array([0.0, 1.0])), z)
        if x > 1:
            g.add(fg.Table(np.arange(3.0)), g.variables("more", shape=(x,), states=3))
        if x > 2:
            g.lattice("line", arcs=([0, 0, 1], [1, 2, 2]), states=2)

    first, second, third = fg.Model(build).predict({}, [1, 2, 3])
    assert first == 1
    assert second.keys() == {"y", "more"} and second["y"] == 1 and second["more"].tolist() == [0, 0]
    assert third.keys() == {"y", "more", "line"} and isinstance(third["line"], tuple)


def test_what_is_infeasible_has_no_labels() -> None:
    def build(g: Any, x: Any) -> None:
        y = g.variables("y", states=2)
        g.add(fg.Table(np.array([x, np.inf])), y)
        cut = g.lattice("line", arcs=([0, 1], [1, 2]), states=2)
        g.add(fg.Table(np.array([[x, 1.0], [0.0, 0.0]])), cut)

    found = fg.Model(build).predict({}, [0.0, np.inf])
    assert found == [{"y": 0, "line": (0, 0)}, {"y": -1, "line": (1, 0)}]


def test_arguments_of_solve_are_passed_on() -> None:
    X, _ = chains(3)
    model = fg.Model(chain)
    parameters = {"emit": np.ones((FEATURES, STATES)), "trans": np.zeros((1, STATES, STATES))}
    assert len(model.predict(parameters, X, method="brute", threads=1)) == 3
    with pytest.raises(fg.FactorGraphError, match="method"):
        model.predict(parameters, X, method="magic")


# The same by other ways


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_declared_one_by_one_or_all_at_once(loss: Any) -> None:
    X, Y = chains(40)
    one, many = fg.Model(chain), fg.Model(chain, all_chains)
    runs = [fg.train(model, X, Y, loss, epochs=3, batch=8) for model in (one, many)]
    assert bits(runs[0]) == bits(runs[1])
    for a, b in zip(*(model.predict(runs[0].parameters, X) for model in (one, many))):
        np.testing.assert_array_equal(a, b)


@pytest.mark.jitoff
def test_examples_of_many_components() -> None:
    """Examples with no, one and several components: only what the mini-batch owns is learned from."""

    def build(g: Any, x: np.ndarray) -> None:
        g.add(fg.Linear(x, "w"), g.variables("y", shape=(len(x),), states=2))

    X = [np.eye(6)[rows] for rows in ([0, 1], [], [2], [3, 4, 5])]
    Y: list[Any] = [[0, 1], [], [1], [1, 0, 1]]
    declared = fg.Model(build).declare(X)
    assert declared.components(np.array([3, 0])).tolist() == [0, 1, 3, 4, 5]
    assert declared.components(np.array([1])).tolist() == []
    assert declared.owners(np.array([0, 5])).tolist() == [0, 3]
    run = fg.train(fg.Model(build), X, Y, epochs=1, batch=1, optimizer=fg.optim.SGD(1.0))
    assert np.argmin(run.parameters["w"], axis=1).tolist() == [0, 1, 1, 1, 0, 1]

    def build_many(g: Any, X: Any) -> dict[str, Any]:
        rows = np.concatenate(X)
        y = g.variables("y", shape=(len(rows),), states=2)
        z = g.variables("z", shape=(len(rows), 2), states=2, latent=True)
        g.add(fg.Linear(rows, "w"), y)
        g.add(fg.Table(np.zeros((2, 2))), y, z[:, 0])
        return {name: np.array([0, 2, 2, 3, 6]) for name in ("y", "z")}

    declared = fg.Model(build, build_many).declare(X)
    assert declared.compile().n_components == 12
    owned = [declared.components(np.array([i])) for i in range(4)]
    assert [c.size for c in owned] == [4, 0, 2, 6] and np.unique(np.concatenate(owned)).size == 12
    assert [p.tolist() for p in fg.Model(build, build_many).predict(run.parameters, X)] == Y


def test_named_states_and_unknown_labels() -> None:
    def build(g: Any, x: np.ndarray) -> None:
        y = g.variables("y", shape=(len(x),), states=["no", "yes"])
        g.add(fg.Linear(x, "w"), y)

    X = [np.eye(3)[[0, 1]], np.eye(3)[[1, 2]], np.eye(3)]
    runs = [
        fg.train(fg.Model(build), X, Y, epochs=2, batch=2)
        for Y in ([["no", "yes"], [None, "no"], None], [np.array([0, 1]), [-1, 0], [-1, -1, -1]])
    ]
    assert bits(runs[0]) == bits(runs[1])
    assert np.argmin(runs[0].parameters["w"], axis=1).tolist() == [0, 1, 0]


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_the_same_bytes_for_any_threads(loss: Any) -> None:
    X, Y = chains(300)
    runs = [fg.train(fg.Model(chain), X, Y, loss, epochs=2, batch=100, threads=n) for n in (None, 1, 2, 3)]
    assert len({tuple(sorted(bits(run).items())) for run in runs}) == 1


def test_seeds_matter_and_the_order_only_by_shuffling() -> None:
    X, Y = chains(30)

    def train(**arguments: Any) -> dict[str, bytes]:
        return bits(fg.train(fg.Model(chain), X, Y, epochs=2, batch=4, **arguments))

    assert train() == train() != train(seed=1)
    assert train(shuffle=False) == train(shuffle=False, seed=1) != train()


def test_no_epoch_gives_the_start() -> None:
    X, Y = chains(3)
    given = {"emit": np.full((FEATURES, STATES), 0.5)}
    run = fg.train(fg.Model(chain), X, Y, epochs=0, initial=given)
    assert (run.parameters["emit"] == 0.5).all() and (run.parameters["trans"] == 0).all() and run.history.size == 0
    assert run.parameters["emit"] is not given["emit"] and repr(run) == "Run(0 epochs, 0 examples skipped)"


# Unreachable answers


def test_unreachable_strings_are_named_or_skipped() -> None:
    X, Y = lines(30)
    columns = [len(x) for x in X]
    Y[4], Y[17] = (0,) * (columns[4] + 1), ()
    words = "correct answers of 2 of 30 examples are unreachable: 4, 17.*unreachable='skip'"
    with pytest.raises(fg.FactorGraphError, match=words):
        fg.train(fg.Model(line), X, Y, epochs=1)
    run = fg.train(fg.Model(line), X, Y, fg.losses.NLL(), epochs=3, batch=4, unreachable="skip")
    assert run.skipped.tolist() == [4, 17]
    rest = [i for i in range(30) if i not in (4, 17)]
    alone = fg.train(fg.Model(line), [X[i] for i in rest], [Y[i] for i in rest], fg.losses.NLL(), epochs=3, batch=4)
    for name, array in alone.parameters.items():
        np.testing.assert_allclose(run.parameters[name], array, rtol=1e-12, atol=1e-15)


def test_forbidden_labels_are_unreachable() -> None:
    def build(g: Any, x: np.ndarray) -> None:
        v = g.variables("y", shape=(2,), states=2)
        g.add(fg.Table(np.array([[0.0, np.inf], [0.0, 0.0]])), v[0], v[1])
        g.add(fg.Linear(x, "w"), v)

    X, Y = [np.eye(2)] * 3, [[0, 0], [0, 1], [1, 1]]
    with pytest.raises(fg.FactorGraphError, match="1 of 3 examples are unreachable: 1"):
        fg.train(fg.Model(build), X, Y)
    assert fg.train(fg.Model(build), X, Y, unreachable="skip", epochs=1).skipped.tolist() == [1]
    with pytest.raises(fg.FactorGraphError, match="expected at least one example to learn from; got 1, 1 unreachable"):
        fg.train(fg.Model(build), X[:1], Y[1:2], unreachable="skip")


# Checkpoints

RESUMED = [
    {"optimizer": fg.optim.SGD(0.3, decay=0.01, l2=1e-4, average=True), "loss": fg.losses.Margin()},
    {"optimizer": fg.optim.Adam(0.02, l2=1e-3, average=True, schedule="linear"), "loss": fg.losses.NLL()},
]
EPOCHS = 60
#: Trains as `test_a_killed_run_…` does, in a process of its own.
PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
import test_train
test_train.long_run(int(sys.argv[2]), sys.argv[3])
"""


def long_run(which: int, path: Any = None) -> Any:
    X, Y = chains(120)
    return fg.train(fg.Model(sparse_chain), X, Y, epochs=EPOCHS, batch=12, seed=3, checkpoint=path, **RESUMED[which])


def killed(which: int, path: Path, delay: float) -> None:
    """Start the run in another process, and kill it some seconds after it has written its checkpoint anew."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    program = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(which), str(path)]
    process = subprocess.Popen(program, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])})
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns != before):
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


@pytest.mark.parametrize("which", [0, pytest.param(1, marks=pytest.mark.check)])
def test_a_killed_run_that_is_resumed_ends_with_the_same_bits(which: int, tmp_path: Path) -> None:
    killed(which, tmp_path / "run.npz", delay=0.01)
    done = len(checkpoint.load(tmp_path / "run.npz", "training").values["history"])
    assert 1 <= done < EPOCHS
    resumed, straight = long_run(which, tmp_path / "run.npz"), long_run(which)
    assert bits(resumed) == bits(straight)
    np.testing.assert_array_equal(resumed.history[["epoch", "loss"]], straight.history[["epoch", "loss"]])
    assert bits(long_run(which, tmp_path / "run.npz")) == bits(straight)  # nothing is left to do


@pytest.mark.check
@pytest.mark.parametrize("which", range(len(RESUMED)))
def test_a_run_that_is_killed_again_and_again(which: int, tmp_path: Path) -> None:
    for delay in (0.0, 0.003, 0.007, 0.015):
        killed(which, tmp_path / "run.npz", delay)
    assert bits(long_run(which, tmp_path / "run.npz")) == bits(long_run(which))


def short_run(path: Any, **arguments: Any) -> Any:
    X, Y = chains(20)
    return fg.train(fg.Model(chain), X, Y, checkpoint=path, **{"epochs": 3, "batch": 4, **arguments})


def test_an_interrupted_epoch_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, update, steps = tmp_path / "run.npz", fg.optim.SGD.update, []

    def interrupted(*arguments: Any) -> None:
        steps.append(1)
        if len(steps) == 8:  # in the middle of the second epoch of five steps
            raise KeyboardInterrupt
        update(*arguments)

    monkeypatch.setattr(fg.optim.SGD, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        short_run(path)
    monkeypatch.undo()
    assert len(checkpoint.load(path, "training").values["history"]) == 1
    assert bits(short_run(path)) == bits(short_run(None))


def test_a_checkpoint_from_before_there_was_a_contrast_is_read(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    short_run(path, epochs=2)
    old = checkpoint.load(path, "training")
    values = old.values | {"history": [row[:3] for row in old.values["history"]]}
    checkpoint.save(path, "training", old.settings, values, old.arrays)
    run = short_run(path)
    assert bits(run) == bits(short_run(None))
    assert np.isnan(run.history["contrast"][:2]).all() and run.history["contrast"][2] > 0


def test_a_longer_run_goes_on_where_the_rate_does_not_know_the_end(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    short_run(path, epochs=2)
    assert bits(short_run(path, epochs=5)) == bits(short_run(None, epochs=5))
    with pytest.raises(fg.FactorGraphError, match=r"run\.npz: expected at most epochs = 3 as in this run; .* has 5"):
        short_run(path)


@pytest.mark.parametrize(
    "setting, changed",
    [
        ("loss", {"loss": fg.losses.Margin(scale=2.0)}),
        ("optimizer", {"optimizer": fg.optim.SGD(0.2)}),
        ("solver", {"solver": fg.DynamicProgramming()}),
        ("batch", {"batch": 5}),
        ("seed", {"seed": 1}),
        ("shuffle", {"shuffle": False}),
        ("initial", {"initial": {"emit": np.ones((FEATURES, STATES))}}),
    ],
)
def test_a_checkpoint_of_another_run_is_refused(setting: str, changed: Any, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    short_run(path)
    before = path.read_bytes()
    with pytest.raises(fg.FactorGraphError, match=rf"run\.npz: expected {setting} = .* as in this run; the file has"):
        short_run(path, **changed)
    assert path.read_bytes() == before
    assert bits(short_run(path, resume=False, **changed)) == bits(short_run(None, **changed))


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    short_run(path)
    X, Y = chains(20)
    for setting, data in (("answers|examples", (X[:-1], Y[:-1])), ("answers", (X, [(y + 1) % STATES for y in Y]))):
        with pytest.raises(fg.FactorGraphError, match=f"expected ({setting}) ="):
            fg.train(fg.Model(chain), *data, checkpoint=path, epochs=3, batch=4)
    linear = fg.optim.SGD(0.1, schedule="linear")
    short_run(path, optimizer=linear, resume=False)
    with pytest.raises(fg.FactorGraphError, match="expected epochs = 4 as in this run; the file has 3"):
        short_run(path, optimizer=linear, epochs=4)


def test_a_broken_checkpoint_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    short_run(path)
    data = path.read_bytes()[:-100]
    path.write_bytes(data)
    with pytest.raises(fg.FormatError, match=r"run\.npz: the file is unreadable, truncated or changed"):
        short_run(path)
    assert path.read_bytes() == data


# What goes on meanwhile


def test_progress_is_a_bar_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    short_run(None, progress=True)
    shown = capfd.readouterr()
    assert "15/15" in shown.err and "loss=" in shown.err and shown.out == ""
    short_run(None)
    assert capfd.readouterr() == ("", "")


def test_blas_has_one_thread_during_training(monkeypatch: pytest.MonkeyPatch) -> None:
    from threadpoolctl import threadpool_info

    update, seen = fg.optim.SGD.update, set()

    def watched(*arguments: Any) -> None:
        seen.update(info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas")
        update(*arguments)

    monkeypatch.setattr(fg.optim.SGD, "update", watched)
    short_run(None, epochs=1)
    assert seen <= {1}


# What is refused


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"epochs": -1}, "train: expected epochs to be an int, at least 0; got -1"),
        ({"epochs": 1.5}, "epochs"),
        ({"batch": 0}, "train: expected batch to be an int, at least 1; got 0"),
        ({"seed": None}, "seed"),
        ({"unreachable": "ignore"}, "expected unreachable to be 'raise' or 'skip'; got 'ignore'"),
        ({"loss": fg.losses.NLL}, r"expected loss to be an object such as losses.Margin\(\); got <class"),
        ({"optimizer": "adam"}, r"expected optimizer to be an object such as optim.SGD\(0.1\); got 'adam'"),
        ({"solver": "auto"}, "solver"),
        ({"model": chain}, "expected model to be an object"),
        ({"checkpoint": "no/such/folder/run.npz"}, "expected checkpoint to be a file in a folder that exists"),
        ({"initial": {"emission": 0}}, r"initial: unknown name 'emission'; expected some of \['emit', 'trans'\]"),
        (
            {"initial": {"emit": np.zeros((2, 2))}},
            r"initial\['emit'\]: expected .*\(5, 3\); got shape \(2, 2\)",
        ),
        ({"initial": {"emit": np.full((FEATURES, STATES), np.nan)}}, r"initial\['emit'\]: expected finite values"),
        ({"initial": {"emit": "a"}}, r"initial\['emit'\]: expected numbers of shape \(5, 3\); got 'a'"),
        ({"Y": [[0]]}, "Y: expected the answers of 4 examples as in X; got 1"),
        ({"Y": 5}, "Y: expected a sequence of answers, one for each example; got 5"),
        ({"X": [], "Y": []}, "expected at least one example to learn from; got 0, 0 unreachable"),
        ({"optimizer": fg.optim.SGD(1e308), "loss": fg.losses.Perceptron()}, "rate|NaN|nan|-inf"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_arguments_that_are_refused(arguments: Any, words: str) -> None:
    X, Y = chains(4)
    with pytest.raises(fg.FactorGraphError, match=words), np.errstate(all="ignore"):
        fg.train(**{"model": fg.Model(chain), "X": X, "Y": Y, "epochs": 2, "batch": 1, **arguments})


@pytest.mark.parametrize(
    "wrong, words",
    [
        ([0], r"Y\[2\]: expected labels of shape \(2,\); got shape \(1,\)"),
        ([0, 3], r"Y\[2\]: expected states 0 … 2 .* at index \(1\); got 3"),
        ([0.5, 1.0], r"Y\[2\]: expected ints"),
        ({"x": [0, 1]}, r"Y\[2\]: expected a dict of labels for \['y'\]; got \['x'\]"),
        (["cat", "dog"], r"Y\[2\]: expected ints|unknown state 'cat'"),
    ],
)
def test_answers_that_do_not_fit_name_the_example(wrong: Any, words: str) -> None:
    X = [np.zeros((2, FEATURES))] * 4
    with pytest.raises(fg.FactorGraphError, match=words):
        fg.train(fg.Model(chain), X, [[0, 1], [0, 1], wrong, [0, 1]])


def test_answers_of_several_names_are_a_dict() -> None:
    def build(g: Any, x: Any) -> None:
        g.add(fg.Table(np.zeros((2, 2))), g.variables("a", states=2), g.variables("b", states=2))

    words = r"Y\[1\]: expected a dict of labels for \['a', 'b'\]; got {}\. Unknown answers are given as None"
    for wrong, got in ((1, "int"), ({"a": 1}, r"\['a'\]"), ({"a": 1, "b": 1, "c": 1}, r"\['a', 'b', 'c'\]")):
        with pytest.raises(fg.FactorGraphError, match=words.format(got)):
            fg.train(fg.Model(build), [0, 0], [{"a": 0, "b": None}, wrong])


def test_an_error_in_a_declaration_names_the_example() -> None:
    with pytest.raises(fg.FactorGraphError, match=r"example 1: .*(feature|Linear)"):
        fg.Model(chain).declare([np.zeros((2, FEATURES)), np.full((2, FEATURES), np.nan)])
    with pytest.raises(fg.FactorGraphError, match="Model: expected functions build"):
        fg.Model("chain")  # type: ignore[arg-type]


def many(*returned: Any) -> Any:
    """A model whose build_many declares ten variables and a latent one per pair, and returns something."""

    def build_many(g: Any, X: Any) -> Any:
        y, z = g.variables("y", shape=(10,), states=2), g.variables("z", shape=(5,), states=2, latent=True)
        g.variables("all", states=2, latent=True)
        g.add(fg.Table(np.zeros((2, 2))), y[::2], z)
        if len(returned) > 1:
            g.add(fg.Table(np.zeros((2, 2))), y[returned[1]], y[returned[1] + 1])
        return returned[0]

    return fg.Model(chain, build_many)


@pytest.mark.parametrize(
    "returned, words",
    [
        ([0, 4, 10], r"build_many: expected it to return {name: indptr}; got list"),
        ({}, r"build_many: expected it to return an indptr for 'y'; got \[\]"),
        ({"y": [0, 4, 10], "x": [0, 1, 2]}, r"build_many: returned an indptr for 'x'; expected one of"),
        ({"y": [0, 4]}, r"indptr of 'y' to be 3 ints that rise from 0 to 10, .* got int64 of shape \(2,\): \[0 4\]"),
        ({"y": [0, 4, 9]}, "indptr of 'y'"),
        ({"y": [1, 4, 10]}, "indptr of 'y'"),
        ({"y": [0, 11, 10]}, "indptr of 'y'"),
        ({"y": [0.0, 4.0, 10.0]}, "got float64"),
        ({"y": [0, 4, 10], "all": [0, 1, 1]}, "build_many: 'all' is no array of variables to be divided"),
    ],
    ids=str,
)
def test_what_build_many_must_return(returned: Any, words: str) -> None:
    with pytest.raises(fg.FactorGraphError, match=words):
        many(returned).declare([0, 1])


def test_examples_share_no_factor() -> None:
    declared = many({"y": [0, 4, 10]}, 3).declare([0, 1])
    with pytest.raises(fg.FactorGraphError, match="a factor connects examples 0 and 1"):
        declared.components(np.array([0]))
    declared = many({"y": [0, 4, 10]}).declare([0, 1])
    with pytest.raises(fg.FactorGraphError, match="variables of 'all' are connected to no example"):
        declared.components(np.array([0]))
