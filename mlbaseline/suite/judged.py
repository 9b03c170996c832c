"""Metrics that a judge scores: by what rubric, on what scale, by whom, and with which labels of people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, JsonValue, Tag, field_validator, model_validator

from mlbaseline.suite.baselines import AnswersFile
from mlbaseline.suite.node import FunctionName, MetricName, Name, Node, TokenPrice
from mlbaseline.suite.production import HOW_ASKED, Endpoint

PAIRWISE_LABELS = ("A", "B", "tie")
"""What may be said of two answers: the one that is shown first is better, the second, or neither."""


class Scorer(Node):
    """A scorer of MLflow."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][\w .-]*$")]
    """Class of a built-in scorer (`mlflow.genai.scorers`), or the name of one that is registered in the suite's
    experiment. One that is registered as code is refused.
    """
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Of a built-in scorer: what its class takes, such as `guidelines`, or `model` as MLflow writes it."""


class Judge(Node):
    """Who scores the answers: one of an endpoint, a scorer of MLflow, a Python function, and scores in a file."""

    endpoint: Endpoint | None = None
    """A language model behind HTTP (`chat` or `completions`), asked with the rubric. Its limits, retries and keys are
    those of any endpoint.
    """
    scorer: Scorer | None = None
    """A scorer of MLflow, built-in or registered: its name, or `{name: …, options: {…}}`."""
    function: FunctionName | None = None
    """`module:function`, from the suite's folder or installed. It gets a dict with `prompt`, `answer`, and what else
    the judge sees, and returns a score from 0 to 1; of two answers the score of the first.
    """
    recorded: AnswersFile | None = None
    """A file with scores that exist already (columns `example_id`, `baseline`, `score`; optionally `seed` and
    `answer`).
    """
    anchors: Annotated[int, Field(ge=0, le=200)] = 10
    """For an endpoint: number of questions that are asked again whenever it is asked something new, to see whether it
    still says the same. 0 asks none.
    """
    usd_per_million_tokens: TokenPrice | None = None
    """Price of the tokens that the judge reads and writes, where its replies state no cost."""

    @model_validator(mode="after")
    def _one_way(self) -> Judge:
        ways = ("endpoint", "scorer", "function", "recorded")
        given = [way for way in ways if getattr(self, way) is not None]
        if len(given) != 1:
            raise ValueError(f"expected one of {', '.join(ways)}, got {' and '.join(given) or 'none of them'}")
        if self.usd_per_million_tokens is not None and self.endpoint is None:
            raise ValueError("`usd_per_million_tokens` goes with `endpoint`")
        return self

    @field_validator("scorer", mode="before")
    @classmethod
    def _name(cls, scorer: Any) -> Any:
        return {"name": scorer} if isinstance(scorer, str) else scorer

    @field_validator("endpoint")
    @classmethod
    def _writes_texts(cls, endpoint: Endpoint | None) -> Endpoint | None:
        if endpoint is not None and endpoint.protocol == "mlflow":
            raise ValueError("a judge is asked by the protocol `chat` or `completions`, got `mlflow`")
        if endpoint is not None and endpoint.stream:
            raise ValueError("`stream` is of no use to a judge, whose reply is a word; leave it out")
        return endpoint

    @property
    def way(self) -> str:
        """Which kind of judge it is."""
        return next(name for name in ("endpoint", "scorer", "function", "recorded") if getattr(self, name) is not None)


class JudgedMetric(Node):
    """A metric from 0 (worst) to 1 (best) that a judge scores, and that labels of people decide."""

    judge: Judge
    """Who scores the answers."""
    rubric: Annotated[str, Field(min_length=1)] | None = None
    """What is asked about an answer, in words. The judge and the people are shown the same. Required for an endpoint,
    and for labels.
    """
    scale: tuple[int, int] | None = None
    """Worst and best score that the judge and the people may give, whole numbers that become 0 and 1. Without it, 1
    and 5.
    """
    against: Name | None = None
    """Baseline whose answer each answer is compared with, in both orders. The score is then 1 where the answer is
    preferred in both, 0 where the other one is, and 0.5 where it is a tie or the two orders disagree. Excludes `scale`.
    """
    show_target: bool = False
    """If true, the judge and the people also see the right answer."""
    labels: AnswersFile | None = None
    """What people said of a random subset: the sheet that `mlbaseline export --labels N` wrote, filled in. Without it,
    the metric decides nothing.
    """

    @field_validator("labels", mode="before")
    @classmethod
    def _path(cls, labels: Any) -> Any:
        return {"path": labels} if isinstance(labels, str) else labels

    @model_validator(mode="after")
    def _fitting(self) -> JudgedMetric:
        worst, best = self._bounds
        if not (0 <= worst < best <= 100 and best - worst <= 20):
            raise ValueError(
                f"scale: expected two whole numbers from 0 to 100, worst first, at most 20 apart, got {[worst, best]}"
            )
        if self.against is not None and self.scale is not None:
            raise ValueError("`scale` is of single answers, `against` compares two: give one of them")
        if self.rubric is None and (self.judge.endpoint is not None or self.labels is not None):
            raise ValueError("`rubric` is missing: an endpoint and people have to be told what is asked")
        if self.against is not None and self.judge.way in ("scorer", "recorded"):
            raise ValueError(f"`against`: expected a judge that sees two answers, got `{self.judge.way}`")
        return self

    @property
    def _bounds(self) -> tuple[int, int]:
        return self.scale or (1, 5)

    @property
    def options(self) -> tuple[str, ...]:
        """What the judge and the people may say, worst first; of two answers `PAIRWISE_LABELS`."""
        if self.against is not None:
            return PAIRWISE_LABELS
        worst, best = self._bounds
        return tuple(str(score) for score in range(worst, best + 1))

    def score_of(self, option: str) -> float:
        """Return the score from 0 to 1 of one of the options; of two answers that of the one shown first."""
        if self.against is not None:
            return {"A": 1.0, "B": 0.0, "tie": 0.5}[option]
        worst, best = self._bounds
        return (int(option) - worst) / (best - worst)

    def distinguishing(self) -> dict[str, Any]:
        """Return what the scores depend on, as JSON has it: not the labels, nor how patiently an endpoint is asked."""
        content = self.model_dump(mode="json", exclude={"labels"}, exclude_none=True)
        judge = content["judge"]
        for name in ("anchors", "usd_per_million_tokens"):
            judge.pop(name, None)
        for name in HOW_ASKED & judge.get("endpoint", {}).keys():
            del judge["endpoint"][name]
        return content


def _kind_of_item(item: Any) -> str:
    return "judged" if isinstance(item, Mapping) else "name"


ITEM_TAGS = ("judged", "name")
ListedMetric = Annotated[
    Annotated[MetricName, Tag("name")]
    | Annotated[dict[Name, JudgedMetric], Field(min_length=1, max_length=1), Tag("judged")],
    Discriminator(_kind_of_item),
]
"""An item of `metrics`: a name, or one judged metric by its name."""


def names_of(listed: Any) -> list[Any]:
    """Return the names in the raw content of `metrics`; what is neither a name nor one judged metric stays as it is."""
    items = listed if isinstance(listed, list | tuple) else []
    return [next(iter(item)) if isinstance(item, Mapping) and len(item) == 1 else item for item in items]
