"""Which differences between two signatures forbid a comparison, and which only have to be known.

A rung's own nature (model, training, shots, seed) is what the ladder compares, so it may differ. What the rungs share
(data, choices, prompt, metrics) must not. How they were computed (precision, batches, versions) is worth a warning.
Of results from elsewhere some of this is unknown: that warns, save for data and choices, which have to be known.
"""

from __future__ import annotations

from collections.abc import Sequence

from mlbaseline.errors import IncomparableError
from mlbaseline.records import UNKNOWN, Mismatch, Signature
from mlbaseline.results import ResultTable, align

REFUSE, WARN, OWN = "refuse", "warn", "own"

_SEVERITY = (
    # The first prefix that matches decides.
    ("data.", REFUSE),
    ("choices.", REFUSE),
    ("metric.names", OWN),
    ("metric.", REFUSE),
    ("prompt.shots", OWN),
    ("prompt.prefix_sha256", OWN),
    ("prompt.", REFUSE),
    ("generation.", REFUSE),
    ("text.", REFUSE),
    ("engine.", WARN),
    ("model.", OWN),
    ("training.", OWN),
    ("seed", OWN),
)
_UNUSED_BY_SOME = ("prompt.", "generation.", "text.", "engine.")
"""A rule or an annotator has no prompt and no engine: there the absence of a field is no difference."""
_NEVER_UNKNOWN = ("data.", "choices.")


def mismatches(ours: Signature, theirs: Signature) -> tuple[Mismatch, ...]:
    """Fields in which two signatures differ although comparable rungs share them. A field of unknown kind refuses."""
    found = []
    for name in sorted(ours.fields.keys() | theirs.fields.keys()):
        severity = next((kind for prefix, kind in _SEVERITY if name.startswith(prefix)), REFUSE)
        absent = name not in ours.fields or name not in theirs.fields
        if severity == OWN or (absent and name.startswith(_UNUSED_BY_SOME)):
            continue
        left, right = ours.fields.get(name), theirs.fields.get(name)
        if UNKNOWN in (left, right) and not name.startswith(_NEVER_UNKNOWN):
            found.append(Mismatch(name, left, right, WARN))  # two unknowns are not known to be equal
        elif absent or left != right:
            found.append(Mismatch(name, left, right, severity))
    return tuple(found)


def require_comparable(tables: Sequence[ResultTable]) -> tuple[Mismatch, ...]:
    """The warnings among all pairs of tables, each distinct one once.

    Raises IncomparableError naming every pair, field and both values where a difference forbids the comparison, or
    where two tables do not hold the same examples.
    """
    warnings: dict[Mismatch, None] = {}
    refusals: list[str] = []
    for position, ours in enumerate(tables):
        for theirs in tables[position + 1 :]:
            for mismatch in mismatches(ours.signature, theirs.signature):
                if mismatch.severity == WARN:
                    warnings.setdefault(mismatch)
                else:
                    refusals.append(
                        f"{ours.name} and {theirs.name} differ in {mismatch.field}: "
                        f"{_shown(mismatch.ours)} against {_shown(mismatch.theirs)}"
                    )
    if refusals:
        raise IncomparableError(
            "these runs may not be compared:\n"
            + "\n".join(f"  - {refusal}" for refusal in refusals[:20])
            + (f"\n  … and {len(refusals) - 20} more" if len(refusals) > 20 else "")
            + "\nEvaluate the stale side again under the current suite: `mlbaseline evaluate SUITE --baseline NAME`."
        )
    align(tables)
    return tuple(warnings)


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)
