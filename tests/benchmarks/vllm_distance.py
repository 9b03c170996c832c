"""How far endpoint rungs on `vllm serve` are from our engine: python -m tests.benchmarks.vllm_distance [--items 60]

Run it in the environment of `make test-vllm`. The packaged model and tweets; log-likelihoods of the choices in nats,
in each precision, beside those of our engine in the same precision, and what each says of the same tweets.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from mlbaseline.engine.scoring.choices import ChoiceScorer
from mlbaseline.models.checkpoints.checkpoint import load_checkpoint
from mlbaseline.models.endpoint import EndpointModel
from mlbaseline.models.endpoint.answer_journal import AnswerJournal
from mlbaseline.models.endpoint.protocols import make_request_format
from mlbaseline.records import Model
from mlbaseline.suite import Endpoint, Evaluation
from tests.benchmarks.tasks.scoring_items import MAX_LENGTH, Items, packaged_model, tweets
from tests.support.processes.servers import DTYPE_NAMES, vllm_server


def log_likelihoods(model: Model, items: Items) -> np.ndarray:
    """Items × choices, in nats."""
    answers = {answer.example_id: answer for answer in model.answer(items.examples)}
    return np.array([answers[example.id].loglik_nats for example in items.examples])


def by_ours(items: Items, precision: str) -> np.ndarray:
    checkpoint = load_checkpoint(packaged_model(), precision=precision, device="cpu")
    evaluation = Evaluation(max_length=MAX_LENGTH, latency_sample=0)
    return log_likelihoods(ChoiceScorer(checkpoint, items.prompting, items.labels, evaluation), items)


def by_vllm(items: Items, precision: str, folder: Path, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Two rounds of the same questions."""
    with vllm_server(packaged_model(), folder / "log", precision=precision, max_length=MAX_LENGTH) as url:
        rounds = []
        for number in range(2):
            spec = Endpoint(url=url, protocol="completions", model="m", timeout_s=120, **options)
            request_format = make_request_format(spec, items.prompting, ["text"], items.labels, None)
            journal = AnswerJournal(folder / f"{precision}-{number}.jsonl")
            rounds.append(log_likelihoods(EndpointModel(spec, request_format, journal, where="vllm"), items))
    return rounds[0], rounds[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=60)
    options = parser.parse_args()
    items = tweets(options.items)
    print("| precision | largest distance, nats | mean distance, nats | same predictions | vLLM twice, nats |")
    print("| --- | ---: | ---: | ---: | ---: |")
    fp32 = by_ours(items, "fp32")
    for precision in DTYPE_NAMES:
        ours = fp32 if precision == "fp32" else by_ours(items, precision)
        with tempfile.TemporaryDirectory() as folder:
            theirs, again = by_vllm(items, precision, Path(folder))
        distance, same = np.abs(theirs - ours), (theirs.argmax(1) == ours.argmax(1)).sum()
        twice = np.abs(theirs - again).max()
        print(f"| {precision} | {distance.max():.2g} | {distance.mean():.2g} | {same} of {len(ours)} | {twice:.2g} |")
        if precision != "fp32":
            own = np.abs(ours - fp32)
            same = (ours.argmax(1) == fp32.argmax(1)).sum()
            print(f"| ours, {precision} beside fp32 | {own.max():.2g} | {own.mean():.2g} | {same} of {len(ours)} | |")


if __name__ == "__main__":
    main()
