"""Section `next`: what would change the verdict, and how small a difference this design can detect."""

from __future__ import annotations

from collections.abc import Mapping

from mlbaseline import formats
from mlbaseline.records import Comparison, Decision, Finding, Outcome, PromotionState
from mlbaseline.report.headline import is_champion, nearest_candidate
from mlbaseline.report.presenter import Presenter, contrast, listed, where
from mlbaseline.report.sections.slices.confirmed_losses import ConfirmedLoss, confirmed_losses, most_telling
from mlbaseline.report.view import Block, Cell, Column, Row, Section, Steps, Table

_MAX_STEPS = 8
_OF_WINNER: Mapping[PromotionState, str] = {
    PromotionState.OPEN: (
        "mlbaseline run promotes the winner by itself, unless --no-promote is given. After another command, mlbaseline "
        "promote applies the gates once more and registers it."
    ),
    PromotionState.ATTEMPTED: "",
    PromotionState.CHAMPION: "Nothing is left to promote: the winner was promoted, and is the champion now.",
    PromotionState.OVERTAKEN: (
        "The winner was promoted, and another version is the champion now. Evaluate and compare again before you "
        "promote it once more: this comparison is not with that champion."
    ),
    PromotionState.ROLLED_BACK: (
        "The winner was rolled back, or turned down by a canary: mlbaseline promote refuses it, unless "
        "--allow-rolled-back is given."
    ),
}
"""What remains to be done about a winner; nothing where the command that shows it says that itself."""


def next_steps_section(presenter: Presenter) -> Section | None:
    """Build the list of next steps and the table of statistical power."""
    blocks: list[Block] = []
    steps = _steps(presenter)
    if steps:
        more = (f"… and {len(steps) - _MAX_STEPS} more in the tables.",) if len(steps) > _MAX_STEPS else ()
        blocks.append(Steps((*steps[:_MAX_STEPS], *more)))
    power = _power_table(presenter)
    if power:
        blocks.append(power)
    return Section("next", "What to do next", tuple(blocks)) if blocks else None


def _steps(presenter: Presenter) -> list[str]:
    if presenter.holds_champion:
        return ["Nothing needs to be promoted: the candidate is the champion already. Train another one to compare."]
    verdict = presenter.assessment.verdict
    steps = _verdict_steps(presenter)
    steps += [
        _contrast_step(presenter, row)
        for row in presenter.deciding
        if row.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)
    ]
    others = (finding for finding in verdict.findings if _is_open(finding) and not finding.is_of_contrast)
    steps += [f"{formats.clean(finding.code)}: {formats.clean(finding.reason)}" for finding in others]
    if presenter.assessment.slices is not None:
        steps += [_slice_step(loss) for loss in most_telling(confirmed_losses(presenter.assessment.slices))]
    return steps


def _slice_step(loss: ConfirmedLoss) -> str:
    if loss.can_be_registered:
        advice = "Register a guardrail there before the next evaluation."
    else:
        sides = f"--candidate {formats.clean(loss.candidate)} --baseline {formats.clean(loss.baseline)}"
        advice = (
            f"Read them: mlbaseline examples SUITE {sides} --lost. What they have in common can become a slice of the "
            "suite, with a guardrail."
        )
    return f"{loss}: worse, and confirmed on examples that the search had not seen. {advice}"


def _verdict_steps(presenter: Presenter) -> list[str]:
    verdict, steps = presenter.assessment.verdict, []
    if verdict.decision == Decision.PROMOTE:
        steps += _promotion_step(presenter)
    if verdict.decision == Decision.INCONCLUSIVE:
        if rest := _rest_of_test(presenter):
            steps.append(
                f"{rest:,} examples of the test are not answered. mlbaseline evaluate without --until-settled answers "
                "them, and keeps what is there; it is not likely to change what is settled."
            )
        elif verdict.more_examples:
            steps.append(
                f"Add about {formats.counted(verdict.more_examples, 'test example')} and evaluate again: that should "
                f"decide it{presenter.likely_outcome(nearest_candidate(presenter))}."
            )
        else:
            steps.append("More test examples alone are not expected to decide it.")
    if verdict.decision == Decision.HOLD and (verdict.more_seeds or verdict.more_examples):
        missing = {"more seed": verdict.more_seeds, "more test example": verdict.more_examples}
        needed = listed([formats.counted(count, what) for what, count in missing.items() if count])
        steps.append(f"Only evidence is missing: with {needed} the gates can pass.")
    return steps


def _promotion_step(presenter: Presenter) -> list[str]:
    """Say how to promote the winner, or what has become of it; nothing where the command says that itself."""
    if is_champion(presenter):
        return ["Nothing needs to be promoted: these weights are the champion already."]
    if not presenter.assessment.registers:
        return [
            "The winner is not registered, as the suite names no registered model. If the winner is a model, and not "
            "answers that were recorded, give the suite `register_as` and run mlbaseline run again, which reuses what "
            "is evaluated."
        ]
    step = _OF_WINNER[presenter.promotion]
    return [step] if step else []


def _rest_of_test(presenter: Presenter) -> int:
    report = presenter.assessment.looks
    return 0 if report is None else report.total - report.n


def _contrast_step(presenter: Presenter, row: Comparison) -> str:
    place = "" if row.slice is None else f" on {where(row)}"
    if row.undecided is not None:
        return (
            f"{contrast(row)}{place} is not decided: {formats.clean(row.undecided)}. Let people label: "
            f"mlbaseline export SUITE --labels N --metric {formats.clean(row.metric)} -o FILE.csv."
        )
    if not formats.finite(row.delta):
        return f"{contrast(row)}{place} has {row.n:,} examples, too few to be tested."
    outcome = "misses its margin" if row.outcome == Outcome.FAIL else "is undecided"
    return (
        f"{contrast(row)}{place} {outcome} ({presenter.margin(row)}): {formats.clean(row.metric)} "
        f"{presenter.deciding_text(row)}, smallest detectable difference "
        f"{presenter.detectable(row)}."
    )


def _is_open(finding: Finding) -> bool:
    return finding.outcome in (Outcome.FAIL, Outcome.INCONCLUSIVE)


def _power_table(presenter: Presenter) -> Table | None:
    """Compare the distance of each registered contrast from its margin with what the design can detect."""
    rows = []
    for row in presenter.deciding:
        if not formats.finite(row.mde):
            continue
        decimals = presenter.delta_decimals(row)
        distance = presenter.oriented(row, row.delta) - (row.margin or 0.0)
        enough = abs(distance) >= row.mde
        rows.append(
            Row(
                (
                    Cell(formats.clean(row.candidate)),
                    Cell(formats.clean(row.baseline)),
                    Cell(f"{presenter.metric(row.metric)}, {where(row)}"),
                    Cell(formats.clean(str(row.role))),
                    Cell(formats.count(row.n)),
                    Cell(formats.fixed(distance, decimals, sign=True)),
                    Cell(presenter.detectable(row)),
                    Cell(
                        "large enough to detect" if enough else "too small to detect reliably",
                        tone="" if enough else "open",
                    ),
                )
            )
        )
    columns = (
        Column("Candidate", code=True),
        Column("Baseline", code=True),
        Column("Metric"),
        Column("Role"),
        Column("n", numeric=True),
        Column("Δ beyond margin", numeric=True),
        Column("Detectable", numeric=True),
        Column("Power"),
    )
    note = (
        "Detectable: the smallest true difference that is detected with 80% power. It shrinks with the square root of "
        "the number of examples, so half of it needs four times as many; the part that comes from seeds shrinks only "
        "with more seeds."
    )
    return Table("Power of the registered contrasts", columns, tuple(rows), notes=(note,)) if rows else None
