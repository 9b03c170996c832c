"""Fine-tuning on the answers of a task: LoRA and all weights, in accelerate's hands with a loop of our own.

Every step depends on the seed and its own number alone (order of the data, dropout), so that a training that was killed
goes on to the very weights that it would have reached.
"""

from __future__ import annotations

import gc
import math
import shutil
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from filelock import FileLock
from safetensors import SafetensorError

from mlbaseline.cache import cache_dir
from mlbaseline.engine.hardware import pin_seeds
from mlbaseline.engine.inference.forward import logits_at
from mlbaseline.engine.training.dev_metrics import measure_dev
from mlbaseline.engine.training.frozen_layers import Frozen, find_frozen
from mlbaseline.engine.training.job import Sample, TrainingJob, make_optimizer, make_samples, make_schedule
from mlbaseline.engine.training.peft_methods import add_adapter
from mlbaseline.engine.training.saved_state import epoch_folder, load_result, load_state, save_result, save_state
from mlbaseline.engine.training.shared_base import hand_on_base, take_base
from mlbaseline.engine.training.tied_embeddings import add_lookups_in_place
from mlbaseline.errors import AssetError, MlbaselineError
from mlbaseline.metrics import METRICS
from mlbaseline.models.adapter_files import record_base
from mlbaseline.models.checkpoint import Checkpoint, quiet_transformers
from mlbaseline.progress import progress_bar
from mlbaseline.records import Trained
from mlbaseline.suite import Peft

SAVE_EVERY_S = 20.0
"""How often the state of a training is kept, so that a killed one goes on …"""

SAVE_SHARE = 1 / 30
"""… but for all weights and their moments, which take seconds to write, no more often than costs this share of time."""

_WINDOW_BATCHES = 20
"""Examples are sorted by length within this many batches: little padding, and still another order every epoch."""


def train(job: TrainingJob, *, description: str | None = None) -> Trained:
    """The finished training from the cache, else train, going on from where an earlier attempt was stopped.

    description: names the progress bar; without it there is none. Raises DataError for a training example that
    cannot be encoded, AssetError if the base cannot be loaded or the cache not be written, MlbaselineError if the
    loss stops being a number.
    """
    folder = cache_dir() / "trained" / job.key
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):  # a second process waits, and then finds the work done
            finished = load_result(folder)
            if finished is None:
                training = _Training(job, folder)
                training.run(description)
                training.release()
                finished = load_result(folder)
    except (OSError, SafetensorError) as error:
        raise AssetError(
            f"{folder}: the training cannot be kept ({error}); free some space, or name another folder in "
            "MLBASELINE_CACHE"
        ) from error
    assert finished is not None
    return finished


class _Training:
    def __init__(self, job: TrainingJob, folder: Path) -> None:
        self.job, self.folder = job, folder
        self.saved_s, self.save_took_s = perf_counter(), 0.0
        self.base = checkpoint = take_base(job)
        pin_seeds(job.seed)
        self.tokenizer = checkpoint.tokenizer
        if isinstance(job.spec, Peft):
            checkpoint = replace(checkpoint, model=add_adapter(checkpoint, job.spec, job.base_source))
        self.samples = make_samples(job, checkpoint, job.train)
        model = checkpoint.model
        add_lookups_in_place(model)
        if job.spec.gradient_checkpointing:
            with quiet_transformers():
                model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps_per_epoch = math.ceil(len(self.samples) / job.spec.batch_size)
        # accelerate 1.15 keeps the precision of a process's first Accelerator and refuses another.
        AcceleratorState._reset_state(reset_partial_state=True)
        mixed = {"fp32": "no"}.get(job.compute, job.compute)
        self.accelerator = Accelerator(cpu=job.device == "cpu", mixed_precision=mixed)
        optimizer = make_optimizer(model, job.spec)
        self.schedule = make_schedule(optimizer, job.spec, self.steps_per_epoch * job.spec.epochs)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.bare = self.accelerator.unwrap_model(self.model)
        self.trained = {name: p for name, p in self.bare.named_parameters() if p.requires_grad}
        self.progress = load_state(folder, self.trained, self.optimizer)
        if self.progress.scaler:
            self.accelerator.scaler.load_state_dict(self.progress.scaler)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch expects an optimiser step before each of these
            for _ in range(self.progress.step):
                self.schedule.step()

    def run(self, description: str | None) -> None:
        """From wherever the training stands to its end."""
        progress = self.progress
        total = self.steps_per_epoch * self.job.spec.epochs
        started_s = perf_counter() - progress.train_s
        with progress_bar(total, "step", description) as bar:
            bar.update(progress.step)
            while progress.step < total:
                epoch, position = divmod(progress.step, self.steps_per_epoch)
                step_s = perf_counter()
                batch = self._batches(epoch)[position]
                progress.losses.append(self._step(batch))
                progress.step += 1
                tokens = sum(len(sample.tokens) for part in batch for sample in part)
                bar.set_postfix_str(f"loss {progress.losses[-1]:.3f}, {tokens / (perf_counter() - step_s):.0f} tok/s")
                bar.update()
                if position == self.steps_per_epoch - 1:
                    self._end_epoch(epoch + 1)
                progress.train_s = perf_counter() - started_s
                if progress.step < total:
                    self._save_in_time()
        save_result(self.folder, progress, sum(parameter.numel() for parameter in self.trained.values()))

    def _save_in_time(self) -> None:
        """Every `SAVE_EVERY_S`, or less often where saving takes its time."""
        if perf_counter() - self.saved_s > max(SAVE_EVERY_S, self.save_took_s / SAVE_SHARE):
            started_s = perf_counter()
            if self.accelerator.scaler is not None:
                self.progress.scaler = self.accelerator.scaler.state_dict()
            save_state(self.folder, self.progress, self.trained, self.optimizer)
            self.saved_s = perf_counter()
            self.save_took_s = self.saved_s - started_s

    @cached_property
    def frozen(self) -> Frozen | None:
        """Made by the first step, as a part of the training that takes its time."""
        if self.job.spec.gradient_checkpointing:  # which runs layers again, outside of the block that skips them
            return None
        return find_frozen(self.bare, [sample.tokens for sample in self.samples], self.job.reading_key)

    def release(self) -> None:
        """Hand on the base; give back all else, which accelerate's and the model's own cycles would hold on to."""
        self.accelerator.free_memory()
        self.__dict__.pop("frozen", None)
        hand_on_base(self.job, self.base, self.bare)
        torch.use_deterministic_algorithms(False)  # what answers next computes as where nothing was trained before
        del self.base, self.model, self.bare, self.optimizer, self.schedule, self.trained
        gc.collect()

    def _batches(self, epoch: int) -> list[list[list[Sample]]]:
        """The steps of an epoch, each as the parts that are computed one after the other."""
        spec, rng = self.job.spec, np.random.default_rng([self.job.seed, epoch])
        order = [self.samples[index] for index in rng.permutation(len(self.samples))]
        window, batches = spec.batch_size * _WINDOW_BATCHES, []
        for start in range(0, len(order), window):
            nearby = sorted(order[start : start + window], key=lambda sample: len(sample.tokens))
            batches += [nearby[i : i + spec.batch_size] for i in range(0, len(nearby), spec.batch_size)]
        size = spec.batch_size // spec.gradient_accumulation
        return [
            [batches[index][i : i + size] for i in range(0, len(batches[index]), size)]
            for index in rng.permutation(len(batches))
        ]

    def _step(self, parts: Sequence[Sequence[Sample]]) -> float:
        """One optimiser step; its loss is the mean over all answer tokens of the batch (nats)."""
        torch.manual_seed(step_seed(self.job.seed, self.progress.step))  # dropout
        n_tokens = sum(len(sample.answer) for part in parts for sample in part)
        self.model.train()
        total = 0.0
        for part in parts:
            loss = self._loss(part) / n_tokens
            self.accelerator.backward(loss)
            total += loss.item()
        if not math.isfinite(total):
            raise MlbaselineError(
                f"training {self.job.spec.kind} (seed {self.job.seed}): the loss is {total} at step "
                f"{self.progress.step + 1}; lower learning_rate ({self.job.spec.learning_rate}) or raise warmup_ratio"
            )
        self.accelerator.clip_grad_norm_(self.trained.values(), self.job.spec.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        # On CPUs, memory that is given back costs more to get again than to fill with zeros.
        self.optimizer.zero_grad(set_to_none=self.accelerator.device.type != "cpu")
        return total

    def _loss(self, samples: Sequence[Sample]) -> torch.Tensor:
        """Summed cross-entropy of the answers. Rows are padded on their right, where causal attention never looks."""
        device = self.accelerator.device
        width = max(len(sample.tokens) for sample in samples)
        ids = torch.zeros(len(samples), width, dtype=torch.long)
        places: list[tuple[int, int]] = []
        targets: list[int] = []
        for row, sample in enumerate(samples):
            ids[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
            first = len(sample.tokens) - len(sample.answer)
            places += [(row, first + offset) for offset in range(len(sample.answer))]
            targets += sample.answer
        rows, columns = torch.tensor(places).unbind(1)
        skipping = self.frozen.skipped([sample.tokens for sample in samples]) if self.frozen else nullcontext()
        with logits_at(self.bare, rows, columns - width), skipping:
            logits = self.model(input_ids=ids.to(device), use_cache=False).logits[0]
        return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets, device=device), reduction="sum")

    def _end_epoch(self, epoch: int) -> None:
        values = self._measure_dev()
        if values and self.progress.dev and not _is_better(values, self.progress.dev, self.job.spec.select):
            return
        folder = epoch_folder(self.folder, epoch)
        shutil.rmtree(folder, ignore_errors=True)
        self._write_weights(folder)
        self.progress.selected_epoch, self.progress.dev = epoch, values

    def _measure_dev(self) -> dict[str, float]:
        job = self.job
        self.bare.eval()
        checkpoint = Checkpoint(self.bare, self.tokenizer, job.precision, job.device)
        with self.accelerator.autocast():
            return measure_dev(job, checkpoint)

    def _write_weights(self, folder: Path) -> None:
        # peft would else look for the base's own configuration on a model hub.
        options: dict[str, Any] = {"save_embedding_layers": False}
        if not isinstance(self.job.spec, Peft):
            dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.job.precision, torch.float32)
            state = {name: tensor.to(dtype) for name, tensor in self.bare.state_dict().items()}
            options = {"state_dict": state}
        with quiet_transformers():
            self.bare.save_pretrained(folder, **options)
            self.tokenizer.save_pretrained(folder)
        if isinstance(self.job.spec, Peft):
            (folder / "README.md").unlink(missing_ok=True)  # peft's template of a model card, all of it to be filled in
            record_base(folder, source=self.job.base_source, sha256=self.job.base.sha256)


def _is_better(new: dict[str, float], old: dict[str, float], metric: str) -> bool:
    """Strictly: of equally good epochs the earlier one, which was trained less."""
    return new[metric] > old[metric] if METRICS[metric].higher_is_better else new[metric] < old[metric]


def step_seed(seed: int, step: int) -> int:
    """A seed of its own for every step of a training."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])
