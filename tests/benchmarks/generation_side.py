"""One way to generate texts, in a process that is told when: python -m tests.benchmarks.generation_side WAY …

Each line on stdin is a round; each line on stdout says in JSON how long it took and what was generated. The process may
be of another environment: vLLM brings its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass
from time import perf_counter
from typing import Any


@dataclass(frozen=True)
class Work:
    """What each way generates: so many tweets continued by so many tokens, so many times each, at a temperature."""

    precision: str
    threads: int
    items: int
    new_tokens: int
    way: str

    @property
    def words(self) -> list[str]:
        return [self.precision, str(self.threads), str(self.items), str(self.new_tokens), self.way]


@dataclass(frozen=True)
class Round:
    """What one round took, and what it generated: example id ─▶ text."""

    wall_s: float
    tokens: int
    texts: dict[str, str]

    @property
    def tokens_per_s(self) -> float:
        return self.tokens / self.wall_s


class Side:
    """A process that generates in one way, from its start until `close`."""

    def __init__(self, python: str, work: Work) -> None:
        """Start it, and wait until it has generated once."""
        environment = {**os.environ, "OMP_NUM_THREADS": str(work.threads), "HF_HUB_OFFLINE": "1"}
        command = [python, "-m", "tests.benchmarks.generation_side", *work.words]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=environment)
        self.next_round()

    def next_round(self) -> Round:
        """Generate everything once."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"generation_side: exit code {self._process.wait()}")
        return Round(**json.loads(line))

    def close(self) -> None:
        """Let it end."""
        self._process.communicate()


def main() -> None:
    precision, threads, items, new_tokens, way = sys.argv[1:]
    out = sys.stdout
    with redirect_stdout(sys.stderr):
        import torch

        torch.set_num_threads(int(threads))
        generate = make_generate(precision, int(items), int(new_tokens), way)
        for _ in sys.stdin:
            started = perf_counter()
            texts, tokens = generate()
            print(
                json.dumps({"wall_s": perf_counter() - started, "tokens": tokens, "texts": texts}), file=out, flush=True
            )


def make_generate(precision: str, n: int, new_tokens: int, way: str) -> Any:
    """Return a function that generates all texts, and returns them with the number of their tokens."""
    from mlbaseline.engine.generation.generator import Generator
    from mlbaseline.models.checkpoint import load_checkpoint
    from mlbaseline.suite import Evaluation
    from mlbaseline.tasks.decoding import Decoding
    from tests.benchmarks.scoring_items import packaged_model, tweets

    items = tweets(n)
    evaluation = Evaluation(max_length=512, latency_sample=0, generate_with=way)
    checkpoint = load_checkpoint(packaged_model(), precision=precision, device="cpu")
    generator = Generator(checkpoint, items.prompting, Decoding(max_new_tokens=new_tokens), evaluation)
    del checkpoint

    def generate() -> tuple[dict[str, str], int]:
        answers = list(generator.answer(items.examples))
        failed = [answer.error for answer in answers if answer.error]
        if failed:
            raise RuntimeError(f"{way}: {failed[0]}")
        return {answer.example_id: str(answer.prediction) for answer in answers}, sum(a.tokens_out for a in answers)

    return generate


if __name__ == "__main__":
    main()
