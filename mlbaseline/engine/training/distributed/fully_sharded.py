"""Processes that have a part of every weight each: `fully_shard` of torch (FSDP2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from mlbaseline.engine.training.distributed.data_parallel import DataParallel
from mlbaseline.engine.training.frozen_layers import decoder_layers
from mlbaseline.models.checkpoints.precision import dtype_of
from mlbaseline.suite import Peft


class FullySharded(DataParallel):
    """Each process has a part of every weight, of its gradient and of its moments.

    Weights are put together layer by layer, as a step needs them, and learn in fp32, whatever the step computes in.
    """

    keeps_masters = True

    def wrap(self, accelerator: Accelerator, model: Any) -> Any:
        """Return what computes a step in the place of the model."""
        self._names = tuple(model.state_dict())
        model = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        device, spec = accelerator.device.type, self.job.spec
        # An adapter's base is frozen in the precision of the step, and accelerate casts what the adapter computes.
        is_cast = not isinstance(spec, Peft) and self.job.compute != "fp32"
        precision = MixedPrecisionPolicy(dtype_of(self.job.compute), torch.float32) if is_cast else None
        offloads = spec.training is not None and spec.training.offload and device != "cpu"
        for module in (*decoder_layers(model), model):
            fully_shard(
                module,
                mesh=init_device_mesh(device, (self.n_processes,)),
                mp_policy=precision or MixedPrecisionPolicy(),
                offload_policy=CPUOffloadPolicy() if offloads else OffloadPolicy(),
            )
        for module in _sharded(model):  # sums, where a mean over the processes is the default
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
        return model

    def summing(self, model: Any, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a forward and backward pass. Each one sums: else a process would hold all gradients."""
        del model, is_last
        return nullcontext()

    @contextmanager
    def whole_weights(self, model: Any) -> Iterator[None]:
        """Within the block, this process has whole weights, in the precision that a step computes in."""
        for module in _sharded(model):
            module.set_reshard_after_forward(False, recurse=False)
            module.unshard()
        try:
            yield
        finally:
            for module in _sharded(model):
                module.reshard()
                module.set_reshard_after_forward(module is not model, recurse=False)

    def state_dict(self, model: Any) -> dict[str, torch.Tensor]:
        """Return what is saved of a model, where this process has whole weights. The model's own would part them."""
        tensors = {**dict(model.named_parameters(remove_duplicate=False)), **dict(model.named_buffers())}
        return {name: tensors[name].detach() for name in self._names}

    def whole(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return all of a tensor of which each process may have a part."""
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def part(self, tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Return the part of a whole tensor that this process has, laid out as `like`."""
        if not isinstance(like, DTensor) or not tensor.ndim:
            return tensor
        return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)


def _sharded(model: Any) -> list[FSDPModule]:
    return [module for module in model.modules() if isinstance(module, FSDPModule)]
