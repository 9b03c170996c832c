"""The model in production."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline import serving, store
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.suite import Production, Suite


@dataclass(frozen=True)
class ChampionModel:
    """The model in production.

    Attributes:
        baseline: Its name in the suite.
        identity: What its snapshots are found by: `NAME/NUMBER`, or the reference itself where it cannot move.
        evaluation: The run that evaluated it before its promotion; None where mlbaseline did not promote it.
    """

    baseline: str
    identity: str
    evaluation: str | None

    @property
    def is_version(self) -> bool:
        """Whether it is a version of a registered model, `NAME/NUMBER`."""
        return not self.identity.startswith(("models:/", "runs:/"))


def find_champion(suite: Suite, tracker: store.Tracker) -> ChampionModel:
    """Find the first registered model among the suite's baselines of kind production.

    Raises:
        DataError: There is no such model yet.
        SuiteError: The suite has no such baseline.
        TrackingError: The server cannot be reached.
    """
    for name, spec in suite.baselines.items():
        if isinstance(spec, Production) and spec.uri is not None:
            identity = serving.find_identity(tracker, spec.uri)
            if identity is None:
                raise DataError(f"baselines.{name}: there is no {spec.uri} on the tracking server yet")
            return ChampionModel(name, identity.version, identity.evaluation_run_id)
    raise SuiteError(
        suite.name, ["baselines: a snapshot is of a model in production; add one of kind production with its `uri`"]
    )
