from __future__ import annotations

from dataclasses import replace

from mlbaseline.report.presenter import Presenter
from mlbaseline.report.sections.reproducibility import data_section, reproducibility_section
from tests.report.sections.test_findings import texts
from tests.support.comparisons import assessments as given


def test_reproducibility_flattens_the_context_and_lists_every_run() -> None:
    section = reproducibility_section(Presenter(given.promote()))
    context = dict(texts(section, block=0))
    assert context["suite_digest"] == "3f0c" * 16
    assert context["data.test"] == "300"
    assert context["hardware.cpu"] == "AMD EPYC 7R13"
    runs = texts(section, block=1)
    assert ["lora", "2"] in [run[:2] for run in runs]
    assert len(runs) == sum(len(s.run_ids) for s in given.promote().standings)


def test_the_data_have_files_rows_and_notes_of_their_own() -> None:
    data = {
        "train": 32,
        "dev": 12,
        "test": 30,
        "rows_read": 80,
        "dropped_without_target": 6,
        "files": {"source": "tickets.csv: csv, cp1252, 80 rows"},
        "notes": ["tickets.csv: left out 6 rows without a target: row 7, 8, 9, …"],
    }
    presenter = Presenter(replace(given.promote(), context={"data": data}))
    section = data_section(presenter)
    assert texts(section, block=0) == [["source", "tickets.csv: csv, cp1252, 80 rows"]]
    assert texts(section, block=1) == [
        *(["rows read", "80"], ["left out: without target", "6"]),
        *(["examples of train", "32"], ["examples of dev", "12"], ["examples of test", "30"]),
    ]
    assert texts(section, block=2) == [data["notes"]]
    assert ["data.rows_read", "80"] in texts(reproducibility_section(presenter), block=0)
    assert "notes" not in str(texts(reproducibility_section(presenter), block=0))


def test_data_that_could_not_be_read_have_no_section() -> None:
    assert data_section(Presenter(replace(given.promote(), context={}))) is None
