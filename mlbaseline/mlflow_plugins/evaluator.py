"""The evaluator `mlbaseline` of `mlflow.models.evaluate`: predictions paired with those of a baseline.

The class has the methods of MLflow's `ModelEvaluator` and does not derive from it: whatever is heavy is imported when
the evaluator is used, so that an `mlflow.models.evaluate` without it costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlbaseline.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

    from mlbaseline.records import EvaluatorOptions


class PairedEvaluator:
    """Pairs predictions with those of a baseline, and logs the difference with its interval."""

    @classmethod
    def can_evaluate(cls, *, evaluator_config: Mapping[str, Any], **_: Any) -> bool:
        """Tell whether the evaluator takes part: only where some option of it is set, whatever the type of the model.

        Without a list of evaluators, MLflow asks every one that is installed.
        """
        if not evaluator_config:
            return False
        from dataclasses import fields

        from mlbaseline.records import EvaluatorOptions

        return any(option.name in evaluator_config for option in fields(EvaluatorOptions))

    def evaluate(
        self,
        *,
        model_type: str,
        dataset: Any,
        run_id: str,
        evaluator_config: Mapping[str, Any],
        model: Any = None,
        predictions: str | None = None,
        **_: Any,
    ) -> Any:
        """Evaluate as MLflow asks: with a model, or with predictions in the data.

        Args:
            model_type: MLflow's word for what the model does; decides about the metrics where none are named.
            dataset: MLflow's `EvaluationDataset`.
            run_id: The run to log to.
            evaluator_config: The options, see `EvaluatorOptions`.
            model: A pyfunc model; None where the data holds the predictions.
            predictions: Column of the model's output that counts, where it has several.

        Returns:
            MLflow's `EvaluationResult`: metrics and tables that were logged.

        Raises:
            MlbaselineError: The data do not fit, or do not pair with the baseline.
        """
        import pandas as pd

        from mlbaseline.workflows.evaluations.paired_predictions import PredictedRows, pair_predictions

        options = _options(evaluator_config)
        if not dataset.has_targets:
            raise DataError("targets: expected the column that holds what is right, got none; name it as `targets`")
        columns = pd.DataFrame(dataset.features_data, columns=list(dataset.feature_names))
        if model is None:
            predicted = dataset.predictions_data
            if predicted is None:
                raise DataError("predictions: expected a model or a column of predictions, got neither")
        else:
            inputs = columns.drop(columns=[name for name in options.columns if name in columns])
            predicted = _of_output(model.predict(inputs), predictions)
        rows = PredictedRows(columns, list(dataset.labels_data), list(predicted), model_type)
        return pair_predictions(rows, options, run_id=run_id)


def _options(config: Mapping[str, Any]) -> EvaluatorOptions:
    from pydantic import TypeAdapter, ValidationError

    from mlbaseline.records import EvaluatorOptions

    try:
        options = TypeAdapter(EvaluatorOptions).validate_python(dict(config))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors())
        known = ", ".join(EvaluatorOptions.__dataclass_fields__)
        raise DataError(f"evaluator_config: {wrong}. Its keys are: {known}") from error
    if options.baseline_run_id is not None and options.baseline_column is not None:
        raise DataError("evaluator_config: expected a baseline_run_id or a baseline_column, got both")
    if not 0.5 < options.level < 1.0:
        raise DataError(f"evaluator_config.level: expected a level between 0.5 and 1, got {options.level}")
    return options


def _of_output(output: Any, column: str | None) -> Sequence[Any] | pd.Series[Any]:
    """Take the predictions out of what a model returned."""
    import pandas as pd

    if isinstance(output, list) and output and all(isinstance(one, dict) for one in output):
        output = pd.DataFrame(output)
    if not isinstance(output, pd.DataFrame):
        return list(output)
    if column is None and len(output.columns) == 1:
        return output.iloc[:, 0]
    if column not in output:
        raise DataError(
            f"predictions: the model returns the columns {', '.join(map(str, output))}; name the one that counts as "
            "`predictions`"
        )
    return output[column]
