"""The human baseline: the expected score of one annotator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mlbaseline.errors import DataError
from mlbaseline.records import Answer, Example, Scalar
from mlbaseline.values import as_number


class ExpectedAnnotator:
    """One annotator, drawn at random from those who labelled an example, as a `records.Model`.

    If the share a of the annotators gave the target, a random one of them is right with probability a: that is the
    example's expected accuracy, and its answer says `scores={"accuracy": a}`. Which label the annotator would have
    given is not known, so there is no prediction and no likelihood, and this rung has no metric but accuracy. Nor does
    it have a cost: its compute time of 0 s is no measurement.

    An example without a recorded agreement gets an answer without a score: no failure (`error` stays empty, so that no
    denominator counts it as wrong), and no guess either. A mean of the others put in its place would claim that
    agreement is missing at random, which it seldom is: it is usually missing for a whole source of the data. Every
    comparison with this rung is therefore over the examples that have a score, for both sides; `unscored` counts the
    others.

    Where these annotators' votes decided the target itself, the figure is above what a new annotator would reach.
    """

    def __init__(self, agreement_column: str) -> None:
        self._column = agreement_column

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order. Raises DataError if an agreement is no share between 0 and 1."""
        for example in examples:
            agreement = self._agreement(example)
            yield Answer(example.id, None, scores={} if agreement is None else {"accuracy": agreement})

    def unscored(self, examples: Sequence[Example]) -> int:
        """Count the examples without a recorded agreement."""
        return sum(self._agreement(example) is None for example in examples)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what the scores depend on, as `model.*` fields; the agreements are in the data's digest."""
        return {"model.kind": "human", "model.agreement_column": self._column, "model.without_agreement": "unscored"}

    def _agreement(self, example: Example) -> float | None:
        value = example.fields[self._column]
        try:
            share = as_number(value)
        except ValueError:
            share = float("nan")
        if share is not None and not 0 <= share <= 1:
            raise DataError(
                f"column {self._column!r}: expected the share of annotators that gave the target, a number from 0 to "
                f"1; example {example.id!r} has {value!r}"
            )
        return share
