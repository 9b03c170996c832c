"""What a ladder will take before it runs: time, memory and money, from a few timed examples and training steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from mlbaseline import serving, store
from mlbaseline.engine import hardware
from mlbaseline.engine.pace import (
    AnsweringPace,
    SecondsRange,
    TrainingPace,
    measure_answering,
    measure_training,
    with_half_of_the_layers,
)
from mlbaseline.engine.rungs import Rung, RungContext, build_rungs
from mlbaseline.engine.rungs.finetunes import training_job
from mlbaseline.models.checkpoints.precision import default_device
from mlbaseline.progress import progress_bar
from mlbaseline.records import TaskData
from mlbaseline.suite import External, Human, Production, ProgramSpec, Recorded, TrainedSpec, Trivial
from mlbaseline.tasks import load_task, open_suite
from mlbaseline.workflows.asset_fetcher import make_fetcher
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.evaluations.ladder_run import choose_baselines, choose_seeds
from mlbaseline.workflows.health.forecast import RungForecast, forecast_document, forecast_text, time_text
from mlbaseline.workflows.judging import scorer_finder

_TIMED_ALONE = 2
_CHARACTERS_PER_TOKEN = (3.0, 5.0)
"""Of the prompts to an endpoint, whose tokenizer is not known."""


def validate(
    suite: str | Path, *, baselines: Sequence[str] = (), seeds: Sequence[int] = (), tracking_uri: str | None = None
) -> CommandResult:
    """Estimate time, memory and money of a ladder before it runs.

    Each model that would be loaded is loaded once, answers a few examples of the split, and makes a few training steps.
    No run is logged, no result is kept, and no endpoint is asked.

    Args:
        suite: Path of a suite file, or the name of a packaged suite.
        baselines: Only these baselines. By default all.
        seeds: Only these of the suite's seeds. By default all.
        tracking_uri: MLflow's tracking server. By default MLflow's own environment variables decide.

    Returns:
        The document has `rungs` (see `RungForecast`), `total_s`, `usd`, `peak_bytes` and `data_notes`.

    Raises:
        SuiteError: The suite file is not valid, or has no such baseline or seed.
        DataError: The data is not what the suite says.
        AssetError: A model or a data file cannot be fetched.

    Example:
        >>> from mlbaseline.workflows import validate
        >>> validate("tickets.yaml").document["total_s"]
        {'low': 212.4, 'high': 260.1}
    """
    loaded = open_suite(suite)
    names = choose_baselines(loaded, None, baselines)
    chosen_seeds = choose_seeds(loaded, seeds)
    tracker = store.connect(tracking_uri, loaded.name)
    fetch = make_fetcher(loaded, tracker)
    task = load_task(loaded, fetch)
    context = RungContext(
        loaded,
        task,
        fetch,
        find_registered=partial(serving.find_registered, tracker, trusted=store.trusted_keys(loaded)),
        find_scorer=scorer_finder(tracker),
        keeps_results=False,
    )
    forecast = _Forecast(context, tracker)
    rungs: list[RungForecast] = []
    with progress_bar(len(names), "baseline", "Timing") as bar:
        for name in names:
            rungs += forecast.rungs(name, chosen_seeds)
            bar.update()
    return CommandResult(
        forecast_document(loaded, rungs, task.notes), lambda _, width: forecast_text(loaded, rungs, task.notes, width)
    )


class _Forecast:
    """Measures each pace once, when the first rung needs it."""

    def __init__(self, context: RungContext, tracker: store.Tracker) -> None:
        self._context, self._tracker = context, tracker
        evaluation = context.suite.evaluation
        timed = evaluation.model_copy(update={"latency_sample": min(evaluation.latency_sample, _TIMED_ALONE)})
        self._timing = replace(context, suite=context.suite.model_copy(update={"evaluation": timed}))
        self._paces: dict[str, AnsweringPace] = {}
        self._trainings: dict[str, tuple[TrainingPace, str]] = {}
        self._device = default_device()
        self._price = context.suite.cost.hourly_price(hardware.device_name(self._device), self._device)

    def rungs(self, name: str, seeds: Sequence[int]) -> Iterator[RungForecast]:
        """Forecast the rungs of a baseline."""
        spec, is_first = self._context.suite.baselines[name], True
        for rung in build_rungs(self._context, name, seeds):
            plain = RungForecast(name, rung.seed, "new")
            if self._is_completed(rung):
                yield replace(plain, state="reused")
            elif isinstance(spec, External):
                yield plain
            elif isinstance(spec, Production):
                yield self._production(plain, spec)
            elif isinstance(spec, ProgramSpec):
                yield replace(plain, state="not timed", note="trained by a program, which is not run here")
            elif isinstance(spec, TrainedSpec):
                assert rung.seed is not None
                yield self._fine_tune(replace(plain, seed=rung.seed), spec, rung.seed, is_first=is_first)
                is_first = False
            else:
                pace = self._pace(name)
                # Of what answers without a model, the memory is that of this command.
                peak_bytes = None if isinstance(spec, Trivial | Human | Recorded) else pace.peak_bytes
                yield self._priced(replace(plain, answer_s=self._answering(pace), peak_bytes=peak_bytes))

    def _is_completed(self, rung: Rung) -> bool:
        found = store.find_completed(
            self._tracker, baseline=rung.baseline, seed=rung.seed, signature_digest=rung.signature.digest
        )
        return found is not None

    def _pace(self, name: str) -> AnsweringPace:
        if name not in self._paces:
            rung = build_rungs(self._timing, name, self._context.suite.seeds[:1])[0]
            assert rung.open is not None
            self._paces[name] = measure_answering(rung.open, self._timing.data.examples, self._device)
            self._timing.shared_checkpoint.drop()
        return self._paces[name]

    def _answering(self, pace: AnsweringPace) -> SecondsRange:
        return pace.seconds(len(self._context.data.examples), self._context.suite.evaluation.latency_sample)

    def _fine_tune(self, plain: RungForecast, spec: TrainedSpec, seed: int, *, is_first: bool) -> RungForecast:
        from mlbaseline.engine.training.cached import find_trained

        answering = self._pace(spec.base)
        known = replace(plain, answer_s=self._answering(answering), peak_bytes=answering.peak_bytes)
        job = training_job(self._context, plain.baseline, spec, seed)
        if find_trained(job.key) is not None:
            return self._priced(replace(known, state="trained"))
        pace, note = self._training_pace(plain.baseline, spec, seed)
        train_s = pace.seconds + SecondsRange.exactly(pace.once_s if is_first else 0.0)
        peak_bytes = max(pace.peak_bytes, answering.peak_bytes)
        return self._priced(replace(known, train_s=train_s, peak_bytes=peak_bytes, note=note if is_first else ""))

    def _training_pace(self, name: str, spec: TrainedSpec, seed: int) -> tuple[TrainingPace, str]:
        if name not in self._trainings:
            job = training_job(self._context, name, spec, seed)
            pace, notes = measure_training(job), list(_notes_on_processes(spec))
            halved = with_half_of_the_layers(job, pace.n_layers)
            if halved is not None:
                other, layers = measure_training(halved).seconds, pace.n_layers // 2
                saved = f"{time_text(other)} instead of {time_text(pace.seconds)}"
                notes.append(f"`last_layers: {layers}` would train in {saved}")
            self._trainings[name] = pace, "; ".join(notes)
        return self._trainings[name]

    def _production(self, plain: RungForecast, spec: Production) -> RungForecast:
        if spec.endpoint is None:
            return replace(plain, state="not timed", note="a registered model, which is not loaded here")
        prices = self._context.suite.cost.usd_per_million_tokens.get(plain.baseline)
        if prices is None:
            return replace(plain, state="not timed", note="an endpoint, not asked; no price of its tokens")
        read = _prompt_characters(self._context, self._context.data)
        most = max(self._written_tokens(spec), 1) * len(self._context.data.examples)
        low = read / _CHARACTERS_PER_TOKEN[1] * prices.input / 1e6
        high = (read / _CHARACTERS_PER_TOKEN[0] * prices.input + most * prices.output) / 1e6
        return replace(plain, state="not timed", usd=(low, high), note="an endpoint, not asked; tokens guessed")

    def _written_tokens(self, spec: Production) -> int:
        assert spec.endpoint is not None
        return int(getattr(self._context.suite.task, "max_new_tokens", spec.endpoint.max_new_tokens))

    def _priced(self, known: RungForecast) -> RungForecast:
        if self._price is None:
            return known
        per_s, total = self._price / 3600, known.total_s
        return replace(known, usd=(total.low * per_s, total.high * per_s))


def _notes_on_processes(spec: TrainedSpec) -> Iterator[str]:
    """Tell where several processes will train: starting them takes longer than the steps that are timed here."""
    if spec.training is not None and spec.training.processes > 1:
        yield (
            f"training was timed with one process; `training.processes: {spec.training.processes}` shares its time "
            "among as many GPUs, or takes about as long on a machine without any, where each process needs the memory"
        )


def _prompt_characters(context: RungContext, data: TaskData) -> int:
    """Count the characters of the prompts, from the template and the fields."""
    template = context.suite.task.prompt
    return sum(
        len(template) + sum(len(str(value)) for name, value in example.fields.items() if f"{{{name}}}" in template)
        for example in data.examples
    )
