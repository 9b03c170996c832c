"""Suite files with mistakes: every problem is named at once, with its place and what was probably meant."""

from __future__ import annotations

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.metrics import METRICS
from mlbaseline.suite.node import CORPUS_METRICS
from mlbaseline.suite.reading import load_suite, parse_suite
from tests.support.ladders.tweets_suite import GENERATE, problems_of


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        (
            "{column: w, slice: topic, mix: {a: 0.5, b: 0.5}}",
            "give a `column` with weights, or a `slice` and its `mix`",
        ),
        ("{slice: topic}", "give a `column` with weights, or a `slice` and its `mix`"),
        ("{slice: topic, mix: {airline: 0.5, other: 0.4}}", "expected shares that add up to 1, got a sum of 0.9"),
        ("{slice: subject, mix: {airline: 0.5, other: 0.5}}", "matrix.weights.slice: unknown slice 'subject'"),
    ],
)
def test_weights_are_a_column_or_the_mix_of_a_slice(weights: str, expected: str) -> None:
    assert expected in "\n".join(problems_of(("matrix:\n", f"matrix:\n  weights: {weights}\n")))


def test_what_is_no_mean_cannot_be_weighted() -> None:
    weighted = "matrix:\n", "matrix:\n  weights: {column: w}\n"
    problems = problems_of(weighted, ("metric: accuracy", "metric: macro_f1"))
    assert all(
        "'macro_f1' is no mean of a score per example, and cannot be weighted" in problem for problem in problems
    )
    assert set(CORPUS_METRICS) == {name for name, metric in METRICS.items() if metric.corpus is not None}


def test_what_a_judge_scores_cannot_be_weighted() -> None:
    metric = "{helpful: {rubric: How good, judge: {function: 'judges:score'}}}"
    weighted = f"metrics: [{metric}]\nmatrix: {{weights: {{column: w}}, "
    with pytest.raises(SuiteError, match="'helpful' is judged, and cannot be weighted"):
        parse_suite(GENERATE.replace("matrix: {", weighted))


def test_all_problems_are_reported_at_once_with_line_and_path() -> None:
    found = problems_of(
        ("kind: peft,", "kind: peft, lr: 1,"),
        ("kind: human", "kind: humn"),
        ("candidate: full, over: [majority", "candidate: ful, over: [majority"),
        ("batch_tokens: 4096", "batch_tokens: many"),
    )
    text = "\n".join(found)
    assert len(found) == 4
    assert all(problem.startswith("line ") for problem in found)
    for expected in (
        "baselines.lora.lr: unknown key, got 1",
        "baselines.annotator.kind: expected one of trivial, pretrained, production, peft, full, "
        "external, human, got 'humn'",
        "matrix.primary.1.candidate: unknown baseline 'ful'; the suite has: majority",
        "evaluation.batch_tokens: input should be a valid integer",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("base: zero_shot", "base: majority", "a fine-tune starts from a pretrained one"),
        ("base: zero_shot", "base: nothing", "unknown baseline 'nothing'"),
        ("base: zero_shot", "base: zeroshot", "lora, full, annotator, champion; did you mean 'zero_shot'?"),
        ("metric: accuracy", "metric: brier", "'brier' is not among the suite's metrics"),
        ("metrics: [accuracy", "metrics: [acuracy", "got 'acuracy'; did you mean 'accuracy'?"),
        ("metrics: [accuracy", "metrics: [null", "'accuracy' is not among the suite's metrics"),
        ("strategy: majority", "stratgy: majority", "unknown key, got 'majority'; did you mean 'strategy'?"),
        ("metrics: [", "metricz: [", "'ece']; did you mean 'metrics'?"),
        ("batch_tokens: 4096", "batch_token: 4096", "unknown key, got 4096; did you mean 'batch_tokens'?"),
        ("kind: peft,", "kind: peft, epoch: 3,", "baselines.lora.epoch: unknown key, got 3; did you mean 'epochs'?"),
        ("train: 256", "trian: 256", "task.split.trian: unknown key, got 256; did you mean 'train'?"),
        ("kind: choice", "kind: Chioce", "lm_eval, got 'Chioce'; did you mean 'choice'?"),
        ("kind: human", "kind: humn", "human, got 'humn'; did you mean 'human'?"),
        ("method: lora", "method: lorra", "or `train`, got 'lorra'; did you mean 'lora'?"),
        ("default: neutral", "default: netral", "'positive']; did you mean 'neutral'?"),
        ("seeds: [0, 1, 2]", "seeds: 0", "expected a list of whole numbers, such as [0, 1, 2], got 0"),
        ("over: [majority, zero_shot]", "over: majority", "expected a list, such as [majority], got 'majority'"),
        ("cost:", "cost: 3 #", "cost: expected a mapping with keys of its own, got 3"),
        ("seeds: [0, 1, 2]", "seeds:\n\t- 0", "Use spaces, which alone make the levels of YAML"),
        ("seeds: [0, 1, 2]", "seeds: [0, 1, 0]", "seeds must differ"),
        ("seeds: [0, 1, 2]", "seeds: []", "at least 1 item"),
        ("over: [majority, zero_shot]", "over: [majority, lora]", "'lora' cannot be compared with itself"),
        (
            "choices: [negative, neutral, positive]",
            "choices: [negative]",
            "at least 2 items, got ['negative']",
        ),
        ("choices: [negative, neutral", "choices: [null, neutral", "got nothing, which is how YAML reads null"),
        ("metrics: [accuracy", "metrics: [f1", "got 'f1'; did you mean 'macro_f1'?"),
        ("format: csv", "format: cvs", "got 'cvs'; did you mean 'csv'?"),
        ("      source: pip", "      path: pip", "did you mean 'source', which is missing here?"),
        ("column: confidence", "columm: confidence", "did you mean 'column'?"),
        ("choices: [negative, neutral, positive]", "choices: [a, b, b]", "choices must differ"),
        ("split: {train", "target_map: {good: nice}\n  split: {train", "target_map.good: expected one of `choices`"),
        ("split: {train", "target_map: {neutral: positive}\n  split: {train", "neutral: is a choice itself"),
        ("choices: [negative, neutral", "choices: [yes, neutral", "YAML reads yes, no, on and off as truth values"),
        ("choices: [negative, neutral", "choices: [1, neutral", "got the number 1; put it in quotes"),
        ("split: {train", "splits: {train", "task.splits: unknown key"),
        ("test: 300", "test: 0.5, dev: 0.6", "stands twice in the same mapping"),
        ("train: 256, dev: 120, test: 300", "train: 0.6, dev: 0.3, test: 0.3", "add up to more than 1"),
        ("test: 300", "test: 300.5", "must be whole"),
        ("bins: [0, 0.7, 0.95, 1]", "bins: [0, 0.95, 0.7, 1]", "ascending"),
        ("labels: [ambiguous, mixed, clear]", "labels: [ambiguous, clear]", "4 edges make 3 bins, got 2 labels"),
        ("length: {column: text, quantiles: 3}", "length: {column: text, quantiles: 3, bins: [0, 1]}", "give one of"),
        ("(?i)apple|iphone|ipad", "(?i)apple|(iphone", "not a regular expression"),
        ("default: neutral", "default: meh", "label 'meh' is not among the choices"),
        ("strategy: majority", "strategy: majority, default: neutral", "go with strategy `keyword`"),
        ("sha256: b179", "sha256: zzzz", "string should match pattern"),
        ("shots: 4", "shots: -1", "greater than 0"),
        ("name: tweets", "name: [", "not valid YAML"),
        ("name: tweets", "name: tweets: two", "mapping values are not allowed here. A text with a colon in it needs"),
        ("name: tweets", 'name: "tweets', "A quote is not closed before it"),
        ("seeds: [0, 1, 2]", "seeds: [0, 1, 2", "A bracket, brace or comma is missing"),
        ("  kind: choice", "   kind: choice", "Keys of one level begin in the same column"),
        ("level: 0.95", "level: .nan", "matrix.level"),
        ("zero_shot], metric: accuracy, margin: 0.0}", "zero_shot], metric: ece}", "Decide by 'nll_nats' or 'brier'"),
        ("correction: holm", "correction: holm\n  winner_by: ece", "matrix.winner_by: 'ece' decides nothing"),
        ("correction: holm", "correction: holm\n  winner_by: mcc", "'mcc' is not among the suite's metrics"),
    ],
)
def test_bad_values_are_named(old: str, new: str, expected: str) -> None:
    assert any(expected in problem for problem in problems_of((old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [("metrics: [accuracy", "metrics: [acuracy"), ("strategy: majority", "strategy: majoriti")],
)
def test_a_misspelt_name_is_one_problem_whatever_names_it_rightly(old: str, new: str) -> None:
    (problem,) = problems_of((old, new))
    assert problem.endswith(f"did you mean {old.rsplit(maxsplit=1)[-1].strip('[')!r}?")


def test_a_prompt_that_yaml_reads_as_a_mapping_needs_quotes() -> None:
    with pytest.raises(SuiteError, match=r"task\.prompt: expected a text, got \{'text': None\}: .* in quotes"):
        parse_suite(GENERATE.replace('"Q: {text}"', "{text}"))


def test_items_that_are_wrong_are_not_missing_as_well() -> None:
    found = "\n".join(problems_of(("choices: [negative, neutral, positive]", "choices: [yes, negative]")))
    assert "choices.0: expected a text" in found
    assert "at least 2 items" not in found


def test_a_slice_needs_two_examples_to_be_compared() -> None:
    (problem,) = problems_of(("level: 0.95", "level: 0.95, min_slice_examples: 1".replace(", ", "\n  ")))
    assert "matrix.min_slice_examples: input should be greater than or equal to 2, got 1" in problem
    assert load_suite("tweets").matrix.min_slice_examples == 20
