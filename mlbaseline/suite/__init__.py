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
from mlbaseline.suite.data import Columns, DataSource, Slicing, SplitSizes, TextColumns
from mlbaseline.suite.decision import Contrast, Gates, Matrix
from mlbaseline.suite.nodes import SPLITS, Asset, MetricName, Name, Split
from mlbaseline.suite.root import CostModel, Evaluation, Suite, with_defaults
from mlbaseline.suite.task import TASK_KINDS, ChoiceTask, GenerateTask, PerplexityTask, Task

__all__ = [
    "ALL_LINEAR",
    "KINDS",
    "SPLITS",
    "TAGS",
    "TASK_KINDS",
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
    "GenerateTask",
    "Human",
    "Matrix",
    "MetricName",
    "Name",
    "Peft",
    "PerplexityTask",
    "Pretrained",
    "Recorded",
    "Shots",
    "Slicing",
    "Split",
    "SplitSizes",
    "Suite",
    "Task",
    "TextColumns",
    "TrainedSpec",
    "Trivial",
    "with_defaults",
]
