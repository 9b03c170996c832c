"""Honest statistics of model comparisons: arrays in, small frozen results out, a Generator passed in."""

from mlbaseline.stats.effect import DiscordantEffect, Effect, cohens_d, cohens_g, probability_of_improvement
from mlbaseline.stats.margins import (
    equivalence_level,
    equivalence_p_value,
    is_equivalent,
    is_non_inferior,
    is_superior,
)
from mlbaseline.stats.multiplicity import adjust
from mlbaseline.stats.paired import PairedComparison, compare_paired

__all__ = [
    "DiscordantEffect",
    "Effect",
    "PairedComparison",
    "adjust",
    "cohens_d",
    "cohens_g",
    "compare_paired",
    "equivalence_level",
    "equivalence_p_value",
    "is_equivalent",
    "is_non_inferior",
    "is_superior",
    "probability_of_improvement",
]
