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
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.records import Answer, Example, Model
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.decoding import Decoding
from mlbaseline.tasks.prompting import Prompting
from tests.benchmarks.tasks.scoring_items import SENTIMENTS, TWEETS

NEW_TOKENS = 8
TEXT = Prompting("{text}")
PROMPT = Prompting(TWEETS)

Answers = Mapping[str, Answer]
"""Example id ─▶ answer."""


@dataclass(frozen=True)
class Kind:
    """A kind of task, asked of both.

    Attributes:
        name: As a suite names it.
        max_length: Tokens of a prompt or window at most.
        make_model: Makes our model for it.
        ask_harness: Asks lm-eval for the answers to examples, in their order.
    """

    name: str
    max_length: int
    make_model: Callable[[Checkpoint, Evaluation, Execution], Model]
    ask_harness: Callable[[Any, Sequence[Example]], list[Answer]]

    def ours(
        self, checkpoint: Checkpoint, examples: Sequence[Example], evaluation: Evaluation, execution: Execution = LOCAL
    ) -> Answers:
        """Answer the examples by our engine."""
        answers = list(self.make_model(checkpoint, evaluation, execution).answer(examples))
        failed = [answer.error for answer in answers if answer.error]
        if failed:
            raise RuntimeError(f"{self.name}: {failed[0]}")
        return {answer.example_id: answer for answer in answers}

    def theirs(self, harness: Any, examples: Sequence[Example]) -> Answers:
        """Answer the examples by lm-eval."""
        return {answer.example_id: answer for answer in self.ask_harness(harness, examples)}


def _requests(output_type: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(output_type, {}, each, index) for index, each in enumerate(arguments)]


def _harness_choices(harness: Any, examples: Sequence[Example]) -> list[Answer]:
    prompts = [PROMPT.prompt(example) for example in examples]
    pairs = [(prompt.context, continuation) for prompt in prompts for continuation in prompt.continuations]
    nats = iter([value for value, _ in harness.loglikelihood(_requests("loglikelihood", pairs), disable_tqdm=True)])
    answers = []
    for example, prompt in zip(examples, prompts, strict=True):
        own = tuple(next(nats) for _ in prompt.continuations)
        answers.append(Answer(example.id, prompt.continuations[own.index(max(own))], loglik_nats=own))
    return answers


def _harness_texts(harness: Any, examples: Sequence[Example]) -> list[Answer]:
    options = {"until": [], "max_gen_toks": NEW_TOKENS, "do_sample": False}
    arguments = [(PROMPT.prompt(example).context, options) for example in examples]
    texts = harness.generate_until(_requests("generate_until", arguments), disable_tqdm=True)
    return [Answer(example.id, text) for example, text in zip(examples, texts, strict=True)]


def _harness_perplexities(harness: Any, examples: Sequence[Example]) -> list[Answer]:
    arguments = [(TEXT.prompt(example).context,) for example in examples]
    logliks = harness.loglikelihood_rolling(_requests("loglikelihood_rolling", arguments), disable_tqdm=True)
    return [Answer(each.id, None, sums={"nats": -float(nats)}) for each, nats in zip(examples, logliks, strict=True)]


KINDS = (
    Kind(
        "choice",
        512,
        lambda checkpoint, evaluation, execution: ChoiceScorer(checkpoint, PROMPT, SENTIMENTS, evaluation, execution),
        _harness_choices,
    ),
    Kind(
        "perplexity",
        16,  # several windows a text
        lambda checkpoint, evaluation, execution: TextScorer(checkpoint, TEXT, evaluation, execution),
        _harness_perplexities,
    ),
    Kind(
        "generate",
        512,
        lambda checkpoint, evaluation, execution: Generator(
            checkpoint, PROMPT, Decoding(NEW_TOKENS), evaluation, execution
        ),
        _harness_texts,
    ),
)
