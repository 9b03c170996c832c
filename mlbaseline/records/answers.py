"""From an example to what a model says to it, and what made it say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Protocol

from mlbaseline.records.fields import NO_FIELDS
from mlbaseline.records.scalars import Scalar, digest_of


class OutputType(str, Enum):
    """What a task asks of a model, by lm-evaluation-harness's names (`output_type`)."""

    MULTIPLE_CHOICE = "multiple_choice"
    """The log-likelihood of each choice behind a prompt; the most likely one is the prediction."""
    GENERATE_UNTIL = "generate_until"
    """A text that continues a prompt, up to a stop sequence."""
    LOGLIKELIHOOD_ROLLING = "loglikelihood_rolling"
    """The log-likelihood of a whole text."""


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task.

    fields: the columns of its row, and the prompt fields that the suite names.
    target: a label of the task; where it has none, the text that is wanted, or the text whose likelihood is asked.
    choices: the texts that may be answered, one per label. references: further texts that are as right as the target.
    weight: how much it counts, above 0; None where the suite does not weigh examples by a column.
    """

    id: str
    fields: Mapping[str, Any]
    target: str
    choices: tuple[str, ...]
    cluster: str | None = None
    slices: Mapping[str, str] = field(default_factory=lambda: NO_FIELDS)
    references: tuple[str, ...] = ()
    weight: float | None = None

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every right answer, the target first."""
        return (self.target, *self.references)


@dataclass(frozen=True, slots=True)
class TaskData:
    """The examples of one split.

    examples: in memory, or a table that makes each one when it is read.
    labels: what `target` and `prediction` may be, in the order of every example's `choices`; () where answers are free.
    digest: SHA-256 over the canonical content of every example (ids, fields, targets, choices, clusters, slices,
    references).
    notes: what stood out in the files that they were read from, for a person.
    """

    split: str
    examples: Sequence[Example]
    labels: tuple[str, ...]
    digest: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model says to one example. A failure is an answer with `error` set: it stays in every denominator.

    raw: the text that was generated, where the prediction is only a part of it.
    samples: the predictions of every sample, the first included, where several were drawn.
    loglik_nats: log-likelihood of each choice (nats), in label order; empty where the model gives none.
    sums: what corpus metrics add up over the examples: `nats` and `tokens` of a text whose likelihood was asked.
    scores: per-example metrics that the source itself reports (a recorded score, an annotator's expected accuracy).
    compute_s: the example's share of the wall time spent on its batch; the sum over examples is the cost of the split.
    latency_s: time that this query alone took (batch of one); None where it was not timed alone.
    cost_usd: what this answer cost, where the source itself says so; None where it does not.
    truncated: the context did not fit into the model's maximum length and lost tokens from its left.
    first_token_s: until the first piece of a streamed answer was there; None where nothing was streamed.
    unanswered: the failure is the way to the model, not its answer, so that asking again may help.
    batch: answers of one batch share its wall time: they are one measurement of it. Negative: of an earlier session.
    reference_s: how long the reference workload took around the time of this answer; None where it was not timed then.
    """

    example_id: str
    prediction: str | None
    loglik_nats: tuple[float, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_out: int = 0
    compute_s: float = 0.0
    latency_s: float | None = None
    truncated: bool = False
    error: str | None = None
    cost_usd: float | None = None
    first_token_s: float | None = None
    unanswered: bool = False
    raw: str | None = None
    samples: tuple[str, ...] = ()
    sums: Mapping[str, float] = field(default_factory=dict)
    batch: int | None = None
    reference_s: float | None = None


class Model(Protocol):
    """Whatever answers a task: a rule, a checkpoint behind the scoring engine, an endpoint, recorded answers."""

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer each example once, in any order."""
        ...


@dataclass(frozen=True, slots=True)
class Signature:
    """Everything that can change a score, as flat dotted names: `data.digest`, `prompt.template`, `model.sha256`, …

    Two evaluations with equal signatures must give equal scores; the digest is therefore the key for reuse.
    """

    fields: Mapping[str, Scalar]

    @property
    def digest(self) -> str:
        return digest_of(dict(self.fields))


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights of a rung's own, which a registry can take.

    folder: safetensors (an adapter, or a whole model) with their configuration. sha256: over the weight files; names
    the checkpoint by content.
    """

    folder: Path
    sha256: str

    @property
    def size_bytes(self) -> int:
        """Of the weight files, exactly."""
        return sum(file.stat().st_size for file in self.folder.glob("*.safetensors"))


@dataclass(frozen=True, slots=True)
class Trained:
    """What training left behind.

    folder: safetensors weights (an adapter, or a whole model) with their configuration and tokenizer.
    weights_sha256: over the weight files; names the checkpoint by content.
    losses: training loss per optimiser step; dev: metric values of the selected epoch on the dev split.
    selected_epoch: counted from 1; None where another program trained, which says nothing of it.
    """

    folder: Path
    weights_sha256: str
    train_s: float
    trainable_params: int
    losses: tuple[float, ...]
    dev: Mapping[str, float]
    selected_epoch: int | None

    @property
    def weights(self) -> Weights:
        return Weights(self.folder, self.weights_sha256)
