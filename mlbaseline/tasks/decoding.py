"""How a text is continued, and what of the continuation is the answer."""

from __future__ import annotations

from dataclasses import dataclass

from mlbaseline.records import Scalar
from mlbaseline.suite import GenerateTask
from mlbaseline.untrusted import TimedPattern


@dataclass(frozen=True, slots=True)
class Decoding:
    """Options of a generation, as `suite.GenerateTask` has them."""

    max_new_tokens: int
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    samples: int = 1
    extract: str | None = None

    @classmethod
    def of(cls, task: GenerateTask) -> Decoding:
        return cls(task.max_new_tokens, task.stop, task.temperature, task.samples, task.extract)

    def cut(self, text: str) -> str:
        """Return the text up to where the first stop sequence begins, as lm-evaluation-harness cuts it."""
        return text[: min((place for stop in self.stop if (place := text.find(stop)) >= 0), default=len(text))]

    def answer_in(self, text: str) -> str:
        """Return the answer in a text that was cut.

        It is the first match of `extract`, or that match's first group; without `extract`, all of the text. It has no
        white space around it, and is empty where nothing matches. Raises DataError where the pattern searches without
        end.
        """
        if self.extract is None:
            return text.strip()
        match = TimedPattern(self.extract, "task.extract").search(text)
        return "" if match is None else (match[min(1, match.re.groups)] or "").strip()  # a group may take no part

    def signature_fields(self) -> dict[str, Scalar]:
        """Return the `generation.*` fields of a signature: all that decides a text, beside prompt and model."""
        return {
            "generation.max_new_tokens": self.max_new_tokens,
            "generation.stop": "\n".join(map(repr, self.stop)),
            "generation.temperature": self.temperature,
            "generation.samples": self.samples,
            "generation.extract": self.extract,
        }
