"""Prompts as lm-eval's own task object builds them, in the form that our engine takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Example, OutputType, Scalar, digest_of
from mlbaseline.tasks.prompting import Prompt, Prompting

DEFAULT_SEED = 1234
"""Of lm-eval's few-shot sampler, where its command line sets no other."""


def build_prompt(lm_eval_task: Any, document: Mapping[str, Any], n_shots: int) -> Prompt:
    """Build the requests of lm-eval for a document, behind solved documents that its sampler draws.

    Raises:
        DataError: The choices of the document stand in the context instead of behind it.
    """
    prefix = lm_eval_task.doc_to_prefix(document)
    context = lm_eval_task.fewshot_context(document, num_fewshot=n_shots, gen_prefix=prefix)
    name = lm_eval_task.task_name
    if not isinstance(context, str):
        raise DataError(
            f"{name}: puts each choice into a context of its own (as winogrande does), which is not supported"
        )
    requests = lm_eval_task.construct_requests(doc=document, ctx=context, metadata=(name, 0, 1))
    if lm_eval_task.OUTPUT_TYPE == OutputType.GENERATE_UNTIL:
        return Prompt(context, ())
    if lm_eval_task.OUTPUT_TYPE == OutputType.LOGLIKELIHOOD_ROLLING:
        return Prompt(str(requests.args[0]), ())
    # acc_mutual_info requests every choice once more, behind an empty context.
    of_choices = requests[: len(lm_eval_task.doc_to_choice(document))]
    return Prompt(of_choices[0].args[0], tuple(request.args[1] for request in of_choices))


@dataclass(frozen=True)
class LmEvalPrompting(Prompting):
    """Prompts by example, the template being no more than their name.

    prompts: example id ─▶ its prompt. answers: example id ─▶ the right answer behind it, delimiter included.
    fields: `prompt.*` of a signature, beside shots and prefix.
    """

    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Scalar] = field(default_factory=dict)

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example. Raises DataError for an example of another task."""
        if example.id not in self.prompts:
            raise DataError(f"{self.template}: has no document {example.id!r}")
        return self.prompts[example.id]

    def solved(self, example: Example, labels: Sequence[str]) -> Prompt:  # noqa: ARG002
        """Return the prompt with the right answer as its only continuation: what a training learns from."""
        return Prompt(self.prompt(example).context, (self.answers[example.id],))

    @property
    def shared_prefix(self) -> str:
        """What every prompt begins with."""
        contexts = [prompt.context for prompt in self.prompts.values()]
        first, last = min(contexts), max(contexts)  # whatever lies between them begins as both do
        common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return first[:common]

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the `prompt.*` fields of a signature: everything of a prompt that is not the example's."""
        shown = [[id, prompt.context] for id, prompt in sorted(self.prompts.items())] if self.shots else []
        return {
            "prompt.template": self.template,
            **self.fields,
            "prompt.chat_template": None,
            "prompt.shots": self.shots,
            "prompt.prefix_sha256": digest_of(shown),  # each prompt shows other solved documents
        }
