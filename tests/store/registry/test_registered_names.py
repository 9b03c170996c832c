"""A version is found by what a person has at hand: a name, its number or alias, or a reference of MLflow."""

from __future__ import annotations

import pytest

from mlbaseline.errors import TrackingError
from mlbaseline.store.registry.promotion import promote
from mlbaseline.store.registry.registered_names import find_version
from mlbaseline.store.server.connection import Tracker
from mlbaseline.suite import Suite
from tests.support.ladders.stored import Compare, planned


@pytest.mark.parametrize("tracking_uri", ["sqlite"], indirect=True)
def test_a_version_is_found_by_number_alias_or_reference(tracker: Tracker, suite: Suite, compare: Compare) -> None:
    for _ in range(2):
        model = promote(tracker, suite, planned(tracker, suite, compare())).model

    def number(reference: str, **named: str) -> str:
        return str(find_version(tracker, reference, **named).version)

    assert number(model) == number(model, version="2") == number(f"models:/{model}@champion") == "2"
    assert number(model, version="1") == number(model, alias="previous") == number(f"models:/{model}/1") == "1"
    with pytest.raises(TrackingError, match="names its version already; leave --version and --alias out"):
        number(f"models:/{model}/1", version="2")


@pytest.mark.parametrize("uri", ["models:/nobody@champion", "models:/nobody/1", "nobody", "models:/m-123", "runs:/x"])
def test_what_is_no_version_is_an_error(tracker: Tracker, uri: str) -> None:
    with pytest.raises(TrackingError):
        find_version(tracker, uri)
