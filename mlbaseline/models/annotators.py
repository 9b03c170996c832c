"""The human baseline from the label of each annotator."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

import krippendorff
import numpy as np

from mlbaseline.errors import DataError
from mlbaseline.models.row_errors import RowErrors
from mlbaseline.records import Answer, Example, Scalar, TaskData
from mlbaseline.values import NumberedRow, as_text, is_missing

LabelsByAnnotator = Mapping[str, Mapping[str, str]]
"""example id ─▶ annotator ─▶ label."""

_COLUMNS = ("example_id", "annotator", "label")


class Annotators:
    """One annotator drawn at random, and the vote of all, as a `records.Model`.

    The accuracy is that of one annotator: the share of an example's annotators that gave the target. The prediction is
    the majority vote, of equally frequent labels the first in label order, and metrics of predictions (macro-F1) are
    therefore those of the vote, which is better than one annotator. An example that nobody labelled has neither; the
    accuracy and every comparison by it leave it out, for both sides.

    Where these annotators' votes decided the target itself, both are above what a new annotator would reach.
    """

    def __init__(self, labels: LabelsByAnnotator, order: Sequence[str], sha256: str) -> None:
        """Take the labels of all annotators.

        Args:
            labels: of each example and annotator.
            order: the task's labels.
            sha256: of the file that the annotators' labels come from.
        """
        self._labels, self._order, self._sha256 = labels, tuple(order), sha256

    def answer(self, examples: Sequence[Example]) -> Iterator[Answer]:
        """Answer every example, in their order."""
        for example in examples:
            labels = list(self._labels.get(example.id, {}).values())
            scores = {"accuracy": labels.count(example.target) / len(labels)} if labels else {}
            yield Answer(example.id, self._vote(labels), scores=scores)

    def signature_fields(self) -> dict[str, Scalar]:
        """Return what the answers depend on, as `model.*` fields of a signature."""
        return {"model.kind": "human", "model.labels_sha256": self._sha256, "model.vote_ties": "first label"}

    def figures(self, data: TaskData) -> dict[tuple[str, ...], float]:
        """Return figures of the annotators, each under `human`.

        alpha: Krippendorff's for nominal labels, absent where no example has two labels, or only one label occurs.
        labelled: share of the examples that somebody labelled. annotators: how many. Of each annotator: accuracy
        against the target, and agreement with the majority of the others, 1/t where t labels lead among them.
        """
        labelled = [(example, self._labels[example.id]) for example in data.examples if self._labels.get(example.id)]
        right: defaultdict[str, list[float]] = defaultdict(list)
        agreeing: defaultdict[str, list[float]] = defaultdict(list)
        for example, by_annotator in labelled:
            for annotator, label in by_annotator.items():
                right[annotator].append(float(label == example.target))
                if leading := _leading([other for name, other in by_annotator.items() if name != annotator]):
                    agreeing[annotator].append((label in leading) / len(leading))
        figures: dict[tuple[str, ...], float] = {
            ("human", "annotators"): len(right),
            ("human", "labelled"): len(labelled) / len(data.examples),
        }
        for measure, values in (("accuracy", right), ("with_others", agreeing)):
            figures |= {
                ("human", "annotator", name, measure): float(np.mean(shares)) for name, shares in values.items()
            }
        alpha = _alpha([Counter(by_annotator.values()) for _, by_annotator in labelled], self._order)
        return figures if alpha is None else {**figures, ("human", "alpha"): alpha}

    def _vote(self, labels: Sequence[str]) -> str | None:
        return min(_leading(labels), key=self._order.index, default=None)


def _leading(labels: Sequence[str]) -> list[str]:
    """Return the most frequent labels; none of none."""
    counts = Counter(labels)
    return [label for label, count in counts.items() if count == max(counts.values())]


def _alpha(votes: Sequence[Mapping[str, int]], labels: Sequence[str]) -> float | None:
    counts = np.array([[of_example.get(label, 0) for label in labels] for of_example in votes])
    pairable = counts[counts.sum(axis=1) > 1]
    if not len(pairable) or (pairable.sum(axis=0) > 0).sum() < 2:
        return None
    return float(krippendorff.alpha(value_counts=pairable, level_of_measurement="nominal"))


def read_labels(rows: Sequence[NumberedRow], data: TaskData, *, where: str) -> LabelsByAnnotator:
    """Read labels in long form, one per row, with the columns example_id, annotator and label; a label may be empty.

    Raises:
        DataError: with all errors: unknown ids and labels, annotators that are missing, or named twice for an example.
    """
    columns = list(rows[0][1])
    if not set(_COLUMNS) <= set(columns):
        raise DataError(f"{where}: expected the columns {', '.join(_COLUMNS)}, got: {', '.join(columns)}")
    ids = {example.id for example in data.examples}
    labels: defaultdict[str, dict[str, str]] = defaultdict(dict)
    errors = RowErrors()
    for number, values in rows:
        id, annotator, label = ("" if is_missing(values[name]) else as_text(values[name]).strip() for name in _COLUMNS)
        if id not in ids:
            errors.add(f"ids that are not in the split {data.split}; remove their rows", f"row {number}: {id!r}")
        elif not label:
            continue
        elif not annotator:
            errors.add("labels without an annotator", f"row {number}")
        elif label not in data.labels:
            errors.add(f"labels that are none of {list(data.labels)}", f"row {number}: {label!r}")
        elif annotator in labels[id]:
            errors.add("annotators that label an example twice", f"row {number}: {annotator!r}, {id!r}")
        else:
            labels[id][annotator] = label
    errors.raise_any(f"{where}: the labels do not fit the suite")
    if not any(labels.values()):
        raise DataError(f"{where}: no row has a label")
    return dict(labels)
