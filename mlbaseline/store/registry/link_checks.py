"""One link between a registered version and what it stands on: is it there, and does it say the same on both ends?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlbaseline.records.decisions import StoredText
from mlbaseline.store.server.connection import Server
from mlbaseline.store.server.reporting import reporting
from mlbaseline.store.server.tracking import COMPLETED, KIND, STATUS

if TYPE_CHECKING:
    from mlflow.entities import Run as MlflowRun


class LinkStatus(StoredText):
    """What checking a link came to."""

    OK = "ok"
    MISSING = "missing"
    WRONG = "wrong"


@dataclass(frozen=True)
class LinkCheck:
    """The check of one link. link: what is linked. detail: what was found, in words."""

    link: str
    status: LinkStatus
    detail: str

    @property
    def failed(self) -> bool:
        """Whether the link does not hold."""
        return self.status is not LinkStatus.OK


def ok(link: str, detail: str) -> LinkCheck:
    """Make the check of a link that holds."""
    return LinkCheck(link, LinkStatus.OK, detail)


def missing(link: str, detail: str) -> LinkCheck:
    """Make the check of a link that leads nowhere."""
    return LinkCheck(link, LinkStatus.MISSING, detail)


def wrong(link: str, problems: Sequence[str]) -> LinkCheck:
    """Make the check of a link that leads to something else."""
    return LinkCheck(link, LinkStatus.WRONG, "; ".join(problems))


def find_run(server: Server, run_id: str) -> MlflowRun | None:
    """Read a run, deleted ones included; None where there is none. Raises TrackingError."""
    from mlflow.exceptions import MlflowException

    with reporting(f"read the run {run_id}", server.uri):
        try:
            return server.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


def run_problems(run: MlflowRun, kind: str) -> Iterator[str]:
    """Say why a run is no completed one of a kind that will stay."""
    tags = run.data.tags
    found = (tags.get(KIND), tags.get(STATUS), run.info.status)
    if found != (kind, COMPLETED, "FINISHED"):
        said = f"kind {found[0]!r}, status {found[1]!r}, {found[2]}"
        yield f"the run {run.info.run_id} is no completed {kind} ({said})"
    if run.info.lifecycle_stage != "active":
        yield f"the run {run.info.run_id} was deleted, and will be gone with the next `mlflow gc`"


def tag_differences(version: Mapping[str, str], other: Mapping[str, str], keys: Sequence[str], *, of: str) -> list[str]:
    """Name the tags in which a version and what it stands on differ.

    Args:
        version: tags of the version.
        other: tags of what it stands on.
        keys: the tags that must agree.
        of: whose the other tags are.
    """
    return [
        f"{key} is {_short(other.get(key))} in the {of}, {_short(version.get(key))} on the version"
        for key in keys
        if other.get(key) != version.get(key)
    ]


def _short(text: str | None) -> str:
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 40 else f"{text[:40]}…")
