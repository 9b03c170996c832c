"""From a version back to what it stands on, and what is said where a link leads nowhere."""

from __future__ import annotations

import pytest

from mlbaseline import workflows
from mlbaseline.errors import TrackingError
from mlbaseline.records import TaskData
from mlbaseline.store.registry.lineage import Lineage, find_lineage
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.server.connection import Tracker
from mlbaseline.suite import Suite
from tests.support.ladders.stored import Compare, planned


def promoted(tracker: Tracker, suite: Suite, compare: Compare) -> str:
    return promote(tracker, suite, planned(tracker, suite, compare())).version


def walked(tracker: Tracker, suite: Suite, **start: str) -> Lineage:
    assert suite.register_as is not None
    return find_lineage(tracker.uri, suite.register_as, **start)


def test_every_link_is_walked_back_to_the_first_version(
    tracker: Tracker, suite: Suite, data: TaskData, compare: Compare
) -> None:
    promoted(tracker, suite, compare)
    promoted(tracker, suite, compare)
    found = walked(tracker, suite)
    assert found.missing == ()
    assert workflows.lineage(str(suite.register_as), tracking_uri=tracker.uri).exit_code == 0
    assert [(version.version, version.aliases) for version in found.versions] == [
        ("2", ("champion",)),
        ("1", ("previous",)),
    ]
    newest = found.versions[0]
    assert newest.comparison is not None and newest.promotion is not None
    assert (newest.comparison.role, newest.promotion.role) == ("comparison", "promotion")
    assert [(run.role, run.seed) for run in newest.evaluations] == [("lora", "1"), ("lora", "0"), ("majority", "none")]
    for run in (newest.comparison, *newest.evaluations):
        assert (run.suite_digest, run.matrix_digest) == (suite.digest, suite.matrix_digest)
        assert (run.task_digest, run.status) == (data.digest, "completed")
    assert newest.evaluations[0].dataset == f"{suite.name}-test ({data.digest[:36]})"
    assert newest.evaluation_run_id in {run.run_id for run in newest.evaluations}
    assert walked(tracker, suite, version="1").versions == found.versions[1:]
    assert walked(tracker, suite, alias="previous").versions == found.versions[1:]


def test_what_is_missing_is_named(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    first, second = promoted(tracker, suite, compare), promoted(tracker, suite, compare)
    client, model = tracker.client, str(suite.register_as)
    newest = walked(tracker, suite).versions[0]
    assert newest.comparison is not None
    client.delete_run(newest.comparison.run_id)
    client.set_tag(newest.evaluations[0].run_id, "mlbaseline.task_digest", "e" * 64)
    client.set_model_version_tag(model, second, "mlbaseline.baseline.majority.run_ids", "f" * 32)
    client.delete_model_version_tag(model, second, "mlbaseline.promotion_run_id")
    client.delete_model_version(model, first)
    found = walked(tracker, suite)
    assert [version.version for version in found.versions] == [second]
    assert {"majority"} & {run.role for run in found.versions[0].evaluations} == set()
    said = "\n".join(found.missing)
    assert f"comparison: the run {newest.comparison.run_id} was deleted" in said
    assert f"lora: the run {newest.evaluations[0].run_id} has the task digest eeeeeeeeeeee" in said
    assert f"majority: the run {'f' * 32} is gone" in said
    assert "it has no tag mlbaseline.promotion_run_id" in said
    assert f"the version before it, {first}, is gone" in said
    assert len(found.missing) == 5
    assert workflows.lineage(model, tracking_uri=tracker.uri).exit_code == 1


def test_a_version_that_was_not_promoted_here_says_so(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    promoted(tracker, suite, compare)
    model = str(suite.register_as)
    foreign = tracker.client.create_model_version(model, source="s3://elsewhere/model")
    said = "\n".join(walked(tracker, suite, version=str(foreign.version)).missing)
    for what in ("comparison_run_id", "no tag names the evaluations", "own weights (no tag)", "previous_version"):
        assert what in said


@pytest.mark.parametrize("start", [{"version": "99"}, {"alias": "nobody"}])
def test_a_version_that_does_not_exist_is_an_error(
    tracker: Tracker, suite: Suite, compare: Compare, start: dict[str, str]
) -> None:
    promoted(tracker, suite, compare)
    with pytest.raises(TrackingError, match=next(iter(start.values()))):
        walked(tracker, suite, **start)


def test_a_model_that_is_not_there_is_an_error_that_says_where_its_name_stands(tracker: Tracker, suite: Suite) -> None:
    with pytest.raises(
        TrackingError, match=r"no registered model .*\nA suite names its registered model in `register_as`"
    ):
        find_lineage(tracker.uri, f"{suite.name}-by-its-suite")
