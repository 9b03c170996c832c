"""The baseline discipline for fine-tuned language models, built on MLflow.

outcome = mlbaseline.run("suite.yaml")
outcome.document["comparison"]["verdict"]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlbaseline.suite_file import load_suite
    from mlbaseline.workflows import compare, evaluate, promote, rollback, run

__version__ = "0.1.0"
__all__ = ["__version__", "compare", "evaluate", "load_suite", "promote", "rollback", "run"]


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first asked for: the workflows bring heavy packages along."""
    if name == "load_suite":
        from mlbaseline.suite_file import load_suite

        return load_suite
    if name in __all__:
        from mlbaseline import workflows

        return getattr(workflows, name)
    raise AttributeError(f"module 'mlbaseline' has no attribute {name!r}")
