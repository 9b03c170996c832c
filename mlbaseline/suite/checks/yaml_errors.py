"""Problems of a suite file: where in the file each one is, and how it is told."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import yaml

from mlbaseline.formats import counted
from mlbaseline.suggestions import did_you_mean, nearest_names
from mlbaseline.suite.baselines import KINDS, METHODS, PEFT, TAGS
from mlbaseline.suite.checks.known_keys import every_key, keys_at
from mlbaseline.suite.judged import ITEM_TAGS, names_of
from mlbaseline.suite.node import BUILT_IN_METRICS
from mlbaseline.suite.task import TASKS
from mlbaseline.suite.training_programs import BY_COMMAND, BY_PROJECT

KeyPath = tuple[str | int, ...]
"""Keys and positions that lead to a place in the file."""
Problem = tuple[KeyPath, str]

_SECRET = re.compile(r"(?i)key|token(?!s)|secret|password|auth|header")
"""Names of keys whose values are not repeated, unless they are none that a secret has."""
_SHORTEST_SECRET = 6
_NOT_HERE = "and if it holds a secret: that belongs into an environment variable, not into a file"


def unknown_metric(name: Any, metrics: Sequence[str]) -> str:
    """Say that the suite reports no such metric, and which ones it reports."""
    return f"{name!r} is not among the suite's metrics {list(metrics)}{did_you_mean(name, metrics)}"


def listed_metrics(content: Mapping[str, Any]) -> list[Any]:
    """Return the items of `metrics` in the raw content of a suite, with the default where it has none."""
    return sequence(content.get("metrics", ["accuracy"]))


def meant_metrics(content: Mapping[str, Any]) -> list[Any]:
    """Return the names of the suite's metrics, a misspelt one as it was probably meant.

    It is reported where it is listed. Whatever names the metric rightly elsewhere is no second mistake.
    """
    listed = listed_metrics(content)
    return [
        next(iter(nearest_names(name, BUILT_IN_METRICS)), name) if isinstance(item, str) else name
        for item, name in zip(listed, names_of(listed), strict=True)
    ]


def mapping(content: Any) -> Mapping[str, Any]:
    """Return a part of the raw content that should be a mapping, its keys as text; an empty one where it is none."""
    return {str(key): value for key, value in content.items()} if isinstance(content, dict) else {}


def sequence(content: Any) -> list[Any]:
    """Return a part of the raw content that should be a list; an empty one where it is none."""
    return content if isinstance(content, list) else []


def find_duplicates(node: yaml.Node | None, path: KeyPath = ()) -> Iterator[Problem]:
    """Find keys that stand twice in one mapping; YAML readers keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), f"stands twice in the same mapping, again on line {key.start_mark.line + 1}"
            seen.add(key.value)
            yield from find_duplicates(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from find_duplicates(item, (*path, position))


def describe(problem: Any, content: Any, others: Sequence[Any] = ()) -> Problem:
    """Say in the words of the file what pydantic found.

    Args:
        problem: One that pydantic found.
        content: Raw content of the file.
        others: All that pydantic found in it.
    """
    # A discriminated union puts its tag into the path ("baselines.lora.peft.epochs"); the file has no such level.
    path = problem["loc"]
    if len(path) > 2 and path[0] == "baselines" and path[2] in TAGS:
        path = (*path[:2], *path[3:])
    if len(path) > 3 and path[2] == "train" and path[3] in (BY_COMMAND, BY_PROJECT):
        path = (*path[:3], *path[4:])
    if len(path) > 2 and path[0] == "metrics" and path[2] in ITEM_TAGS:
        path = (*path[:2], *path[3:])
    if problem["type"] == "union_tag_invalid" and problem["ctx"]["tag"].startswith(PEFT):
        method = problem["ctx"]["tag"].removeprefix(PEFT)
        came = f", got {method!r}{did_you_mean(method, METHODS)}" if method else ""
        return (*path, "method"), f"expected one of {', '.join(METHODS)}, an `adapter` that is ready, or `train`{came}"
    if problem["type"] == "union_tag_invalid":
        kinds, came = _kinds(path), problem["ctx"]["tag"]
        return (*path, "kind"), f"expected one of {', '.join(kinds)}, got {came!r}{did_you_mean(came, kinds)}"
    if problem["type"] == "union_tag_not_found":
        return (*path, "kind"), f"is missing; expected one of {', '.join(_kinds(path))}"
    if problem["type"] == "extra_forbidden":
        missing = [o["loc"][-1] for o in others if o["type"] == "missing" and o["loc"][:-1] == problem["loc"][:-1]]
        return path, _unknown_key(path[-1], problem["input"], keys_at(content, path[:-1]), missing)
    return path, _told(problem)


def _told(problem: Any) -> str:
    came, message = problem["input"], problem["msg"]
    expected, more = f"{message[0].lower()}{message[1:]}", ""
    match problem["type"]:
        case "missing":
            return "is missing"
        case "value_error":
            return str(message.removeprefix("Value error, "))
        case "string_type" if isinstance(came, bool | int | float | dict | None):
            return f"expected a text, {_no_text(came)}"
        case "too_short":
            return f"expected at least {counted(problem['ctx']['min_length'], 'item')}, got {came!r}"
        case "tuple_type" | "list_type":
            expected = f"expected a list, such as [{came}]" if isinstance(came, str) else "expected a list"
        case "dict_type" | "model_type" | "model_attributes_type":
            expected = "expected a mapping with keys of its own"
        case "literal_error":
            more = did_you_mean(came, re.findall(r"'([^']*)'", problem["ctx"]["expected"]))
    return f"{expected}, got {came!r}{more}"


def _no_text(came: Any) -> str:
    """Say how YAML read what was probably meant as a text, and to quote it."""
    if isinstance(came, bool):
        return f"got {came}: YAML reads yes, no, on and off as truth values; put it in quotes"
    if isinstance(came, dict):
        return f"got {came}: YAML reads what begins with a brace as a mapping; put it in quotes"
    if came is None:
        return "got nothing, which is how YAML reads null, ~ and what is left empty; put a text in quotes"
    return f"got the number {came}; put it in quotes"


def _unknown_key(key: Any, came: Any, known_here: Collection[str], missing: Sequence[str]) -> str:
    """Say that a mapping has no such key. missing: the keys that it must have and has not."""
    told = _NOT_HERE if _SECRET.search(str(key)) and _may_be_secret(came) else f"got {came!r}"
    meant = did_you_mean(key, known_here)
    if not meant and len(missing) == 1 and isinstance(came, str):  # `path: …` in place of `source: …`
        meant = f"; did you mean {missing[0]!r}, which is missing here?"
    if not meant and key in every_key():
        meant = "; other parts of a suite have it, but it does not go with the keys here"
    return f"unknown key, {told}{meant}"


def _may_be_secret(came: Any) -> bool:
    """Tell whether a value, or one inside it, may be a secret: what is written in a few characters is none."""
    if isinstance(came, Mapping):
        return any(map(_may_be_secret, came.values()))
    if isinstance(came, list):
        return any(map(_may_be_secret, came))
    return len(str(came)) >= _SHORTEST_SECRET


def _kinds(path: KeyPath) -> tuple[str, ...]:
    return tuple(TASKS) if path[0] == "task" else KINDS


def dotted(path: KeyPath) -> str:
    """Return a path as messages show it."""
    return ".".join(map(str, path))


def line_of(node: yaml.Node | None, path: KeyPath) -> str:
    """Return `line N: ` of the deepest node that the path reaches; empty where it reaches none."""
    line = None
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == str(part)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line
        else:
            break
    return "" if line is None else f"line {line + 1}: "
