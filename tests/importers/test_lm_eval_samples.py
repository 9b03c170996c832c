"""lm-eval's logged samples: several filters, passes and runs, and documents told by field or content."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportOptions, make_rows, without_other_splits
from mlbaseline.importers.lm_eval_samples import find_samples, read_samples
from mlbaseline.models.recorded import read_answers
from mlbaseline.records import Example, TaskData
from mlbaseline.suite import GenerateTask
from tests.support.ladders.suites import REVIEW_LABELS, REVIEW_TASK
from tests.support.lm_eval_samples import chosen

EXAMPLES = tuple(
    Example(f"e{i}", {"text": f"t{i}", "review": f"t{i}", "label": "good"}, "good", REVIEW_LABELS) for i in range(3)
)
DATA = TaskData("test", EXAMPLES, REVIEW_LABELS, "d" * 64)


def generated(i: int, said: Any, filter: str = "strict") -> dict[str, Any]:
    arguments = {"gen_args_0": {"arg_0": f"Review: t{i}", "arg_1": {"until": ["\n"]}}}
    return chosen(i, 0, 0, arguments=arguments, resps=[[said]], filtered_resps=[said], filter=filter)


def read(path: Path, samples: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    file = path / "samples.jsonl"
    file.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
    chosen_options = ImportOptions(options.pop("id_field", None), options.pop("score", None))
    results = read_samples(file, **{"filter": None, **options})
    return [values for _, values in make_rows(results, str(file), REVIEW_TASK, DATA, chosen_options)]


def test_choices_are_mapped_by_their_text(tmp_path: Path) -> None:
    rows = read(tmp_path, [chosen(0, -1.5, -3.0), chosen(1, -2.0, -0.5), chosen(2, -1.0, -1.0)])
    assert [row["example_id"] for row in rows] == ["e0", "e1", "e2"]
    assert [row["prediction"] for row in rows] == ["bad", "good", "good"]  # of equal ones the first asked
    assert rows[0]["loglik_nats.bad"] == -1.5
    assert rows[0]["loglik_nats.good"] == -3.0


def test_a_generated_answer_is_a_choice_or_an_error(tmp_path: Path) -> None:
    rows = read(tmp_path, [generated(0, " good\n"), generated(1, "[invalid]"), generated(2, ["bad"])])
    assert [row["prediction"] for row in rows] == ["good", None, "bad"]
    assert rows[1]["error"] == "answered '[invalid]', which is none of the choices"
    with pytest.raises(DataError, match="row 1: expected one answer"):
        read(tmp_path, [generated(0, ["good", "bad"])])


def test_one_of_several_filters_has_to_be_named(tmp_path: Path) -> None:
    samples = [generated(i, said, name) for name, said in (("strict", "good"), ("loose", "bad")) for i in range(3)]
    with pytest.raises(DataError, match="name one of its filters with --filter; it has: strict, loose"):
        read(tmp_path, samples)
    assert {row["prediction"] for row in read(tmp_path, samples, filter="loose")} == {"bad"}
    with pytest.raises(DataError, match="it has: strict, loose"):
        read(tmp_path, samples, filter="other")


def test_of_an_appended_file_the_last_pass_counts(tmp_path: Path) -> None:
    samples = [chosen(i, *logliks) for logliks in ((-1.0, -2.0), (-2.0, -1.0)) for i in range(3)]
    assert {row["prediction"] for row in read(tmp_path, samples)} == {"good"}
    with pytest.raises(DataError, match="a run is incomplete: documents have 1 to 2 rows"):
        read(tmp_path, samples[:-1])


def test_examples_are_told_by_a_field_or_by_content(tmp_path: Path) -> None:
    other = [chosen(i, -1, -2, doc={"key": f"e{2 - i}"}) for i in range(3)]
    assert [row["example_id"] for row in read(tmp_path, other, id_field="key")] == ["e2", "e1", "e0"]
    with pytest.raises(DataError, match=r"it has key, the prompt shows text. Name the field .* with --id"):
        read(tmp_path, other)
    with pytest.raises(DataError, match="no field 'id'; they have: key"):
        read(tmp_path, other, id_field="id")
    (unknown,) = read(tmp_path, [chosen(7, -1, -2)])
    assert unknown["example_id"] == "item 7"


def test_other_choices_and_other_files_are_refused(tmp_path: Path) -> None:
    asked = {f"gen_args_{i}": {"arg_0": "", "arg_1": text} for i, text in enumerate((" poor", " good"))}
    with pytest.raises(DataError, match=r"row 1: its choices \['poor', 'good'\] are not those of the suite"):
        read(tmp_path, [chosen(0, -1, -2, arguments=asked)])
    with pytest.raises(DataError, match=r"no samples of lm-eval 0.4: a row lacks doc_id, doc, arguments"):
        read(tmp_path, [{"example_id": "e0", "prediction": "good"}])


def test_in_a_folder_the_newest_run_of_the_task(tmp_path: Path) -> None:
    times = ("2026-01-02T10-00-00.1", "2026-01-02T10-00-01.5")
    for task in ("a", "b_c"):
        for time in times:
            (tmp_path / "model").mkdir(exist_ok=True)
            (tmp_path / "model" / f"samples_{task}_{time}.jsonl").touch()
    assert find_samples(tmp_path, "b_c").name == f"samples_b_c_{times[1]}.jsonl"
    with pytest.raises(DataError, match="name one of its tasks with --task; it has samples of: a, b_c"):
        find_samples(tmp_path, None)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / f"samples_a_{times[0]}.jsonl").touch()
    with pytest.raises(DataError, match="the samples of several models"):
        find_samples(tmp_path, "a")


def test_scores_of_items_and_statistics_of_the_corpus(tmp_path: Path) -> None:
    samples = [chosen(i, -1, -2, metrics=["acc", "f1"], acc=float(i > 0), f1=[1, 0]) for i in range(3)]
    assert [row["score.accuracy"] for row in read(tmp_path, samples, score=("acc", "accuracy"))] == [0.0, 1.0, 1.0]
    with pytest.raises(DataError, match=r"f1 is \[1, 0\], which goes into a figure of the whole corpus"):
        read(tmp_path, samples, score=("f1", "accuracy"))
    with pytest.raises(DataError, match="has no score 'em'; it has: acc, f1"):
        read(tmp_path, samples, score=("em", "accuracy"))


def test_choices_asked_again_behind_nothing_are_left_out(tmp_path: Path) -> None:
    """acc_mutual_info: the second half of the requests is unconditional."""
    asked = [{"arg_0": context, "arg_1": text} for context in ("Review: t0", "") for text in (" good", " bad")]
    answers = [[str(value), "False"] for value in (-3.0, -1.5, -9.0, -9.5)]
    sample = chosen(0, 0, 0, arguments={f"gen_args_{i}": a for i, a in enumerate(asked)}, filtered_resps=answers)
    (row,) = read(tmp_path, [sample])
    assert (row["prediction"], row["loglik_nats.bad"], row["loglik_nats.good"]) == ("bad", -1.5, -3.0)


def test_results_beside_the_samples_say_what_was_run(tmp_path: Path) -> None:
    time = "2026-01-02T10-00-00.1"
    file = tmp_path / f"samples_reviews_{time}.jsonl"
    file.write_text(json.dumps(chosen(0, -1, -2)) + "\n", encoding="utf-8")
    assert read_samples(file, filter=None).known == {}
    results: dict[str, Any] = {
        "lm_eval_version": "0.4.13",
        "config": {"model_dtype": "torch.bfloat16"},
        "n-shot": {"reviews": 2},
        "versions": {"reviews": 1.0},
        "task_hashes": {"reviews": "ab"},
        "chat_template_sha": None,
        "model_name": "a/b",
    }
    (tmp_path / f"results_{time}.json").write_text(json.dumps(results), encoding="utf-8")
    assert read_samples(file, filter=None).known == {
        "engine.version": "lm-eval 0.4.13",
        "engine.precision": "bf16",
        "prompt.shots": 2,
        "prompt.chat_template": None,
        "model.name": "a/b",
        "model.harness_task_sha256": "ab",
        "model.harness_task_version": "1",
    }
    (tmp_path / f"results_{time}.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="are no results of lm-eval"):
        read_samples(file, filter=None)


def test_texts_are_answers_where_the_task_has_no_labels(tmp_path: Path) -> None:
    content = REVIEW_TASK.model_dump(exclude={"kind", "choices", "slices", "normalisation"})
    task = GenerateTask.model_validate({**content, "kind": "generate"})
    data = TaskData("test", tuple(replace(e, choices=(), target="a b") for e in EXAMPLES), (), "d" * 64)
    file = tmp_path / "samples.jsonl"
    samples = [generated(0, " a b\n"), generated(1, ""), generated(2, "c")]
    file.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
    rows = make_rows(read_samples(file, filter=None), str(file), task, data, ImportOptions())
    assert [row["prediction"] for _, row in rows] == [" a b\n", "", "c"]
    answers = read_answers(rows, data, where="samples")[None]
    assert (answers["e1"].prediction, answers["e1"].error) == ("", None)


def test_choices_are_normalised_as_the_suite_asks(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps(chosen(0, -3.0, -3.2)) + "\n", encoding="utf-8")

    def predicted(normalisation: str) -> str:
        task = REVIEW_TASK.model_copy(update={"normalisation": normalisation})
        ((_, row),) = make_rows(read_samples(file, filter=None), str(file), task, DATA, ImportOptions())
        return str(row["prediction"])

    assert [predicted("none"), predicted("byte")] == ["bad", "good"]  # −3.0 / 3 against −3.2 / 4
    with pytest.raises(DataError, match="what is needed for `normalisation: token` is not in the source"):
        predicted("token")


def test_answers_to_other_splits_are_left_out_and_unknown_ones_stay(tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text("".join(json.dumps(chosen(i, -1.0, -2.0)) + "\n" for i in range(5)), encoding="utf-8")
    other = replace(EXAMPLES[0], id="e3", fields={"text": "t3", "review": "t3", "label": "good"})
    splits = {"test": DATA, "train": replace(DATA, split="train", examples=(other,))}
    kept = without_other_splits(read_samples(file, filter=None), "x", REVIEW_TASK, splits, ImportOptions())
    rows = make_rows(kept, "x", REVIEW_TASK, DATA, ImportOptions())
    assert [values["example_id"] for _, values in rows] == ["e0", "e1", "e2", "item 4"]
