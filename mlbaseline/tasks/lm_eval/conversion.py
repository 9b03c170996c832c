"""Documents of lm-evaluation-harness ─▶ examples, and what kind of task they make.

Everything that a model is shown comes from lm-eval's own task object; nothing of it is built again here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Example, OutputType, Scalar, digest_of
from mlbaseline.suite import (
    LM_EVAL_ID,
    LM_EVAL_TARGET,
    ChoiceTask,
    GenerateTask,
    LmEvalTask,
    PerplexityTask,
    Split,
)
from mlbaseline.tasks.data_files import plain
from mlbaseline.tasks.lm_eval.prompts import DEFAULT_SEED, LmEvalPrompting, build_prompt
from mlbaseline.tasks.prompting import CHOICE_DELIMITER, Prompt
from mlbaseline.values import as_text

_HASH_CHARACTERS = 8
_WHOLE_TEXT = r"(?s)^.*$"
"""Extracts everything: it keeps the text as it was written beside the answer, for the task's own filter."""


@dataclass(frozen=True)
class LoadedLmEvalTask:
    """One task of lm-eval, loaded.

    task: what it is among our kinds. splits: its examples by split. lm_eval_task: lm-eval's task object. documents,
    prompts, answers: of each example, by its id, without solved examples in front. filter: name of the filter pipeline
    that a generated text goes through, None where nothing is generated.
    """

    name: str
    task: ChoiceTask | GenerateTask | PerplexityTask
    splits: Mapping[Split, tuple[Example, ...]]
    lm_eval_task: Any
    documents: Mapping[str, Mapping[str, Any]]
    prompts: Mapping[str, Prompt]
    answers: Mapping[str, str]
    filter: str | None

    def prompting(self, shots: int, seed: int | None) -> LmEvalPrompting:
        """Return prompts with `shots` solved documents in front, which the task's own sampler draws.

        Args:
            shots: Number of solved documents.
            seed: Of the sampler, which draws in the order of the documents; None is lm-eval's own default.

        Raises:
            DataError: The sampler does not have that many.
        """
        prompts = dict(self.prompts)
        if shots:
            self.lm_eval_task.set_fewshot_seed(DEFAULT_SEED if seed is None else seed)
            try:
                for example in self.splits["test"]:
                    prompts[example.id] = build_prompt(self.lm_eval_task, self.documents[example.id], shots)
            except (AssertionError, ValueError) as error:
                raise DataError(f"{self.name}: its sampler cannot give {shots} solved documents: {error}") from error
        return LmEvalPrompting(
            template=f"lm-eval {self.name}",
            shots=shots,
            prompts=prompts,
            answers=self.answers,
            fields=self.signature_fields("prompt"),
        )

    def check_trainable(self) -> None:
        """Raise DataError where a model that learnt the task would be served with other prompts than it learnt."""
        delimiter = self.lm_eval_task.config.target_delimiter
        if delimiter != CHOICE_DELIMITER:
            raise DataError(
                f"{self.name}: puts {delimiter!r} before an answer, where a served model puts "
                f"{CHOICE_DELIMITER!r}; it can be evaluated, but not be trained on"
            )

    def signature_fields(self, group: str) -> dict[str, Scalar]:
        """Return what decides the prompts (group `prompt`) or the scores (group `metric`) of this task."""
        config = json.loads(json.dumps(self.lm_eval_task.dump_config(), default=_stable))
        # Shots stand in the signature by themselves, and data are known by their digest wherever they lie.
        for name in ("num_fewshot", "dataset_kwargs"):
            config.pop(name, None)
        if config.get("metadata"):
            config["metadata"].pop("config_source", None)  # the path of the YAML file on this machine
        return {
            f"{group}.harness_version": metadata.version("lm-eval"),
            f"{group}.harness_task_version": as_text(self.lm_eval_task.VERSION),
            f"{group}.harness_config_sha256": digest_of(config),
        }


def convert(name: str, lm_eval_task: Any, limit: int | None, filter: str | None) -> LoadedLmEvalTask:
    """Turn a task object of lm-eval into a task of ours, with its examples.

    Args:
        name: Name of the task.
        lm_eval_task: The task as lm-eval loaded it.
        limit: Take the first documents only, this many.
        filter: Name of a filter pipeline of the task; None is its first.

    Raises:
        DataError: A document cannot be turned into an example, or the task does not have the filter.
    """
    return _Converter(name, lm_eval_task, limit, filter).convert()


class _Converter:
    def __init__(self, name: str, lm_eval_task: Any, limit: int | None, filter: str | None) -> None:
        self._name, self._source, self._limit = name, lm_eval_task, limit
        self._output_type = OutputType(lm_eval_task.OUTPUT_TYPE)
        self._filter = self._chosen_filter(filter)
        self._documents_by_id: dict[str, Mapping[str, Any]] = {}
        self._prompts: dict[str, Prompt] = {}
        self._answers: dict[str, str] = {}

    def convert(self) -> LoadedLmEvalTask:
        documents = dict(self._documents())
        task, labels = self._task([doc for docs in documents.values() for _, doc in docs])
        splits: dict[Split, tuple[Example, ...]] = {}
        for split, docs in documents.items():
            splits[split] = tuple(self._example(split, number, doc, labels) for number, doc in docs)
        return LoadedLmEvalTask(
            name=self._name,
            task=task,
            splits=splits,
            lm_eval_task=self._source,
            documents=self._documents_by_id,
            prompts=self._prompts,
            answers=self._answers,
            filter=self._filter,
        )

    def _documents(self) -> Iterator[tuple[Split, list[tuple[int, Mapping[str, Any]]]]]:
        """test: what lm-eval evaluates. train, dev: where the task has them, and they are not that."""
        own = self._source
        yield "test", list(own.doc_iterator(limit=self._limit))
        evaluated = own.config.test_split if own.has_test_docs() else own.config.validation_split
        if own.has_training_docs() and own.config.training_split != evaluated:
            yield "train", list(enumerate(own.training_docs()))
        if own.has_validation_docs() and own.config.validation_split != evaluated:
            yield "dev", list(enumerate(own.validation_docs()))

    def _task(
        self, docs: Sequence[Mapping[str, Any]]
    ) -> tuple[ChoiceTask | GenerateTask | PerplexityTask, tuple[str, ...]]:
        base = LmEvalTask(kind="lm_eval", name=self._name)
        columns = base.columns.model_dump(exclude_none=True)
        content: dict[str, Any] = {"data": base.data.model_dump(exclude_none=True), "prompt": base.prompt}
        if self._output_type is OutputType.LOGLIKELIHOOD_ROLLING:
            columns = {"text": LM_EVAL_TARGET, "id": LM_EVAL_ID}
            return PerplexityTask.model_validate(
                {"kind": "perplexity", "data": content["data"], "columns": columns}
            ), ()
        if self._output_type is OutputType.GENERATE_UNTIL:
            options = self._generation()
            return GenerateTask.model_validate({"kind": "generate", **content, "columns": columns, **options}), ()
        choices = {tuple(map(str, self._source.doc_to_choice(doc))) for doc in docs}
        if len(choices) == 1 and len(set(next(iter(choices)))) == len(next(iter(choices))):
            content["choices"] = next(iter(choices))
        else:
            columns["choices"] = [f"lm_eval.choice.{i}" for i in range(max(map(len, choices)))]
        task = ChoiceTask.model_validate({"kind": "choice", **content, "columns": columns})
        return task, task.labels

    def _generation(self) -> dict[str, Any]:
        given = dict(self._source.config.generation_kwargs or {})
        until = given.get("until") or ()
        samples = bool(given.get("do_sample"))
        temperature = float(given.get("temperature") or 0.0) if samples else 0.0
        return {
            "stop": [stop for stop in ([until] if isinstance(until, str) else until) if stop],
            "max_new_tokens": int(given.get("max_gen_toks", 256)),  # lm-eval's own default
            "temperature": temperature,
            "extract": _WHOLE_TEXT,
        }

    def _example(self, split: Split, number: int, doc: Mapping[str, Any], labels: Sequence[str]) -> Example:
        id = f"{'' if split == 'test' else f'{split}-'}{document_id(number, _doc_hash(doc))}"
        prompt = build_prompt(self._source, doc, 0)
        self._documents_by_id[id], self._prompts[id] = doc, prompt
        target, references, choices = self._target(id, doc, labels)
        self._answers[id] = self._answer(prompt, target, labels)
        own = {"context": prompt.context, LM_EVAL_ID: id, LM_EVAL_TARGET: target}
        if labels and self._source.config.doc_to_choice is not None:
            own |= {f"lm_eval.choice.{i}": choice for i, choice in enumerate(choices)}
        fields = {**{name: plain(value, Counter()) for name, value in doc.items()}, **own}
        if self._output_type is OutputType.LOGLIKELIHOOD_ROLLING:
            fields["text"] = target
        return Example(id, fields, target, choices, references=references)

    def _answer(self, prompt: Prompt, target: str, labels: Sequence[str]) -> str:
        if labels:
            return str(prompt.continuations[labels.index(target)])
        is_text = self._output_type is OutputType.LOGLIKELIHOOD_ROLLING
        return "" if is_text else f"{self._source.config.target_delimiter}{target}"

    def _target(
        self, id: str, doc: Mapping[str, Any], labels: Sequence[str]
    ) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """Find the right answer, further right ones, and the choices."""
        gold = self._source.doc_to_target(doc)
        if not labels:
            if self._source.config.doc_to_choice is not None and isinstance(gold, int):
                gold = self._source.doc_to_choice(doc)[gold]
            accepted = [as_text(one) for one in gold] if isinstance(gold, list) else [as_text(gold)]
            first, *further = list(dict.fromkeys(accepted)) or [""]
            return first, tuple(further), ()
        choices = tuple(map(str, self._source.doc_to_choice(doc)))
        position = choices.index(gold) if isinstance(gold, str) and gold in choices else gold
        if not isinstance(position, int) or not 0 <= position < len(choices):
            raise DataError(
                f"{self._name}, document {id}: its right answer is {gold!r}, which is not one of its {len(choices)} "
                "choices; several right ones, or none, are not supported"
            )
        return labels[position], (), choices

    def _chosen_filter(self, filter: str | None) -> str | None:
        names = [pipeline.name for pipeline in self._source._filters]
        if filter is not None and filter not in names:
            raise DataError(f"task.filter: {self._name} has no filter {filter!r}; it has: {', '.join(names)}")
        return (filter or names[0]) if self._output_type is OutputType.GENERATE_UNTIL else None


def document_id(number: int | str, doc_hash: str) -> str:
    """Name a document by its position and its content, so that another version of it is another one."""
    return f"{number}-{doc_hash[:_HASH_CHARACTERS]}"


def _doc_hash(doc: Mapping[str, Any]) -> str:
    """Hash a document as lm-eval's log does."""
    from lm_eval.utils import handle_non_serializable, hash_string

    return str(hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)))


def _stable(value: Any) -> str:
    """Name a function of a task's configuration: its address differs by process."""
    return getattr(value, "__qualname__", None) or type(value).__qualname__
