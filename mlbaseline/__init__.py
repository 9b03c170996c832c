"""Decide whether a fine-tuned language model is better than what you already had, with MLflow.

Each function does what the command of its name does, and returns a `CommandResult` with the document that `--json`
prints: `evaluate`, `compare` and `run` return the same as records, too. `mlbaseline.stats` has the statistics alone.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from mlbaseline.version import __version__

if TYPE_CHECKING:
    from mlbaseline.monitor.canary.assignment import assign
    from mlbaseline.suite.reading import load_suite
    from mlbaseline.workflows import compare, evaluate, promote, rollback, run

__all__ = ["__version__", "assign", "compare", "evaluate", "load_suite", "promote", "rollback", "run"]

# bitsandbytes 0.50 warns on import, and for every layer, of nothing that helps a user: "Failed to load CPU
# gemm_4bit_forward". peft 0.21 imports it in runs that quantise nothing, too, whichever of our modules comes first.
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used: the workflows import heavy packages."""
    if name == "load_suite":
        from mlbaseline.suite.reading import load_suite

        return load_suite
    if name == "assign":
        from mlbaseline.monitor.canary.assignment import assign

        return assign
    if name in __all__:
        from mlbaseline import workflows

        return getattr(workflows, name)
    raise AttributeError(f"module 'mlbaseline' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted(__all__)
