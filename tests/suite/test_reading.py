"""Suite files: what is accepted, and what a digest depends on."""

from __future__ import annotations

import re

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.suite import Pretrained, Shots, Suite
from mlbaseline.suite.checks.known_keys import as_mapping
from mlbaseline.suite.decision import Matrix
from mlbaseline.suite.reading import load_suite, packaged_suites, parse_suite
from tests.support.ladders.tweets_suite import GENERATE, TWEETS


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
    copy.write_text("# a comment\n" + TWEETS, encoding="utf-8")
    assert load_suite(copy).digest == load_suite("tweets").digest
    copy.write_text(TWEETS.replace("encoding_errors: replace", "encoding_errors: strict"), encoding="utf-8")
    assert load_suite(copy).digest == load_suite("tweets").digest, "what was read is in the digest of the data"
    copy.write_text(TWEETS.replace("seed: 13", "seed: 14"), encoding="utf-8")
    assert load_suite(copy).digest != load_suite("tweets").digest


def test_matrix_digest_covers_the_rules_of_the_decision_and_nothing_else() -> None:
    suite = parse_suite(TWEETS)
    assert parse_suite(TWEETS.replace("epochs: 2", "epochs: 3")).matrix_digest == suite.matrix_digest
    for old, new in (
        ("margin: 0.0", "margin: 0.01"),
        ("min_seeds: 3", "min_seeds: 2"),
        ("seeds: [0, 1, 2]", "seeds: [0, 1]"),
    ):
        assert parse_suite(TWEETS.replace(old, new)).matrix_digest != suite.matrix_digest
    assert "winner_by" not in suite.matrix.model_dump()  # of a suite of before it is the same digest


def test_a_text_stands_for_an_asset() -> None:
    source = TWEETS.partition("model: &smollm2\n")[2].partition("source: ")[2].partition("\n")[0]
    written = re.sub(r"&smollm2\n.*\n.*\n", f"&smollm2 {{source: '{source}'}}\n", TWEETS)
    short, long = parse_suite(written.replace(f"{{source: '{source}'}}", f"'{source}'")), parse_suite(written)
    assert short.text != long.text
    assert short.baselines == long.baselines
    assert short.digest == long.digest


def test_a_text_stands_for_the_source_of_data_and_the_column_of_a_slice() -> None:
    long = GENERATE.replace("  split:", "  slices: {area: {column: area}}\n  split:")
    short = long.replace("{source: data.csv}", "data.csv").replace("{column: area}", "area")
    assert parse_suite(short).digest == parse_suite(long).digest


def test_neither_file_nor_packaged_suite(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SuiteError, match="no packaged suite of that name"):
        load_suite("nothing")
    with pytest.raises(SuiteError, match=r"no such file$"):
        load_suite("tickets.yml")
    (tmp_path / "tickets.yaml").write_text(TWEETS, encoding="utf-8")
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


def test_where_a_model_lies_is_in_no_digest() -> None:
    suite = parse_suite(TWEETS)
    options = "device_map: auto, max_memory: {0: 70GiB, cpu: 200GiB}"
    placed = parse_suite(TWEETS.replace("precision: auto,", f"precision: auto, {options},"))
    assert placed.evaluation.max_memory == {"0": "70GiB", "cpu": "200GiB"}
    assert placed.digest == suite.digest
    assert "device_map" not in suite.evaluation.model_dump()


def test_a_claim_says_all_that_its_test_depends_on() -> None:
    claims = parse_suite(TWEETS).matrix.claims()
    assert len(claims) == len(set(claims)) == 6
    assert claims[0] == "primary: lora over majority by accuracy, margin 0, level 0.95, corrected by holm"
    assert parse_suite(TWEETS.replace("margin: 0.0", "margin: 0.01")).matrix.claims()[0] != claims[0]


def test_every_key_is_described_in_the_schema() -> None:
    """An editor shows the description, and the reference of the documentation is made of it."""
    schema = Suite.model_json_schema()
    types = {"Suite": schema, **{name: as_mapping(of) for name, of in schema["$defs"].items()}}
    keys = {f"{name}.{key}": field for name, of in types.items() for key, field in of.get("properties", {}).items()}
    assert {"Asset.sha256", "DataSource.encoding", "Slicing.column"} <= keys.keys()
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
