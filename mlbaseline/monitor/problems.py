"""What can be wrong with an event: each is counted, and the first of its kind is shown."""

from __future__ import annotations

from collections.abc import Mapping

from mlbaseline.records.decisions import StoredText


class EventProblem(StoredText):
    """A kind of problem with a row of events."""

    UNREADABLE = "unreadable"
    """The row cannot be read: no JSON object, or another number of cells than the header. Left out."""
    INCOMPLETE = "incomplete"
    """A request id, time, arm or error flag is missing or cannot be one. Left out."""
    UNKNOWN_ARM = "unknown_arm"
    """An arm that is neither `champion` nor `candidate`. Left out."""
    BAD_SHARE = "bad_share"
    """The candidate's share is not between 0 and 1. Left out."""
    IN_THE_FUTURE = "in_the_future"
    """The time is later than now: some clock is wrong. Left out until then."""
    UNTAGGED = "untagged"
    """A trace without the tags of an event. Left out."""
    BAD_MEASUREMENT = "bad_measurement"
    """A latency, cost or number of tokens is negative or no number. Only that value is left out."""
    BAD_SCORE = "bad_score"
    """A score is no number from 0 to 1. Only that label is left out."""
    DUPLICATE = "duplicate"
    """A request or label that the ledger has already."""
    CONFLICT = "conflict"
    """A request that the ledger has with another time, arm or error. The first one stays."""
    LABEL_CONFLICT = "label_conflict"
    """A label that the ledger has with another score and the same time. The first one stays."""
    LABEL_BEFORE_REQUEST = "label_before_request"
    """A label with an earlier time than its request: some clock is wrong. It counts from the request on."""
    NEW_SLICE_VALUE = "new_slice_value"
    """A value of a slice that the ledger did not have before. Kept."""
    NO_SLICE = "no_slice"
    """A watched slice is missing. The event counts outside that slice."""


class ProblemCounts:
    """Counts of problems, each with its first example.

    Example:
        >>> problems = ProblemCounts()
        >>> problems.add(EventProblem.BAD_SCORE, 2, "a.csv: row 7: score.accuracy is '7'")
        >>> problems.counts
        {'bad_score': 2}
    """

    def __init__(self) -> None:
        self._counts: dict[EventProblem, int] = {}
        self._examples: dict[EventProblem, str] = {}

    def add(self, problem: EventProblem, count: int, example: str) -> None:
        """Count a problem `count` times. example: where and what it is, for the first time that it is counted."""
        if count:
            self._counts[problem] = self._counts.get(problem, 0) + count
            self._examples.setdefault(problem, example)

    def update(self, others: ProblemCounts) -> None:
        """Add the counts of others."""
        for problem, count in others._counts.items():
            self.add(problem, count, others._examples[problem])

    def __getitem__(self, problem: EventProblem) -> int:
        return self._counts.get(problem, 0)

    @property
    def counts(self) -> Mapping[str, int]:
        """Stored text of each problem ─▶ how often it was counted."""
        return {str(problem): self._counts[problem] for problem in EventProblem if problem in self._counts}

    @property
    def examples(self) -> Mapping[str, str]:
        """Stored text of each problem ─▶ its first example."""
        return {str(problem): self._examples[problem] for problem in EventProblem if problem in self._counts}
