"""What audits of a suite run its rungs on: examples of dev, without the results of earlier evaluations."""

from __future__ import annotations

from functools import partial

from mlbaseline import serving, store
from mlbaseline.engine.inference.timing import evenly_spaced
from mlbaseline.engine.rungs import RungContext
from mlbaseline.records import Example
from mlbaseline.suite import Split, Suite
from mlbaseline.tasks import load_task
from mlbaseline.workflows.asset_fetcher import make_fetcher


def audit_context(suite: Suite, tracker: store.Tracker) -> RungContext:
    """Make the context of an audit: on dev, or on the test where there is no dev; no result is looked up or kept."""
    fetch = make_fetcher(suite, tracker)
    task = load_task(suite, fetch)
    split: Split = "dev" if "dev" in task.splits else "test"
    find = partial(serving.find_registered, tracker, trusted=store.trusted_keys(suite))
    return RungContext(suite, task, fetch, split=split, find_registered=find, keeps_results=False)


def sample_examples(context: RungContext, n: int | None) -> tuple[Example, ...]:
    """Take n examples, evenly spread over the split in the order of their ids; None takes all."""
    ordered = sorted(context.data.examples, key=lambda example: example.id)
    return tuple(ordered[i] for i in evenly_spaced(len(ordered), n or len(ordered)))
