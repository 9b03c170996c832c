"""Section `comparability`: what may be compared, and what not; and the fields in which the evaluations differ."""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline import formats
from mlbaseline.judge.comparability import same_hardware, same_training, timed_alike
from mlbaseline.judge.cost.machines import normalisation
from mlbaseline.records import MismatchEffect, Outcome, Standing
from mlbaseline.report.presenter import Presenter, listed
from mlbaseline.report.view import Block, Cell, Column, Fact, Row, Section, Steps, Table

_SAME_TEXT = "MLB202"
_MACHINE = ("hardware.device_name", "hardware.cpu")


def comparability_section(presenter: Presenter) -> Section | None:
    """Say in one sentence each what holds for quality, tokenizers, and the hardware of latency and money."""
    standings = presenter.assessment.standings
    if len(standings) < 2:
        return None
    notes: list[str] = [
        "Quality: all rungs answered the same examples, with the same prompt, choices and metrics. Runs that differ in "
        "any of these are refused."
    ]
    same_text = next(
        (f for f in presenter.assessment.audit if f.code == _SAME_TEXT and f.outcome == Outcome.PASS), None
    )
    if same_text is not None and same_text.evidence.get("one_tokenizer") is False:
        notes.append(
            "Tokenizers: the models are not known to share one. They read the same text, so their answers are "
            "comparable; a score per token would not be."
        )
    notes += _hardware_notes(standings) + _training_notes(standings)
    blocks: list[Block] = [Steps(tuple(notes))]
    return Section("comparability", "What is comparable", tuple(blocks))


def _hardware_notes(standings: tuple[Standing, ...]) -> list[str]:
    groups = _timed_groups(standings)
    if not groups:
        return []
    if len(groups) == 1:
        return [f"Latency, memory and seconds: all on one machine ({_machine(groups[0])}), so they are compared."]
    differing = _differing_fields(groups)
    shown = "; ".join(
        f"{mark}: {listed([formats.clean(s.baseline) for s in group])} ({_machine(group)})"
        for mark, group in zip(_marks(groups), groups, strict=True)
    )
    return [
        f"Latency, memory and seconds, as they were measured: compared within each of these only, not across them: "
        f"{shown}. They differ in, or do not say, {listed([formats.clean(name) for name in differing])}. Money is "
        "compared across them where the suite has a price for each.",
        *(_across(groups[0], group) for group in groups[1:]),
    ]


def latency_marks(standings: Sequence[Standing]) -> dict[str, str]:
    """Name what each rung was timed on, such as `machine 2`; empty where all latencies may be set side by side."""
    groups = _timed_groups(standings)
    if len(groups) <= 1:
        return {}
    return {s.baseline: mark for mark, group in zip(_marks(groups), groups, strict=True) for s in group}


def _timed_groups(standings: Sequence[Standing]) -> list[list[Standing]]:
    return timed_alike(standing for standing in standings if standing.cost.latency_p95_s is not None)


def _marks(groups: Sequence[list[Standing]]) -> list[str]:
    what = "machine" if any(name.startswith("hardware.") for name in _differing_fields(groups)) else "batches"
    return [f"{what} {number}" for number in range(1, len(groups) + 1)]


def _differing_fields(groups: Sequence[list[Standing]]) -> list[str]:
    first, *others = map(_best_known, groups)
    return list(dict.fromkeys(mismatch.field for other in others for mismatch in same_hardware(first, other)))


def _across(ours: list[Standing], theirs: list[Standing]) -> str:
    """Say whether the reference workload brings the figures of one machine to another, and how surely."""
    reference = _best_known(ours)
    by, names = normalisation(reference, _best_known(theirs)), listed([formats.clean(s.baseline) for s in theirs])
    here = formats.clean(reference.baseline)
    if by.refusal:
        return f"{names}: no figure is brought to the machine of {here}: {formats.clean(by.refusal)}."
    return (
        f"{names}: measured on another machine; normalised by the reference workload to that of {here} "
        f"(× {formats.significant(by.ratio)}, perhaps off by a factor of {formats.significant(by.off)} either way)."
    )


def _training_notes(standings: tuple[Standing, ...]) -> list[str]:
    """Name the rungs whose training seconds and memory may not be set beside those of the first that we trained."""
    trained = [standing for standing in standings if standing.cost.train_s is not None]
    differing = {s.baseline: [m.field for m in same_training(trained[0], s)] for s in trained[1:]}
    differing = {name: fields for name, fields in differing.items() if fields}
    if not differing:
        return []
    fields = dict.fromkeys(field for each in differing.values() for field in each)
    return [
        f"Training: seconds and memory of {listed([formats.clean(name) for name in differing])} are not compared with "
        f"those of {formats.clean(trained[0].baseline)}. They differ in {listed(list(fields))}."
    ]


def _best_known(group: list[Standing]) -> Standing:
    """Return the rung of a group that recorded most about its machine: one with an engine, where there is one."""
    return max(group, key=lambda standing: len(standing.measured_on))


def _machine(group: list[Standing]) -> str:
    """Describe the machine of a group."""
    facts = _best_known(group).measured_on
    known = dict.fromkeys(formats.clean(facts[name]) for name in _MACHINE if name in facts)
    cores = [f"{formats.clean(facts['hardware.cores'])} cores"] if "hardware.cores" in facts else []
    batches = facts.get("engine.batch_tokens")
    batch = [f"batches of {formats.clean(batches)} tokens"] if batches else []
    return ", ".join([*known, *cores, *batch]) or "hardware unknown"


def mismatch_facts(presenter: Presenter) -> tuple[Fact, ...]:
    """Name the fields in which the runs differ and, apart from them, those of which a value is not known."""
    fields = {
        label: dict.fromkeys(formats.clean(m.field) for m in presenter.assessment.mismatches if m.is_known == known)
        for label, known in (("Runs differ in", True), ("Not known of some runs", False))
    }
    return tuple(Fact(label, listed(list(names)), "open") for label, names in fields.items() if names)


def mismatch_section(presenter: Presenter) -> Section | None:
    """List the differences between the compared evaluations, refusals first."""
    mismatches = sorted(
        presenter.assessment.mismatches,
        key=lambda mismatch: (mismatch.severity != MismatchEffect.REFUSE, mismatch.field),
    )
    if not mismatches:
        return None
    columns = (
        Column("Field", code=True, rank=0),
        Column("Severity", rank=0),
        Column("Ours", rank=1, wide=True),
        Column("Theirs", rank=1, wide=True),
    )
    rows = tuple(
        Row(
            (
                Cell(formats.clean(mismatch.field)),
                Cell(
                    formats.clean(mismatch.severity),
                    tone="worse" if mismatch.severity == MismatchEffect.REFUSE else "open",
                ),
                Cell(formats.plain(mismatch.ours)),
                Cell(formats.plain(mismatch.theirs)),
            )
        )
        for mismatch in mismatches
    )
    lead = (
        "The compared evaluations differ, or are not known to be alike, in what can change a score. "
        "Keep that in mind when you read the differences above."
    )
    unknown = "" if all(mismatch.is_known for mismatch in mismatches) else " or are not known"
    return Section(
        "warnings", "Warnings", (lead, Table(f"Fields of the signatures that differ{unknown}", columns, rows))
    )
