"""Which differences between two runs forbid a comparison, which have to be known, and which matter for speed alone.

A rung's own nature (model, training, shots, seed) is what the ladder compares, so it may differ. What the rungs share
(data, choices, prompt, metrics) must not. How they were computed (precision, batches, versions) is worth a warning. On
what machine and in what batches decides whether latency, memory and seconds may be set side by side, and nothing else;
money is reckoned by one price list, which makes it comparable across machines. Of results from elsewhere some of
this is unknown: that warns, save for data and choices, which have to be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mlbaseline.errors import IncomparableError
from mlbaseline.metrics.labels import answers_of, answers_sha256
from mlbaseline.records import UNKNOWN, Mismatch, MismatchEffect, Scalar, Signature, Standing
from mlbaseline.results import CompletedEvaluation, ResultTable, align
from mlbaseline.suite import Suite


@dataclass(frozen=True)
class Rule:
    """What a difference in the fields that begin with `prefix` means for quality; costs: for latency and seconds too.

    severity: refuse, warn, cost (quality does not care) or own (what the ladder is there to compare).
    """

    prefix: str
    severity: MismatchEffect
    costs: bool = False


RULES = (
    # The first prefix that matches decides. What no rule knows is refused: a new field may be one that matters.
    Rule("data.", MismatchEffect.REFUSE),
    Rule("choices.", MismatchEffect.REFUSE),
    Rule("metric.names", MismatchEffect.OWN),
    Rule("metric.", MismatchEffect.REFUSE),
    Rule("judge.", MismatchEffect.REFUSE),
    Rule("prompt.chat_template", MismatchEffect.WARN),  # the same text, by each model's own template
    Rule("prompt.shots", MismatchEffect.OWN),
    Rule("prompt.multiturn", MismatchEffect.OWN),
    Rule("prompt.prefix_sha256", MismatchEffect.OWN),
    Rule("prompt.", MismatchEffect.REFUSE),
    Rule("generation.", MismatchEffect.REFUSE),
    Rule("text.", MismatchEffect.REFUSE),
    Rule("engine.batch_tokens", MismatchEffect.WARN, costs=True),
    Rule("engine.device_map", MismatchEffect.COST, costs=True),
    Rule("engine.", MismatchEffect.WARN),
    Rule("software.torch", MismatchEffect.WARN),
    Rule("software.transformers", MismatchEffect.WARN),
    Rule("software.bitsandbytes", MismatchEffect.WARN),  # named by runs that computed with it
    Rule("software.", MismatchEffect.OWN),
    Rule("hardware.memory_bytes", MismatchEffect.OWN),  # of a virtual machine it differs by a little at every start
    Rule("hardware.", MismatchEffect.COST, costs=True),
    Rule("cost.", MismatchEffect.COST),  # money is reckoned anew, by the prices of the suite that compares
    Rule("model.", MismatchEffect.OWN),
    Rule("training.strategy", MismatchEffect.WARN, costs=True),  # processes that train together add in another order
    Rule("training.processes", MismatchEffect.WARN, costs=True),
    Rule("training.offload", MismatchEffect.COST, costs=True),
    Rule("training.gradient_checkpointing", MismatchEffect.COST, costs=True),
    Rule("training.", MismatchEffect.OWN),
    Rule("seed", MismatchEffect.OWN),
)
_UNUSED_BY_SOME = ("prompt.", "generation.", "text.", "engine.", "training.")
"""A rule or an annotator has no prompt and no engine: there the absence of a field is no difference."""
_BY_ONE_PROCESS: Mapping[str, Scalar] = {
    "training.strategy": "none",
    "training.processes": 1,
    "training.offload": False,
}
"""What the signature of a training leaves out where one process trains."""
_OURS = "training.gradient_checkpointing"
"""In the signature of every training of our own, and of no other."""
_NEVER_UNKNOWN = ("data.", "choices.")
_HOST = ("hardware.cpu", "hardware.cores")
"""All of the machine that a rung without an engine uses, whatever accelerator sits in it."""
_ENGINE = "engine.batch_tokens"
PER_TOKEN = ("token_perplexity",)
"""Metrics that are divided by a count of the model's own tokens: another tokenizer, another unit."""
_WEIGHTS = ("training.base_sha256", "model.sha256")
MIXED = "mixed"
"""A fact in which the seeds of one rung differ: it equals nothing."""


_TOKENIZER = "model.tokenizer_sha256"


def same_unit(metric: str, tables: Sequence[ResultTable]) -> bool:
    """Tell whether the tables count by the same unit: tokens, where the metric is per token, are known to be alike."""
    return metric not in PER_TOKEN or one_tokenizer(tables)


def require_same_unit(metric: str, tables: Sequence[ResultTable]) -> None:
    """Raise IncomparableError where the tables do not count a metric in the same unit, see `same_unit`."""
    if not same_unit(metric, tables):
        named = {table.name: str(table.signature.fields.get(_TOKENIZER, UNKNOWN))[:12] for table in tables}
        raise IncomparableError(
            f"{metric} is counted per token, and the tokenizers differ or are not known "
            f"({', '.join(f'{name}: {tokenizer}' for name, tokenizer in named.items())}): the same text has other "
            "numbers of tokens. Compare by byte_perplexity, bits_per_byte or word_perplexity."
        )


def rule_of(field: str) -> Rule:
    return next((rule for rule in RULES if field.startswith(rule.prefix)), Rule(field, MismatchEffect.REFUSE))


def mismatches(ours: Signature, theirs: Signature) -> tuple[Mismatch, ...]:
    """Find fields in which two signatures differ although comparable rungs share them. An unknown field refuses."""
    found = []
    our_fields, their_fields = _with_processes(ours), _with_processes(theirs)
    for name in sorted(our_fields.keys() | their_fields.keys()):
        severity = rule_of(name).severity
        absent = name not in our_fields or name not in their_fields
        if severity in (MismatchEffect.OWN, MismatchEffect.COST) or (absent and name.startswith(_UNUSED_BY_SOME)):
            continue
        left, right = our_fields.get(name), their_fields.get(name)
        if UNKNOWN in (left, right) and not name.startswith(_NEVER_UNKNOWN):
            found.append(Mismatch(name, left, right, MismatchEffect.WARN))  # two unknowns are not known to be equal
        elif absent or left != right:
            found.append(Mismatch(name, left, right, severity))
    return tuple(found)


def _with_processes(signature: Signature) -> Mapping[str, Scalar]:
    """Return the fields of a signature, with those that say how many processes trained together."""
    return {**_BY_ONE_PROCESS, **signature.fields} if _OURS in signature.fields else signature.fields


def require_comparable(tables: Sequence[ResultTable]) -> tuple[Mismatch, ...]:
    """Compare the signatures of all pairs of tables, and return the distinct warnings.

    Raises IncomparableError naming every pair, field and both values where a difference forbids the comparison, or
    where two tables do not hold the same examples.
    """
    warnings: dict[Mismatch, None] = {}
    refusals: list[str] = []
    for position, ours in enumerate(tables):
        for theirs in tables[position + 1 :]:
            for mismatch in mismatches(ours.signature, theirs.signature):
                if mismatch.severity == MismatchEffect.WARN:
                    warnings.setdefault(mismatch)
                else:
                    refusals.append(
                        f"{ours.name} and {theirs.name} differ in {mismatch.field}: "
                        f"{_shown(mismatch.ours)} against {_shown(mismatch.theirs)}"
                    )
    if refusals:
        raise IncomparableError(
            "these runs may not be compared:\n"
            + "\n".join(f"  - {refusal}" for refusal in refusals[:20])
            + (f"\n  … and {len(refusals) - 20} more" if len(refusals) > 20 else "")
            + "\nEvaluate the stale side again under the current suite: `mlbaseline evaluate SUITE --baseline NAME`."
        )
    if tables:
        align(tables)
    return tuple(warnings)


def require_same_reference(suite: Suite, evaluations: Sequence[CompletedEvaluation]) -> None:
    """Check that a judge compared every rung with the same answers: those of the baseline that the metric names.

    Raises:
        IncomparableError: Two rungs were compared with different answers. The message names them.
    """
    for name, metric in suite.judged.items():
        seen = {
            evaluation.table.name: answers_sha256(answers_of(evaluation.table))
            if evaluation.table.baseline == metric.against
            else evaluation.facts.get(f"judge.{name}.against_sha256", UNKNOWN)
            for evaluation in evaluations
            if metric.against is not None
        }
        if len(set(seen.values())) > 1:
            shown = ", ".join(f"{rung}: {digest[:12]}" for rung, digest in seen.items())
            raise IncomparableError(
                f"metrics.{name}: the judge compared these runs with different answers of {metric.against} ({shown}). "
                "Evaluate again: what was compared with other answers is then judged anew."
            )


def software_warnings(evaluations: Sequence[CompletedEvaluation]) -> tuple[Mismatch, ...]:
    """Find the versions of what computes the scores in which the runs of rungs with an engine differ."""
    seen: dict[str, dict[str, None]] = {}
    for evaluation in evaluations:
        if _ENGINE in evaluation.table.signature.fields:
            for name, value in evaluation.facts.items():
                if rule_of(name).severity == MismatchEffect.WARN:
                    seen.setdefault(name, {}).setdefault(value)
    return tuple(
        Mismatch(name, first, other, MismatchEffect.WARN)
        for name, (first, *others) in sorted(seen.items())
        for other in others
    )


def one_tokenizer(tables: Sequence[ResultTable]) -> bool:
    """Tell whether the tables are known to be of one tokenizer: by digest, else by one base, whose fine-tunes keep it.

    Different tokenizers are no obstacle to comparing what is said of the same text; to `PER_TOKEN` metrics they are.
    """
    known = {
        next((fields[key] for key in (_TOKENIZER, *_WEIGHTS) if key in fields), UNKNOWN)
        for fields in (table.signature.fields for table in tables)
    }
    return len(known) == 1 and UNKNOWN not in known


# ---- latency --------------------------------------------------------------------------------------------------------


def measured_on(evaluations: Sequence[CompletedEvaluation]) -> dict[str, str]:
    """Collect what latency and seconds of a rung depend on: the facts and signature fields of its runs with a rule."""
    seen: dict[str, set[str]] = {}
    for evaluation in evaluations:
        known = {**_with_processes(evaluation.table.signature), **evaluation.facts}
        for name, value in known.items():
            if rule_of(name).costs:
                seen.setdefault(name, set()).add(str(value))
    return {name: values.pop() if len(values) == 1 else MIXED for name, values in sorted(seen.items())}


def same_hardware(ours: Standing, theirs: Standing) -> tuple[Mismatch, ...]:
    """Say why the latencies of two rungs may not be compared: empty where machine and batches are the same.

    What is unknown on either side is a difference. A rung without an engine is compared by the host alone.
    """
    left, right = ours.measured_on, theirs.measured_on
    names = dict.fromkeys(_HOST)
    if _ENGINE in left and _ENGINE in right:
        names |= dict.fromkeys(name for name in (*left, *right) if name.startswith(("hardware.", "engine.")))
    return tuple(_unequal(left, right, names))


def timed_alike(standings: Iterable[Standing]) -> list[list[Standing]]:
    """Group rungs whose latencies may be set side by side as they were measured, see `same_hardware`."""
    groups: list[list[Standing]] = []
    for standing in standings:
        # A rule is compared by its host alone: two models may each be like it, and not like each other.
        alike = (group for group in groups if not any(same_hardware(member, standing) for member in group))
        group = next(alike, None)
        if group is None:
            groups.append([standing])
        else:
            group.append(standing)
    return groups


def same_training(ours: Standing, theirs: Standing) -> tuple[Mismatch, ...]:
    """Say why the training seconds and memory of two rungs may not be compared, where we trained both; else empty."""
    left, right = ours.measured_on, theirs.measured_on
    names = [name for name in left if name.startswith("training.")] if _OURS in left and _OURS in right else []
    return tuple(_unequal(left, right, names))


def _unequal(ours: Mapping[str, str], theirs: Mapping[str, str], names: Iterable[str]) -> Iterator[Mismatch]:
    for name in names:
        left, right = ours.get(name, UNKNOWN), theirs.get(name, UNKNOWN)
        if left != right or left in (UNKNOWN, MIXED):
            yield Mismatch(name, left, right, MismatchEffect.COST)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
