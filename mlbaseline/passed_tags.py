"""Tags that a process passes on, by an environment variable, to the runs that programs of its own will start.

It imports nothing heavy: every process that uses MLflow reads it, where mlbaseline is installed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

PREFIX = "mlbaseline."
"""Of all tags that are ours."""
PASSED_TAGS = "MLBASELINE_PASSED_TAGS"
"""The variable: tags as a JSON object."""
_PASSED = tuple(PREFIX + name for name in ("suite", "suite_digest", "matrix_digest", "baseline"))
"""Those that say what a run belongs to. Tags that say what a run is (`kind`, `status`, digests of results) are not
passed on: a run that a program starts is no evaluation."""


def write_passed_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variable that passes tags on, those that may be.

    Example:
        >>> write_passed_tags({"mlbaseline.suite": "tweets", "mlbaseline.kind": "training"})
        {'MLBASELINE_PASSED_TAGS': '{"mlbaseline.suite": "tweets"}'}
    """
    return {PASSED_TAGS: json.dumps(_passed(tags))}


def read_passed_tags(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that were passed on to this process; {} where none were.

    Raises:
        ValueError: The variable holds no JSON object of texts.
    """
    text = environment.get(PASSED_TAGS)
    tags = json.loads(text) if text else {}
    if not isinstance(tags, dict) or not all(isinstance(value, str) for value in tags.values()):
        raise ValueError(f"{PASSED_TAGS}: expected a JSON object of texts, got {str(text)[:80]!r}; unset it")
    return _passed(tags)


def _passed(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: tags[name] for name in _PASSED if name in tags}
