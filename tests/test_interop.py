"""Losses as functions of what comes from outside, against finite differences; and of PyTorch, where it is installed."""

import numpy as np
import pytest

import factorgraph as fg
from factorgraph.interop import LossFunction

LOSSES = [
    fg.losses.Energy(), fg.losses.Perceptron(), fg.losses.Margin(), fg.losses.NLL(), fg.losses.MEE(), fg.losses.Log(),
    fg.losses.SoftmaxMargin(), fg.losses.Hinge(),
]  # fmt: skip


def chains(lengths, states=3, dtype=np.float64):
    """Chains of external energies, two arrays of unary ones and one table of pairs for all; some answers."""
    rng, graph, answers = np.random.default_rng(0), fg.FactorGraph(), {}
    for i, n in enumerate(lengths):
        y = graph.variables(f"y{i}", shape=(n,), states=states)
        graph.add(fg.External("looks", dtype), y)
        if n > 1:
            graph.add(fg.External("follows", dtype), y[:-1], y[1:])
        answers[f"y{i}"] = rng.integers(0, states, n)
    total = sum(lengths)
    shapes = {"looks": (total, states), "follows": (total - len(lengths), states, states)}
    return graph, answers, {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_gradients_of_inputs_are_finite_differences(loss):
    graph, answers, inputs = chains([3, 1, 4])
    function = LossFunction(graph, loss, answers)
    value, slopes = function(inputs)
    rng = np.random.default_rng(1)
    for name, array in inputs.items():
        way = rng.normal(size=array.shape)
        ends = [function({**inputs, name: array + h * way})[0] for h in (1e-6, -1e-6)]
        assert slopes[name].shape == array.shape
        assert (ends[0] - ends[1]) / 2e-6 == pytest.approx(np.sum(way * slopes[name]), abs=1e-7)
    mean = LossFunction(graph, loss, answers, reduction="mean")(inputs)
    assert mean[0] == pytest.approx(value / 3) and np.allclose(mean[1]["looks"], slopes["looks"] / 3)


def test_inputs_keep_their_own_shape():
    graph = fg.FactorGraph()
    y = graph.variables("y", shape=(2, 3), states=["a", "b"])
    graph.add(fg.External("looks"), y)
    function = LossFunction(graph, fg.losses.NLL(), {"y": [["a", "b", "a"], ["b", "b", "a"]]})
    for shape in (2, 3, 2), (6, 2):
        value, slopes = function({"looks": np.zeros(shape).tolist()})
        assert value == pytest.approx(6 * np.log(2)) and slopes["looks"].shape == shape


def test_what_does_not_fit_is_refused():
    graph, answers, inputs = chains([2, 2])
    with pytest.raises(fg.FactorGraphError, match="'sum' or 'mean'"):
        LossFunction(graph, fg.losses.NLL(), answers, reduction="max")
    with pytest.raises(fg.FactorGraphError, match="MinSum does not offer"):
        LossFunction(graph, fg.losses.NLL(), answers, fg.MinSum())
    with pytest.raises(fg.FactorGraphError, match="it is missing"):
        LossFunction(graph, fg.losses.NLL(), answers)({"looks": inputs["looks"]})
    with pytest.raises(fg.FactorGraphError, match="NaN"):
        LossFunction(graph, fg.losses.NLL(), answers)({**inputs, "looks": inputs["looks"] * np.nan})


@pytest.mark.parametrize("loss", [fg.losses.NLL(), fg.losses.MEE(), fg.losses.SoftmaxMargin(), fg.losses.Log()])
def test_torch_gradcheck(loss):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from factorgraph.interop.torch import EnergyLoss

    graph, answers, inputs = chains([3, 2])
    given = {name: torch.tensor(array, requires_grad=True) for name, array in inputs.items()}
    module = EnergyLoss(loss)
    assert torch.autograd.gradcheck(lambda *t: module(graph, answers, **dict(zip(given, t))), tuple(given.values()))
    value = module(graph, answers, **given)
    with pytest.raises(RuntimeError, match="differentiable|does not require grad"):
        (slope,) = torch.autograd.grad(value, given["looks"], create_graph=True)
        slope.sum().backward()


def test_torch_trains_a_network_through_the_chain():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from factorgraph.interop.torch import EnergyLoss

    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lengths = [int(n) for n in rng.integers(2, 9, 30)]
    graph, answers, _ = chains(lengths, dtype=np.float32)
    labels = np.concatenate(list(answers.values()))
    x = torch.tensor(np.eye(3)[labels] + rng.normal(0, 0.6, (labels.size, 3)), dtype=torch.float32)
    network = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))
    pairs = torch.nn.Parameter(torch.zeros(3, 3))
    optimiser = torch.optim.Adam([*network.parameters(), pairs], lr=0.05)
    values = []
    for _ in range(30):
        optimiser.zero_grad()
        value = EnergyLoss()(graph, answers, looks=network(x), follows=pairs.expand(sum(lengths) - 30, 3, 3))
        value.backward()
        optimiser.step()
        values.append(float(value))
    assert values[-1] < 0.5 * values[0] and pairs.grad.abs().sum() > 0
    inputs = {"looks": network(x).detach().numpy(), "follows": pairs.detach().expand(sum(lengths) - 30, 3, 3).numpy()}
    read = np.concatenate(list(fg.solve(graph, inputs=inputs).labels[name] for name in answers))
    assert np.mean(read == labels) > 0.8
