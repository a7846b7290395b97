"""The referees against naive twins: `pytest bench/test_referees.py`."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from bench import workloads
from bench.referees import chain_perceptron, viterbi


def naive_viterbi(unary: np.ndarray, pairwise: np.ndarray) -> list[int]:
    """Labels of one chain, ties to the lowest state."""
    beliefs = [unary[0]]
    for row in unary[1:]:
        beliefs.append((beliefs[-1][:, None] + pairwise).min(0) + row)
    labels = [int(beliefs[-1].argmin())]
    for row in beliefs[-2::-1]:
        labels.append(int((row + pairwise[:, labels[-1]]).argmin()))
    return labels[::-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("states", [1, 2, 8, 9, 16, 17, 22, 26, 45, 64, 70])
def test_viterbi(states: int, dtype: type) -> None:
    rng = np.random.default_rng(states)
    lengths = rng.integers(1, 9, 12)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    unary = rng.integers(0, 5, (offsets[-1], states)).astype(dtype)  # many ties
    unary[rng.random(unary.shape) < 0.1] = np.inf
    pairwise = rng.integers(0, 5, (states, states)).astype(dtype)
    problem = viterbi.prepare(unary, pairwise, offsets)
    labels = viterbi.decode(problem, *viterbi.work(problem))
    twin = [label for a, b in zip(offsets[:-1], offsets[1:]) for label in naive_viterbi(unary[a:b], pairwise)]
    assert labels.tolist() == twin


@pytest.mark.parametrize("states", [2, 9, 22, 33])
def test_perceptron(states: int) -> None:
    rng = np.random.default_rng(states)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(1, 7, 20))])
    tokens, features = int(offsets[-1]), 30
    matrix = sparse.random(tokens, features, 0.2, "csr", np.float32, rng)
    matrix.data[:] = 1
    gold = rng.integers(0, states, tokens)
    chains = chain_perceptron.Chains(offsets, matrix.indptr.astype(np.int64), matrix.indices, gold)
    learner = chain_perceptron.Perceptron(chains, features, states)
    emit, table = np.zeros((features, states)), np.zeros((states, states))
    sums, steps, dense = [np.zeros_like(emit), np.zeros_like(table)], 0, matrix.toarray()
    for _ in range(3):
        order = rng.permutation(len(offsets) - 1)
        mistakes = 0
        for n in order:
            span = slice(offsets[n], offsets[n + 1])
            rows = dense[span]
            for sign, y in ((-1, gold[span]), (1, np.array(naive_viterbi(rows @ emit, table)))):
                mistakes += (y != gold[span]).sum()
                for change, sum_ in zip((emit, table), sums):
                    where = (y,) if change is emit else (y[:-1], y[1:])
                    step = np.zeros_like(change)
                    if change is emit:
                        np.add.at(step.T, where, rows)
                    else:
                        np.add.at(step, where, 1)
                    change += sign * step
                    sum_ += sign * steps * step
            steps += 1
        assert learner.epoch(order) == mistakes
    for ours, current, sum_ in zip(learner.average(), (emit, table), sums):
        np.testing.assert_allclose(ours, current - sum_ / steps, atol=1e-5)


def test_tagging_is_a_partition_of_its_tokens() -> None:
    data = workloads.synthetic_tagging(count=50, tokens=600, features=400)
    assert data.offsets[-1] == len(data.labels) == data.features.shape[0] == 600
    assert (np.diff(data.offsets) > 0).all()
    assert data.features.has_canonical_format
    assert len(data.left()) == 550
