"""The choices that decide: what a comparison, a finding and a verdict can come to.

Each member is its stored text (`Outcome.PASS == "pass"`), so that files, tags and columns read as they always did. Code
that decides compares members and ends its `match` in `assert_never`: the type checker then names every place that does
not know a new member.
"""

from __future__ import annotations

from enum import Enum


class StoredText(str, Enum):
    """A string that is one of a fixed set. `str()`, f-strings and JSON give the stored text, on every Python."""

    def __str__(self) -> str:
        return str(self.value)


class Decision(StoredText):
    """What a verdict says about the suite's candidates."""

    PROMOTE = "promote"
    HOLD = "hold"
    INCONCLUSIVE = "inconclusive"


class PromotionState(Enum):
    """What has become of a comparison's winner in the Model Registry by now. It is read there, and not stored.

    `attempted`: the command that shows it has promoted it or was refused, and says so itself. `rolled_back`: it was
    rolled back, or a canary turned it down. `overtaken`: it was champion, and another one followed by a promotion.
    """

    OPEN = "open"
    ATTEMPTED = "attempted"
    CHAMPION = "champion"
    OVERTAKEN = "overtaken"
    ROLLED_BACK = "rolled_back"


class Outcome(StoredText):
    """The result of one test: of a registered contrast, a gate or an audit check."""

    PASS = "pass"  # not a password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    NOT_APPLICABLE = "not_applicable"

    @property
    def allows_promotion(self) -> bool:
        """Whether a finding with this outcome leaves the way to a promotion open. What is not known does not."""
        return self in (Outcome.PASS, Outcome.NOT_APPLICABLE)


NONE_PASSED = "no candidate passed: "
"""Begins the reason of a verdict that holds every candidate; what speaks against them follows."""
CHAMPION_ALREADY = "the champion already, so that nothing is left to promote"
"""Ends the reason of a verdict that holds a candidate because its checkpoint is the champion itself."""


class Severity(StoredText):
    """How much it matters that a finding fails."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class GateCode(StoredText):
    """What a gate's finding is about. `mlbaseline/documentation/gates.md` has a section for each."""

    SUPERIORITY = "superiority"
    GUARDRAIL = "guardrail"
    STANDING = "standing"
    WINNER = "winner"
    MIN_SEEDS = "min_seeds"
    MIN_EXAMPLES = "min_examples"
    SEEDS = "seeds"
    ANSWERED = "answered"
    COUNTED = "counted"
    CONFIRMATORY = "confirmatory"
    LOOKS = "looks"
    MEASURED = "measured"
    ERROR_RATE = "error_rate"
    LATENCY_P95 = "latency_p95"
    LATENCY_P99 = "latency_p99"
    COST_PER_QUERY = "cost_per_query"
    PEAK_MEMORY = "peak_memory"


class Role(StoredText):
    """What a row of the comparison is for. Exploratory rows decide nothing."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    EXPLORATORY = "exploratory"


class Estimand(StoredText):
    """What a row estimates: one checkpoint (only examples vary) or a recipe (training seeds and examples vary)."""

    CHECKPOINT = "checkpoint"
    RECIPE = "recipe"


class Registered(StoredText):
    """When a question was written down, relative to the first evaluation of its task; `no` for exploratory rows."""

    BEFORE = "before"
    AFTER = "after"
    NO = "no"


class MismatchEffect(StoredText):
    """What a difference between two signatures means for a comparison of their tables.

    `refuse`: they may not be compared. `warn`: they may, and the report says so. `cost`: only latency and seconds are
    affected. `own`: it is what the ladder compares.
    """

    REFUSE = "refuse"
    WARN = "warn"
    COST = "cost"
    OWN = "own"


NO_SEED = "none"
"""How tags and `Standing.run_ids` write the seed of a baseline without randomness."""


def seed_text(seed: int | None) -> str:
    """Write a seed as tags and `Standing.run_ids` hold it.

    >>> seed_text(3), seed_text(None)
    ('3', 'none')
    """
    return NO_SEED if seed is None else str(seed)


def seed_from_text(text: str) -> int | None:
    """Read a seed that `seed_text` wrote.

    Raises:
        ValueError: the text is neither a whole number nor `none`.

    >>> seed_from_text("3"), seed_from_text("none")
    (3, None)
    """
    return None if text == NO_SEED else int(text)
