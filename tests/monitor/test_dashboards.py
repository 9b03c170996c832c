"""Alert rules and the dashboard are valid, and ask for gauges that there are; promtool, if it is there, checks more."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from mlbaseline.workflows.monitor.gauges import _HELP
from tests.support.checkout import ROOT

FOLDER = ROOT / "docs" / "how-to" / "monitoring"
NAME = re.compile(r"\bmlbaseline_[a-z0-9_]+")
needs_promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")


def test_every_rule_has_an_expression_over_known_gauges_and_a_summary() -> None:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(names) == len(set(names)) >= 5
    for rule in group["rules"]:
        assert NAME.findall(rule["expr"]), rule["alert"]
        assert set(NAME.findall(rule["expr"])) <= set(_HELP)
        assert rule["expr"].count("(") == rule["expr"].count(")")
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["labels"]["severity"] in ("info", "warning", "critical")


def test_every_panel_asks_for_known_gauges_in_a_place_of_its_own() -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    asked, taken = set(), set()
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            asked |= set(NAME.findall(target["expr"]))
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert place["x"] + place["w"] <= 24
        taken |= cells
    assert asked <= set(_HELP)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


@needs_promtool
def test_rules_fire_when_they_should() -> None:
    promtool("check", "rules", FOLDER / "alerts.yaml")
    promtool("test", "rules", Path(__file__).with_name("alerts_test.yaml"))


@needs_promtool
def test_expressions_of_panels_are_valid(tmp_path: Path) -> None:
    dashboard = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(asked)]
    path = tmp_path / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    promtool("check", "rules", path)


def promtool(*arguments: object) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
