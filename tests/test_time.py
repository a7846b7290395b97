"""Long work can be stopped: by ctrl-C, by a time limit, by an error; what was done until then is true."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import factorgraph as fg
from factorgraph.infer.spread import SLICE, spread


def long_chain(count: int, states: int = 8) -> fg.FactorGraph:
    """One chain of one shared table."""
    g = fg.FactorGraph()
    x = g.variables("x", shape=(count,), states=states)
    rng = np.random.default_rng(0)
    g.add(fg.Table(rng.random((count, states), np.float32)), x)
    g.add(fg.Table(rng.random((states, states), np.float32)), x[:-1], x[1:])
    return g


def test_a_time_limit_leaves_valid_labels_and_an_honest_status():
    g = long_chain(2_000_000)
    fg.solve(long_chain(5000))  # compiled
    g.compile().schedule  # noqa: B018  made once, at the first solve
    first = np.zeros(8, bool)
    first[[3, 5]] = True
    evidence = {"x": np.broadcast_to(first, (2_000_000, 8))}
    begin = time.perf_counter()
    s = fg.solve(g, evidence=evidence, time_limit=0.001, threads=1)
    assert time.perf_counter() - begin < 5
    assert s.status == fg.Status.APPROXIMATE and s.bound == -np.inf
    labels = np.array(s.labels["x"])
    assert (labels == 3).all() and s.energy == pytest.approx(fg.energy(g, {"x": labels}))
    time.sleep(0.2)  # the sweep that was given up ends in the background: it must not touch the answer
    assert (s.labels["x"] == labels).all()
    assert fg.solve(g, evidence=evidence, time_limit=100).status == fg.Status.OPTIMAL


def test_a_time_limit_keeps_what_was_done():
    g = fg.FactorGraph()
    rng = np.random.default_rng(0)
    for i, count in enumerate((5, 1_000_000)):
        x = g.variables(f"x{i}", shape=(count,), states=8)
        g.add(fg.Table(rng.random((count, 8), np.float32)), x)
        g.add(
            fg.Table(rng.random((count - 1, 8, 8), np.float32)) if i == 0 else fg.Table(rng.random((8, 8))),
            x[:-1],
            x[1:],
        )
    s = fg.solve(g, time_limit=0.001, threads=1)
    assert s.components.status[0] in (fg.Status.OPTIMAL, fg.Status.APPROXIMATE)
    assert s.status == fg.Status.APPROXIMATE


@pytest.mark.jitoff
def test_enough_time_changes_nothing():
    g = long_chain(20, 3)
    assert (
        fg.solve(g, time_limit=60).energy == fg.solve(g, method="dynamic", time_limit=60).energy == fg.solve(g).energy
    )


def test_control_c_is_obeyed_while_one_component_is_swept():
    program = (
        "import signal, sys, time, numpy as np, factorgraph as fg\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where a shell has us in the background\n"
        "sys.path.insert(0, 'tests')\n"
        "from test_time import long_chain\n"
        "fg.solve(long_chain(10))\n"
        "g = long_chain(3_000_000)\n"
        "g.compile().schedule\n"
        "energies = g.energies()\n"
        "print('ready', flush=True)\n"
        "try:\n"
        "    while True:\n"
        "        fg.DynamicProgramming(1)(g.compile(), energies)\n"
        "except KeyboardInterrupt:\n"
        "    print(time.time(), flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None and child.stdout.readline() == "ready\n"
    time.sleep(0.5)
    sent = time.time()
    child.send_signal(signal.SIGINT)
    caught = float(child.stdout.readline())
    assert caught - sent < 2 and child.wait(timeout=60) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_a_slice_is_raised_and_stops_the_rest(threads):
    begun = []
    lock = threading.Lock()

    def task(part):
        with lock:
            begun.append(int(part[0]))
        if part[0] == 1:
            raise ValueError("slice 1")
        time.sleep(0.01)

    with pytest.raises(ValueError, match="slice 1"):
        spread(np.arange(100), np.full(100, SLICE), task, threads)
    assert len(begun) < 100


def test_results_come_in_the_order_of_the_slices():
    found = spread(np.arange(50), np.full(50, SLICE), lambda part: part.copy(), 2)
    assert (np.concatenate(found) == np.arange(50)).all()
