"""Tasks of lm-evaluation-harness: one of the other kinds, with the data, prompts, filters and scores of lm-eval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mlbaseline.errors import DataError, SuiteError
from mlbaseline.records import Answer, Example, OutputType, Scalar, TaskData
from mlbaseline.suite import Evaluation, LmEvalTask, Normalisation, Shots, Split, Suite, TaskSpec
from mlbaseline.suite.reading import with_task
from mlbaseline.tasks.data_errors import no_column, raise_all
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.kinds.choice import ChoiceKind
from mlbaseline.tasks.kinds.generate import GenerateKind
from mlbaseline.tasks.kinds.kind import LoadTemplate, ServedColumn, TaskKind
from mlbaseline.tasks.kinds.perplexity import PerplexityKind
from mlbaseline.tasks.lm_eval.conversion import LoadedLmEvalTask
from mlbaseline.tasks.lm_eval.loading import load_lm_eval_task
from mlbaseline.tasks.loading import Fetch, LoadedTask, slice_splits
from mlbaseline.tasks.prompting import Prompting, TrainingPromptFormat
from mlbaseline.values import as_text

_KINDS: dict[OutputType, type[TaskKind[Any]]] = {
    OutputType.MULTIPLE_CHOICE: ChoiceKind,
    OutputType.GENERATE_UNTIL: GenerateKind,
    OutputType.LOGLIKELIHOOD_ROLLING: PerplexityKind,
}


class LmEvalKind(TaskKind[TaskSpec]):
    """A task of lm-eval that is loaded. task: as the suite evaluates it, one of another kind."""

    def __init__(self, task: TaskSpec, loaded: LoadedLmEvalTask) -> None:
        super().__init__(task)
        self.loaded = loaded
        self._inner = _KINDS[self.output_type](task)

    @classmethod
    def open(cls, suite: Suite) -> Suite:
        """Put the loaded task in. Raises DataError where it cannot be had, SuiteError where the suite does not fit."""
        spec, loaded = _load(suite)
        options: dict[str, object] = {"slices": spec.slices}
        if loaded.task.output_type is OutputType.MULTIPLE_CHOICE:
            options["normalisation"] = spec.normalisation
        elif spec.normalisation != "none":
            raise SuiteError(
                "task.normalisation", [f"is of choices; {loaded.name} is a task of kind {loaded.task.kind}"]
            )
        return with_task(suite, loaded.task.model_copy(update=options))

    @classmethod
    def of_suite(cls, suite: Suite) -> LmEvalKind:
        """Return the loaded task of an opened suite."""
        return cls(suite.task, _load(suite)[1])

    def load(self, suite: Suite, fetch: Fetch) -> LoadedTask:
        """Take the documents as lm-eval evaluates them, every one; those that train are without the evaluated ones."""
        del fetch  # lm-eval brings its data itself
        splits = self.loaded.splits
        for name, slicing in self.task.slices.items():
            columns = splits["test"][0].fields
            if slicing.column not in columns:
                raise_all("data", [f"task.slices.{name}.column: {no_column(str(slicing.column), columns)}"])
        evaluated = {(e.fields["context"], e.choices) for e in splits["test"]}
        counts: Counter[str] = Counter()
        chosen: dict[Split, list[Example]] = {}
        for split, examples in splits.items():
            counts["rows_read"] += len(examples)
            unseen = [e for e in examples if split == "test" or (e.fields["context"], e.choices) not in evaluated]
            counts["dropped_duplicates"] += len(examples) - len(unseen)
            if unseen:
                chosen[split] = unseen
        return slice_splits(suite, chosen, counts)

    def prompting(
        self,
        load_template: LoadTemplate,
        *,
        shots: Sequence[Example] = (),
        labels: Sequence[str] = (),
    ) -> TrainingPromptFormat:
        """Prompts of lm-eval without solved documents; its own sampler draws those of `few_shot_prompting`."""
        del load_template, labels
        assert not shots, "solved documents are drawn by lm-eval"
        return self.loaded.prompting(0, None)

    def few_shot_prompting(
        self, shots: Shots | None, seed: int | None, load_train: Callable[[], TaskData], load_template: LoadTemplate
    ) -> tuple[TrainingPromptFormat, tuple[Example, ...] | None]:
        """Prompts of lm-eval, each with solved documents that its sampler draws for it."""
        del load_train, load_template
        sampled = seed if shots and shots.sample == "seed" else None
        return self.loaded.prompting(shots.k if shots else 0, sampled), None

    def imported_prompting(self, shots: int, seed: int | None) -> Prompting:
        """Prompts of lm-eval with as many solved documents."""
        return self.loaded.prompting(shots, seed)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the version and configuration of lm-eval's task, beside what decides the scores of its kind."""
        return {**self.loaded.signature_fields("metric"), **self._inner.signature_fields()}

    def check_trainable(self) -> None:
        """Raise DataError where a served model would be prompted otherwise than it was trained."""
        self.loaded.check_trainable()

    def conclude(self, answers: Iterable[Answer], examples: Sequence[Example], *, is_raw: bool) -> Iterator[Answer]:
        """Apply the task's filter to raw answers, and give every answer the task's own scores."""
        by_id = {example.id: example for example in examples}
        for answer in answers:
            example = by_id[answer.example_id]
            yield self._scored(self._filtered(answer, example) if is_raw else answer, example)

    def _filtered(self, answer: Answer, example: Example) -> Answer:
        """Apply the task's filter to a generated answer; leave all others as they are."""
        name = self.loaded.filter
        if name is None or answer.error is not None or answer.prediction is None:
            return answer
        from lm_eval.api.instance import Instance

        text = answer.prediction if answer.raw is None else answer.raw
        instance = Instance("generate_until", dict(self.loaded.documents[example.id]), ("", {}), 0)
        instance.resps = [text]
        pipelines = self.loaded.lm_eval_task._filters
        next(pipeline for pipeline in pipelines if pipeline.name == name).apply([instance])
        filtered = instance.filtered_resps[name]
        while isinstance(filtered, list) and len(filtered) == 1:
            (filtered,) = filtered
        return replace(answer, prediction=as_text(filtered), raw=text)

    def _scored(self, answer: Answer, example: Example) -> Answer:
        """Add the task's own scores to the answer, those that are numbers of a single example."""
        results = self._results(answer)
        if results is None:
            return answer
        values: Mapping[str, Any] = self.loaded.lm_eval_task.process_results(
            dict(self.loaded.documents[example.id]), results
        )
        is_choice = self.output_type is OutputType.MULTIPLE_CHOICE
        scores = {
            name: float(value)
            for name, value in values.items()
            if isinstance(value, bool | int | float) and not (is_choice and name == "exact_match")
        }
        return replace(answer, scores={**scores, **answer.scores})

    def _results(self, answer: Answer) -> list[Any] | None:
        """Give what lm-eval's task takes for the results of its requests; None where there are none."""
        if answer.error is not None or self.output_type is OutputType.LOGLIKELIHOOD_ROLLING:
            return None
        if self.output_type is OutputType.GENERATE_UNTIL:
            return None if answer.prediction is None else [answer.prediction]
        # Whether a choice is also what greedy decoding would say is not known here; only exact_match needs it.
        if not answer.loglik_nats or "acc_mutual_info" in self.loaded.lm_eval_task._metric_fn_list:
            return None
        return [(nats, False) for nats in answer.loglik_nats]

    def describe(self) -> dict[str, str]:
        """Name, versions and kind."""
        fields = self.loaded.signature_fields("task")
        version = f"version {fields['task.harness_task_version']}, lm-eval {fields['task.harness_version']}"
        return {"task of lm-eval": f"{self.loaded.name}, {version}: {self.task.kind}"}

    # As the kind that it is

    @property
    def decoding(self) -> Decoding | None:
        """See `TaskKind.decoding`."""
        return self._inner.decoding

    @property
    def normalisation(self) -> Normalisation:
        """See `TaskKind.normalisation`."""
        return self._inner.normalisation

    @property
    def stride(self) -> int | None:
        """See `TaskKind.stride`."""
        return self._inner.stride

    @property
    def counts_tokens(self) -> bool:
        """See `TaskKind.counts_tokens`."""
        return self._inner.counts_tokens

    def answer_fields(self, evaluation: Evaluation) -> dict[str, Scalar]:
        """See `TaskKind.answer_fields`."""
        return self._inner.answer_fields(evaluation)

    def training_fields(self) -> dict[str, Scalar]:
        """See `TaskKind.training_fields`."""
        return self._inner.training_fields()

    def choose(self, loglik_nats: Sequence[float], choices: Sequence[str]) -> int | None:
        """See `TaskKind.choose`."""
        return self._inner.choose(loglik_nats, choices)

    def served_columns(self) -> tuple[ServedColumn, ...]:
        """See `TaskKind.served_columns`."""
        return self._inner.served_columns()

    def served_row(self, answer: Answer) -> dict[str, str | float | None]:
        """See `TaskKind.served_row`."""
        return self._inner.served_row(answer)


def _load(suite: Suite) -> tuple[LmEvalTask, LoadedLmEvalTask]:
    spec = suite.written.task
    if not isinstance(spec, LmEvalTask):
        raise DataError(f"{suite.name}: expected a task of lm-eval, got one of kind {spec.kind}")
    return spec, load_lm_eval_task(spec, suite.root)
