"""The types of a suite file. `suite_file` reads one; unknown keys are errors."""

from mlbaseline.suite.baselines import (
    ALL_LINEAR,
    KINDS,
    TAGS,
    AnswersFile,
    BaselineSpec,
    External,
    Full,
    Human,
    Peft,
    Pretrained,
    Recorded,
    Shots,
    TrainedSpec,
    Trivial,
)
from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes
from mlbaseline.suite.decision import Contrast, Gates, Matrix
from mlbaseline.suite.nodes import SPLITS, Asset, MetricName, Name, Split
from mlbaseline.suite.root import CostModel, Evaluation, Suite
from mlbaseline.suite.task import ChoiceTask, Task

__all__ = [
    "ALL_LINEAR",
    "KINDS",
    "SPLITS",
    "TAGS",
    "AnswersFile",
    "Asset",
    "BaselineSpec",
    "ChoiceTask",
    "Columns",
    "Contrast",
    "CostModel",
    "DataSource",
    "Evaluation",
    "External",
    "Full",
    "Gates",
    "Human",
    "Matrix",
    "MetricName",
    "Name",
    "Peft",
    "Pretrained",
    "Recorded",
    "Shots",
    "Slicing",
    "Split",
    "SplitSizes",
    "Suite",
    "Task",
    "TrainedSpec",
    "Trivial",
]
