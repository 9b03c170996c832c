"""A registered model that is not ours, asked in a process of its own. Its answers are kept as they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import pandas as pd

from mlbaseline.engine.inference.timing import evenly_spaced
from mlbaseline.engine.rungs import TaskDescription
from mlbaseline.errors import DataError, describe_error
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.reply_parsing import ParsedReply, make_answer, read_row, read_text_row
from mlbaseline.records import Answer, Example
from mlbaseline.serving.isolated_process import IsolatedModel, IsolatedModelError, prompts_frame
from mlbaseline.tasks import kind_of
from mlbaseline.tasks.prompting import value_text
from mlbaseline.untrusted import ODD_SHAPE
from mlbaseline.values import as_number

_BATCH = 32


class PyfuncPredictor:
    """A pyfunc model as a `records.Model`. A batch that fails is predicted row by row.

    No example that has an answer, of this process or of one that was killed, is asked again.
    """

    def __init__(
        self, model: IsolatedModel, task: TaskDescription, columns: Mapping[str, bool], journal: AnswerJournal | None
    ) -> None:
        """Prepare a loaded model.

        Args:
            model: In its own process.
            task: What it answers.
            columns: Columns that it is sent, and whether each holds numbers; none: it is sent the prompt itself.
            journal: Where answers are kept; None: nowhere.
        """
        self._model, self._task, self._columns, self._journal = model, task, columns, journal
        self._decoding = kind_of(task.task).decoding

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Yield stored answers, then the others, each stored as it comes. Raises TrackingError."""
        stored = {} if self._journal is None else self._journal.load()
        yield from (stored[example.id] for example in examples if example.id in stored)
        for answer in self._answer_in_batches([example for example in examples if example.id not in stored]):
            if self._journal is not None:
                self._journal.add(answer)
            yield answer

    def _answer_in_batches(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer in batches; `evaluation.latency_sample` of the examples are answered alone, and timed."""
        ordered = sorted(examples, key=lambda example: example.id)
        timed = evenly_spaced(len(ordered), self._task.evaluation.latency_sample)
        alone = {ordered[position].id for position in timed}
        for example in ordered:
            if example.id in alone:
                yield from self._batch([example], timed=True)
        rest = [example for example in ordered if example.id not in alone]
        for start in range(0, len(rest), _BATCH):
            yield from self._batch(rest[start : start + _BATCH])

    def _batch(self, examples: Sequence[Example], *, timed: bool = False) -> Iterator[Answer]:
        started = perf_counter()
        try:
            samples = [self._predict(examples) for _ in range(self._decoding.samples if self._decoding else 1)]
        except (IsolatedModelError, DataError, *ODD_SHAPE) as error:
            if len(examples) > 1:
                for example in examples:
                    yield from self._batch([example])
            else:
                said = str(error) if isinstance(error, IsolatedModelError) else describe_error(error)
                yield Answer(examples[0].id, None, error=said)
            return
        took_s = perf_counter() - started
        for example, replies in zip(examples, zip(*samples, strict=True), strict=True):
            yield replace(
                make_answer(example, replies),
                compute_s=took_s / len(examples),
                latency_s=took_s if timed else None,
            )

    def _predict(self, examples: Sequence[Example]) -> list[ParsedReply]:
        """Return one sample of each example."""
        rows = self._model.predict(self._questions(examples))
        return [
            self._read(self._without_prompt(row, example), example) for row, example in zip(rows, examples, strict=True)
        ]

    def _read(self, row: Any, example: Example) -> ParsedReply:
        if self._decoding is not None:
            return read_text_row(row, self._decoding)
        return read_row(row, self._task.labels, example.choices)

    def _questions(self, examples: Sequence[Example]) -> pd.DataFrame:
        if not self._columns:
            return prompts_frame([self._task.prompting.prompt(example).context for example in examples])
        return pd.DataFrame(
            {
                name: [as_number(e.fields[name]) if is_number else value_text(e.fields[name]) for e in examples]
                for name, is_number in self._columns.items()
            }
        )

    def _without_prompt(self, row: Any, example: Example) -> Any:
        """Cut the prompt off, which a text-generation pipeline of MLflow's repeats in front of its answer."""
        if self._columns or not isinstance(row, str):
            return row
        return row.removeprefix(self._task.prompting.prompt(example).context)
