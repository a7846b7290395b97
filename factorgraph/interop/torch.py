"""Losses of factorgraph as modules of PyTorch: a network gives energies, inference and its gradient happen here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from ..graph import FactorGraph
from ..infer import Solver
from ..losses import NLL, Loss
from ..plan import Answers
from .function import LossFunction


class EnergyLoss(torch.nn.Module):
    """`EnergyLoss(loss)(graph, answers, name=tensor, …) → scalar`, differentiable by the tensors.

    graph: declares `External(name)` factors, of all examples of a mini-batch at once, however long each of them is.
    Tensors may lie on any device; inference runs on the processor. loss: NLL() by default. solver: as of `train`.
    reduction: "mean" over the graph's components, or "sum". First derivatives only: a second backward pass is refused.

    Errors: FactorGraphError as of `LossFunction`.
    """

    def __init__(self, loss: Loss | None = None, solver: Solver | None = None, reduction: str = "mean"):
        super().__init__()
        self.loss, self.solver, self.reduction = loss or NLL(), solver, reduction

    def forward(
        self, graph: FactorGraph, answers: Answers | Mapping[Any, Any], **inputs: torch.Tensor
    ) -> torch.Tensor:
        """The loss of the answers, under the energies `inputs`."""
        function = LossFunction(graph, self.loss, answers, self.solver, reduction=self.reduction)
        value: torch.Tensor = _Chain.apply(function, tuple(inputs), *inputs.values())[0]
        return value

    def extra_repr(self) -> str:
        """What the printed module shows."""
        return f"{self.loss!r}, reduction={self.reduction!r}"


class _Chain(torch.autograd.Function):
    """The value and, on the way, the gradients, which the backward pass only has to scale."""

    @staticmethod
    def forward(function: LossFunction, names: tuple[str, ...], *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        value, slopes = function({name: t.detach().cpu().numpy() for name, t in zip(names, tensors)})
        return (
            torch.as_tensor(value, dtype=tensors[0].dtype, device=tensors[0].device),
            *(torch.as_tensor(slopes[name], dtype=t.dtype, device=t.device) for name, t in zip(names, tensors)),
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: torch.Tensor, *_: Any) -> tuple[Any, ...]:
        return None, None, *(slope * gradient for gradient in ctx.saved_tensors)
