"""Fine-tuning beside transformers.Trainer: python -m tests.benchmarks.bench_training [--quick] [--threads N]

Same base, tweets, number of steps, examples a step, precision, threads, optimiser, schedule, and loss on the answers
alone; the Trainer with its default settings, so with batches in random order, padded to their longest. Both in turn in
one process, several rounds; a ratio divides what the two took in the same round, and the median of the rounds is
shown: by the clock, and in CPU seconds, which a machine that others use too disturbs less (best with --threads 1).
Of the steps alone, without loading and saving. Exit code 1 if a target is missed by both or the losses do not agree.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any

import torch

from mlbaseline.assets import FetchedAsset, fetch, sha256_of
from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.engine.training.epochs import shuffle_epoch
from mlbaseline.engine.training.job import TrainingJob, load_base, make_optimizer, make_schedule, trainable
from mlbaseline.engine.training.loop import TrainingRun
from mlbaseline.engine.training.peft_methods import add_adapter
from mlbaseline.models.checkpoint import default_device, resolve_precision
from mlbaseline.suite import Full, Lora, Peft, Pretrained, TrainedSpec
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.prompting import Prompting
from tests.benchmarks.json_results import add_json_option, write_results

OPTIONS: dict[str, Any] = {"base": "zero_shot", "epochs": 1, "batch_size": 8}
ALL_LAYERS = Lora(kind="peft", method="lora", learning_rate=1e-3, **OPTIONS)
RUNGS: dict[str, TrainedSpec] = {
    "LoRA, all layers": ALL_LAYERS,
    "LoRA, last 12 layers": ALL_LAYERS.model_copy(update={"last_layers": 12}),
    "full": Full(kind="full", learning_rate=5e-5, **OPTIONS),
}
TARGET = 1.5
SAME_LOSS, SAME_MEAN_LOSS = 1e-3, 0.15
"""Relative: of one and the same batch; and of the whole run, whose batches are composed differently."""


@dataclass(frozen=True)
class Timed:
    wall_s: float
    cpu_s: float
    losses: tuple[float, ...]


@dataclass(frozen=True)
class Compared:
    name: str
    tokens: int
    ours: Sequence[Timed]
    theirs: Sequence[Timed]
    same_batch: tuple[float, float]

    def ratio(self, clock: str) -> float:
        pairs = zip(self.ours, self.theirs, strict=True)
        return median(getattr(theirs, clock) / getattr(ours, clock) for ours, theirs in pairs)

    @property
    def losses_agree(self) -> bool:
        ours, theirs = (mean(side[0].losses) for side in (self.ours, self.theirs))
        one, other = self.same_batch
        return abs(one - other) <= SAME_LOSS * other and abs(ours - theirs) <= SAME_MEAN_LOSS * theirs


def train_ours(job: TrainingJob) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        start = perf_counter(), process_time()
        losses = [training.step(batch) for batch in shuffle_epoch(training.sequences, job.spec, job.seed, 0)]
        spent = perf_counter() - start[0], process_time() - start[1]
        training.release()
    return Timed(*spent, tuple(losses))


def train_theirs(job: TrainingJob, sequences: Sequence[TargetSequence]) -> Timed:
    with trainer_of(job, sequences) as trainer:
        start = perf_counter(), process_time()
        with contextlib.redirect_stdout(StringIO()):  # which it tells every step's loss
            trainer.train()
        spent = perf_counter() - start[0], process_time() - start[1]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Timed(*spent, tuple(losses))


def same_batch(job: TrainingJob, sequences: Sequence[TargetSequence]) -> tuple[float, float]:
    """The loss of the first step's batch, before any step, by both."""
    batch = sequences[: job.spec.batch_size]
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        with torch.no_grad(), training.accelerator.autocast():
            ours = float(training._loss(batch)) / sum(len(sequence.targets) for sequence in batch)
        training.release()
    with trainer_of(job, sequences) as trainer, torch.no_grad():
        inputs = trainer.data_collator([as_features(sequence) for sequence in batch])
        theirs = trainer.compute_loss(trainer.model.eval(), {k: v.to(trainer.args.device) for k, v in inputs.items()})
    return ours, float(theirs)


@contextlib.contextmanager
def trainer_of(job: TrainingJob, sequences: Sequence[TargetSequence]) -> Iterator[Any]:
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

    torch.use_deterministic_algorithms(False)  # ours asks for them, and a plain Trainer does not
    torch.manual_seed(job.seed)
    checkpoint = load_base(job)
    model = add_adapter(checkpoint, job.spec, "base") if isinstance(job.spec, Peft) else checkpoint.model
    checkpoint.tokenizer.pad_token = checkpoint.tokenizer.pad_token or checkpoint.tokenizer.eos_token
    optimizer = make_optimizer(trainable(model).values(), job.spec)
    steps = -(-len(sequences) // job.spec.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=job.spec.batch_size,
            num_train_epochs=1,
            save_strategy="no",
            logging_steps=1,
            report_to=[],
            disable_tqdm=True,
            log_level="error",
            use_cpu=job.device == "cpu",
            bf16=job.precision == "bf16",
            seed=job.seed,
        )
        yield Trainer(
            model=model,
            args=arguments,
            train_dataset=[as_features(sequence) for sequence in sequences],
            data_collator=DataCollatorForSeq2Seq(checkpoint.tokenizer),
            optimizers=(optimizer, make_schedule(optimizer, job.spec, steps)),
        )


def as_features(sequence: TargetSequence) -> dict[str, list[int]]:
    ids = [*sequence.input_tokens, sequence.targets[-1]]
    labels = [-100] * (len(ids) - len(sequence.targets)) + list(sequence.targets)
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def compare(name: str, job: TrainingJob, rounds: int) -> Compared:
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        sequences = training.sequences
        training.release()
    sides: dict[str, Callable[[], Timed]] = {
        "ours": lambda: train_ours(job),
        "theirs": lambda: train_theirs(job, sequences),
    }
    found: dict[str, list[Timed]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in list(sides)[:: 1 if number % 2 == 0 else -1]:
            found[side].append(sides[side]())
    tokens = sum(len(sequence.input_tokens) for sequence in sequences)
    return Compared(name, tokens, found["ours"], found["theirs"], same_batch(job, sequences))


def make_job(model: Path | None, n_examples: int) -> TrainingJob:
    suite = load_suite("tweets")
    base = suite.baselines["zero_shot"]
    assert isinstance(base, Pretrained)
    asset = fetch(base.model, root=suite.root) if model is None else FetchedAsset(model, sha256_of(model))
    train = load_task(suite, lambda asset: fetch(asset, root=suite.root)).splits["train"]
    device = default_device()
    return TrainingJob(
        task=suite.task,
        spec=ALL_LAYERS,
        seed=0,
        base=asset,
        base_source=base.model.source,
        train=replace(train, examples=train.examples[:n_examples]),
        dev=None,
        prompting=Prompting(suite.task.prompt),
        evaluation=suite.evaluation,
        precision=resolve_precision("auto", device),
        device=device,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of 8 steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--model", type=Path, help="a folder instead of the packaged suite's model")
    parser.add_argument("--threads", type=int, help="compute with as many; default: torch's own choice")
    add_json_option(parser)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    rounds, examples = (1, 64) if chosen.quick else (chosen.rounds, chosen.examples)
    job = make_job(chosen.model, examples)
    print(
        f"{examples} tweets, {OPTIONS['batch_size']} a step, {job.precision}, {torch.get_num_threads()} threads, "
        f"{rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    columns = ("mlbaseline, tokens/s", "Trainer, tokens/s", "ratio", "CPU", "mean loss", "its", "same batch", "its")
    print(f"| fine-tune | {' | '.join(columns)} | met |\n| --- |{' ---: |' * len(columns)} --- |")
    met, results = True, []
    for name, spec in RUNGS.items():
        found = compare(name, replace(job, spec=spec), rounds)
        ratios = [found.ratio(clock) for clock in ("wall_s", "cpu_s")]
        met &= (fine := max(ratios) >= TARGET and found.losses_agree)
        rates = (found.tokens / median(t.wall_s for t in side) for side in (found.ours, found.theirs))
        results.append(
            {"what": name, "ratio_wall": ratios[0], "ratio_cpu": ratios[1], "met": fine, "tokens": found.tokens}
        )
        losses = (mean(found.ours[0].losses), mean(found.theirs[0].losses), *found.same_batch)
        cells = [name, *(f"{rate:,.0f}" for rate in rates), *(f"{ratio:.2f}×" for ratio in ratios)]
        cells += [f"{nats:.4f}" for nats in losses]
        print("| " + " | ".join([*cells, "yes" if fine else "NO"]) + " |", flush=True)
    print(f"\nTarget: {TARGET}× the tokens/s of the plain Trainer; tokens are those of the examples, without padding.")
    write_results(chosen.json, "training", results)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
