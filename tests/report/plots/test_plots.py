from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mlbaseline.report import render_plots
from mlbaseline.report.html import html_of
from mlbaseline.report.markdown import markdown_of
from mlbaseline.report.plots.canvas import new_figure, shorten, text_width
from mlbaseline.report.plots.plot import Plot
from mlbaseline.report.plots.render import render_plot
from mlbaseline.report.plots.svg import BETTER
from mlbaseline.report.view import Section
from mlbaseline.report.view_builder import build_view
from tests.support.comparisons import assessments as given
from tests.support.comparisons import odd_assessments as odd

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def drawn() -> dict[str, dict[str, str]]:
    return {name: render_plots(build()) for name, build in odd.ALL.items()}


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_plots_of_a_comparison_by_name(drawn: dict[str, dict[str, str]]) -> None:
    assert list(drawn["promote"]) == [
        *("forest", "pareto", "slices-1", "slices-2", "pareto-latency", "pareto-memory", "pareto-parameters"),
    ]
    assert list(drawn["lone"]) == ["pareto"]
    assert drawn["empty"] == {}


def test_text_stays_text(drawn: dict[str, dict[str, str]]) -> None:
    forest = texts(drawn["promote"]["forest"])
    assert "lora over majority" in forest
    assert "+0.190 [+0.119, +0.261]" in forest
    pareto = texts(drawn["hold"]["pareto"])
    assert {"keyword", "full", "lora", "endpoint", "annotator", "no cost", "no price"} <= set(pareto)


def test_a_plot_says_what_it_shows_to_those_who_do_not_see_it(drawn: dict[str, dict[str, str]]) -> None:
    root = ET.fromstring(drawn["promote"]["forest"])
    assert root.get("role") == "img"
    named = {node.get("id"): node for node in root.iter() if node.get("id")}
    title, description = (named[name] for name in (root.get("aria-labelledby") or "").split())
    assert title.text == "Difference from the baselines"
    assert "full over zero_shot, overall: +0.232 [+0.161, +0.303]" in (description.text or "")


@pytest.mark.parametrize("name", odd.ALL)
def test_every_plot_is_well_formed_and_refers_to_nothing_outside(drawn: dict[str, dict[str, str]], name: str) -> None:
    for svg in drawn[name].values():
        root = ET.fromstring(svg)
        # Namespaces are names, not addresses; hostile names stand in text, where an address is only letters.
        for node in root.iter():
            for key, value in node.attrib.items():
                assert key.rpartition("}")[2] not in ("href", "src") or value.startswith("#")
                assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value))
        assert not re.search(r"<(script|image|foreignObject|metadata|!DOCTYPE)", svg)
        assert "@import" not in svg


@pytest.mark.parametrize("name", odd.ALL)
def test_colours_are_variables_only_and_no_stand_in_is_left(drawn: dict[str, dict[str, str]], name: str) -> None:
    for svg in drawn[name].values():
        body = re.sub(r"<style>.*?</style>", "", svg, flags=re.DOTALL)
        assert not re.findall(r"(?:fill|stroke): ?#[0-9a-f]{6}", body)
        assert "prefers-color-scheme:dark" in svg


def test_ids_of_different_plots_never_meet(drawn: dict[str, dict[str, str]]) -> None:
    ids = [found for svg in drawn["promote"].values() for found in re.findall(r' id="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in drawn["promote"].values():
        own = set(re.findall(r' id="([^"]+)"', svg))
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', svg)) <= {
            pair for name in own for pair in ((name, ""), ("", name))
        }


def test_equal_assessments_give_equal_plots(drawn: dict[str, dict[str, str]]) -> None:
    assert render_plots(given.promote()) == drawn["promote"]


def test_the_readers_own_matplotlib_settings_do_not_matter(drawn: dict[str, dict[str, str]]) -> None:
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.fonttype": "path", "axes.facecolor": "red"}):
        before = dict(mpl.rcParams)
        assert render_plots(given.promote()) == drawn["promote"]
        assert dict(mpl.rcParams) == before


def test_all_marks_stay_inside_the_picture(drawn: dict[str, dict[str, str]]) -> None:
    for name in ("promote", "hold", "hostile", "many", "inconclusive"):
        for svg in drawn[name].values():
            root = ET.fromstring(svg)
            _, _, width, height = map(float, (root.get("viewBox") or "").split())
            for use in root.iter(f"{SVG}use"):
                assert -1 <= float(use.get("x", 0)) <= width + 1
                assert -1 <= float(use.get("y", 0)) <= height + 1


@pytest.mark.parametrize("delta", [-0.375, 0.375])  # ±0.4 is at the end of the axis
def test_no_label_of_a_tick_is_cut_at_an_end_of_the_axis(delta: float) -> None:
    row = given.comparison("lora", "full", delta=delta, low=delta - 0.01, high=delta + 0.01)
    root = ET.fromstring(render_plots(replace(given.promote(), comparisons=(row,)))["forest"])
    _, _, width, _ = map(float, (root.get("viewBox") or "").split())
    for node in root.iter(f"{SVG}text"):
        x, needed = float(node.get("x", 0)), text_width("".join(node.itertext()), size=10)
        anchor = re.search(r"text-anchor: (\w+)", node.get("style", ""))
        assert anchor
        left = x - {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor[1]] * needed
        assert -1 <= left <= left + needed <= width + 1, node.text


def test_nothing_but_infinite_and_unknown_bounds_still_gives_a_plot() -> None:
    base = given.promote()
    row = given.comparison(
        "lora",
        "full",
        delta=0.1,
        low=-given.INF,
        high=given.INF,
        simultaneous_low=given.NAN,
        simultaneous_high=given.NAN,
    )
    flat = replace(given.estimate(0.5, 0.0), low=given.NAN, high=given.NAN)
    standings = tuple(replace(s, metrics={"accuracy": flat}) for s in base.standings)
    shown = render_plots(replace(base, standings=standings, comparisons=(row,), fronts=base.fronts[:1]))
    assert set(shown) == {"forest", "pareto"}


def test_a_long_name_is_cut_in_its_middle_to_the_room_it_has() -> None:
    name = "checkpoint-" + "x" * 200 + "-final"
    cut = shorten(name, size=11, room=120)
    assert text_width(cut, size=11) <= 120
    assert cut.count("…") == 1
    assert cut.startswith("check")
    assert cut.endswith("final")
    assert shorten("lora", size=11, room=120) == "lora"


@dataclass(frozen=True, slots=True)
class Bars(Plot):
    """A plot that the package does not know."""

    heights: tuple[float, ...]

    def draw(self) -> Any:
        figure = new_figure(40)
        figure.add_axes((0, 0, 1, 1)).bar(range(len(self.heights)), self.heights, color=BETTER)
        return figure


def test_a_new_kind_of_plot_is_one_class() -> None:
    bars = Bars("bars", "Heights", "Three bars.", "Bars of 1, 2 and 3.", (1.0, 2.0, 3.0))
    view = replace(build_view(given.promote()), sections=(Section("bars", "Bars", (bars,)),))
    assert render_plot(bars) in html_of(view)
    assert "Bars of 1, 2 and 3." in html_of(view)
    assert "**Heights**" in markdown_of(view)
