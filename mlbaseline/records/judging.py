"""What a comparison finds out about the judge of a metric."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PeopleAgreement:
    """How a judge's scores compare with people's, over the labelled answers of the rungs' checkpoints.

    Attributes:
        drawn: Examples that were drawn for people.
        annotators: People who labelled.
        answers: Labelled answers, each content once.
        same: Share of them to which both give the same score; None where there are too few.
        correlation: Of the two; None where one of them never varies.
        alpha: Krippendorff's alpha of judge and people, for scores on an interval scale.
        people_alpha: The same among the annotators; None with one annotator.
        bias: Mean of the judge's scores minus the people's, from −1 to 1.
        labels_sha256: Of the file of labels.
    """

    drawn: int
    annotators: int
    answers: int
    same: float | None
    correlation: float | None
    alpha: float | None
    people_alpha: float | None
    bias: float | None
    labels_sha256: str


@dataclass(frozen=True, slots=True)
class OrderEffect:
    """How the order of two answers sways a judge.

    Attributes:
        preference: For what is shown first, from −0.5 to 0.5; 0 for none.
        disagree: Share of the pairs of which it says something else in the other order.
    """

    preference: float
    disagree: float


@dataclass(frozen=True, slots=True)
class JudgingCost:
    """What the judge's scores of all rungs took, whenever that was paid.

    Attributes:
        questions: That were asked.
        errors: Of these, without a score.
        tokens_in: Read by the judge.
        tokens_out: Written by it.
        usd: None without a price.
        seconds: Over all questions, as if they were asked one after the other.
    """

    questions: int
    errors: int
    tokens_in: int
    tokens_out: int
    usd: float | None
    seconds: float


@dataclass(frozen=True, slots=True)
class JudgeDrift:
    """How a judge answers questions that it was asked before.

    Attributes:
        anchors: That were asked again.
        changed: Of these, with another answer.
        shift: Mean of the new scores minus the old ones, from −1 to 1.
        days: Between the two.
    """

    anchors: int
    changed: int
    shift: float
    days: float


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """A judged metric: who scores it, what that cost, and how far people, order and time agree.

    Attributes:
        metric: Its name.
        judge: Who scores the answers, in words.
        against: Baseline that answers are compared with; None where each is judged alone.
        n: Examples of test.
        cost: Of judging.
        people: None without labels.
        order: None where each answer is judged alone.
        drift: None where nothing was asked again.
    """

    metric: str
    judge: str
    against: str | None
    n: int
    cost: JudgingCost
    people: PeopleAgreement | None = None
    order: OrderEffect | None = None
    drift: JudgeDrift | None = None
