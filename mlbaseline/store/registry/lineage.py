"""From a registered version back to all that it stands on: comparison, evaluations, data, rules, predecessors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlbaseline.errors import MlbaselineError, TrackingError
from mlbaseline.signing import TrustedKeys
from mlbaseline.store.comparisons import COMPARISON, STOPPED, VERDICT
from mlbaseline.store.evaluations import ANSWERED, EVALUATION
from mlbaseline.store.preregistration import TASK_DIGEST
from mlbaseline.store.registry.link_checks import find_run, run_problems, tag_differences
from mlbaseline.store.registry.pending_versions import PROMOTION_RUN_ID
from mlbaseline.store.registry.plan import LINKS, PREVIOUS_VERSION
from mlbaseline.store.registry.promotion import PROMOTION
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.signed_versions import verify_signed_version
from mlbaseline.store.server.connection import Server, reach
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, STATUS
from mlbaseline.store.signatures import SIGNER

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun
    from mlflow.entities.model_registry import ModelVersion

_BASELINE = PREFIX + "baseline."
_RUN_IDS = ".run_ids"


@dataclass(frozen=True)
class LinkedRun:
    """A run that a version stands on, with the digests that it carries; "" where it carries none.

    role: `comparison`, `promotion`, or the baseline that was evaluated. dataset: name and digest of its MLflow input.
    stopped: where the answers to the test end; "" for a suite without registered looks.
    """

    role: str
    run_id: str
    name: str
    seed: str
    status: str
    started_ms: int
    suite_digest: str
    matrix_digest: str
    task_digest: str
    dataset: str
    stopped: str = ""


@dataclass(frozen=True)
class VersionLineage:
    """A registered version with the runs that it stands on. evaluation_run_id: of the weights themselves."""

    version: str
    aliases: tuple[str, ...]
    verdict: str
    evaluation_run_id: str
    comparison: LinkedRun | None
    promotion: LinkedRun | None
    evaluations: tuple[LinkedRun, ...]


@dataclass(frozen=True)
class Lineage:
    """From a version of a registered model back to the first one. missing: every link that does not hold, in words."""

    model: str
    versions: tuple[VersionLineage, ...]
    missing: tuple[str, ...]


def find_lineage(
    tracking_uri: str | None, model: str, *, version: str | None = None, alias: str | None = None
) -> Lineage:
    """Walk back from a version, see `find_version`. What is gone is named, and the walk goes on.

    Signatures are checked where there are some; of the version itself there must be one, by a key of
    `MLBASELINE_SIGNED_BY`, where that is set. Raises TrackingError where the version itself cannot be had.
    """
    server = reach(tracking_uri)
    start = find_version(server, model, version=version, alias=alias)
    return _Walk(server, start.name, TrustedKeys.of_environment()).back_from(start)


@dataclass
class _Walk:
    server: Server
    model: str
    trusted: TrustedKeys | None
    missing: list[str] = field(default_factory=list)
    checked: bool = False
    seen: dict[str, MlflowRun | None] = field(default_factory=dict)

    def back_from(self, start: ModelVersion) -> Lineage:
        versions: dict[str, VersionLineage] = {}
        version: ModelVersion | None = start
        while version is not None and str(version.version) not in versions:
            versions[str(version.version)] = self._lineage(version)
            version = self._before(version)
        return Lineage(self.model, tuple(versions.values()), tuple(self.missing))

    def _lineage(self, version: ModelVersion) -> VersionLineage:
        tags = version.tags
        comparison = self._link(version, PREFIX + "comparison_run_id", COMPARISON)
        evaluations = [
            self._run(version, tag.removeprefix(_BASELINE).removesuffix(_RUN_IDS), run_id, EVALUATION)
            for tag, run_ids in sorted(tags.items())
            if tag.startswith(_BASELINE) and tag.endswith(_RUN_IDS)
            for run_id in run_ids.split(",")
        ]
        found = tuple(run for run in evaluations if run is not None)
        if not evaluations:
            self._miss(version, "no tag names the evaluations of its baselines")
        own = tags.get(PREFIX + "evaluation_run_id", "")
        if own not in {run.run_id for run in found}:
            self._miss(version, f"the evaluation of its own weights ({own or 'no tag'}) is not among those found")
        for run in (*([comparison] if comparison else []), *found):
            self._check_digests(version, run)
        promotion = self._link(version, PROMOTION_RUN_ID, PROMOTION)
        self._check_tags(version, promotion, (VERDICT, *LINKS, PREVIOUS_VERSION, SIGNER))
        self._check_signature(version)
        self._check_tags(version, comparison, (VERDICT, PREFIX + "suite_digest", PREFIX + "matrix_digest"))
        return VersionLineage(
            version=str(version.version),
            aliases=tuple(sorted(version.aliases)),
            verdict=tags.get(VERDICT, ""),
            evaluation_run_id=own,
            comparison=comparison,
            promotion=promotion,
            evaluations=found,
        )

    def _link(self, version: ModelVersion, tag: str, kind: str) -> LinkedRun | None:
        run_id = version.tags.get(tag)
        if run_id is None:
            self._miss(version, f"it has no tag {tag}")
            return None
        return self._run(version, kind, run_id, kind)

    def _run(self, version: ModelVersion, role: str, run_id: str, kind: str) -> LinkedRun | None:
        if run_id not in self.seen:
            self.seen[run_id] = find_run(self.server, run_id)
        run = self.seen[run_id]
        if run is None:
            self._miss(version, f"{role}: the run {run_id} is gone")
            return None
        tags = run.data.tags
        for problem in run_problems(run, kind):
            self._miss(version, f"{role}: {problem}")
        datasets = run.inputs.dataset_inputs if run.inputs else []
        return LinkedRun(
            role=role,
            run_id=run_id,
            name=run.info.run_name or "",
            seed=tags.get(PREFIX + "seed", ""),
            status=tags.get(STATUS, ""),
            started_ms=run.info.start_time,
            suite_digest=tags.get(PREFIX + "suite_digest", ""),
            matrix_digest=tags.get(PREFIX + "matrix_digest", ""),
            task_digest=tags.get(TASK_DIGEST, ""),
            stopped=tags.get(STOPPED, tags.get(ANSWERED, "")),
            dataset=" ".join(f"{entry.dataset.name} ({entry.dataset.digest})" for entry in datasets),
        )

    def _check_digests(self, version: ModelVersion, run: LinkedRun) -> None:
        """Check that the data are those of the version. Suite and rules may be older: evaluations are reused."""
        expected = version.tags.get(TASK_DIGEST, "")
        if run.task_digest != expected:
            said = f"{run.task_digest[:12] or 'none'}, the version says {expected[:12] or 'none'}"
            self._miss(version, f"{run.role}: the run {run.run_id} has the task digest {said}")

    def _check_signature(self, version: ModelVersion) -> None:
        """Check the signature of a version where it has one, and of the first one where the operator asks for one.

        Versions before it may be of a time without signatures, or signed by a key that was replaced since.
        """
        trusted = self.trusted if not self.checked else None
        self.checked = True
        if trusted is None and SIGNER not in version.tags:
            return
        try:
            verify_signed_version(self.server, version, trusted)
        except MlbaselineError as error:
            self._miss(version, f"signature: {error}")

    def _check_tags(self, version: ModelVersion, linked: LinkedRun | None, keys: Sequence[str]) -> None:
        """Check that the run of a version's promotion or comparison says the same as the version itself."""
        run = self.seen.get(linked.run_id) if linked else None
        if linked is not None and run is not None:
            for difference in tag_differences(version.tags, run.data.tags, keys, of=linked.role):
                self._miss(version, difference)

    def _before(self, version: ModelVersion) -> ModelVersion | None:
        number = version.tags.get(PREVIOUS_VERSION)
        if number is None:
            self._miss(version, f"it has no tag {PREVIOUS_VERSION}")
        if number in (None, "none"):
            return None
        try:
            with reporting(f"read version {number} of {self.model!r}", self.server.uri):
                return self.server.client.get_model_version(self.model, number)
        except TrackingError:
            self._miss(version, f"the version before it, {number}, is gone")
            return None

    def _miss(self, version: ModelVersion, what: str) -> None:
        self.missing.append(f"version {version.version}: {what}")
