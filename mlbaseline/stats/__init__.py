"""Honest statistics of model comparisons: arrays in, small frozen results out, a Generator passed in.

The modules say `scipy.stats.norm` and not `norm`: scipy loads its parts when they are first named, and they take as
long to load as a small model, before which nobody compares anything.
"""

from mlbaseline.stats.aggregate import (
    Aggregate,
    PerformanceProfile,
    RankComparison,
    compare_ranks,
    interquartile_mean,
    performance_profile,
)
from mlbaseline.stats.bootstrap import bootstrap_distribution
from mlbaseline.stats.corpus import CorpusComparison, CorpusInterval, compare_corpus, corpus_interval, pseudo_values
from mlbaseline.stats.corpus_metrics import (
    CorpusMetric,
    auroc,
    bits_per_unit,
    bleu,
    brier,
    chrf,
    ece,
    macro_f1,
    mcc,
    micro_f1,
    perplexity,
)
from mlbaseline.stats.effect import DiscordantEffect, Effect, cohens_d, cohens_g, probability_of_improvement
from mlbaseline.stats.gaps import Gap, GapDifference, difference_of_gaps, group_gap
from mlbaseline.stats.joint import JointIntervals, joint_intervals
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
from mlbaseline.stats.quantiles import QuantileEstimate, quantile_interval
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
    "Aggregate",
    "Confirmation",
    "CorpusComparison",
    "CorpusInterval",
    "CorpusMetric",
    "DiscordantEffect",
    "Effect",
    "Gap",
    "GapDifference",
    "JointIntervals",
    "PairedComparison",
    "PerformanceProfile",
    "QuantileEstimate",
    "RankComparison",
    "SelectedBest",
    "Settlement",
    "UnpairedComparison",
    "VarianceComponents",
    "adjust",
    "auroc",
    "best_of",
    "binary_power",
    "binary_sample_size",
    "bits_per_unit",
    "bleu",
    "bootstrap_distribution",
    "brier",
    "chrf",
    "cohens_d",
    "cohens_g",
    "compare_corpus",
    "compare_paired",
    "compare_published",
    "compare_ranks",
    "compare_unpaired",
    "corpus_interval",
    "detectable_effect",
    "difference_of_gaps",
    "ece",
    "equivalence_level",
    "equivalence_p_value",
    "estimate_components",
    "expected_selection_bias",
    "group_gap",
    "interquartile_mean",
    "is_equivalent",
    "is_non_inferior",
    "is_superior",
    "joint_intervals",
    "macro_f1",
    "mcc",
    "micro_f1",
    "minimum_detectable_effect",
    "n_to_settle",
    "performance_profile",
    "perplexity",
    "probability_of_improvement",
    "pseudo_values",
    "quantile_interval",
    "sample_size",
    "select_then_confirm",
]
