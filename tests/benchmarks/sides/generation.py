"""Texts in one way that a suite may name: python -m tests.benchmarks.sides.generation PRECISION ITEMS NEW_TOKENS WAY"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from tests.benchmarks.sides.process import Round, Side, Spent, serve_rounds


@dataclass(frozen=True)
class Work:
    """What each way generates: so many tweets continued by so many tokens."""

    precision: str
    items: int
    new_tokens: int

    def start(self, way: str, python: str, threads: int) -> Side:
        """Start the process of a way."""
        return Side(python, "generation", [self.precision, str(self.items), str(self.new_tokens), way], threads)


@dataclass(frozen=True)
class Generated:
    """What a round took and generated: example id ─▶ text, and how many tokens they are."""

    spent: Spent
    texts: dict[str, str]
    tokens: int

    @classmethod
    def read(cls, done: Round) -> Generated:
        """Read it from a round."""
        return cls(done.spent, **done.found)

    def tokens_per(self, clock: str) -> float:
        """Return tokens per second. clock: `wall_s` or `cpu_s`."""
        return self.tokens / float(getattr(self.spent, clock))


def make_generate(precision: str, n: int, new_tokens: int, way: str) -> Callable[[str], object]:
    """Return a function that generates all texts."""
    from mlbaseline.engine.generation.generator import Generator
    from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
    from mlbaseline.suite import Evaluation
    from mlbaseline.tasks.decoding import Decoding
    from tests.benchmarks.tasks.scoring_items import packaged_model, tweets

    items = tweets(n)
    evaluation = Evaluation(max_length=512, latency_sample=0, generate_with=way)
    checkpoint = load_checkpoint(packaged_model(), precision=precision, device="cpu")
    generator = Generator(checkpoint, items.prompting, Decoding(max_new_tokens=new_tokens), evaluation)
    del checkpoint

    def generate(_: str) -> object:
        answers = list(generator.answer(items.examples))
        failed = [answer.error for answer in answers if answer.error]
        if failed:
            raise RuntimeError(f"{way}: {failed[0]}")
        texts = {answer.example_id: str(answer.prediction) for answer in answers}
        return {"texts": texts, "tokens": sum(answer.tokens_out for answer in answers)}

    return generate


if __name__ == "__main__":
    precision, items, new_tokens, way = sys.argv[1:]
    serve_rounds(lambda: make_generate(precision, int(items), int(new_tokens), way))
