"""MLB4xx: is the test set still a test?"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mlbaseline import formats
from mlbaseline.judge.audit.check import AuditInput, Check, CheckResult, does_not_apply, failed, passed
from mlbaseline.records import UNKNOWN, Scalar, Severity
from mlbaseline.results import ResultTable
from mlbaseline.suite import AnswersFile, Recorded

MANY_LOOKS = 10
"""The best of ten equal candidates looks about 1.5 standard errors better than it is (Gaussian, uncorrelated)."""


def _leakage(subject: AuditInput) -> CheckResult:
    fields = [table.signature.fields for table in subject.tables]
    wrong_split = sorted({str(field.get("data.split")) for field in fields} - {"test"})
    if wrong_split:
        return failed(f"scores are of the split {', '.join(wrong_split)}, not of test", splits=wrong_split)
    trained = [table for table in subject.tables if "training.train_digest" in table.signature.fields]
    if not trained:
        return does_not_apply("no rung was trained here")
    leaking = [table.name for table in trained if _shares_a_split(table.signature.fields)]
    if leaking:
        return failed(f"two of train, dev and test are the same data for {', '.join(leaking)}", runs=leaking)
    return passed("train, dev and test are different data; loading leaves out what two of them share")


def _shares_a_split(fields: Mapping[str, Scalar]) -> bool:
    digests = [fields.get(name) for name in ("data.digest", "training.train_digest", "training.dev_digest")]
    known = [digest for digest in digests if digest is not None]
    return len(set(known)) < len(known)


def _looks(subject: AuditInput) -> CheckResult:
    looks = subject.registration.test_looks
    if looks > MANY_LOOKS:
        reason = f"test was looked at {looks} times: draw a new test set before the next decision"
        return failed(reason, looks=looks, limit=MANY_LOOKS)
    return passed(f"test was looked at {looks} of at most {MANY_LOOKS} times", looks=looks, limit=MANY_LOOKS)


def _error_rows(subject: AuditInput) -> CheckResult:
    rates = {name: standing.error_rate for name, standing in subject.standings.items() if standing.error_rate != 0}
    if rates:
        n = len(subject.tables[0].frame)
        shown = ", ".join(f"{name} {formats.percent(rate, n)}" for name, rate in rates.items())
        return failed(f"examples that failed count as wrong: {shown}", error_rates=rates)
    return passed("no example failed on any rung")


def _few_shot(subject: AuditInput) -> CheckResult:
    """Check that shots come from train, which loading keeps apart from test. A file of answers says nothing of them."""
    shots = {
        table.name: table.signature.fields["prompt.shots"]
        for table in subject.tables
        if table.signature.fields.get("prompt.shots") not in (None, 0)
    }
    if not shots:
        return does_not_apply("no prompt has solved examples in it")
    files = {
        name
        for name, spec in subject.suite.baselines.items()
        if isinstance(spec, Recorded) and isinstance(spec.recorded, AnswersFile)
    }
    not_ours = [table for table in subject.tables if table.name in shots and _has_other_prompts(table, files)]
    if not_ours:
        counts = {table.baseline: shots[table.name] for table in not_ours}
        unknown = [name for name, count in counts.items() if count == UNKNOWN]
        known = [f"{name} ({count} shots)" for name, count in counts.items() if count != UNKNOWN]
        reasons = [
            *([f"solved examples of these may be among the test examples: {', '.join(known)}"] if known else []),
            *([f"nothing says which solved examples the prompts of {', '.join(unknown)} had"] if unknown else []),
        ]
        return failed("; ".join(reasons), runs=[table.name for table in not_ours])
    return passed("solved examples are drawn from train, which shares no text and no cluster with test", shots=shots)


def _has_other_prompts(table: ResultTable, files: Collection[str]) -> bool:
    """Tell whether the solved examples of a table are not known to be ours: a file of answers never says it."""
    return table.baseline in files or table.signature.fields.get("prompt.prefix_sha256") in (None, UNKNOWN)


def _digested(subject: AuditInput) -> CheckResult:
    """Figures around the rows choose the seed that stands for a rung, so a digest must cover them."""
    runs = [
        evaluation.run_id
        for rung in subject.ladder.rungs.values()
        for evaluation in rung
        if not evaluation.is_measured_digested
    ]
    if runs:
        reason = f"{len(runs)} runs of an earlier version have times, memory and scores on dev in run metrics alone"
        return failed(reason, runs=runs)
    return passed("times, memory and scores on dev come from files under the digest of each run")


CHECKS = (
    Check("MLB401", Severity.ERROR, "No leakage between splits", _leakage),
    Check("MLB402", Severity.WARNING, "Test not looked at too often", _looks),
    Check("MLB403", Severity.WARNING, "No error rows", _error_rows),
    Check("MLB404", Severity.WARNING, "Few-shot examples not from test", _few_shot),
    Check("MLB405", Severity.WARNING, "Figures under a digest", _digested),
)
