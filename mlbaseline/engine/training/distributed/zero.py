"""Processes that share out moments, gradients and, with stage 3, weights: ZeRO of DeepSpeed, through accelerate.

The configurations lie beside this file. Stage 3 was run once, by two processes on a CPU with
`require_deepspeed` left out. No stage was run on GPUs.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from importlib import resources
from importlib.util import find_spec
from typing import Any

import torch
from accelerate import Accelerator, DeepSpeedPlugin
from accelerate.state import AcceleratorState

from mlbaseline.engine.training.distributed.data_parallel import DataParallel
from mlbaseline.engine.training.job import TrainingJob
from mlbaseline.errors import MlbaselineError


class ZeroRedundancy(DataParallel):
    """Each process has a part of the moments and gradients; with `zero3`, also of the weights.

    DeepSpeed keeps the fp32 copies, clips and makes the step. Its checkpoints are pickles, which are never read here: a
    stopped training starts anew.
    """

    keeps_masters = True
    can_resume = False

    def __init__(self, job: TrainingJob) -> None:
        super().__init__(job)
        self._configuration = make_configuration(job, self.n_processes)
        self._has_whole_weights = self._configuration["zero_optimization"]["stage"] < 3
        # Else every layer is put together by all processes, which then answer the same examples.
        self.answers_apart = self._has_whole_weights

    def make_accelerator(self, device: str, precision: str) -> Accelerator:
        """Make what casts, scales and clips. DeepSpeed does it by the precision of the job."""
        del device, precision
        AcceleratorState._reset_state(reset_partial_state=True)
        compute = self.job.compute
        plugin = DeepSpeedPlugin(hf_ds_config=self._configuration)
        return Accelerator(mixed_precision="no" if compute == "fp32" else compute, deepspeed_plugin=plugin)

    def wrap(self, accelerator: Accelerator, model: Any) -> Any:
        """Return the model: DeepSpeed takes it together with the optimiser."""
        del accelerator
        return model

    def prepare(
        self, accelerator: Accelerator, model: Any, optimizer: torch.optim.Optimizer
    ) -> tuple[Any, torch.optim.Optimizer]:
        """Return DeepSpeed's engine and its optimiser."""
        engine, prepared = accelerator.prepare(model, optimizer)
        return engine, prepared

    def summing(self, model: Any, *, is_last: bool) -> AbstractContextManager[object]:
        """Return the context of a forward and backward pass: `backward` says which one is the last."""
        del model, is_last
        return nullcontext()

    def backward(self, accelerator: Accelerator, model: Any, loss: torch.Tensor, *, is_last: bool) -> None:
        """Compute the gradients of a loss; in the last pass of a step, also make the step, as DeepSpeed does."""
        del accelerator
        model.set_gradient_accumulation_boundary(is_boundary=is_last)
        model.backward(loss * self.n_processes)  # it takes the mean over the processes
        if is_last:
            model.step()

    def state_dict(self, model: Any) -> dict[str, torch.Tensor]:
        """Return what is saved of a model. All processes call it, as they put weights together."""
        gathered: AbstractContextManager[object] = nullcontext()
        if not self._has_whole_weights:
            import deepspeed

            gathered = deepspeed.zero.GatheredParameters(list(model.parameters()))
        with gathered:
            state = model.state_dict() if self.is_first else {}
            return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}


def make_configuration(job: TrainingJob, n_processes: int) -> dict[str, Any]:
    """Make the configuration of DeepSpeed: the file of the strategy, with the options of the job."""
    spec = job.spec
    assert spec.training is not None
    text = (resources.files(__package__) / f"{spec.training.strategy}.json").read_text(encoding="utf-8")
    configuration: dict[str, Any] = json.loads(text)
    rows = spec.batch_size // spec.gradient_accumulation
    configuration["train_micro_batch_size_per_gpu"] = max(rows // n_processes, 1)
    configuration["gradient_clipping"] = spec.max_grad_norm
    for precision in ("bf16", "fp16"):
        configuration[precision] = {"enabled": job.compute == precision}
    if spec.training.offload:
        zero = configuration["zero_optimization"]
        zero["offload_optimizer"] = {"device": "cpu"}
        if zero["stage"] == 3:
            zero["offload_param"] = {"device": "cpu"}
    return configuration


def require_deepspeed(job: TrainingJob) -> None:
    """Check that DeepSpeed can train a job here.

    Raises:
        MlbaselineError: The package is missing, or there is no GPU.
    """
    assert job.spec.training is not None
    where = f"training {job.spec.kind}: `strategy: {job.spec.training.strategy}`"
    if find_spec("deepspeed") is None:
        raise MlbaselineError(
            f"{where} needs the package deepspeed, which is not installed: pip install 'mlbaseline[deepspeed]', or "
            "choose `strategy: fsdp`, which needs no further package"
        )
    if job.device == "cpu":
        raise MlbaselineError(
            f"{where} needs GPUs, and there is none; choose `strategy: fsdp`, which runs on processors"
        )
