"""Raw rows of events ─▶ checked requests and labels. Whole columns are checked at once: streams are long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import numpy as np
import pandas as pd

from mlbaseline.monitor.event_cells import (
    LONGEST_TEXT,
    by_value,
    flag_or_number,
    is_textual,
    number_or_text,
    short_text,
    shown_value,
)
from mlbaseline.monitor.problems import EventProblem, ProblemCounts
from mlbaseline.records import canonical_json
from mlbaseline.records.decisions import StoredText
from mlbaseline.results import SCORE, SLICE
from mlbaseline.untrusted import printable
from mlbaseline.values import is_missing

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far the clock of a server may be ahead of ours."""
MEASUREMENTS = ("latency_s", "cost_usd", "tokens_in", "tokens_out")
REQUEST_COLUMNS = (
    "request_id",
    "time_us",
    "unit",
    "experiment",
    "arm",
    "share",
    "error",
    *MEASUREMENTS,
    "slices",
)
LABEL_COLUMNS = ("request_id", "assessment", "score_name", "score", "label_us")
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
NO_TIME = -1
"""In place of the time of a label that has none: it counts from its request on."""
_EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
_EXPECTED = {
    "request_id": f"a text of at most {LONGEST_TEXT} characters",
    "time": "an ISO 8601 time that is not in the future",
    "label_time": "an ISO 8601 time, not before the request and not in the future",
    "arm": "`champion` or `candidate`",
    "share": "a number from 0 to 1",
    "error": "true or false",
}


class Arm(StoredText):
    """Which model answered a request."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


@dataclass(frozen=True, eq=False)
class CheckedRows:
    """Rows that the ledger can take.

    Attributes:
        requests: One row a request, with REQUEST_COLUMNS. `slices` is the canonical JSON of slice ─▶ value.
        labels: One row a label, with LABEL_COLUMNS. `assessment` names the label among those of its request.
        read: Number of raw rows.
        problems: What was wrong.
    """

    requests: pd.DataFrame
    labels: pd.DataFrame
    read: int
    problems: ProblemCounts


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970, UTC."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def check_rows(raw: pd.DataFrame, *, source: str, first_row: int = 1, now: datetime | None = None) -> CheckedRows:
    """Check raw rows with the columns of an event.

    Args:
        raw: Columns of the event format, of any type; its index counts rows from 0. A row with `time` or `arm` is a
            request; `score.<name>` in any row is a label of its request. An assessment's own id may stand in
            `assessment.<name>`.
        source: Name of the file or experiment, for messages.
        first_row: Number in the source of the row with index 0.
        now: Later events are left out. Default: the present.

    Returns:
        Requests and labels that are valid, and the counts of everything else.

    Example:
        >>> raw = pd.DataFrame({"request_id": ["a"], "time": ["2026-01-01T10:00:00Z"], "arm": ["champion"]})
        >>> checked = check_rows(raw.assign(**{"score.accuracy": ["1"]}), source="events.csv")
        >>> len(checked.requests), checked.labels["score"].tolist()
        (1, [1.0])
    """
    return _Rows(raw, source, first_row, now or datetime.now(timezone.utc)).check()


class _Rows:
    """The rows while they are checked. `kept` turns false where a row is left out."""

    def __init__(self, raw: pd.DataFrame, source: str, first_row: int, now: datetime) -> None:
        self.row_numbers = raw.index.to_numpy() + first_row
        encoded = [name for name in raw if isinstance(raw[name].dtype, pd.CategoricalDtype)]
        self.raw, self.source = raw.astype(dict.fromkeys(encoded, object)).reset_index(drop=True), source
        self.latest = pd.Timestamp(now + CLOCK_TOLERANCE)
        self.kept = np.ones(len(raw), dtype=bool)
        self.problems = ProblemCounts()
        self._missing: dict[str, np.ndarray] = {}

    def check(self) -> CheckedRows:
        ids = self.text("request_id")
        self.refuse(ids.isna().to_numpy(), EventProblem.INCOMPLETE, "request_id")
        is_request = ~(self.missing("time") & self.missing("arm"))
        scores = [str(column) for column in self.raw.columns if str(column).startswith(SCORE)]
        has_label = np.zeros(len(self.raw), dtype=bool)
        for column in scores:
            has_label |= ~self.missing(column)
        self.refuse(~is_request & ~has_label, EventProblem.INCOMPLETE, "time")
        requests = self.requests(ids, is_request)
        labels = [self.labels(column, ids, requests["time_us"], is_request) for column in scores]
        columns = requests.columns
        requests = requests.loc[self.kept & is_request, columns]
        found = [label.loc[self.kept[label.index]] for label in labels]
        return CheckedRows(
            requests.reset_index(drop=True),
            pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=list(LABEL_COLUMNS)),
            len(self.raw),
            self.problems,
        )

    def requests(self, ids: pd.Series, is_request: np.ndarray) -> pd.DataFrame:
        time = self.time("time")
        self.refuse(is_request & time.isna().to_numpy(), EventProblem.INCOMPLETE, "time")
        self.refuse(is_request & (time > self.latest).to_numpy(), EventProblem.IN_THE_FUTURE, "time")
        arm = self.text("arm")
        self.refuse(is_request & arm.isna().to_numpy(), EventProblem.INCOMPLETE, "arm")
        self.refuse(is_request & ~arm.isin(list(map(str, Arm))).to_numpy(), EventProblem.UNKNOWN_ARM, "arm")
        share = self.numbers("share")
        unusable = ~self.missing("share") & ~((share >= 0) & (share <= 1))
        self.refuse(is_request & unusable, EventProblem.BAD_SHARE, "share")
        error = self.flags("error", is_request)
        columns = {
            "request_id": ids,
            "time_us": time_us(time),
            "unit": self.text("unit"),
            "experiment": self.text("experiment").fillna(""),
            "arm": arm,
            "share": share,
            "error": error,
            **{name: self.measurement(name, is_request) for name in MEASUREMENTS},
            "slices": self.slices(),
        }
        return pd.DataFrame(columns)

    def labels(self, column: str, ids: pd.Series, request_us: pd.Series, is_request: np.ndarray) -> pd.DataFrame:
        """Collect the labels of one score."""
        name, there = column.removeprefix(SCORE), ~self.missing(column)
        score = self.flag_numbers(column)
        bad = there & ~((score >= 0) & (score <= 1))
        self.note(bad & self.kept, EventProblem.BAD_SCORE, column)
        label_time = self.time("label_time")
        garbled = there & ~self.missing("label_time") & label_time.isna().to_numpy()
        self.note(garbled & self.kept, EventProblem.BAD_SCORE, "label_time")
        ahead = (label_time > self.latest).to_numpy()
        self.note(there & ahead & self.kept, EventProblem.IN_THE_FUTURE, "label_time")
        label_us = time_us(label_time)
        early = is_request & there & (label_us >= 0).to_numpy() & (label_us < request_us).to_numpy()
        self.note(early & self.kept & ~bad, EventProblem.LABEL_BEFORE_REQUEST, "label_time")
        rows = np.flatnonzero(there & self.kept & ~bad & ~garbled & ~ahead)
        taken = label_us.iloc[rows]
        own = self.text(f"assessment.{name}").iloc[rows]
        return pd.DataFrame(
            {
                "request_id": ids.iloc[rows],
                # A correction has a time of its own.
                "assessment": own.where(own.notna(), f"{name}@" + taken.astype(str)),
                "score_name": name,
                "score": score[rows],
                "label_us": taken,
            },
            index=pd.Index(rows),
        )

    # ---- columns ----------------------------------------------------------------------------------------------------

    def column(self, name: str) -> pd.Series:
        return self.raw[name] if name in self.raw else pd.Series(None, index=self.raw.index, dtype=object)

    def missing(self, name: str) -> np.ndarray:
        if name not in self._missing:
            column = self.column(name)
            missing = column.isna().to_numpy(dtype=bool)
            if is_textual(column):
                missing = missing | by_value(column, is_missing).to_numpy(dtype=bool)
            self._missing[name] = missing
        return self._missing[name]

    def text(self, name: str) -> pd.Series:
        """Texts; missing where there is none, or one that is too long or no scalar."""
        return by_value(self.column(name), short_text)

    def time(self, name: str) -> pd.Series:
        """Read times of plausible years; missing where there is none."""
        column = self.column(name)
        if is_textual(column):
            column = by_value(column, lambda value: value if not isinstance(value, bool | int | float) else None)
            time = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
        elif pd.api.types.is_datetime64_any_dtype(column):
            time = pd.to_datetime(column, utc=True, errors="coerce")
        else:
            time = pd.Series(pd.NaT, index=column.index).dt.tz_localize("UTC")
        return time.where(time >= _EARLIEST)

    def numbers(self, name: str) -> np.ndarray:
        """Numbers (n,); NaN where there is none."""
        column = self.column(name)
        if is_textual(column) and not set(map(type, column)) <= {float, type(None)}:
            column = by_value(column, number_or_text)
        return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)

    def flag_numbers(self, name: str) -> np.ndarray:
        """Numbers (n,), in which true is 1 and false is 0; NaN where there is none."""
        column = self.column(name)
        if is_textual(column):
            column = by_value(column, flag_or_number)
        return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=float)

    def measurement(self, name: str, is_request: np.ndarray) -> np.ndarray:
        values = self.numbers(name)
        unusable = ~self.missing(name) & ~((values >= 0) & np.isfinite(values))
        self.note(is_request & unusable & self.kept, EventProblem.BAD_MEASUREMENT, name)
        return np.where(unusable, np.nan, values)

    def flags(self, name: str, is_request: np.ndarray) -> np.ndarray:
        """Read flags (n,); false where there is none."""
        values = self.flag_numbers(name)
        unusable = ~self.missing(name) & ~np.isin(values, (0.0, 1.0))
        self.refuse(is_request & unusable, EventProblem.INCOMPLETE, name)
        return np.asarray(values == 1.0)

    def slices(self) -> pd.Series:
        """Canonical JSON of slice ─▶ value, one text for each distinct combination."""
        names = [str(column) for column in self.raw.columns if str(column).startswith(SLICE)]
        codes = np.zeros(len(self.raw), dtype=np.int64)
        combinations: list[dict[str, str]] = [{}]
        for name in names:
            value_codes, values = pd.factorize(self.text(name))  # −1: missing
            pairs, codes = np.unique(codes * (len(values) + 1) + value_codes + 1, return_inverse=True)
            combinations = [
                {**combinations[pair // (len(values) + 1)], **_entry(name, pair % (len(values) + 1), values)}
                for pair in pairs.tolist()
            ]
        texts = [canonical_json(combination).decode("utf-8", "replace") for combination in combinations]
        return pd.Series(np.array(texts, dtype=object)[codes], index=self.raw.index)

    # ---- problems ---------------------------------------------------------------------------------------------------

    def refuse(self, rows: np.ndarray, problem: EventProblem, name: str) -> None:
        self.note(rows & self.kept, problem, name)
        self.kept &= ~rows

    def note(self, rows: np.ndarray, problem: EventProblem, name: str) -> None:
        count = int(rows.sum())
        if count:
            first = int(np.argmax(rows))
            shown = "is missing" if self.missing(name)[first] else f"is {shown_value(self.column(name).iloc[first])}"
            expected = f", expected {_EXPECTED[name]}" if name in _EXPECTED else ""
            self.problems.add(problem, count, f"{self.source}: row {self.row_numbers[first]}: {name} {shown}{expected}")


def _entry(name: str, code: int, values: pd.Index) -> dict[str, str]:
    return {name.removeprefix(SLICE): printable(str(values[code - 1]))} if code else {}


def time_us(time: pd.Series) -> pd.Series:
    """Microseconds since 1970 of times in UTC; NO_TIME where there is none."""
    present = time.notna()
    us = time.dt.tz_localize(None).astype("datetime64[us]").astype("int64")
    return pd.Series(us.where(present, NO_TIME))
