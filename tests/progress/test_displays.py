from __future__ import annotations

import sys
from collections.abc import Callable
from threading import Event

import pytest

from mlbaseline.progress import MinuteLines, Progress, ProgressBar, displays, preparing, progress_bar
from mlbaseline.progress import bar as bar_module
from tests.support.clock import Clock


def test_without_a_terminal_a_line_a_minute_says_how_far_the_work_is(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = MinuteLines(clock)
    with ProgressBar(Progress("lora · seed 1", "step", 400, done=20, start=20), lines, clock) as bar:
        for _ in range(150):  # steps of a second each
            clock.now_s += 1
            bar.update(note="loss 0.412")
    with ProgressBar(Progress("lora · seed 2", "step", 400), lines, clock) as bar:
        clock.now_s += 9
        bar.update()
    assert capsys.readouterr() == (
        "",
        "lora · seed 1: 30 of 400 steps, 1.0 steps/s, 06:10 left, loss 0.412\n"
        "lora · seed 1: 90 of 400 steps, 1.0 steps/s, 05:10 left, loss 0.412\n"
        "lora · seed 1: 150 of 400 steps, 1.0 steps/s, 04:10 left, loss 0.412\n",
    )


def test_work_within_other_work_has_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    clock = Clock()
    lines = MinuteLines(clock)
    with (
        ProgressBar(Progress("Repeating lora", "repetition", 9), lines, clock),
        ProgressBar(Progress("program", "second", None), lines, clock) as inner,
    ):
        clock.now_s += 30
        inner.update(0, note="epoch 1")
    assert capsys.readouterr().err == "Repeating lora: 0 of 9 repetitions\nprogram: running for 00:30, epoch 1\n"


def test_work_of_unknown_length_is_shown_while_nothing_comes_back(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bar_module, "_TICK_S", 0.001)
    clock, lines, shown = Clock(), MinuteLines(Clock()), Event()
    monkeypatch.setattr(lines, "show", _and_set(lines.show, shown))
    with ProgressBar(Progress("Comparing tickets", "second", None, is_brief=True), lines, clock):
        clock.now_s += 12
        shown.clear()
        assert shown.wait(60)
    assert capsys.readouterr().err == "Comparing tickets: running for 00:12\n"


def _and_set(show: Callable[[Progress], None], shown: Event) -> Callable[[Progress], None]:
    def and_set(progress: Progress) -> None:
        show(progress)
        if progress.elapsed_s:
            shown.set()

    return and_set


def test_slow_work_is_told_in_seconds_and_files_in_megabytes() -> None:
    slow = Progress("lora", "step", 10, done=2, elapsed_s=30.0)
    assert slow.text() == "lora: 2 of 10 steps, 15.0 s/step, 02:00 left"
    file = Progress("Reading a.csv", "B", 8_000_000, done=2_000_000, elapsed_s=2.0)
    assert file.text() == "Reading a.csv: 2.0 of 8.0 MB, 1.0 MB/s, 00:06 left"


def test_work_without_a_name_or_of_a_few_seconds_is_silent_without_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with progress_bar(3, "example", "lora") as bar:
        bar.update(3)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar(3, "example", None) as bar:
        bar.update(3)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_that_stays_where_it_ended(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar(4, "step", "lora · seed 1", start=1) as bar:
        bar.update(3, note="loss 0.412")
    last = capsys.readouterr().err.rstrip().split("\r")[-1]
    assert last.startswith("lora · seed 1: 100%") and "4/4" in last and "loss 0.412" in last


def test_preparing_passes_on_what_it_counts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert list(preparing([1, 2, 3], "Slicing")) == [1, 2, 3]
    assert "Slicing" not in capsys.readouterr().err, "over before anybody would read it"
    monkeypatch.setattr(displays, "BRIEF_S", 0.0)
    assert list(preparing(iter([1, 2]), "Hashing", 2)) == [1, 2]
    assert "Hashing" in capsys.readouterr().err
