"""Every link of a registered version, recomputed: tags, runs, digests of tables, suite and files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from mlbaseline.errors import MlbaselineError, TrackingError, UntrustedModelError
from mlbaseline.records import Assessment, Decision, seed_text
from mlbaseline.signing import SIGNED_BY, TrustedKeys
from mlbaseline.store.comparisons import COMPARISON, VERDICT, load_assessment
from mlbaseline.store.evaluations import EVALUATION, MODEL_SHA256
from mlbaseline.store.preregistration import TASK_DIGEST
from mlbaseline.store.registry.link_checks import (
    LinkCheck,
    find_run,
    missing,
    ok,
    run_problems,
    tag_differences,
    wrong,
)
from mlbaseline.store.registry.pending_versions import PROMOTION_RUN_ID
from mlbaseline.store.registry.plan import LINKS, PREVIOUS_VERSION, delta_tags, evidence_tags
from mlbaseline.store.registry.promotion import PROMOTION
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.signed_versions import verify_signed_version
from mlbaseline.store.registry.stated import EVALUATION_RUN_ID, require_same_model
from mlbaseline.store.runs import EvaluationRun, read_evaluation
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.references import stored_model
from mlbaseline.store.server.tracking import PREFIX
from mlbaseline.store.signatures import SIGNER
from mlbaseline.store.suites import stored_suite
from mlbaseline.store.tables import load_tables
from mlbaseline.suite import Suite
from mlbaseline.untrusted import excerpt

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

SUITE_DIGESTS = (PREFIX + "suite", PREFIX + "suite_digest", PREFIX + "matrix_digest")
_SHOWN = 400


@dataclass(frozen=True)
class VersionLinks:
    """The links of one version of a registered model."""

    server: Server
    version: ModelVersion

    def checks(self) -> Iterator[LinkCheck]:
        """Check every link, each anew from the server: nothing of this machine's caches counts."""
        yield self._promotion()
        yield self._comparison()
        yield self._findings()
        yield self._suite()
        yield from self._evaluations()
        yield self._files()
        yield from self._signature()
        yield self._previous()

    @property
    def _tags(self) -> dict[str, str]:
        return dict(self.version.tags)

    def _promotion(self) -> LinkCheck:
        run_id = self._tags.get(PROMOTION_RUN_ID)
        run = find_run(self.server, run_id) if run_id else None
        if run is None:
            return missing("promotion", _gone(run_id, PROMOTION_RUN_ID))
        problems = [*run_problems(run, PROMOTION)]
        problems += tag_differences(
            self._tags, run.data.tags, (*SUITE_DIGESTS, VERDICT, *LINKS, SIGNER), of="promotion"
        )
        moved = {"model": self.version.name, "version": str(self.version.version)}
        problems += [
            f"it promoted {run.data.tags.get(PREFIX + key)!r}, not {key} {expected!r}"
            for key, expected in moved.items()
            if run.data.tags.get(PREFIX + key) != expected
        ]
        problems += tag_differences(self._tags, run.data.tags, (PREVIOUS_VERSION,), of="promotion")
        return wrong("promotion", problems) if problems else ok("promotion", f"run {run_id}")

    def _comparison(self) -> LinkCheck:
        run_id = self._tags.get(LINKS[0])
        run = find_run(self.server, run_id) if run_id else None
        if run is None:
            return missing("comparison", _gone(run_id, LINKS[0]))
        problems = [*run_problems(run, COMPARISON)]
        problems += tag_differences(self._tags, run.data.tags, (*SUITE_DIGESTS, TASK_DIGEST, VERDICT), of="comparison")
        return wrong("comparison", problems) if problems else ok("comparison", f"run {run_id}")

    @cached_property
    def _assessment(self) -> Assessment | MlbaselineError:
        try:
            return load_assessment(self.server, self._tags.get(LINKS[0], ""))
        except MlbaselineError as error:
            return error

    @cached_property
    def _own(self) -> EvaluationRun | MlbaselineError:
        try:
            return read_evaluation(self.server, self._tags.get(EVALUATION_RUN_ID, ""))
        except MlbaselineError as error:
            return error

    def _findings(self) -> LinkCheck:
        """Compare the tags of the version with what the comparison's own files say."""
        link, found, own = "findings", self._assessment, self._own
        if isinstance(found, MlbaselineError):
            return _of(link, found)
        if isinstance(own, MlbaselineError):
            return _of("evaluation of these weights", own)
        verdict, problems = found.verdict, []
        if verdict.decision is not Decision.PROMOTE:
            problems.append(f"their verdict is {verdict.decision.value!r}")
        winner = {one.baseline: one.run_ids for one in found.standings}.get(str(verdict.winner), {})
        if winner.get(seed_text(verdict.winner_seed)) != own.run_id:
            problems.append(f"their winner is {verdict.winner!r}, by another run than {own.run_id}")
        expected = evidence_tags(self._tags[LINKS[0]], found, own)
        # Earlier versions of mlbaseline wrote a tag for exploratory contrasts, too.
        earlier = {name: value for name, value in delta_tags(found, own.baseline).items() if name in self._tags}
        expected |= earlier
        problems += tag_differences(self._tags, expected, list(expected), of="findings")
        if problems:
            return wrong(link, problems)
        return ok(link, f"{verdict.decision.value}, {len(expected)} tags follow from them")

    @cached_property
    def _stored_suite(self) -> Suite | None:
        # Comparisons of version 0.1 keep no suite; the evaluations beside them do.
        kept = (stored_suite(self.server, self._tags[link]) for link in LINKS if link in self._tags)
        return next((suite for suite in kept if suite is not None), None)

    def _suite(self) -> LinkCheck:
        stated, suite = str(self._tags.get(PREFIX + "suite_digest")), self._stored_suite
        if suite is None:
            return missing("suite", "no run keeps one that this version of mlbaseline can read")
        if suite.digest != stated:
            problem = f"the stored file has the digest {suite.digest[:12]}…, expected {stated[:12]}…"
            return wrong("suite", [problem])
        return ok("suite", f"{suite.name}, digest {suite.digest[:12]}…")

    def _evaluations(self) -> Iterator[LinkCheck]:
        named = {
            key.removeprefix(PREFIX + "baseline.").removesuffix(".run_ids"): value.split(",")
            for key, value in sorted(self._tags.items())
            if key.startswith(PREFIX + "baseline.") and key.endswith(".run_ids")
        }
        if not named:
            yield missing("evaluations", "no tag names the evaluations of its baselines")
        for baseline, run_ids in named.items():
            for run_id in run_ids:
                yield self._evaluation(baseline, run_id)

    def _evaluation(self, baseline: str, run_id: str) -> LinkCheck:
        link = f"evaluation of {baseline}"
        run = find_run(self.server, run_id)
        if run is None:
            return missing(link, f"the run {run_id} is gone")
        problems = [*run_problems(run, EVALUATION)]
        if run.data.tags.get(PREFIX + "baseline") != baseline:
            problems.append(f"the run {run_id} evaluated {run.data.tags.get(PREFIX + 'baseline')!r}")
        problems += tag_differences(self._tags, run.data.tags, (TASK_DIGEST,), of=f"run {run_id}")
        if problems:
            return wrong(link, problems)
        try:
            with TemporaryDirectory() as temporary:
                (table,) = load_tables(self.server, [read_evaluation(self.server, run_id)], cache=Path(temporary))
        except MlbaselineError as error:
            return _of(link, error)
        return ok(link, f"run {run_id}, {len(table.frame)} rows with their digest")

    def _files(self) -> LinkCheck:
        link, own = "files", self._own
        if isinstance(own, MlbaselineError):
            return _of("files", own)
        problems = []
        if own.model.model_sha256 != self._tags.get(MODEL_SHA256):
            problems += tag_differences(
                self._tags, {MODEL_SHA256: str(own.model.model_sha256)}, (MODEL_SHA256,), of="evaluation"
            )
        if self.version.source != f"models:/{own.model_id}":
            problems.append(f"they come from {self.version.source!r}, the evaluation logged models:/{own.model_id}")
        try:
            with stored_model(self.server, f"models:/{self.version.name}/{self.version.version}") as folder:
                require_same_model(folder, own.model, "what is stored")
        except UntrustedModelError as error:
            problems.append(str(error))
        except TrackingError as error:
            return _of(link, error)
        if problems:
            return wrong(link, problems)
        digest = own.model.model_sha256 or own.model.weights_sha256
        return ok(link, f"digest {digest[:12]}…" if digest else "a model without weights of its own")

    def _signature(self) -> Iterator[LinkCheck]:
        """Check the signature, where there is one, the stored suite asks for one, or the operator does."""
        trusted, suite = TrustedKeys.of_environment(), self._stored_suite
        is_asked = trusted is not None or (suite is not None and suite.gates.signed_by is not None)
        if SIGNER not in self._tags:
            if is_asked:
                yield missing("signature", f"it has no tag {SIGNER}")
            return
        try:
            signed = verify_signed_version(self.server, self.version, trusted)
        except MlbaselineError as error:
            yield _of("signature", error)
            return
        anybody = "" if trusted else f"; whose key that is was not checked, as {SIGNED_BY} names none"
        yield ok("signature", f"by {signed.fingerprint}{anybody}")

    def _previous(self) -> LinkCheck:
        number = self._tags.get(PREVIOUS_VERSION)
        if number is None:
            return missing("previous version", f"it has no tag {PREVIOUS_VERSION}")
        if number == "none":
            return ok("previous version", "none, it is the first")
        try:
            find_version(self.server, f"models:/{self.version.name}/{number}")
        except TrackingError:
            return missing("previous version", f"version {number} is gone")
        return ok("previous version", number)


def _gone(run_id: str | None, tag: str) -> str:
    return f"the run {run_id} is gone" if run_id else f"it has no tag {tag}"


def _of(link: str, error: MlbaselineError) -> LinkCheck:
    """Report a run or file that cannot be had as missing, and one that is there and is another as wrong."""
    detail = excerpt(str(error), _SHOWN)
    return missing(link, detail) if isinstance(error, TrackingError) else wrong(link, [detail])
