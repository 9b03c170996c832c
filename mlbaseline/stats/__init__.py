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
from mlbaseline.stats.power import (
    VarianceComponents,
    binary_power,
    binary_sample_size,
    detectable_effect,
    estimate_components,
    minimum_detectable_effect,
    sample_size,
)
from mlbaseline.stats.selection import (
    Confirmation,
    SelectedBest,
    best_of,
    expected_selection_bias,
    select_then_confirm,
)
from mlbaseline.stats.settle import Settlement, n_to_settle
from mlbaseline.stats.unpaired import UnpairedComparison, compare_published, compare_unpaired

__all__ = [
    "Confirmation",
    "DiscordantEffect",
    "Effect",
    "PairedComparison",
    "SelectedBest",
    "Settlement",
    "UnpairedComparison",
    "VarianceComponents",
    "adjust",
    "best_of",
    "binary_power",
    "binary_sample_size",
    "cohens_d",
    "cohens_g",
    "compare_paired",
    "compare_published",
    "compare_unpaired",
    "detectable_effect",
    "equivalence_level",
    "equivalence_p_value",
    "estimate_components",
    "expected_selection_bias",
    "is_equivalent",
    "is_non_inferior",
    "is_superior",
    "minimum_detectable_effect",
    "n_to_settle",
    "probability_of_improvement",
    "sample_size",
    "select_then_confirm",
]
