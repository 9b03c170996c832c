"""Files of events: three formats with one meaning, and what others may have written into them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from mlbaseline.errors import DataError
from mlbaseline.monitor import open_ledger
from mlbaseline.monitor.event_files import LONGEST_LINE_BYTES, read_events
from mlbaseline.monitor.ingesting import SourceReport, ingest_file
from tests.support.traffic import NOW, event, label, ledger_of, stream


def ingested(folder: Path, path: Path, ledger: str = "ledger.db") -> SourceReport:
    return ingest_file(open_ledger(folder / ledger, "tickets"), path, slices=["topic"], now=NOW)


def written(frame: pd.DataFrame, path: Path) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_json(path, orient="records", lines=True, date_format="iso", date_unit="us", double_precision=15)
    return path


def test_three_formats_mean_the_same(tmp_path: Path) -> None:
    frame = stream(2_000, units=200).assign(note="of no interest")
    arrays = []
    for name in ("events.parquet", "events.csv", "events.jsonl"):
        report = ingested(tmp_path, written(frame, tmp_path / name), ledger=f"{name}.db")
        assert (report.read, report.requests, report.problems.counts) == (2_000, 2_000, {})
        arrays.append(open_ledger(tmp_path / f"{name}.db", "tickets").read())
    for other in arrays[1:]:
        assert other.time_us.tolist() == arrays[0].time_us.tolist()
        assert other.latency_s == pytest.approx(arrays[0].latency_s)
        assert other.score("accuracy").known_us.tolist() == arrays[0].score("accuracy").known_us.tolist()
        assert other.slice_values("topic")[0].tolist() == arrays[0].slice_values("topic")[0].tolist()


def test_labels_may_have_a_file_of_their_own(tmp_path: Path) -> None:
    frame = stream(500, labelled=1.0)
    events = written(frame.drop(columns=["score.accuracy", "label_time"]), tmp_path / "events.parquet")
    labels = written(frame[["request_id", "score.accuracy", "label_time"]], tmp_path / "labels.csv")
    assert ingested(tmp_path, labels).labels == 500
    report = ingested(tmp_path, events)
    assert (report.requests, report.labels) == (500, 0)
    assert open_ledger(tmp_path / "ledger.db", "tickets").summary().waiting == 0


def test_a_file_that_has_been_ingested_is_not_read_again_and_one_that_grew_is(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = [json.dumps(event(f"e{number}")) for number in range(4)]
    path.write_text("\n".join(lines[:2]) + "\n" + lines[2][:20])
    first = ingested(tmp_path, path)
    assert (first.requests, first.problems.counts) == (2, {"unreadable": 1, "no_slice": 2})
    assert "log.jsonl: line 3: expected a JSON object" in first.problems.examples["unreadable"]
    assert ingested(tmp_path, path).is_unchanged
    path.write_text("\n".join(lines) + "\n")
    assert ingested(tmp_path, path).requests == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "expected a JSON object, got [1, 2]"),
        ('{"request_id": NaN}', "NaN, which JSON does not have"),
        ("[" * 100_000, "nested more than 64 levels deep"),
        ('{"request_id": "' + "x" * LONGEST_LINE_BYTES + '"}', "expected at most 1,048,576 bytes"),
        ("\x1b[31m", "got '�[31m'"),
    ],
    ids=["list", "nan", "deep", "long", "escape"],
)
def test_a_line_that_is_no_event_is_counted_and_the_rest_is_taken(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join([json.dumps(event("a")), line, "", json.dumps(event("b"))]) + "\n", encoding="utf-8")
    report = ingested(tmp_path, path)
    assert report.requests == 2
    assert report.problems.counts["unreadable"] == 1
    assert message in report.problems.examples["unreadable"]


def test_rows_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    rows = [event("a"), event("b"), event("c", arm="B")]
    path.write_text("\n\n".join(map(json.dumps, rows)))
    assert "log.jsonl: row 5: arm is 'B'" in ingested(tmp_path, path).problems.examples["unknown_arm"]
    table = tmp_path / "log.csv"
    table.write_text("request_id,time,arm\na,2026-03-01,champion\nb,2026-03-01\nc,2026-03-01,B\n")
    problems = ingested(tmp_path, table).problems
    assert "log.csv: row 3: arm is 'B'" in problems.examples["unknown_arm"]
    assert "log.csv: row 2: expected 3 cells, got 2" in problems.examples["unreadable"]


def test_new_slice_values_are_counted_after_the_first_batch(tmp_path: Path) -> None:
    for name, topic in (("first", "billing"), ("second", "login")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(event(name, **{"slice.topic": topic})))
    assert ingested(tmp_path, tmp_path / "first.jsonl").problems.counts == {}
    assert ingested(tmp_path, tmp_path / "second.jsonl").problems.examples == {
        "new_slice_value": "second.jsonl: slice.topic is 'login'"
    }


def test_events_of_the_future_count_when_their_time_has_come(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (event("a"), {**event("b"), "time": "2027-05-01T00:00:00Z"})))
    ledger = ledger_of(tmp_path / "ledger.db")
    assert ingest_file(ledger, path, slices=[], now=NOW).requests == 1
    assert ingest_file(ledger, path, slices=[], now=NOW.replace(year=2028)).requests == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("events.txt", b"", "expected a name that ends in .parquet, .jsonl, .ndjson, .csv"),
        ("events.parquet", b"PAR1 and no more", "is not Parquet, or damaged"),
        ("events.csv", b"", "is empty; expected a header"),
        ("events.csv", b"id,when\n1,2\n", "expected events with the columns request_id, time and arm"),
        ("events.csv", b"request_id,time,time\n", "the header names time more than once"),
        ("events.csv", b'request_id,time,arm\na,"2026,champion\n', r"events.csv: line 2: unexpected end of data"),
        ("events.jsonl", b'{"request_id": "a"}\n{"x": 1}\n', "none of its 1 rows can be used; the first problem"),
        ("missing.csv", None, "cannot be read: No such file"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        ingested(tmp_path, path)


def test_a_large_file_comes_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlbaseline.monitor.event_files.BATCH_ROWS", 100)
    for name in ("events.parquet", "events.csv", "events.jsonl"):
        batches = list(read_events(written(stream(250), tmp_path / name)))
        assert [len(batch.frame) for batch in batches] in ([100, 100, 50], [99, 100, 51])


def test_labels_alone_without_an_event(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(json.dumps(label("never-seen", 1)))
    assert ingested(tmp_path, path).labels == 1
    assert open_ledger(tmp_path / "ledger.db", "tickets").summary().waiting == 1
