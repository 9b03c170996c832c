"""Honest statistics of model comparisons: arrays in, small frozen results out, a Generator passed in.

The modules say `scipy.stats.norm` and not `norm`: scipy loads its parts when they are first named, and they take as
long to load as a small model, before which nobody compares anything.
"""

from mlbaseline.stats import sequential
from mlbaseline.stats.batched import BatchedMean, batched_mean
from mlbaseline.stats.bootstrap import bootstrap_distribution
from mlbaseline.stats.corpus.classification import auroc, macro_f1, mcc, micro_f1
from mlbaseline.stats.corpus.comparison import CorpusComparison, compare_corpus
from mlbaseline.stats.corpus.influences import pseudo_values
from mlbaseline.stats.corpus.interval import CorpusInterval, corpus_interval
from mlbaseline.stats.corpus.metric import CorpusMetric
from mlbaseline.stats.corpus.probabilities import bits_per_unit, brier, ece, perplexity, squared_calibration_error
from mlbaseline.stats.corpus.text import bleu, chrf
from mlbaseline.stats.paired.comparison import PairedComparison, compare_paired
from mlbaseline.stats.paired.control_variate import ControlledComparison, compare_with_control_variate
from mlbaseline.stats.paired.effect import DiscordantEffect, Effect, cohens_d, cohens_g, probability_of_improvement
from mlbaseline.stats.paired.margins import (
    equivalence_level,
    equivalence_p_value,
    is_equivalent,
    is_non_inferior,
    is_superior,
)
from mlbaseline.stats.paired.prediction_powered import JudgedComparison, compare_judged
from mlbaseline.stats.paired.single import MeanEstimate, estimate_mean
from mlbaseline.stats.paired.unpaired import UnpairedComparison, compare_published, compare_unpaired
from mlbaseline.stats.planning.binary import binary_power, binary_sample_size
from mlbaseline.stats.planning.components import VarianceComponents, estimate_components
from mlbaseline.stats.planning.crossed import CrossedVariance, SourceComponent, crossed_variance
from mlbaseline.stats.planning.extension import SampleSizeExtension, sample_size_extension
from mlbaseline.stats.planning.power import detectable_effect, minimum_detectable_effect, sample_size
from mlbaseline.stats.quantiles import QuantileEstimate, quantile_interval
from mlbaseline.stats.several_tasks import (
    Aggregate,
    PerformanceProfile,
    RankComparison,
    compare_ranks,
    interquartile_mean,
    performance_profile,
    probability_of_improvement_over_tasks,
)
from mlbaseline.stats.simultaneous.gaps import Gap, GapDifference, difference_of_gaps, group_gap
from mlbaseline.stats.simultaneous.joint import JointIntervals, joint_intervals
from mlbaseline.stats.simultaneous.multiplicity import adjust
from mlbaseline.stats.simultaneous.pooling import PooledGroups, partial_pooling
from mlbaseline.stats.simultaneous.selection import (
    Confirmation,
    SelectedBest,
    best_of,
    expected_selection_bias,
    select_then_confirm,
)
from mlbaseline.stats.weights import ExampleWeights, post_stratification

__all__ = [
    "Aggregate",
    "BatchedMean",
    "Confirmation",
    "ControlledComparison",
    "CorpusComparison",
    "CorpusInterval",
    "CorpusMetric",
    "CrossedVariance",
    "DiscordantEffect",
    "Effect",
    "ExampleWeights",
    "Gap",
    "GapDifference",
    "JointIntervals",
    "JudgedComparison",
    "MeanEstimate",
    "PairedComparison",
    "PerformanceProfile",
    "PooledGroups",
    "QuantileEstimate",
    "RankComparison",
    "SampleSizeExtension",
    "SelectedBest",
    "SourceComponent",
    "UnpairedComparison",
    "VarianceComponents",
    "adjust",
    "auroc",
    "batched_mean",
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
    "compare_judged",
    "compare_paired",
    "compare_published",
    "compare_ranks",
    "compare_unpaired",
    "compare_with_control_variate",
    "corpus_interval",
    "crossed_variance",
    "detectable_effect",
    "difference_of_gaps",
    "ece",
    "equivalence_level",
    "equivalence_p_value",
    "estimate_components",
    "estimate_mean",
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
    "partial_pooling",
    "performance_profile",
    "perplexity",
    "post_stratification",
    "probability_of_improvement",
    "probability_of_improvement_over_tasks",
    "pseudo_values",
    "quantile_interval",
    "sample_size",
    "sample_size_extension",
    "select_then_confirm",
    "sequential",
    "squared_calibration_error",
]
