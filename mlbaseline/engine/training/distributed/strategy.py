"""How the processes of a training work together. The loop is the same for one process and for several.

Every process has the same batches and computes its share of their rows. No sampler pads a batch to equal shares: a row
is computed once, and a process without a row computes one with weight 0, as collective operations need every process.
Losses and gradients are sums over all rows, divided by the number of target tokens in the whole batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

T = TypeVar("T")


class Strategy:
    """One process, which has all rows and whole weights.

    Attributes:
        rank: Number of this process, from 0. The first one writes.
        n_processes: How many train together.
        keeps_masters: Whether it keeps fp32 copies of weights that a step computes with in less, and casts them itself.
        answers_apart: Whether each process can answer other examples than the others, within `whole_weights`.
        can_resume: Whether a stopped training goes on; else it starts anew.
    """

    rank = 0
    n_processes = 1
    keeps_masters = False
    answers_apart = True
    can_resume = True

    @property
    def is_first(self) -> bool:
        """Whether this process writes for all."""
        return self.rank == 0

    def make_accelerator(self, device: str, precision: str) -> Accelerator:
        """Make what casts, scales and clips.

        Args:
            device: As torch names it.
            precision: That operations are cast to; "no" for none.
        """
        # accelerate 1.15 keeps the precision of a process's first Accelerator and refuses another.
        AcceleratorState._reset_state(reset_partial_state=True)
        return Accelerator(cpu=device == "cpu", mixed_precision=precision)

    def wrap(self, accelerator: Accelerator, model: Any) -> Any:
        """Return what computes a step in the place of the model."""
        return accelerator.prepare_model(model, evaluation_mode=True)

    def prepare(
        self, accelerator: Accelerator, model: Any, optimizer: torch.optim.Optimizer
    ) -> tuple[Any, torch.optim.Optimizer]:
        """Return what computes a step and what makes it. model: as `wrap` returned it."""
        return model, accelerator.prepare(optimizer)

    def summing(self, model: Any, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a forward and backward pass. is_last: of this step, which sums gradients over all."""
        del model, is_last
        return nullcontext()

    def backward(self, accelerator: Accelerator, model: Any, loss: torch.Tensor, *, is_last: bool) -> None:
        """Compute the gradients of a loss, and sum them over all processes in the last pass of a step."""
        del model, is_last
        accelerator.backward(loss)

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """Return the rows of this process: each row belongs to one."""
        return rows[self.rank :: self.n_processes]

    def gather(self, results: Sequence[T]) -> list[T]:
        """Return what all processes made of their shares, each once, on every process."""
        return list(results)

    def whole_weights(self, model: Any) -> AbstractContextManager[object]:
        """Return a context in which this process has whole weights, so that it can answer and write them."""
        del model
        return nullcontext()

    def state_dict(self, model: Any) -> dict[str, torch.Tensor]:
        """Return what is saved of a model, where this process has whole weights."""
        state: dict[str, torch.Tensor] = model.state_dict()
        return state

    def total(self, number: float) -> float:
        """Return the sum of the numbers of all processes."""
        return number

    def agree(self, decision: bool) -> bool:
        """Return the decision of the first process."""
        return decision

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return all of a tensor of which each process may have a part."""
        return tensor

    def part(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return the part of a whole tensor that this process has, laid out as `like`."""
        return tensor.to(like.device)


ONE_PROCESS = Strategy()
