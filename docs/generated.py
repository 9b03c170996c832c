"""Parts of pages that are made from the code: keys of suite files, commands, audit checks. Nothing is written twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

import click

from mlbaseline.cli import cli
from mlbaseline.judge.audit import CHECKS
from mlbaseline.suite import MetricName, Suite
from mlbaseline.suite.checks.known_keys import as_mapping


def fill_in(text: str) -> str:
    """Return the text of a page with its markers replaced by what is made from the code."""
    for marker, write in GENERATED.items():
        if marker in text:
            text = text.replace(marker, "\n".join(write()))
    return text


def suite_keys() -> Iterator[str]:
    """One section for the suite and for each type that stands in it, with a table of its keys."""
    schema = Suite.model_json_schema()
    types: Mapping[str, Any] = {"Suite": schema, **_in_order_of_use(schema)}
    for name, definition in types.items():
        fields = as_mapping(definition)
        yield from (f"## {name}", "", " ".join(fields.get("description", "").split()), "")
        if not fields.get("properties"):
            continue
        yield from ("| key | meaning | type | default |", "| --- | --- | --- | --- |")
        for key, field in fields["properties"].items():
            default = "**required**" if key in fields.get("required", ()) else _default(field)
            yield f"| `{key}` | {_cell(field['description'])} | {_type(field)} | {default} |"
        yield ""


def _in_order_of_use(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Order the definitions of a schema, each after the type that first refers to it."""
    definitions, ordered = schema["$defs"], {}

    def visit(node: Any) -> None:
        references = list(_references(node))
        for name in references:
            if name not in ordered:
                ordered[name] = definitions[name]
                visit(definitions[name])

    visit({"properties": schema["properties"]})
    return ordered


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def _type(field: Mapping[str, Any]) -> str:
    """Describe a field's type as a reader of YAML thinks of it, with its limits."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if ways := field.get("anyOf", field.get("oneOf")):
        return " or ".join(dict.fromkeys(_type(way) for way in ways if way.get("type") != "null"))
    if values := [field["const"]] if "const" in field else field.get("enum"):
        is_metric = values == list(get_args(MetricName))
        return "a [metric](suite-file.md#kinds-of-task)" if is_metric else ", ".join(f"`{value}`" for value in values)
    return _of_values(field)


def _of_values(field: Mapping[str, Any]) -> str:
    """Describe the type of a list, of a mapping, or of a plain value."""
    kind = field.get("type", "any value")
    if kind == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    if kind == "object":
        values = field.get("additionalProperties") or next(iter(field.get("patternProperties", {}).values()), None)
        return f"mapping to {_type(values)}" if isinstance(values, dict) and values else "mapping"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {field[limit]}" for limit, sign in limits.items() if limit in field]
    names = {"string": "text", "boolean": "true or false"}
    return " ".join(filter(None, [names.get(kind, kind), ", ".join(bounds)]))


def _default(field: Mapping[str, Any]) -> str:
    default = field.get("default")
    if default is None or default in ([], {}):
        return ""
    return "see its keys" if isinstance(default, dict) else f"`{json.dumps(default)}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


SHARED_OPTIONS = ("tracking_uri", "as_json")


def commands() -> Iterator[str]:
    """One section for each command, with those of its options that not all commands have."""
    for name, command in _flat(cli):
        context = click.Context(command, info_name=f"mlbaseline {name}")
        yield from (f"## {name}", "", "```text", command.get_usage(context).removeprefix("Usage: "), "```", "")
        yield from (" ".join((command.help or "").replace("\b", "").split()), "")
        for option in command.params:
            if not isinstance(option, click.Option) or option.name in SHARED_OPTIONS:
                continue
            names = ", ".join(f"`{alias}`" for alias in option.opts)
            metavar = "" if option.is_flag else f" `{option.make_metavar(context)}`"
            shown = f" Default: `{option.default}`." if option.show_default else ""
            yield f"- {names}{metavar}: {option.help or ''}{shown}"
        yield ""


def _flat(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    """Yield the commands of a group by name, those of a group within it by both names."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _flat(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


def audit_checks() -> Iterator[str]:
    """Table of the checks of the audit; each code links to its section."""
    yield from ("| code | severity | check |", "| --- | --- | --- |")
    for check in CHECKS:
        yield f"| [{check.code}](#{check.code.lower()}) | {check.severity} | {check.title} |"


GENERATED: Mapping[str, Callable[[], Iterator[str]]] = {
    "<!-- generated: suite keys -->": suite_keys,
    "<!-- generated: commands -->": commands,
    "<!-- generated: audit checks -->": audit_checks,
}
