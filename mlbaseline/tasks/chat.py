"""Prompts as turns of a conversation, written by a template of the model's own, as lm-evaluation-harness has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mlbaseline.records import Example, Scalar
from mlbaseline.tasks.prompting import Prompt, Prompting, answer_text

_MARK = "\ue000"
"""Stands for what differs between prompts; a private-use character of Unicode, which no template has."""


class Template(Protocol):
    """Writes a conversation as one text; sha256 names it."""

    @property
    def sha256(self) -> str: ...

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Write a conversation as a text. messages: role and content of each."""
        ...

    def ending(self) -> str:
        """Give what the template puts behind an assistant's answer."""
        ...


@dataclass(frozen=True, slots=True)
class ChatPrompting:
    """As `Prompting`, with the prompt as the user's message, solved examples in front of it included.

    turns: solved examples as earlier turns, (prompt, answer) of each. Nothing stands between a prompt and its answer:
    the template marks the turns.
    """

    prompting: Prompting
    template: Template
    system: str | None = None
    turns: tuple[tuple[str, str], ...] = ()

    def prompt(self, example: Example) -> Prompt:
        """Return the prompt of one example. Raises DataError if the template names a field that the example lacks."""
        return Prompt(self._context(self.prompting.prompt(example).context), example.choices)

    def solved(self, example: Example, labels: Sequence[str]) -> Prompt:
        """Return the prompt with the right answer as its only continuation: what a training learns from."""
        return Prompt(self.prompt(example).context, (answer_text(example, labels),))

    @property
    def shared_prefix(self) -> str:
        """What every prompt begins with."""
        return self._context(self.prompting.shared_prefix + _MARK).partition(_MARK)[0]

    @property
    def ending(self) -> str:
        return self.template.ending()

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the `prompt.*` fields of a signature: everything of a prompt that is not the example's."""
        turns = [text for turn in self.turns for text in turn]
        return {
            **Prompting(
                self.prompting.template, self.prompting.prefix + "".join(turns), self.prompting.shots
            ).signature_fields(),
            "prompt.choice_delimiter": "",
            "prompt.chat_template": self.template.sha256,
            "prompt.system": self.system,
            "prompt.multiturn": bool(self.turns),
        }

    def _context(self, message: str) -> str:
        messages = [("system", self.system)] if self.system is not None else []
        messages += [pair for prompt, answer in self.turns for pair in (("user", prompt), ("assistant", answer))]
        return self.template.render([{"role": r, "content": c} for r, c in (*messages, ("user", message))])
