"""The examples of the docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

from mlbaseline import stats

MODULES = [info.name for info in pkgutil.walk_packages(stats.__path__, "mlbaseline.stats.") if not info.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
