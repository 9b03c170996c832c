"""A rule in Python: found where it may be, held to its labels, and known by its source."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlbaseline.errors import SuiteError
from mlbaseline.models.heuristic import Heuristic
from mlbaseline.records import Example
from tests.support.checkout import ROOT

LABELS = ("bad", "good")
RULES = """
from dataclasses import dataclass

@dataclass
class Rule:
    word: str

def label(fields):
    if "broken" in fields["text"]:
        raise KeyError("no such thing")
    return "good" if Rule("love").word in fields["text"] else "bad"

def shrug(fields):
    return sorted(fields)

NUMBER = 3
"""


def heuristic(root: Path, reference: str = "rules:label") -> Heuristic:
    return Heuristic(reference, root=root, labels=LABELS, fields=("text",), where="baselines.rule.function")


def example(text: str) -> Example:
    return Example(text, {"text": text, "label": "good"}, "good", LABELS)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "rules.py").write_text(RULES, encoding="utf-8")
    return tmp_path


def test_it_labels_by_the_prompt_fields(root: Path) -> None:
    said = list(heuristic(root).answer([example("I love it"), example("not this")]))
    assert [answer.prediction for answer in said] == ["good", "bad"]
    assert all(answer.error is None and answer.latency_s is not None and answer.latency_s > 0 for answer in said)


def test_what_it_raises_and_what_is_no_label_become_error_rows(root: Path) -> None:
    (raised,) = heuristic(root).answer([example("broken")])
    assert (raised.prediction, raised.error) == (None, "KeyError: 'no such thing'")
    (shrugged,) = heuristic(root, "rules:shrug").answer([example("any")])
    assert shrugged.error == "answered ['text'], which is none of the labels ['bad', 'good']"


def test_its_source_is_in_the_signature(root: Path) -> None:
    before = heuristic(root).signature_fields()
    (root / "rules.py").write_text(RULES.replace("love", "like"), encoding="utf-8")
    after = heuristic(root).signature_fields()
    assert {name for name in before if before[name] != after[name]} == {"model.source_sha256"}
    assert next(iter(heuristic(root).answer([example("I like it")]))).prediction == "good"


def test_two_suites_may_have_a_module_of_one_name(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "team").mkdir(parents=True)
    (other / "rules.py").write_text("def label(fields): return 'bad'", encoding="utf-8")
    (other / "team" / "rules.py").write_text("def label(fields): return 'good'", encoding="utf-8")
    for folder, reference, expected in (
        (other, "rules:label", "bad"),
        (other, "team.rules:label", "good"),
        (root, "rules:label", "good"),
    ):
        (answer,) = heuristic(folder, reference).answer([example("love")])
        assert answer.prediction == expected


def test_an_installed_module_will_do(tmp_path: Path) -> None:
    (answer,) = heuristic(tmp_path, "json:dumps").answer([example("x")])
    assert answer.error is not None
    assert json.dumps({"text": "x"}) in answer.error


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("nowhere:label", "there is no module 'nowhere'"),
        ("rules:missing", "AttributeError"),
        ("rules:NUMBER", "TypeError"),
        ("math:sqrt", "TypeError"),
    ],
)
def test_what_cannot_be_called_is_said(root: Path, reference: str, reason: str) -> None:
    with pytest.raises(SuiteError, match=rf"baselines.rule.function(.|\n)*{reference}: .*{reason}"):
        heuristic(root, reference)


def test_a_module_that_fails_at_import(root: Path) -> None:
    (root / "rules.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(SuiteError, match="ZeroDivisionError"):
        heuristic(root)


def test_the_folder_of_the_command_is_no_place_for_a_rule(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code = (
        "from pathlib import Path\n"
        "from mlbaseline.models.heuristic import load_function\n"
        "load_function('rules:label', Path('empty'), 'here')"
    )
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=environment, capture_output=True, text=True, check=False
    )
    assert "there is no module 'rules'" in done.stderr
