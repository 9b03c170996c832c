"""One function per entry point: the only folder that strings the others together.

Each takes a suite (a path or the name of a packaged one) and the options of its command, and returns a CommandResult.
What a later step needs from an earlier one it reads back from the tracking server, never from this process's memory.
"""

from mlbaseline.workflows.assumed_power import assume_power
from mlbaseline.workflows.command_result import CommandResult
from mlbaseline.workflows.comparisons.comparison import compare
from mlbaseline.workflows.comparisons.comparison_result import ComparisonResult
from mlbaseline.workflows.comparisons.example_changes import examples
from mlbaseline.workflows.comparisons.gate import gate
from mlbaseline.workflows.comparisons.paper_table import table
from mlbaseline.workflows.comparisons.report_file import report
from mlbaseline.workflows.evaluations.annotation_sheet import export
from mlbaseline.workflows.evaluations.evaluation import evaluate
from mlbaseline.workflows.evaluations.evaluation_result import EvaluationResult
from mlbaseline.workflows.evaluations.importing import import_results
from mlbaseline.workflows.explanation import explain
from mlbaseline.workflows.health.determinism import audit_determinism
from mlbaseline.workflows.health.doctor import doctor
from mlbaseline.workflows.health.validation import validate
from mlbaseline.workflows.health.variance import VarianceDesign, audit_variance
from mlbaseline.workflows.lineage import lineage, verify
from mlbaseline.workflows.monitor.decisions import canary, drift
from mlbaseline.workflows.monitor.ingestion import ingest
from mlbaseline.workflows.monitor.replaying import replay
from mlbaseline.workflows.monitor.retraining import retrain
from mlbaseline.workflows.monitor.snapshot import snapshot
from mlbaseline.workflows.monitor.traffic_mix import mix
from mlbaseline.workflows.monitor.watching import watch
from mlbaseline.workflows.new_suite import init
from mlbaseline.workflows.pipeline import LadderResult, run
from mlbaseline.workflows.power import power
from mlbaseline.workflows.promotion import promote, rollback
from mlbaseline.workflows.simulated_power import SimulationOptions, simulate_power
from mlbaseline.workflows.suite_list import suites
from mlbaseline.workflows.suite_schema import schema

__all__ = [
    "CommandResult",
    "ComparisonResult",
    "EvaluationResult",
    "LadderResult",
    "SimulationOptions",
    "VarianceDesign",
    "assume_power",
    "audit_determinism",
    "audit_variance",
    "canary",
    "compare",
    "doctor",
    "drift",
    "evaluate",
    "examples",
    "explain",
    "export",
    "gate",
    "import_results",
    "ingest",
    "init",
    "lineage",
    "mix",
    "power",
    "promote",
    "replay",
    "report",
    "retrain",
    "rollback",
    "run",
    "schema",
    "simulate_power",
    "snapshot",
    "suites",
    "table",
    "validate",
    "verify",
    "watch",
]
