"""The frozen nouns that pass between folders. No behaviour beyond what each noun says about itself."""

from mlbaseline.records.answers import Answer, Example, Model, Signature, TaskData, Trained, Weights
from mlbaseline.records.assessment import Assessment, Finding, Promotion, Registration, Standing, Verdict
from mlbaseline.records.comparison import Comparison, Estimate, Mismatch, PublishedScore, UnpairedContrast
from mlbaseline.records.cost import Bounds, BreakEven, Cost, FineTune, Front, FrontPoint
from mlbaseline.records.fields import Fields
from mlbaseline.records.slices import (
    FoundSlice,
    SliceDelta,
    SliceGap,
    SliceReport,
    SliceSearch,
    SmallSlice,
    Spread,
    Where,
)
from mlbaseline.records.values import REMOTE, UNKNOWN, Scalar, canonical_json, digest_of

__all__ = [
    "REMOTE",
    "UNKNOWN",
    "Answer",
    "Assessment",
    "Bounds",
    "BreakEven",
    "Comparison",
    "Cost",
    "Estimate",
    "Example",
    "Fields",
    "Finding",
    "FineTune",
    "FoundSlice",
    "Front",
    "FrontPoint",
    "Mismatch",
    "Model",
    "Promotion",
    "PublishedScore",
    "Registration",
    "Scalar",
    "Signature",
    "SliceDelta",
    "SliceGap",
    "SliceReport",
    "SliceSearch",
    "SmallSlice",
    "Spread",
    "Standing",
    "TaskData",
    "Trained",
    "UnpairedContrast",
    "Verdict",
    "Weights",
    "Where",
    "canonical_json",
    "digest_of",
]
