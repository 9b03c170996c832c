"""Fine-tuning beside transformers.Trainer and TRL's SFTTrainer: python -m tests.benchmarks.bench_training [--quick]

Same base, tweets, number of steps, examples a step, precision, threads, optimiser, schedule, and loss on the answers
alone; both trainers with their default settings, so with batches in random order, padded to their longest, but TRL
without its gradient checkpointing, which costs time. All in turn in one process, several rounds; a ratio divides what
two took in the same round, and the median of the rounds is shown: by the clock, and in CPU seconds, which a machine
that others use too disturbs less (best with --threads 1). Of the steps alone, without loading and saving. The last
column is the share of our time that three forward passes over the same batches take. Exit code 1 if the target is
missed by both clocks or the losses do not agree.

Losses are compared batch by batch before the first step, each with that of the Trainer in fp32. In fp32 ours is the
same. In bf16 both are off by what rounding adds, in another direction for each kernel and each shape. In a full
fine-tune the Trainer is nearer to fp32: autocast keeps weights and the sums between layers in fp32, ours are in bf16.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from io import StringIO
from pathlib import Path
from statistics import mean, median
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from mlbaseline.assets import FetchedAsset, fetch, sha256_of
from mlbaseline.engine.inference.tokenization import TargetSequence
from mlbaseline.engine.training.epochs import shuffle_epoch
from mlbaseline.engine.training.job import TrainingJob, load_base, make_optimizer, make_schedule, trainable
from mlbaseline.engine.training.loop import TrainingRun
from mlbaseline.engine.training.peft_methods import add_adapter
from mlbaseline.models.checkpoints.precision import default_device, resolve_precision
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
"""Times the tokens/s of the plain Trainer."""
SAME_LOSS, DISTANCE_BATCHES = {"fp32": 1e-3, "bf16": 0.015}, 16
"""Relative distance of a batch's loss from that in fp32, and over how many batches. bf16 rounds by up to 2⁻⁹, and the
model's 30 layers add 60 times: √60 × 2⁻⁹ = 0.015."""
SAME_MEAN_LOSS = 0.15
"""Relative, of the whole run, whose batches are composed differently."""


class Side(Enum):
    OURS = "mlbaseline"
    TRAINER = "Trainer"
    TRL = "TRL"


@dataclass(frozen=True)
class Timed:
    wall_s: float
    cpu_s: float
    losses: tuple[float, ...]
    forward_cpu_s: float = 0.0


@dataclass(frozen=True)
class Distances:
    """Of the loss of a batch from that in fp32, in nats a token: root mean squares over batches.

    allowed: for ours.
    """

    ours: float
    theirs: float
    allowed: float


@dataclass(frozen=True)
class Compared:
    name: str
    tokens: int
    timed: dict[Side, list[Timed]]
    distances: Distances

    def ratio(self, side: Side, clock: str) -> float:
        pairs = zip(self.timed[Side.OURS], self.timed[side], strict=True)
        return median(getattr(theirs, clock) / getattr(ours, clock) for ours, theirs in pairs)

    def rate(self, side: Side) -> float:
        return self.tokens / median(timed.wall_s for timed in self.timed[side])

    @property
    def of_three_forward_passes(self) -> float:
        return median(3 * timed.forward_cpu_s / timed.cpu_s for timed in self.timed[Side.OURS])

    def mean_loss(self, side: Side) -> float:
        return mean(self.timed[side][0].losses)

    @property
    def losses_agree(self) -> bool:
        ours = self.mean_loss(Side.OURS)
        theirs = [self.mean_loss(side) for side in self.timed if side is not Side.OURS]
        is_same_run = all(abs(ours - loss) <= SAME_MEAN_LOSS * loss for loss in theirs)
        return self.distances.ours <= self.distances.allowed and is_same_run


def train_ours(job: TrainingJob) -> Timed:
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        start = perf_counter(), process_time()
        batches = shuffle_epoch(training.sequences, job.spec, job.seed, 0)
        losses = [training.step(batch) for batch in batches]
        spent = perf_counter() - start[0], process_time() - start[1]
        forward_s = process_time()
        with torch.no_grad(), training.accelerator.autocast():
            for batch in batches:
                for part in batch:
                    training._loss(part)
        forward_s = process_time() - forward_s
        training.release()
    return Timed(*spent, tuple(losses), forward_s)


def train_theirs(job: TrainingJob, sequences: Sequence[TargetSequence], side: Side) -> Timed:
    with trainer_of(job, sequences, side) as trainer:
        start = perf_counter(), process_time()
        with contextlib.redirect_stdout(StringIO()):  # which it tells every step's loss
            trainer.train()
        spent = perf_counter() - start[0], process_time() - start[1]
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return Timed(*spent, tuple(losses))


def measure_distances(job: TrainingJob, sequences: Sequence[TargetSequence]) -> Distances:
    """Compare the loss of each batch before the first step."""
    batches = [batch for (batch,) in shuffle_epoch(sequences, job.spec, job.seed, 0)][:DISTANCE_BATCHES]
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        with training.accelerator.autocast():
            sums = [training._loss(batch).item() for batch in batches]
        training.release()
    n_tokens = [sum(len(sequence.targets) for sequence in batch) for batch in batches]
    ours, theirs = np.array(sums) / n_tokens, first_losses_of_trainer(job, batches)
    exact = first_losses_of_trainer(replace(job, precision="fp32"), batches)
    ours_off, theirs_off = (float(np.sqrt(np.mean((losses - exact) ** 2))) for losses in (ours, theirs))
    return Distances(ours_off, theirs_off, SAME_LOSS[job.precision] * float(exact.mean()))


def first_losses_of_trainer(job: TrainingJob, batches: Sequence[list[TargetSequence]]) -> npt.NDArray[np.float64]:
    with trainer_of(job, batches[0], Side.TRAINER) as trainer:
        model, losses = trainer.model.eval(), []
        with torch.no_grad(), trainer.accelerator.autocast():  # which Trainer.train adds to the model
            for batch in batches:
                inputs = trainer.data_collator([as_features(sequence) for sequence in batch])
                losses.append(float(trainer.compute_loss(model, inputs.to(trainer.args.device))))
    return np.array(losses)


@contextlib.contextmanager
def trainer_of(job: TrainingJob, sequences: Sequence[TargetSequence], side: Side) -> Iterator[Any]:
    from datasets import Dataset
    from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments
    from trl import SFTConfig, SFTTrainer

    torch.use_deterministic_algorithms(False)  # ours asks for them, and a plain Trainer does not
    torch.manual_seed(job.seed)
    checkpoint = load_base(job)
    model = add_adapter(checkpoint, job.spec, "base") if isinstance(job.spec, Peft) else checkpoint.model
    checkpoint.tokenizer.pad_token = checkpoint.tokenizer.pad_token or checkpoint.tokenizer.eos_token
    optimizer = make_optimizer(trainable(model).values(), job.spec)
    steps = -(-len(sequences) // job.spec.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        options: dict[str, Any] = {
            "output_dir": folder,
            "per_device_train_batch_size": job.spec.batch_size,
            "num_train_epochs": 1,
            "save_strategy": "no",
            "logging_steps": 1,
            "report_to": [],
            "disable_tqdm": True,
            "log_level": "error",
            "use_cpu": job.device == "cpu",
            "bf16": job.precision == "bf16",
            "seed": job.seed,
        }
        given: dict[str, Any] = {
            "model": model,
            "train_dataset": Dataset.from_list([as_features(sequence) for sequence in sequences]),
            "optimizers": (optimizer, make_schedule(optimizer, job.spec, steps)),
        }
        if side is Side.TRL:
            arguments = SFTConfig(**options, gradient_checkpointing=False)
            yield SFTTrainer(args=arguments, processing_class=checkpoint.tokenizer, **given)
        else:
            collator = DataCollatorForSeq2Seq(checkpoint.tokenizer)
            yield Trainer(args=TrainingArguments(**options), data_collator=collator, **given)


def as_features(sequence: TargetSequence) -> dict[str, list[int]]:
    ids = [*sequence.input_tokens, sequence.targets[-1]]
    labels = [-100] * (len(ids) - len(sequence.targets)) + list(sequence.targets)
    return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels}


def compare(name: str, job: TrainingJob, rounds: int) -> Compared:
    with tempfile.TemporaryDirectory() as folder:
        training = TrainingRun(job, Path(folder))
        sequences = training.sequences
        training.release()
    timed: dict[Side, list[Timed]] = {side: [] for side in Side}
    for number in range(rounds):
        for side in list(Side)[:: 1 if number % 2 == 0 else -1]:
            timed[side].append(train_ours(job) if side is Side.OURS else train_theirs(job, sequences, side))
    tokens = sum(len(sequence.input_tokens) for sequence in sequences)
    return Compared(name, tokens, timed, measure_distances(job, sequences))


def make_job(model: Path | None, n_examples: int, precision: str = "auto") -> TrainingJob:
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
        precision=resolve_precision(precision, device),
        device=device,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of 8 steps")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--examples", type=int, default=256)
    parser.add_argument("--model", type=Path, help="a folder instead of the packaged suite's model")
    parser.add_argument("--precision", choices=("auto", "fp32", "bf16"), default="auto")
    parser.add_argument("--threads", type=int, help="compute with as many; default: torch's own choice")
    add_json_option(parser)
    chosen = parser.parse_args()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    rounds, examples = (1, 64) if chosen.quick else (chosen.rounds, chosen.examples)
    job = make_job(chosen.model, examples, chosen.precision)
    print(
        f"{examples} tweets, {OPTIONS['batch_size']} a step, {job.precision}, {torch.get_num_threads()} threads, "
        f"{rounds} rounds; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n"
    )
    others = [side for side in Side if side is not Side.OURS]
    columns = [f"{side.value}, tokens/s" for side in Side]
    columns += [f"times {side.value}{clock}" for side in others for clock in ("", " (CPU)")]
    columns += [*(f"mean loss, {side.value}" for side in Side), "off fp32", "Trainer off fp32", "3 forward passes"]
    print(f"| fine-tune | {' | '.join(columns)} | met |\n| --- |{' ---: |' * len(columns)} --- |")
    met, results = True, []
    for name, spec in RUNGS.items():
        found = compare(name, replace(job, spec=spec), rounds)
        ratios = {f"{s.name.lower()}_{c}": found.ratio(s, f"{c}_s") for s in others for c in ("wall", "cpu")}
        met &= (fine := max(ratios["trainer_wall"], ratios["trainer_cpu"]) >= TARGET and found.losses_agree)
        share = found.of_three_forward_passes
        results.append({"what": name, **ratios, "three_forward": share, "met": fine, "tokens": found.tokens})
        cells = [name, *(f"{found.rate(side):,.0f}" for side in Side), *(f"{ratio:.2f}×" for ratio in ratios.values())]
        off = found.distances.ours, found.distances.theirs
        cells += [f"{nats:.4f}" for nats in (*(found.mean_loss(side) for side in Side), *off)]
        print("| " + " | ".join([*cells, f"{share:.0%}", "yes" if fine else "NO"]) + " |", flush=True)
    print(f"\nTarget: {TARGET}× the tokens/s of the plain Trainer; tokens are those of the examples, without padding.")
    write_results(chosen.json, "training", results)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
