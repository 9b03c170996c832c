"""The suites that ship with the package."""

from __future__ import annotations

import textwrap
from functools import partial

from mlbaseline.suite.reading import describe_packaged, packaged_suites
from mlbaseline.workflows.command_result import CommandResult


def suites() -> CommandResult:
    """List the packaged suites.

    Returns:
        The document has `suites`, each with its `name` and what it is (`about`).

    Example:
        >>> from mlbaseline import workflows
        >>> [suite["name"] for suite in workflows.suites().document["suites"]]
        ['sums', 'tweets', 'tweets-perplexity', 'tweets-recorded', 'tweets-words']
    """
    described = {name: describe_packaged(name) for name in packaged_suites()}
    document = {"suites": [{"name": name, "about": about} for name, about in described.items()]}
    return CommandResult(document, lambda _colour, width: _text(described, width))


def _text(described: dict[str, str], width: int) -> str:
    indent = " " * (max(map(len, described)) + 2)
    fill = partial(textwrap.fill, width=max(width, len(indent) + 30), break_on_hyphens=False)
    return "\n".join(
        fill(about, initial_indent=name.ljust(len(indent)), subsequent_indent=indent)
        for name, about in described.items()
    )
