"""Tasks of lm-eval through our engine and through lm-eval itself: the same prompts, answers and scores, both ways."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from shutil import copy
from typing import Any

import numpy as np
import pytest

from mlbaseline import workflows
from mlbaseline.errors import DataError, SuiteError
from mlbaseline.results import ResultTable
from mlbaseline.store import connect, find_evaluations, load_assessment, load_tables
from mlbaseline.suite import LmEvalTask
from mlbaseline.tasks import kind_of_suite, load_task, open_suite
from mlbaseline.tasks.kinds.lm_eval import LmEvalKind
from mlbaseline.tasks.lm_eval.loading import _no_task, load_lm_eval_task

pytest.importorskip("lm_eval")

TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{train: {folder}/train.jsonl, test: {folder}/test.jsonl}}}}
training_split: train
test_split: test
output_type: {output}
description: "Say what it is worth.\\n\\n"
doc_to_text: "Review: {{{{review}}}}\\nLabel:"
doc_to_target: label
metadata: {{version: 2.0}}
"""
TASKS = {
    "one_token": ("multiple_choice", "doc_to_choice: ['x', 'y']\ndoc_to_target: place\nmetric_list: [{metric: acc}]\n"),
    "several_tokens": (
        "multiple_choice",
        "doc_to_choice: choices\ndoc_to_target: place\nmetric_list: [{metric: acc}, {metric: acc_norm}]\n",
    ),
    "generation": (
        "generate_until",
        'generation_kwargs: {until: ["\\n", z], max_gen_toks: 6, do_sample: false}\n'
        "metric_list: [{metric: exact_match, ignore_case: true}]\n"
        "filter_list:\n"
        "  - {name: first_letter, filter: [{function: regex, regex_pattern: '([a-z])'}, {function: take_first}]}\n"
        "  - {name: whole, filter: [{function: take_first}]}\n",
    ),
    "texts": (
        "loglikelihood_rolling",
        "doc_to_text: ''\ndoc_to_target: review\nmetric_list: [{metric: word_perplexity}]\n",
    ),
}
SUITE = """
name: {name}
task: {{kind: lm_eval, name: {name}, folder: tasks{options}}}
metrics: [{metrics}]
evaluation: {{max_length: 256, latency_sample: 0, precision: {precision}}}
baselines:
  ours: {{kind: pretrained, model: {{source: {model}}}{shots}}}
  theirs: {{kind: pretrained, model: {{source: {model}}}{shots}}}
matrix:
  primary: [{{candidate: ours, over: [theirs]}}]
"""
METRICS = {
    "one_token": "accuracy, nll_nats",
    "several_tokens": "accuracy",
    "generation": "exact_match",
    "texts": "word_perplexity, byte_perplexity",
}


def write_tasks(folder: Path) -> None:
    things = ("soup", "bread", "bus", "room", "lamp", "park", "hotel", "chair", "train")
    openings = ("what a poor", "I love the", "so nice, this", "never again the")
    rows = [
        {
            "review": f"{opening} {thing}",
            "label": "xy"[i % 2],
            "place": i % 2,
            # Not all documents have the same number of choices.
            "choices": ["bad", "a wonderful thing", "so-so"][: 2 + (n + i) % 2],
        }
        for n, thing in enumerate(things)
        for i, opening in enumerate(openings)
    ]
    for name, part in (("train", rows[30:]), ("test", rows[:30])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part), encoding="utf-8")
    (folder / "tasks").mkdir()
    for name, (output, further) in TASKS.items():
        lines = TASK.format(name=name, folder=folder, output=output).splitlines()
        keys = {line.partition(":")[0] for line in further.splitlines()}
        kept = "\n".join(line for line in lines if line.partition(":")[0] not in keys)
        (folder / "tasks" / f"{name}.yaml").write_text(f"{kept}\n{further}", encoding="utf-8")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, dict[str, Any]]:
    """A folder with tasks and lm-eval's own results of them, two shots each; and what it reports."""
    return evaluate_with_harness(tmp_path_factory.mktemp("harness"), tiny_model, "float32")


@pytest.fixture(scope="module")
def low_harness(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> tuple[Path, dict[str, Any]]:
    """The same in bf16."""
    return evaluate_with_harness(tmp_path_factory.mktemp("harness"), tiny_model, "bfloat16")


def evaluate_with_harness(folder: Path, model: Path, dtype: str) -> tuple[Path, dict[str, Any]]:
    from lm_eval import simple_evaluate
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    write_tasks(folder)
    tracker = EvaluationTracker(output_path=str(folder / "out"))
    results = simple_evaluate(
        HFLM(pretrained=str(model), dtype=dtype, device="cpu", batch_size=8),
        tasks=list(TASKS),
        task_manager=TaskManager(include_path=str(folder / "tasks"), include_defaults=False),
        num_fewshot=2,
        bootstrap_iters=0,
        log_samples=True,
        evaluation_tracker=tracker,
    )
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples)
    for name, of_task in samples.items():
        tracker.save_results_samples(task_name=name, samples=of_task)
    return folder, results["results"]


@pytest.fixture
def place(tmp_path: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking store of the test's own."""
    monkeypatch.setenv("MLBASELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    copy(empty_database, tmp_path / "mlflow.db")
    return f"sqlite:///{tmp_path}/mlflow.db"


def write_suite(
    folder: Path, model: Path, name: str, *, options: str = "", shots: str = ", shots: 2", precision: str = "fp32"
) -> Path:
    path = folder / f"{name}.yaml"
    about = {"name": name, "metrics": METRICS[name], "model": model, "precision": precision}
    content = SUITE.format(options=options, shots=shots, **about)
    path.write_text(content, encoding="utf-8")
    return path


def evaluate_both_ways(
    name: str, folder: Path, model: Path, place: str, precision: str
) -> tuple[Path, dict[str, ResultTable]]:
    """The suite, and the tables of our engine and of lm-eval's results, which are in `folder`."""
    suite = write_suite(folder, model, name, shots="" if name == "texts" else ", shots: 2", precision=precision)
    workflows.evaluate(suite, baselines=["ours"], tracking_uri=place)
    filter = "first_letter" if name == "generation" else None
    workflows.import_results(
        "lm-eval", folder / "out", suite, baseline="theirs", task=name, filter=filter, tracking_uri=place
    )
    tracker = connect(place, name)
    tables = load_tables(tracker, find_evaluations(tracker), cache=folder / "tables")
    return suite, {table.baseline: table for table in tables}


@pytest.mark.parametrize("name", TASKS)
def test_both_ways_in_bf16(name: str, low_harness: tuple[Path, dict[str, Any]], place: str, tiny_model: Path) -> None:
    """Batches of other shapes round otherwise in bf16: answers are near each other, and most of them the same."""
    _, tables = evaluate_both_ways(name, low_harness[0], tiny_model, place, "bf16")
    assert {table.signature.fields["engine.precision"] for table in tables.values()} == {"bf16"}
    ours, theirs = tables["ours"].frame, tables["theirs"].frame
    assert ours["example_id"].tolist() == theirs["example_id"].tolist()
    columns = [column for column in map(str, theirs) if column.startswith(("loglik_nats.", "sum.")) and column in ours]
    np.testing.assert_allclose(ours[columns].to_numpy(float), theirs[columns].to_numpy(float), rtol=0.05, atol=0.5)
    if name != "texts":  # which have none
        assert (ours["prediction"] == theirs["prediction"]).mean() >= (0.5 if name == "generation" else 0.8)


@pytest.mark.parametrize("name", TASKS)
def test_both_ways(
    name: str, harness: tuple[Path, dict[str, Any]], place: str, tmp_path: Path, tiny_model: Path
) -> None:
    folder, reported = harness
    suite, tables = evaluate_both_ways(name, folder, tiny_model, place, "fp32")
    tracker = connect(place, name)
    ours, theirs = tables["ours"].frame, tables["theirs"].frame
    assert len(ours) == 30
    for column in ("example_id", "target", "prediction"):
        assert ours[column].tolist() == theirs[column].tolist(), column
    shared = [str(column) for column in theirs if column in ours]
    same = [column for column in shared if column.startswith(("score.", "loglik_nats.", "sum."))]
    assert same
    np.testing.assert_allclose(ours[same].to_numpy(float), theirs[same].to_numpy(float), atol=1e-3)
    document = workflows.compare(suite, tracking_uri=place).document
    compared = document["comparisons"]
    mismatches = load_assessment(tracker, document["comparison_run_id"]).mismatches
    assert not [mismatch for mismatch in mismatches if mismatch.field.startswith("prompt.")]  # they are the same ones
    row = next(row for row in compared if row["role"] == "primary")
    assert row["delta"] == pytest.approx(0.0, abs=1e-4 * max(1.0, row["candidate_mean"]))
    key = {"generation": "exact_match,first_letter", "texts": "word_perplexity,none"}.get(name, "acc,none")
    assert row["candidate_mean"] == pytest.approx(reported[name][key], rel=1e-3)
    if name == "several_tokens":
        assert ours["score.acc_norm"].mean() == pytest.approx(reported[name]["acc_norm,none"])
        assert ours["loglik_nats.2"].isna().sum() == 15
    assert tables["ours"].signature.fields["prompt.harness_task_version"] == "2"


def test_what_a_suite_leaves_out_follows_from_the_task(harness: tuple[Path, dict[str, Any]], tiny_model: Path) -> None:
    folder, _ = harness
    path = write_suite(folder, tiny_model, "generation", options=", slices: {kind: {column: label}}, limit: 7")
    path.write_text(path.read_text(encoding="utf-8").replace("metrics: [exact_match]\n", ""), encoding="utf-8")
    suite = open_suite(path)
    assert (suite.task.kind, suite.metrics) == ("generate", ("exact_match",))
    assert suite.matrix.primary[0].metric == "exact_match"
    assert suite.digest == suite.written.digest
    task = load_task(suite, lambda asset: pytest.fail("lm-eval brings its data itself"))
    test = task.splits["test"].examples
    assert (len(test), {example.slices["kind"] for example in test}) == (7, {"x", "y"})
    assert len(task.splits["train"].examples) == 6
    assert test[0].fields["context"] == "Say what it is worth.\n\nReview: what a poor soup\nLabel:"
    kind = kind_of_suite(suite)
    assert isinstance(kind, LmEvalKind)
    of_task = kind.loaded
    first, again, other = (of_task.prompting(2, seed).prompt(test[3]).context for seed in (0, 0, 1))
    assert first == again != other
    assert first.startswith("Say what it is worth.\n\nReview: ")
    assert first.endswith(test[3].fields["context"].removeprefix("Say what it is worth.\n\n"))
    assert of_task.prompting(2, 0).shared_prefix.startswith("Say what it is worth.\n\nReview: ")
    solved = of_task.prompting(0, None).solved(test[0], ())
    assert (solved.context, solved.continuations) == (test[0].fields["context"], (" x",))


BAD = {
    "no folder": ("name: one_token, folder: nowhere", r"nowhere is no folder with the YAML file of a task"),
    "group": ("name: both", r"'both' is a group of tasks; .* name one of them: one_token, generation"),
    "output type": ("name: last_word", r"its output type is loglikelihood; what can be run here is multiple_choice"),
    "filter": ("name: generation, filter: last", r"has no filter 'last'; it has: first_letter, whole"),
    "two right": ("name: two_right", r"its right answer is \[0, 1\], which is not one of its 2 choices"),
    "hub": ("name: far", r"far: lm-eval cannot load this task: .*\n.*check network and access"),
    "metric": ("name: generation", r"'accuracy' is of tasks of kind choice; generate has: exact_match"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_run(
    case: str, harness: tuple[Path, dict[str, Any]], tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets.config
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    folder, _ = harness
    base = (folder / "tasks" / "one_token.yaml").read_text(encoding="utf-8")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    for name in ("one_token", "several_tokens", "generation"):
        copy(folder / "tasks" / f"{name}.yaml", tasks)
    (tasks / "both.yaml").write_text("group: both\ntask: [one_token, generation]\n", encoding="utf-8")
    last_word = base.replace("task: one_token", "task: last_word").replace("multiple_choice", "loglikelihood")
    (tasks / "last_word.yaml").write_text(last_word, encoding="utf-8")
    two_right = base.replace("task: one_token", "task: two_right").replace(
        "doc_to_target: place", "doc_to_target: [0, 1]"
    )
    (tasks / "two_right.yaml").write_text(two_right, encoding="utf-8")
    far = base.replace("task: one_token", "task: far").replace("dataset_path: json", "dataset_path: nobody/nothing")
    (tasks / "far.yaml").write_text(far, encoding="utf-8")
    fields, message = BAD[case]
    fields += "" if "folder" in fields else ", folder: tasks"
    rungs = "baselines: {m: {kind: trivial, strategy: majority}}"
    text = f"name: bad\ntask: {{kind: lm_eval, {fields}}}\nmetrics: [accuracy]\n{rungs}\n"
    (tmp_path / "bad.yaml").write_text(text, encoding="utf-8")
    with pytest.raises((DataError, SuiteError), match=message):
        open_suite(tmp_path / "bad.yaml")


def test_a_name_that_no_task_has(harness: tuple[Path, dict[str, Any]]) -> None:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(harness[0] / "tasks"), include_defaults=False)
    assert _no_task("several_token", manager).startswith("lm-eval has no task 'several_token'; near it: several_tokens")
    assert _no_task("zzz", manager) == "lm-eval has no task 'zzz'"


def test_without_lm_eval_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", None)
    with pytest.raises(DataError, match=r"pip install 'mlbaseline\[lm-eval\]'"):
        load_lm_eval_task(LmEvalTask(kind="lm_eval", name="anything"), tmp_path)


def test_rules_and_fine_tunes_of_a_task(
    harness: tuple[Path, dict[str, Any]], place: str, tmp_path: Path, tiny_model: Path
) -> None:
    path = write_suite(harness[0], tiny_model, "one_token", shots="")
    rungs = ["majority: {kind: trivial, strategy: majority}"]
    rungs.append("lora: {kind: peft, method: lora, base: ours, epochs: 1, learning_rate: 1.0e-2, batch_size: 4}")
    text = path.read_text(encoding="utf-8").replace("matrix:", "\n".join(f"  {rung}" for rung in rungs) + "\nmatrix:")
    path.write_text(text, encoding="utf-8")
    outcome = workflows.evaluate(path, baselines=["majority", "lora"], tracking_uri=place)
    assert {rung["baseline"] for rung in outcome.document["evaluations"]} == {"majority", "lora"}
    tracker = connect(place, "one_token")
    tables = load_tables(tracker, find_evaluations(tracker), cache=tmp_path / "tables")
    assert {table.signature.fields["metric.harness_task_version"] for table in tables} == {"2"}
    assert {len(table.frame) for table in tables} == {30}
    checks = {check["name"]: check for check in workflows.doctor(str(path), tracking_uri=place).document["checks"]}
    assert checks["task of lm-eval"]["detail"].startswith("one_token, version 2, lm-eval 0.4.")
    kind = kind_of_suite(open_suite(path))
    assert isinstance(kind, LmEvalKind)
    config = kind.loaded.lm_eval_task.config
    config.target_delimiter = "\t"
    with pytest.raises(DataError, match="it can be evaluated, but not be trained on"):
        kind.check_trainable()
    config.target_delimiter = " "
