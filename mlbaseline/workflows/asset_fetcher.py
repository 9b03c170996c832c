"""Bring the assets of a suite to this machine, those that lie on the tracking server included."""

from __future__ import annotations

from mlbaseline import assets, store
from mlbaseline.suite import Suite
from mlbaseline.tasks import Fetch


def make_fetcher(suite: Suite, server: store.Server) -> Fetch:
    """Make what brings the suite's assets to this machine, those on the tracking server included."""
    return lambda asset: assets.fetch(asset, root=suite.root, resolve=lambda uri: store.resolve(server, uri))
