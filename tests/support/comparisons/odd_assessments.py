"""Assessments that a hostile, broken or unusual comparison gives, and all of them by name."""

from __future__ import annotations

from dataclasses import replace

from mlbaseline.records import (
    Assessment,
    Bounds,
    BreakEven,
    Change,
    Confusion,
    Cost,
    Estimate,
    ExampleAnswer,
    ExampleChange,
    ExamplePair,
    ExampleReport,
    Finding,
    FoundSlice,
    Front,
    FrontPoint,
    Mismatch,
    PublishedScore,
    Registration,
    SliceDelta,
    SliceGap,
    SliceReport,
    SliceSearch,
    SliceSpread,
    SmallSlice,
    UnpairedContrast,
    Verdict,
)
from tests.support.comparisons.assessments import (
    INF,
    NAN,
    REGISTRATION,
    beside_published,
    comparison,
    estimate,
    explored,
    fronted,
    hold,
    inconclusive,
    promote,
    standing,
)


def empty() -> Assessment:
    """Nothing was compared."""
    verdict = Verdict("hold", "nothing was evaluated", ())
    return Assessment("nothing", 0.95, {}, (), (), (), verdict, REGISTRATION, (), (), {})


HOSTILE = "<script>alert('x')</script>|`a`\n\x1b[31m[x](http://evil.example/)\u202e" + "very_long_" * 12


def hostile() -> Assessment:
    """Names made to break out of every format, and every number that is none."""
    base = promote()
    name = {"lora": HOSTILE}
    bad_cost = Cost(
        NAN,
        None,
        NAN,
        INF,
        None,
        NAN,
        None,
        NAN,
        {"usd_per_query": Bounds(NAN, INF), HOSTILE: Bounds(None, None)},
        HOSTILE,
    )
    standings = tuple(
        replace(s, baseline=HOSTILE, cost=bad_cost, metrics={"accuracy": Estimate(NAN, -INF, INF, 0.95, 0, 0, 0, "")})
        if s.baseline == "lora"
        else s
        for s in base.standings
    )
    rows = [
        replace(row, candidate=name.get(row.candidate, row.candidate), slice=row.slice and HOSTILE)
        for row in base.comparisons
    ]
    broken = replace(
        rows[0], delta=NAN, low=-INF, high=INF, simultaneous_low=NAN, simultaneous_high=NAN, p_value=NAN,
        p_adjusted=NAN, mde=INF, effect_size=None, gained=None, lost=None, margin=None, outcome="inconclusive",
    )  # fmt: skip
    finding = Finding(HOSTILE, "block", "fail", HOSTILE, {"value": NAN, HOSTILE: [None, INF, {"deep": HOSTILE}]})
    score = PublishedScore(HOSTILE, HOSTILE, NAN, None, INF, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    who = (HOSTILE, HOSTILE, HOSTILE)
    delta = SliceDelta(*who, ((HOSTILE, HOSTILE),), 0, NAN, NAN, NAN, -INF, INF, NAN)
    spread = SliceSpread(HOSTILE, HOSTILE, NAN, NAN, INF)
    lost = FoundSlice(((HOSTILE, HOSTILE),), 0, NAN, 0, NAN, NAN, NAN, NAN, True)
    explored = SliceReport(
        20, NAN, (SmallSlice(HOSTILE, HOSTILE, 0),), (delta,), (delta,),
        (SliceGap(*who, HOSTILE, spread, spread, NAN, -INF, INF),), (SliceSearch(*who, HOSTILE, 0, (lost,)),),
    )  # fmt: skip
    bad_answer = ExampleAnswer(HOSTILE, NAN, (NAN, INF), {HOSTILE: NAN}, HOSTILE)
    bad_example = ExampleChange(
        HOSTILE, Change.LOST, NAN, HOSTILE, f"{HOSTILE}\n{HOSTILE} two words", {HOSTILE: HOSTILE, "topic": "x"},
        bad_answer, replace(bad_answer, prediction=None),
    )  # fmt: skip
    shown = ExampleReport(
        (Confusion(HOSTILE, (HOSTILE, "b"), ((0, 0, 0), (0, 1, 2))),),
        (ExamplePair(HOSTILE, HOSTILE, HOSTILE, {Change.LOST: 1}, 1, 0, (bad_example,)),),
    )
    unpaired = UnpairedContrast(HOSTILE, HOSTILE, HOSTILE, 0, NAN, NAN, NAN, -INF, INF, 0.95, NAN, HOSTILE)
    return replace(
        base,
        published=(score,),
        unpaired=(unpaired,),
        slices=explored,
        examples=shown,
        suite=HOSTILE,
        standings=standings,
        comparisons=(broken, *rows[1:]),
        mismatches=(Mismatch(HOSTILE, None, NAN, "refuse"),),
        verdict=Verdict("hold", HOSTILE, (finding,)),
        registration=Registration(HOSTILE, HOSTILE, -(10**18), HOSTILE, -1),
        break_even=(BreakEven(HOSTILE, HOSTILE, NAN, None, INF, None),),
        audit=(finding, replace(finding, outcome=HOSTILE, severity=HOSTILE, title=HOSTILE)),
        fronts=tuple(
            Front(front.axis, front.metric, HOSTILE, -1, (FrontPoint(HOSTILE, INF, True, NAN, HOSTILE), *front.points))
            for front in (*base.fronts, replace(base.fronts[0], axis=HOSTILE), replace(base.fronts[0], metric=HOSTILE))
        ),
        context={HOSTILE: HOSTILE, "nested": {"nothing": None, "broken": NAN, "empty": {}, "long": list(range(50))}},
    )


def many() -> Assessment:
    """Forty rungs and two hundred exploratory contrasts."""
    base = promote()
    pattern = standing("lora")
    standings = tuple(
        replace(
            pattern,
            baseline=f"rung_{i:02d}",
            metrics={"accuracy": estimate(0.4 + 0.005 * i, 0.05)},
            cost=replace(pattern.cost, usd_per_query=10 ** (-7 + i / 12)),
        )
        for i in range(40)
    )
    rows = tuple(
        replace(comparison("lora", "full"), candidate=f"rung_{i // 10:02d}", baseline=f"rung_{20 + i % 10:02d}",
                role="exploratory", margin=None, outcome=None)
        for i in range(200)
    )  # fmt: skip
    return fronted(replace(base, standings=standings, comparisons=(*base.comparisons[:4], *rows)))


def lone() -> Assessment:
    """One rung, nothing to compare it with."""
    base = promote()
    return fronted(replace(base, standings=base.standings[4:5], comparisons=()))


ALL = {
    "promote": promote,
    "beside_published": beside_published,
    "explored": explored,
    "hold": hold,
    "inconclusive": inconclusive,
    "empty": empty,
    "hostile": hostile,
    "many": many,
    "lone": lone,
}
