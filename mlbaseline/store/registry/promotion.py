"""The Model Registry: who is champion, by which comparison, and who was it before.

MLflow has no compare-and-set for an alias. What it does have is that a new version gets the next number in one step.
So a promotion first creates its version, marked as pending. Of several that are pending the lowest number goes on, and
only if the champion is still the one that the comparison was planned against; the others withdraw.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlbaseline.errors import PromotionError, TrackingError
from mlbaseline.records import Promotion
from mlbaseline.store.comparisons import VERDICT
from mlbaseline.store.registry.aliases import (
    CHAMPION,
    PREVIOUS,
    AliasMove,
    aliases_of,
    aliases_text,
    announcing,
    holder,
    version_number,
)
from mlbaseline.store.registry.moves import carry_out, finish_interrupted
from mlbaseline.store.registry.pending_versions import (
    PENDING,
    PROMOTION_RUN_ID,
    STATE,
    delete_version,
    pending_versions,
)
from mlbaseline.store.registry.plan import LINKS, PREVIOUS_VERSION, PromotionPlan
from mlbaseline.store.registry.registered_names import require_registered
from mlbaseline.store.registry.rolled_back import ROLLBACK
from mlbaseline.store.server.connection import Tracker, connect, reach
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import PREFIX, Run, open_run, suite_tags
from mlbaseline.store.signatures import write_signed
from mlbaseline.suite import Suite

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PROMOTION = "promotion"

_ABANDONED_AFTER_MS = 10 * 60 * 1000
"""A pending version of this age belongs to a process that has died: between the two steps lie seconds."""


def promote(
    tracker: Tracker,
    suite: Suite,
    plan: PromotionPlan,
    *,
    parent: str | None = None,
    cause: Mapping[str, str] | None = None,
) -> Promotion:
    """Register the winner, make it `champion` and its predecessor `previous`, in a run that is the record of it.

    A winner that is champion already stays what it is, with the record that it has. cause: tags of that run which say
    why, beside the comparison. Raises PromotionError if another promotion was under way or came first: then nothing is
    left registered. Raises TrackingError.
    """
    if plan.is_champion:
        return _record(plan.model, _required(tracker, plan.model, CHAMPION))
    name = f"promote {plan.winner.baseline}"
    tags = {**suite_tags(suite), **{key: plan.tags[key] for key in (VERDICT, *LINKS)}, **(cause or {})}
    with open_run(tracker, PROMOTION, name=name, tags=tags, parent=parent, note=plan.description) as run:
        if plan.signed is not None:
            write_signed(run, plan.signed)
        with _pending_version(tracker, plan, run) as version:
            _check_turn(tracker, plan, version)
            move = AliasMove(plan.model, str(version.version), plan.previous_version)
            with announcing(run, move):
                _check_champion(tracker, plan)
        # From here on nothing is undone: what a lost server leaves half done, the next command finishes.
        carry_out(tracker, run.run_id, move)
        return _record(plan.model, version)


@contextmanager
def _pending_version(tracker: Tracker, plan: PromotionPlan, run: Run) -> Iterator[ModelVersion]:
    """Create a version of the model, and delete it again if the block raises: it never was the champion."""
    client = tracker.client
    with reporting(f"register {plan.model!r}", tracker.uri):
        _ensure_registered(tracker, plan.model)
        version = client.create_model_version(
            plan.model,
            source=f"models:/{plan.winner.model_id}",
            run_id=plan.winner.run_id,
            tags={**plan.tags, STATE: PENDING, PROMOTION_RUN_ID: run.run_id},
            description=plan.description,
            model_id=plan.winner.model_id,
        )
    try:
        _delete_twins(tracker, version, run)
        yield version
    except BaseException:
        with suppress(TrackingError):
            delete_version(tracker, version)
        raise


def _delete_twins(tracker: Tracker, version: ModelVersion, run: Run) -> None:
    """Delete other versions of this promotion.

    MLflow's client repeats a request whose answer was lost, and a server that had carried it out then makes a second
    version.
    """
    query = f"name = '{version.name}' and tags.`{PROMOTION_RUN_ID}` = '{run.run_id}'"
    with reporting(f"look for versions of the run {run.run_id}", tracker.uri):
        for twin in tracker.client.search_model_versions(query):
            if str(twin.version) != str(version.version):
                delete_version(tracker, twin)


def _ensure_registered(tracker: Tracker, model: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        tracker.client.create_registered_model(model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _check_turn(tracker: Tracker, plan: PromotionPlan, ours: ModelVersion) -> None:
    ahead = [version for version in _pending(tracker, ours) if int(version.version) < int(ours.version)]
    if ahead:
        raise PromotionError(
            f"{plan.model!r}: another promotion is under way (version {ahead[0].version}, by run "
            f"{ahead[0].tags.get(PROMOTION_RUN_ID)}). Compare again once it is done: the champion will be another one."
        )


def _check_champion(tracker: Tracker, plan: PromotionPlan) -> None:
    """Compare with the plan. Other moves are looked for before: one that is gone by now has moved the alias."""
    champion = version_number(holder(tracker, plan.model, CHAMPION))
    if champion != plan.previous_version:
        raise PromotionError(
            f"{plan.model!r}: the champion was version {plan.previous_version} when this promotion was planned, and is "
            f"{champion} now. Compare again, against the new one."
        )


def _pending(tracker: Tracker, ours: ModelVersion) -> list[ModelVersion]:
    oldest = ours.creation_timestamp - _ABANDONED_AFTER_MS
    return [version for version in pending_versions(tracker, ours.name) if version.creation_timestamp >= oldest]


# ---- rollback -------------------------------------------------------------------------------------------------------


def rollback(tracking_uri: str | None, model: str, *, cause: Mapping[str, str] | None = None) -> Promotion:
    """Swap `champion` and `previous`, in a run that is the record of it; the answer tells of the new champion.

    cause: tags of that run which say why; they are there before an alias moves, and so where another command finishes
    the move. Raises PromotionError if there is nothing to go back to or a promotion is under way. Raises TrackingError.
    """
    server = reach(tracking_uri)
    uri, client = server.uri, server.client
    require_registered(server, model)
    finish_interrupted(server, model)
    with reporting(f"read the aliases of {model!r}", uri):
        aliases = aliases_of(client.get_registered_model(model))
    if not {CHAMPION, PREVIOUS} <= aliases.keys() or aliases[CHAMPION] == aliases[PREVIOUS]:
        raise PromotionError(
            f"{model!r}: there is nothing to go back to. A rollback needs the aliases `champion` and `previous` on "
            f"two versions; there is {aliases_text(aliases)}."
        )
    with reporting(f"read the champion of {model!r}", uri):
        champion = client.get_model_version(model, aliases[CHAMPION])
    tracker = connect(uri, champion.tags.get(PREFIX + "suite", model))
    tags, name = {PREFIX + "suite": tracker.experiment, **(cause or {})}, f"roll back {model}"
    move = AliasMove(model, aliases[PREVIOUS], aliases[CHAMPION])
    with open_run(tracker, ROLLBACK, name=name, tags=tags) as run:
        with announcing(run, move):
            _check_nothing_pending(tracker, champion)
            with reporting(f"read the aliases of {model!r}", uri):
                now = aliases_of(client.get_registered_model(model))
            if now != aliases:
                raise PromotionError(
                    f"{model!r}: the aliases were moved at the same moment: now there is {aliases_text(now)}. Look "
                    "before you go on."
                )
        carry_out(tracker, run.run_id, move)
        with reporting(f"read the champion of {model!r}", uri):
            restored = client.get_model_version(model, move.champion)
    comparison, evaluation = (restored.tags.get(link, "") for link in LINKS)
    return Promotion(model, aliases[PREVIOUS], aliases[CHAMPION], comparison, evaluation, run.run_id)


def _check_nothing_pending(tracker: Tracker, champion: ModelVersion) -> None:
    pending = [version for version in _pending(tracker, champion) if version.version != champion.version]
    if pending:
        raise PromotionError(
            f"{champion.name!r}: a promotion is under way (version {pending[0].version}); wait until it is done."
        )


def _required(tracker: Tracker, model: str, alias: str) -> ModelVersion:
    version = holder(tracker, model, alias)
    if version is None:
        raise PromotionError(f"{tracker.uri}: the registered model {model!r} has no version with the alias {alias!r}.")
    return version


def _record(model: str, version: ModelVersion) -> Promotion:
    tags = version.tags
    previous = tags.get(PREVIOUS_VERSION, "none")
    return Promotion(
        model=model,
        version=str(version.version),
        previous_version=None if previous == "none" else previous,
        comparison_run_id=tags[PREFIX + "comparison_run_id"],
        evaluation_run_id=tags[PREFIX + "evaluation_run_id"],
        run_id=tags[PROMOTION_RUN_ID],
    )
