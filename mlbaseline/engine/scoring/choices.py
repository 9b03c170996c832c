"""Answers by log-likelihood: which choice does a causal model find most likely behind the prompt?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

from mlbaseline.engine.inference.batched_model import LOCAL, BatchedModel
from mlbaseline.engine.inference.execution import Execution, execute_batches
from mlbaseline.engine.inference.requests import RequestResult
from mlbaseline.engine.inference.token_cache import encode_examples, prompt_at
from mlbaseline.engine.inference.tokenization import EncodedPrompt
from mlbaseline.engine.scoring.batch_planning import PlannedBatch, PlanOptions, make_request, plan_batches
from mlbaseline.engine.scoring.log_likelihood_scorer import LogLikelihoodScorer, ScoringBatch
from mlbaseline.models.checkpoints.checkpoint import Checkpoint
from mlbaseline.models.checkpoints.precision import Precision
from mlbaseline.records import Answer, Example, id_at
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import PromptFormat

ENGINE_VERSION: dict[Precision, int] = {"fp32": 1, "bf16": 2, "fp16": 2, "int8": 1, "int4": 1}
"""Part of every signature: raised when log-likelihoods change by more than rounding.

Since 2, the frequencies of rotary positions stay in fp32 where the weights are in bf16 or fp16.
"""


@dataclass(frozen=True, slots=True)
class _PromptFacts:
    """What an answer says of its prompt. choice_tokens: length of each choice."""

    prompt_tokens: int
    truncated: bool
    choice_tokens: tuple[int, ...]


class ChoiceScorer(BatchedModel):
    """A `records.Model` that predicts the most likely choice (raw log-likelihood, the first of equal ones).

    Log-likelihoods follow lm-evaluation-harness, see `tokenization.Encoder`.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        prompting: PromptFormat,
        labels: Sequence[str],
        evaluation: Evaluation,
        execution: Execution = LOCAL,
    ) -> None:
        """Prepare a checkpoint.

        Args:
            checkpoint: causal language model.
            prompting: makes the prompts.
            labels: what the choices of an example stand for, in their order.
            evaluation: batch size, maximum length, latency sample.
            execution: cache, worker processes, progress bar.
        """
        super().__init__(checkpoint, prompting, evaluation, execution)
        self._labels = tuple(labels)
        prefix_tokens = self._encoder.shared_prefix(prompting)
        self._make_scorer = partial(
            LogLikelihoodScorer,
            batch_tokens=evaluation.batch_tokens,
            prefix_tokens=prefix_tokens,
            invariant=evaluation.invariant,
        )
        self._scorer = self._make_scorer(checkpoint)

    def answer_alone(self, example: Example) -> None:
        """Score one example, without planning."""
        request = make_request(0, self._encoder.encode(self._prompting.prompt(example)), self._scorer.prefix)
        self._scorer(ScoringBatch([[request]], behind_prefix=request.n_prefix_tokens > 0))

    def _answer_all(self, examples: Sequence[Example], *, execution: Execution) -> Iterator[tuple[int, Answer]]:
        started = perf_counter()
        scorer = self._scorer
        prompts = encode_examples(self._encoder, self._prompting, examples)
        options = PlanOptions(
            scorer.prefix, scorer.soft_prompt, self._evaluation.batch_tokens, scorer.packed, not scorer.invariant
        )
        plan = plan_batches(prompts, options)
        setup_s = (perf_counter() - started) / max(len(examples), 1)
        for position in range(len(prompts)):
            if isinstance(error := prompts[position], str):
                yield position, Answer(id_at(examples, position), None, error=error)
        in_progress: dict[int, _PromptFacts] = {}

        def make_batch(planned: PlannedBatch) -> ScoringBatch:
            encoded = {position: prompt_at(prompts, position) for position in planned.positions}
            in_progress.update({position: _facts(prompt) for position, prompt in encoded.items()})
            prefix = scorer.prefix if planned.behind_prefix else None
            groups = [[make_request(p, encoded[p], prefix) for p in group] for group in planned.groups]
            requests = (request for group in groups for request in group) if execution.cache else ()
            keys = {request.number: request.cache_key(id_at(examples, request.number)) for request in requests}
            return ScoringBatch(groups, planned.behind_prefix, keys)

        batches = map(make_batch, plan)
        for results in execute_batches(batches, scorer, self._make_scorer, execution, setup_s=setup_s):
            for position, result in results.items():
                yield position, self._make_answer(id_at(examples, position), in_progress.pop(position), result)

    def _make_answer(self, example_id: str, prompt: _PromptFacts, result: RequestResult) -> Answer:
        answer = Answer(
            example_id,
            None,
            tokens_in=prompt.prompt_tokens,
            compute_s=result.compute_s,
            batch=result.batch,
            truncated=prompt.truncated,
            error=result.error,
        )
        if result.error is not None:
            return answer
        best = max(range(len(result.values)), key=result.values.__getitem__)
        return replace(
            answer,
            prediction=self._labels[best],
            loglik_nats=result.values,
            tokens_out=prompt.choice_tokens[best],
        )


def _facts(prompt: EncodedPrompt) -> _PromptFacts:
    return _PromptFacts(prompt.prompt_tokens, prompt.truncated, tuple(map(len, prompt.continuations)))
