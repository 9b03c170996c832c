"""The suite file: what is accepted, and that every problem is named at once with its place."""

from __future__ import annotations

import re
from contextlib import nullcontext
from importlib import resources

import pytest
import yaml

from mlbaseline.errors import SuiteError
from mlbaseline.metrics import METRICS
from mlbaseline.suite import Full, Pretrained, Shots, Suite
from mlbaseline.suite.decision import Matrix
from mlbaseline.suite.node import CORPUS_METRICS
from mlbaseline.suite.reading import load_suite, packaged_suites, parse_suite

TEXT = (resources.files("mlbaseline.suites") / "tweets.yaml").read_text(encoding="utf-8")


def problems_of(*replacements: tuple[str, str]) -> list[str]:
    text = TEXT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    with pytest.raises(SuiteError) as caught:
        parse_suite(text)
    return list(caught.value.problems)


def test_packaged_suites_are_valid() -> None:
    assert "tweets" in packaged_suites()
    for name in packaged_suites():
        assert load_suite(name).name


def test_shots_as_a_number_mean_the_first_of_train() -> None:
    few_shot = load_suite("tweets").baselines["few_shot"]
    assert isinstance(few_shot, Pretrained)
    assert few_shot.shots == Shots(k=4, sample="first")


def test_digest_depends_on_content_alone(tmp_path) -> None:
    copy = tmp_path / "elsewhere.yaml"
    copy.write_text("# a comment\n" + TEXT, encoding="utf-8")
    assert load_suite(copy).digest == load_suite("tweets").digest
    copy.write_text(TEXT.replace("encoding_errors: replace", "encoding_errors: strict"), encoding="utf-8")
    assert load_suite(copy).digest == load_suite("tweets").digest, "what was read is in the digest of the data"
    copy.write_text(TEXT.replace("seed: 13", "seed: 14"), encoding="utf-8")
    assert load_suite(copy).digest != load_suite("tweets").digest


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


def test_matrix_digest_covers_the_rules_of_the_decision_and_nothing_else() -> None:
    suite = parse_suite(TEXT)
    assert parse_suite(TEXT.replace("epochs: 2", "epochs: 3")).matrix_digest == suite.matrix_digest
    for old, new in (
        ("margin: 0.0", "margin: 0.01"),
        ("min_seeds: 3", "min_seeds: 2"),
        ("seeds: [0, 1, 2]", "seeds: [0, 1]"),
    ):
        assert parse_suite(TEXT.replace(old, new)).matrix_digest != suite.matrix_digest
    assert "winner_by" not in suite.matrix.model_dump()  # of a suite of before it is the same digest


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
        ("choices: [negative, neutral, positive]", "choices: [negative]", "at least 2 items"),
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


def test_items_that_are_wrong_are_not_missing_as_well() -> None:
    found = "\n".join(problems_of(("choices: [negative, neutral, positive]", "choices: [yes, negative]")))
    assert "choices.0: expected a text" in found
    assert "at least 2 items" not in found


def test_a_text_stands_for_an_asset() -> None:
    source = TEXT.partition("model: &smollm2\n")[2].partition("source: ")[2].partition("\n")[0]
    written = re.sub(r"&smollm2\n.*\n.*\n", f"&smollm2 {{source: '{source}'}}\n", TEXT)
    short, long = parse_suite(written.replace(f"{{source: '{source}'}}", f"'{source}'")), parse_suite(written)
    assert short.text != long.text
    assert short.baselines == long.baselines
    assert short.digest == long.digest


def test_neither_file_nor_packaged_suite(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SuiteError, match="no packaged suite of that name"):
        load_suite("nothing")
    with pytest.raises(SuiteError, match=r"no such file$"):
        load_suite("tickets.yml")
    (tmp_path / "tickets.yaml").write_text(TEXT, encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("", encoding="utf-8")
    expected = r"no such file.*; \S+ has: tickets\.yaml; did you mean 'tickets\.yaml'\?$"
    for meant in ("tickets.yml", "tickets", str(tmp_path / "tickets"), f"../{tmp_path.name}/tickets"):
        with pytest.raises(SuiteError, match=expected):
            load_suite(meant)
    with pytest.raises(SuiteError, match=r"no packaged suite of that name .*; did you mean 'tweets'\?$"):
        load_suite("tweetz")
    for inside in ("lm_eval/sums", "templates/choice"):
        with pytest.raises(SuiteError, match=r"no such file$"):
            load_suite(inside)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SuiteError, match="cannot be read"):
        load_suite(binary)


def test_not_a_mapping() -> None:
    with pytest.raises(SuiteError, match="expected a mapping"):
        parse_suite("3")


BASELINE = """
name: t
task:
  kind: choice
  data: {{source: r.csv}}
  columns: {{text: a, target: b}}
  prompt: "R: {{text}}"
  choices: [bad, good]
  split: {{train: 4, dev: 2, test: 4, seed: 1}}
baselines:
  zero_shot: {{kind: pretrained, model: {{source: m}}}}
  x: {{{x}}}
"""
PEFT = "kind: peft, base: zero_shot, learning_rate: 1.0e-3"


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (f"{PEFT}, method: lora, virtual_tokens: 3", "baselines.x.virtual_tokens: unknown key, got 3; other parts"),
        (f"{PEFT}, method: ia3, rank: 3", "baselines.x.rank: unknown key"),
        (f"{PEFT}, method: prompt_tuning, dora: true", "baselines.x.dora: unknown key"),
        (f"{PEFT}, method: lorra", "baselines.x.method: expected one of lora, ia3, prompt_tuning, prefix_tuning, peft"),
        (PEFT, "baselines.x.method: expected one of lora"),
        (f"{PEFT}, method: prefix_tuning, gradient_checkpointing: true", "drops keys and values"),
        (f"{PEFT}, method: ia3, target_modules: [q_proj]", "give both `target_modules` and `feedforward_modules`"),
        (f"{PEFT}, method: lora, training: {{}}", "baselines.x.training.processes: is missing"),
        (f"{PEFT}, method: lora, training: {{processes: 2, offload: true}}", "leaves all weights on every device"),
        (f"{PEFT}, method: lora, batch_size: 2, training: {{processes: 3}}", "training.processes: expected at most 2"),
        (f"{PEFT}, method: peft", "baselines.x.config: is missing"),
        (f"{PEFT}, method: peft, config: VeraConfig, options: {{task_type: A}}", "task_type: not for the suite to set"),
        ("kind: peft, adapter: {source: a}, base: nobody", "baselines.x.base: unknown baseline 'nobody'"),
        ("kind: peft, adapter: {source: a}, base: zero_shot, epochs: 2", "baselines.x.epochs: unknown key"),
        ("kind: full, model: {source: a}, learning_rate: 1", "baselines.x.learning_rate: unknown key"),
    ],
)
def test_options_of_another_fine_tune_are_errors_at_their_path(x: str, said: str) -> None:
    with pytest.raises(SuiteError, match=re.escape(said)):
        parse_suite(BASELINE.format(x=x))


@pytest.mark.parametrize(
    ("x", "precision", "is_refused"),
    [
        (f"{PEFT}, method: lora, training: {{processes: 2, strategy: fsdp}}", "int4", True),
        ("kind: full, base: zero_shot, learning_rate: 1, training: {processes: 2, strategy: fsdp}", "int4", False),
        (f"{PEFT}, method: lora, training: {{processes: 2, strategy: fsdp}}", "fp16", True),
        (f"{PEFT}, method: lora, training: {{processes: 2}}", "fp16", False),
    ],
)
def test_weights_are_split_in_precisions_that_can_be_split(x: str, precision: str, is_refused: bool) -> None:
    text = BASELINE.format(x=x) + f"evaluation: {{precision: {precision}}}\n"
    refused = pytest.raises(SuiteError, match=r"baselines\.x\.training\.strategy: expected ddp")
    with refused if is_refused else nullcontext():
        parse_suite(text)


@pytest.mark.parametrize(
    ("x", "kind", "is_random", "method"),
    [
        (f"{PEFT}, method: lora, dora: true, rslora: true", "Lora", True, "lora rslora dora"),
        (f"{PEFT}, method: peft, config: VeraConfig, options: {{r: 4}}", "OtherPeft", True, "Vera"),
        ("kind: peft, adapter: {source: a}, base: zero_shot", "ReadyAdapter", False, "adapter, ready"),
        ("kind: full, model: {source: a}", "ReadyModel", False, "full, ready"),
    ],
)
def test_a_fine_tune_is_told_by_what_it_names(x: str, kind: str, is_random: bool, method: str) -> None:
    suite = parse_suite(BASELINE.format(x=x))
    spec = suite.baselines["x"]
    assert (type(spec).__name__, spec.is_random, spec.method_name) == (kind, is_random, method)
    text = yaml.safe_dump(suite.model_dump(mode="json", exclude_none=True))
    assert parse_suite(text).digest == suite.digest, "as it is kept beside its results"


OPEN = """
name: open
task:
  kind: {kind}
  data: {{source: data.csv}}
  columns: {columns}
  split: {{test: 10}}{options}
baselines:
  rule: {{kind: trivial, strategy: stratified}}
  zero_shot: {{kind: pretrained, model: {{source: model}}}}
  full: {{kind: full, base: zero_shot, learning_rate: 1.0e-3}}
matrix: {{primary: [{{candidate: full, over: [rule]}}]}}
"""
GENERATE = OPEN.format(kind="generate", columns="{text: text, target: answer}", options='\n  prompt: "Q: {text}"')
PERPLEXITY = OPEN.format(kind="perplexity", columns="{text: text}", options="")


@pytest.mark.parametrize(
    ("text", "metric"), [(GENERATE, "exact_match"), (PERPLEXITY, "byte_perplexity")], ids=["generate", "perplexity"]
)
def test_what_is_left_out_follows_from_the_kind_of_the_task(text: str, metric: str) -> None:
    suite = parse_suite(text)
    assert suite.metrics == (metric,)
    assert suite.matrix.primary[0].metric == metric
    full = suite.baselines["full"]
    assert isinstance(full, Full)
    assert full.select == "nll_nats"
    assert parse_suite(text.replace("1.0e-3}", "1.0e-3, select: " + metric + "}")).digest != suite.digest


def test_a_rung_runs_once_a_seed_where_its_answers_are_drawn() -> None:
    greedy = parse_suite(GENERATE)
    drawn = parse_suite(GENERATE.replace("  split:", "  temperature: 0.8\n  samples: 4\n  k: 2\n  split:"))
    assert [greedy.is_random(name) for name in ("rule", "zero_shot", "full")] == [True, False, True]
    assert [drawn.is_random(name) for name in ("rule", "zero_shot", "full")] == [True, True, True]
    assert not parse_suite(PERPLEXITY).is_random("rule")  # nothing is drawn from the frequencies of bytes


WITH = "evaluation: {generate_with"


@pytest.mark.parametrize(
    ("text", "old", "new", "expected"),
    [
        (GENERATE, "matrix:", "metrics: [chrf, accuracy]\nmatrix:", "metrics.1: 'accuracy' is of tasks of kind choice"),
        (GENERATE, "stratified", "uniform", "baselines.rule.strategy: 'uniform' cannot answer a task of kind generate"),
        (GENERATE, "stratified", "constant", "`default` alone with `constant`"),
        (GENERATE, "  split:", "  extract: '('\n  split:", "task.extract: not a regular expression"),
        (GENERATE, "  split:", "  samples: 2\n  split:", "would all be the same at temperature 0"),
        (GENERATE, "  split:", "  k: 2\n  split:", "must not exceed the samples"),
        (GENERATE, "  split:", "  choices: [a, b]\n  split:", "task.choices: unknown key"),
        (GENERATE, ", target: answer", "", "task.columns.target: is missing"),
        (GENERATE, "  split:", "  slices: {class: {target: true}}\n  split:", "tasks of kind choice"),
        (
            GENERATE,
            "kind: generate",
            "kind: write",
            "task.kind: expected one of choice, generate, perplexity, lm_eval, got",
        ),
        (GENERATE, "kind: trivial, strategy: stratified", "kind: human, labels: a.csv", "has none; their texts can be"),
        (
            PERPLEXITY,
            "source: model}",
            "source: model}, shots: 2",
            "baselines.zero_shot.shots: a text whose",
        ),
        (PERPLEXITY, "{text: text}", "{body: text}", "task.columns.text: is missing"),
        (PERPLEXITY, "matrix:", f"{WITH}: vllm}}\nmatrix:", "a task of kind perplexity generates no texts"),
        (
            GENERATE.replace("  split:", "  temperature: 0.5\n  split:"),
            "matrix:",
            f"{WITH}: transformers}}\nmatrix:",
            "draws depends on the batch",
        ),
        (GENERATE, "matrix:", f"{WITH}: llama}}\nmatrix:", "evaluation.generate_with: input should be 'engine'"),
        (PERPLEXITY, "1.0e-3", "1.0e-3, select: accuracy", "'accuracy' is not among the suite's metrics"),
    ],
)
def test_what_does_not_fit_the_kind_of_the_task_is_said(text: str, old: str, new: str, expected: str) -> None:
    assert old in text
    with pytest.raises(SuiteError) as caught:
        parse_suite(text.replace(old, new))
    assert expected in "\n".join(caught.value.problems)


def test_answering_dev_needs_a_dev() -> None:
    text = TEXT.replace("max_length: 512}", "max_length: 512, answer_dev: true}")
    assert parse_suite(text).evaluation.answer_dev
    (problem,) = problems_of(("max_length: 512}", "max_length: 512, answer_dev: true}"), ("dev: 120, ", ""))
    assert "evaluation.answer_dev: expected a split dev to answer, the suite has none" in problem


def test_where_a_model_lies_is_in_no_digest() -> None:
    suite = parse_suite(TEXT)
    options = "device_map: auto, max_memory: {0: 70GiB, cpu: 200GiB}"
    placed = parse_suite(TEXT.replace("precision: auto,", f"precision: auto, {options},"))
    assert placed.evaluation.max_memory == {"0": "70GiB", "cpu": "200GiB"}
    assert placed.digest == suite.digest
    assert "device_map" not in suite.evaluation.model_dump()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("max_memory: {0: 70GiB}", "max_memory: goes with a strategy in `device_map`"),
        ("device_map: {lm_head: 0}, max_memory: {0: 70GiB}", "max_memory: goes with a strategy in `device_map`"),
        ("device_map: everywhere", "evaluation.device_map"),
        ("device_map: {lm_head: gpu}", "evaluation.device_map"),
        ("device_map: auto, max_memory: {0: much}", "evaluation.max_memory.0"),
        ("device_map: auto, generate_with: vllm", "device_map: vllm places a model in a way of its own"),
    ],
)
def test_a_placement_that_cannot_be_is_an_error(options: str, said: str) -> None:
    assert said in " ".join(problems_of(("precision: auto,", f"precision: auto, {options},")))


def test_quantised_weights_lie_on_one_device() -> None:
    (problem,) = problems_of(("precision: auto,", "precision: int4, device_map: auto,"))
    assert "device_map: expected a precision without quantised weights, got int4" in problem


def test_invariance_is_an_option_that_leaves_other_digests_alone() -> None:
    suite = parse_suite(TEXT)
    invariant = parse_suite(TEXT.replace("max_length: 512}", "max_length: 512, invariant: true}"))
    assert "invariant" not in suite.evaluation.model_dump()
    assert invariant.evaluation.model_dump()["invariant"] is True
    assert invariant.digest != suite.digest
    (problem,) = problems_of(("precision: auto,", "precision: int8, invariant: true,"))
    assert "invariant: expected a precision without quantised weights, got int8" in problem
    (problem,) = problems_of(("precision: auto,", "precision: auto, generate_with: transformers, invariant: true,"))
    assert "invariant: what transformers generates depends on its batch; expected `generate_with: engine`" in problem


def test_a_slice_needs_two_examples_to_be_compared() -> None:
    (problem,) = problems_of(("level: 0.95", "level: 0.95, min_slice_examples: 1".replace(", ", "\n  ")))
    assert "matrix.min_slice_examples: input should be greater than or equal to 2, got 1" in problem
    assert load_suite("tweets").matrix.min_slice_examples == 20


def test_a_claim_says_all_that_its_test_depends_on() -> None:
    claims = parse_suite(TEXT).matrix.claims()
    assert len(claims) == len(set(claims)) == 6
    assert claims[0] == "primary: lora over majority by accuracy, margin 0, level 0.95, corrected by holm"
    assert parse_suite(TEXT.replace("margin: 0.0", "margin: 0.01")).matrix.claims()[0] != claims[0]


def test_every_key_is_described_in_the_schema() -> None:
    """An editor shows the description, and the reference of the documentation is made of it."""
    schema = Suite.model_json_schema()
    types = {"Suite": schema, **schema["$defs"]}
    keys = {f"{name}.{key}": field for name, of in types.items() for key, field in of.get("properties", {}).items()}
    assert len(keys) > 200
    assert not [key for key, field in keys.items() if not field.get("description", "").strip()]


def test_looks_are_checked_and_leave_the_digests_of_other_suites_as_they_were() -> None:
    plain = Matrix()
    assert not {"looks", "stop", "may_grow", "winner_by"} & plain.model_dump(mode="json").keys()
    used = Matrix(looks=(0.5, 1.0), may_grow=True).model_dump(mode="json")
    assert (used["looks"], used["stop"], used["may_grow"]) == ([0.5, 1.0], "primary", True)
    for looks in ((1.0,), (0.5, 0.9), (0.5, 0.4, 1.0), (0.98, 1.0)):
        with pytest.raises(ValueError, match=r"each 0\.05 or more above the one before"):
            Matrix(looks=looks)
