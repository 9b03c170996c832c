"""A suite whose champion answers live traffic, the right answers of which are known."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

from mlbaseline import workflows
from tests.support.ladders.cheap_ladder import WAIVED, CheapLadder

MONITOR = """
register_as: reviews-rule
monitor:
  traffic: {source: files, paths: ["events/*.jsonl"]}
  reference: rule
  holdout: {size: 120, anchor: 60, refresh: weekly}
  drift: {label_delay: 1d, delta: 0.03}
"""
RULE = "rule: {kind: trivial, strategy: keyword, rules: {good: '[+*^!]$'}, default: bad}"
CHAMPION = "champion: {kind: production, uri: 'models:/reviews-rule@champion', optional: true}"
MONDAY = datetime(2026, 3, 2, tzinfo=timezone.utc)


def write_live_suite(ladder: CheapLadder) -> None:
    """The rule and the champion beside the majority, and a contrast that the majority cannot win."""
    ladder.write(RULE, CHAMPION)
    matrix = "matrix:\n  primary: [{candidate: majority, over: [rule]}]\n"
    ladder.suite.write_text(ladder.suite.read_text() + MONITOR + matrix + WAIVED)


def write_week(live: CheapLadder, week: int, *, signs: str = "+*^!", n: int = 200) -> None:
    """Requests of a week with what was asked and the right answer; half of them are good, by one of these signs."""
    rows = []
    for number in range(n):
        good = number % 2 == 0
        text = f"review {week} {number} {signs[number % len(signs)] if good else '-'}"
        time = MONDAY + timedelta(weeks=week, minutes=40 * number)
        row = {"request_id": f"w{week}-{number}", "time": time.isoformat(), "arm": "champion"}
        rows.append({**row, "input.review": text, "target": "good" if good else "bad"})
    closing = {"request_id": f"w{week}-end", "time": (MONDAY + timedelta(weeks=week + 1, days=2)).isoformat()}
    rows.append({**closing, "arm": "champion"})
    (live.folder / "events" / f"{week}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    workflows.ingest(live.suite, tracking_uri=live.uri)
