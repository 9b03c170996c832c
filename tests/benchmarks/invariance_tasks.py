"""What the benchmark of invariance asks: three kinds of task over the same tweets, for us and for lm-eval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlbaseline.engine.generation.generator import Generator
from mlbaseline.engine.inference.batched_model import LOCAL
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.engine.scoring.perplexity import TextScorer
from mlbaseline.models.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example, Model
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.benchmarks.scoring_items import SENTIMENTS, TWEETS

NEW_TOKENS = 8
TEXT = Prompting("{text}")
PROMPT = Prompting(TWEETS)

Result = str | tuple[float, ...]
"""Of an item: the text, or log-likelihoods in nats."""
Results = Mapping[str, Result]
"""Example id ─▶ result."""


@dataclass(frozen=True)
class Kind:
    """A kind of task, asked of both.

    Attributes:
        name: As a suite names it.
        max_length: Tokens of a prompt or window at most.
        make_model: Makes our model for it.
        result: What of an answer of ours is compared.
        ask_harness: Asks lm-eval for the results of examples, in their order.
    """

    name: str
    max_length: int
    make_model: Callable[[Checkpoint, Evaluation, Execution], Model]
    result: Callable[[Answer], Result]
    ask_harness: Callable[[Any, Sequence[Example]], list[Result]]

    def ours(
        self, checkpoint: Checkpoint, examples: Sequence[Example], evaluation: Evaluation, execution: Execution = LOCAL
    ) -> Results:
        """Answer the examples by our engine."""
        answers = list(self.make_model(checkpoint, evaluation, execution).answer(examples))
        failed = [answer.error for answer in answers if answer.error]
        if failed:
            raise RuntimeError(f"{self.name}: {failed[0]}")
        return {answer.example_id: self.result(answer) for answer in answers}

    def theirs(self, harness: Any, examples: Sequence[Example]) -> Results:
        """Answer the examples by lm-eval."""
        ids = [example.id for example in examples]
        return dict(zip(ids, self.ask_harness(harness, examples), strict=True))


def prediction(result: Result) -> str | int | None:
    """What a result predicts: a text, the position of a choice, or None where there is nothing to choose from."""
    if isinstance(result, str):
        return result
    return max(range(len(result)), key=result.__getitem__) if len(result) > 1 else None


def _requests(output_type: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(output_type, {}, each, index) for index, each in enumerate(arguments)]


def _harness_choices(harness: Any, examples: Sequence[Example]) -> list[Result]:
    prompts = [PROMPT.prompt(example) for example in examples]
    pairs = [(prompt.context, continuation) for prompt in prompts for continuation in prompt.continuations]
    nats = iter([value for value, _ in harness.loglikelihood(_requests("loglikelihood", pairs), disable_tqdm=True)])
    return [tuple(next(nats) for _ in prompt.continuations) for prompt in prompts]


def _harness_texts(harness: Any, examples: Sequence[Example]) -> list[Result]:
    options = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    arguments = [(PROMPT.prompt(example).context, options) for example in examples]
    texts: list[Result] = harness.generate_until(_requests("generate_until", arguments), disable_tqdm=True)
    return texts


def _harness_perplexities(harness: Any, examples: Sequence[Example]) -> list[Result]:
    arguments = [(TEXT.prompt(example).context,) for example in examples]
    requests = _requests("loglikelihood_rolling", arguments)
    return [(float(nats),) for nats in harness.loglikelihood_rolling(requests, disable_tqdm=True)]


KINDS = (
    Kind(
        "choice",
        512,
        lambda checkpoint, evaluation, execution: ChoiceScorer(checkpoint, PROMPT, SENTIMENTS, evaluation, execution),
        lambda answer: answer.loglik_nats,
        _harness_choices,
    ),
    Kind(
        "perplexity",
        16,  # several windows a text
        lambda checkpoint, evaluation, execution: TextScorer(checkpoint, TEXT, evaluation, execution),
        lambda answer: (-answer.sums["nats"],),
        _harness_perplexities,
    ),
    Kind(
        "generate",
        512,
        lambda checkpoint, evaluation, execution: Generator(
            checkpoint, PROMPT, Decoding(NEW_TOKENS), evaluation, execution
        ),
        lambda answer: str(answer.prediction),
        _harness_texts,
    ),
)
