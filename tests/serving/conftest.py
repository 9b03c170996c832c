"""The servers and suites of the tests of `store`."""

from tests.store.conftest import database, server, suite, suite_text, tracker, tracking_uri

__all__ = ["database", "server", "suite", "suite_text", "tracker", "tracking_uri"]
