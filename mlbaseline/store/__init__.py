"""Read and write everything that lies on a tracking server. mlflow is imported when it is used, not before."""

from mlbaseline.store.comparison_runs import ComparisonRun, find_comparison, newest_compared
from mlbaseline.store.comparisons import load_assessment, log_comparison, look_of, show_verdict
from mlbaseline.store.counting_runs import (
    CountingRuns,
    UncountedRun,
    counting_runs,
    find_under_way,
    first_to_complete,
    supersede,
)
from mlbaseline.store.earlier_tests import count_earlier_looks
from mlbaseline.store.evaluations import (
    EvaluatedModel,
    EvaluationFigures,
    log_evaluation,
    log_ladder,
    log_published,
    open_evaluation,
)
from mlbaseline.store.example_traces import ShownAnswer, ShownExample, log_answers, log_dataset
from mlbaseline.store.items import param_text
from mlbaseline.store.leftovers import Leftover, LeftoverKind, find_leftovers
from mlbaseline.store.measured import FACTS
from mlbaseline.store.mlflow_evaluations.comparisons import LoggedComparison, read_logged_comparisons
from mlbaseline.store.mlflow_evaluations.results import read_mlflow_results
from mlbaseline.store.mlflow_evaluations.reviews import read_reviews
from mlbaseline.store.mlflow_evaluations.rows import (
    KIND_OF_ROWS,
    PairedRows,
    find_baseline,
    log_paired_rows,
    open_evaluated_run,
)
from mlbaseline.store.preregistration import TASK_DIGEST, find_registration, register_rules
from mlbaseline.store.registry.lineage import Lineage, LinkedRun, VersionLineage, find_lineage
from mlbaseline.store.registry.link_checks import LinkCheck, LinkStatus
from mlbaseline.store.registry.moves import finish_interrupted
from mlbaseline.store.registry.plan import PromotionPlan, plan_promotion
from mlbaseline.store.registry.promotion import promote, rollback
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.registry.rolled_back import is_champion, promotion_state, turn_down
from mlbaseline.store.registry.verification import VersionLinks
from mlbaseline.store.runs import (
    EvaluationRun,
    find_begun,
    find_completed,
    find_evaluations,
    find_whole,
    published_score,
    read_evaluation,
)
from mlbaseline.store.server.connection import Server, Tracker, connect, reach
from mlbaseline.store.server.dead_runs import end_dead_runs
from mlbaseline.store.server.elsewhere import absolute_uri, find_run
from mlbaseline.store.server.program_runs import open_program_run
from mlbaseline.store.server.references import artifact_path, resolve
from mlbaseline.store.server.tracking import Run, open_run, suite_tags
from mlbaseline.store.signatures import check_comparison, sign_comparison, signing_key, trusted_keys
from mlbaseline.store.suites import stored_suite, suite_artifact, suite_differences
from mlbaseline.store.tables import load_evaluations, load_signatures, load_tables, tables_cache

__all__ = [
    "FACTS",
    "KIND_OF_ROWS",
    "TASK_DIGEST",
    "ComparisonRun",
    "CountingRuns",
    "EvaluatedModel",
    "EvaluationFigures",
    "EvaluationRun",
    "Leftover",
    "LeftoverKind",
    "Lineage",
    "LinkCheck",
    "LinkStatus",
    "LinkedRun",
    "LoggedComparison",
    "PairedRows",
    "PromotionPlan",
    "Run",
    "Server",
    "ShownAnswer",
    "ShownExample",
    "Tracker",
    "UncountedRun",
    "VersionLineage",
    "VersionLinks",
    "absolute_uri",
    "artifact_path",
    "check_comparison",
    "connect",
    "count_earlier_looks",
    "counting_runs",
    "end_dead_runs",
    "find_baseline",
    "find_begun",
    "find_comparison",
    "find_completed",
    "find_evaluations",
    "find_leftovers",
    "find_lineage",
    "find_registration",
    "find_run",
    "find_under_way",
    "find_version",
    "find_whole",
    "finish_interrupted",
    "first_to_complete",
    "is_champion",
    "load_assessment",
    "load_evaluations",
    "load_signatures",
    "load_tables",
    "log_answers",
    "log_comparison",
    "log_dataset",
    "log_evaluation",
    "log_ladder",
    "log_paired_rows",
    "log_published",
    "look_of",
    "newest_compared",
    "open_evaluated_run",
    "open_evaluation",
    "open_program_run",
    "open_run",
    "param_text",
    "plan_promotion",
    "promote",
    "promotion_state",
    "published_score",
    "reach",
    "read_evaluation",
    "read_logged_comparisons",
    "read_mlflow_results",
    "read_reviews",
    "register_rules",
    "resolve",
    "rollback",
    "show_verdict",
    "sign_comparison",
    "signing_key",
    "stored_suite",
    "suite_artifact",
    "suite_differences",
    "suite_tags",
    "supersede",
    "tables_cache",
    "trusted_keys",
    "turn_down",
]
