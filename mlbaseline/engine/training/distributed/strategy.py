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
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from mlbaseline.suite import TrainedSpec

T = TypeVar("T")


class Strategy:
    """One process, which has all rows and whole weights.

    Attributes:
        rank: Number of this process, from 0. The first one writes.
        n_processes: How many train together.
        shards_weights: Whether a process has only a part of each weight.
    """

    rank = 0
    n_processes = 1
    shards_weights = False

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

    def summing(self, model: Any, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a forward and backward pass. is_last: of this step, which sums gradients over all."""
        del model, is_last
        return nullcontext()

    def share(self, rows: Sequence[T]) -> Sequence[T]:
        """Return the rows of this process: each row belongs to one."""
        return rows[self.rank :: self.n_processes]

    def gather(self, results: Sequence[T]) -> list[T]:
        """Return what all processes made of their shares, each once, on every process."""
        return list(results)

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


class DataParallel(Strategy):
    """Each process has whole weights; gradients are summed (torch's DistributedDataParallel)."""

    def __init__(self) -> None:
        self.rank = distributed.get_rank()
        self.n_processes = distributed.get_world_size()

    def wrap(self, accelerator: Accelerator, model: Any) -> Any:
        """Return what computes a step in the place of the model."""
        model = super().wrap(accelerator, model)
        # A method of peft, or a mixture of experts, may leave weights unused.
        parallel = DistributedDataParallel(model, broadcast_buffers=False, find_unused_parameters=True)
        parallel.register_comm_hook(None, lambda _, bucket: _sum_gradients(bucket))
        return parallel

    def summing(self, model: Any, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a forward and backward pass. is_last: of this step, which sums gradients over all."""
        no_sync: AbstractContextManager[object] = model.no_sync()
        return nullcontext() if is_last else no_sync

    def gather(self, results: Sequence[T]) -> list[T]:
        """Return what all processes made of their shares, each once, on every process."""
        shares: list[Sequence[T]] = [()] * self.n_processes
        distributed.all_gather_object(shares, results)
        return [result for share in shares for result in share]

    def total(self, number: float) -> float:
        """Return the sum of the numbers of all processes."""
        return sum(self.gather([number]))

    def agree(self, decision: bool) -> bool:
        """Return the decision of the first process."""
        return self.gather([decision])[0]


def _sum_gradients(bucket: Any) -> torch.futures.Future[torch.Tensor]:
    """Sum a bucket of gradients in fp32. DistributedDataParallel by itself would return the mean."""
    gradients: torch.Tensor = bucket.buffer()
    reduced = distributed.all_reduce(gradients.float(), async_op=True).get_future()
    summed: torch.futures.Future[torch.Tensor] = reduced.then(lambda done: done.value()[0].to(gradients.dtype))
    return summed


def make_strategy(spec: TrainedSpec) -> Strategy:
    """Make the strategy of a rung, in a process of an initialised process group."""
    assert spec.training is not None
    return DataParallel()
