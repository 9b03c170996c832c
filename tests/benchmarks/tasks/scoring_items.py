"""What the scoring benchmarks ask: tweets, and two-choice sentences of PIQA's lengths; for us and for the harness."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlbaseline.assets import fetch
from mlbaseline.models.checkpoints.checkpoint import model_folder
from mlbaseline.records import Example
from mlbaseline.suite import Asset, Pretrained
from mlbaseline.suite.reading import load_suite
from mlbaseline.tasks.prompting import Prompting

TWEETS = "Tweet: {text}\nSentiment:"
SENTIMENTS = ("negative", "neutral", "positive")
GOALS = "Question: {text}\nAnswer:"
MAX_LENGTH = 512
"""Tokens of an input at most."""
CONTEXT_TOKENS, CHOICE_TOKENS, PREFIX_TOKENS, SHOTS = 13, 15, 188, 5
"""Of PIQA's validation items under SmolLM2's tokenizer, on average."""


@dataclass(frozen=True)
class Items:
    """A task for both: ours takes `examples` and `prompting`, the harness the same texts."""

    name: str
    prompting: Prompting
    examples: tuple[Example, ...]
    labels: tuple[str, ...]

    def write(self, folder: Path) -> Path:
        """The items as JSON lines, with the choices as columns of their own."""
        path = folder / f"{self.name}.jsonl"
        rows = [
            {
                "id": example.id,
                "text": example.fields["text"],
                "position": self.labels.index(example.target),
                "options": list(example.choices),
                **{f"option_{index}": choice for index, choice in enumerate(example.choices)},
            }
            for example in self.examples
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


def packaged_model() -> Path:
    """The folder of the packaged suite's 135M-parameter model."""
    suite = load_suite("tweets")
    spec = suite.baselines["zero_shot"]
    assert isinstance(spec, Pretrained)
    return model_folder(fetch(spec.model, root=suite.root).path)


def scoring_tasks(n: int, tokenizer: Any) -> list[Items]:
    """The tasks of `bench_scoring`, n items each."""
    return [tweets(n), sentences(n, tokenizer), sentences(n, tokenizer, shots=5)]


def tweets(n: int) -> Items:
    """One-token choices behind a tweet: about 35 tokens a prompt."""
    rows = _rows()[:n]
    examples = tuple(
        Example(f"t{index:05}", {"text": row["text"]}, row["sentiment"], SENTIMENTS) for index, row in enumerate(rows)
    )
    return Items("tweets", Prompting(TWEETS), examples, SENTIMENTS)


def sentences(n: int, tokenizer: Any, *, shots: int = 0) -> Items:
    """Two choices of several tokens, as PIQA has them, without its texts, which lie on a hub.

    Goals and answers are the words of tweets, strung together until they have as many tokens as was drawn for them:
    log-normal, with PIQA's means; the two answers of an item are alike in length, as PIQA's are. What the words mean
    does not matter to the time they take. The shots are drawn in the same way, of the length that makes PIQA's prefix.
    """
    draw, words = random.Random(11), _words()

    def text(mean_tokens: float, of: str) -> str:
        wanted = max(1, round(mean_tokens * draw.lognormvariate(-0.08, 0.4)))
        taken: list[str] = []
        while len(tokenizer(of.format(text=" ".join(taken)))["input_ids"]) < wanted:
            taken.append(next(words))
        return " ".join(taken)

    examples = []
    for index in range(n):
        goal, length = text(CONTEXT_TOKENS, GOALS), CHOICE_TOKENS * draw.lognormvariate(-0.08, 0.4)
        choices = (text(length, " {text}"), text(length, " {text}"))
        examples.append(Example(f"s{index:05}", {"text": goal}, draw.choice("01"), choices))
    each = PREFIX_TOKENS / SHOTS - 2
    prefix = "".join(
        f"{GOALS.format(text=text(each * 0.45, GOALS))} {text(each * 0.55, ' {text}')}\n\n" for _ in range(shots)
    )
    return Items(f"sentences_{shots}_shot", Prompting(GOALS, prefix), tuple(examples), ("0", "1"))


def _rows() -> list[dict[str, str]]:
    suite = load_suite("tweets")
    data = suite.task.data
    assert data.source is not None
    path = fetch(Asset(source=data.source, sha256=data.sha256), root=suite.root).path
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file))
    random.Random(3).shuffle(rows)
    return rows


def _words() -> Iterator[str]:
    for row in itertools.cycle(_rows()):
        yield from row["text"].split()
