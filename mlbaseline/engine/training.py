"""Fine-tuning on the answers of a task: LoRA and all weights, in accelerate's hands with a loop of our own.

Every step depends on the seed and its own number alone (order of the data, dropout), so that a training that was killed
goes on to the very weights that it would have reached.
"""

from __future__ import annotations

import json
import math
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from filelock import FileLock
from safetensors.torch import load_file, save_file

from mlbaseline.assets import cache_dir, sha256_of
from mlbaseline.engine.forward import logits_at
from mlbaseline.engine.hardware import pin_seeds, progress_bar
from mlbaseline.engine.recipe import (
    Sample,
    TrainingJob,
    add_adapter,
    load_base,
    make_optimizer,
    make_samples,
    make_schedule,
)
from mlbaseline.engine.scoring import ChoiceScorer
from mlbaseline.errors import MlbaselineError
from mlbaseline.metrics import METRICS, add_scores, measure
from mlbaseline.models.checkpoint import Checkpoint, quiet_transformers
from mlbaseline.records import Signature, Trained, digest_of
from mlbaseline.results import tabulate
from mlbaseline.suite import Peft

SAVE_EVERY_S = 120.0
"""A killed training loses at most about this much work."""

_WINDOW_BATCHES = 10
"""Examples are sorted by length within this many batches: little padding, and still another order every epoch."""


def train(job: TrainingJob, *, description: str | None = None) -> Trained:
    """The finished training from the cache, else train, going on from where an earlier attempt was stopped.

    description: names the progress bar; without it there is none. Raises DataError for a training example that
    cannot be encoded, MlbaselineError if the loss stops being a number.
    """
    folder = cache_dir() / "trained" / job.key
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):  # a second process waits, and then finds the work done
        finished = _finished(folder)
        if finished is None:
            _Training(job, folder).run(description)
            finished = _finished(folder)
    assert finished is not None
    return finished


def weights_sha256(folder: Path) -> str:
    """SHA-256 over the names and contents of the safetensors files in a folder: names a checkpoint by its content."""
    return digest_of({file.name: sha256_of(file) for file in sorted(folder.glob("*.safetensors"))})


@dataclass
class _Progress:
    """What a training that goes on must know beside its tensors. epoch: the best so far, counted from 1."""

    step: int = 0
    train_s: float = 0.0
    losses: list[float] = field(default_factory=list)
    selected_epoch: int = 0
    dev: dict[str, float] = field(default_factory=dict)


class _Training:
    def __init__(self, job: TrainingJob, folder: Path) -> None:
        self.job, self.folder = job, folder
        pin_seeds(job.seed)
        checkpoint = load_base(job)
        self.tokenizer = checkpoint.tokenizer
        self.samples = make_samples(job, checkpoint)
        model = checkpoint.model
        if isinstance(job.spec, Peft):
            model = add_adapter(model, job.spec, job.base_source)
        if job.spec.gradient_checkpointing:
            with quiet_transformers():
                model.gradient_checkpointing_enable({"use_reentrant": False})
        self.steps_per_epoch = math.ceil(len(self.samples) / job.spec.batch_size)
        mixed = {"fp32": "no"}.get(job.precision, job.precision)
        self.accelerator = Accelerator(cpu=job.device == "cpu", mixed_precision=mixed)
        optimizer = make_optimizer(model, job.spec)
        self.schedule = make_schedule(optimizer, job.spec, self.steps_per_epoch * job.spec.epochs)
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer)
        self.bare = self.accelerator.unwrap_model(self.model)
        self.trained = {name: p for name, p in self.bare.named_parameters() if p.requires_grad}
        self.progress = self._restore()

    def run(self, description: str | None) -> None:
        progress, job = self.progress, self.job
        total = self.steps_per_epoch * job.spec.epochs
        saved_s = started_s = perf_counter()
        already_s = progress.train_s
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
                progress.train_s = already_s + perf_counter() - started_s
                if progress.step < total and perf_counter() - saved_s > SAVE_EVERY_S:
                    self._save()
                    saved_s = perf_counter()
        self._finish()

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
        self.optimizer.zero_grad()
        return total

    def _loss(self, samples: Sequence[Sample]) -> torch.Tensor:
        """Summed cross-entropy of the answers. Rows are padded on their right, where causal attention never looks."""
        device = self.accelerator.device
        ids = torch.zeros(len(samples), max(len(sample.tokens) for sample in samples), dtype=torch.long)
        places: list[tuple[int, int]] = []
        targets: list[int] = []
        for row, sample in enumerate(samples):
            ids[row, : len(sample.tokens)] = torch.tensor(sample.tokens)
            first = len(sample.tokens) - len(sample.answer)
            places += [(row, first + offset) for offset in range(len(sample.answer))]
            targets += sample.answer
        rows, columns = torch.tensor(places).unbind(1)
        with logits_at(self.bare, rows, columns):
            logits = self.model(input_ids=ids.to(device), use_cache=False).logits[0]
        return torch.nn.functional.cross_entropy(logits.float(), torch.tensor(targets, device=device), reduction="sum")

    def _end_epoch(self, epoch: int) -> None:
        values = self._measure_dev()
        if values and self.progress.dev and not _is_better(values, self.progress.dev, self.job.spec.select):
            return
        staging = self.folder / f"epoch-{epoch}"
        shutil.rmtree(staging, ignore_errors=True)
        self._write_weights(staging)
        self.progress.selected_epoch, self.progress.dev = epoch, values

    def _measure_dev(self) -> dict[str, float]:
        job, dev = self.job, self.job.dev
        if dev is None:
            return {}
        self.bare.eval()
        causal = self.bare.get_base_model() if isinstance(job.spec, Peft) else self.bare
        checkpoint = Checkpoint(causal, self.tokenizer, job.precision, job.device)
        evaluation = job.evaluation.model_copy(update={"latency_sample": 0})
        scorer = ChoiceScorer(checkpoint, job.prompting, dev.labels, evaluation)
        with self.accelerator.autocast():
            answers = list(scorer.answer(dev.examples))
        table = tabulate(
            dev, answers, baseline=job.spec.kind, kind=job.spec.kind, seed=job.seed, signature=Signature({})
        )
        table = add_scores(table, dev.labels, list(METRICS))
        measured = {name: measure(table, dev.labels, name) for name in METRICS}
        return {name: value for name, value in measured.items() if value is not None}

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

    # ---- going on after a stop ----

    def _save(self) -> None:
        """Tensors, then the JSON that makes them count; both replace what was there at once."""
        tensors = {f"weight/{name}": parameter.detach() for name, parameter in self.trained.items()}
        for name, parameter in self.trained.items():
            tensors |= {f"{key}/{name}": value for key, value in self.optimizer.state[parameter].items()}
        kept = f"state-{self.progress.step}.safetensors"
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, self.folder / kept)
        _write_json(self.folder / "progress.json", asdict(self.progress))
        for stale in self.folder.glob("state-*.safetensors"):
            if stale.name != kept:
                stale.unlink()

    def _restore(self) -> _Progress:
        try:
            progress = _Progress(**json.loads((self.folder / "progress.json").read_text(encoding="utf-8")))
            tensors = load_file(self.folder / f"state-{progress.step}.safetensors", device=str(self.accelerator.device))
        except (OSError, ValueError, TypeError):  # nothing there, or cut short: from the beginning
            return _Progress()
        with torch.no_grad():
            for name, parameter in self.trained.items():
                parameter.copy_(tensors[f"weight/{name}"])
                self.optimizer.state[parameter] = {
                    key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq")
                }
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch expects an optimiser step before each of these
            for _ in range(progress.step):
                self.schedule.step()
        return progress

    def _finish(self) -> None:
        selected = self.folder / f"epoch-{self.progress.selected_epoch}"
        _write_json(
            self.folder / "trained.json",
            {
                "folder": selected.name,
                "weights_sha256": weights_sha256(selected),
                "train_s": self.progress.train_s,
                "trainable_params": sum(parameter.numel() for parameter in self.trained.values()),
                "losses": self.progress.losses,
                "dev": self.progress.dev,
                "selected_epoch": self.progress.selected_epoch,
            },
        )
        for leftover in (
            *self.folder.glob("state-*"),
            *self.folder.glob("progress.json"),
            *self.folder.glob("epoch-*"),
        ):
            if leftover.is_dir() and leftover != selected:
                shutil.rmtree(leftover)
            elif leftover.is_file():
                leftover.unlink()


def _finished(folder: Path) -> Trained | None:
    """A finished training whose weights are still those that it wrote."""
    try:
        facts = json.loads((folder / "trained.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    weights = folder / facts.pop("folder")
    if not weights.is_dir() or weights_sha256(weights) != facts["weights_sha256"]:
        return None
    return Trained(folder=weights, **{**facts, "losses": tuple(facts["losses"])})


def _is_better(new: dict[str, float], old: dict[str, float], metric: str) -> bool:
    """Strictly: of equally good epochs the earlier one, which was trained less."""
    return new[metric] > old[metric] if METRICS[metric].higher_is_better else new[metric] < old[metric]


def step_seed(seed: int, step: int) -> int:
    """A seed of its own for every step of a training."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1)[0])


def _write_json(path: Path, content: Any) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(path)
