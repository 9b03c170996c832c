"""One function per entry point: the only folder that strings the others together.

Each takes a suite (a path or the name of a packaged one) and what its command takes, and returns an Outcome. What a
later step needs of an earlier one it reads back from the tracking server, never from the memory of the same process.
"""

from mlbaseline.workflows.annotation_sheet import export
from mlbaseline.workflows.comparison import compare, gate, report
from mlbaseline.workflows.doctor import doctor
from mlbaseline.workflows.evaluation import evaluate
from mlbaseline.workflows.importing import import_results
from mlbaseline.workflows.lineage import lineage
from mlbaseline.workflows.outcome import Outcome
from mlbaseline.workflows.power import power, schema
from mlbaseline.workflows.promotion import promote, rollback
from mlbaseline.workflows.whole_run import run

__all__ = [
    "Outcome",
    "compare",
    "doctor",
    "evaluate",
    "export",
    "gate",
    "import_results",
    "lineage",
    "power",
    "promote",
    "report",
    "rollback",
    "run",
    "schema",
]
