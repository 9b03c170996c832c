"""What lm-eval's own task object shows a model, in the form that our engine asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlbaseline.errors import DataError
from mlbaseline.records import Example, Scalar, digest_of
from mlbaseline.tasks.prompting import Prompt, Prompting

DEFAULT_SEED = 1234
"""Of lm-eval's few-shot sampler, where its command line is not told another."""


def ask(task: Any, doc: Mapping[str, Any], shots: int) -> Prompt:
    """The requests that lm-eval builds for a document, behind `shots` solved ones that its sampler draws.

    Raises DataError for a document whose choices stand in the context instead of behind it.
    """
    context = task.fewshot_context(doc, num_fewshot=shots, gen_prefix=task.doc_to_prefix(doc))
    if not isinstance(context, str):
        raise DataError(
            f"{task.task_name}: puts each choice into a context of its own (as winogrande does), which is not supported"
        )
    requests = task.construct_requests(doc=doc, ctx=context, metadata=(task.task_name, 0, 1))
    if task.OUTPUT_TYPE == "generate_until":
        return Prompt(context, ())
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return Prompt(str(requests.args[0]), ())
    # acc_mutual_info asks every choice once more, behind nothing.
    asked = requests[: len(task.doc_to_choice(doc))]
    return Prompt(asked[0].args[0], tuple(request.args[1] for request in asked))


@dataclass(frozen=True)
class HarnessPrompting(Prompting):
    """Prompts by example, the template being no more than their name.

    prompts: example id ─▶ what is asked. answers: example id ─▶ the right answer behind it, delimiter included.
    fields: `prompt.*` of a signature, beside shots and prefix.
    """

    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Scalar] = field(default_factory=dict)

    def prompt(self, example: Example) -> Prompt:
        """The prompt of one example. Raises DataError for an example of another task."""
        if example.id not in self.prompts:
            raise DataError(f"{self.template}: has no document {example.id!r}")
        return self.prompts[example.id]

    def solved(self, example: Example, labels: Sequence[str]) -> Prompt:  # noqa: ARG002
        """The prompt with the right answer as its only continuation: what a training learns from."""
        return Prompt(self.prompt(example).context, (self.answers[example.id],))

    @property
    def head(self) -> str:
        """What every prompt begins with."""
        contexts = [prompt.context for prompt in self.prompts.values()]
        first, last = min(contexts), max(contexts)  # whatever lies between them begins as both do
        common = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), len(first))
        return first[:common]

    def signature_fields(self) -> dict[str, Scalar]:
        """`prompt.*`: everything of a prompt that is not the example's."""
        shown = [[id, prompt.context] for id, prompt in sorted(self.prompts.items())] if self.shots else []
        return {
            "prompt.template": self.template,
            **self.fields,
            "prompt.chat_template": None,
            "prompt.shots": self.shots,
            "prompt.prefix_sha256": digest_of(shown),  # each prompt shows other solved documents
        }
