"""YAML ─▶ Suite. Every problem of the file is reported at once: path, line, what was expected and what came."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mlbaseline.errors import NewerFormatError, SuiteError
from mlbaseline.format_versions import KEY, SUITE
from mlbaseline.suggestions import did_you_mean
from mlbaseline.suite.bounded_yaml import load_bounded
from mlbaseline.suite.checks.kinds import find_misfits
from mlbaseline.suite.checks.monitor import find_unwatchable
from mlbaseline.suite.checks.references import find_dangling
from mlbaseline.suite.checks.yaml_errors import describe, dotted, find_duplicates, line_of
from mlbaseline.suite.root import Suite, with_defaults
from mlbaseline.suite.task import TaskSpec

SuiteReference = str | Path | Mapping[str, Any]
"""What stands for a suite: a path, the name of a packaged suite, or its content."""
_SHOWN_FILES = 5


def load_suite(reference: SuiteReference) -> Suite:
    """Read and validate a suite file.

    Args:
        reference: Path of a suite file or, where no such file exists, the name of a packaged suite; or the content of a
            suite file as a mapping, whose paths start from the current folder.

    Returns:
        The validated suite. It is frozen; its `digest` covers everything that the file says.

    Raises:
        SuiteError: The file cannot be read or is not valid. `problems` has all problems, not only the first.

    Example:
        >>> import mlbaseline
        >>> suite = mlbaseline.load_suite("tweets")
        >>> suite.seeds, suite.matrix.correction
        ((0, 1, 2), 'holm')
    """
    if isinstance(reference, Mapping):
        return parse_suite(_written(reference))
    path = Path(reference)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        packaged = packaged_suites()
        if path.parent != Path():  # a path, which no packaged suite has
            raise SuiteError(str(path), [f"no such file{_what_there_is(path)}"])
        if str(reference) not in packaged:
            there_are = f"no packaged suite of that name (there are: {', '.join(packaged)})"
            raise SuiteError(str(path), [f"no such file, and {there_are}{_what_there_is(path, packaged)}"])
        path = Path(str(resources.files("mlbaseline.suites") / f"{reference}.yaml"))
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise SuiteError(str(path), [f"no such file{_what_there_is(path)}"]) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    return parse_suite(text, where=str(path), root=path.resolve().parent)


def _what_there_is(path: Path, packaged: Sequence[str] = ()) -> str:
    """Name the suite files beside the path, and the one or the packaged suite that was probably meant."""
    folder = path.parent
    found = sorted(file.name for ending in ("yaml", "yml") for file in folder.glob(f"[!.]*.{ending}"))
    beside = f"; {folder.resolve()} has: {', '.join(found[:_SHOWN_FILES])}" if found else ""
    return f"{beside}{did_you_mean(path.name, [*found, *packaged])}"


def _written(content: Mapping[str, Any]) -> str:
    """Write a suite as its file would be. Raises SuiteError for values that no YAML file holds."""
    try:
        return yaml.safe_dump(json.loads(json.dumps(dict(content))), sort_keys=False, allow_unicode=True)
    except (TypeError, ValueError) as error:
        raise SuiteError("suite", [f"expected mappings, lists, texts and numbers only: {error}"]) from error


def packaged_suites() -> tuple[str, ...]:
    """Return the names of the suites that ship with the package."""
    names = (item.name for item in resources.files("mlbaseline.suites").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def describe_packaged(name: str) -> str:
    """Return what the comment at the head of a packaged suite says."""
    text = (resources.files("mlbaseline.suites") / f"{name}.yaml").read_text(encoding="utf-8")
    head = takewhile(lambda line: line.startswith("#"), text.splitlines())
    return " ".join(line.lstrip("# ") for line in head)


def parse_suite(text: str, *, where: str = "suite", root: Path = Path()) -> Suite:
    """Read a suite from the text of its file.

    Args:
        text: YAML.
        where: Name of the file, for messages.
        root: Folder from which the suite's relative paths start.

    Raises:
        SuiteError: The text is no valid suite; the message holds every problem.
    """
    try:
        node, content = load_bounded(text)
    except ValueError as error:
        raise SuiteError(where, [str(error)]) from error
    if not isinstance(content, dict):
        raise SuiteError(where, [f"expected a mapping with the keys of a suite, got {type(content).__name__}"])
    try:
        SUITE.require_readable(KEY, content.get(KEY))
    except NewerFormatError as error:  # what follows from it is not told as well
        raise SuiteError(where, [str(error)]) from error
    content = with_defaults(content)
    problems = [*find_duplicates(node), *find_dangling(content), *find_misfits(content), *find_unwatchable(content)]
    try:
        suite = Suite.model_validate(content).as_read(root, text)
    except ValidationError as error:
        found = error.errors()
        told = [problem for problem in found if not _follows_from_another(problem, found)]
        problems = [describe(problem, content, found) for problem in told] + problems
    if problems:
        raise SuiteError(
            where, [f"{line_of(node, path)}{dotted(path) or 'suite'}: {message}" for path, message in problems]
        )
    return suite


def _follows_from_another(problem: Any, others: Sequence[Any]) -> bool:
    """Tell a list that is too short only because items of it are not valid."""
    path = problem["loc"]
    return problem["type"] == "too_short" and any(
        len(other["loc"]) > len(path) and other["loc"][: len(path)] == path for other in others
    )


def with_task(suite: Suite, task: TaskSpec) -> Suite:
    """Return the suite with a loaded task in the place of the one that its file names.

    Raises:
        SuiteError: The rest of the suite does not fit the loaded task.
    """
    written = suite.model_dump(mode="json", exclude_unset=True)
    content = with_defaults({**written, "task": task.model_dump(mode="json")})
    problems = list(find_misfits(content))
    if problems:
        raise SuiteError(suite.name, [f"{dotted(path)}: {message}" for path, message in problems])
    return Suite.model_validate(content).as_run(suite)
