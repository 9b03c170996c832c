"""The whole way: evaluate the ladder, compare it, judge it, promote the winner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from mlbaseline import store
from mlbaseline.errors import NotRegisteredError
from mlbaseline.records import Decision, Promotion, PromotionState
from mlbaseline.report import render_note
from mlbaseline.suite.reading import SuiteReference
from mlbaseline.tasks import open_suite
from mlbaseline.workflows.command_result import exit_code_of
from mlbaseline.workflows.comparisons.comparison import comparison_outcome, make_comparison
from mlbaseline.workflows.comparisons.comparison_result import ComparisonResult
from mlbaseline.workflows.comparisons.gate import judged_comparison
from mlbaseline.workflows.evaluations.evaluation import evaluate_rungs
from mlbaseline.workflows.evaluations.evaluation_result import Evaluated
from mlbaseline.workflows.evaluations.executors.choosing import open_executor
from mlbaseline.workflows.evaluations.ladder_run import choose_baselines, choose_seeds, open_ladder, showing_evaluations
from mlbaseline.workflows.promotion import promotion_text


@dataclass(frozen=True, kw_only=True)
class LadderResult(ComparisonResult):
    """The result of a whole ladder: its comparison, and what came before and after.

    Attributes:
        evaluations: Every rung that was evaluated or reused, with its run and its metrics.
        promotion: The record of the registered version; None where nothing was promoted.
    """

    evaluations: tuple[Evaluated, ...]
    promotion: Promotion | None


def run(
    suite: SuiteReference,
    *,
    baselines: Sequence[str] = (),
    seeds: Sequence[int] = (),
    fresh: bool = False,
    processes: int = 1,
    ray: str | None = None,
    until_settled: bool = False,
    no_promote: bool = False,
    sign: str | Path | None = None,
    tracking_uri: str | None = None,
) -> LadderResult:
    """Evaluate the ladder, compare it, and promote the winner.

    Args:
        suite: Path of a suite file, name of a packaged suite, or the content of a suite as a mapping.
        baselines: Evaluate only these; the rest is compared as earlier ladders have it. By default all.
        seeds: Evaluate only these of the suite's seeds. By default all.
        fresh: Evaluate again even where a completed run could be reused.
        processes: Number of processes that answer together. It changes no score.
        ray: Address of a Ray cluster on whose nodes models are trained and answer, or `auto` for the one that runs on
            this machine. It changes no score.
        until_settled: Answer the registered contrasts in a seeded order, and stop at the first look of `matrix.looks`
            that settles every candidate.
        no_promote: Stop after the comparison.
        sign: Private key (PEM) that signs the verdict with all that it stands on; its password, where it has one, is in
            `MLBASELINE_SIGN_PASSWORD`. By default nothing is signed.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `ladder_run_id`, `evaluations`, `comparison` (see `compare`) and `promotion` (None where
        nothing was promoted) and `not_registered`: why a winner was not registered. The exit code is the verdict: 0
        promote, 3 hold, 4 inconclusive; it is 1 where the winner could not be registered.

    Raises:
        SuiteError: The suite file is not valid. All of its problems are named.
        DataError: The data is not what the suite says.
        AssetError: A model or a data file cannot be fetched, or has another checksum.
        IncomparableError: The runs may not be compared.

    Example:
        >>> import mlbaseline
        >>> outcome = mlbaseline.run("suite.yaml")
        >>> print(outcome.verdict.decision, outcome.exit_code)
        promote 0
    """
    loaded = open_suite(suite)
    names, chosen_seeds = choose_baselines(loaded, None, baselines), choose_seeds(loaded, seeds)
    key = store.signing_key(sign, loaded)
    tracker = store.connect(tracking_uri, loaded.name)
    promotion: Promotion | None = None
    not_registered: str | None = None
    opening = open_executor(suite, processes=processes, ray=ray, until_settled=until_settled)
    with opening as executor, open_ladder(tracker, loaded) as ladder:
        with showing_evaluations(loaded, names, chosen_seeds):
            evaluated = evaluate_rungs(ladder, names, chosen_seeds, executor, fresh=fresh, until_settled=until_settled)
            # A part of the ladder is compared with what earlier ladders have of the rest.
            whole = len(names) == len(loaded.baselines) and len(chosen_seeds) == len(loaded.seeds)
            run_id, assessment = make_comparison(
                loaded, tracker, ladder.run_id if whole else None, parent=ladder.run_id, task=ladder.task, key=key
            )
        ladder.log(evaluated, render_note(assessment))
        store.show_verdict(ladder.run, assessment.verdict)
        if assessment.verdict.decision is Decision.PROMOTE and not no_promote and loaded.register_as is not None:
            try:
                plan = store.plan_promotion(tracker, loaded, *judged_comparison(loaded, tracker, run_id), key=key)
                promotion = store.promote(tracker, loaded, plan, parent=ladder.run_id)
            except NotRegisteredError as error:  # the ladder and its report are whole all the same
                not_registered = str(error)
    was_tried = promotion is not None or not_registered is not None
    state = PromotionState.ATTEMPTED if was_tried else store.promotion_state(tracker, loaded.register_as, assessment)
    compared = comparison_outcome(tracker, run_id, assessment, promotion=state)
    document = {
        "ladder_run_id": ladder.run_id,
        "evaluations": [asdict(rung) for rung in evaluated],
        "comparison": compared.document,
        "promotion": None if promotion is None else asdict(promotion),
        "not_registered": not_registered,
    }

    def text(colour: bool, width: int) -> str:
        notes = [promotion_text(promotion)] if promotion else []
        notes += [f"Not registered: {not_registered}"] if not_registered else []
        return "\n".join([compared.text(colour, width), *notes, _ui_text(tracker)])

    if not_registered:
        exit_code = NotRegisteredError.exit_code
    else:
        exit_code = 0 if no_promote else exit_code_of(assessment.verdict.decision)
    return LadderResult(
        document, text, exit_code, assessment=assessment, evaluations=tuple(evaluated), promotion=promotion
    )


def _ui_text(tracker: store.Tracker) -> str:
    if tracker.uri.startswith("http"):
        return f"MLflow: {tracker.uri}"
    return f"Open the runs in a browser: mlflow ui --backend-store-uri {tracker.uri}"
