"""What is stored carries the version of its form; what is of a later one is refused by name."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mlbaseline import format_versions
from mlbaseline.errors import NewerFormatError, SuiteError
from mlbaseline.format_versions import FORMAT, KEY, RESULT_TABLE, RUN, VERSION, FormatVersion
from mlbaseline.results import load_table
from mlbaseline.results.parquet import write_parquet
from mlbaseline.store.comparisons import save_assessment
from mlbaseline.suite.reading import load_suite, parse_suite
from mlbaseline.version import __version__
from mlbaseline.workflows.command_result import document_json
from tests.support.checkout import ROOT
from tests.support.comparisons.judged import table, task_data
from tests.support.ladders.stored import SUITE, make_assessment

PAGE = ROOT / "docs" / "reference" / "compatibility.md"


@pytest.mark.parametrize("found", [None, 1, "1"])
def test_earlier_and_present_versions_are_read(found: object) -> None:
    RUN.require_readable("run 1f3c", found)


@pytest.mark.parametrize("found", [2, "2", "1.5", "new", "", -1])
def test_anything_else_is_refused(found: object) -> None:
    with pytest.raises(NewerFormatError, match=r"run 1f3c: the run has format .*, written by mlbaseline ≥ 0.9"):
        RUN.require_readable("run 1f3c", found, "0.9")


def test_a_result_table_carries_its_version_and_a_later_one_is_refused(tmp_path: Path) -> None:
    rows = table(task_data(4), [True] * 4, baseline="rule")
    rows.save(tmp_path)
    path = tmp_path / "examples.parquet"
    metadata = pq.read_schema(path).metadata
    assert (metadata[FORMAT.encode()], metadata[VERSION.encode()]) == (b"1", __version__.encode())
    as_before = tmp_path / "before"
    as_before.mkdir()
    rows.frame.to_parquet(as_before / path.name, index=False)  # as 0.1 and 0.2 wrote it
    (as_before / "signature.json").write_bytes((tmp_path / "signature.json").read_bytes())
    for folder in (tmp_path, as_before):
        read = load_table(folder, baseline="rule", kind="trivial", seed=None)
        assert read.frame.equals(rows.frame)
    write_parquet(rows.frame, path, replace(RESULT_TABLE, newest=2))
    with pytest.raises(NewerFormatError, match=rf"examples.parquet: the result table has format 2.*≥ {__version__}"):
        load_table(tmp_path, baseline="rule", kind="trivial", seed=None)


def test_comparison_files_carry_their_version(tmp_path: Path) -> None:
    save_assessment(make_assessment(parse_suite(SUITE), {"lora": {"0": "a"}, "majority": {"none": "c"}}), tmp_path)
    assert json.loads((tmp_path / "findings.json").read_text(encoding="utf-8"))[KEY] == 1
    assert pq.read_schema(tmp_path / "comparisons.parquet").metadata[FORMAT.encode()] == b"1"


def test_a_suite_file_may_name_its_version_without_another_digest() -> None:
    suite = parse_suite(SUITE)
    assert parse_suite(f"format_version: 1\n{SUITE}").digest == suite.digest
    with pytest.raises(SuiteError) as refused:
        parse_suite(f"format_version: 2\nof_the_future: true\n{SUITE}")
    (problem,) = refused.value.problems
    assert problem.startswith("format_version: the suite file has format 2, written by a later mlbaseline")


def test_printed_documents_carry_their_version_and_a_schema_its_own() -> None:
    assert json.loads(document_json({"verdict": "hold"})) == {KEY: 1, "verdict": "hold"}
    schema = type(load_suite("tweets")).model_json_schema()
    assert KEY not in json.loads(document_json(schema))


def test_the_page_says_what_the_code_does() -> None:
    text = PAGE.read_text(encoding="utf-8")
    versions = [each for each in vars(format_versions).values() if isinstance(each, FormatVersion)]
    assert len(versions) == 6
    assert {each.newest for each in versions} == {1}, "the page says that all formats are 1 today"
    assert "All formats are 1 today." in text
    assert all(f"`{name}`" in text for name in (FORMAT, VERSION, KEY))
