"""YAML ─▶ Suite. Every problem of the file is reported at once: path, line, what was expected and what came."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mlbaseline.errors import SuiteError
from mlbaseline.metrics import METRICS
from mlbaseline.suite import (
    KINDS,
    METHODS,
    PEFT,
    TAGS,
    TASK_KINDS,
    TASKS,
    ChoiceTask,
    GenerateTask,
    PerplexityTask,
    Suite,
    with_defaults,
)
from mlbaseline.suite.production import OF_CHOICES

_Path = tuple[str | int, ...]
_SECRET = re.compile(r"(?i)key|token(?!s)|secret|password|auth|header")
"""Names of keys whose values are not repeated."""
_NOT_HERE = "and if it holds a secret: that belongs into an environment variable, not into a file"

_RULES = {
    "choice": ("majority", "uniform", "stratified", "keyword", "constant", "callable"),
    "generate": ("majority", "stratified", "keyword", "constant", "callable"),
    "perplexity": ("uniform", "stratified"),
}
"""Strategies of trivial baselines that make sense for a kind of task."""
_SAID_BY = {
    "choose_by": "`task.extract`",
    "max_new_tokens": "`task.max_new_tokens`",
    "temperature": "`task.temperature`",
    "seed": "`seeds`",
}


def load_suite(reference: str | Path) -> Suite:
    """Read and validate a suite file.

    Args:
        reference: Path of a suite file or, where no such file exists, the name of a packaged suite.

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
    path = Path(reference)
    if path.suffix not in (".yaml", ".yml") and not path.is_file():
        packaged = resources.files("mlbaseline.suites") / f"{reference}.yaml"
        if not packaged.is_file():
            there_are = ", ".join(packaged_suites())
            raise SuiteError(
                str(reference), [f"no such file, and no packaged suite of that name (there are: {there_are})"]
            )
        path = Path(str(packaged))
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SuiteError(str(path), [f"cannot be read: {error}"]) from error
    return parse_suite(text, where=str(path), root=path.resolve().parent)


def packaged_suites() -> tuple[str, ...]:
    """Names of the suites that ship with the package."""
    names = (item.name for item in resources.files("mlbaseline.suites").iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in names if name.endswith(".yaml")))


def parse_suite(text: str, *, where: str = "suite", root: Path = Path()) -> Suite:
    """Validate the text of a suite file. Raises SuiteError with every problem found."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SuiteError(where, [f"not valid YAML: {error}"]) from error
    if not isinstance(content, dict):
        raise SuiteError(where, [f"expected a mapping with the keys of a suite, got {type(content).__name__}"])
    content = with_defaults(content)
    problems = [*_duplicates(node), *_dangling(content), *_unfit(content)]
    try:
        suite = Suite.model_validate(content).as_read(root, text)
    except ValidationError as error:
        problems = [_describe(problem) for problem in error.errors()] + problems
    if problems:
        raise SuiteError(
            where, [f"{_line(node, path)}{_dotted(path) or 'suite'}: {message}" for path, message in problems]
        )
    return suite


def with_task(suite: Suite, task: ChoiceTask | GenerateTask | PerplexityTask) -> Suite:
    """The suite as it runs once the kind of its task is known. Raises SuiteError where the rest does not fit."""
    written = suite.model_dump(mode="json", exclude_unset=True)
    content = with_defaults({**written, "task": task.model_dump(mode="json")})
    problems = [*_unfit(content)]
    if problems:
        raise SuiteError(suite.name, [f"{_dotted(path)}: {message}" for path, message in problems])
    return Suite.model_validate(content).as_run(suite)


def _duplicates(node: yaml.Node | None, path: _Path = ()) -> Iterator[tuple[_Path, str]]:
    """Keys that stand twice in one mapping; YAML readers keep the last and say nothing."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*path, key.value), f"stands twice in the same mapping, again on line {key.start_mark.line + 1}"
            seen.add(key.value)
            yield from _duplicates(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, item in enumerate(node.value):
            yield from _duplicates(item, (*path, position))


def _dangling(content: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    """Names that point to nothing. Reads the raw content, so that these are found beside errors of type and key."""
    baselines = _mapping(content.get("baselines"))
    metrics = content.get("metrics", ["accuracy"])
    slices = _mapping(_mapping(content.get("task")).get("slices"))
    for name, spec in baselines.items():
        metric = _mapping(spec).get("metric")
        if _mapping(spec).get("kind") == "external" and metric is not None and metric not in metrics:
            yield ("baselines", name, "metric"), f"{metric!r} is not among the suite's metrics {metrics}"
        yield from _dangling_base(name, _mapping(spec), baselines, _selectable(content))
    if _mapping(content.get("task")).get("kind") == "choice":
        yield from _dangling_labels(content, baselines)
    yield from _dangling_prices(content, baselines)
    for role in ("primary", "guardrails"):
        for position, contrast in enumerate(_sequence(_mapping(content.get("matrix")).get(role))):
            path = ("matrix", role, position)
            fields = _mapping(contrast)
            candidate, over = fields.get("candidate"), _sequence(fields.get("over"))
            for key, named in (("candidate", candidate), *(("over", name) for name in over)):
                if isinstance(named, str) and named not in baselines:
                    yield (*path, key), f"unknown baseline {named!r}; the suite has: {', '.join(baselines)}"
                elif key == "candidate" and isinstance(named, str) and _mapping(baselines[named]).get("optional"):
                    yield (*path, key), f"{named!r} is optional: what may not exist cannot be a candidate"
                elif isinstance(named, str) and _mapping(baselines[named]).get("kind") == "external":
                    yield (
                        (*path, key),
                        f"{named!r} is a published score: without answers to single examples nothing can be paired "
                        "with it, so it decides nothing. The report compares every candidate with it, unpaired",
                    )
            if candidate in over:
                yield (*path, "over"), f"{candidate!r} cannot be compared with itself"
            if fields.get("metric", "accuracy") not in metrics:
                yield (
                    (*path, "metric"),
                    f"{fields.get('metric', 'accuracy')!r} is not among the suite's metrics {metrics}",
                )
            unknown = [slicing for slicing in _sequence(fields.get("slices")) if slicing not in slices]
            yield from (
                ((*path, "slices"), f"unknown slice {slicing!r}; the suite has: {', '.join(slices) or 'none'}")
                for slicing in unknown
            )


def _unfit(content: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    """What does not go with the kind of the task: metrics of another kind, and rungs that could not answer."""
    kind = _mapping(content.get("task")).get("kind")
    if kind not in TASKS:
        return
    fitting = [name for name, metric in METRICS.items() if kind in metric.kinds]
    for position, name in enumerate(_sequence(content.get("metrics", ["accuracy"]))):
        if name in METRICS and name not in fitting:
            yield (
                ("metrics", position),
                f"{name!r} is of tasks of kind {' and '.join(METRICS[name].kinds)}; {kind} has: {', '.join(fitting)}",
            )
    for name, spec in _mapping(content.get("baselines")).items():
        yield from _unfit_rung(kind, ("baselines", name), _mapping(spec))
        if "endpoint" in _mapping(spec):
            asked = _mapping(_mapping(spec)["endpoint"])
            yield from _unfit_endpoint(_mapping(content.get("task")), ("baselines", name, "endpoint"), asked)


def _unfit_rung(kind: str, path: _Path, spec: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    if "recorded" in spec:
        return
    if spec.get("kind") == "human" and kind != "choice":
        yield path, f"annotators choose among labels, and a task of kind {kind} has none; their texts can be `recorded`"
    if spec.get("kind") == "trivial" and spec.get("strategy") not in (None, *_RULES[kind]):
        yield (
            (*path, "strategy"),
            f"{spec['strategy']!r} cannot answer a task of kind {kind}, which has: {', '.join(_RULES[kind])}",
        )
    if spec.get("shots") and kind == "perplexity":
        yield (*path, "shots"), "a text whose likelihood is asked has no prompt that examples could stand in front of"


def _unfit_endpoint(task: Mapping[str, Any], path: _Path, spec: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    kind, protocol = task.get("kind"), spec.get("protocol")
    if kind == "perplexity":
        yield path, "an endpoint is asked for choices and for texts, not for perplexity; its answers can be `recorded`"
    if kind == "generate":
        for name in OF_CHOICES:
            if spec.get(name) is not None:
                yield (
                    (*path, name),
                    f"is of choices; a task of kind generate says how texts are written, see {_SAID_BY[name]}",
                )
        if task.get("chat_template") and protocol == "completions":
            yield (*path, "protocol"), "`completions` is sent plain text; for `task.chat_template` ask by `chat`"
    likelihoods = protocol == "completions" and spec.get("choose_by", "loglik") in (None, "loglik")
    if kind == "choice" and spec.get("stream") and likelihoods:
        yield (*path, "stream"), "`stream` goes with generation; log-likelihoods come all at once"


def _dangling_prices(content: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    for name in _mapping(_mapping(content.get("cost")).get("usd_per_million_tokens")):
        if name not in baselines:
            path = ("cost", "usd_per_million_tokens", name)
            yield path, f"unknown baseline {name!r}; the suite has: {', '.join(baselines)}"


def _dangling_base(
    name: str, spec: Mapping[str, Any], baselines: Mapping[str, Any], metrics: Any
) -> Iterator[tuple[_Path, str]]:
    if spec.get("kind") not in ("peft", "full") or not isinstance(spec.get("base"), str):
        return
    base, path = baselines.get(spec["base"]), ("baselines", name, "base")
    if base is None:
        yield path, f"unknown baseline {spec['base']!r}; the suite has: {', '.join(baselines)}"
    elif _mapping(base).get("kind") != "pretrained":
        yield (
            path,
            f"{spec['base']!r} is of kind {_mapping(base).get('kind')}; a fine-tune starts from a pretrained one",
        )
    elif "recorded" in _mapping(base):
        yield path, f"{spec['base']!r} is known by its recorded answers only; a fine-tune starts from a model"
    if "adapter" not in spec and spec.get("select", "accuracy") not in metrics:
        yield (
            ("baselines", name, "select"),
            f"{spec.get('select', 'accuracy')!r} is not among the suite's metrics {metrics}",
        )


def _selectable(content: Mapping[str, Any]) -> list[Any]:
    """What an epoch may be chosen by: the suite's metrics and, where answers are texts, their likelihood."""
    metrics = _sequence(content.get("metrics", ["accuracy"]))
    return metrics if _mapping(content.get("task")).get("kind") == "choice" else [*metrics, "nll_nats"]


def _dangling_labels(content: Mapping[str, Any], baselines: Mapping[str, Any]) -> Iterator[tuple[_Path, str]]:
    task = _mapping(content.get("task"))
    labels = _sequence(task.get("choices")) or [
        str(position) for position, _ in enumerate(_sequence(_mapping(task.get("columns")).get("choices")))
    ]
    for name, spec in baselines.items():
        fields = _mapping(spec)
        for label in (*_mapping(fields.get("rules")), *([fields["default"]] if fields.get("default") else [])):
            if label not in labels:
                yield ("baselines", name, "rules"), f"label {label!r} is not among the choices {labels}"


def _mapping(content: Any) -> Mapping[str, Any]:
    return content if isinstance(content, dict) else {}


def _sequence(content: Any) -> list[Any]:
    return content if isinstance(content, list) else []


def _describe(problem: Any) -> tuple[_Path, str]:
    # A discriminated union puts its tag into the path ("baselines.lora.peft.epochs"); the file has no such level.
    path = problem["loc"]
    if len(path) > 2 and path[0] == "baselines" and path[2] in TAGS:
        path = (*path[:2], *path[3:])
    elif len(path) > 1 and path[0] == "task" and path[1] in TASK_KINDS:
        path = (path[0], *path[2:])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        told = _NOT_HERE if _SECRET.search(str(path[-1])) else f"got {problem['input']!r}"
        return path, f"unknown key, {told}"
    if problem["type"] == "missing":
        return path, "is missing"
    if problem["type"] == "union_tag_invalid" and problem["ctx"]["tag"].startswith(PEFT):
        method = problem["ctx"]["tag"].removeprefix(PEFT)
        came = f", got {method!r}" if method else ""
        return (*path, "method"), f"expected one of {', '.join(METHODS)}, or an `adapter` that is ready{came}"
    if problem["type"] == "union_tag_invalid":
        return (*path, "kind"), f"expected one of {', '.join(_kinds(path))}, got {problem['ctx']['tag']!r}"
    if problem["type"] == "union_tag_not_found":
        return (*path, "kind"), f"is missing; expected one of {', '.join(_kinds(path))}"
    if problem["type"] != "value_error":
        message = f"{message[0].lower()}{message[1:]}, got {problem['input']!r}"
    return path, message


def _kinds(path: _Path) -> tuple[str, ...]:
    return TASK_KINDS if path[0] == "task" else KINDS


def _dotted(path: _Path) -> str:
    return ".".join(map(str, path))


def _line(node: yaml.Node | None, path: _Path) -> str:
    """`line N: ` of the deepest node that the path reaches."""
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
