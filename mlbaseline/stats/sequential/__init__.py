"""Tests and intervals that stay valid however often the data are looked at."""

from mlbaseline.stats.sequential.arm_difference import arm_difference
from mlbaseline.stats.sequential.binomial import binomial_mixture, quantile_exceeds
from mlbaseline.stats.sequential.binomial_stream import binomial_stream, two_sided_course
from mlbaseline.stats.sequential.drift import SlicedDriftDetector, SliceEvidence
from mlbaseline.stats.sequential.evidence_path import EvidencePath, trace_path
from mlbaseline.stats.sequential.group import GroupSequentialPlan, LookDecision, group_sequential
from mlbaseline.stats.sequential.growing import rate_of_look, rate_over_looks
from mlbaseline.stats.sequential.means import SequentialMean, mean_difference
from mlbaseline.stats.sequential.running_quantile import running_quantile

__all__ = [
    "EvidencePath",
    "GroupSequentialPlan",
    "LookDecision",
    "SequentialMean",
    "SliceEvidence",
    "SlicedDriftDetector",
    "arm_difference",
    "binomial_mixture",
    "binomial_stream",
    "group_sequential",
    "mean_difference",
    "quantile_exceeds",
    "rate_of_look",
    "rate_over_looks",
    "running_quantile",
    "trace_path",
    "two_sided_course",
]
