"""Tests and intervals that stay valid however often the data are looked at."""

from mlbaseline.stats.sequential.binomial import binomial_mixture, quantile_exceeds
from mlbaseline.stats.sequential.drift import SlicedDriftDetector, SliceEvidence
from mlbaseline.stats.sequential.group import GroupSequentialPlan, LookDecision, group_sequential
from mlbaseline.stats.sequential.growing import rate_of_look, rate_over_looks
from mlbaseline.stats.sequential.means import SequentialMean, mean_difference

__all__ = [
    "GroupSequentialPlan",
    "LookDecision",
    "SequentialMean",
    "SliceEvidence",
    "SlicedDriftDetector",
    "binomial_mixture",
    "group_sequential",
    "mean_difference",
    "quantile_exceeds",
    "rate_of_look",
    "rate_over_looks",
]
