"""Fine-tuning on the answers of a task: an adapter or all weights, by accelerate with a loop of our own.

Every step depends only on the seed and its own number (order of the data, dropout), so that a training that was killed
continues to exactly the weights that it would have reached.
"""

from __future__ import annotations

import gc
import math
import shutil
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from peft.helpers import disable_input_dtype_casting

from mlbaseline.engine.hardware import pin_seeds
from mlbaseline.engine.inference.shared_prefix import logits_at
from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.engine.training.attention_kernel import attention_kernel
from mlbaseline.engine.training.cached import epoch_folder
from mlbaseline.engine.training.dev_metrics import SCORING_DEV, measure_dev
from mlbaseline.engine.training.distributed.strategy import ONE_PROCESS, Strategy
from mlbaseline.engine.training.epochs import StepBatch, shuffle_epoch
from mlbaseline.engine.training.frozen_layers import FrozenLayers, find_frozen_layers
from mlbaseline.engine.training.job import TrainingJob, make_optimizer, make_schedule, make_sequences, trainable
from mlbaseline.engine.training.master_weights import MasterWeights
from mlbaseline.engine.training.peft_methods import add_adapter
from mlbaseline.engine.training.saved_state import TrainingState, load_state, save_state
from mlbaseline.engine.training.shared_base import return_base, take_base
from mlbaseline.engine.training.tied_embeddings import accumulate_tied_gradient_in_place
from mlbaseline.errors import MlbaselineError
from mlbaseline.metrics import METRICS
from mlbaseline.model_files import weights_sha256
from mlbaseline.models.checkpoints.adapter_files import record_base
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.loading import quiet_transformers
from mlbaseline.progress import Title, part_of, progress_bar
from mlbaseline.records import Trained
from mlbaseline.suite import Lora, Peft

SAVE_EVERY_S = 20.0
"""How often the state of a training is saved, so that a killed one can continue."""

SAVE_SHARE = 1 / 30
"""Share of the time that saving may cost: all weights and their moments take seconds to write."""


class TrainingRun:
    """A training in progress: model, optimiser, schedule, and how far it is.

    Args:
        job: everything that decides the weights.
        folder: of the training, which holds its state, and at the end its weights.
        strategy: how this process works together with others.
    """

    def __init__(self, job: TrainingJob, folder: Path, strategy: Strategy = ONE_PROCESS) -> None:
        self.job, self.folder, self.strategy = job, folder, strategy
        self.saved_s, self.save_duration_s = perf_counter(), 0.0
        # Whole weights may be too much for the device of a process that has only a part of each.
        self.base = checkpoint = take_base(replace(job, device="cpu") if strategy.keeps_masters else job)
        pin_seeds(job.seed if job.initialisation_seed is None else job.initialisation_seed)
        self.order_seed = job.seed if job.order_seed is None else job.order_seed
        self.tokenizer = checkpoint.tokenizer
        if isinstance(job.spec, Peft):
            checkpoint = replace(checkpoint, model=add_adapter(checkpoint, job.spec, job.base_source))
        self.sequences = make_sequences(job, checkpoint, job.train)
        model = checkpoint.model
        if job.spec.gradient_checkpointing:
            with quiet_transformers():
                model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps_per_epoch = math.ceil(len(self.sequences) / job.spec.batch_size)
        is_low, is_cast_elsewhere = job.compute != "fp32", strategy.keeps_masters and not isinstance(job.spec, Peft)
        has_masters = job.compute == "bf16" and not (isinstance(job.spec, Peft) or strategy.keeps_masters)
        is_alone = strategy.n_processes == 1  # else gradients are summed as autograd writes them, not behind it
        self.masters = MasterWeights(model, takes_early=is_alone) if has_masters else None
        if is_alone and not has_masters:
            accumulate_tied_gradient_in_place(model)
        is_autocast = is_low and not (has_masters or is_cast_elsewhere)
        self.accelerator = strategy.make_accelerator(job.device, job.compute if is_autocast else "no")
        self.model = strategy.wrap(self.accelerator, model)
        self.bare = self.accelerator.unwrap_model(self.model)
        self.trained = self.masters.weights if self.masters else trainable(self.bare)
        optimizer = make_optimizer(self.trained.values(), job.spec)
        self.schedule = make_schedule(optimizer, job.spec, self.steps_per_epoch * job.spec.epochs)
        self.trainable_params = sum(parameter.numel() for parameter in self.trained.values())
        self.model, self.optimizer = strategy.prepare(self.accelerator, self.model, optimizer)
        self.state = (
            load_state(folder, self.trained, self.optimizer, strategy) if strategy.can_resume else TrainingState()
        )
        if self.masters:
            self.masters.update_model()
        if self.state.scaler:
            self.accelerator.scaler.load_state_dict(self.state.scaler)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch expects an optimiser step before each of these
            for _ in range(self.state.step):
                self.schedule.step()

    def run(self, description: Title | None) -> None:
        """Train from the loaded state to the end."""
        state = self.state
        total = self.steps_per_epoch * self.job.spec.epochs
        started_s = perf_counter() - state.train_s
        batches: list[StepBatch] = []
        with progress_bar(total, "step", description, start=state.step) as bar:
            while state.step < total:
                epoch, position = divmod(state.step, self.steps_per_epoch)
                step_s = perf_counter()
                if not batches or position == 0:
                    batches = shuffle_epoch(self.sequences, self.job.spec, self.order_seed, epoch)
                batch = batches[position]
                state.losses.append(self.step(batch))
                state.step += 1
                tokens = sum(len(sequence.input_tokens) for part in batch for sequence in part)
                bar.update(note=f"loss {state.losses[-1]:.3f}, {tokens / (perf_counter() - step_s):,.0f} tokens/s")
                if position == self.steps_per_epoch - 1:
                    self._end_epoch(epoch + 1, part_of(description, SCORING_DEV))
                state.train_s = perf_counter() - started_s
                if state.step < total:
                    self._save_if_due()

    def result(self) -> Trained:
        """Describe what was trained, after `run`. Of several processes, the first one has written it."""
        state = self.state
        weights = epoch_folder(self.folder, state.selected_epoch)
        return Trained(
            folder=weights,
            weights_sha256=weights_sha256(weights),
            train_s=state.train_s,
            trainable_params=self.trainable_params,
            losses=tuple(state.losses),
            dev=state.dev,
            selected_epoch=state.selected_epoch,
        )

    def _save_if_due(self) -> None:
        """Save the state every `SAVE_EVERY_S`, or less often where saving takes long."""
        is_due = perf_counter() - self.saved_s > max(SAVE_EVERY_S, self.save_duration_s / SAVE_SHARE)
        if self.strategy.can_resume and self.strategy.agree(is_due):
            started_s = perf_counter()
            if self.accelerator.scaler is not None:
                self.state.scaler = self.accelerator.scaler.state_dict()
            save_state(self.folder, self.state, self.trained, self.optimizer, self.strategy)
            self.saved_s = perf_counter()
            self.save_duration_s = self.saved_s - started_s

    @cached_property
    def frozen(self) -> FrozenLayers | None:
        """Layers that need not run again. The first step computes them, as their time is a part of the training."""
        # Runs layers again, outside the block that skips them; or puts each layer together as it runs.
        if self.job.spec.gradient_checkpointing or self.strategy.keeps_masters:
            return None
        return find_frozen_layers(
            self.bare, [sequence.input_tokens for sequence in self.sequences], self.job.reading_key
        )

    def release(self) -> None:
        """Return the base for the next training; free everything else, which reference cycles would keep in memory."""
        self.accelerator.free_memory()
        self.__dict__.pop("frozen", None)
        return_base(self.job, self.base, self.bare)
        torch.use_deterministic_algorithms(False)  # models that answer next compute as without a training before
        del self.base, self.model, self.bare, self.masters, self.optimizer, self.schedule, self.trained
        gc.collect()

    def step(self, batch: StepBatch) -> float:
        """Make one optimiser step; return its loss, the mean over all target tokens of the batch (nats)."""
        torch.manual_seed(step_seed(self.order_seed, self.state.step, self.strategy.rank))  # dropout
        n_tokens = sum(len(sequence.targets) for part in batch for sequence in part)
        self.model.train()
        total = 0.0
        for part in batch:
            share, is_last = self.strategy.share(part), part is batch[-1] or self.masters is not None
            with self.strategy.summing(self.model, is_last=is_last):
                loss = self._loss(share or part[:1]) / n_tokens
                if not share:  # all processes sum gradients together: this one adds zeros
                    loss = loss * 0
                self.strategy.backward(self.accelerator, self.model, loss, is_last=is_last)
            if self.masters:
                self.masters.take_gradients()
            total += loss.item()
        total = self.strategy.total(total)
        if not math.isfinite(total):
            raise MlbaselineError(
                f"training {self.job.spec.kind} (seed {self.job.seed}): the loss is {total} at step "
                f"{self.state.step + 1}; lower learning_rate ({self.job.spec.learning_rate}) or raise warmup_ratio"
            )
        if self.masters:
            adamw = self.schedule.optimizer  # which accelerate's optimiser wraps
            self.masters.clip_in_step(adamw, self.job.spec.max_grad_norm)
        else:
            self.accelerator.clip_grad_norm_(self.trained.values(), self.job.spec.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        if self.masters:
            self.masters.update_model()
        else:
            # On CPUs, allocating memory again costs more than filling it with zeros.
            self.optimizer.zero_grad(set_to_none=self.accelerator.device.type != "cpu")
        return total

    def _loss(self, sequences: Sequence[TargetSequence]) -> torch.Tensor:
        """Return the summed cross-entropy of the targets. Rows are padded on the right, unseen by causal attention."""
        device = self.accelerator.device
        width = max(len(sequence.input_tokens) for sequence in sequences)
        ids = torch.zeros(len(sequences), width, dtype=torch.long)
        positions: list[tuple[int, int]] = []
        targets: list[int] = []
        for row, sequence in enumerate(sequences):
            length = len(sequence.input_tokens)
            ids[row, :length] = torch.tensor(sequence.input_tokens)
            positions += [(row, column) for column in range(length - len(sequence.targets), length)]
            targets += sequence.targets
        rows, columns = torch.tensor(positions).unbind(1)
        inputs = [sequence.input_tokens for sequence in sequences]
        skipping = self.frozen.skipped(inputs) if self.frozen else nullcontext()
        kernel = attention_kernel(device.type, self.job.compute, width)
        if self.job.spec.gradient_checkpointing:  # runs layers again behind this block, by the same kernel as here
            kernel = nullcontext()
        with logits_at(self.bare, rows, columns - width), skipping, kernel, self._input_dtypes():
            logits = self.model(input_ids=ids.to(device), use_cache=False).logits[0]
        return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets, device=device), reduction="sum")

    def _input_dtypes(self) -> AbstractContextManager[object]:
        """Under autocast, do not let LoRA cast its inputs to fp32, which autocast would cast back: the same bits."""
        spec, is_autocast = self.job.spec, self.accelerator.mixed_precision != "no"
        is_plain = isinstance(spec, Lora) and not (spec.dora or spec.gradient_checkpointing)
        return disable_input_dtype_casting(self.bare) if is_plain and is_autocast else nullcontext()

    def _end_epoch(self, epoch: int, description: Title | None) -> None:
        with self.strategy.whole_weights(self.bare):
            values = self.measure_dev(description)
            if values and self.state.dev and not _is_better(values, self.state.dev, self.job.spec.select):
                return
            weights = self.strategy.state_dict(self.bare)
            if self.strategy.is_first:
                folder = epoch_folder(self.folder, epoch)
                shutil.rmtree(folder, ignore_errors=True)
                self._write_weights(folder, weights)
        self.state.selected_epoch, self.state.dev = epoch, values

    def measure_dev(self, description: Title | None = None) -> dict[str, float]:
        """Score the dev split by the weights as they are now; {} without one. description: title of the bar."""
        job = self.job
        self.bare.eval()
        checkpoint = Checkpoint(self.bare, self.tokenizer, job.precision, job.device)
        with self.accelerator.autocast():
            strategy = self.strategy if self.strategy.answers_apart else ONE_PROCESS
            return measure_dev(job, checkpoint, strategy, description)

    def _write_weights(self, folder: Path, state: dict[str, torch.Tensor]) -> None:
        # Otherwise peft would look for the base's configuration on a model hub.
        options: dict[str, Any] = {"save_embedding_layers": False}
        if not isinstance(self.job.spec, Peft):
            dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.job.precision, torch.float32)
            state, options = {name: tensor.to(dtype) for name, tensor in state.items()}, {}
        with quiet_transformers():
            self.bare.save_pretrained(folder, state_dict=state, **options)
            self.tokenizer.save_pretrained(folder)
        if isinstance(self.job.spec, Peft):
            (folder / "README.md").unlink(missing_ok=True)  # peft's template of a model card, not filled in
            record_base(folder, source=self.job.base_source, sha256=self.job.base.sha256)


def _is_better(new: dict[str, float], old: dict[str, float], metric: str) -> bool:
    """Return whether `new` is strictly better: of equal epochs the earlier one is taken, which was trained less."""
    return new[metric] > old[metric] if METRICS[metric].higher_is_better else new[metric] < old[metric]


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of one step of a training: another one in each process, which has other rows."""
    return int(np.random.SeedSequence([seed, step, *([rank] if rank else [])]).generate_state(1)[0])
