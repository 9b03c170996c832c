"""From the completed runs on the server to a ladder, and to an assessment of it. Nothing is written."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from mlbaseline import serving, store
from mlbaseline.engine.rungs import Expectation, RungContext, build_rungs, describe_baseline
from mlbaseline.errors import IncomparableError, TrackingError
from mlbaseline.importers.imported import IMPORTED_FORMAT
from mlbaseline.judge.assessment import assess
from mlbaseline.judge.audit import Champion, Trials
from mlbaseline.judge.contrasts.comparison import compare
from mlbaseline.judge.example_changes import report_examples
from mlbaseline.judge.ladder import Ladder, build_ladder
from mlbaseline.judge.simulation import deciding_verdict, resampling_rng
from mlbaseline.metrics.labels import Labels
from mlbaseline.models.label_sheet import read_label_sheet
from mlbaseline.records import Assessment, ExpectedSignature, LookSchedule, Registration, Role, TaskData, Verdict
from mlbaseline.results import CompletedEvaluation
from mlbaseline.stats.sequential import rate_over_looks
from mlbaseline.store.audits import find_determinism
from mlbaseline.suite import Production, Split, Suite
from mlbaseline.tasks import LoadedTask, load_task
from mlbaseline.tasks.data_files import read_table
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.comparisons.answered_data import answered_data
from mlbaseline.workflows.comparisons.context import comparison_context
from mlbaseline.workflows.comparisons.mlflow_contrasts import mlflow_contrasts
from mlbaseline.workflows.evaluations.earlier_answers import count_earlier_looks
from mlbaseline.workflows.judging import scorer_finder

log = logging.getLogger("mlbaseline")
_NAMED = 5
"""Runs that a message names one by one."""


@dataclass(frozen=True)
class Derivation:
    """What a comparison is derived from: a suite, its data, and the evaluations on a tracking server.

    evaluations: completed ones to choose from, newest first; None for all of the suite. task: the suite's data, where
    it is loaded already.
    """

    suite: Suite
    tracker: store.Tracker
    evaluations: Sequence[store.EvaluationRun] | None = None
    task: LoadedTask | None = None

    def ladder(self, *, may_lack_rungs: bool = False) -> Ladder:
        """Build the ladder of the runs that count.

        Args:
            may_lack_rungs: of the matrix. A verdict needs them all.

        Raises:
            IncomparableError: no run counts, or two that do may not be compared.
            DataError: a rung of the matrix was never evaluated.
            TrackingError: no run of the suite is on the tracking server.
        """
        counting, dev = self.counting, store.counting_runs(self.suite, self._candidates, self.why_not, split="dev")
        if not counting.with_rows:
            raise TrackingError(
                f"{self.tracker.uri}: no completed evaluation of {self.suite.name!r}. Run `mlbaseline evaluate` first, "
                "or name the tracking server that has one (--tracking-uri, MLFLOW_TRACKING_URI)."
            )
        ladder = build_ladder(
            self.suite,
            self._load(counting.with_rows),
            dev=self._load(dev.runs),
            absent=list(self.suite.baselines) if may_lack_rungs else self._absent,
            left_aside={each.baseline: str(each) for each in reversed(counting.left_aside)},
            labels=self._labels,
            schedule=LookSchedule.of(self.test, self.suite.matrix.looks),
            earlier_looks=count_earlier_looks(self.tracker, self._loaded, self._every),
        )
        if ladder.left_out:
            log.warning(
                "Left out, as they lack examples that the registered rungs have answered: %s. Evaluate them again.",
                ", ".join(ladder.left_out),
            )
        return ladder

    def assessment(self) -> Assessment:
        """Compare and judge the runs that count. Raises as `ladder` does, SuiteError and TrackingError."""
        ladder, runs = self.ladder(), self.counting.with_rows
        data = answered_data(self.suite, self._loaded)
        evaluations = self._of_task
        assessment = assess(
            ladder,
            _with_earlier_looks(self._registration(), ladder),
            _trials(evaluations),
            comparison_context(self.suite, runs, data, determinism=find_determinism(self.tracker, self.suite)),
            published=[store.published_score(run) for run in self.counting.published],
            champion=self._champion(),
        )
        by_mlflow = mlflow_contrasts(self.suite, self.tracker, runs)
        return replace(assessment, examples=report_examples(ladder, data.inputs), by_mlflow=by_mlflow)

    def judge(self, ladder: Ladder) -> Callable[[Ladder], Verdict]:
        """Make what takes the verdict on tests like that of the ladder, as `assessment` does. Raises as it does."""
        rows = compare(ladder, resampling_rng())
        return partial(
            deciding_verdict,
            registration=_with_earlier_looks(self._registration(), ladder),
            trials=_trials(self._of_task),
            champion=self._champion(),
            explored=[row for row in rows if row.role is Role.EXPLORATORY],
        )

    @property
    def test(self) -> TaskData:
        """The suite's test data."""
        return self._loaded.splits["test"]

    @property
    def _of_task(self) -> list[store.EvaluationRun]:
        return [run for run in self._every if run.task_digest == self.task_digest]

    def _registration(self) -> Registration:
        runs = self.counting.with_rows
        look = store.look_of(run.run_id for run in runs)
        return store.find_registration(self.tracker, self.suite, task_digest=self.task_digest, look=look)

    @property
    def task_digest(self) -> str:
        """Digest of the suite's test data."""
        return self.test.digest

    @cached_property
    def counting(self) -> store.CountingRuns:
        """The runs on `test` that count. Raises IncomparableError where there are runs, and none counts."""
        counting = store.counting_runs(self.suite, self._candidates, self.why_not)
        if counting.left_aside:
            log.warning("Left aside, because the suite would not make them now:\n%s", _listed(counting.left_aside))
        if counting.left_aside and not counting.with_rows:
            raise IncomparableError(
                f"{self.suite.name}: no run is one that the suite would make now:\n{_listed(counting.left_aside)}\n"
                "The suite or its data changed after the runs. Evaluate again, or restore them."
            )
        return counting

    def why_not(self, run: store.EvaluationRun) -> str | None:
        """Say why a run is not one that the suite would make now; None where it is."""
        spec = self.suite.baselines[run.baseline]
        version = run.params.get(serving.PRODUCTION_VERSION)
        if isinstance(spec, Production) and spec.uri and version != self._in_production[run.baseline]:
            return f"it evaluated {version}; in production is {self._in_production[run.baseline] or 'no such model'}"
        if options := _other_options(self.suite, run):
            return "; ".join(options[:_NAMED])
        if run.examples_sha256 is None:
            return None
        expected = self._expected(run)
        if run.task_digest != (ours := str(expected.fields["data.digest"])):
            return f"it is of other data (digest {run.task_digest[:12]}… in the run, {ours[:12]}… by the suite)"
        (signature,) = store.load_signatures(self.tracker, [run], cache=store.tables_cache())
        differences = expected.differences(signature)
        return "; ".join(map(str, differences[:_NAMED])) or None

    def _expected(self, run: store.EvaluationRun) -> ExpectedSignature:
        is_imported = IMPORTED_FORMAT in run.params
        key = run.baseline, run.seed, run.split, is_imported
        if key not in self._expected_signatures:
            split: Split = "dev" if run.split == "dev" else "test"
            self._expected_signatures[key] = self._expectation.signature(
                run.baseline, run.seed, split, is_imported=is_imported
            )
        return self._expected_signatures[key]

    @cached_property
    def _expected_signatures(self) -> dict[tuple[str, int | None, str, bool], ExpectedSignature]:
        return {}

    @cached_property
    def _expectation(self) -> Expectation:
        fetch = make_fetcher(self.suite, self.tracker)
        context = RungContext(self.suite, self._loaded, fetch, find_scorer=scorer_finder(self.tracker))
        return Expectation(context, build_rungs, self._in_production)

    @property
    def _labels(self) -> dict[str, Labels]:
        """What people said, of the judged metrics with a file of labels. Raises DataError where one cannot be read."""
        fetch, labels = make_fetcher(self.suite, self.tracker), {}
        for name, metric in self.suite.judged.items():
            if metric.labels is not None:
                file, where = fetch(metric.labels.asset), f"metrics.{name}.labels"
                rows = read_table(file.path, None).rows
                labels[name] = read_label_sheet(rows, metric, sha256=file.sha256, where=where)
        return labels

    @cached_property
    def _every(self) -> tuple[store.EvaluationRun, ...]:
        return store.find_evaluations(self.tracker)

    @property
    def _candidates(self) -> Sequence[store.EvaluationRun]:
        return self._every if self.evaluations is None else self.evaluations

    @cached_property
    def _loaded(self) -> LoadedTask:
        return self.task or load_task(self.suite, make_fetcher(self.suite, self.tracker))

    def _load(self, runs: Sequence[store.EvaluationRun]) -> list[CompletedEvaluation]:
        return store.load_evaluations(self.tracker, runs, cache=store.tables_cache())

    @cached_property
    def _in_production(self) -> dict[str, str | None]:
        """Which version each production baseline with a `uri` stands for now; None where there is no such model."""
        specs = self.suite.baselines.items()
        uris = {name: spec.uri for name, spec in specs if isinstance(spec, Production) and spec.uri}
        found = {name: serving.find_identity(self.tracker, uri) for name, uri in uris.items()}
        return {name: None if identity is None else identity.version for name, identity in found.items()}

    @property
    def _absent(self) -> list[str]:
        """Optional models that do not exist yet. One that exists and was not evaluated is not among them."""
        return [
            name for name, version in self._in_production.items() if version is None and self.suite.is_optional(name)
        ]

    def _champion(self) -> Champion | None:
        if self.suite.register_as is None:
            return None
        found = serving.find_identity(self.tracker, f"models:/{self.suite.register_as}@champion")
        return None if found is None else Champion(found.version, found.evaluation_run_id)


def _with_earlier_looks(registration: Registration, ladder: Ladder) -> Registration:
    """Count the looks at smaller versions of the test, and say how strictly this one is tested for that."""
    matrix, earlier = ladder.suite.matrix, ladder.earlier_looks
    if not earlier and not matrix.may_grow:
        return registration
    return replace(
        registration,
        test_looks=registration.test_looks + earlier,
        earlier_looks=earlier,
        rate=1.0 - ladder.level,
        rate_so_far=rate_over_looks(1.0 - matrix.level, earlier + 1, from_first=matrix.may_grow),
    )


def load_ladder(suite: Suite, tracker: store.Tracker) -> Ladder:
    """Load the newest counting evaluation of each baseline and seed of the suite that has one, rows included.

    It is to be looked at, not to decide by: after a promotion, for one, the new champion has no evaluation yet.
    """
    return Derivation(suite, tracker).ladder(may_lack_rungs=True)


def _listed(left_aside: Sequence[store.UncountedRun]) -> str:
    more = [f"  … and {len(left_aside) - _NAMED} more"] if len(left_aside) > _NAMED else []
    return "\n".join([*(f"  - {each}" for each in left_aside[:_NAMED]), *more])


def _other_options(suite: Suite, run: store.EvaluationRun) -> list[str]:
    """Options of a run that the suite has otherwise. One that a later version added is not in an earlier run."""
    options = describe_baseline(suite, run.baseline)
    logged = {name: text for name, text in run.params.items() if name.startswith("baseline.")}
    present = {name: store.param_text(value) for name, value in options.items()}

    def by_suite(name: str) -> str:
        inside = [f"{key}: {text}" for key, text in present.items() if key.startswith(f"{name}.")]
        return present.get(name) or ", ".join(inside) or "nothing"

    return [
        f"{name} is {text} in the run, {by_suite(name)} by the suite"
        for name, text in logged.items()
        if present.get(name) != text
    ]


def _trials(runs: Iterable[store.EvaluationRun]) -> Trials:
    """Collect the settings of each trained baseline that have a completed run, whatever the suite says now."""
    tried: dict[str, set[tuple[float, int]]] = {}
    for run in runs:
        if {"baseline.learning_rate", "baseline.epochs"} <= run.params.keys():
            setting = float(run.params["baseline.learning_rate"]), int(run.params["baseline.epochs"])
            tried.setdefault(run.baseline, set()).add(setting)
    return {name: frozenset(settings) for name, settings in tried.items()}
