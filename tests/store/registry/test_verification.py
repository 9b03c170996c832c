"""Every link of a version is recomputed; each kind of change is found, and named where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from mlbaseline.errors import UntrustedModelError
from mlbaseline.store.registry.link_checks import LinkCheck, LinkStatus
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.verification import VersionLinks
from mlbaseline.store.runs import read_evaluation
from mlbaseline.store.server.connection import Tracker
from mlbaseline.suite import Suite
from tests.support.ladders.stored import Compare, planned


@dataclass(frozen=True)
class Promoted:
    """A version that was promoted on a SQLite store, whose files lie under the working folder."""

    tracker: Tracker
    model: str

    @property
    def tags(self) -> dict[str, str]:
        return dict(find_version(self.tracker, self.model).tags)

    def results(self, run_id: str) -> Path:
        return Path(self.tracker.client.get_run(run_id).info.artifact_uri.removeprefix("file://")) / "results"

    def comparison(self) -> Path:
        return self.results(self.tags["mlbaseline.comparison_run_id"]).parent / "comparison"

    def weights(self) -> Path:
        own = read_evaluation(self.tracker, self.tags["mlbaseline.evaluation_run_id"])
        location = self.tracker.client.get_logged_model(str(own.model_id)).artifact_location
        return Path(location.removeprefix("file://")) / "artifacts" / "served" / "weights"

    def set_tag(self, key: str, value: str) -> None:
        self.tracker.client.set_model_version_tag(self.model, "1", f"mlbaseline.{key}", value)

    def checks(self) -> list[LinkCheck]:
        return list(VersionLinks(self.tracker, find_version(self.tracker, self.model)).checks())

    def failed(self) -> dict[str, LinkCheck]:
        return {check.link: check for check in self.checks() if check.failed}


@pytest.fixture
def promoted(tracker: Tracker, suite: Suite, compare: Compare) -> Promoted:
    promotion = promote(tracker, suite, planned(tracker, suite, compare()))
    return Promoted(tracker, promotion.model)


def test_every_link_of_an_untouched_version_holds(promoted: Promoted) -> None:
    checks = promoted.checks()
    assert {check.status for check in checks} == {LinkStatus.OK}
    assert [check.link for check in checks] == [
        *("promotion", "comparison", "findings", "suite"),
        *("evaluation of lora", "evaluation of lora", "evaluation of majority"),
        *("files", "previous version"),
    ]


def _edit(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"majority", b"minority") + b" ")


def _plant_bomb(promoted: Promoted) -> None:
    """Nine levels of nine aliases each, which stand for 387 million texts."""
    levels = ["a0: &a0 [lol]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10))]
    for run_id in (promoted.tags["mlbaseline.comparison_run_id"], promoted.tags["mlbaseline.evaluation_run_id"]):
        (promoted.results(run_id).parent / "suite.yaml").write_text("\n".join(levels), encoding="utf-8")


CHANGES: dict[str, tuple[str, LinkStatus, str, Callable[[Promoted], object]]] = {
    "a delta tag": (
        *("findings", LinkStatus.WRONG, "delta.majority.accuracy"),
        lambda p: p.set_tag("delta.majority.accuracy", "+0.900 [+0.800, +0.950]"),
    ),
    "the runs of a baseline": (
        *("findings", LinkStatus.WRONG, "baseline.majority.run_ids"),
        lambda p: p.set_tag("baseline.majority.run_ids", p.tags["mlbaseline.evaluation_run_id"]),
    ),
    "the suite's digest": (
        *("promotion", LinkStatus.WRONG, "suite_digest"),
        lambda p: p.set_tag("suite_digest", "0" * 64),
    ),
    "a comparison that is gone": (
        *("comparison", LinkStatus.MISSING, "the run"),
        lambda p: p.set_tag("comparison_run_id", "f" * 32),
    ),
    "no record of the promotion": (
        *("promotion", LinkStatus.MISSING, "it has no tag"),
        lambda p: p.tracker.client.delete_model_version_tag(p.model, "1", "mlbaseline.promotion_run_id"),
    ),
    "findings": (
        *("findings", LinkStatus.WRONG, "is not what the comparison was completed with"),
        lambda p: _edit(p.comparison() / "findings.json"),
    ),
    "the stored suite": (
        *("suite", LinkStatus.WRONG, "the stored file has the digest"),
        lambda p: _edit_suite(p.comparison().parent / "suite.yaml"),
    ),
    "a stored suite that is a bomb of aliases": (
        *("suite", LinkStatus.MISSING, "no run keeps one"),
        _plant_bomb,
    ),
    "rows of a table": (
        *("evaluation of lora", LinkStatus.WRONG, "results/examples.parquet of lora"),
        lambda p: _edit(p.results(p.tags["mlbaseline.evaluation_run_id"]) / "examples.parquet"),
    ),
    "weights": (
        *("files", LinkStatus.WRONG, "its weights have the digest"),
        lambda p: (p.weights() / "adapter.safetensors").write_bytes(b"others"),
    ),
    "what is said of the weights": (
        *("files", LinkStatus.WRONG, "its files have the digest"),
        lambda p: _edit(p.weights().parent / "served.json"),
    ),
    "a file beside the weights": (
        *("files", LinkStatus.WRONG, "its files have the digest"),
        lambda p: (p.weights() / "modeling.py").write_text("import os"),
    ),
    "a version before it that is gone": (
        *("previous version", LinkStatus.MISSING, "version 7 is gone"),
        lambda p: p.set_tag("previous_version", "7"),
    ),
}


def _edit_suite(path: Path) -> None:
    path.write_text(path.read_text(encoding="utf-8").replace("Mood:", "Spirit:"), encoding="utf-8")


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_is_found(promoted: Promoted, change: str) -> None:
    link, status, said, make = CHANGES[change]
    make(promoted)
    failed = promoted.failed()
    assert failed[link].status is status
    assert said in failed[link].detail


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
def test_changed_weights_are_not_promoted(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    comparison = compare()
    plan = planned(tracker, suite, comparison)
    location = tracker.client.get_logged_model(str(plan.winner.model_id)).artifact_location.removeprefix("file://")
    (Path(location) / "artifacts" / "served" / "weights" / "adapter.safetensors").write_bytes(b"others")
    with pytest.raises(UntrustedModelError, match=r"is not the model that was evaluated: its weights have the digest"):
        planned(tracker, suite, comparison)
    assert tracker.client.search_model_versions(f"name = '{suite.register_as}'") == []
