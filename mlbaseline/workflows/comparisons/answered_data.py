"""The suite's data, read again for a report: result tables hold answers, not what was answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlbaseline import store
from mlbaseline.errors import MlbaselineError
from mlbaseline.records import Example, OutputType
from mlbaseline.suite import Suite
from mlbaseline.tasks import LoadedTask, load_task
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.workflows.asset_fetcher import make_fetcher

log = logging.getLogger("mlbaseline")

MAX_EXAMPLES = 200_000
"""Of test: reading more takes longer than a report may."""


@dataclass(frozen=True)
class AnsweredData:
    """The data that was answered, as far as it can be read here.

    inputs: example_id of test ─▶ what the prompt shows of it. counts: examples of each split, and what was read,
    repaired and left out on the way (`LoadedTask.counts`), without zeros. files, notes: as of `LoadedTask`.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return counts, and `files` and `notes` where there are some, as the context of a comparison keeps them."""
        facts: dict[str, Any] = dict(self.counts)
        if self.files:
            facts["files"] = dict(self.files)
        if self.notes:
            facts["notes"] = list(self.notes)
        return facts


def read_answered_data(suite: Suite, server: store.Server, *, task_digest: str, n_examples: int) -> AnsweredData:
    """Read the data that was answered.

    Args:
        suite: The suite that was evaluated.
        server: Where data on the tracking server is fetched from.
        task_digest: Of the test split that was answered.
        n_examples: How many examples that split has; more than `MAX_EXAMPLES` are not read.

    Returns:
        Inputs and counts. Both are empty where the data cannot be read here, or is not the data that was answered: a
        report without inputs is better than none.
    """
    if n_examples > MAX_EXAMPLES:
        log.info("The examples are shown without their inputs: there are more than %d of them", MAX_EXAMPLES)
        return AnsweredData()
    try:
        task = load_task(suite, make_fetcher(suite, server))
    except MlbaselineError as error:
        log.info("The examples are shown without their inputs: %s", error)
        return AnsweredData()
    if task.splits["test"].digest != task_digest:
        log.info("The examples are shown without their inputs: the data has changed since they were answered")
        return AnsweredData()
    return answered_data(suite, task)


def answered_data(suite: Suite, task: LoadedTask) -> AnsweredData:
    """Take inputs and counts from data that is loaded. Of more than `MAX_EXAMPLES` examples it takes no inputs."""
    sizes = {str(split): len(data.examples) for split, data in task.splits.items()}
    examples = task.splits["test"].examples
    return AnsweredData(
        inputs={e.id: input_text(suite, e) for e in examples} if len(examples) <= MAX_EXAMPLES else {},
        counts={**sizes, **{name: count for name, count in task.counts.items() if count}},
        files=task.files,
        notes=task.notes,
    )


def input_text(suite: Suite, example: Example) -> str:
    """Show the fields of the prompt: one alone as it is, several with their names, a line each.

    Args:
        suite: Whose task has the prompt.
        example: With the fields.

    Returns:
        The text; without a prompt, that of all fields.
    """
    fields = input_fields(suite, example)
    if len(fields) == 1:
        return next(iter(fields.values()))
    return "\n".join(f"{name}: {text}" for name, text in fields.items())


def input_fields(suite: Suite, example: Example) -> dict[str, str]:
    """Take the fields that the prompt shows of an example; without a prompt, all. Arguments as in `input_text`."""
    task = suite.task
    has_prompt = task.output_type is not OutputType.LOGLIKELIHOOD_ROLLING
    names = placeholders(task.prompt) if has_prompt else tuple(example.fields)
    return {name: value_text(example.fields[name]) for name in names}
