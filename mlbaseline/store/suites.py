"""The suite file as runs keep it: `suite.yaml`, with every default written out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from mlbaseline.errors import SuiteError, TrackingError
from mlbaseline.store.items import Artifacts, Item
from mlbaseline.store.server.artifacts import fetch_artifact
from mlbaseline.store.server.connection import Server
from mlbaseline.suite import Suite
from mlbaseline.suite.reading import parse_suite

SUITE_FILE = "suite.yaml"
_SHOWN = 60
"""Characters of a value in a difference."""


def suite_artifact(suite: Suite, folder: Path) -> Item:
    """Write `suite.yaml` into a folder, and return it as an artifact. The file has the digest of the suite."""
    content = suite.written.model_dump(mode="json", exclude_none=True)
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
    (folder / SUITE_FILE).write_text(text, encoding="utf-8")
    return Artifacts(folder)


def stored_suite(server: Server, run_id: str) -> Suite | None:
    """Read the suite that a run keeps; None where it keeps none, or one of a version with other options."""
    try:
        with TemporaryDirectory() as temporary:
            path = fetch_artifact(server, run_id, SUITE_FILE, Path(temporary))
            return parse_suite(path.read_text(encoding="utf-8"), where=f"run {run_id}: {SUITE_FILE}")
    except (TrackingError, SuiteError, UnicodeDecodeError):
        return None


def suite_differences(before: Suite, now: Suite) -> list[str]:
    """Name what differs between two suites, as in `task.prompt: 'Tweet: {text}' before, '{text}' now`.

    A part that only one of them has, such as a baseline, is one difference.
    """
    old, new = (suite.written.model_dump(mode="json", exclude={"monitor"}) for suite in (before, now))
    return list(_differences("", old, new))


def _differences(path: str, old: Any, new: Any) -> Iterator[str]:
    parts, other = _parts(old), _parts(new)
    if parts and other:
        for name in dict.fromkeys((*parts, *other)):
            below = f"{path}.{name}" if path else name
            yield from _differences(below, parts.get(name), other.get(name))
    elif old != new:
        yield f"{path}: {_shown(old)} before, {_shown(new)} now"


def _parts(content: Any) -> Mapping[str, Any]:
    """Return what is compared part by part: the values of a mapping, and the mappings of a list by their positions."""
    if isinstance(content, Mapping):
        return content
    if isinstance(content, list) and any(isinstance(value, Mapping) for value in content):
        return {str(position): value for position, value in enumerate(content)}
    return {}


def _shown(value: Any) -> str:
    text = "nothing" if value is None else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
