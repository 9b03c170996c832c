"""The search for slices where the candidate got worse: it finds what is there, and is not taken in by what is not."""

from __future__ import annotations

import numpy as np
import pytest

from mlbaseline.judge.slices import examine
from mlbaseline.judge.slices.sample import UNCERTAINTY, Sample, sample_of
from mlbaseline.judge.slices.search import LIMIT, halves, search
from tests.support.ladders.sliced_ladders import data, ladder, rights, table


def sample(n: int, rng: np.random.Generator, *, hurt: float = 0.0) -> Sample:
    """Two slices with eight values between them, and two measures; worse by `hurt` on one value."""
    shared = rng.random(n)
    own = np.where(rng.random(n) < 0.6, shared, rng.random(n))
    letters, marks = (rng.choice(list(names), n).astype(object) for names in ("abcde", "xyz"))
    return Sample(
        candidate=(own < 0.7 - hurt * (letters == "b")) * 1.0,
        baseline=(shared < 0.7) * 1.0,
        clusters=None,
        units=np.array([f"e{number}" for number in rng.integers(1 << 40, size=n)], dtype=object),
        values={"letter": letters, "mark": marks},
        measures={"tokens in": rng.poisson(20, n) * 1.0, "loss": rng.normal(size=n)},
    )


def confirmed(of: Sample) -> list[dict[str, str]]:
    first, second = halves(of)
    _, found = search(first, second, sign=1, at_least=20, level=0.95)
    return [dict(row.where) for row in found if row.confirmed]


def test_size_under_the_null() -> None:
    """About 85 slices tried: any confirmed in at most 5 % of the tables. 100 tables, upper limit of 0.05 + 2 σ."""
    rng = np.random.default_rng(3)
    false = [bool(confirmed(sample(800, rng))) for _ in range(100)]
    assert np.mean(false) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 100)


def test_what_looked_worst_is_not_what_it_is() -> None:
    """The searched half overstates a loss that is not there; the other half does not."""
    rng = np.random.default_rng(4)
    searched, tested = [], []
    for _ in range(40):
        first, second = halves(sample(500, rng))
        for row in search(first, second, sign=1, at_least=20, level=0.95)[1][:1]:
            searched.append(row.searched_delta)
            tested.append(row.delta)
    assert np.mean(searched) < -0.1
    assert abs(np.mean(tested)) < 0.03


def test_power() -> None:
    rng = np.random.default_rng(5)
    hits = [any(where.get("letter") == "b" for where in confirmed(sample(1000, rng, hurt=0.4))) for _ in range(20)]
    assert np.mean(hits) > 0.8


def test_at_most_a_few_are_tested_and_their_intervals_hold_together() -> None:
    first, second = halves(sample(1500, np.random.default_rng(6), hurt=0.3))
    tried, found = search(first, second, sign=1, at_least=20, level=0.95)
    assert tried > 50 and 0 < len(found) <= LIMIT
    assert all(row.searched_delta < 0 and row.low < row.delta < row.high for row in found)
    assert all(row.confirmed == (row.p_adjusted <= 0.05) for row in found)


def test_halves_depend_on_the_examples_alone_and_keep_clusters_whole() -> None:
    whole = sample(400, np.random.default_rng(7))
    order = np.random.default_rng(8).permutation(400)
    first, second = halves(whole)
    again, _ = halves(whole.take(order))
    assert sorted(again.units) == sorted(first.units) and not set(first.units) & set(second.units)
    assert 150 < len(first) < 250
    clusters = np.repeat(np.array([f"c{i}" for i in range(80)], dtype=object), 5)
    parts = halves(Sample(whole.candidate, whole.baseline, clusters, clusters, whole.values, whole.measures))
    assert not set(parts[0].units) & set(parts[1].units)


def test_dev_is_searched_where_it_was_answered() -> None:
    (alone,) = examine(ladder(hurt=0.5), np.random.default_rng(0)).searches
    assert (alone.source, alone.found[0].n < 200) == ("half of test", True)
    (found,) = examine(ladder(hurt=0.5, dev=400), np.random.default_rng(0)).searches
    assert found.source == "dev"
    worst = found.found[0]
    assert worst.confirmed and set(worst.where) & {("topic", "food"), ("form", "short")}
    made = ladder(hurt=0.5, dev=400).tables("lora", "checkpoint")[0].frame
    mask = np.all([made[f"slice.{name}"] == value for name, value in worst.where if name in ("topic", "form")], axis=0)
    assert worst.n <= mask.sum()  # on all of test


def test_too_few_examples_find_nothing() -> None:
    of = data(30)
    right = rights(of, np.random.default_rng(0))
    tables = {name: table(of, correct, name) for name, correct in right.items()}
    small = sample_of(tables["lora"], tables["base"], None, ("no", "yes"), "accuracy")
    assert small is not None
    assert search(*halves(small), sign=1, at_least=20, level=0.95) == (0, ())


def test_a_choice_without_probability_leaves_no_uncertainty() -> None:
    made = table(data(30), np.ones(30, dtype=bool), "a")
    for number, label in enumerate(("no", "yes")):
        made.frame[f"loglik_nats.{label}"] = np.where(np.arange(30) < 10, -np.inf if number else 0.0, -1.0)
    found = sample_of(made, made, None, ("no", "yes"), "accuracy")
    assert found is not None
    assert found.measures[UNCERTAINTY].tolist() == pytest.approx([0.0] * 10 + [np.log(2)] * 20)


@pytest.mark.parametrize("missing", ["brier", "macro_f1"])
def test_a_side_without_the_metric_has_no_sample(missing: str) -> None:
    of = data(30)
    made = table(of, np.ones(30, dtype=bool), "a")
    assert sample_of(made, made, None, ("no", "yes"), missing) is None
