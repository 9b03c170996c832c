"""What the prompt shows of each example: result tables hold answers, not what was answered."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from mlbaseline import store
from mlbaseline.errors import MlbaselineError
from mlbaseline.records import Example
from mlbaseline.suite import ChoiceTask, GenerateTask, Suite
from mlbaseline.tasks import load_task
from mlbaseline.tasks.prompting import placeholders, value_text
from mlbaseline.workflows.evaluation import make_fetcher

log = logging.getLogger("mlbaseline")


def read_inputs(suite: Suite, server: store.Server, *, task_digest: str) -> Mapping[str, str]:
    """Read the inputs of the test examples from the suite's data.

    Args:
        suite: The suite that was evaluated.
        server: Where data on the tracking server is fetched from.
        task_digest: Of the test split that was answered.

    Returns:
        example_id ─▶ the fields of the prompt as text. Empty where the data cannot be read here, or is not the data
        that was answered: a report without inputs is better than none.
    """
    try:
        data = load_task(suite, make_fetcher(suite, server)).splits["test"]
    except MlbaselineError as error:
        log.info("The examples are shown without their inputs: %s", error)
        return {}
    if data.digest != task_digest:
        log.info("The examples are shown without their inputs: the data has changed since they were answered")
        return {}
    return {example.id: input_text(suite, example) for example in data.examples}


def input_text(suite: Suite, example: Example) -> str:
    """Show the fields of the prompt: one alone as it is, several with their names, a line each.

    Args:
        suite: Whose task has the prompt.
        example: With the fields.

    Returns:
        The text; without a prompt, that of all fields.
    """
    task = suite.task
    names = placeholders(task.prompt) if isinstance(task, ChoiceTask | GenerateTask) else tuple(example.fields)
    if len(names) == 1:
        return value_text(example.fields[names[0]])
    return "\n".join(f"{name}: {value_text(example.fields[name])}" for name in names)
