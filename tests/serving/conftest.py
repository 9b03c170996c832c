"""The stores and suites of the tests of `store`."""

from tests.store.conftest import compare, data, database, evaluate, suite, suite_text, tracker, tracking_uri

__all__ = ["compare", "data", "database", "evaluate", "suite", "suite_text", "tracker", "tracking_uri"]
