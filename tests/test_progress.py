from __future__ import annotations

import sys

import pytest

from mlbaseline import progress
from mlbaseline.progress import preparing, progress_bar


def test_a_bar_is_silent_without_a_terminal_and_without_a_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress_bar(3, "ex", "lora") as bar:
        bar.update(3)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar(3, "ex", None) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_preparing_passes_on_what_it_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(preparing([1, 2, 3], "Slicing")) == [1, 2, 3]
    assert "Slicing" not in capsys.readouterr().err, "over before anybody would read it"
    monkeypatch.setattr(progress, "BAR_DELAY_S", 0.0)
    assert list(preparing(iter([1, 2]), "Hashing", 2)) == [1, 2]
    assert "Hashing" in capsys.readouterr().err
