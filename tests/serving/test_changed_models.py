"""A registered model whose files were changed after its evaluation is not served, and is no rung to beat."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from mlbaseline.errors import UntrustedModelError
from mlbaseline.serving import find_registered
from mlbaseline.serving.served import check_served, read_served
from mlbaseline.store.registry.loaded import check_registered
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.server.connection import Tracker
from mlbaseline.store.server.references import resolve
from mlbaseline.suite import Production, Suite
from tests.support.ladders.stored import Compare, planned

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True),
]


@pytest.fixture
def stored(tracker: Tracker, suite: Suite, compare: Compare) -> Path:
    """Folder of a promoted model, as the server keeps it."""
    plan = planned(tracker, suite, compare())
    promote(tracker, suite, plan)
    return Path(tracker.client.get_logged_model(str(plan.winner.model_id)).artifact_location.removeprefix("file://"))


def change(stored: Path, what: str) -> None:
    served = stored / "artifacts" / "served"
    match what:
        case "weights":
            (served / "weights" / "adapter.safetensors").write_bytes(b"others")
        case "description":
            (served / "served.json").write_text((served / "served.json").read_text().replace("Text:", "Say good:"))
        case "code":
            (stored / "served_code.py").write_text("raise SystemExit('foreign code ran')")


@pytest.mark.parametrize("what", ["weights", "description", "code"])
def test_it_is_no_rung(tracker: Tracker, suite: Suite, stored: Path, what: str) -> None:
    uri = f"models:/{suite.register_as}@champion"
    spec = Production(kind="production", uri=uri)
    assert find_registered(tracker, spec) is not None
    change(stored, what)
    shutil.rmtree(Path(os.environ["MLBASELINE_CACHE"], "references"))
    with pytest.raises(UntrustedModelError, match=rf"{uri} .* is not the model that was evaluated: its "):
        find_registered(tracker, spec)


def test_a_changed_copy_in_the_cache_is_no_rung_either(tracker: Tracker, suite: Suite, stored: Path) -> None:
    uri = f"models:/{suite.register_as}@champion"
    change(resolve(tracker, f"models:/{suite.register_as}/1"), "weights")
    with pytest.raises(UntrustedModelError, match="is not the model that was evaluated"):
        find_registered(tracker, Production(kind="production", uri=uri))


@pytest.mark.parametrize("what", ["weights", "description"])
def test_mlflow_does_not_load_it(tracker: Tracker, suite: Suite, stored: Path, what: str) -> None:
    from mlflow.pyfunc import load_model

    change(stored, what)
    with pytest.raises(UntrustedModelError):
        load_model(f"models:/{suite.register_as}@champion")


def test_without_a_registry_it_is_held_to_what_it_says_of_itself(stored: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(stored, tmp_path / "copy") / "artifacts" / "served"
    check_served(copy, read_served(copy))
    change(copy.parents[1], "weights")
    with pytest.raises(UntrustedModelError, match="expected the weights with the digest"):
        check_served(copy, read_served(copy))


def test_a_registry_that_is_away_stops_no_service(
    stored: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from mlflow import set_tracking_uri

    set_tracking_uri("http://127.0.0.1:9")
    (stored / "registered_model_meta").write_text("model_name: moods\nmodel_version: '1'\n")
    check_registered(stored)
    assert "were not checked against its records" in caplog.text
