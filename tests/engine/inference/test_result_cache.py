"""An evaluation that was killed, resumed or damaged gives the scores of one that was not."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mlbaseline.cache import cache_dir
from mlbaseline.engine.inference.execution import Execution
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import Checkpoint, load_checkpoint
from mlbaseline.records import Answer, Example
from mlbaseline.suite import Evaluation
from mlbaseline.tasks.prompting import Prompting
from tests.support.ladders.choice_task import LABELS, PHRASES, SHOTS, TEMPLATE, make_examples

pytestmark = pytest.mark.usefixtures("own_cache")
FIELDS = {"weights": "a", "engine.precision": "fp32"}
EVALUATION = Evaluation(batch_tokens=128, max_length=200, latency_sample=0)
PROMPTING = Prompting(TEMPLATE, SHOTS)
N = 60


@contextmanager
def counting_examples(model: Any) -> Iterator[list[int]]:
    """Collect how many positions each pass predicts: one for each example with choices of one token."""
    counts: list[int] = []
    hook = model.get_output_embeddings().register_forward_hook(lambda _, inputs, __: counts.append(inputs[0].shape[1]))
    try:
        yield counts
    finally:
        hook.remove()


def answers_of(
    checkpoint: Checkpoint,
    examples: tuple[Example, ...],
    cache: ResultCache | None,
    evaluation: Evaluation = EVALUATION,
) -> dict[str, Answer]:
    answers = list(ChoiceScorer(checkpoint, PROMPTING, LABELS, evaluation, Execution(cache)).answer(examples))
    assert len(answers) == len(examples)
    return {answer.example_id: answer for answer in answers}


def scores_of(answers: dict[str, Answer]) -> dict[str, tuple[float, ...]]:
    return {key: answer.loglik_nats for key, answer in answers.items()}


def test_cached_results_are_not_computed_and_keep_their_cost(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=N)
    first = answers_of(checkpoint, examples, ResultCache(FIELDS))
    with counting_examples(checkpoint.model) as counts:
        second = answers_of(checkpoint, examples, ResultCache(FIELDS))
    assert {key: replace(answer, batch=None) for key, answer in second.items()} == {
        key: replace(answer, batch=None) for key, answer in first.items()
    }
    assert counts == [1], "the shared prefix alone is computed"
    assert all(answer.batch is not None and answer.batch >= 0 for answer in first.values())
    assert all(answer.batch is not None and answer.batch < 0 for answer in second.values()), "of an earlier session"
    together = [{key for key, answer in run.items() if answer.batch == run["e000"].batch} for run in (first, second)]
    assert together[0] == together[1], "who shared a batch is known still"


def test_another_models_scores_are_never_taken(checkpoint: Checkpoint, tiny_model: Path) -> None:
    examples = make_examples(PHRASES, n=N)
    answers_of(checkpoint, examples, ResultCache(FIELDS))
    other = load_checkpoint(tiny_model, precision="fp32", device="cpu")
    with torch.no_grad():
        other.model.get_input_embeddings().weight.mul_(1.5)
    expected = scores_of(answers_of(other, examples, None))
    for fields in ({**FIELDS, "weights": "b"}, {**FIELDS, "engine.precision": "bf16"}):
        assert scores_of(answers_of(other, examples, ResultCache(fields))) == expected


def test_fresh_computes_all_again(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=N)
    answers_of(checkpoint, examples, ResultCache(FIELDS))
    with counting_examples(checkpoint.model) as counts:
        answers_of(checkpoint, examples, ResultCache(FIELDS, fresh=True))
    assert len(counts) > 3
    with counting_examples(checkpoint.model) as counts:
        answers_of(checkpoint, examples, ResultCache(FIELDS))
    assert counts == [1]


def test_a_changed_example_alone_is_computed(checkpoint: Checkpoint) -> None:
    examples = make_examples(("a", "b", "c"), n=N)
    before = scores_of(answers_of(checkpoint, examples, ResultCache(FIELDS)))
    longer = "quite another and rather longer text than it was before, so that it goes to another batch"
    changed = (*examples[:7], replace(examples[7], fields={"text": longer}), *examples[8:])
    with counting_examples(checkpoint.model) as counts:
        after = scores_of(answers_of(checkpoint, changed, ResultCache(FIELDS)))
    assert counts == [1, 2], "the shared prefix, and the positions of one example"
    assert {key for key in after if after[key] != before[key]} == {examples[7].id}


def test_the_same_text_under_another_id_is_another_example(checkpoint: Checkpoint) -> None:
    answers_of(checkpoint, make_examples(n=4), ResultCache(FIELDS))
    with counting_examples(checkpoint.model) as counts:
        answers_of(checkpoint, make_examples(n=4, prefix="f"), ResultCache(FIELDS))
    assert len(counts) > 1


KILLED = """
import os, signal, sys
from pathlib import Path
from mlbaseline.engine.inference.result_cache import ResultCache
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from tests.support.ladders.choice_task import PHRASES, make_examples
from tests.engine.inference.test_result_cache import FIELDS, N, answers_of

checkpoint = load_checkpoint(Path(sys.argv[1]), precision="fp32", device="cpu")
for passes in sys.argv[2:]:
    if child := os.fork():
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or status == 0, status
        continue
    left = [int(passes)]
    def count(*_):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    checkpoint.model.get_output_embeddings().register_forward_pre_hook(count)
    answers_of(checkpoint, make_examples(PHRASES, n=N), ResultCache(FIELDS))
    os._exit(0)
"""


def test_killed_ten_times_and_resumed_gives_the_same_bits(checkpoint: Checkpoint, tiny_model: Path) -> None:
    examples = make_examples(PHRASES, n=N)
    expected = scores_of(answers_of(checkpoint, examples, ResultCache({"weights": "undisturbed"})))
    draw = random.Random(4)
    passes = [str(draw.randint(1, 4)) for _ in range(10)]
    subprocess.run([sys.executable, "-c", KILLED, str(tiny_model), *passes], check=True, timeout=120)
    kept = ResultCache(FIELDS)
    with counting_examples(checkpoint.model) as counts:
        assert scores_of(answers_of(checkpoint, examples, kept)) == expected
    with counting_examples(checkpoint.model) as all_counts:
        answers_of(checkpoint, examples, None)
    assert len(counts) < len(all_counts), "some results of the killed processes were cached"


def cache_file() -> Path:
    (path,) = (cache_dir() / "passes").iterdir()
    return path


@pytest.mark.parametrize("damage", ["a flipped digit", "a torn end", "garbage"])
def test_a_damaged_entry_is_noticed_and_computed_again(
    checkpoint: Checkpoint, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    examples = make_examples(PHRASES, n=N)
    expected = scores_of(answers_of(checkpoint, examples, ResultCache(FIELDS)))
    path = cache_file()
    lines = path.read_bytes().splitlines(keepends=True)
    if damage == "a flipped digit":
        place = lines[3].index(b" -") + 2
        lines[3] = lines[3][:place] + (b"1" if lines[3][place : place + 1] != b"1" else b"2") + lines[3][place + 1 :]
        path.write_bytes(b"".join(lines))
    elif damage == "a torn end":
        path.write_bytes(b"".join(lines)[:-40])
    else:
        path.write_bytes(b"\x00\xff\xfe" * 50 + b"".join(lines[2:]))
    for counted in ([1, None], [1]):
        with counting_examples(checkpoint.model) as counts:
            assert scores_of(answers_of(checkpoint, examples, ResultCache(FIELDS))) == expected
        assert len(counts) == len(counted), "one batch, and nothing the next time"
    assert "damaged" in caplog.text


def test_errors_are_not_kept(checkpoint: Checkpoint) -> None:
    examples = make_examples(PHRASES, n=8)
    expected = scores_of(answers_of(checkpoint, examples, None))
    marked = checkpoint.tokenizer(TEMPLATE.format(**examples[4].fields))["input_ids"][-9:]

    def fail(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        ids = inputs[0][0].tolist()
        if any(ids[start : start + 9] == marked for start in range(len(ids))):
            raise RuntimeError("not today")

    hook = checkpoint.model.get_input_embeddings().register_forward_pre_hook(fail)
    broken = answers_of(checkpoint, examples, ResultCache(FIELDS))
    hook.remove()
    assert [key for key, answer in broken.items() if answer.error] == [examples[4].id]
    mended = answers_of(checkpoint, examples, ResultCache(FIELDS))
    assert all(answer.error is None for answer in mended.values())
    assert mended[examples[4].id].loglik_nats == pytest.approx(expected[examples[4].id], abs=1e-5)
