"""A champion in production, with traffic whose right answers are known."""

from __future__ import annotations

import pytest

from tests.support.ladders.cheap_ladder import CheapLadder
from tests.support.ladders.live_traffic import write_live_suite
from tests.support.models.rule_model import register


@pytest.fixture
def live(cheap_ladder: CheapLadder, monkeypatch: pytest.MonkeyPatch) -> CheapLadder:
    """A champion that knows all signs of a good review, as its reference does."""
    write_live_suite(cheap_ladder)
    (cheap_ladder.folder / "events").mkdir()
    register(cheap_ladder, "+*^!", "text")
    monkeypatch.chdir(cheap_ladder.folder)
    return cheap_ladder
