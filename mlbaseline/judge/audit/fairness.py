"""MLB201 to MLB203: were all rungs treated alike?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlbaseline.judge.audit.check import AuditInput, Check, CheckResult, does_not_apply, failed, passed
from mlbaseline.judge.comparability import one_tokenizer
from mlbaseline.records import NO_SEED, UNKNOWN, Scalar, Severity
from mlbaseline.results import ResultTable
from mlbaseline.suite import ProgramSpec, TrainedSpec

SEVERAL_SEEDS = 3
"""Below this, a standard deviation over seeds says next to nothing."""
_READING = ("prompt.template", "prompt.choice_delimiter", "prompt.system", "engine.max_length")
"""What a model is given to read, besides its own examples in front of the prompt and its own chat template around."""


def _seeds(subject: AuditInput) -> CheckResult:
    seeds = {
        name: len(standing.run_ids)
        for name in subject.candidates
        if NO_SEED not in (standing := subject.standings[name]).run_ids
    }
    if not seeds:
        return does_not_apply("no candidate has any randomness to average over")
    few = {name: count for name, count in seeds.items() if count < SEVERAL_SEEDS}
    shown = ", ".join(f"{name} {count}" for name, count in (few or seeds).items())
    if few:
        return failed(f"fewer than {SEVERAL_SEEDS} seeds: {shown}", seeds=seeds)
    return passed(f"seeds: {shown}", seeds=seeds)


def _same_reading(subject: AuditInput) -> CheckResult:
    prompted = [t for t in subject.tables if t.signature.fields.get("prompt.template", UNKNOWN) != UNKNOWN]
    if not prompted:
        return does_not_apply("no rung reads a prompt that is known")
    # What a source did not record is unknown: that is a warning of the comparability, and no difference that was seen.
    different = [field for field in _READING if len(_known_values(prompted, field)) > 1]
    if len({template is None for template in _known_values(prompted, "prompt.chat_template")}) > 1:
        different.append("prompt.chat_template")
    if different:
        return failed(f"rungs differ in {', '.join(different)}", fields=different)
    truncated = {table.name: int(table.frame["truncated"].sum()) for table in prompted if "truncated" in table.frame}
    if len(set(truncated.values())) > 1:
        cut = {name: count for name, count in truncated.items() if count}
        shown = ", ".join(f"{name} {count:,}" for name, count in cut.items())
        return failed(f"some rungs lost context that others could read: {shown} examples", truncated=cut)
    tokenizers = (
        "one base model, so one tokenizer"
        if one_tokenizer(prompted)
        else "several base models, each with a tokenizer of its own, read the same text"
    )
    return passed(f"same prompt, choices and length limit; {tokenizers}", one_tokenizer=one_tokenizer(prompted))


def _known_values(tables: Sequence[ResultTable], field: str) -> set[Scalar]:
    """Collect the different values of a field; of the engine only where the rung has one."""
    fields = [table.signature.fields for table in tables]
    found = {each.get(field) for each in fields if field in each or not field.startswith("engine.")}
    return found - {UNKNOWN}


def _budget_parity(subject: AuditInput) -> CheckResult:
    pairs, specs = list(_trained_pairs(subject)), subject.suite.baselines
    if not pairs:
        return does_not_apply("no registered contrast has a trained rung on both sides")
    unknown = sorted({name for pair in pairs for name in pair if not isinstance(specs[name], TrainedSpec)})
    if unknown:
        shown = ", ".join(unknown)
        return failed(f"another program trained, and how hard it was tuned is not known: {shown}", rungs=unknown)
    epochs = {name: _tuning_epochs(subject, name) for pair in pairs for name in pair}
    behind = [(ours, theirs) for ours, theirs in pairs if epochs[theirs] < epochs[ours]]
    if behind:
        shown = "; ".join(f"{ours} {epochs[ours]}, {theirs} {epochs[theirs]}" for ours, theirs in behind)
        return failed(f"tuned less than its candidate, in epochs over all settings tried: {shown}", epochs=epochs)
    return passed("every trained baseline was tuned as hard as its candidate", epochs=epochs)


def _trained_pairs(subject: AuditInput) -> Iterator[tuple[str, str]]:
    baselines = subject.suite.baselines
    for contrast in subject.suite.matrix.primary:
        for theirs in contrast.over:
            if all(isinstance(baselines[name], TrainedSpec | ProgramSpec) for name in (contrast.candidate, theirs)):
                yield contrast.candidate, theirs


def _tuning_epochs(subject: AuditInput, name: str) -> int:
    """Epochs summed over the settings of learning rate and epochs that have a completed run, today's included."""
    spec = subject.suite.baselines[name]
    assert isinstance(spec, TrainedSpec)
    tried = subject.trials.get(name, frozenset()) | {(spec.learning_rate, spec.epochs)}
    return sum(epochs for _, epochs in tried)


CHECKS = (
    Check("MLB201", Severity.WARNING, "Several seeds", _seeds),
    Check("MLB202", Severity.ERROR, "Same prompt, tokenizer and preprocessing", _same_reading),
    Check("MLB203", Severity.WARNING, "Baselines tuned as hard as the candidate", _budget_parity),
)
