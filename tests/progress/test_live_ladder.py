from __future__ import annotations

import io
import logging
import sys
from collections.abc import Sequence

import pytest
from rich.console import Console

from mlbaseline.progress import Progress, RungEvent, RungState, Stage, tell, working_on
from mlbaseline.progress.live_ladder import LiveLadder, showing_ladder
from tests.support.clock import Clock
from tests.support.processes.terminal import Terminal

PLAN: dict[str, Sequence[int | None]] = {"majority": [None], "zero_shot": [None], "lora": [0, 1, 2], "full": [0, 1, 2]}


class Screen:
    """A ladder, and what a terminal of some size shows of it."""

    def __init__(self, plan: dict[str, Sequence[int | None]] = PLAN, *, width: int = 100, height: int = 30) -> None:
        self.clock = Clock()
        self.file = io.StringIO()
        self.console = Console(file=self.file, width=width, height=height, color_system=None)
        self.ladder = LiveLadder(self.console, "reviews, accuracy", plan, self.clock)

    def tell(self, rung: str, seed: int | None, state: RungState, score: float | None = None) -> None:
        self.ladder.tell(RungEvent(rung, seed, state, score))

    def lines(self) -> list[str]:
        self.file.seek(0)
        self.file.truncate()
        self.console.print(self.ladder)
        return [line.rstrip() for line in self.file.getvalue().splitlines()]


def test_every_rung_and_seed_has_its_state() -> None:
    screen = Screen()
    screen.tell("majority", None, RungState.REUSED, 0.5083)
    screen.tell("zero_shot", None, RungState.DONE)
    screen.tell("lora", 0, RungState.DONE, 0.975)
    screen.tell("lora", 2, RungState.RUNNING)
    screen.tell("full", 0, RungState.FAILED)
    training = Progress(Stage("lora", 1, "training"), "step", 260, done=130, elapsed_s=30.0, note="loss 0.412")
    screen.ladder.show(training)
    screen.clock.now_s += 75
    heading, titles, _, majority, zero_shot, lora, full, below = screen.lines()
    assert heading == "reviews, accuracy: 3 of 8 done, 1 reused, 1 failed, 01:15"
    assert titles.split() == ["rung", "no", "seed", "seed", "0", "seed", "1", "seed", "2"]
    assert majority.split() == ["majority", "0.508", "reused"]
    assert zero_shot.split() == ["zero_shot", "done"]
    assert lora.split()[:2] == ["lora", "0.975"] and "━" in lora
    assert lora.split()[-2:] == ["00:30", "running"]
    assert full.split() == ["full", "failed", "waiting", "waiting"]
    assert below == "lora · seed 1, training: 130 of 260 steps, 4.3 steps/s, 00:30 left, loss 0.412"
    screen.ladder.end(training)
    assert screen.lines()[5].split()[2:4] == ["✓", "training"]
    assert len(screen.lines()) == 7


@pytest.mark.parametrize("width", [20, 60, 100, 160])
@pytest.mark.parametrize("n_seeds", [1, 3, 12])
def test_no_line_is_wider_than_the_terminal(width: int, n_seeds: int) -> None:
    seeds = list(range(n_seeds))
    screen = Screen({"majority": [None], "a_rung_with_a_very_long_name_of_forty_letters": seeds}, width=width)
    for seed in seeds:
        title = Stage("a_rung_with_a_very_long_name_of_forty_letters", seed, "training")
        screen.ladder.show(Progress(title, "step", 1000, done=10 * seed, elapsed_s=100.0, note="loss " + "9" * 50))
    screen.tell("a_rung_with_a_very_long_name_of_forty_letters", n_seeds - 1, RungState.DONE, 0.5)
    lines = screen.lines()
    assert max(map(len, lines)) <= width
    assert len([line for line in lines if line.startswith("a_r")]) == 1 + min(n_seeds, 10), "no cell is folded"
    if n_seeds == 12 and width < 160:
        assert any("1 done" in line for line in lines), "seeds without a column are counted"


def test_more_rungs_than_the_screen_has_lines_leave_the_open_ones_in_sight() -> None:
    screen = Screen({f"rung_{number}": [None] for number in range(40)}, height=20)
    for number in range(30):
        screen.tell(f"rung_{number}", None, RungState.DONE, 0.5)
    lines = screen.lines()
    assert len(lines) < 20
    assert "rung_30" in " ".join(lines) and "rung_0 " not in " ".join(lines)
    assert lines[-1].startswith("… ")


def test_a_rung_that_turns_out_to_have_seeds_is_no_longer_expected_without() -> None:
    screen = Screen({"recorded": [None], "endpoint": [0, 1]})
    for seed in (0, 1):
        screen.tell("recorded", seed, RungState.DONE, 0.5)
    screen.tell("endpoint", None, RungState.LEFT_OUT)
    assert screen.lines()[0].startswith("reviews, accuracy: 2 of 2 done")
    assert screen.lines()[-1].split() == ["endpoint", "left", "out"]


def test_a_short_preparation_is_not_shown_and_work_of_unknown_length_shows_its_time() -> None:
    screen = Screen()
    before = len(screen.lines())
    screen.ladder.show(Progress("Reading a.csv", "B", 10**7, is_brief=True))
    screen.ladder.show(Progress("Comparing", "second", None))
    screen.clock.now_s += 0.5
    assert len(screen.lines()) == before + 1
    screen.clock.now_s += 60
    assert screen.lines()[before:] == ["Reading a.csv: 0.0 of 10.0 MB", "Comparing: running for 01:00"]


def test_a_terminal_shows_the_ladder_and_the_log_above_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal(monkeypatch)
    handler = logging.StreamHandler(sys.stderr)
    logger = logging.getLogger("tests.live_ladder")
    logger.addHandler(handler)
    with pytest.raises(ValueError, match="no such label"), showing_ladder("reviews, accuracy", PLAN):
        print("a result")
        logger.warning("a warning")
        tell("majority", None, RungState.DONE, 0.5)
        with working_on("lora", 0):
            raise ValueError("no such label")
    logger.removeHandler(handler)
    assert handler.stream is sys.stderr, "as it was before"
    shown = terminal.shown()
    assert "a warning\r\n" in shown
    last = shown[shown.rindex("reviews, accuracy") :]
    assert "1 of 8 done, 1 failed" in last and "failed" in last, "it stays where something failed"
    assert capsys.readouterr().out == "a result\n"


@pytest.mark.parametrize("without", ["terminal", "cursor"])
def test_where_nothing_can_be_drawn_progress_is_shown_as_always(without: str, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    if without == "cursor":
        monkeypatch.setenv("TERM", "dumb")
    else:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    with showing_ladder("reviews, accuracy", PLAN):
        tell("majority", None, RungState.DONE, 0.5)
    assert terminal.shown() == ""


def test_without_colour_the_table_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal(monkeypatch)
    monkeypatch.setenv("NO_COLOR", "1")
    with showing_ladder("reviews, accuracy", PLAN):
        tell("majority", None, RungState.DONE, 0.5)
        tell("lora", 0, RungState.FAILED)
    shown = terminal.shown()
    assert "0.500" in shown
    assert not any(f"\x1b[{code}m" in shown for code in ("32", "1;31", "31", "33", "36"))
