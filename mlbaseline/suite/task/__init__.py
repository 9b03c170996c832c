"""What is asked: the key `task:` of a suite file, read by the type of its kind.

How a kind is prompted, answered and concluded stands in `tasks.kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from mlbaseline.suite.task.base import PromptedTask, TaskSpec
from mlbaseline.suite.task.kinds import (
    LM_EVAL_CONTEXT,
    LM_EVAL_ID,
    LM_EVAL_TARGET,
    TASKS,
    ChoiceTask,
    GenerateTask,
    LmEvalTask,
    Normalisation,
    PerplexityTask,
)

__all__ = [
    "LM_EVAL_CONTEXT",
    "LM_EVAL_ID",
    "LM_EVAL_TARGET",
    "TASKS",
    "ChoiceTask",
    "GenerateTask",
    "LmEvalTask",
    "Normalisation",
    "PerplexityTask",
    "PromptedTask",
    "Task",
    "TaskSpec",
]


class _ByKind:
    """Lets pydantic read a task by the type that `TASKS` has for its kind. The JSON Schema lists our four."""

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        kinds = ChoiceTask | GenerateTask | PerplexityTask | LmEvalTask
        return core_schema.no_info_wrap_validator_function(
            lambda content, _: _read_task(content),
            handler.generate_schema(Annotated[kinds, Field(discriminator="kind")]),
            serialization=core_schema.wrap_serializer_function_ser_schema(
                lambda task, write: write(task), schema=core_schema.any_schema()
            ),
        )


def _read_task(content: Any) -> TaskSpec:
    if isinstance(content, TaskSpec):
        return content
    if not isinstance(content, Mapping):
        raise PydanticKnownError("model_attributes_type")
    if "kind" not in content:
        raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
    kind = content["kind"]
    if not isinstance(kind, str) or kind not in TASKS:
        expected = ", ".join(map(repr, TASKS))
        raise PydanticKnownError(
            "union_tag_invalid", {"discriminator": "'kind'", "tag": str(kind), "expected_tags": expected}
        )
    return TASKS[kind].model_validate(content)


Task = Annotated[TaskSpec, _ByKind()]
