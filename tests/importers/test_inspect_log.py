"""Logs that inspect itself wrote: epochs, several scorers, letters and texts, errors, tokens and times."""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlbaseline.errors import DataError
from mlbaseline.importers.imported import ImportOptions, make_rows
from mlbaseline.importers.inspect_log import find_log, read_log
from mlbaseline.records import Example, TaskData
from tests.support.inspect_logs import write_log
from tests.support.ladders.suites import REVIEW_LABELS, REVIEW_TASK

pytest.importorskip("inspect_ai")

EXAMPLES = tuple(
    Example(f"e{i}", {"text": f"t{i}", "review": f"t{i}"}, REVIEW_LABELS[i % 2], REVIEW_LABELS) for i in range(3)
)
DATA = TaskData("test", EXAMPLES, REVIEW_LABELS, "d" * 64)


@pytest.fixture(scope="module")
def chosen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three questions twice, letters as answers, two scorers, one failure in the first epoch."""
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import choice, includes
    from inspect_ai.solver import multiple_choice

    samples = [
        Sample(id=e.id, input=f"Which {i}?", choices=["good", "bad"], target="BA"[i % 2], metadata={"key": f"e{i}"})
        for i, e in enumerate(EXAMPLES)
    ]
    return write_log(
        tmp_path_factory.mktemp("chosen"),
        samples,
        ["ANSWER: B"] * 5,
        failing="e1",
        solver=multiple_choice(),
        scorer=[choice(), includes()],
        epochs=2,
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three questions without ids of their own, answered in words."""
    from inspect_ai.dataset import Sample
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    samples = [Sample(input=f"Review: t{i}", target=e.target) for i, e in enumerate(EXAMPLES)]
    return write_log(
        tmp_path_factory.mktemp("written"), samples, [" bad", "good", "hm"], solver=generate(), scorer=match()
    )


def rows(path: Path, options: ImportOptions | None = None, scorer: str | None = None) -> list[dict[str, Any]]:
    return [
        dict(values)
        for _, values in make_rows(
            read_log(path, scorer=scorer), str(path), REVIEW_TASK, DATA, options or ImportOptions()
        )
    ]


def test_letters_are_choices_of_the_item(chosen: Path) -> None:
    first, second = rows(chosen)[:3], rows(chosen)[3:]
    assert [row["example_id"] for row in first] == ["e0", "e1", "e2"]
    assert [row["prediction"] for row in first] == ["bad", None, "bad"]  # B is our first label
    assert [row["prediction"] for row in second] == ["bad"] * 3
    assert "the tool broke" in first[1]["error"]
    assert [first[0][name] for name in ("tokens_in", "tokens_out", "cost_usd", "error")] == [7, 3, 0.01, None]
    assert 0 < first[0]["latency_s"] < 60


def test_verdicts_are_scores_where_they_are_wanted(chosen: Path) -> None:
    read = rows(chosen, ImportOptions(score=("choice", "accuracy")), "choice")
    assert [row.get("score.accuracy") for row in read] == [1.0, None, 1.0, 1.0, 0.0, 1.0]
    with pytest.raises(DataError, match=r"has no scorer 'judge'; it has: choice, includes"):
        read_log(chosen, scorer="judge")


def test_words_are_labels_and_items_are_told_by_what_was_asked(written: Path) -> None:
    read = rows(written)
    assert [row["example_id"] for row in read] == ["e0", "e1", "e2"]
    assert [row["prediction"] for row in read] == ["bad", "good", None]
    assert read[2]["error"] == "answered 'hm', which is none of the choices"


def test_ids_by_a_field_of_the_metadata(chosen: Path) -> None:
    assert rows(chosen, ImportOptions(id_field="key"))[2]["example_id"] == "e2"
    with pytest.raises(DataError, match="no field 'nr'; they have: key"):
        rows(chosen, ImportOptions(id_field="nr"))


def test_what_the_log_says_of_its_making(chosen: Path) -> None:
    known = read_log(chosen, scorer=None).known
    assert str(known["engine.version"]).startswith("inspect 0.3.")
    assert known["model.name"] == "mockllm/model"
    assert known["model.inspect_task_version"] == "3"
    assert "prompt.template" not in known


def rewrite(log: Path, to: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    with zipfile.ZipFile(log) as source, zipfile.ZipFile(to, "w") as target:
        for member in source.namelist():
            changed = change(member, source.read(member))
            if changed is not None:
                target.writestr(member, changed)
    return to


def test_another_format_version_a_damaged_file_and_no_log(chosen: Path, tmp_path: Path) -> None:
    def newer(member: str, content: bytes) -> bytes:
        return json.dumps({**json.loads(content), "version": 9}).encode() if member == "header.json" else content

    with pytest.raises(DataError, match=r"format version 9; inspect 0\.3\.\d+ reads up to \d.*Update inspect-ai"):
        read_log(rewrite(chosen, tmp_path / "newer.eval", newer), scorer=None)
    broken = tmp_path / "broken.eval"
    broken.write_bytes(chosen.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"cannot read this log: .* may be damaged"):
        read_log(broken, scorer=None)
    garbled = rewrite(chosen, tmp_path / "garbled.eval", lambda member, content: content[:50])
    with pytest.raises(DataError, match="cannot read this log"):
        read_log(garbled, scorer=None)
    other = tmp_path / "other.eval"
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(DataError, match=r"no log of inspect: it has no header\.json"):
        read_log(other, scorer=None)
    empty = rewrite(chosen, tmp_path / "empty.eval", lambda m, content: None if m.startswith("samples/") else content)
    with pytest.raises(DataError, match="has no samples"):
        read_log(empty, scorer=None)


def test_the_one_log_of_a_folder(chosen: Path, tmp_path: Path) -> None:
    assert find_log(chosen.parent) == chosen
    with pytest.raises(DataError, match="name one of its logs; it has: none"):
        find_log(tmp_path)


def test_without_inspect_the_message_says_what_to_install(chosen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai.log", None)
    with pytest.raises(DataError, match=r"pip install 'mlbaseline\[inspect\]'"):
        read_log(chosen, scorer=None)
