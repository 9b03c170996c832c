"""The frozen nouns that pass between folders. No behaviour beyond what each noun says about itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlbaseline.slice_records import SliceReport

Scalar = str | int | float | bool | None
"""What a signature field may hold: JSON scalars, so that equality means equality."""

UNKNOWN = "unknown"
"""A signature field of results from elsewhere that their source does not record."""


def digest_of(content: Any) -> str:
    """SHA-256 (64 hex characters) over the canonical JSON of `content`: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Example:
    """One item of a task.

    fields: the columns of its row, and the prompt fields that the suite names.
    target: a label of the task; where it has none, the text that is wanted, or the text whose likelihood is asked.
    choices: the texts that may be answered, one per label. references: further texts that are as right as the target.
    """

    id: str
    fields: Mapping[str, Any]
    target: str
    choices: tuple[str, ...]
    cluster: str | None = None
    slices: Mapping[str, str] = field(default_factory=dict)
    references: tuple[str, ...] = ()

    @property
    def accepted(self) -> tuple[str, ...]:
        """Every right answer, the target first."""
        return (self.target, *self.references)


@dataclass(frozen=True, slots=True)
class TaskData:
    """The examples of one split.

    labels: what `target` and `prediction` may be, in the order of every example's `choices`; () where answers are free.
    digest: SHA-256 over the canonical content of every example (ids, fields, targets, choices, clusters, slices,
    references).
    """

    split: str
    examples: tuple[Example, ...]
    labels: tuple[str, ...]
    digest: str


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
    raw: str | None = None
    samples: tuple[str, ...] = ()
    sums: Mapping[str, float] = field(default_factory=dict)


class Model(Protocol):
    """Whatever answers a task: a rule, a checkpoint behind the scoring engine, an endpoint, recorded answers."""

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """One answer per example, in any order."""
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
    """

    folder: Path
    weights_sha256: str
    train_s: float
    trainable_params: int
    losses: tuple[float, ...]
    dev: Mapping[str, float]
    selected_epoch: int

    @property
    def weights(self) -> Weights:
        return Weights(self.folder, self.weights_sha256)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why two tables may not, or not fully, be compared. severity: `refuse`, `warn` or `cost` (latency and cost)."""

    field: str
    ours: Scalar
    theirs: Scalar
    severity: str


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its interval at `level`; n counts examples, n_seeds the seeds averaged over."""

    value: float
    low: float
    high: float
    level: float
    n: int
    n_clusters: int
    n_seeds: int
    method: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One contrast, overall or on one slice: a row of `comparisons.parquet`.

    delta, low, high: candidate minus baseline in the metric's own unit, with the pointwise interval at `level`.
    simultaneous_low, simultaneous_high: interval that holds jointly over the contrast's family.
    margin: the improvement to exceed (negative: the loss that is tolerated), oriented so that more is better.
    mde: smallest true difference that this design detects with 80 % power at 1 − `level`.
    role: primary, guardrail or exploratory. estimand: checkpoint (examples only) or recipe (seeds × examples).
    outcome: pass, fail or inconclusive; None for exploratory rows, which decide nothing.
    registered: `before` the first evaluation of the task, which makes the row confirmatory, `after` it, or `no`.
    """

    candidate: str
    baseline: str
    metric: str
    slice: str | None
    slice_value: str | None
    role: str
    estimand: str
    n: int
    n_clusters: int
    n_seeds_candidate: int
    n_seeds_baseline: int
    candidate_mean: float
    baseline_mean: float
    delta: float
    low: float
    high: float
    level: float
    simultaneous_low: float
    simultaneous_high: float
    effect_size: float | None
    p_value: float
    p_adjusted: float
    gained: int | None
    lost: int | None
    mde: float
    margin: float | None
    method: str
    outcome: str | None
    registered: str = "no"


@dataclass(frozen=True, slots=True)
class PublishedScore:
    """A score that somebody published, without the answers behind it: there is nothing to pair, so it decides nothing.

    baseline: its name in the suite. n: examples behind it. protocol: how it was measured, in its source's words.
    run_id: the evaluation run that records it.
    """

    baseline: str
    metric: str
    value: float
    n: int | None
    standard_error: float | None
    source: str
    date: str | None
    protocol: str | None
    run_id: str


@dataclass(frozen=True, slots=True)
class UnpairedContrast:
    """A candidate's checkpoint minus a published score, in the metric's own unit. It decides nothing.

    published: the baseline's name. n: the candidate's examples. p_value: of no difference, two-sided.
    reason: what is assumed of the published score's own error.
    """

    candidate: str
    published: str
    metric: str
    n: int
    candidate_mean: float
    value: float
    delta: float
    low: float
    high: float
    level: float
    p_value: float
    reason: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """The interval of a figure at the suite's level. None on a side that so few measurements do not bound."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Cost:
    """What a rung costs on the hardware it ran on. None: not measured, or no price for it in the suite.

    usd_per_query: answering, by the suite's present prices, and the query's share of the training. latency_*: of
    queries that were timed one at a time, the timings of all seeds together. peak_memory_bytes: of the worst seed.
    bounds: field ─▶ its interval, for usd_per_query and the latencies. priced_by: whose price it is: `source` (the
    answers say what they cost), `tokens` or `hardware`. n_timed: timed queries. trainable_params: 0 where nothing was
    trained.
    """

    train_s: float | None
    train_usd: float | None
    compute_s_per_query: float
    usd_per_query: float | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    peak_memory_bytes: int | None
    latency_p99_s: float | None = None
    bounds: Mapping[str, Bounds] = field(default_factory=dict)
    priced_by: str | None = None
    n_timed: int = 0
    trainable_params: int | None = None


@dataclass(frozen=True, slots=True)
class FrontPoint:
    """One rung before a front. x: its cost on the front's axis. probability: share of the resamples in which no other
    rung beats it in both quality and cost. Both None where the rung is not compared there; reason: why not.
    """

    baseline: str
    x: float | None
    on_front: bool
    probability: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Front:
    """Quality against one kind of cost: the rungs that no other beats in both.

    axis: a field of `Cost`. metric: the quality. hardware: the profile that rungs are compared on, where the axis
    depends on it; n_elsewhere: rungs that ran on another or an unknown one, and are therefore left out.
    """

    axis: str
    metric: str
    hardware: str
    n_elsewhere: int
    points: tuple[FrontPoint, ...]


@dataclass(frozen=True, slots=True)
class FineTune:
    """What is particular to a fine-tune. None: not known, or does not apply.

    method: `lora`, `full`, …. weights_bytes: of what has to be kept for it, an adapter or a whole model.
    latency_unmerged_p50_s: of a query while the adapter stands beside its base; `Cost` has that of the merged model.
    """

    method: str
    weights_bytes: int | None
    latency_unmerged_p50_s: float | None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """After how many queries a fine-tune has paid for its training by what each query saves against a few-shot prompt.

    usd_per_query: of computing alone, training left out. queries: None where it never does, or a price is unknown.
    """

    fine_tune: str
    prompt: str
    train_usd: float | None
    fine_tune_usd_per_query: float | None
    prompt_usd_per_query: float | None
    queries: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one rung of the ladder stands: its metrics over all seeds, its cost, and the runs that say so.

    metrics: absent where the rung cannot have one (no log-likelihoods, no nll). seed_std: standard deviation of the
    metric over seeds, absent with one seed; a description, never an interval.
    slices: slice ─▶ value ─▶ metric ─▶ mean over seeds. run_ids: seed (as text, "none" without one) ─▶ evaluation run.
    measured_on: machine and batches that latency and seconds stand on, as `judge.comparability` reads them.
    """

    baseline: str
    kind: str
    metrics: Mapping[str, Estimate]
    seed_std: Mapping[str, float]
    slices: Mapping[str, Mapping[str, Mapping[str, float]]]
    cost: Cost
    error_rate: float
    run_ids: Mapping[str, str]
    measured_on: Mapping[str, str] = field(default_factory=dict)
    fine_tune: FineTune | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate or an audit check found.

    outcome: pass, fail, inconclusive or not_applicable. severity: error, warning or info, which is how much a fail
    matters. title, docs: of an audit check, what it asks and where that is explained.
    """

    code: str
    severity: str
    outcome: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    docs: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """decision: promote, hold or inconclusive. winner and winner_seed name the checkpoint that would be promoted.

    more_examples: how many further test examples would settle an inconclusive verdict, or are missing from what the
    gates ask for; None where none would. more_seeds: how many further seeds the gates ask for, where nothing but their
    number, or that of the examples, is missing.
    """

    decision: str
    reason: str
    findings: tuple[Finding, ...]
    winner: str | None = None
    winner_seed: int | None = None
    more_examples: int | None = None
    more_seeds: int | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """Whether the rules of a decision were written down before the first score of their task, and how often `test` was
    looked at.

    status: `before` where the first evaluation of the task already carried these rules when it started, so that their
    contrasts are confirmatory; else `after`. first_*: that evaluation, and the digest of the rules it carried; started
    in milliseconds since the epoch. test_looks: completed comparisons of the task, this one included.
    first_claims: where `after`, what the first evaluation's own rules claimed (`Matrix.claims`), if its run still shows
    them and the seeds are the same: a claim that stands in both is confirmatory all the same.
    """

    status: str
    first_run_id: str
    first_started_ms: int
    first_matrix_digest: str
    test_looks: int
    first_claims: tuple[str, ...] = ()

    @property
    def is_confirmatory(self) -> bool:
        return self.status == "before"


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that a comparison step found: what the report shows and the gate reads.

    metrics: name ─▶ whether higher is better. context: digests, hardware, data sizes, software: what it stands on.
    audit: what the checklist found; the verdict's own findings hold those that the suite lets block.
    break_even: each fine-tune against each few-shot prompt. fronts: quality against each kind of cost.
    published, unpaired: scores without examples, and the candidates beside them; neither has a part in the verdict.
    slices: what was explored of slices beyond the comparisons; None where nothing was.
    """

    suite: str
    level: float
    metrics: Mapping[str, bool]
    standings: tuple[Standing, ...]
    comparisons: tuple[Comparison, ...]
    mismatches: tuple[Mismatch, ...]
    verdict: Verdict
    registration: Registration
    audit: tuple[Finding, ...]
    break_even: tuple[BreakEven, ...]
    context: Mapping[str, Any]
    published: tuple[PublishedScore, ...] = ()
    unpaired: tuple[UnpairedContrast, ...] = ()
    slices: SliceReport | None = None
    fronts: tuple[Front, ...] = ()


@dataclass(frozen=True, slots=True)
class Promotion:
    """The record of a moved alias."""

    model: str
    version: str
    previous_version: str | None
    comparison_run_id: str
    evaluation_run_id: str
    run_id: str
