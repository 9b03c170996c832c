"""Metrics of a perplexity task: what the texts cost a model in nats, per token, byte or word.

An error row costs 8 bits a byte, which is what its text takes as it stands, and as many tokens as bytes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import numpy as np

from mlbaseline import stats
from mlbaseline.metrics.metric import Array, CorpusRows, Metric
from mlbaseline.results import SUM, ResultTable
from mlbaseline.stats import CorpusMetric

NATS_PER_BYTE = math.log(256)
"""Cost of a text for a model that knows nothing: 8 bits a byte."""


def count_bytes(text: str) -> int:
    """Return the number of bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def count_words(text: str) -> int:
    """Return the number of pieces between white space, as lm-evaluation-harness counts words."""
    return len(re.split(r"\s+", text))


def _nats(table: ResultTable) -> Array | None:
    if SUM + "nats" not in table.frame:
        return None
    nats = table.frame[SUM + "nats"].to_numpy(dtype=float)
    return np.where(np.isnan(nats), _count(table, count_bytes) * NATS_PER_BYTE, nats)


def _count(table: ResultTable, units: Callable[[str], int]) -> Array:
    return np.array([units(text) for text in table.frame["target"]], dtype=float)


def _tokens(table: ResultTable) -> Array | None:
    if SUM + "tokens" not in table.frame:
        return None
    tokens = table.frame[SUM + "tokens"].to_numpy(dtype=float)
    return np.where(np.isnan(tokens), _count(table, count_bytes), tokens)


def _per(
    metric: Callable[[], CorpusMetric], units: Callable[[ResultTable], Array | None]
) -> Callable[[ResultTable, Sequence[str]], CorpusRows | None]:
    def corpus(table: ResultTable, _: Sequence[str]) -> CorpusRows | None:
        nats, counted = _nats(table), units(table)
        if nats is None or counted is None:
            return None
        chosen = metric()
        return CorpusRows.of_statistics(chosen, chosen.statistics(nats, counted))

    return corpus


def _bytes(table: ResultTable) -> Array:
    return _count(table, count_bytes)


def _words(table: ResultTable) -> Array:
    return _count(table, count_words)


LIKELIHOOD_METRICS = (
    Metric("token_perplexity", False, corpus=_per(stats.perplexity, _tokens)),
    Metric("byte_perplexity", False, corpus=_per(stats.perplexity, _bytes)),
    Metric("word_perplexity", False, corpus=_per(stats.perplexity, _words)),
    Metric("bits_per_byte", False, corpus=_per(stats.bits_per_unit, _bytes)),
)
