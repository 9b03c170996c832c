"""Choices by normalised log-likelihoods, as lm-evaluation-harness normalises them.

Only which choice is predicted changes. The log-likelihoods that an answer holds, and with them nll, Brier score and
calibration error, stay those of the choices as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

from mlbaseline.engine.inference.tokenization import Encoder
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.records import Answer, Example, Model
from mlbaseline.tasks.prompting import Prompt, PromptFormat


@dataclass(frozen=True)
class Unconditional:
    """Prompts without context: how likely is each choice by itself?"""

    prompting: PromptFormat

    def prompt(self, example: Example) -> Prompt:
        """Return the choices behind an empty context."""
        return Prompt("", self.prompting.prompt(example).continuations)

    @property
    def shared_prefix(self) -> str:
        """Return what every prompt begins with: nothing."""
        return ""


class NormalisedChoices:
    """A `records.Model`: the answers of `scorer`, each with the choice predicted whose normalised score is highest.

    by: `byte`, log-likelihood over the choice's length in UTF-8 (lm-eval's acc_bytes, and acc_norm where all is ASCII);
    `token`, over its number of tokens; `unconditional`, minus the log-likelihood of the choice behind no prompt at all
    (acc_mutual_info). Of equal ones the first.
    """

    def __init__(
        self,
        scorer: Model,
        prompting: PromptFormat,
        encoder: Encoder,
        labels: Sequence[str],
        *,
        by: str,
        unconditional: ChoiceScorer | None = None,
    ) -> None:
        """Normalise the answers of a scorer.

        Args:
            scorer: answers with raw log-likelihoods.
            prompting: makes the prompts.
            encoder: counts the tokens of the choices.
            labels: what the choices stand for, in their order.
            by: see the class.
            unconditional: scores the same choices by `Unconditional`; needed for that normalisation.
        """
        self._scorer, self._prompting, self._encoder = scorer, prompting, encoder
        self._labels, self._by, self._unconditional = tuple(labels), by, unconditional

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer as the scorer does. Tokens, time and latency include scoring the choices without a prompt."""
        by_id = {example.id: example for example in examples}
        alone = self._score_alone(examples)
        for answer in self._scorer.answer(examples):
            example = by_id[answer.example_id]
            prior = alone.get(example.choices)
            if prior is not None and prior.error is not None and answer.error is None:
                yield replace(answer, prediction=None, loglik_nats=(), error=f"without a prompt: {prior.error}")
            else:
                yield answer if answer.error else self._choose(example, answer, prior, shared=len(alone) == 1)

    def _choose(self, example: Example, answer: Answer, prior: Answer | None, *, shared: bool) -> Answer:
        tokens = [len(c) for c in self._encoder.encode(self._prompting.prompt(example)).continuations]
        scores: Sequence[float]
        if self._by == "byte":
            scores = [n / max(len(c.encode()), 1) for n, c in zip(answer.loglik_nats, example.choices, strict=True)]
        elif self._by == "token":
            scores = [n / count for n, count in zip(answer.loglik_nats, tokens, strict=True)]
        else:
            assert prior is not None  # the choices of every example were scored
            scores = [n - p for n, p in zip(answer.loglik_nats, prior.loglik_nats, strict=True)]
        best = max(range(len(scores)), key=scores.__getitem__)
        chosen = replace(answer, prediction=self._labels[best], tokens_out=tokens[best])
        if prior is None or shared:  # scored once for all queries
            return chosen
        latency_s = None if answer.latency_s is None else answer.latency_s + self._time_alone(example)
        return replace(chosen, compute_s=answer.compute_s + prior.compute_s, latency_s=latency_s)

    def _score_alone(self, examples: Sequence[Example]) -> dict[tuple[str, ...], Answer]:
        """Score each different set of choices without a prompt."""
        if self._unconditional is None:
            return {}
        first = {example.choices: example for example in sorted(examples, key=lambda e: e.id, reverse=True)}
        choices = {example.id: example.choices for example in first.values()}
        return {choices[a.example_id]: a for a in self._unconditional.answer(list(first.values()))}

    def _time_alone(self, example: Example) -> float:
        assert self._unconditional is not None
        started = perf_counter()
        self._unconditional.answer_alone(example)
        return perf_counter() - started
