"""Processes that have whole weights each: DistributedDataParallel of torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from mlbaseline.engine.training.distributed.strategy import Strategy
from mlbaseline.engine.training.job import TrainingJob

T = TypeVar("T")


class DataParallel(Strategy):
    """Each process has whole weights; gradients are summed.

    Args:
        job: What is trained. The process group is initialised.
    """

    def __init__(self, job: TrainingJob) -> None:
        self.job = job
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
