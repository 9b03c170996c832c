"""Tasks of lm-evaluation-harness as tasks of ours: its documents, prompts, choices, filters and few-shot sampler.

Everything that a model is shown is asked of lm-eval's own task object; nothing of it is built again here.
"""

from __future__ import annotations

import difflib
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Answer, Example, Scalar, digest_of
from mlbaseline.suite import (
    HARNESS_ID,
    HARNESS_TARGET,
    ChoiceTask,
    GenerateTask,
    LmEvalTask,
    PerplexityTask,
    Split,
)
from mlbaseline.tasks.data_files import plain
from mlbaseline.tasks.lm_eval.prompts import DEFAULT_SEED, HarnessPrompting, ask
from mlbaseline.tasks.prompting import CHOICE_DELIMITER
from mlbaseline.values import as_text

INSTALL = "is a task of lm-eval, which is not installed: pip install 'mlbaseline[lm-eval]'"
_OUTPUTS = ("multiple_choice", "generate_until", "loglikelihood_rolling")
_ID_CHARACTERS = 8
_WHOLE = r"(?s)^.*$"
"""Extracts everything: it keeps the text as it was written beside the answer, for the task's own filter."""


@dataclass(frozen=True)
class HarnessTask:
    """One task of lm-eval, loaded. task: what it is among our kinds. splits: its examples by split.

    own: lm-eval's task object. docs, prompts, answers: of each example, by its id, without solved examples in front.
    """

    name: str
    task: ChoiceTask | GenerateTask | PerplexityTask
    splits: Mapping[Split, tuple[Example, ...]]
    own: Any
    docs: Mapping[str, Mapping[str, Any]]
    prompts: Mapping[str, Any]
    answers: Mapping[str, str]
    filter: str | None

    def prompting(self, shots: int, seed: int | None) -> HarnessPrompting:
        """Prompts with so many solved documents in front, drawn by the task's own sampler from `seed` on, in the order
        of the documents; None is lm-eval's own default."""
        prompts = dict(self.prompts)
        if shots:
            self.own.set_fewshot_seed(DEFAULT_SEED if seed is None else seed)
            try:
                for example in self.splits["test"]:
                    prompts[example.id] = ask(self.own, self.docs[example.id], shots)
            except (AssertionError, ValueError) as error:
                raise DataError(f"{self.name}: its sampler cannot give {shots} solved documents: {error}") from error
        return HarnessPrompting(
            template=f"lm-eval {self.name}",
            shots=shots,
            prompts=prompts,
            answers=self.answers,
            fields=self.signature_fields("prompt"),
        )

    def check_trainable(self) -> None:
        """Raises DataError where a model that learnt the task would be served with other prompts than it learnt."""
        if self.own.config.target_delimiter != CHOICE_DELIMITER:
            raise DataError(
                f"{self.name}: puts {self.own.config.target_delimiter!r} before an answer, where a served model puts "
                f"{CHOICE_DELIMITER!r}; it can be asked, but not be learnt"
            )

    def signature_fields(self, group: str) -> dict[str, Scalar]:
        """What decides the prompts (`prompt`) or the scores (`metric`) of this task."""
        config = json.loads(json.dumps(self.own.dump_config(), default=_stable))
        # Shots stand in the signature by themselves, and data are known by their digest wherever they lie.
        for name in ("num_fewshot", "dataset_kwargs"):
            config.pop(name, None)
        return {
            f"{group}.harness_version": metadata.version("lm-eval"),
            f"{group}.harness_task_version": as_text(self.own.VERSION),
            f"{group}.harness_config_sha256": digest_of(config),
        }

    def conclude(self, answers: Iterable[Answer], examples: Sequence[Example], *, filtered: bool) -> Iterator[Answer]:
        """The answers with the task's own scores. filtered: whether its filter is still to be applied to them."""
        by_id = {example.id: example for example in examples}
        for answer in answers:
            example = by_id[answer.example_id]
            yield self.scored(self.concluded(answer, example) if filtered else answer, example)

    def concluded(self, answer: Answer, example: Example) -> Answer:
        """A generated answer after the task's filter; all others as they are."""
        if self.filter is None or answer.error is not None or answer.prediction is None:
            return answer
        from lm_eval.api.instance import Instance

        said = answer.prediction if answer.raw is None else answer.raw
        instance = Instance("generate_until", dict(self.docs[example.id]), ("", {}), 0)
        instance.resps = [said]
        next(pipeline for pipeline in self.own._filters if pipeline.name == self.filter).apply([instance])
        filtered = instance.filtered_resps[self.filter]
        while isinstance(filtered, list) and len(filtered) == 1:
            (filtered,) = filtered
        return replace(answer, prediction=as_text(filtered), raw=said)

    def scored(self, answer: Answer, example: Example) -> Answer:
        """The answer with the task's own scores of it, those that are numbers of a single example."""
        results = self._results(answer)
        if results is None:
            return answer
        found = self.own.process_results(dict(self.docs[example.id]), results)
        scores = {
            name: float(value)
            for name, value in found.items()
            if isinstance(value, bool | int | float) and not (self.task.kind == "choice" and name == "exact_match")
        }
        return replace(answer, scores={**scores, **answer.scores})

    def _results(self, answer: Answer) -> list[Any] | None:
        if answer.error is not None or self.task.kind == "perplexity":
            return None
        if self.task.kind == "generate":
            return None if answer.prediction is None else [answer.prediction]
        # Whether a choice is also what greedy decoding would say is not known here; exact_match alone asks for it.
        if not answer.loglik_nats or "acc_mutual_info" in self.own._metric_fn_list:
            return None
        return [(nats, False) for nats in answer.loglik_nats]


def load_harness_task(spec: LmEvalTask, root: Path) -> HarnessTask:
    """root: where the suite's relative paths start. Loaded once a process.

    Raises DataError without lm-eval, for a name that is no single task, for a task whose output type, data or prompts
    cannot be had, and for a filter that it does not have.
    """
    return _load(
        spec.name, str(root / Path(spec.folder).expanduser()) if spec.folder else None, spec.limit, spec.filter
    )


@lru_cache(maxsize=8)
def _load(name: str, folder: str | None, limit: int | None, filter: str | None) -> HarnessTask:
    own = _own_task(name, folder)
    if own.OUTPUT_TYPE not in _OUTPUTS:
        raise DataError(
            f"{name}: its output type is {own.OUTPUT_TYPE}; what can be run here is {', '.join(_OUTPUTS)}. Run it with "
            "lm-eval and `mlbaseline import lm-eval` its samples"
        )
    if getattr(own, "MULTIMODAL", False) or getattr(own, "UNSAFE_CODE", False):
        raise DataError(f"{name}: shows images or sound, or runs what the model writes; neither is supported")
    if own.config.repeats not in (None, 1):
        raise DataError(f"{name}: asks every document {own.config.repeats} times; only one answer each is supported")
    return _Converter(name, own, limit, filter).convert()


def _own_task(name: str, folder: str | None) -> Any:
    try:
        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise DataError(f"{name}: {INSTALL} ({error})") from error
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if folder is not None and not any(Path(folder).rglob("*.yaml")):
        raise DataError(f"task.folder: {folder} is no folder with the YAML file of a task")
    # The registry holds thousands of tasks, and takes seconds to read: only where the folder does not have the name.
    manager = TaskManager(include_path=folder, include_defaults=folder is None)
    if folder is not None and name not in manager.task_index:
        manager = TaskManager(include_path=folder)
    if name not in manager.all_subtasks:
        raise DataError(f"task.name: {_no_task(name, manager)}")
    try:
        return manager.load(name)["tasks"][name]
    except Exception as error:  # of the YAML file, of its Python, of datasets and of the hub
        reason = str(error).splitlines()[0] if str(error) else "no reason given"
        raise DataError(
            f"{name}: lm-eval cannot load this task: {type(error).__name__}: {reason}\nWhere its data lie on the hub, "
            "check network and access (HF_TOKEN); without a network, give a folder with a task over local files "
            "(dataset_path: json, dataset_kwargs: {data_files: …})."
        ) from error


def _no_task(name: str, manager: Any) -> str:
    if name in manager.task_index:
        members = manager.task_index[name].cfg.get("task", ()) if manager.task_index[name].cfg else ()
        names = [m if isinstance(m, str) else str(m.get("task", m.get("group"))) for m in members]
        names = names or sorted(t for t in manager.all_subtasks if t.startswith(name))[:10]
        shown = f": {', '.join(names[:10])}{', …' * (len(names) > 10)}" if names else ""
        return f"{name!r} is a group of tasks; a suite holds one task, so name one of them{shown}"
    near = difflib.get_close_matches(name, manager.all_subtasks, n=3)
    return f"lm-eval has no task {name!r}" + (f"; near it: {', '.join(near)}" if near else "")


class _Converter:
    """lm-eval's documents ─▶ examples, and what kind of task they make."""

    def __init__(self, name: str, own: Any, limit: int | None, filter: str | None) -> None:
        self._name, self._own, self._limit = name, own, limit
        self._filter = self._chosen_filter(filter)
        self._docs: dict[str, Mapping[str, Any]] = {}
        self._prompts: dict[str, Any] = {}
        self._answers: dict[str, str] = {}

    def convert(self) -> HarnessTask:
        documents = dict(self._documents())
        task, labels = self._task([doc for docs in documents.values() for _, doc in docs])
        splits: dict[Split, tuple[Example, ...]] = {}
        for split, docs in documents.items():
            splits[split] = tuple(self._example(split, number, doc, labels) for number, doc in docs)
        return HarnessTask(self._name, task, splits, self._own, self._docs, self._prompts, self._answers, self._filter)

    def _documents(self) -> Iterator[tuple[Split, list[tuple[int, Mapping[str, Any]]]]]:
        """test: what lm-eval evaluates. train, dev: where the task has them, and they are not that."""
        own = self._own
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
        if self._own.OUTPUT_TYPE == "loglikelihood_rolling":
            columns = {"text": HARNESS_TARGET, "id": HARNESS_ID}
            return PerplexityTask.model_validate(
                {"kind": "perplexity", "data": content["data"], "columns": columns}
            ), ()
        if self._own.OUTPUT_TYPE == "generate_until":
            options = self._generation()
            return GenerateTask.model_validate({"kind": "generate", **content, "columns": columns, **options}), ()
        choices = {tuple(map(str, self._own.doc_to_choice(doc))) for doc in docs}
        if len(choices) == 1 and len(set(next(iter(choices)))) == len(next(iter(choices))):
            content["choices"] = next(iter(choices))
        else:
            columns["choices"] = [f"lm_eval.choice.{i}" for i in range(max(map(len, choices)))]
        task = ChoiceTask.model_validate({"kind": "choice", **content, "columns": columns})
        return task, task.labels

    def _generation(self) -> dict[str, Any]:
        given = dict(self._own.config.generation_kwargs or {})
        until = given.get("until") or ()
        samples = bool(given.get("do_sample"))
        temperature = float(given.get("temperature") or 0.0) if samples else 0.0
        return {
            "stop": [stop for stop in ([until] if isinstance(until, str) else until) if stop],
            "max_new_tokens": int(given.get("max_gen_toks", 256)),  # lm-eval's own default
            "temperature": temperature,
            "extract": _WHOLE,
        }

    def _example(self, split: Split, number: int, doc: Mapping[str, Any], labels: Sequence[str]) -> Example:
        id = f"{'' if split == 'test' else f'{split}-'}{harness_id(number, _doc_hash(doc))}"
        prompt = ask(self._own, doc, 0)
        self._docs[id], self._prompts[id] = doc, prompt
        target, references, choices = self._target(id, doc, labels)
        self._answers[id] = self._answer(prompt, target, labels)
        own = {"context": prompt.context, HARNESS_ID: id, HARNESS_TARGET: target}
        if labels and self._own.config.doc_to_choice is not None:
            own |= {f"lm_eval.choice.{i}": choice for i, choice in enumerate(choices)}
        fields = {**{name: plain(value, Counter()) for name, value in doc.items()}, **own}
        if self._own.OUTPUT_TYPE == "loglikelihood_rolling":
            fields["text"] = target
        return Example(id, fields, target, choices, references=references)

    def _answer(self, prompt: Any, target: str, labels: Sequence[str]) -> str:
        if labels:
            return str(prompt.continuations[labels.index(target)])
        return (
            "" if self._own.OUTPUT_TYPE == "loglikelihood_rolling" else f"{self._own.config.target_delimiter}{target}"
        )

    def _target(
        self, id: str, doc: Mapping[str, Any], labels: Sequence[str]
    ) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
        """The right answer, further right ones, and the choices."""
        gold = self._own.doc_to_target(doc)
        if not labels:
            if self._own.config.doc_to_choice is not None and isinstance(gold, int):
                gold = self._own.doc_to_choice(doc)[gold]
            accepted = [as_text(one) for one in gold] if isinstance(gold, list) else [as_text(gold)]
            first, *further = list(dict.fromkeys(accepted)) or [""]
            return first, tuple(further), ()
        choices = tuple(map(str, self._own.doc_to_choice(doc)))
        position = choices.index(gold) if isinstance(gold, str) and gold in choices else gold
        if not isinstance(position, int) or not 0 <= position < len(choices):
            raise DataError(
                f"{self._name}, document {id}: its right answer is {gold!r}, which is not one of its {len(choices)} "
                "choices; several right ones, or none, are not supported"
            )
        return labels[position], (), choices

    def _chosen_filter(self, filter: str | None) -> str | None:
        names = [pipeline.name for pipeline in self._own._filters]
        if filter is not None and filter not in names:
            raise DataError(f"task.filter: {self._name} has no filter {filter!r}; it has: {', '.join(names)}")
        return (filter or names[0]) if self._own.OUTPUT_TYPE == "generate_until" else None


def harness_id(number: int | str, doc_hash: str) -> str:
    """How we call a document: by its position, and by what it says, so that another version of it is another one."""
    return f"{number}-{doc_hash[:_ID_CHARACTERS]}"


def _doc_hash(doc: Mapping[str, Any]) -> str:
    """As lm-eval's log has it."""
    from lm_eval.utils import handle_non_serializable, hash_string

    return str(hash_string(json.dumps(doc, indent=2, default=handle_non_serializable, ensure_ascii=False)))


def _stable(value: Any) -> str:
    """A function of a task's configuration by its name: its address differs by process."""
    return getattr(value, "__qualname__", None) or type(value).__qualname__
