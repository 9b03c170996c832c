"""Assessment ─▶ View: the verdict first, then the sections in reading order."""

from __future__ import annotations

from mlbaseline import formats
from mlbaseline.records import Assessment, Decision, PromotionState
from mlbaseline.report.bounds import clip_intervals
from mlbaseline.report.headline import further_reason, key_facts, verdict_sentence, verdict_title
from mlbaseline.report.judge_section import judge_section
from mlbaseline.report.looks import looks_section
from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.class_scores import class_section
from mlbaseline.report.sections.comparability_notes import comparability_section, mismatch_section
from mlbaseline.report.sections.contrasts import contrast_forest, contrast_sections
from mlbaseline.report.sections.cost_tables import cost_section
from mlbaseline.report.sections.example_lists import example_section
from mlbaseline.report.sections.findings import audit_section, gates_section
from mlbaseline.report.sections.finetune_costs import finetune_section
from mlbaseline.report.sections.mlflow_contrasts import mlflow_section
from mlbaseline.report.sections.next_steps import next_steps_section
from mlbaseline.report.sections.pareto_fronts import tradeoff_plots
from mlbaseline.report.sections.published_scores import published_section
from mlbaseline.report.sections.reproducibility import data_section, reproducibility_section
from mlbaseline.report.sections.rung_table import rung_section
from mlbaseline.report.sections.slices.tables import slice_section
from mlbaseline.report.view import Section, Tone, View

_TONES: dict[str, Tone] = {Decision.PROMOTE: "better", Decision.HOLD: "worse", Decision.INCONCLUSIVE: "open"}


def build_view(assessment: Assessment, *, promotion: PromotionState = PromotionState.OPEN) -> View:
    """Build everything that a report shows, as text, tables and plots.

    Args:
        assessment: What a comparison found.
        promotion: What has become of the winner by now.
    """
    presenter = Presenter(clip_intervals(assessment), promotion)
    verdict, sentence = assessment.verdict, verdict_sentence(presenter)
    sections = (
        _overview(presenter),
        rung_section(presenter),
        finetune_section(presenter),
        *contrast_sections(presenter),
        judge_section(presenter),
        looks_section(presenter),
        published_section(presenter),
        mlflow_section(presenter),
        class_section(presenter),
        example_section(presenter),
        slice_section(presenter),
        cost_section(presenter),
        gates_section(presenter),
        audit_section(presenter),
        next_steps_section(presenter),
        comparability_section(presenter),
        mismatch_section(presenter),
        data_section(presenter),
        reproducibility_section(presenter),
    )
    return View(
        suite=formats.clean(assessment.suite),
        title=verdict_title(presenter),
        sentence=sentence,
        reason=further_reason(presenter, sentence),
        tone=_TONES.get(verdict.decision, "open"),
        facts=key_facts(presenter),
        sections=tuple(section for section in sections if section is not None),
    )


def summarise(assessment: Assessment) -> str:
    """Explain the verdict in one sentence, see `verdict_sentence`."""
    return verdict_sentence(Presenter(clip_intervals(assessment)))


def _overview(presenter: Presenter) -> Section | None:
    """Show the plots that answer the question at once: differences, and quality against money."""
    plots = tuple(plot for plot in (contrast_forest(presenter), *tradeoff_plots(presenter, money=True)) if plot)
    return Section("glance", "At a glance", plots) if plots else None
